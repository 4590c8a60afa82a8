"""The Pareto front: what its definition says, for any points."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluation.pareto import pareto_front

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)  # few values, so that many are equal


def beats(one, other) -> bool:
    """At most as costly, at least as good, and not the same."""
    return one[0] <= other[0] and one[1] >= other[1] and one != other


def test_only_what_nothing_beats_is_on_the_front():
    assert pareto_front([(3.4, 91.6), (0.6, 87.1), (0.4, 89.3), (0.3, 88.7)]) == (3, 2, 0)
    assert pareto_front([]) == ()


@given(POINTS)
def test_none_on_the_front_is_beaten_and_all_others_are_or_are_equal_to_one_before(points):
    front = pareto_front(points)
    assert not any(beats(point, points[index]) for index in front for point in points)
    for index in set(range(len(points))) - set(front):
        assert any(beats(points[i], points[index]) or (points[i] == points[index] and i < index) for i in front)


@given(POINTS)
def test_along_the_front_cost_and_value_rise(points):
    front = [points[index] for index in pareto_front(points)]
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(front))


@given(POINTS, st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_the_order(points, random):
    shuffled = random.sample(points, len(points))
    assert [points[i] for i in pareto_front(points)] == [shuffled[i] for i in pareto_front(shuffled)]
