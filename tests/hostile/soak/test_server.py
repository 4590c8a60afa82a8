from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.soak.server import soak


@pytest.mark.slow
def test_a_server_that_is_asked_well_and_badly_holds_out(tiny_int8: Path) -> None:
    done = soak(tiny_int8, requests=6000, clients=32)
    # Large pictures move memory by tens of MiB for a moment, so only a long run can show whether it grows.
    assert [fault for fault in done.faults() if not fault.startswith("memory")] == []
    assert max(sample.rss_mib for sample in done.samples) < 400
    assert sum(done.kinds.values()) == 6000
    assert set(done.statuses) == {"200", "400", "401", "404", "408", "413", "415", "422", "none"}
    assert all(done.refused[reason] for reason in ("token", "malformed", "slow"))
