"""A whole emulated 64-bit Arm machine, with Debian's kernel and its drivers: qemu-system, without KVM."""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.pi.device import Cpu

logger = logging.getLogger(__name__)

PACKAGES = ("linux-image-arm64", "busybox-static", "kmod")
"""What the file system must hold for `boot`."""

# For the shared folders; other drivers are loaded in the machine.
_MODULES = ("virtio_pci", "9pnet_virtio", "9p")
_INIT = Path(__file__).with_name("guest") / "init"
_LIMIT_S = 400


def boot(root: Path, job: Path, command: str, *, cpu: Cpu) -> str:
    """Boots a machine, runs one command as root, and shuts down.

    Args:
        root: Its file system, which it sees read-only.
        job: A folder that it sees as ``/job`` and may write to.
        command: What to run, without quotes.
        cpu: Its processors, of which it has two.

    Returns:
        What it wrote on the console.
    """
    for mount_point in ("proc", "sys", "dev", "tmp", "job"):
        (root / mount_point).mkdir(exist_ok=True)
    (version,) = (folder.name for folder in (root / "lib" / "modules").iterdir())
    with TemporaryDirectory() as folder:
        initramfs = Path(folder) / "initramfs"
        initramfs.write_bytes(_initramfs(root, version, command, Path(folder) / "files"))
        # fmt: off
        emulator = [
            "qemu-system-aarch64", "-M", "virt", "-cpu", cpu.name, "-smp", "2", "-m", "1500",
            "-accel", "tcg,thread=multi", "-nographic", "-no-reboot", "-net", "none",
            "-kernel", f"{root}/boot/vmlinuz-{version}", "-initrd", f"{initramfs}",
            "-append", "console=ttyAMA0 panic=-1 quiet",
            "-virtfs", f"local,path={root},mount_tag=root,security_model=none,readonly=on",
            "-virtfs", f"local,path={job},mount_tag=job,security_model=none",
        ]
        # fmt: on
        logger.info("booting Linux %s on %s", version, cpu.name)
        done = subprocess.run(
            emulator, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_LIMIT_S
        )
    console = done.stdout + done.stderr
    assert done.returncode == 0, console
    return console


def _initramfs(root: Path, version: str, command: str, files: Path) -> bytes:
    """A cpio archive: busybox, the drivers of the shared folders, and the first process."""
    modules = root / "lib" / "modules" / version
    if not (modules / "modules.dep").exists():
        subprocess.run(["/sbin/depmod", "--basedir", root, version], check=True)
    for folder in ("bin", "dev", "modules", "proc", "root"):
        (files / folder).mkdir(parents=True)
    shutil.copy(root / "bin" / "busybox", files / "bin")
    shutil.copy(_INIT, files / "init")
    needed = [path for name in _MODULES for path in _with_dependencies(modules, name)]
    for path in needed:
        shutil.copy(modules / path, files / "modules")
    (files / "modules" / "order").write_text("\n".join(dict.fromkeys(Path(path).name for path in needed)))
    (files / "command").write_text(command)
    names = "\0".join(str(path.relative_to(files)) for path in sorted(files.rglob("*")))
    packed = subprocess.run(
        ["cpio", "--create", "--null", "--format=newc", "--quiet"],
        cwd=files,
        input=names.encode(),
        capture_output=True,
        check=True,
    )
    return packed.stdout


def _with_dependencies(modules: Path, name: str) -> list[str]:
    """A kernel module's file with those that it needs, in the order to load them; none where it is built in."""
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        if Path(path).name == f"{name}.ko":
            return [*reversed(needs.split()), path]
    return []
