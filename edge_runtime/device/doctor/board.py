"""The board: its power, its heat, its clocks, and whether there is room."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.device.doctor.finding import Finding

if TYPE_CHECKING:
    from edge_runtime.device.machine import Machine

_MIB = 1024 * 1024
_UNSYNCHRONIZED_US = 16_000_000  # what the kernel says its error is, at most
_POWER = "use the board's own power supply, a short cable and fewer USB devices"


def check_power(machine: Machine, root: str | os.PathLike[str] = "/") -> list[Finding]:
    """Whether a Raspberry Pi gets the voltage that it needs, and what holds its clock down.

    Args:
        machine: What `edge_runtime.device.machine.describe_machine` says.
        root: Where ``sys`` is.
    """
    alarms = [
        (sensor.parent / "in0_lcrit_alarm")
        for sensor in (Path(root) / "sys/class/hwmon").glob("hwmon*/name")
        if _read(sensor) == "rpi_volt"
    ]
    held = machine.throttled or ()
    if "under-voltage" in held or any(_read(alarm) == "1" for alarm in alarms):
        return [Finding("power", "problem", f"under-voltage: {_POWER}", "vcgencmd get_throttled")]
    if held:
        found = f"the board slows itself down: {', '.join(held)}: cool it"
        return [Finding("power", "warning", found, "vcgencmd get_throttled")]
    if machine.throttled is None and not alarms:
        return []  # not a Raspberry Pi, or it doesn't tell
    return [Finding("power", "ok", "enough voltage, nothing is throttled")]


def check_temperature(machine: Machine) -> list[Finding]:
    """Whether the processor is near the heat at which it slows down; nothing where it doesn't tell."""
    celsius = machine.temperature_c
    if celsius is None:
        return []
    if celsius < 75:
        return [Finding("temperature", "ok", f"{celsius:.0f} °C")]
    mend = "watch -n 5 cat /sys/class/thermal/thermal_zone0/temp"
    found = f"{celsius:.0f} °C, where boards slow down from 80 °C on: give it a fan, a heat sink or air"
    return [Finding("temperature", "problem" if celsius >= 85 else "warning", found, mend)]


def check_governor(machine: Machine) -> list[Finding]:
    """Whether the clock may rise; nothing where it doesn't tell."""
    if machine.governor is None:
        return []
    if machine.governor != "powersave":
        return [Finding("clock governor", "ok", machine.governor)]
    mend = "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    return [Finding("clock governor", "warning", "powersave, which keeps the clock at its lowest", mend)]


def check_memory(root: str | os.PathLike[str] = "/") -> list[Finding]:
    """Whether there is memory for a model and a camera; nothing where the system doesn't tell.

    Args:
        root: Where ``proc`` is.
    """
    fields = dict(re.findall(r"^(\w+):\s*(\d+) kB", _read(Path(root) / "proc/meminfo") or "", re.MULTILINE))
    if not {"MemTotal", "MemAvailable"} <= fields.keys():
        return []
    free, total = (int(fields[name]) / 1024 for name in ("MemAvailable", "MemTotal"))
    found = f"{free:.0f} of {total:.0f} MiB available"
    if free >= 200:
        return [Finding("memory", "ok", found)]
    found += ", where the runtime takes about 120"
    return [Finding("memory", "problem" if free < 100 else "warning", found, "ps -eo rss,comm --sort=-rss | head")]


def check_disk(folder: str | os.PathLike[str] = ".") -> Finding:
    """Whether results can be written where the user is.

    Args:
        folder: On the disk in question.
    """
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        found = "this folder's disk can only be read: a card that fails, or one that was mounted so"
        return Finding("disk", "warning", found, "sudo mount -o remount,rw /")
    usage = shutil.disk_usage(folder)
    return disk_finding(usage.free, usage.total)


def disk_finding(free_bytes: int, total_bytes: int) -> Finding:
    """Whether that is room enough."""
    found = f"{free_bytes / _MIB:,.0f} of {total_bytes / _MIB:,.0f} MiB free"
    if free_bytes >= 500 * _MIB:
        return Finding("disk", "ok", found)
    mend = "sudo apt clean && sudo journalctl --vacuum-size=50M"
    return Finding("disk", "problem" if free_bytes < 50 * _MIB else "warning", found, mend)


def check_clock() -> list[Finding]:
    """Whether the clock is set by the network: a Raspberry Pi has none of its own, and events carry the time."""
    error_us = _clock_error_us()
    return [] if error_us is None else [clock_finding(error_us, time.time())]


def clock_finding(error_us: int, now: float) -> Finding:
    """What the kernel says of its clock.

    Args:
        error_us: How far it may be off; the kernel stops counting at 16 s, which is where it begins.
        now: In seconds since 1970 (UTC).
    """
    today = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if error_us < _UNSYNCHRONIZED_US:
        return Finding("clock", "ok", f"{today}, synchronized")
    found = f"{today}, not synchronized: the times of events may be wrong"
    return Finding("clock", "warning", found, "sudo timedatectl set-ntp true")


class _Timex(ctypes.Structure):
    """``struct timex`` (adjtimex(2)), as far as it is read here."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_char * 256),
    )


def _clock_error_us() -> int | None:
    timex = _Timex()  # modes 0: nothing is set
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else int(timex.maxerror)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
