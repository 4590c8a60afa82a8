"""Whether the programs fit the machine and one another: Python, C library, numpy, OpenCV, the interpreters."""

from __future__ import annotations

import os
import platform
import re
import shlex
import struct
import sys
import sysconfig
from pathlib import Path

from edge_runtime.device.doctor.finding import Answer, Finding, ask

_PIP = f"{shlex.quote(sys.executable)} -m pip"
_IMAGER = "Write a card with the 64-bit Raspberry Pi OS: https://www.raspberrypi.com/software/"
# What the wheels were built against: tflite-runtime 2.14.0 up to Python 3.11, LiteRT 2 from 3.12 on.
_GLIBC_NEEDED = {
    ("tflite-runtime", "x86_64"): (2, 17),
    ("tflite-runtime", "aarch64"): (2, 34),
    ("tflite-runtime", "armv7l"): (2, 34),
    ("ai-edge-litert", "x86_64"): (2, 27),
    ("ai-edge-litert", "aarch64"): (2, 27),
}
_OPENCV_PACKAGES = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)
# What to look for in OpenCV's own words about its build.
_MEDIA = {"V4L2": "v4l/v4l2", "FFmpeg": "FFMPEG", "GStreamer": "GStreamer"}

_NUMPY = "import json, numpy; print(json.dumps({'version': numpy.__version__}))"
_OPENCV = "import json, cv2; print(json.dumps({'version': cv2.__version__, 'build': cv2.getBuildInformation()}))"
_PACKAGES = """
import json
from importlib.metadata import distributions
names = {str(found.metadata["Name"]).lower().replace("_", "-") for found in distributions()}
print(json.dumps({"names": sorted(names)}))
"""
_BACKEND = """
import importlib, json, sys
module = importlib.import_module(sys.argv[1])
importlib.import_module(sys.argv[1] + ".interpreter")
print(json.dumps({"version": getattr(module, "__version__", "unknown")}))
"""
_KERNELS = "import json; from edge_runtime import xnnpack; print(json.dumps({'reason': xnnpack.unavailable_reason()}))"


def check_python(version: tuple[int, int] = sys.version_info[:2], *, environment: bool | None = None) -> Finding:
    """Whether this Python is one that the runtime was tried on, and that packages can be installed for.

    Args:
        version: Of Python.
        environment: Whether pip may install for it; None looks whether the system keeps it for itself.
    """
    if not (3, 10) <= version <= (3, 13):
        found = f"Python {version[0]}.{version[1]}, where 3.10 to 3.13 is expected"
        mend = "sudo apt install -y python3.11 python3.11-venv && python3.11 -m venv ~/edge"
        return Finding("Python", "problem", found, mend)
    found = f"Python {platform.python_version()} at {sys.executable}"
    if _is_free() if environment is None else environment:
        return Finding("Python", "ok", found)
    # picamera2 comes from the system's packages.
    mend = "python3 -m venv --system-site-packages ~/edge && ~/edge/bin/pip install edge-image-sdk"
    return Finding("Python", "warning", f"{found}: the system's own, which pip doesn't install for", mend)


def check_architecture(
    machine: str = platform.machine(),
    bits: int = struct.calcsize("P") * 8,
    version: tuple[int, int] = sys.version_info[:2],
) -> Finding:
    """Whether there are wheels for this processor, and for the system that runs on it.

    Args:
        machine: As the kernel names it, which may be 64-bit under a 32-bit system.
        bits: Of the Python that runs.
        version: Of Python.
    """
    if bits == 64 and machine in ("x86_64", "aarch64"):
        return Finding("architecture", "ok", f"{machine}, 64 bits")
    if bits == 32 and machine in ("aarch64", "armv7l", "armv8l"):
        kernel = "on a 64-bit kernel, " if machine == "aarch64" else ""
        rest = "only tflite-runtime runs, without the fast INT8 kernels, and OpenCV has no wheel on PyPI"
        if version >= (3, 12):
            return Finding("architecture", "problem", f"32-bit Arm, {kernel}for which LiteRT has no wheels", _IMAGER)
        return Finding("architecture", "warning", f"32-bit Arm, {kernel}where {rest}", _IMAGER)
    if machine.startswith("armv6"):
        return Finding("architecture", "problem", "32-bit Arm v6 (Raspberry Pi 1 or Zero): there are no wheels for it")
    return Finding("architecture", "problem", f"{machine}, {bits} bits: there are no wheels for it")


def check_libc(
    library: str | None = None, machine: str = platform.machine(), version: tuple[int, int] = sys.version_info[:2]
) -> Finding:
    """Whether the C library is one that the interpreter's wheel can run on.

    Args:
        library: Such as ``"glibc 2.36"``; None asks the system.
        machine: As the kernel names it.
        version: Of Python, which decides on the interpreter.
    """
    library = _libc() if library is None else library
    match = re.fullmatch(r"glibc (\d+)\.(\d+).*", library)
    if match is None:
        return Finding(
            "C library",
            "problem",
            f"{library or 'not glibc'}, such as in Alpine Linux, where no interpreter has wheels: take a Debian",
        )
    package = "tflite-runtime" if version < (3, 12) else "ai-edge-litert"
    needed = _GLIBC_NEEDED.get((package, machine), (2, 17))
    if (int(match[1]), int(match[2])) >= needed:
        return Finding("C library", "ok", library)
    return Finding(
        "C library",
        "problem",
        f"{library}, where {package} needs {needed[0]}.{needed[1]}: the system is too old",
        f"{_PIP} install 'edge-image-sdk[litert]'" if needed > (2, 27) and machine == "aarch64" else "",
    )


def check_numpy() -> Finding:
    """Whether numpy is there and can be imported. Whether it fits the interpreter, `check_interpreters` says."""
    answer = ask(_NUMPY)
    if not answer.error:
        return Finding("numpy", "ok", f"numpy {answer.values['version']}")
    wanted = "'numpy>=1.23.2,<2'" if sys.version_info < (3, 12) else "'numpy>=1.26.1,<3'"
    return Finding("numpy", "problem", _not_imported(answer), _mend_import(answer, wanted))


def check_opencv() -> list[Finding]:
    """Whether OpenCV is there, can be imported, and what its build can open."""
    installed = [name for name in ask(_PACKAGES).values.get("names", []) if name in _OPENCV_PACKAGES]
    return opencv_findings(ask(_OPENCV), installed)


def opencv_findings(answer: Answer, installed: list[str]) -> list[Finding]:
    """What importing OpenCV tells.

    Args:
        answer: With ``version`` and ``build``, of `cv2.getBuildInformation`.
        installed: Which of the packages that bring ``cv2``.
    """
    wanted = "'opencv-python-headless>=4.8,<4.12'" if sys.version_info < (3, 12) else "'opencv-python-headless>=4.9,<5'"
    anew = f"{_PIP} uninstall -y {' '.join(_OPENCV_PACKAGES)} && {_PIP} install {wanted}"
    if answer.error:
        missing = re.search(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object", answer.error)
        if missing and missing[1].startswith("libGL"):
            needs = f"it needs {missing[1]}, of a desktop: the headless build doesn't"
            return [Finding("OpenCV", "problem", needs, anew)]
        if missing and missing[1].startswith(("libgthread", "libglib")):
            return [Finding("OpenCV", "problem", f"it needs {missing[1]}", "sudo apt install -y libglib2.0-0")]
        return [Finding("OpenCV", "problem", _not_imported(answer), _mend_import(answer, wanted))]
    findings = [Finding("OpenCV", "ok", f"OpenCV {answer.values['version']}")]
    if len(installed) > 1:
        both = f"{' and '.join(installed)} are both installed, and overwrite one another's files"
        findings[0] = Finding("OpenCV", "warning", both, anew)
    build = str(answer.values["build"])
    has = {name: bool(re.search(rf"^\s*{pattern}:\s*YES", build, re.MULTILINE)) for name, pattern in _MEDIA.items()}
    for name, without in (("V4L2", "USB cameras can't be opened"), ("FFmpeg", "videos and streams can't be opened")):
        if not has[name]:
            findings.append(Finding(f"OpenCV with {name}", "warning", f"this build has no {name}: {without}", anew))
    present = [name for name, there in has.items() if there]
    absent = [name for name, there in has.items() if not there]
    lacks = f"; without {', '.join(absent)}" if absent else ""
    return [*findings, Finding("OpenCV's media", "ok", f"with {', '.join(present) or 'nothing'}{lacks}")]


def check_interpreters() -> list[Finding]:
    """Which TensorFlow Lite interpreters can be used with this numpy, and whether INT8 runs on fast kernels."""
    numpy = str(ask(_NUMPY).values.get("version", ""))
    answers = {name: ask(_BACKEND, name) for name in ("tflite_runtime", "ai_edge_litert")}
    findings = interpreter_findings(answers, numpy)
    usable = [finding.subject for finding in findings if finding.level == "ok"]
    if "tflite_runtime" in usable:
        findings.append(kernel_finding(ask(_KERNELS)))
    elif usable:
        findings.append(Finding("INT8 kernels", "ok", "built in"))
    return findings


def interpreter_findings(answers: dict[str, Answer], numpy: str) -> list[Finding]:
    """What importing the interpreters tells.

    Args:
        answers: With ``version``, by the backends' names, in their order.
        numpy: Its version; empty where it can't be had.
    """
    findings = []
    for name, answer in answers.items():
        absent = answer.error.startswith("ModuleNotFoundError") and f"'{name}'" in answer.error
        if absent:
            continue
        package = "tflite-runtime==2.14.0" if name == "tflite_runtime" else "'ai-edge-litert>=2.0,<3'"
        if name == "tflite_runtime" and numpy.partition(".")[0].isdigit() and int(numpy.partition(".")[0]) >= 2:
            found = f"tflite-runtime needs numpy 1, this is numpy {numpy}"
            # OpenCV from 4.12 on wants numpy 2.
            mend = f"{_PIP} install 'numpy>=1.23.2,<2' 'opencv-python-headless>=4.8,<4.12'"
            findings.append(Finding(name, "problem", found, mend))
        elif answer.error and not numpy:
            findings.append(Finding(name, "problem", "it needs numpy, see there"))
        elif answer.error:
            mend = f"{_PIP} install --force-reinstall --no-deps {package}"
            findings.append(Finding(name, "problem", _not_imported(answer), mend))
        else:
            findings.append(Finding(name, "ok", f"{name} {answer.values['version']}"))
    if not findings:
        package = "tflite-runtime==2.14.0" if sys.version_info < (3, 12) else "'ai-edge-litert>=2.0,<3'"
        return [Finding("interpreter", "problem", "none is installed", f"{_PIP} install {package}")]
    if any(finding.level == "ok" for finding in findings):  # the other one is passed over, and that is all
        return [
            finding if finding.level == "ok" else Finding(finding.subject, "warning", finding.found, finding.mend)
            for finding in findings
        ]
    return findings


def kernel_finding(answer: Answer, switch: str | None = None) -> Finding:
    """Whether tflite-runtime runs INT8 on XNNPACK's kernels.

    Args:
        answer: With ``reason``, of `edge_runtime.inference.xnnpack.unavailable_reason`.
        switch: ``EDGE_RUNTIME_INT8_KERNELS``; None is as it is set.
    """
    switch = os.environ.get("EDGE_RUNTIME_INT8_KERNELS", "") if switch is None else switch
    if switch == "off":
        mend = "unset EDGE_RUNTIME_INT8_KERNELS"
        return Finding("INT8 kernels", "warning", "off: EDGE_RUNTIME_INT8_KERNELS says so", mend)
    reason = answer.error or str(answer.values.get("reason", ""))
    if not reason:
        return Finding("INT8 kernels", "ok", "on, XNNPACK's; the self-test passes")
    mend = f"{_PIP} install tflite-runtime==2.14.0" if "2.14.0 only" in reason else ""
    return Finding("INT8 kernels", "warning", f"off, so INT8 is slow: {reason}", mend)


def _is_free() -> bool:
    """PEP 668: a distribution marks the Python that is its own."""
    return sys.prefix != sys.base_prefix or not (Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").exists()


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        return ""


def _not_imported(answer: Answer) -> str:
    return "not installed" if _is_absent(answer) else f"installed, but it can't be imported: {answer.error}"


def _mend_import(answer: Answer, package: str) -> str:
    return f"{_PIP} install {'' if _is_absent(answer) else '--force-reinstall --no-deps '}{package}"


def _is_absent(answer: Answer) -> bool:
    return bool(re.fullmatch(r"ModuleNotFoundError: No module named '(numpy|cv2)'", answer.error))
