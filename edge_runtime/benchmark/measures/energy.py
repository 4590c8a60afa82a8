"""What a classification takes, where the machine has a meter that may be read.

Two kinds are known: the processor's own counter of energy (RAPL, through Linux' powercap), and a sensor of power on
the supply (INA219, INA226 and their like, through hwmon). Neither knows programs: both see all that is behind them.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.benchmark.report import Energy

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.inference.classifier import Classifier

# A graphics card has a sensor of power too, which tells nothing of ours.
_SUPPLY_CHIPS = ("ina", "ltc")
IDLE_S = 1.0
BUSY_S = 2.0
SAMPLE_S = 0.02


class EnergyMeter(ABC):
    """Tells how much energy went by while something ran.

    Attributes:
        name: For people.
    """

    name: str

    @abstractmethod
    def measure(self, work: Callable[[], None]) -> tuple[float, float]:
        """Runs it and returns joules, and seconds."""


class RaplMeter(EnergyMeter):
    """The processor's packages, added up. The counters may be read by root only since 2020."""

    name = "RAPL (the processor)"

    def __init__(self, packages: list[Path]) -> None:
        self._packages = packages
        self._ranges = [_integer(package / "max_energy_range_uj") or 0 for package in packages]

    def measure(self, work: Callable[[], None]) -> tuple[float, float]:
        """See `EnergyMeter.measure`."""
        started, before = time.monotonic(), self._read()
        work()
        used, seconds = 0, time.monotonic() - started
        for start, end, whole in zip(before, self._read(), self._ranges, strict=True):
            used += end - start + (whole if end < start else 0)  # it begins anew at the end of its range
        return used / 1e6, seconds

    def _read(self) -> list[int]:
        return [_integer(package / "energy_uj") or 0 for package in self._packages]


class PowerMeter(EnergyMeter):
    """A sensor of power, read fifty times a second meanwhile."""

    def __init__(self, sensor: Path, chip: str) -> None:
        self.name = f"{chip} (what it supplies)"
        self._sensor = sensor

    def measure(self, work: Callable[[], None]) -> tuple[float, float]:
        """See `EnergyMeter.measure`."""
        with self._sampled() as microwatts:
            started = time.monotonic()
            work()
            seconds = time.monotonic() - started
        return sum(microwatts) / len(microwatts) / 1e6 * seconds, seconds

    @contextmanager
    def _sampled(self) -> Iterator[list[int]]:
        found = [_integer(self._sensor) or 0]
        done = threading.Event()

        def sample() -> None:
            while not done.wait(SAMPLE_S):
                value = _integer(self._sensor)
                if value is not None:
                    found.append(value)

        thread = threading.Thread(target=sample, name="edge-power", daemon=True)
        thread.start()
        try:
            yield found
        finally:
            done.set()
            thread.join()


def find_meter(root: str | os.PathLike[str] = "/") -> EnergyMeter | None:
    """The first meter that may be read; a sensor on the supply goes before the processor's own counter.

    Args:
        root: Where ``sys`` is.
    """
    classes = Path(root) / "sys/class"
    for sensor in sorted(classes.glob("hwmon/hwmon*/power1_input")):
        chip = _text(sensor.with_name("name"))
        if chip.startswith(_SUPPLY_CHIPS) and _integer(sensor) is not None:
            return PowerMeter(sensor, chip)
    packages = [
        package
        for package in sorted(classes.glob("powercap/intel-rapl:*"))
        # Cores, memory and the whole platform have counters of their own, which must not be added to these.
        if _text(package / "name").startswith("package") and _integer(package / "energy_uj") is not None
    ]
    return RaplMeter(packages) if packages else None


def measure_energy(
    meter: EnergyMeter,
    classifier: Classifier,
    frame: NDArray[np.uint8],
    *,
    idle_s: float = IDLE_S,
    busy_s: float = BUSY_S,
) -> Energy:
    """Classifies for a while, after a while of nothing.

    Args:
        meter: From `find_meter`.
        classifier: The model.
        frame: uint8 (H, W, 3) BGR.
        idle_s: How long nothing is done before.
        busy_s: How long to classify.
    """
    count = 0

    def work() -> None:
        nonlocal count
        end = time.monotonic() + busy_s
        while count == 0 or time.monotonic() < end:
            classifier.classify(frame)
            count += 1

    idle_joules, idle_seconds = meter.measure(lambda: time.sleep(idle_s))
    joules, seconds = meter.measure(work)
    return Energy(meter.name, 1e3 * joules / count, joules / seconds, idle_joules / idle_seconds)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _integer(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None
