"""Percentiles and intervals say what the times say, in whichever order they came."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.benchmark import Speedup
from edge_runtime.benchmark.timing.statistics import share_interval, speedup, summarize

TIMES = st.lists(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=4), min_size=1, max_size=12)


class TestStatistics:
    def test_percentiles(self) -> None:
        timing = summarize([[float(value) for value in range(1, 102)]])
        assert (timing.count, timing.min_ms, timing.p50_ms, timing.p90_ms, timing.p99_ms) == (101, 1, 51, 91, 100)

    def test_a_true_ratio_is_found_through_noise_that_hits_both(self) -> None:
        rng = np.random.default_rng(0)
        noise = 1 + rng.exponential(0.5, (4, 25))
        fast = (2.0 * noise * rng.normal(1, 0.02, noise.shape)).tolist()
        slow = (3.0 * noise * rng.normal(1, 0.02, noise.shape)).tolist()
        found = speedup(fast, slow, seed=1)
        assert found.ratio == pytest.approx(1.5, rel=0.03)
        assert 1.4 < found.low < 1.5 < found.high < 1.6
        assert speedup(fast, slow, seed=1) == found

    def test_neither_a_noisy_neighbour_nor_an_unlucky_process_changes_the_ratio(self) -> None:
        rng = np.random.default_rng(0)

        def costs(ms: float, *, hurt_by: float, unlucky: int) -> list[list[float]]:
            # The neighbour is busy during three of four turns, and costs one model more than the other.
            quiet = ms * rng.normal(1, 0.003, (6, 12))
            quiet[unlucky] *= 1.15
            return np.where(rng.random(quiet.shape) < 0.75, hurt_by * quiet, quiet).tolist()  # type: ignore[no-any-return]

        found = speedup(costs(2.0, hurt_by=1.6, unlucky=1), costs(3.0, hurt_by=1.2, unlucky=4))
        assert found.ratio == pytest.approx(1.5, rel=0.02)

    @given(TIMES, st.floats(0.05, 20))
    def test_a_constant_ratio_is_found_exactly(self, turns: list[list[float]], factor: float) -> None:
        slower = [[factor * ms for ms in turn] for turn in turns]
        found = speedup(turns, slower)
        assert found.ratio == pytest.approx(factor)
        assert found.low == pytest.approx(factor)
        assert found.high == pytest.approx(factor)

    @given(TIMES, st.randoms(use_true_random=False))
    def test_the_order_of_rounds_does_not_matter(self, turns: list[list[float]], order: random.Random) -> None:
        shuffled = order.sample(turns, len(turns))
        one, other = summarize(turns), summarize(shuffled)
        assert (one.p50_ms, one.low_ms, one.high_ms) == (other.p50_ms, other.low_ms, other.high_ms)
        assert one.mean_ms == pytest.approx(other.mean_ms)
        costs = [ms for turn in turns for ms in turn]
        base = [[1.0] * len(costs)]
        assert speedup([costs], base) == speedup([order.sample(costs, len(costs))], base)

    @given(TIMES)
    def test_an_interval_holds_its_median(self, turns: list[list[float]]) -> None:
        timing = summarize(turns)
        assert timing.min_ms <= timing.low_ms <= timing.p50_ms <= timing.high_ms
        found = speedup(turns, turns)
        assert (found.low, found.ratio, found.high) == (1, 1, 1)

    @given(st.integers(1, 5000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
    def test_the_interval_of_a_share_holds_it(self, case: tuple[int, int]) -> None:
        low, high = share_interval(*case)
        assert 0 <= low <= case[0] / case[1] + 1e-12
        assert case[0] / case[1] - 1e-12 <= high <= 1
        mirrored = share_interval(case[1] - case[0], case[1])
        assert mirrored == pytest.approx((1 - high, 1 - low))

    @pytest.mark.parametrize(
        ("speedup", "verdict"),
        [
            (Speedup(1.8, 1.7, 1.9), "faster than"),
            (Speedup(0.7, 0.6, 0.8), "slower than"),
            (Speedup(1.1, 0.9, 1.3), "not measurably faster or slower than"),
        ],
    )
    def test_nothing_is_claimed_that_the_interval_does_not_carry(self, speedup: Speedup, verdict: str) -> None:
        assert speedup.verdict == verdict
