"""Our units run in a separate systemd, which is process 1 of its own namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edge_runtime.device.systemd_unit import ServiceUnit
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
SYSTEMD = Path("/lib/systemd/systemd")
PYTHON = shutil.which("python3", path="/usr/bin")  # an interpreter that every user can run
SEPARATE = ["unshare", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--fork"]
NAME = "edge-runtime-test"
CONTROL_GROUPS = Path("/sys/fs/cgroup")


def can_separate() -> bool:
    """Whether namespaces, and control groups in them, can be created here."""
    if not all(os.access(place, os.W_OK) for place in [CONTROL_GROUPS, *CONTROL_GROUPS.glob("systemd")]):
        return False
    done = subprocess.run([*SEPARATE, "true"], capture_output=True) if shutil.which("unshare") else None
    return done is not None and done.returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        # Next to the machine's own systemd, ours would share its control groups.
        os.geteuid() != 0 or not SYSTEMD.exists() or Path("/run/systemd/system").exists() or not can_separate(),
        reason="needs root and systemd's programs, in a container that isn't run by systemd",
    ),
    pytest.mark.skipif(PYTHON is None, reason="needs a Python in /usr/bin"),
]

BOOT = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t tmpfs tmpfs /run
# systemd would make the folder of version 1 control groups read-only outside of the namespace too: use another one.
test -e /sys/fs/cgroup/cgroup.procs || mount -t tmpfs tmpfs /sys/fs/cgroup
exec env -i container=docker PATH=/usr/sbin:/usr/bin SYSTEMD_UNIT_PATH="$0": {systemd} --system --unit=test.target
"""

# Hangs after a while when it is started for the first time.
PROGRAM = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from edge_runtime.device.systemd_notify import Watchdog

def writable(path):
    try:
        open(path, "a").close()
        return "yes"
    except OSError:
        return "no"

again = os.path.exists("started")
places = ("../beside", "/tmp/edge-runtime-test", os.environ["XDG_CACHE_HOME"] + "/x")
with open("started", "a") as file:
    print(os.getuid(), *map(writable, places), file=file)
watchdog = Watchdog()
watchdog.ready("second" if again else "first")
for turn in range(20 if not again else 10**9):
    watchdog.beat()
    time.sleep(0.05)
time.sleep(10**6)
"""


class Systemd:
    """The separate systemd, seen from outside."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def control(self, *arguments: str) -> str:
        command = ["nsenter", "--target", str(self.pid), "--pid", "--mount", "--cgroup", "systemctl", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()

    def value(self, key: str) -> str:
        return self.control("show", "--value", "--property", key, NAME)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Folder of the service, which its user can access, unlike pytest's folders."""
    folder = Path(tempfile.mkdtemp(dir="/var/lib"))
    folder.chmod(0o777)  # so only the unit keeps the service from writing outside its own folder
    (folder / "own").mkdir()
    shutil.chown(folder / "own", "daemon")
    (folder / "program.py").write_text(PROGRAM)
    shutil.copytree(ROOT / "edge_runtime", folder / "edge_runtime", ignore=shutil.ignore_patterns("__pycache__"))
    yield folder
    shutil.rmtree(folder)
    shutil.rmtree(f"/var/cache/{NAME}", ignore_errors=True)


@pytest.fixture
def systemd(folder: Path) -> Iterator[Systemd]:
    units = folder / "units"
    units.mkdir()
    command = (str(PYTHON), str(folder / "program.py"), str(folder))
    text = ServiceUnit(NAME, command, folder / "own", "daemon", groups=("video",)).text()
    # Shorten the test to seconds, and start no other units.
    text = text.replace("WatchdogSec=30", "WatchdogSec=3").replace("RestartSec=5", "RestartSec=1")
    alone = "[Unit]\nDefaultDependencies=no\n"
    (units / f"{NAME}.service").write_text(text.replace("[Unit]\n", alone))
    (units / "test.target").write_text(f"{alone}Wants={NAME}.service\n")
    boot = BOOT.format(systemd=SYSTEMD)
    groups = control_groups()
    started = subprocess.Popen(
        [*SEPARATE, "sh", "-c", boot, str(units)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    child = Path(f"/proc/{started.pid}/task/{started.pid}/children")
    wait_until(lambda: child.read_text().strip(), seconds=120)
    yield Systemd(int(child.read_text()))
    started.kill()
    started.wait(timeout=60)
    wait_until(lambda: removed(control_groups() - groups), seconds=120)


def control_groups() -> set[Path]:
    """Return the control groups made by a systemd; they outlive it."""
    made = {"init.scope", "system.slice"}
    return {group for group in CONTROL_GROUPS.glob("**/") if made & set(group.parts)}


def removed(groups: set[Path]) -> bool:
    for group in sorted(groups, reverse=True):
        with suppress(OSError):  # a process in it is still ending
            group.rmdir()
    return not any(group.exists() for group in groups)


def test_runs_as_the_user_in_a_sandbox_and_is_restarted_when_it_hangs(systemd: Systemd, folder: Path) -> None:
    wait_until(lambda: systemd.value("StatusText") == "second", seconds=120)
    assert systemd.value("ActiveState") == "active"
    assert int(systemd.value("NRestarts")) >= 1
    starts = (folder / "own/started").read_text().splitlines()
    assert len(starts) >= 2
    daemon = (folder / "own").stat().st_uid
    assert set(starts) == {f"{daemon} no yes yes"}
    assert not Path("/tmp/edge-runtime-test").exists()  # its temporary folder is its own
    systemd.control("stop", NAME)
    assert systemd.value("ActiveState") == "inactive"
