"""The soak test of the live loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.runtime import soak
from benchmarks.subjects.faults import Holdings


@pytest.mark.slow
def test_says_what_many_faults_leave(tiny_int8: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # After so few faults memory is still growing, so only frames, counters, threads and files are checked.
    soak.main([str(tiny_int8), "--faults", "200"])
    said = capsys.readouterr().out
    assert said.startswith("200 faults in ")
    assert "invented 0, classified again 0, stale 0, counted wrongly 0" in said
    assert "threads, +0 open files" in said


def test_growth_is_from_the_third_quarter_to_the_last() -> None:
    warming_up = [Holdings(memory, 9, 9) for memory in (10, 20, 30, 40)]
    third, last = [Holdings(50, 3, 7), Holdings(50, 3, 7)], [Holdings(52, 4, 7), Holdings(52, 4, 7)]
    assert Holdings.growth([*warming_up, *third, *last]) == Holdings(2, 1, 0)
