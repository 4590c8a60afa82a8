"""Checks of the board: power, temperature, clocks, memory and disk."""

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
_UNSYNCHRONIZED_US = 16_000_000  # the kernel's largest estimate of the clock's error
_POWER = "use the board's own power supply, a short cable and fewer USB devices"


def check_power(machine: Machine, root: str | os.PathLike[str] = "/") -> list[Finding]:
    """Check the supply voltage and the throttling of a Raspberry Pi.

    Args:
        machine: Result of `edge_runtime.device.machine.describe_machine`.
        root: Folder with ``sys``.
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
        found = f"the board is throttled ({', '.join(held)}): improve its cooling"
        return [Finding("power", "warning", found, "vcgencmd get_throttled")]
    if machine.throttled is None and not alarms:
        return []  # not a Raspberry Pi, or unknown
    return [Finding("power", "ok", "enough voltage, not throttled")]


def check_temperature(machine: Machine) -> list[Finding]:
    """Check the processor's temperature; no finding if it is unknown."""
    celsius = machine.temperature_c
    if celsius is None:
        return []
    if celsius < 75:
        return [Finding("temperature", "ok", f"{celsius:.0f} °C")]
    mend = "watch -n 5 cat /sys/class/thermal/thermal_zone0/temp"
    found = f"{celsius:.0f} °C; boards throttle from 80 °C on: add a heat sink or a fan"
    return [Finding("temperature", "problem" if celsius >= 85 else "warning", found, mend)]


def check_governor(machine: Machine) -> list[Finding]:
    """Check the clock governor; no finding if it is unknown."""
    if machine.governor is None:
        return []
    if machine.governor != "powersave":
        return [Finding("clock governor", "ok", machine.governor)]
    mend = "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    return [Finding("clock governor", "warning", "powersave keeps the clock at its minimum", mend)]


def check_memory(root: str | os.PathLike[str] = "/") -> list[Finding]:
    """Check for enough memory for a model and a camera; no finding if it is unknown.

    Args:
        root: Folder with ``proc``.
    """
    fields = dict(re.findall(r"^(\w+):\s*(\d+) kB", _read(Path(root) / "proc/meminfo") or "", re.MULTILINE))
    if not {"MemTotal", "MemAvailable"} <= fields.keys():
        return []
    free, total = (int(fields[name]) / 1024 for name in ("MemAvailable", "MemTotal"))
    found = f"{free:.0f} of {total:.0f} MiB available"
    if free >= 200:
        return [Finding("memory", "ok", found)]
    found += "; the runtime needs about 120 MiB"
    return [Finding("memory", "problem" if free < 100 else "warning", found, "ps -eo rss,comm --sort=-rss | head")]


def check_disk(folder: str | os.PathLike[str] = ".") -> Finding:
    """Check that the disk is writable and has room.

    Args:
        folder: Any folder on the disk.
    """
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        found = "the disk of this folder is read-only: its card is failing, or it was mounted read-only"
        return Finding("disk", "warning", found, "sudo mount -o remount,rw /")
    usage = shutil.disk_usage(folder)
    return disk_finding(usage.free, usage.total)


def disk_finding(free_bytes: int, total_bytes: int) -> Finding:
    """Return the finding for the free space of a disk."""
    found = f"{free_bytes / _MIB:,.0f} of {total_bytes / _MIB:,.0f} MiB free"
    if free_bytes >= 500 * _MIB:
        return Finding("disk", "ok", found)
    mend = "sudo apt clean && sudo journalctl --vacuum-size=50M"
    return Finding("disk", "problem" if free_bytes < 50 * _MIB else "warning", found, mend)


def check_clock() -> list[Finding]:
    """Check that the clock is synchronized: events carry the time, and most Raspberry Pis have no clock battery."""
    error_us = _clock_error_us()
    return [] if error_us is None else [clock_finding(error_us, time.time())]


def clock_finding(error_us: int, now: float) -> Finding:
    """Return the finding for the kernel's clock.

    Args:
        error_us: Estimated maximum error in microseconds; 16 s, its upper limit, means not synchronized.
        now: Current time in seconds since 1970 (UTC).
    """
    today = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if error_us < _UNSYNCHRONIZED_US:
        return Finding("clock", "ok", f"{today}, synchronized")
    found = f"{today}, not synchronized: times of events may be wrong"
    return Finding("clock", "warning", found, "sudo timedatectl set-ntp true")


class _Timex(ctypes.Structure):
    """Beginning of ``struct timex``; see adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_char * 256),
    )


def _clock_error_us() -> int | None:
    timex = _Timex()  # modes 0: only read
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
