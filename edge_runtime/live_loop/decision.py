"""From predictions that flicker to decisions that hold: smoothing, two thresholds and a dwell time.

A network answers each frame anew. `Decider` asks whether the answer lasts. It has no clock: what it decides depends on
the scores and the times that it is given, and on nothing else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import exp
from typing import TYPE_CHECKING, Literal

from edge_runtime.errors import RulesError
from edge_runtime.types import Decision, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

Smoothing = Literal["none", "exponential", "majority"]
"""``"exponential"``: a running mean that forgets; ``"majority"``: the share of recent frames that a class led."""


@dataclass(frozen=True)
class DecisionRules:
    """When a class counts as in view.

    Attributes:
        smoothing: Of the scores over time.
        smoothing_s: Time constant of the exponential mean, or the length of the window in which a majority is counted.
        enter: Least smoothed score, 0–1, with which a class enters.
        leave: Smoothed score, 0–1, below which it leaves; at most ``enter``.
        margin: Least lead over the next class with which a class enters, 0–1. Below it the frame is unknown.
        dwell_s: How long a change must last without a break before it is decided.
        allow: Only these classes can be decided; empty: all.
        deny: These can't.
    """

    smoothing: Smoothing = "exponential"
    smoothing_s: float = 0.3
    enter: float = 0.6
    leave: float = 0.4
    margin: float = 0.0
    dwell_s: float = 0.3
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "allow", tuple(self.allow))
        object.__setattr__(self, "deny", tuple(self.deny))
        if self.smoothing not in ("none", "exponential", "majority"):
            raise RulesError(f"Expected smoothing to be none, exponential or majority, got {self.smoothing!r}.")
        if not 0 <= self.leave <= self.enter <= 1:
            raise RulesError(
                "Expected thresholds from 0 to 1, that to leave at most that to enter, got "
                f"leave {self.leave:g} and enter {self.enter:g}."
            )
        if not 0 <= self.margin <= 1:
            raise RulesError(f"Expected a margin from 0 to 1, got {self.margin:g}.")
        for name in ("smoothing_s", "dwell_s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise RulesError(f"Expected {name} of 0 seconds or more, got {getattr(self, name):g}.")


def allowed_classes(labels: Sequence[str], rules: DecisionRules) -> list[int]:
    """Indices of the classes that can be decided.

    Raises:
        RulesError: The rules name a class that isn't there, or leave none.
    """
    unknown = [label for label in (*rules.allow, *rules.deny) if label not in labels]
    if unknown:
        raise RulesError(
            f"Expected classes of the model ({', '.join(labels[:8])}{', …' if len(labels) > 8 else ''}) to allow "
            f"or deny, got {', '.join(unknown)}."
        )
    allowed = [
        index
        for index, label in enumerate(labels)
        if label not in rules.deny and (not rules.allow or label in rules.allow)
    ]
    if not allowed:
        raise RulesError("Expected at least one class that can be decided, got rules that deny them all.")
    return allowed


class Decider:
    """Makes decisions of one stream's predictions.

    Args:
        labels: Of the model's classes, by index.
        rules: When a class counts as in view.

    Raises:
        RulesError: The rules name a class that isn't there, or leave none.
    """

    def __init__(self, labels: Sequence[str], rules: DecisionRules) -> None:
        self._allowed = allowed_classes(labels, rules)
        self._labels = tuple(labels)
        self._rules = rules
        self._smooth = _SMOOTHERS[rules.smoothing](rules.smoothing_s)
        self._current: int | None = None  # class that is decided; None is unknown
        self._since: tuple[float, float] | None = None  # since when: `at` and `time`; None before the first update
        self._candidate: int | None = None  # what would be decided if it lasted
        self._candidate_at: float | None = None  # since when it has been so; None: nothing is about to change
        self._unheld_at: float | None = None  # since when what is decided has no longer been what the frames say

    def update(
        self, scores: NDArray[np.float32], *, at: float, time: float | None = None, is_unknown: bool = False
    ) -> Decision:
        """Takes one frame's scores.

        Args:
            scores: float32 (classes,), 0–1, of all the classes.
            at: When the frame was taken, in seconds of a clock that only goes forward.
            time: What events carry, in seconds since 1970 (UTC); None is ``at``.
            is_unknown: Whether the frame may show none of the classes: it then speaks for none of them.
        """
        if is_unknown:
            scores = scores * 0
        time = at if time is None else time
        if self._since is None:
            self._since = (at, time)
        smooth = self._smooth(scores, at)
        wanted = self._wanted(smooth)
        if wanted == self._current:
            self._candidate_at = self._unheld_at = None
            return self._decision(smooth)
        if self._candidate_at is None or wanted != self._candidate:
            self._candidate, self._candidate_at = wanted, at
        if self._unheld_at is None:
            self._unheld_at = at
        if at - self._candidate_at >= self._rules.dwell_s:
            return self._change(wanted, smooth, at, time)
        if self._current is not None and at - self._unheld_at >= self._rules.dwell_s:
            return self._change(None, smooth, at, time)  # others take turns: none of them is sure, but it has gone
        return self._decision(smooth)

    def _wanted(self, smooth: NDArray[np.float32]) -> int | None:
        """What these scores alone speak for, given what is decided."""
        best = int(smooth.argmax())
        if len(self._allowed) < len(self._labels):
            best = self._allowed[int(smooth[self._allowed].argmax())]
        score = float(smooth[best])
        if score >= self._rules.enter and (best == self._current or self._leads(smooth, best)):
            return best
        if self._current is not None and float(smooth[self._current]) >= self._rules.leave:
            return self._current
        return None

    def _leads(self, smooth: NDArray[np.float32], best: int) -> bool:
        if self._rules.margin == 0:
            return True
        others = smooth.copy()
        others[best] = 0
        return float(smooth[best] - others.max()) >= self._rules.margin

    def _change(self, to: int | None, smooth: NDArray[np.float32], at: float, time: float) -> Decision:
        assert self._since is not None
        label, previous = self._label(to), self._label(self._current)
        score = 0.0 if to is None else float(smooth[to])
        lasted_s = at - self._since[0]
        events = []
        if previous is not None:
            events.append(Event("left", previous, previous, float(smooth[self._current]), time, lasted_s))
        if label is not None:
            events.append(Event("entered", label, previous, score, time))
        events.append(Event("changed", label, previous, score, time, lasted_s))
        self._current, self._since = to, (at, time)
        self._candidate_at = self._unheld_at = None
        return self._decision(smooth, tuple(events))

    def _decision(self, smooth: NDArray[np.float32], events: tuple[Event, ...] = ()) -> Decision:
        assert self._since is not None
        score = 0.0 if self._current is None else float(smooth[self._current])
        return Decision(self._label(self._current), score, self._since[1], events)

    def _label(self, index: int | None) -> str | None:
        return None if index is None else self._labels[index]


class _Unsmoothed:
    def __init__(self, seconds: float) -> None:
        pass

    def __call__(self, scores: NDArray[np.float32], at: float) -> NDArray[np.float32]:
        return scores


class _Exponential:
    """A mean whose weights fall by e in each time constant, whatever the frame rate."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._mean: NDArray[np.float32] | None = None
        self._at = 0.0

    def __call__(self, scores: NDArray[np.float32], at: float) -> NDArray[np.float32]:
        if self._mean is None or self._seconds == 0:
            self._mean = scores.copy()
        else:
            weight = 1 - exp(-max(at - self._at, 0.0) / self._seconds)
            self._mean += weight * (scores - self._mean)
        self._at = at
        return self._mean


class _Majority:
    """How large a share of the frames in the window each class led; the newest frame always counts."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._votes: deque[tuple[float, int | None]] = deque()  # when, and for which class; None: for none

    def __call__(self, scores: NDArray[np.float32], at: float) -> NDArray[np.float32]:
        self._votes.append((at, int(scores.argmax()) if scores.any() else None))
        while self._votes[0][0] < at - self._seconds:
            self._votes.popleft()
        shares: NDArray[np.float32] = scores * 0
        for _, leader in self._votes:
            if leader is not None:
                shares[leader] += 1
        shares /= len(self._votes)
        return shares


_SMOOTHERS: dict[str, Callable[[float], Callable[[NDArray[np.float32], float], NDArray[np.float32]]]] = {
    "none": _Unsmoothed,
    "exponential": _Exponential,
    "majority": _Majority,
}


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
        """Takes one frame's scores; as `edge_runtime.live_loop.decision.Decider.update`."""
        time = at if time is None else time
        decisions = [decider.update(scores[[index]], at=at, time=time) for index, decider in self._deciders.items()]
        events = tuple(event for decision in decisions for event in decision.events if event.kind != "changed")
        if events or self._since is None:
            self._since = time
        in_view = sorted((one for one in decisions if one.label is not None), key=lambda one: -one.score)
        names = tuple(one.label for one in in_view if one.label is not None)
        best = in_view[0] if in_view else Decision(None, 0.0, self._since)
        return Decision(best.label, best.score, self._since, events, names)
