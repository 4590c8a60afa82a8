"""Number of instructions per inference on emulated Arm processors.

A count is not a time, but it is reproducible and independent of the host and its load. It shows a regression when no
Arm machine is at hand to measure times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness.figure import Figure, MissingInputError
from benchmarks.subjects.models import build_pair
from edge_runtime.benchmark.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.pi.instructions import Count

UNIT = "million instructions"
_BACKBONES = {"mobilenet_v2_1.0": "MobileNetV2 1.0", "mobilenet_v2_0.35": "MobileNetV2 0.35"}


@dataclass(frozen=True)
class Way:
    """One way to run a network.

    Attributes:
        name: Part of the names of figures.
        title: Column heading.
        release: Debian release whose Python runs this interpreter.
        precision: ``"fp32"`` or ``"int8"``.
        int8_kernels: Setting of the INT8 kernels; see `edge_runtime.Classifier`.
        fp32: Name of the way that runs the FP32 file with the same interpreter; empty for that way itself.
    """

    name: str
    title: str
    release: str
    precision: str
    int8_kernels: str
    fp32: str = ""


WAYS = (
    Way("tflite_fp32", "tflite-runtime, FP32", "bookworm", "fp32", "auto"),
    Way("tflite_int8", "tflite-runtime, INT8", "bookworm", "int8", "on", "tflite_fp32"),
    Way("tflite_int8_off", "tflite-runtime, INT8 with the kernels off", "bookworm", "int8", "off", "tflite_fp32"),
    Way("litert_fp32", "LiteRT, FP32", "trixie", "fp32", "auto"),
    Way("litert_int8", "LiteRT, INT8", "trixie", "int8", "auto", "litert_fp32"),
)


def measure(quick: bool) -> list[Figure]:
    # The emulated devices belong to the tests.
    from tests.pi.device import CPUS
    from tests.pi.devices import make_devices
    from tests.pi.instructions import build_plugin, count_instructions, missing_commands
    from tests.support.wheel import build_wheel

    if missing := missing_commands():
        raise MissingInputError(f"needs {' and '.join(missing)}: apt-get install qemu-user gcc libc6-dev")
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name, Progress("arm_counts") as progress:
        folder = Path(name)
        plugin = build_plugin(folder)
        backbones = list(_BACKBONES)[-1:] if quick else list(_BACKBONES)
        pairs = {backbone: build_pair(folder, backbone) for backbone in backbones}
        with make_devices(build_wheel(folder)) as devices:
            runs = [(backbone, cpu) for backbone in backbones for cpu in CPUS]
            for backbone, cpu in runs:
                counts: dict[str, Count] = {}
                for way in WAYS:
                    progress.update((len(figures) + len(counts)) / (len(runs) * len(WAYS)))
                    device, model = devices[way.release].result(), getattr(pairs[backbone], way.precision)
                    counts[way.name] = count_instructions(device, cpu, plugin, model, int8_kernels=way.int8_kernels)
                figures += [_figure(backbone, cpu.name, way, counts) for way in WAYS]
    return figures


def figure_name(way: str, cpu: str, backbone: str) -> str:
    """Return the name of a count's figure."""
    return f"arm_counts.{way}.{cpu}.{backbone}"


def is_count(figure: Figure) -> bool:
    """Return True if a figure belongs in `counts_table`."""
    return figure.unit == UNIT


def counts_table(figures: Iterable[Figure]) -> str:
    """Return a Markdown table with one row per network and processor, and INT8's ratio to FP32."""
    values = {figure.name: figure.value for figure in figures if figure.value is not None}
    rows = [
        f"| {' | '.join(('Million instructions for an inference', *(way.title for way in WAYS)))} |",
        f"|---|{'---|' * len(WAYS)}",
    ]
    places = dict.fromkeys(tuple(name.split(".", 3)[2:]) for name in values)
    for cpu, backbone in places:
        cells = [f"{_BACKBONES[backbone]}, {cpu.replace('cortex-a', 'Cortex-A')}"]
        for way in WAYS:
            count = values[figure_name(way.name, cpu, backbone)]
            share = f" ({count / values[figure_name(way.fp32, cpu, backbone)]:.2f}×)" if way.fp32 else ""
            cells.append(f"{count:.1f}{share}")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _figure(backbone: str, cpu: str, way: Way, counts: Mapping[str, Count]) -> Figure:
    count = counts[way.name]
    backend = count.backend
    if (way.int8_kernels == "off") != (backend["delegated_ops"] == 0):
        raise RuntimeError(f"XNNPACK's kernels have the wrong state for {way.title}: {backend}.")
    share = f", {count.instructions / counts[way.fp32].instructions:.2f}× FP32's" if way.fp32 else ""
    return Figure(
        name=figure_name(way.name, cpu, backbone),
        what=f"Instructions of an inference ({_BACKBONES[backbone]}, {way.title}, {cpu})",
        value=count.instructions / 1e6,
        unit=UNIT,
        conditions=f"counted, not timed{share}; {backend['name']} {backend['version']}, {backend['delegated_ops']} of "
        f"{backend['total_ops']} operations delegated, 224 px, 1 thread",
    )
