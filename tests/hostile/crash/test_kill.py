from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.crash.kill import TAG, Killer
from tests.hostile.crash.recipes import FEW_STAGES


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_models(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SOURCE_DATE_EPOCH", "XDG_CACHE_HOME", TAG):  # which the killer sets
            patch.setenv(name, "")
        killer = Killer(tmp_path, FEW_STAGES, photos=20, seed=1)
        while (left := 10 - killer.killed.total()) > 0:  # a kill may come just after the run has ended
            killer.run(left)
    assert killer.killed.total() == 10
    assert len(killer.killed) > 2
