"""Comparing two reports tells regressions from noise, and refuses what can't be compared."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.benchmark import benchmark
from edge_runtime.benchmark.comparison import Estimate, compare_reports, factor_of, format_comparison, judge
from edge_runtime.cli.main import main
from edge_runtime.errors import ReportError

Report = dict[str, Any]
MIRRORED = {"worse": "better", "better": "worse", "same": "same", "unclear": "unclear"}


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    value = draw(st.floats(0.01, 1e4))
    return Estimate(value, value * draw(st.floats(0.5, 1)), value * draw(st.floats(1, 2)))


@pytest.fixture(scope="module")
def measured(tiny_int8: Path, tiny_fp32: Path) -> Report:
    return benchmark([tiny_int8], baseline=tiny_fp32, rounds=3, warmup=0, num_threads=1).to_dict()


@pytest.fixture
def report(measured: Report) -> Report:
    """With figures as of a quiet machine: the tests change them."""
    values = json.loads(json.dumps(measured))
    values["invalid"] = []
    for model in values["models"]:
        for part in ("inference", "pipeline"):
            model[part] |= {"p50_ms": 2.0, "low_ms": 1.99, "high_ms": 2.01}
            if model[f"{part}_speedup"]:
                model[f"{part}_speedup"] = {"ratio": 3.0, "low": 2.98, "high": 3.02}
    return values


def slower(report: Report, factor: float) -> Report:
    """The same, with the INT8 model slower by a factor."""
    changed = copy.deepcopy(report)
    for part in ("inference", "pipeline"):
        for name in ("ratio", "low", "high"):
            changed["models"][0][f"{part}_speedup"][name] /= factor
        for name in ("p50_ms", "low_ms", "high_ms"):
            changed["models"][0][part][name] *= factor
    return changed


def test_a_report_is_the_same_as_itself(report: Report) -> None:
    found = compare_reports(report, report)
    assert {change.verdict for change in found.changes} == {"same"}
    assert found.regressions == found.notes == ()
    # The baseline is the reference and has no figure of its own.
    assert {change.model for change in found.changes} == {report["models"][0]["name"]}


@pytest.mark.parametrize(("factor", "verdict"), [(1.2, "worse"), (0.8, "better"), (1.01, "same"), (1.03, "unclear")])
@pytest.mark.parametrize("with_baseline", [True, False])
def test_only_what_is_sure_and_matters_is_a_regression(
    report: Report, factor: float, verdict: str, with_baseline: bool
) -> None:
    before, after = copy.deepcopy(report), slower(report, factor)
    if not with_baseline:
        before["baseline"] = after["baseline"] = None
    found = compare_reports(before, after)
    speeds = [change for change in found.changes if change.model == report["models"][0]["name"]]
    assert [change.verdict for change in speeds] == [verdict] * 2
    assert len(found.regressions) == (2 if verdict == "worse" else 0)


def test_a_large_change_of_noisy_runs_is_unclear(report: Report) -> None:
    after = slower(report, 1.2)
    for part in ("inference", "pipeline"):
        after["models"][0][f"{part}_speedup"]["high"] = 3.1
    found = compare_reports(report, after)
    assert {change.verdict for change in found.changes} == {"unclear"}
    assert "2 unclear, because the runs were too noisy" in format_comparison(found)


def test_a_lower_accuracy_is_a_regression_where_there_were_enough_photos(report: Report) -> None:
    after = copy.deepcopy(report)
    accuracy = {"value": 0.9, "source": "measured", "low": 0.89, "high": 0.91}
    report["models"][0]["accuracy"] = accuracy
    after["models"][0]["accuracy"] = {**accuracy, "value": 0.8, "low": 0.79, "high": 0.81}
    (change,) = compare_reports(report, after).regressions
    assert change.figure == "accuracy (measured)"
    after["models"][0]["accuracy"] = {**accuracy, "value": 0.88, "low": 0.84, "high": 0.92}
    assert compare_reports(report, after).regressions == ()


@given(estimates(), estimates(), st.floats(0.001, 0.5))
def test_the_other_way_round_is_the_opposite(before: Estimate, after: Estimate, tolerance: float) -> None:
    there, back = factor_of(before, after), factor_of(after, before)
    assert there.value == pytest.approx(1 / back.value)
    assert there.low == pytest.approx(1 / back.high)
    assert there.high == pytest.approx(1 / back.low)
    assert there.low <= there.value * (1 + 1e-9)
    assert there.value <= there.high * (1 + 1e-9)
    # Not where rounding decides.
    edges = (1 + tolerance, 1 / (1 + tolerance))
    if all(abs(end / edge - 1) > 1e-9 for end in (there.low, there.high) for edge in edges):
        verdicts = [judge(factor, tolerance, more_is_better=True) for factor in (there, back)]
        assert verdicts[1] == MIRRORED[verdicts[0]]
        assert judge(there, tolerance, more_is_better=False) == verdicts[1]


@given(estimates())
def test_a_sure_figure_held_against_itself_changes_by_nothing(estimate: Estimate) -> None:
    sure = Estimate(estimate.value, estimate.value, estimate.value)
    assert factor_of(sure, sure) == Estimate(1, 1, 1)


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda report: report["machine"].update(cpu="Cortex-A76"), "different machines"),
            (lambda report: report.update(invalid=["it ran on its battery"]), "marked invalid"),
            (lambda report: report.update(frame_height=1080), "frame sizes differ"),
            (lambda report: report.update(ended_by="running"), "did not finish"),
            (lambda report: report["models"][0].update(classes=["a", "b"]), "does not solve the same task"),
        ],
    )
    def test_what_cannot_be_compared_is_refused_and_can_be_forced(
        self, report: Report, change: Any, words: str
    ) -> None:
        other = copy.deepcopy(report)
        change(other)
        for pair in ((report, other), (other, report)):
            with pytest.raises(ReportError, match=words):
                compare_reports(*pair)
            assert any(words in note for note in compare_reports(*pair, force=True).notes)

    def test_reports_without_a_common_model_have_nothing_to_compare(self, report: Report) -> None:
        other = copy.deepcopy(report)
        for model in other["models"]:
            model["name"] = "other " + model["name"]
        with pytest.raises(ReportError, match="no model in common"):
            compare_reports(report, other)

    def test_what_changed_besides_is_noted(self, report: Report) -> None:
        other = copy.deepcopy(report)
        other["models"][0]["sha256"] = "0" * 64
        other["models"][1]["backend"]["version"] = "9.9"
        other["models"].append({**copy.deepcopy(other["models"][0]), "name": "new.tflite"})
        notes = compare_reports(report, other).notes
        assert "is a different file" in notes[0]
        assert "9.9" in notes[1]
        assert notes[2] == "Only the second report contains new.tflite."


class TestCommand:
    @pytest.fixture
    def files(self, report: Report, tmp_path: Path) -> tuple[Path, Path]:
        before, after = tmp_path / "a.json", tmp_path / "b.json"
        before.write_text(json.dumps(report))
        after.write_text(json.dumps(slower(report, 1.2)))
        return before, after

    def test_has_an_exit_status_for_a_regression(
        self, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        before, after = map(str, files)
        assert main(["compare", before, before]) == 0
        assert "No measurable regression." in capsys.readouterr().out
        assert main(["compare", before, after]) == 3
        assert "WORSE" in capsys.readouterr().out
        assert main(["compare", after, before]) == 0
        assert main(["compare", before, after, "--tolerance", "30"]) == 0
        capsys.readouterr()
        assert main(["compare", before, after, "--json"]) == 3
        assert json.loads(capsys.readouterr().out)["changes"][0]["verdict"] == "worse"

    @pytest.mark.parametrize(
        ("text", "words"),
        [(text, "is not a benchmark report") for text in ("no JSON", "[]", "{}")],
    )
    def test_another_file_is_an_error(
        self, files: tuple[Path, Path], text: str, words: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files[1].write_text(text)
        assert main(["compare", *map(str, files)]) == 1
        assert words in capsys.readouterr().err

    def test_a_missing_file_and_another_schema_are_errors(
        self, files: tuple[Path, Path], report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["compare", str(files[0]), str(tmp_path / "none.json")]) == 1
        assert "No such file" in capsys.readouterr().err
        files[1].write_text(json.dumps({**report, "schema_version": 1}))
        assert main(["compare", *map(str, files)]) == 1
        assert "has report schema 1;" in capsys.readouterr().err
