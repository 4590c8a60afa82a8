from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.fuzz.outcome import Broken
from tests.hostile.fuzz.pictures import fuzz


@pytest.mark.parametrize(("seed", "count"), [(1, 400), pytest.param(2, 10_000, marks=pytest.mark.slow)])
def test_a_changed_picture_is_decoded_or_refused(seed: int, count: int, tmp_path: Path) -> None:
    became = list(fuzz(count=count, seed=seed, folder=tmp_path))
    assert [(broken.number, broken.how) for broken in became if isinstance(broken, Broken)] == []
    assert became.count("ran") > count / 10
    assert became.count("refused") > count / 5
