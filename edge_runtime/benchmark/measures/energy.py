"""Energy per classification, on machines with a readable meter.

Supported are the processor's energy counter (RAPL, through Linux powercap) and power sensors on the supply (INA219,
INA226 and similar, through hwmon). Both measure the whole processor or board, including other programs.
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

# Graphics cards have power sensors too, which don't measure our work.
_SUPPLY_CHIPS = ("ina", "ltc")
IDLE_S = 1.0
BUSY_S = 2.0
SAMPLE_S = 0.02


class EnergyMeter(ABC):
    """Base class of energy meters.

    Attributes:
        name: Name for reports.
    """

    name: str

    @abstractmethod
    def measure(self, work: Callable[[], None]) -> tuple[float, float]:
        """Run ``work`` and return the energy in joules and the time in seconds."""


class RaplMeter(EnergyMeter):
    """Sum of the energy counters of all processor packages. Since 2020, Linux lets only root read them."""

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
            used += end - start + (whole if end < start else 0)  # the counter wraps around
        return used / 1e6, seconds

    def _read(self) -> list[int]:
        return [_integer(package / "energy_uj") or 0 for package in self._packages]


class PowerMeter(EnergyMeter):
    """Power sensor that is read fifty times per second."""

    def __init__(self, sensor: Path, chip: str) -> None:
        self.name = f"{chip} (power supply sensor)"
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
    """Return the first readable meter or None; power sensors come before the processor's counters.

    Args:
        root: Folder that contains ``sys``.
    """
    classes = Path(root) / "sys/class"
    for sensor in sorted(classes.glob("hwmon/hwmon*/power1_input")):
        chip = _text(sensor.with_name("name"))
        if chip.startswith(_SUPPLY_CHIPS) and _integer(sensor) is not None:
            return PowerMeter(sensor, chip)
    packages = [
        package
        for package in sorted(classes.glob("powercap/intel-rapl:*"))
        # Cores, memory and the platform have separate counters, which must not be added to the packages'.
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
    """Measure idle power first, then energy while classifying.

    Args:
        meter: Meter from `find_meter`.
        classifier: Model to measure.
        frame: Frame to classify, uint8 (H, W, 3) BGR, 0–255.
        idle_s: Duration of the idle measurement, in seconds.
        busy_s: Duration of the classification, in seconds.
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
