"""Facts about a machine are read from its files; unknown ones are None."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.device.machine import Machine, State, decode_throttled, describe_machine, read_busy_s, read_state

GOVERNOR = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
SUPPLIES = "sys/class/power_supply"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    """Root folder with the files of a Raspberry Pi 4."""
    return write(
        tmp_path,
        {
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/cpuinfo": (
                "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU part\t: 0xd08\n\n"
                "processor\t: 1\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU part\t: 0xd08\n"
            ),
            "proc/loadavg": "0.10 0.20 0.30 1/200 1234\n",
            "proc/meminfo": "MemTotal:        3884360 kB\nMemFree: 1 kB\nMemAvailable:    3000000 kB\n",
            "proc/stat": (
                "cpu  1500 10 200 90000 50 5 5 30 0 0\ncpu0 400 10 100 50000 50 5 5 0 0 0\n"
                "cpu1 600 0 100 40000 0 0 0 30 0 0\ncpu2 500 0 0 0 0 0 0 0 0 0\nintr 1\n"
            ),
            GOVERNOR: "powersave\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "600000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1800000\n",
            "sys/class/thermal/thermal_zone0/temp": "48312\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
        },
    )


def test_reads_what_a_raspberry_pi_tells(pi: Path) -> None:
    machine = describe_machine(pi)
    assert machine.board == "Raspberry Pi 4 Model B Rev 1.4"
    assert machine.cpu == "2× Cortex-A72"
    assert (machine.governor, machine.clock_mhz, machine.clock_max_mhz) == ("powersave", 600, 1800)
    assert machine.temperature_c == pytest.approx(48.312)
    assert machine.load == 0.1
    assert (machine.memory_bytes, machine.memory_available_bytes) == (3884360 * 1024, 3000000 * 1024)
    assert (machine.features, machine.has_int8_instructions) == (("NEON",), False)
    assert machine.throttled == ("under-voltage", "throttled")
    assert machine.throttled_since_boot == ("under-voltage", "throttled")
    assert machine.on_battery is None
    assert json.loads(json.dumps(machine.to_dict()))["features"] == ["NEON"]


def test_what_is_not_told_is_none(tmp_path: Path) -> None:
    machine = describe_machine(tmp_path)
    assert (machine.board, machine.cpu, machine.governor, machine.clock_mhz, machine.load) == (None,) * 5
    assert (machine.memory_available_bytes, machine.on_battery, machine.features) == (None, None, ())
    assert machine.cores >= 1
    assert not any("governor" in warning or "busy" in warning for warning in machine.warnings())


def test_this_machine_can_be_described() -> None:
    assert isinstance(describe_machine(), Machine)


@pytest.mark.parametrize(
    ("line", "features", "has_int8"),
    [
        ("Features\t: fp asimd asimddp i8mm", ("NEON", "dot product", "i8mm"), True),
        ("Features\t: half thumb vfpv4 neon", ("NEON",), False),
        ("flags\t\t: sse4_2 avx2", ("AVX2",), False),
        ("flags\t\t: avx2 avx512f avx512_vnni", ("AVX2", "AVX-512", "AVX-512 VNNI"), True),
        ("flags\t\t: avx2 avx_vnni", ("AVX2", "AVX-VNNI"), True),
    ],
)
def test_the_processors_features_tell_whether_int8_has_instructions_of_its_own(
    line: str, features: tuple[str, ...], has_int8: bool, tmp_path: Path
) -> None:
    machine = describe_machine(write(tmp_path, {"proc/cpuinfo": line + "\n"}))
    assert (machine.features, machine.has_int8_instructions) == (features, has_int8)


@pytest.mark.parametrize(
    ("supplies", "on_battery"),
    [
        ({"AC/type": "Mains"}, None),
        ({"BAT0/type": "Battery", "BAT0/status": "Discharging"}, True),
        ({"BAT0/type": "Battery", "BAT0/status": "Full", "AC/type": "Mains"}, False),
        ({"mouse/type": "Battery", "mouse/scope": "Device", "mouse/status": "Discharging"}, None),
    ],
)
def test_a_battery_counts_where_it_is_the_machines_own(
    supplies: dict[str, str], on_battery: bool | None, tmp_path: Path
) -> None:
    root = write(tmp_path, {f"{SUPPLIES}/{name}": f"{text}\n" for name, text in supplies.items()})
    assert describe_machine(root).on_battery is on_battery


@pytest.mark.parametrize(
    ("answer", "now", "since_boot"),
    [
        ("throttled=0x0\n", (), ()),
        ("throttled=0x50000\n", (), ("under-voltage", "throttled")),
        ("throttled=0x50005\n", ("under-voltage", "throttled"), ("under-voltage", "throttled")),
        ("command not found", None, None),
    ],
)
def test_throttling_is_decoded(answer: str, now: tuple[str, ...] | None, since_boot: tuple[str, ...] | None) -> None:
    assert decode_throttled(answer) == now
    assert decode_throttled(answer, since_boot=True) == since_boot


def test_warns_of_what_slows_it_down(pi: Path) -> None:
    machine = replace(describe_machine(pi), load=9.0, cores=4, throttled=("under-voltage",))
    warnings = machine.warnings()
    assert len(warnings) == 3
    assert "powersave" in warnings[0]
    assert "load 9.0 on 4 cores" in warnings[1]
    assert "under-voltage" in warnings[2]
    assert replace(machine, governor="ondemand", load=1.0, throttled=()).warnings() == ()


def test_its_state_can_be_read_again_and_again(pi: Path) -> None:
    assert read_state(pi) == State(600, pytest.approx(48.312), ("under-voltage", "throttled"))
    write(pi, {"sys/class/thermal/thermal_zone0/temp": "81000\n"})
    assert read_state(pi).temperature_c == pytest.approx(81)


def test_busy_time_leaves_idle_time_out(pi: Path, tmp_path: Path) -> None:
    # 1000 user, 10 nice, 200 system, 5 irq, 5 softirq, 30 stolen, in hundredths of a second
    assert read_busy_s(pi, cores={0, 1}) == pytest.approx(12.5)
    assert read_busy_s(pi, cores={2}) == pytest.approx(5)
    assert read_busy_s(pi, cores={7}) is None
    assert read_busy_s(tmp_path / "nowhere") is None
