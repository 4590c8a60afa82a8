from __future__ import annotations

from pathlib import Path

import pytest

import edge_runtime
from tests.hostile.fuzz.models import Seed, fuzz
from tests.hostile.fuzz.outcome import Broken

SELFTEST = Path(edge_runtime.__file__).with_name("inference") / "selftest_int8.tflite"


@pytest.mark.parametrize(("seed", "count"), [(1, 250), pytest.param(2, 4000, marks=pytest.mark.slow)])
def test_a_changed_model_runs_or_is_refused(
    seed: int, count: int, tiny_int8: Path, tiny_fp32: Path, tmp_path: Path
) -> None:
    seeds = [Seed.read(path) for path in (tiny_int8, tiny_fp32, SELFTEST)]
    became = list(fuzz(seeds, count=count, seed=seed, folder=tmp_path))
    assert [(broken.number, broken.how) for broken in became if isinstance(broken, Broken)] == []
    assert became.count("ran") > count / 5
    assert became.count("refused") > count / 5
