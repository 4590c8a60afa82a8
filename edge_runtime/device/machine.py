"""Facts about the machine and its state, for benchmarks and the doctor."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# "CPU part" in /proc/cpuinfo, which has no names on Arm.
_ARM_CORES = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd41": "Cortex-A78",
    "0xc07": "Cortex-A7",
}
# Flags in /proc/cpuinfo that matter for networks: vector units, and dot products of 8-bit integers.
_FEATURES = {
    "asimd": "NEON",
    "neon": "NEON",
    "asimddp": "dot product",
    "i8mm": "i8mm",
    "sve": "SVE",
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
}
_INT8_FEATURES = {"dot product", "i8mm", "AVX-512 VNNI", "AVX-VNNI"}
# Bits of "vcgencmd get_throttled" for the present; 16 bits higher they are for any time since boot.
_THROTTLED_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}


@dataclass(frozen=True)
class Machine:
    """A machine and its state; None for unknown values.

    Attributes:
        board: Name of the board in the firmware, such as ``"Raspberry Pi 4 Model B Rev 1.4"``.
        cpu: Name of the processor or of its cores.
        architecture: Architecture, such as ``"aarch64"``.
        cores: Number of cores that this process may use.
        governor: Clock governor of the first core: ``"performance"``, ``"ondemand"``, ``"powersave"``…
        clock_mhz: Current clock of the first core.
        clock_max_mhz: Maximum clock of the first core.
        temperature_c: Temperature of the processor in degrees Celsius.
        throttled: Reasons for throttling now, on a Raspberry Pi; empty if it is not throttled.
        load: Average number of processes that wanted to run during the last minute.
        memory_bytes: Memory of the machine.
        kernel: Name and release of the kernel.
        python: Version of Python.
        features: Instructions of the processor for networks, such as ``"dot product"`` or ``"AVX-512 VNNI"``.
        throttled_since_boot: Reasons for throttling at any time since boot, on a Raspberry Pi.
        memory_available_bytes: Memory still available to programs.
        on_battery: Whether it runs on battery; None without a battery.
    """

    board: str | None
    cpu: str | None
    architecture: str
    cores: int
    governor: str | None
    clock_mhz: float | None
    clock_max_mhz: float | None
    temperature_c: float | None
    throttled: tuple[str, ...] | None
    load: float | None
    memory_bytes: int | None
    kernel: str
    python: str
    features: tuple[str, ...] = ()
    throttled_since_boot: tuple[str, ...] | None = None
    memory_available_bytes: int | None = None
    on_battery: bool | None = None

    @property
    def has_int8_instructions(self) -> bool:
        """Whether the processor has instructions for dot products of 8-bit integers."""
        return not _INT8_FEATURES.isdisjoint(self.features)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def warnings(self) -> tuple[str, ...]:
        """Return the reasons why figures measured now would be worse than necessary."""
        found = []
        if self.governor == "powersave":
            found.append(
                "The clock governor 'powersave' slows the machine down. Change it: "
                "'echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor'."
            )
        if self.load is not None and self.load > 0.5 * self.cores:
            found.append(f"Other programs are busy (load {self.load:.1f} on {self.cores} cores), so figures will vary.")
        if self.throttled:
            found.append(f"The board is throttled ({', '.join(self.throttled)}). Improve its power supply and cooling.")
        return tuple(found)


def describe_machine(root: str | os.PathLike[str] = "/") -> Machine:
    """Describe this machine and its current state.

    Args:
        root: Folder with ``proc`` and ``sys``.
    """
    base = Path(root)
    clocks = base / "sys/devices/system/cpu/cpu0/cpufreq"
    cpuinfo = _read(base / "proc/cpuinfo") or ""
    meminfo = _read(base / "proc/meminfo") or ""
    throttled = _throttled(base)
    return Machine(
        board=_read(base / "proc/device-tree/model") or _read(base / "sys/class/dmi/id/product_name"),
        cpu=_cpu_name(cpuinfo),
        architecture=platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        governor=_read(clocks / "scaling_governor"),
        clock_mhz=_clock_mhz(base, cpuinfo),
        clock_max_mhz=_number(clocks / "cpuinfo_max_freq", 1e-3),
        temperature_c=read_temperature_c(base),
        throttled=None if throttled is None else decode_throttled(throttled),
        load=_float((_read(base / "proc/loadavg") or "").split(" ")[0]),
        memory_bytes=_memory_bytes(meminfo, "MemTotal"),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        features=_features(cpuinfo),
        throttled_since_boot=None if throttled is None else decode_throttled(throttled, since_boot=True),
        memory_available_bytes=_memory_bytes(meminfo, "MemAvailable"),
        on_battery=_on_battery(base / "sys/class/power_supply"),
    )


def read_temperature_c(root: str | os.PathLike[str] = "/") -> float | None:
    """Return the processor's temperature in degrees Celsius; None if unknown."""
    return _number(Path(root) / "sys/class/thermal/thermal_zone0/temp", 1e-3)


@dataclass(frozen=True)
class State:
    """The part of `Machine` that changes under load; cheap enough to read repeatedly."""

    clock_mhz: float | None
    temperature_c: float | None
    throttled: tuple[str, ...] | None


def read_state(root: str | os.PathLike[str] = "/") -> State:
    """Read the current clock, temperature and throttling.

    Args:
        root: Folder with ``proc`` and ``sys``.
    """
    base = Path(root)
    throttled = _throttled(base)
    return State(
        clock_mhz=_clock_mhz(base, _read(base / "proc/cpuinfo") or ""),
        temperature_c=read_temperature_c(base),
        throttled=None if throttled is None else decode_throttled(throttled),
    )


def read_busy_s(root: str | os.PathLike[str] = "/", *, cores: Collection[int] | None = None) -> float | None:
    """Return the seconds that cores have been busy since boot, in total over all programs; None if unknown.

    In a virtual machine they include the time that the host gave to others.

    Args:
        root: Folder with ``proc``.
        cores: Numbers of the cores; default: those that this process may use.
    """
    if cores is None:
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    lines = [line.split() for line in (_read(Path(root) / "proc/stat") or "").splitlines()]
    ours = [line for line in lines if len(line) >= 9 and line[0] in {f"cpu{core}" for core in cores}]
    # user, nice, system, idle, iowait, irq, softirq, steal; user includes guests.
    busy = sum(int(ticks) for line in ours for ticks in (*line[1:4], *line[6:9]))
    return busy / os.sysconf("SC_CLK_TCK") if ours else None


def decode_throttled(output: str, *, since_boot: bool = False) -> tuple[str, ...] | None:
    """Return the reasons for throttling in the output of ``vcgencmd get_throttled``; None if it is something else."""
    match = re.fullmatch(r"throttled=0x([0-9a-fA-F]+)\s*", output)
    if match is None:
        return None
    bits = int(match.group(1), 16) >> (16 if since_boot else 0)
    return tuple(meaning for bit, meaning in _THROTTLED_BITS.items() if bits >> bit & 1)


def _throttled(base: Path) -> str | None:
    """Return the output of ``vcgencmd get_throttled``, or its equivalent."""
    # The kernel's file, if there is one, needs no other process and no membership in the group "video".
    bits = _read(base / "sys/devices/platform/soc/soc:firmware/get_throttled")
    if bits is not None:
        return f"throttled=0x{bits.removeprefix('0x')}"
    try:
        done = subprocess.run(  # nosec B607 # from the PATH: Raspberry Pi OS has moved it before
            ["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=2, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _clock_mhz(base: Path, cpuinfo: str) -> float | None:
    clock = _number(base / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", 1e-3)
    return clock or _float(_field(cpuinfo, "cpu MHz"))


def _features(cpuinfo: str) -> tuple[str, ...]:
    flags = (_field(cpuinfo, "flags") or _field(cpuinfo, "Features") or "").split()
    return tuple(dict.fromkeys(meaning for flag, meaning in _FEATURES.items() if flag in flags))


def _on_battery(supplies: Path) -> bool | None:
    if not supplies.is_dir():
        return None
    # The battery of a mouse has the scope "Device".
    batteries = [
        _read(supply / "status")
        for supply in supplies.iterdir()
        if _read(supply / "type") == "Battery" and _read(supply / "scope") != "Device"
    ]
    return "Discharging" in batteries if batteries else None


def _cpu_name(cpuinfo: str) -> str | None:
    name = _field(cpuinfo, "model name")
    if name:
        return name
    parts = re.findall(r"^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    cores = [f"{parts.count(part)}× {_ARM_CORES.get(part, f'Arm part {part}')}" for part in dict.fromkeys(parts)]
    return ", ".join(cores) or None


def _memory_bytes(meminfo: str, name: str) -> int | None:
    match = re.search(rf"^{name}:\s*(\d+) kB", meminfo, re.MULTILINE)
    return int(match.group(1)) * 1024 if match else None


def _field(cpuinfo: str, name: str) -> str | None:
    match = re.search(rf"^{name}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match.group(1).strip() if match else None


def _read(path: Path) -> str | None:
    try:
        # Strings of the device tree end with a zero byte.
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n") or None
    except OSError:
        return None


def _number(path: Path, factor: float) -> float | None:
    value = _float(_read(path))
    return None if value is None else value * factor


def _float(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
