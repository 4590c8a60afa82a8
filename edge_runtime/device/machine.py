"""What a figure was measured on: the machine, as far as it tells."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# "CPU part" of /proc/cpuinfo on Arm, where it gives no name: the cores of the boards that this runs on.
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
# Of /proc/cpuinfo's flags, what decides how fast networks run: vector units, and dot products of 8-bit integers.
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
# vcgencmd get_throttled: the lower bits are "now", the same ones 16 higher "since boot".
_THROTTLED_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}


@dataclass(frozen=True)
class Machine:
    """A machine and its state; None for what it doesn't tell.

    Attributes:
        board: As the firmware names it, such as ``"Raspberry Pi 4 Model B Rev 1.4"``.
        cpu: Name of the processor or of its cores.
        architecture: Such as ``"aarch64"``.
        cores: That this process may use.
        governor: Of the first core's clock: ``"performance"``, ``"ondemand"``, ``"powersave"``…
        clock_mhz: Of the first core, at this moment.
        clock_max_mhz: Of the first core.
        temperature_c: Of the processor.
        throttled: What holds the clock down now, on a Raspberry Pi; empty when nothing does.
        load: Processes that wanted to run, averaged over the last minute.
        memory_bytes: Of the machine.
        kernel: Name and release.
        python: Version.
        features: What the processor has for networks, such as ``"dot product"`` or ``"AVX-512 VNNI"``.
        throttled_since_boot: What held the clock down at some time since the start, on a Raspberry Pi.
        memory_available_bytes: That programs can still have.
        on_battery: Whether it runs on its battery; None where there is none.
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
        """Whether the processor multiplies and adds 8-bit integers in one instruction, four or more at a time."""
        return not _INT8_FEATURES.isdisjoint(self.features)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def warnings(self) -> tuple[str, ...]:
        """What makes figures measured now worse than they need be."""
        found = []
        if self.governor == "powersave":
            found.append(
                "The clock governor is 'powersave', so figures may be lower than the machine can do: "
                "'echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor' changes it."
            )
        if self.load is not None and self.load > 0.5 * self.cores:
            found.append(f"Other programs are busy (load {self.load:.1f} on {self.cores} cores): figures will vary.")
        if self.throttled:
            found.append(f"The board slows itself down ({', '.join(self.throttled)}): see to its power and cooling.")
        return tuple(found)


def describe_machine(root: str | os.PathLike[str] = "/") -> Machine:
    """Reads what this machine says of itself.

    Args:
        root: Where ``proc`` and ``sys`` are.
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
    """Of the processor, in degrees Celsius; None where the machine doesn't tell."""
    return _number(Path(root) / "sys/class/thermal/thermal_zone0/temp", 1e-3)


@dataclass(frozen=True)
class State:
    """What changes while a machine works: a cheap part of `Machine`, for reading again and again."""

    clock_mhz: float | None
    temperature_c: float | None
    throttled: tuple[str, ...] | None


def read_state(root: str | os.PathLike[str] = "/") -> State:
    """Reads clock, temperature and throttling as they are now.

    Args:
        root: Where ``proc`` and ``sys`` are.
    """
    base = Path(root)
    throttled = _throttled(base)
    return State(
        clock_mhz=_clock_mhz(base, _read(base / "proc/cpuinfo") or ""),
        temperature_c=read_temperature_c(base),
        throttled=None if throttled is None else decode_throttled(throttled),
    )


def read_busy_s(root: str | os.PathLike[str] = "/", *, cores: Collection[int] | None = None) -> float | None:
    """How long some cores together have worked since the start of the machine, for any program, in seconds.

    In a virtual machine it includes what the host took for others. None where the system doesn't tell.

    Args:
        root: Where ``proc`` is.
        cores: Their numbers; None is those that this process may use.
    """
    if cores is None:
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    lines = [line.split() for line in (_read(Path(root) / "proc/stat") or "").splitlines()]
    ours = [line for line in lines if len(line) >= 9 and line[0] in {f"cpu{core}" for core in cores}]
    # user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user.
    busy = sum(int(ticks) for line in ours for ticks in (*line[1:4], *line[6:9]))
    return busy / os.sysconf("SC_CLK_TCK") if ours else None


def decode_throttled(answer: str, *, since_boot: bool = False) -> tuple[str, ...] | None:
    """What ``vcgencmd get_throttled`` says is so at this moment, or was at some; None where it isn't its answer."""
    match = re.fullmatch(r"throttled=0x([0-9a-fA-F]+)\s*", answer)
    if match is None:
        return None
    bits = int(match.group(1), 16) >> (16 if since_boot else 0)
    return tuple(meaning for bit, meaning in _THROTTLED_BITS.items() if bits >> bit & 1)


def _throttled(base: Path) -> str | None:
    """As ``vcgencmd get_throttled`` says it."""
    # The kernel's own file, where it has one, needs no other process and no membership of the group "video".
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
    # A mouse's battery is one too, of the scope "Device".
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
    kinds = [f"{parts.count(part)}× {_ARM_CORES.get(part, f'Arm part {part}')}" for part in dict.fromkeys(parts)]
    return ", ".join(kinds) or None


def _memory_bytes(meminfo: str, name: str) -> int | None:
    match = re.search(rf"^{name}:\s*(\d+) kB", meminfo, re.MULTILINE)
    return int(match.group(1)) * 1024 if match else None


def _field(cpuinfo: str, name: str) -> str | None:
    match = re.search(rf"^{name}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match.group(1).strip() if match else None


def _read(path: Path) -> str | None:
    try:
        # The device tree ends its strings with a zero byte.
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
