"""Stored answers of a long measurement are reused until they are discarded."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness import results
from benchmarks.subjects import answers


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(answers, "WORK", tmp_path / "work")


def test_an_answer_is_found_once_for_each_case(capsys: pytest.CaptureFixture[str]) -> None:
    found = [answers.remembered("scale", case, False, lambda case=case: {"of": case}) for case in "aba"]

    assert found == [{"of": "a"}, {"of": "b"}, {"of": "a"}]
    assert capsys.readouterr().err.count("scale") == 2


def test_a_quick_look_does_not_count_for_the_results() -> None:
    answers.remembered("scale", "a", True, lambda: {"photos": 5})

    assert answers.remembered("scale", "a", False, lambda: {"photos": 500}) == {"photos": 500}


def test_what_is_forgotten_is_measured_again_and_the_rest_stays() -> None:
    for measurement in ("scale", "scale_large"):
        answers.remembered(measurement, "a", False, lambda: {"round": 1})

    answers.forget("scale", quick=False)

    assert answers.remembered("scale", "a", False, lambda: {"round": 2}) == {"round": 2}
    assert answers.remembered("scale_large", "a", False, lambda: {"round": 2}) == {"round": 1}


def test_a_measurement_that_fails_leaves_no_answer() -> None:
    def fail() -> dict[str, int]:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        answers.remembered("scale", "a", False, fail)

    assert answers.remembered("scale", "a", False, lambda: {"round": 2}) == {"round": 2}
