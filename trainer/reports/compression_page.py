"""Renders ``compression.html``: accuracy and cost of each step of the compression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from trainer.evaluation.pareto import pareto_front
from trainer.reports.figures.scatter import Look, looks, scatter_svg
from trainer.reports.figures.svg import inline_svg
from trainer.reports.rendering import page_template
from trainer.reports.texts import (
    KIND_NAMES,
    SPLIT_NAMES,
    number_text,
    percent,
    photos_text,
    points,
    signed_points,
    size_text,
)
from trainer.storage import write_bytes, write_json
from trainer.types import LadderStep, Variant

SCHEMA_VERSION = 1

PAGE_NAME = "compression.html"

_DOWNLOAD_STEPS = {"sparse": "Magnitude pruning", "clustered": "Weight clustering"}
_SAME_LATENCY = 0.05  # smaller changes are noise
_SHOWN_SPARSITY = 0.01
_SHOWN_LAYERS = 12


@dataclass(frozen=True)
class CompressionContent:
    """Contents of the compression report.

    Attributes:
        title: Title of the page, such as the photo folder's name.
        variants: Every model file of the run, in the order of creation; exactly one is the baseline.
        rungs: Steps of the quantization ladder that were tried, in order.
        max_drop: Allowed accuracy drop of INT8 against its own float network, in percentage points.
        layer_errors: Layer and error of its INT8 output, in steps of the output's scale; worst first.
        layer_sparsity: Share of zero weights by layer, 0–1.
        layer_widths: Layer, channels before and after channel pruning.
        calibration: Number of pictures, and disagreement of two disjoint calibration sets of that size; 0 is none.
        conditions: Description of machine, backend and threads of the speed measurement.
        split: Split whose accuracies are compared and plotted.
        count: Number of pictures in that split; 0 if unknown.
        notes: Warnings and remarks, each a sentence.

    Raises:
        ValueError: There isn't exactly one baseline, or a variant wasn't measured on the split.
    """

    title: str
    variants: tuple[Variant, ...]
    rungs: tuple[LadderStep, ...]
    max_drop: float
    layer_errors: tuple[tuple[str, float], ...]
    layer_sparsity: Mapping[str, float]
    layer_widths: tuple[tuple[str, int, int], ...]
    calibration: tuple[tuple[int, float], ...]
    conditions: str
    split: str = "val"
    count: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        baselines = [variant.name for variant in self.variants if variant.baseline]
        if len(baselines) != 1:
            raise ValueError(f"Mark exactly one variant as the baseline, not {', '.join(baselines) or 'none'}.")
        for variant in self.variants:
            if self.split not in variant.accuracies:
                raise ValueError(
                    f"{variant.name} has no accuracy on {self.split!r}, only on {sorted(variant.accuracies)}."
                )

    @property
    def baseline(self) -> Variant:
        """Variant that the others are compared with."""
        return next(variant for variant in self.variants if variant.baseline)

    @property
    def edge(self) -> Variant | None:
        """INT8 model that ships; None if there is none besides the baseline."""
        ships = (v for v in self.variants if v.ships and v.precision in ("int8", "mixed") and not v.baseline)
        return next(ships, None)

    def before(self, variant: Variant) -> Variant | None:
        """Return the variant that a step started from, in the same precision; never the teacher."""
        earlier = self.variants[: self.variants.index(variant)]
        same = (v for v in reversed(earlier) if v.precision == variant.precision)
        return next((v for v in same if v.network not in (variant.network, "teacher")), None)

    def step(self, network: str, *precisions: str) -> tuple[Variant, Variant] | None:
        """Return the variants before and after a step, in the first of the precisions that has both."""
        for precision in precisions:
            for variant in self.variants:
                if (variant.network, variant.precision) == (network, precision) and (before := self.before(variant)):
                    return before, variant
        return None


def write_compression_report(folder: Path, content: CompressionContent) -> Path:
    """Write ``compression.html`` and ``compression.json`` into a folder, each atomically.

    Args:
        folder: Existing folder.
        content: Contents of the report.

    Returns:
        The path of the page.

    Raises:
        OutputFolderError: The folder can't be written.
    """
    page = folder / PAGE_NAME
    html = render_compression_page(content)
    write_json(folder / "compression.json", compression_to_dict(content))
    # A file name that is not UTF-8 contains lone surrogates, which can only be written escaped.
    write_bytes(page, html.encode("utf-8", errors="backslashreplace"))
    return page


def compression_to_dict(content: CompressionContent) -> dict[str, Any]:
    """Return a JSON-serializable dict: accuracies and sparsities 0–1, drops and agreements in percent."""
    return {
        "schema_version": SCHEMA_VERSION,
        "headline": headline(content),
        **asdict(content),
        "pareto": {
            cost: [content.variants[index].name for index in _front(content, cost)]
            for cost in ("latency_ms", "size_bytes")
        },
    }


def render_compression_page(content: CompressionContent) -> str:
    """Render the page: styles and figures are inside, it fetches nothing and has no script."""
    split = SPLIT_NAMES.get(content.split, content.split)
    return page_template("compression.html.j2").render(
        content=content,
        headline=headline(content),
        chosen=next((step for step in content.rungs if step.chosen), None),
        split_name=split,
        pictures=photos_text(content.count, split),
        tiles=_tiles(content),
        rows=_rows(content),
        has_test=content.split != "test" and any("test" in variant.accuracies for variant in content.variants),
        has_sparsity=any(variant.sparsity > _SHOWN_SPARSITY for variant in content.variants),
        scatters=[
            ("latency", inline_svg(scatter_svg(content.variants, "latency_ms", content.split))),
            ("file size", inline_svg(scatter_svg(content.variants, "size_bytes", content.split))),
        ],
        distilled=_distilled(content),
        pruned=content.step("pruned", "fp32", "int8"),
        downloads=_downloads(content),
        sparse_layers=sorted(content.layer_sparsity.items(), key=lambda layer: -layer[1]),
        worst_layers=content.layer_errors[:_SHOWN_LAYERS],
    )


def headline(content: CompressionContent) -> str:
    """Return the result in one sentence, on the test split if both models were measured on it."""
    edge, baseline = content.edge, content.baseline
    if edge is None:
        return f"{len(content.variants)} model variants, compared with {baseline.title}."
    split = "test" if {"test"} <= edge.accuracies.keys() & baseline.accuracies.keys() else content.split
    faster = times_text(_speedup(edge, baseline), "faster", "slower")
    smaller = times_text(baseline.size_bytes / edge.size_bytes, "smaller", "larger")
    drop = round(100 * (baseline.accuracies[split] - edge.accuracies[split]), 1)
    change = f"{'loses' if drop > 0 else 'gains'} {points(abs(drop))}" if drop else "is as accurate"
    return (
        f"The edge model is {faster} and {smaller} than the {KIND_NAMES[baseline.precision]} baseline, and {change} "
        f"on the {SPLIT_NAMES.get(split, split)} photos."
    )


def times_text(ratio: float, more: str, less: str) -> str:
    """Return a ratio in words: ``9.8 times faster``, ``17 times smaller``, ``no faster``."""
    times, word = (ratio, more) if ratio >= 1 else (1 / ratio, less)
    text = f"{times:.1f}" if round(times, 1) < 10 else f"{times:.0f}"
    return f"no {more}" if text == "1.0" else f"{text} times {word}"


class Tile(NamedTuple):
    """Figure of the edge model beside the baseline's."""

    name: str
    edge: str
    baseline: str


def _tiles(content: CompressionContent) -> list[Tile]:
    if content.edge is None:
        return []
    pair = content.edge, content.baseline
    name = f"Accuracy, {SPLIT_NAMES.get(content.split, content.split)}"
    return [
        Tile(name, *(percent(variant.accuracies[content.split]) for variant in pair)),
        Tile("Latency", *(f"{number_text(variant.latency_ms)} ms" for variant in pair)),
        Tile("File size", *(size_text(variant.size_bytes) for variant in pair)),
        Tile("Download size (gzip)", *(size_text(variant.gzip_bytes) for variant in pair)),
        Tile("Multiply-adds", *(f"{variant.macs / 1e6:,.1f} M" for variant in pair)),
    ]


class Row(NamedTuple):
    """Variant in the table of all models; ``change`` is its accuracy minus the baseline's, in points."""

    variant: Variant
    look: Look
    title: str
    precision: str
    change: str
    sparsity: float | None
    on_front: bool


def _rows(content: CompressionContent) -> list[Row]:
    front = {*_front(content, "latency_ms"), *_front(content, "size_bytes")}
    rows = []
    for index, (variant, look) in enumerate(zip(content.variants, looks(content.variants), strict=True)):
        precision = KIND_NAMES[variant.precision]
        rows.append(
            Row(
                variant=variant,
                look=look,
                title=variant.title.removesuffix(f", {precision}"),
                precision=precision,
                change="" if variant.baseline else signed_points(_gain(content, content.baseline, variant)),
                sparsity=variant.sparsity if variant.sparsity > _SHOWN_SPARSITY else None,
                on_front=index in front,
            )
        )
    return rows


def _distilled(content: CompressionContent) -> list[tuple[Variant, str]]:
    """Return teacher, student and distilled student, each with its gain over the student."""
    found = {v.network: v for v in content.variants if v.precision == "fp32"}
    if not {"student", "distilled"} <= found.keys():
        return []
    student = found["student"]
    return [
        (found[name], "" if name == "student" else signed_points(_gain(content, student, found[name])))
        for name in ("teacher", "student", "distilled")
        if name in found
    ]


def _downloads(content: CompressionContent) -> list[str]:
    """Return the effect of weight pruning and clustering, without promising speed."""
    pairs = {name: content.step(name, "int8", "fp32") for name in _DOWNLOAD_STEPS}
    return [_download_text(_DOWNLOAD_STEPS[name], *pair) for name, pair in pairs.items() if pair]


def _download_text(name: str, before: Variant, after: Variant) -> str:
    faster = before.latency_ms / after.latency_ms - 1
    speed = "unchanged" if abs(faster) < _SAME_LATENCY else "higher" if faster < 0 else "lower"
    share = 100 * after.gzip_bytes / before.gzip_bytes
    return (
        f"{name}, {KIND_NAMES[after.precision]}: gzip-compressed size {size_text(before.gzip_bytes)} → "
        f"{size_text(after.gzip_bytes)} ({share:.0f}%), latency {speed} ({number_text(before.latency_ms)} ms → "
        f"{number_text(after.latency_ms)} ms)."
    )


def _front(content: CompressionContent, cost: str) -> tuple[int, ...]:
    return pareto_front([(getattr(v, cost), v.accuracies[content.split]) for v in content.variants])


def _gain(content: CompressionContent, before: Variant, after: Variant) -> float:
    """Return the change in accuracy in percentage points, rounded to hide floating-point error."""
    return round(100 * (after.accuracies[content.split] - before.accuracies[content.split]), 2)


def _speedup(variant: Variant, baseline: Variant) -> float:
    return variant.speedup[0] if variant.speedup else baseline.latency_ms / variant.latency_ms
