"""Decisions where a frame may show several classes: each enters and leaves by itself, at its own threshold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.decision import Decider, DecisionRules, allowed_classes
from edge_runtime.errors import RulesError
from edge_runtime.types import Decision

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class MultiLabelDecider:
    """Makes decisions of one stream's predictions, of all the classes that are in view.

    A class enters at its threshold, in the place of ``rules.enter``, and leaves below the same share of it that
    ``rules.leave`` is of ``rules.enter``.

    Args:
        labels: Of the model's classes, by index.
        thresholds: The least score with which each counts as there, 0–1.
        rules: Smoothing, dwell and classes that can be decided. A margin and a majority, which compare classes with one
            another, have no meaning here.

    Raises:
        RulesError: The rules name a class that isn't there, leave none, or compare classes.
    """

    def __init__(self, labels: Sequence[str], thresholds: Sequence[float], rules: DecisionRules) -> None:
        if rules.margin or rules.smoothing == "majority":
            what = f"a margin of {rules.margin:g}" if rules.margin else "smoothing by majority"
            raise RulesError(
                f"Expected no rules that compare classes for a model that may find several at once, got {what}. "
                "Leave it out."
            )
        share = rules.leave / rules.enter if rules.enter else 1.0
        self._labels = tuple(labels)
        self._deciders = {
            index: Decider(
                (labels[index],),
                replace(rules, enter=thresholds[index], leave=share * thresholds[index], allow=(), deny=()),
            )
            for index in allowed_classes(labels, rules)
        }
        self._since: float | None = None

    def update(self, scores: NDArray[np.float32], *, at: float, time: float | None = None) -> Decision:
        """Takes one frame's scores; as `edge_runtime.decision.Decider.update`."""
        time = at if time is None else time
        decisions = [decider.update(scores[[index]], at=at, time=time) for index, decider in self._deciders.items()]
        events = tuple(event for decision in decisions for event in decision.events if event.kind != "changed")
        if events or self._since is None:
            self._since = time
        in_view = sorted((one for one in decisions if one.label is not None), key=lambda one: -one.score)
        names = tuple(one.label for one in in_view if one.label is not None)
        best = in_view[0] if in_view else Decision(None, 0.0, self._since)
        return Decision(best.label, best.score, self._since, events, names)
