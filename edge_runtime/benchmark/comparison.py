"""Two reports of the same benchmark, before and after a change: what got worse, and what is noise.

Where both have a baseline, the ratios to it are compared: they were taken within rounds, so they hold from one run to
the next. Without one, the latencies themselves are, which also drift with the room's temperature. Intervals are put
together on a logarithmic scale as those of independent runs (the square root of the sum of squares).
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
"""``"worse"`` and ``"better"``: the whole interval lies beyond the tolerance; ``"same"``: all of it lies within;
``"unclear"``: the runs were too noisy to tell."""

ACCURACY_TOLERANCE = 0.01


@dataclass(frozen=True)
class Estimate:
    """A positive figure and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Change:
    """One figure of one model, before and after.

    Attributes:
        model: Its name, the same in both reports.
        figure: Such as ``"inference, speed against m_fp32.tflite"``.
        before: In the first report.
        after: In the second.
        factor: After over before, with its 95% interval.
        verdict: What it means.
    """

    model: str
    figure: str
    before: float
    after: float
    factor: Estimate
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """What changed between two reports.

    Attributes:
        changes: For each model that both have.
        notes: What else is different: files, versions, rows that only one has.
    """

    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """What got worse."""
        return tuple(change for change in self.changes if change.verdict == "worse")


def read_report(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads what `edge-runtime benchmark --json` wrote.

    Raises:
        ReportError: There is no such file, or it is no report of this schema.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"Expected a benchmark's report at {path}, got: {error.strerror}.") from error
    except ValueError:
        values = None
    if not isinstance(values, dict) or not {"schema_version", "models", "machine"} <= values.keys():
        raise ReportError(f"Expected a report as 'edge-runtime benchmark --json' writes it, {path} is something else.")
    if values["schema_version"] != SCHEMA_VERSION:
        raise ReportError(
            f"Expected a report of schema {SCHEMA_VERSION}, {path} is of schema {values['schema_version']}. "
            "Measure again with this version."
        )
    return values


def compare_reports(
    before: Mapping[str, Any], after: Mapping[str, Any], *, tolerance: float = 0.03, force: bool = False
) -> Comparison:
    """Holds the second report against the first.

    Args:
        before: From `read_report` or `BenchmarkReport.to_dict`.
        after: The same.
        tolerance: A change that is smaller is nobody's business, however sure it is; runs of the same benchmark on the
            same machine agree within 0.03.
        force: Compare also what shouldn't be: other machines, invalid runs, other frames.

    Raises:
        ReportError: The two can't be compared, and the message says why.
    """
    problems = [*_problems(before, after)]
    if problems and not force:
        raise ReportError(f"Expected two runs that can be compared, but {'; '.join(problems)}. --force does it anyway.")
    old, new = ({model["name"]: model for model in report["models"]} for report in (before, after))
    common = [name for name in old if name in new]
    if not common:
        raise ReportError(
            f"Expected a model that both reports name, got {', '.join(old) or 'none'} and {', '.join(new) or 'none'}."
        )
    baseline = before["baseline"] if before["baseline"] == after["baseline"] else None
    changes = [change for name in common for change in _changes(name, old[name], new[name], baseline, tolerance)]
    notes = [*(f"Forced although {problem}." for problem in problems), *_notes(old, new, common)]
    return Comparison(tuple(changes), tuple(notes))


def factor_of(before: Estimate, after: Estimate) -> Estimate:
    """After over before: the factor and its 95% interval."""
    old, new = ([math.log(value) for value in (one.value, one.low, one.high)] for one in (before, after))
    middle = new[0] - old[0]
    down = math.hypot(new[0] - new[1], old[2] - old[0])
    up = math.hypot(new[2] - new[0], old[0] - old[1])
    return Estimate(math.exp(middle), math.exp(middle - down), math.exp(middle + up))


def judge(factor: Estimate, tolerance: float, *, more_is_better: bool) -> Verdict:
    """What a factor of change means.

    Args:
        factor: After over before.
        tolerance: What it has to be beyond, for example 0.03.
        more_is_better: Of a speed or an accuracy; not of a time.
    """
    if factor.low > 1 + tolerance:
        return "better" if more_is_better else "worse"
    if factor.high < 1 / (1 + tolerance):
        return "worse" if more_is_better else "better"
    return "same" if factor.low >= 1 / (1 + tolerance) and factor.high <= 1 + tolerance else "unclear"


def format_comparison(comparison: Comparison) -> str:
    """The comparison for a terminal."""
    lines = []
    for change in comparison.changes:
        word = change.verdict.upper() if change.verdict == "worse" else change.verdict
        factor = change.factor
        lines.append(
            f"{word:<7}  {change.model}: {change.figure}: {change.before:.3g} to {change.after:.3g}, "
            f"{factor.value:.3f} times ({factor.low:.3f}–{factor.high:.3f})"
        )
    count, unclear = len(comparison.regressions), sum(change.verdict == "unclear" for change in comparison.changes)
    verdict = f"{count} of {len(comparison.changes)} figures got worse." if count else "Nothing got measurably worse."
    if unclear:
        verdict += f" The runs were too noisy to tell of {unclear}: measure with --precision, or on a quieter machine."
    return "\n".join([*lines, "", *(f"Note: {note}" for note in comparison.notes), verdict])


def _problems(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for fact in ("board", "cpu", "architecture", "cores"):
        ours, theirs = before["machine"][fact], after["machine"][fact]
        if ours != theirs:
            yield f"they are of two machines ({fact} {ours} and {theirs})"
    for which, report in (("first", before), ("second", after)):
        if report["invalid"]:
            yield f"the {which} is marked invalid ({'; '.join(report['invalid'])})"
        if report["ended_by"] == "running":
            yield f"the {which} was kept from a run that hadn't ended"
    frames = [(report["frame_height"], report["frame_width"]) for report in (before, after)]
    if frames[0] != frames[1]:
        yield f"they classified frames of {frames[0][1]}×{frames[0][0]} and {frames[1][1]}×{frames[1][0]} pixels"
    old, new = ({model["name"]: model for model in report["models"]} for report in (before, after))
    for name in old.keys() & new.keys():
        one, other = old[name], new[name]
        for what in ("input_height", "input_width", "classes"):
            if one[what] != other[what]:
                yield f"{name} isn't for the same task in both (its {what.replace('_', ' ')} changed)"


def _changes(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any], baseline: str | None, tolerance: float
) -> Iterator[Change]:
    for part in ("inference", "pipeline"):
        ratios = (old[f"{part}_speedup"], new[f"{part}_speedup"])
        if baseline is not None and name != baseline and all(ratios):
            pair = [Estimate(ratio["ratio"], ratio["low"], ratio["high"]) for ratio in ratios]
            figure, more_is_better = f"{part}, speed against {baseline}", True
        elif baseline is None:
            times = (old[part], new[part])
            pair = [Estimate(time["p50_ms"], time["low_ms"], time["high_ms"]) for time in times]
            figure, more_is_better = f"{part}, p50 in ms", False
        else:
            continue  # of the baseline itself: what the others are measured by
        factor = factor_of(*pair)
        verdict = judge(factor, tolerance, more_is_better=more_is_better)
        yield Change(name, figure, pair[0].value, pair[1].value, factor, verdict)
    accuracies = (old["accuracy"], new["accuracy"])
    if not all(accuracies) or accuracies[0]["source"] != accuracies[1]["source"]:
        return
    if min(one["value"] for one in accuracies) > 0 and accuracies[0]["value"] != accuracies[1]["value"]:
        # On the same photos two models err on mostly the same ones, so these intervals are wider than need be.
        pair = [Estimate(one["value"], max(one["low"], 1e-6), one["high"]) for one in accuracies]
        factor = factor_of(*pair)
        verdict = judge(factor, ACCURACY_TOLERANCE, more_is_better=True)
        yield Change(name, f"accuracy, {accuracies[0]['source']}", pair[0].value, pair[1].value, factor, verdict)


def _notes(old: Mapping[str, Any], new: Mapping[str, Any], common: list[str]) -> Iterator[str]:
    for name in common:
        one, other = old[name], new[name]
        if one["sha256"] != other["sha256"]:
            yield f"{name} is another model in the second report ({one['sha256'][:12]} and {other['sha256'][:12]})."
        backends = [
            f"{model['backend']['name']} {model['backend']['version']}, threads: {model['backend']['num_threads']}, "
            f"INT8 kernels {model['backend']['int8_kernels']}"
            for model in (one, other)
        ]
        if backends[0] != backends[1]:
            yield f"{name} was run by {backends[0]}, then by {backends[1]}."
    for which, names in (("first", [*old]), ("second", [*new])):
        alone = [name for name in names if name not in common]
        if alone:
            yield f"Only the {which} has {', '.join(alone)}."
