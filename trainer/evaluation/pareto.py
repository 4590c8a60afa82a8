"""The Pareto front of cost and value."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return the indices of the points that no other point beats, by rising cost; of equal points, the first.

    Args:
        points: Cost (lower is better) and value (higher is better) of each point.
    """
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return tuple(front)
