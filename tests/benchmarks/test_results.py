"""Stored results, and the tables in README."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.figure import Figure
from benchmarks.harness.pairs import median_interval, ratio, take_turns
from benchmarks.harness.results import FOLDER, Measurement, Results, default_path, describe, read, write
from benchmarks.runtime.arm_counts import UNIT, WAYS, figure_name
from benchmarks.table import END, START, figures_table, render, render_pages, render_runs, replace_between_markers


def _figure(value: float = 0.98, **changes: object) -> Figure:
    return Figure("startup.time", "Time to first result", value, "×", "0.50 s against 0.51 s", **changes)  # type: ignore[arg-type]


def test_both_pages_show_what_the_stored_results_say() -> None:
    assert list(FOLDER.glob("*.json"))
    pages = render_pages()
    assert len(pages) == 2
    for page, text in pages.items():
        assert page.read_text(encoding="utf-8") == text, "run: python -m benchmarks --render"


def test_a_measurement_tells_when_it_was_made_and_how_many_targets_it_met() -> None:
    figures = (
        _figure(0.9, at_most=1.0),
        _figure(1.1, at_most=1.0),
        _figure(1.1, at_most=1.0, low=0.9, high=1.2),
        _figure(),
    )
    made = Measurement("2026-01-02", 0.3, {"python": "3.11.1"}, figures)
    assert render_runs(Results("a machine", {"startup": made})).endswith(
        "| `startup` | 2026-01-02 | 0.3 | 4 | 1 of 3 (1 not, 1 unclear) | python 3.11.1 |"
    )


def test_only_what_depends_on_the_processor_is_kept_in_its_file() -> None:
    here, accuracies, counts = (default_path(name) for name in ("live", "seeds", "arm_counts"))
    assert len({here, accuracies, counts}) == 3
    assert default_path("transfer") == accuracies
    assert describe(accuracies).startswith("Accuracies")
    assert describe(counts).startswith("Emulated")
    assert " cores" in describe(here)


def test_stored_results_have_no_paths_of_a_machine() -> None:
    for path in FOLDER.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not any(place in text for place in ("/home/", "/work/", "/tmp/", "/root/"))


@pytest.mark.parametrize(
    ("changes", "target", "met"),
    [
        ({"at_most": 1.0}, "≤ 1×", "yes"),
        ({"at_most": 0.9}, "≤ 0.9×", "no"),
        ({"at_most": 0.97, "low": 0.96, "high": 1.0}, "≤ 0.97×", "within the interval"),
        ({"at_least": 1.0, "low": 0.96, "high": 1.01}, "≥ 1×", "within the interval"),
        ({"at_least": 1.0, "low": 0.96, "high": 0.99}, "≥ 1×", "no"),
        ({}, "", ""),
    ],
)
def test_a_figure_says_whether_it_keeps_its_target(changes: dict[str, float], target: str, met: str) -> None:
    figure = _figure(**changes)
    assert (figure.target, figure.met) == (target, met)


def test_results_come_back_from_their_file_with_the_new_measurement_in_its_place(tmp_path: Path) -> None:
    old = Measurement("2026-01-01", 0.1, {"python": "3.11.0"}, (_figure(2.0),))
    new = Measurement("2026-01-02", None, {"python": "3.11.1"}, (_figure(0.5, at_most=1.15, low=0.4, high=0.6),))
    order = ("first", "second")
    results = Results("a machine").with_measurement("second", old, order).with_measurement("first", old, order)
    results = results.with_measurement("second", new, order)
    write(results, tmp_path / "machine.json")
    assert read(tmp_path / "machine.json") == results
    assert list(results.measurements.items()) == [("first", old), ("second", new)]
    assert [path.name for path in tmp_path.iterdir()] == ["machine.json"]


def test_the_table_names_machine_versions_dates_and_the_command_of_each_figure() -> None:
    figures = (_figure(12.345, low=11.04, high=13.0, at_least=8.0), _figure(0.98765))
    results = Results("a machine", {"startup": Measurement("2026-01-02", 0.0, {"python": "3.11.1"}, figures)})
    table = render(results)
    assert table.startswith("a machine; python 3.11.1; measured 2026-01-02:\n\n| What |")
    conditions = "0.50 s against 0.51 s | `python -m benchmarks startup` |"
    assert table.endswith(
        f"| Time to first result | 12.3× (11.0–13.0) | ≥ 8× | yes | {conditions}\n"
        f"| Time to first result | 0.99× |  |  | {conditions}"
    )


def test_only_what_is_between_the_markers_is_replaced() -> None:
    table = figures_table([_figure()])
    page = replace_between_markers(f"before\n{START}\nold \\1\n{END}\nafter\n", table)
    assert page == f"before\n{START}\n{table}\n{END}\nafter\n"
    assert replace_between_markers(page, table) == page
    with pytest.raises(ValueError, match="needs exactly one"):
        replace_between_markers("no markers", table)


def test_turns_are_paired_and_warm_up_is_left_out() -> None:
    seen: list[str] = []

    def contender(name: str, value: float) -> float:
        seen.append(name)
        return value * len(seen)

    samples = take_turns("test", {"a": lambda: contender("a", 2), "b": lambda: contender("b", 1)}, rounds=30, warmup=2)
    pairs = [tuple(sorted(seen[start : start + 2])) for start in range(0, len(seen), 2)]
    assert pairs == [("a", "b")] * 32
    assert {tuple(seen[start : start + 2]) for start in range(0, len(seen), 2)} == {("a", "b"), ("b", "a")}
    assert [len(values) for values in samples.values()] == [30, 30]
    assert min(samples["a"]) > 2 * 4
    assert ratio(samples["a"], samples["b"]).value == pytest.approx(2, rel=0.3)


def test_the_interval_of_a_median_covers_it_as_often_as_it_says() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    intervals = [median_interval(rng.exponential(1.0, 40).tolist()) for _ in range(500)]
    covered = np.mean([one.low <= np.log(2) <= one.high for one in intervals])
    assert 0.92 <= covered <= 0.99


def test_counts_have_a_table_of_their_own_with_the_share_of_fp32() -> None:
    figures = [
        Figure(figure_name(way.name, "cortex-a72", "mobilenet_v2_1.0"), "Instructions", float(100 + number), UNIT, "")
        for number, way in enumerate(WAYS)
    ]
    results = Results("emulated", {"arm_counts": Measurement("2026-01-02", None, {}, tuple(figures))})
    assert render(results).endswith(
        "| MobileNetV2 1.0, Cortex-A72 | 100.0 | 101.0 (1.01×) | 102.0 (1.02×) | 103.0 | 104.0 (1.01×) |"
    )
    assert "| Instructions |" in figures_table(figures)
    assert "| Instructions |" not in render(results)
