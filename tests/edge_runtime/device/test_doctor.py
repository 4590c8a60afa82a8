from __future__ import annotations

import grp  # noqa: F401 - imported now, as root: the user that a test becomes may be unable to
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime.cli.main import main
from edge_runtime.device.doctor import Finding, examine
from edge_runtime.device.doctor.board import (
    check_clock,
    check_disk,
    check_governor,
    check_memory,
    check_power,
    check_temperature,
    clock_finding,
    disk_finding,
)
from edge_runtime.device.doctor.cameras import check_cameras, check_picamera2
from edge_runtime.device.doctor.child import ChildResult, run_python
from edge_runtime.device.doctor.model import check_model
from edge_runtime.device.doctor.software import (
    check_architecture,
    check_interpreters,
    check_libc,
    check_numpy,
    check_opencv,
    check_python,
    interpreter_findings,
    kernel_finding,
    opencv_findings,
)
from edge_runtime.device.machine import Machine, describe_machine
from edge_runtime.inference.interpreter import choose_backend

ROOT = Path(__file__).resolve().parents[3]
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
ABSENT = ChildResult({}, "ModuleNotFoundError: No module named 'ai_edge_litert'")
LIBGL = "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def add_camera(root: Path, number: int, name: str, *, index: int = 0, driver: str = "uvcvideo") -> Path:
    """Add the kernel's and udev's files for a video device; its device file is an ordinary file."""
    entry = root / f"sys/class/video4linux/video{number}"
    write(entry / "name", f"{name}\n")
    write(entry / "index", f"{index}\n")
    (root / "sys/bus/drivers" / driver).mkdir(parents=True, exist_ok=True)
    (entry / "device").mkdir()
    (entry / "device/driver").symlink_to(root / "sys/bus/drivers" / driver)
    return write(root / f"dev/video{number}")


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


class TestChild:
    def test_takes_the_last_line(self) -> None:
        assert run_python("print('noise'); import sys; print('{\"a\": ' + sys.argv[1] + '}')", "7") == ChildResult(
            {"a": 7}
        )

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
            ("import os; os.abort()", "it crashes (SIGABRT)"),
            ("raise SystemExit(3)", "exit status 3"),
            ("print('nothing of use')", "exit status 0"),
        ],
    )
    def test_a_child_that_fails_says_why(self, code: str, words: str) -> None:
        answer = run_python(code)
        assert answer.values == {}
        assert words in answer.error

    def test_an_interpreter_that_is_none(self, tmp_path: Path) -> None:
        assert "could not be run" in run_python("", python=str(tmp_path / "python")).error


class TestSoftware:
    def test_here_everything_is_there(self) -> None:
        found = [check_numpy(), *check_opencv(), *check_interpreters()]
        assert [finding for finding in found if finding.level == "problem"] == []
        texts = [finding.found for finding in found]
        assert f"numpy {np.__version__}" in texts
        assert f"OpenCV {cv2.__version__}" in texts
        assert "with V4L2, FFmpeg; without GStreamer" in texts
        assert choose_backend()[0] in [finding.subject for finding in found]
        (kernels,) = (finding.found for finding in found if finding.subject == "INT8 kernels")
        assert "Error" not in kernels

    @pytest.mark.parametrize(
        ("version", "environment", "level"),
        [
            ((3, 9), True, "problem"),
            ((3, 10), True, "ok"),
            ((3, 13), True, "ok"),
            ((3, 14), True, "problem"),
            ((3, 11), False, "warning"),
        ],
    )
    def test_python(self, version: tuple[int, int], environment: bool, level: str) -> None:
        finding = check_python(version, environment=environment)
        assert finding.level == level
        assert ("-m venv" in finding.mend) == (level != "ok")

    @pytest.mark.parametrize(
        ("machine", "bits", "version", "level", "words"),
        [
            ("x86_64", 64, (3, 11), "ok", "64 bits"),
            ("aarch64", 64, (3, 13), "ok", "aarch64"),
            ("aarch64", 32, (3, 11), "warning", "32-bit Arm on a 64-bit kernel"),
            ("armv7l", 32, (3, 11), "warning", "without fast INT8 kernels"),
            ("armv7l", 32, (3, 13), "problem", "LiteRT has no wheels"),
            ("armv6l", 32, (3, 11), "problem", "Raspberry Pi 1 or Zero"),
            ("riscv64", 64, (3, 11), "problem", "no wheels"),
        ],
    )
    def test_architecture(self, machine: str, bits: int, version: tuple[int, int], level: str, words: str) -> None:
        finding = check_architecture(machine, bits, version)
        assert finding.level == level
        assert words in finding.found

    @pytest.mark.parametrize(
        ("library", "machine", "version", "level", "words"),
        [
            ("glibc 2.36", "aarch64", (3, 11), "ok", "glibc 2.36"),
            ("glibc 2.31", "aarch64", (3, 11), "problem", "tflite-runtime needs 2.34"),
            ("glibc 2.31", "aarch64", (3, 13), "ok", "glibc 2.31"),
            ("glibc 2.31", "x86_64", (3, 11), "ok", "glibc 2.31"),
            ("glibc 2.26", "x86_64", (3, 12), "problem", "ai-edge-litert needs 2.27"),
            ("", "aarch64", (3, 11), "problem", "Alpine"),
        ],
    )
    def test_libc(self, library: str, machine: str, version: tuple[int, int], level: str, words: str) -> None:
        finding = check_libc(library, machine, version)
        assert finding.level == level
        assert words in finding.found

    def test_this_libc_is_asked_for(self) -> None:
        assert check_libc().found.startswith("glibc ")

    @pytest.mark.parametrize(
        ("error", "found", "mend"),
        [
            ("ModuleNotFoundError: No module named 'cv2'", "not installed", "pip install 'opencv-python-headless"),
            (LIBGL, "desktop library libGL.so.1", "pip uninstall -y opencv-python opencv-contrib-python"),
            (LIBGL.replace("libGL.so.1", "libgthread-2.0.so.0"), "libgthread", "sudo apt install -y libglib2.0-0"),
            ("ImportError: numpy.core.multiarray failed to import", "multiarray", "--force-reinstall"),
        ],
    )
    def test_an_opencv_that_can_not_be_imported(self, error: str, found: str, mend: str) -> None:
        finding = only(opencv_findings(ChildResult({}, error), []))
        assert finding.level == "problem"
        assert found in finding.found
        assert mend in finding.mend

    def test_what_an_opencv_was_built_without(self) -> None:
        build = "  Video I/O:\n    FFMPEG:    NO\n    GStreamer:   YES (1.22.0)\n    v4l/v4l2:   NO\n"
        findings = opencv_findings(ChildResult({"version": "4.11.0", "build": build}), ["opencv-python"])
        assert [(finding.subject, finding.level) for finding in findings] == [
            ("OpenCV", "ok"),
            ("OpenCV with V4L2", "warning"),
            ("OpenCV with FFmpeg", "warning"),
            ("OpenCV's media", "ok"),
        ]
        assert findings[-1].found == "with GStreamer; without V4L2, FFmpeg"

    def test_two_opencvs(self) -> None:
        answer = ChildResult({"version": "4.11.0", "build": cv2.getBuildInformation()})
        finding = opencv_findings(answer, ["opencv-python", "opencv-python-headless"])[0]
        assert finding.level == "warning"
        assert "opencv-python and opencv-python-headless" in finding.found

    def test_numpy_2_under_tflite_runtime(self) -> None:
        answers = {"tflite_runtime": ChildResult({"version": "2.14.0"}), "ai_edge_litert": ABSENT}
        assert only(interpreter_findings(answers, "1.26.4")).level == "ok"
        finding = only(interpreter_findings(answers, "2.1.0"))
        assert finding.level == "problem"
        assert "'numpy>=1.23.2,<2'" in finding.mend
        answers["ai_edge_litert"] = ChildResult({"version": "2.3.0"})
        assert [found.level for found in interpreter_findings(answers, "2.1.0")] == ["warning", "ok"]

    def test_interpreters_that_are_not_there_or_broken(self) -> None:
        absent = {"tflite_runtime": ChildResult({}, ABSENT.error.replace("ai_edge_litert", "tflite_runtime"))}
        assert only(interpreter_findings(absent, "1.26.4")).found == "none is installed"
        broken = {"tflite_runtime": ChildResult({}, "ImportError: libfoo.so: cannot open shared object file")}
        assert "--force-reinstall" in only(interpreter_findings(broken, "1.26.4")).mend
        without = {"tflite_runtime": ChildResult({}, "ModuleNotFoundError: No module named 'numpy'")}
        assert only(interpreter_findings(without, "")).found == "it needs numpy; see above"

    @pytest.mark.parametrize(
        ("answer", "switch", "level", "words"),
        [
            (ChildResult({"reason": ""}), "", "ok", "on"),
            (ChildResult({"reason": ""}), "off", "warning", "EDGE_RUNTIME_INT8_KERNELS"),
            (ChildResult({"reason": "they need tflite-runtime 2.14.0"}), "", "warning", "INT8 is slow"),
            (ChildResult({}, "it crashes (SIGILL)"), "", "warning", "SIGILL"),
        ],
    )
    def test_int8_kernels(self, answer: ChildResult, switch: str, level: str, words: str) -> None:
        finding = kernel_finding(answer, switch)
        assert finding.level == level
        assert words in finding.found


class TestCameras:
    def test_none(self, tmp_path: Path) -> None:
        assert only(check_cameras(tmp_path)).level == "warning"

    def test_each_by_its_names(self, tmp_path: Path) -> None:
        add_camera(tmp_path, 0, "HD Webcam C270")
        add_camera(tmp_path, 1, "HD Webcam C270", index=1)  # its metadata
        add_camera(tmp_path, 2, "unicam-image", driver="unicam")
        add_camera(tmp_path, 10, "bcm2835-codec-decode", driver="bcm2835-codec")
        add_camera(tmp_path, 20, "pispbe-input", driver="pispbe")
        lasting = tmp_path / "dev/v4l/by-id/usb-046d_C270-video-index0"
        lasting.parent.mkdir(parents=True)
        lasting.symlink_to("../../video0")
        usb, module = check_cameras(tmp_path)
        assert usb == Finding(
            "camera 0", "ok", "/dev/video0: HD Webcam C270 (uvcvideo), also /dev/v4l/by-id/usb-046d_C270-video-index0"
        )
        assert module.found == "/dev/video2: unicam-image (unicam), a camera module: use it with --source csi"

    def test_one_that_another_program_holds(self, tmp_path: Path) -> None:
        add_camera(tmp_path, 0, "Webcam")
        write(tmp_path / "proc/4711/comm", "motion\n")
        (tmp_path / "proc/4711/fd").mkdir()
        (tmp_path / "proc/4711/fd/5").symlink_to("/dev/video0")
        (tmp_path / "proc/12").mkdir()  # has just ended
        finding = only(check_cameras(tmp_path))
        assert (finding.level, finding.mend) == ("warning", "sudo fuser -v /dev/video0")
        assert "in use by motion (process 4711)" in finding.found

    def test_one_that_a_container_was_not_given(self, tmp_path: Path) -> None:
        add_camera(tmp_path, 0, "Webcam").unlink()
        finding = only(check_cameras(tmp_path))
        assert finding.level == "problem"
        assert "--device /dev/video0" in finding.found

    @pytest.fixture
    def open_to_all(self) -> Iterator[Path]:
        """A folder that other users can read, unlike pytest's."""
        folder = Path(tempfile.mkdtemp())
        folder.chmod(0o755)
        yield folder
        shutil.rmtree(folder)

    def test_one_that_this_user_may_not_use(self, open_to_all: Path) -> None:
        device = add_camera(open_to_all, 0, "Webcam")
        device.chmod(0)
        if os.geteuid() == 0:  # root may use everything, so become another user for a moment
            other = pwd.getpwnam("daemon")
            os.setresuid(other.pw_uid, other.pw_uid, 0)
            try:
                finding = only(check_cameras(open_to_all))
            finally:
                os.setresuid(0, 0, 0)
            assert finding.mend == f"sudo usermod -aG {device.group()} daemon"
        else:
            finding = only(check_cameras(open_to_all))
        assert finding.level == "problem"
        assert "permission denied" in finding.found

    def test_picamera2(self, tmp_path: Path) -> None:
        assert check_picamera2(tmp_path) == []
        write(tmp_path / "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
        environment = tmp_path / "a venv"
        venv.create(environment, with_pip=False)
        python = str(environment / "bin/python")
        finding = only(check_picamera2(tmp_path, python=python))
        assert (finding.level, finding.mend) == ("warning", "sudo apt install -y python3-picamera2")
        (tmp_path / "usr/lib/python3/dist-packages/picamera2").mkdir(parents=True)
        finding = only(check_picamera2(tmp_path, python=python))
        assert "cannot use system packages" in finding.found
        subprocess.run(finding.mend, shell=True, check=True)  # the suggested command works
        assert "include-system-site-packages = true" in (environment / "pyvenv.cfg").read_text()
        finding = only(check_picamera2(tmp_path, python=python))
        assert "cannot be imported" in finding.found
        site = next(environment.glob("lib/python*/site-packages"))
        write(site / "picamera2.py")
        assert only(check_picamera2(tmp_path, python=python)).level == "ok"


class TestBoard:
    @pytest.fixture
    def machine(self, tmp_path: Path) -> Machine:
        return replace(describe_machine(tmp_path), throttled=None)

    def test_tells_nothing_that_the_machine_does_not(self, machine: Machine, tmp_path: Path) -> None:
        found = [check_power(machine, tmp_path), check_temperature(machine), check_governor(machine)]
        assert [*found, check_memory(tmp_path)] == [[], [], [], []]

    @pytest.mark.parametrize(
        ("throttled", "level", "words"),
        [
            ((), "ok", "enough voltage"),
            (("under-voltage", "throttled"), "problem", "power supply"),
            (("soft temperature limit",), "warning", "is throttled"),
        ],
    )
    def test_power(self, machine: Machine, tmp_path: Path, throttled: tuple[str, ...], level: str, words: str) -> None:
        finding = only(check_power(replace(machine, throttled=throttled), tmp_path))
        assert finding.level == level
        assert words in finding.found

    @pytest.mark.parametrize(("alarm", "level"), [("0", "ok"), ("1", "problem")])
    def test_power_by_the_kernels_sensor(self, machine: Machine, tmp_path: Path, alarm: str, level: str) -> None:
        write(tmp_path / "sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
        write(tmp_path / "sys/class/hwmon/hwmon1/name", "rpi_volt\n")
        write(tmp_path / "sys/class/hwmon/hwmon1/in0_lcrit_alarm", f"{alarm}\n")
        assert only(check_power(machine, tmp_path)).level == level

    @pytest.mark.parametrize(("celsius", "level"), [("52000", "ok"), ("79000", "warning"), ("86000", "problem")])
    def test_temperature(self, tmp_path: Path, celsius: str, level: str) -> None:
        write(tmp_path / "sys/class/thermal/thermal_zone0/temp", celsius)
        assert only(check_temperature(describe_machine(tmp_path))).level == level

    @pytest.mark.parametrize(("governor", "level"), [("ondemand", "ok"), ("powersave", "warning")])
    def test_governor(self, tmp_path: Path, governor: str, level: str) -> None:
        write(tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor)
        assert only(check_governor(describe_machine(tmp_path))).level == level

    @pytest.mark.parametrize(("free_mib", "level"), [(900, "ok"), (150, "warning"), (60, "problem")])
    def test_memory(self, tmp_path: Path, free_mib: int, level: str) -> None:
        write(tmp_path / "proc/meminfo", f"MemTotal: 1048576 kB\nMemFree: 9 kB\nMemAvailable: {free_mib * 1024} kB\n")
        finding = only(check_memory(tmp_path))
        assert finding.level == level
        assert f"{free_mib} of 1024 MiB" in finding.found

    @pytest.mark.parametrize(("free_mib", "level"), [(9000, "ok"), (400, "warning"), (10, "problem")])
    def test_disk(self, free_mib: int, level: str) -> None:
        assert disk_finding(free_mib << 20, 16 << 30).level == level

    def test_this_disk(self, tmp_path: Path) -> None:
        assert check_disk(tmp_path).found.endswith("MiB free")

    def test_clock(self) -> None:
        assert clock_finding(5000, 1.7e9) == Finding("clock", "ok", "2023-11-14 22:13 UTC, synchronized")
        assert clock_finding(16_000_000, 0).mend == "sudo timedatectl set-ntp true"
        assert all(finding.subject == "clock" for finding in check_clock())


class TestModel:
    def test_one_that_is_well(self, tiny_int8: Path) -> None:
        finding = check_model(tiny_int8)
        assert finding.level == "ok"
        assert f"{tiny_int8.name} is verified (3 classes, {choose_backend()[0]}" in finding.found

    def test_one_that_is_cut_off(self, tiny_int8: Path, tmp_path: Path) -> None:
        cut = tmp_path / "cut.tflite"
        cut.write_bytes(tiny_int8.read_bytes()[:3000])
        finding = check_model(cut)
        assert finding.level == "problem"
        assert "cut.tflite" in finding.found

    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        finding = check_model(tmp_path / "none.tflite")
        assert finding.level == "problem"
        assert "not found" in finding.found


class TestCommand:
    def test_says_each_finding_and_counts(self, tiny_int8: Path, capsys: pytest.CaptureFixture[str]) -> None:
        status = main(["doctor", str(tiny_int8)])
        lines = capsys.readouterr().out.splitlines()
        levels = [line.split()[0] for line in lines[:-1] if not line.startswith(" ")]
        assert set(levels) <= {"ok", "warning", "problem"}
        assert status == int("problem" in levels)
        problems, warnings = levels.count("problem"), levels.count("warning")
        ending = f"{problems} problem{'s' * (problems != 1)}, {warnings} warning{'s' * (warnings != 1)}"
        assert lines[-1] == ending
        assert any("is verified" in line for line in lines)

    def test_as_json(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", str(tmp_path / "none.tflite"), "--json"]) == 1
        facts = json.loads(capsys.readouterr().out)
        assert facts["problems"] >= 1
        (model,) = (found for found in facts["findings"] if found["subject"] == "model")
        assert model["level"] == "problem"
        assert model["mend"].startswith("ls -l ")

    def test_reads_another_root(self, tmp_path: Path) -> None:
        add_camera(tmp_path, 3, "Webcam of a test")
        assert any("Webcam of a test" in finding.found for finding in examine(root=tmp_path))


@pytest.mark.slow
class TestBrokenEnvironments:
    """The doctor must run where nothing else does."""

    def examined(self, environment: Path, *arguments: object) -> tuple[int, dict[str, dict[str, Any]]]:
        command = [environment / "bin/python", "-m", "edge_runtime", "doctor", "--json", *arguments]
        done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, timeout=200, env=CLEAN)
        assert done.stderr == ""
        return done.returncode, {found["subject"]: found for found in json.loads(done.stdout)["findings"]}

    def test_with_nothing_installed(self, tmp_path: Path, tiny_int8: Path) -> None:
        environment = tmp_path / "environment"
        venv.create(environment, with_pip=False)
        status, findings = self.examined(environment, tiny_int8)
        assert status == 1
        python = environment / "bin/python"
        for subject, words in (("numpy", "numpy>="), ("OpenCV", "opencv-python-headless"), ("interpreter", "==2.14.0")):
            assert findings[subject]["level"] == "problem"
            assert "install" in findings[subject]["found"]
            if subject != "interpreter" or sys.version_info < (3, 12):
                assert words in findings[subject]["mend"]
            assert findings[subject]["mend"].startswith(f"{python} -m pip install ")
        assert findings["model"]["level"] == "problem"
        assert findings["Python"]["level"] == "ok"

    def test_with_packages_that_fail_when_they_are_imported(self, tmp_path: Path) -> None:
        environment = tmp_path / "environment"
        venv.create(environment, with_pip=False)
        site = next(environment.glob("lib/python*/site-packages"))
        write(site / "numpy.py", "__version__ = '2.1.0'\n")
        write(site / "cv2.py", f"raise ImportError({LIBGL.removeprefix('ImportError: ')!r})\n")
        write(site / "tflite_runtime/__init__.py", "__version__ = '2.14.0'\n")
        write(site / "tflite_runtime/interpreter.py")
        write(site / "ai_edge_litert/__init__.py", "import os\nos.abort()\n")
        status, findings = self.examined(environment)
        assert status == 1
        assert findings["numpy"]["level"] == "ok"
        assert "headless build" in findings["OpenCV"]["found"]
        assert "numpy 2.1.0" in findings["tflite_runtime"]["found"]
        assert "SIGABRT" in findings["ai_edge_litert"]["found"]
