"""Checks of the software: Python, C library, NumPy, OpenCV and the interpreters."""

from __future__ import annotations

import os
import platform
import re
import shlex
import struct
import sys
import sysconfig
from pathlib import Path

from edge_runtime.device.doctor.child import ChildResult, run_python
from edge_runtime.device.doctor.finding import Finding

_PIP = f"{shlex.quote(sys.executable)} -m pip"
_IMAGER = "Install the 64-bit Raspberry Pi OS: https://www.raspberrypi.com/software/"
# Minimum glibc of the wheels: tflite-runtime 2.14.0 up to Python 3.11, LiteRT 2 from 3.12 on.
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
# Names of features in OpenCV's build information.
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
_KERNELS = """
import json
from edge_runtime.inference.xnnpack import unavailable_reason
print(json.dumps({"reason": unavailable_reason()}))
"""


def check_python(version: tuple[int, int] = sys.version_info[:2], *, environment: bool | None = None) -> Finding:
    """Check that the runtime supports this Python, and that pip can install packages for it.

    Args:
        version: Version of Python.
        environment: Whether pip may install packages; default: find out.
    """
    if not (3, 10) <= version <= (3, 13):
        found = f"Python {version[0]}.{version[1]} is not supported: use 3.10 to 3.13"
        mend = "sudo apt install -y python3.11 python3.11-venv && python3.11 -m venv ~/edge"
        return Finding("Python", "problem", found, mend)
    found = f"Python {platform.python_version()} at {sys.executable}"
    if _allows_pip() if environment is None else environment:
        return Finding("Python", "ok", found)
    # picamera2 is a system package.
    mend = "python3 -m venv --system-site-packages ~/edge && ~/edge/bin/pip install edge-image-sdk"
    return Finding("Python", "warning", f"{found}, managed by the system: pip refuses to install packages for it", mend)


def check_architecture(
    machine: str = platform.machine(),
    bits: int = struct.calcsize("P") * 8,
    version: tuple[int, int] = sys.version_info[:2],
) -> Finding:
    """Check that there are wheels for this processor and operating system.

    Args:
        machine: Processor as named by the kernel, which may be 64-bit below a 32-bit system.
        bits: 32 or 64, of the running Python.
        version: Version of Python.
    """
    if bits == 64 and machine in ("x86_64", "aarch64"):
        return Finding("architecture", "ok", f"{machine}, 64 bits")
    if bits == 32 and machine in ("aarch64", "armv7l", "armv8l"):
        found = f"32-bit Arm{' on a 64-bit kernel' if machine == 'aarch64' else ''}"
        if version >= (3, 12):
            return Finding("architecture", "problem", f"{found}: LiteRT has no wheels for it", _IMAGER)
        found += ": only tflite-runtime runs, without fast INT8 kernels, and OpenCV has no wheel on PyPI"
        return Finding("architecture", "warning", found, _IMAGER)
    if machine.startswith("armv6"):
        return Finding("architecture", "problem", "32-bit Arm v6 (Raspberry Pi 1 or Zero): there are no wheels for it")
    return Finding("architecture", "problem", f"{machine}, {bits} bits: there are no wheels for it")


def check_libc(
    library: str | None = None, machine: str = platform.machine(), version: tuple[int, int] = sys.version_info[:2]
) -> Finding:
    """Check that the C library is recent enough for the interpreter's wheel.

    Args:
        library: Name and version, such as ``"glibc 2.36"``; default: this system's.
        machine: Processor as named by the kernel.
        version: Version of Python, on which the choice of the interpreter depends.
    """
    library = _libc() if library is None else library
    match = re.fullmatch(r"glibc (\d+)\.(\d+).*", library)
    if match is None:
        return Finding(
            "C library",
            "problem",
            f"{library or 'not glibc'} (as on Alpine Linux): interpreters have wheels for glibc only; use Debian",
        )
    package = "tflite-runtime" if version < (3, 12) else "ai-edge-litert"
    needed = _GLIBC_NEEDED.get((package, machine), (2, 17))
    if (int(match[1]), int(match[2])) >= needed:
        return Finding("C library", "ok", library)
    return Finding(
        "C library",
        "problem",
        f"{library} is too old: {package} needs {needed[0]}.{needed[1]}",
        f"{_PIP} install 'edge-image-sdk[litert]'" if needed > (2, 27) and machine == "aarch64" else "",
    )


def check_numpy() -> Finding:
    """Check that NumPy can be imported; `check_interpreters` checks that its version fits."""
    result = run_python(_NUMPY)
    if not result.error:
        return Finding("numpy", "ok", f"numpy {result.values['version']}")
    wanted = "'numpy>=1.23.2,<2'" if sys.version_info < (3, 12) else "'numpy>=1.26.1,<3'"
    return Finding("numpy", "problem", _import_error(result), _import_fix(result, wanted))


def check_opencv() -> list[Finding]:
    """Check that OpenCV can be imported, and which media its build supports."""
    installed = [name for name in run_python(_PACKAGES).values.get("names", []) if name in _OPENCV_PACKAGES]
    return opencv_findings(run_python(_OPENCV), installed)


def opencv_findings(result: ChildResult, installed: list[str]) -> list[Finding]:
    """Return the findings about OpenCV.

    Args:
        result: Result of importing it, with ``version``, and ``build`` from `cv2.getBuildInformation`.
        installed: Names of the installed packages that contain ``cv2``.
    """
    wanted = "'opencv-python-headless>=4.8,<4.12'" if sys.version_info < (3, 12) else "'opencv-python-headless>=4.9,<5'"
    reinstall = f"{_PIP} uninstall -y {' '.join(_OPENCV_PACKAGES)} && {_PIP} install {wanted}"
    if result.error:
        missing = re.search(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object", result.error)
        if missing and missing[1].startswith("libGL"):
            needs = f"it needs the desktop library {missing[1]}: install the headless build"
            return [Finding("OpenCV", "problem", needs, reinstall)]
        if missing and missing[1].startswith(("libgthread", "libglib")):
            return [Finding("OpenCV", "problem", f"it needs {missing[1]}", "sudo apt install -y libglib2.0-0")]
        return [Finding("OpenCV", "problem", _import_error(result), _import_fix(result, wanted))]
    findings = [Finding("OpenCV", "ok", f"OpenCV {result.values['version']}")]
    if len(installed) > 1:
        both = f"{' and '.join(installed)} are installed and overwrite each other's files"
        findings[0] = Finding("OpenCV", "warning", both, reinstall)
    build = str(result.values["build"])
    has = {name: bool(re.search(rf"^\s*{pattern}:\s*YES", build, re.MULTILINE)) for name, pattern in _MEDIA.items()}
    for name, without in (("V4L2", "USB cameras"), ("FFmpeg", "videos and streams")):
        if not has[name]:
            findings.append(
                Finding(f"OpenCV with {name}", "warning", f"without {name} it cannot open {without}", reinstall)
            )
    present = [name for name, there in has.items() if there]
    absent = [name for name, there in has.items() if not there]
    lacks = f"; without {', '.join(absent)}" if absent else ""
    return [*findings, Finding("OpenCV's media", "ok", f"with {', '.join(present) or 'nothing'}{lacks}")]


def check_interpreters() -> list[Finding]:
    """Check which TensorFlow Lite interpreters work with this NumPy, and whether INT8 runs on fast kernels."""
    numpy = str(run_python(_NUMPY).values.get("version", ""))
    results = {name: run_python(_BACKEND, name) for name in ("tflite_runtime", "ai_edge_litert")}
    findings = interpreter_findings(results, numpy)
    usable = [finding.subject for finding in findings if finding.level == "ok"]
    if "tflite_runtime" in usable:
        findings.append(kernel_finding(run_python(_KERNELS)))
    elif usable:
        findings.append(Finding("INT8 kernels", "ok", "built in"))
    return findings


def interpreter_findings(results: dict[str, ChildResult], numpy: str) -> list[Finding]:
    """Return the findings about the interpreters.

    Args:
        results: Results of importing each backend, with ``version``, in order of preference.
        numpy: Version of NumPy; empty if it cannot be imported.
    """
    findings = []
    for name, result in results.items():
        absent = result.error.startswith("ModuleNotFoundError") and f"'{name}'" in result.error
        if absent:
            continue
        package = "tflite-runtime==2.14.0" if name == "tflite_runtime" else "'ai-edge-litert>=2.0,<3'"
        if name == "tflite_runtime" and numpy.partition(".")[0].isdigit() and int(numpy.partition(".")[0]) >= 2:
            found = f"tflite-runtime needs numpy 1, but numpy {numpy} is installed"
            # OpenCV from 4.12 on needs numpy 2.
            mend = f"{_PIP} install 'numpy>=1.23.2,<2' 'opencv-python-headless>=4.8,<4.12'"
            findings.append(Finding(name, "problem", found, mend))
        elif result.error and not numpy:
            findings.append(Finding(name, "problem", "it needs numpy; see above"))
        elif result.error:
            mend = f"{_PIP} install --force-reinstall --no-deps {package}"
            findings.append(Finding(name, "problem", _import_error(result), mend))
        else:
            findings.append(Finding(name, "ok", f"{name} {result.values['version']}"))
    if not findings:
        package = "tflite-runtime==2.14.0" if sys.version_info < (3, 12) else "'ai-edge-litert>=2.0,<3'"
        return [Finding("interpreter", "problem", "none is installed", f"{_PIP} install {package}")]
    if any(finding.level == "ok" for finding in findings):  # one is enough, so the other is not a problem
        return [
            finding if finding.level == "ok" else Finding(finding.subject, "warning", finding.found, finding.mend)
            for finding in findings
        ]
    return findings


def kernel_finding(result: ChildResult, switch: str | None = None) -> Finding:
    """Return the finding about XNNPACK's INT8 kernels in tflite-runtime.

    Args:
        result: Result with ``reason`` from `edge_runtime.inference.xnnpack.unavailable_reason`.
        switch: Value of ``EDGE_RUNTIME_INT8_KERNELS``; default: the environment's.
    """
    switch = os.environ.get("EDGE_RUNTIME_INT8_KERNELS", "") if switch is None else switch
    if switch == "off":
        mend = "unset EDGE_RUNTIME_INT8_KERNELS"
        return Finding("INT8 kernels", "warning", "switched off by EDGE_RUNTIME_INT8_KERNELS", mend)
    reason = result.error or str(result.values.get("reason", ""))
    if not reason:
        return Finding("INT8 kernels", "ok", "on (XNNPACK, self-test passed)")
    mend = f"{_PIP} install tflite-runtime==2.14.0" if "2.14.0 only" in reason else ""
    return Finding("INT8 kernels", "warning", f"off, so INT8 is slow: {reason}", mend)


def _allows_pip() -> bool:
    """Whether pip may install packages: distributions mark the Python that they manage (PEP 668)."""
    return sys.prefix != sys.base_prefix or not (Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").exists()


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        return ""


def _import_error(result: ChildResult) -> str:
    return "not installed" if _is_absent(result) else f"installed, but cannot be imported: {result.error}"


def _import_fix(result: ChildResult, package: str) -> str:
    return f"{_PIP} install {'' if _is_absent(result) else '--force-reinstall --no-deps '}{package}"


def _is_absent(result: ChildResult) -> bool:
    return bool(re.fullmatch(r"ModuleNotFoundError: No module named '(numpy|cv2)'", result.error))
