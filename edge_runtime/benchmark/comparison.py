"""Compare two reports of the same benchmark, before and after a change, and tell regressions from noise.

If both reports have the same baseline, the speedups over it are compared. They were measured within rounds, so they
are reproducible from run to run. Without a baseline, latencies are compared, which also drift with the temperature.
The intervals of the two runs are combined on a logarithmic scale as independent errors (root of the sum of squares).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_runtime.benchmark.report import SCHEMA_VERSION
from edge_runtime.errors import ReportError

Verdict = Literal["worse", "better", "same", "unclear"]
"""``"worse"`` and ``"better"``: the whole interval is outside the tolerance; ``"same"``: the whole interval is inside;
``"unclear"``: the runs were too noisy to tell."""

ACCURACY_TOLERANCE = 0.01
"""Relative change in accuracy that is ignored."""


@dataclass(frozen=True)
class Estimate:
    """A positive figure with its 95% confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Change:
    """One figure of one model, before and after.

    Attributes:
        model: Name of the model, the same in both reports.
        figure: Description of the figure, such as ``"inference speedup over m_fp32.tflite"``.
        before: Value in the first report.
        after: Value in the second report.
        factor: Ratio of after to before, with its 95% interval.
        verdict: Classification of the change.
    """

    model: str
    figure: str
    before: float
    after: float
    factor: Estimate
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """Differences between two reports.

    Attributes:
        changes: Changed and unchanged figures of the models that both reports contain.
        notes: Other differences: model files, backend versions, models in only one of the reports.
    """

    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """Changes for the worse."""
        return tuple(change for change in self.changes if change.verdict == "worse")


def read_report(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a report that `edge-runtime benchmark --json` wrote.

    Raises:
        ReportError: The file cannot be read, or is not a report of the current schema.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"Cannot read the benchmark report {path}: {error.strerror}.") from error
    except ValueError:
        values = None
    if not isinstance(values, dict) or not {"schema_version", "models", "machine"} <= values.keys():
        raise ReportError(f"{path} is not a benchmark report. Create one with 'edge-runtime benchmark --json FILE'.")
    if values["schema_version"] != SCHEMA_VERSION:
        raise ReportError(
            f"{path} has report schema {values['schema_version']}; this version reads schema {SCHEMA_VERSION}. "
            "Run the benchmark again with this version."
        )
    return values


def compare_reports(
    before: Mapping[str, Any], after: Mapping[str, Any], *, tolerance: float = 0.03, force: bool = False
) -> Comparison:
    """Compare the second report with the first.

    Args:
        before: Report from `read_report` or `BenchmarkReport.to_dict`.
        after: Report of the same benchmark after the change.
        tolerance: Relative change in speed to ignore, default 0.03. Repeated runs on one machine agree within 0.03.
        force: If True, also compare reports of different machines, invalid runs or different frame sizes.

    Raises:
        ReportError: The reports are not comparable; the message says why.
    """
    problems = [*_problems(before, after)]
    if problems and not force:
        raise ReportError(
            f"The two reports are not comparable: {'; '.join(problems)}. Compare anyway with --force (force=True)."
        )
    old, new = ({model["name"]: model for model in report["models"]} for report in (before, after))
    common = [name for name in old if name in new]
    if not common:
        raise ReportError(
            f"The two reports have no model in common: {', '.join(old) or 'none'} and {', '.join(new) or 'none'}. "
            "Models are matched by name; measure the same file names twice."
        )
    baseline = before["baseline"] if before["baseline"] == after["baseline"] else None
    changes = [change for name in common for change in _changes(name, old[name], new[name], baseline, tolerance)]
    notes = [*(f"Compared despite: {problem}." for problem in problems), *_notes(old, new, common)]
    return Comparison(tuple(changes), tuple(notes))


def factor_of(before: Estimate, after: Estimate) -> Estimate:
    """Return the ratio of after to before, with its 95% interval."""
    old, new = ([math.log(value) for value in (one.value, one.low, one.high)] for one in (before, after))
    middle = new[0] - old[0]
    down = math.hypot(new[0] - new[1], old[2] - old[0])
    up = math.hypot(new[2] - new[0], old[0] - old[1])
    return Estimate(math.exp(middle), math.exp(middle - down), math.exp(middle + up))


def judge(factor: Estimate, tolerance: float, *, more_is_better: bool) -> Verdict:
    """Classify a change.

    Args:
        factor: Ratio of after to before.
        tolerance: Relative change to ignore, for example 0.03.
        more_is_better: True for a speed or an accuracy, False for a time.
    """
    if factor.low > 1 + tolerance:
        return "better" if more_is_better else "worse"
    if factor.high < 1 / (1 + tolerance):
        return "worse" if more_is_better else "better"
    return "same" if factor.low >= 1 / (1 + tolerance) and factor.high <= 1 + tolerance else "unclear"


def format_comparison(comparison: Comparison) -> str:
    """Format the comparison for a terminal."""
    lines = []
    for change in comparison.changes:
        word = change.verdict.upper() if change.verdict == "worse" else change.verdict
        factor = change.factor
        lines.append(
            f"{word:<7}  {change.model}: {change.figure}: {change.before:.3g} → {change.after:.3g}, "
            f"{factor.value:.3f}× ({factor.low:.3f}–{factor.high:.3f})"
        )
    count, unclear = len(comparison.regressions), sum(change.verdict == "unclear" for change in comparison.changes)
    verdict = f"{count} of {len(comparison.changes)} figures regressed." if count else "No measurable regression."
    if unclear:
        verdict += (
            f" {unclear} unclear, because the runs were too noisy: "
            "run the benchmark with --precision, or on a quieter machine."
        )
    return "\n".join([*lines, "", *(f"Note: {note}" for note in comparison.notes), verdict])


def _problems(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for fact in ("board", "cpu", "architecture", "cores"):
        ours, theirs = before["machine"][fact], after["machine"][fact]
        if ours != theirs:
            yield f"they come from different machines ({fact} {ours} and {theirs})"
    for which, report in (("first", before), ("second", after)):
        if report["invalid"]:
            yield f"the {which} is marked invalid ({'; '.join(report['invalid'])})"
        if report["ended_by"] == "running":
            yield f"the {which} was saved by a run that did not finish"
    frames = [(report["frame_height"], report["frame_width"]) for report in (before, after)]
    if frames[0] != frames[1]:
        yield f"their frame sizes differ ({frames[0][1]}×{frames[0][0]} and {frames[1][1]}×{frames[1][0]} pixels)"
    old, new = ({model["name"]: model for model in report["models"]} for report in (before, after))
    for name in old.keys() & new.keys():
        one, other = old[name], new[name]
        for what in ("input_height", "input_width", "classes"):
            if one[what] != other[what]:
                yield f"{name} does not solve the same task in both (different {what.replace('_', ' ')})"


def _changes(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any], baseline: str | None, tolerance: float
) -> Iterator[Change]:
    for part in ("inference", "pipeline"):
        ratios = (old[f"{part}_speedup"], new[f"{part}_speedup"])
        if baseline is not None and name != baseline and all(ratios):
            pair = [Estimate(ratio["ratio"], ratio["low"], ratio["high"]) for ratio in ratios]
            figure, more_is_better = f"{part} speedup over {baseline}", True
        elif baseline is None:
            times = (old[part], new[part])
            pair = [Estimate(time["p50_ms"], time["low_ms"], time["high_ms"]) for time in times]
            figure, more_is_better = f"{part} p50 (ms)", False
        else:
            continue  # the baseline is the reference and has no speedup of its own
        factor = factor_of(*pair)
        verdict = judge(factor, tolerance, more_is_better=more_is_better)
        yield Change(name, figure, pair[0].value, pair[1].value, factor, verdict)
    accuracies = (old["accuracy"], new["accuracy"])
    if not all(accuracies) or accuracies[0]["source"] != accuracies[1]["source"]:
        return
    if min(one["value"] for one in accuracies) > 0 and accuracies[0]["value"] != accuracies[1]["value"]:
        # Two models often misclassify the same photos, so independent intervals are wider than necessary.
        pair = [Estimate(one["value"], max(one["low"], 1e-6), one["high"]) for one in accuracies]
        factor = factor_of(*pair)
        verdict = judge(factor, ACCURACY_TOLERANCE, more_is_better=True)
        yield Change(name, f"accuracy ({accuracies[0]['source']})", pair[0].value, pair[1].value, factor, verdict)


def _notes(old: Mapping[str, Any], new: Mapping[str, Any], common: list[str]) -> Iterator[str]:
    for name in common:
        one, other = old[name], new[name]
        if one["sha256"] != other["sha256"]:
            yield f"{name} is a different file in the second report ({one['sha256'][:12]} and {other['sha256'][:12]})."
        backends = [
            f"{model['backend']['name']} {model['backend']['version']}, threads: {model['backend']['num_threads']}, "
            f"INT8 kernels {model['backend']['int8_kernels']}"
            for model in (one, other)
        ]
        if backends[0] != backends[1]:
            yield f"{name} ran with {backends[0]}, then with {backends[1]}."
    for which, names in (("first", [*old]), ("second", [*new])):
        alone = [name for name in names if name not in common]
        if alone:
            yield f"Only the {which} report contains {', '.join(alone)}."
