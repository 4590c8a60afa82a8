"""A Raspberry Pi's processor and system, without one: this project's wheel in an arm64 Debian, run by qemu-user."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.pi.debian import Release, unpack
from tests.support.wheel import CLEAN

logger = logging.getLogger(__name__)

_CPUINFO = """processor\t: {number}
BogoMIPS\t: 108.00
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x{variant}
CPU part\t: {part}
CPU revision\t: {revision}

"""


@dataclass(frozen=True)
class Cpu:
    """A processor, by QEMU's name, with what the kernel says of it in ``/proc/cpuinfo``."""

    name: str
    features: str
    part: str
    variant: int
    revision: int

    @property
    def cpuinfo(self) -> str:
        """For four cores."""
        facts = {"features": self.features, "part": self.part, "variant": self.variant, "revision": self.revision}
        return "".join(_CPUINFO.format(number=number, **facts) for number in range(4))


PI_3 = Cpu("cortex-a53", "fp asimd evtstrm crc32 cpuid", "0xd03", 0, 4)  # a Zero 2 W too
PI_4 = Cpu("cortex-a72", "fp asimd evtstrm crc32 cpuid", "0xd08", 0, 3)
PI_5 = Cpu(
    "cortex-a76",
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    "0xd0b",
    4,
    1,
)
CPUS = (PI_3, PI_4, PI_5)


@dataclass(frozen=True)
class Device:
    """An arm64 Debian with the wheel installed.

    Attributes:
        release: Which Debian.
        root: Its file system, whose ``opt`` folder holds what `PYTHON_PATH` names.
    """

    release: Release
    root: Path

    # The wheel as it is built now, before what pip installed when its dependencies were last changed.
    PYTHON_PATH = ("opt/wheel", "opt/packages")

    def python(
        self, cpu: Cpu, *arguments: str | os.PathLike[str], plugin: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs its Python, under a plugin of QEMU if one is given.

        Child processes can't be started there: the kernel is this machine's.
        """
        return self._python(cpu, *arguments, paths=[self.root / path for path in self.PYTHON_PATH], plugin=plugin)

    def install(self, wheel: Path, cache: Path) -> None:
        """Installs a wheel with its dependencies, by a pip that runs on the emulated processor itself.

        pip takes a while there, so what it installed is kept as long as the wheel asks for the same.
        """
        packages, newest = (self.root / path for path in reversed(self.PYTHON_PATH))
        shutil.rmtree(newest, ignore_errors=True)
        newest.mkdir(parents=True)
        with zipfile.ZipFile(wheel) as archive:  # of Python alone, so unpacking it is installing it
            archive.extractall(newest)
            (metadata,) = (name for name in archive.namelist() if name.endswith("dist-info/METADATA"))
            key = hashlib.sha256(_requirements(archive.read(metadata))).hexdigest()
        stamp = packages / "requirements.sha256"
        if stamp.exists() and stamp.read_text() == key:
            return
        logger.info("%s: installing the wheel with Python %s for aarch64", self.release.name, self.release.python)
        shutil.rmtree(packages, ignore_errors=True)
        options = (
            "--quiet",
            "--only-binary=:all:",
            "--no-compile",
            "--no-warn-conflicts",
            "--cache-dir",
            cache / "pip",
        )
        done = self._python(
            PI_4, "-m", "pip", "install", *options, "--target", packages, wheel, paths=[_pip_alone(cache)]
        )
        assert done.returncode == 0, done.stderr
        stamp.write_text(key)

    def _python(
        self, cpu: Cpu, *arguments: str | os.PathLike[str], paths: list[Path], plugin: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        prefix = _prefix(self.root, cpu)
        # A static program can't load a plugin.
        qemu = ("qemu-aarch64-static",) if plugin is None else ("qemu-aarch64", "-plugin", plugin)
        emulator = (*qemu, "-L", prefix, "-cpu", cpu.name)
        # Hashes are not random, so that what is counted is the same each time.
        environment = {**CLEAN, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(map(str, paths))}
        command = (*emulator, prefix / "usr/bin" / f"python{self.release.python}", *arguments)
        # Anywhere but here, where Python would find the sources before the wheel.
        return subprocess.run(
            command, capture_output=True, text=True, timeout=500, env=environment, cwd=self.root / "opt"
        )


def make_device(release: Release, wheel: Path, cache: Path) -> Device:
    """Makes what isn't there yet: a few seconds, or a minute with nothing in the cache."""
    device = Device(release, unpack(release, cache))
    for cpu in CPUS:
        _add_cpuinfo(device.root, _prefix(device.root, cpu), cpu)
    device.install(wheel, cache)
    return device


def _prefix(root: Path, cpu: Cpu) -> Path:
    return root.with_name(f"{root.name}-{cpu.name}")


def _add_cpuinfo(root: Path, prefix: Path, cpu: Cpu) -> None:
    """Makes ``prefix`` what programs see beside this machine's files: those of ``root``, and a ``/proc/cpuinfo``.

    By it, interpreters choose their kernels. LiteRT crashes on this machine's own, and without any it leaves XNNPACK
    out, silently.
    """
    shutil.rmtree(prefix, ignore_errors=True)
    (prefix / "proc").mkdir(parents=True)
    (prefix / "proc" / "cpuinfo").write_text(cpu.cpuinfo)
    for name in ("etc", "lib", "usr"):  # what else is there, /tmp for one, is this machine's
        (prefix / name).symlink_to(root / name)


def _requirements(metadata: bytes) -> bytes:
    """What the base install asks for: the lines that belong to no extra."""
    return b"\n".join(line for line in metadata.splitlines() if line.startswith(b"Requires-") and b"extra" not in line)


def _pip_alone(cache: Path) -> Path:
    """A folder with this environment's pip and nothing else: what lies beside it is for another processor."""
    import pip

    folder = cache / f"pip-{pip.__version__}"
    if not folder.is_dir():
        shutil.copytree(Path(pip.__file__).parent, folder / "pip", dirs_exist_ok=True)
    return folder
