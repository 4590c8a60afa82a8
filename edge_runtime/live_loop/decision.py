"""Stable decisions from flickering predictions: smoothing, hysteresis and a dwell time.

A network classifies each frame independently; a decider reports only what lasts. It reads no clock: its decisions
depend only on the scores and times that it is given.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import exp
from typing import TYPE_CHECKING, Literal, get_args

from edge_runtime.errors import RulesError
from edge_runtime.types import Decision, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

Smoothing = Literal["none", "exponential", "majority"]
"""``"exponential"``: exponential moving average; ``"majority"``: fraction of recent frames that a class led."""


@dataclass(frozen=True)
class DecisionRules:
    """Rules for when a class counts as in view.

    Attributes:
        smoothing: Method that smooths scores over time.
        smoothing_s: Time constant of the moving average, or length of the majority window, in seconds.
        enter: Smoothed score from which a class enters, 0–1.
        leave: Smoothed score below which a class leaves, 0–``enter``.
        margin: Lead over the second-best class required to enter, 0–1; with less, the frame is unknown.
        dwell_s: Seconds that a change must last without interruption before it is decided.
        allow: Classes that can be decided; empty for all.
        deny: Classes that cannot be decided.

    Raises:
        RulesError: A value is out of range.
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
        if self.smoothing not in get_args(Smoothing):
            raise RulesError(f"smoothing must be one of {', '.join(get_args(Smoothing))}, got {self.smoothing!r}.")
        if not 0 <= self.leave <= self.enter <= 1:
            raise RulesError(
                f"Invalid thresholds: enter {self.enter:g}, leave {self.leave:g}. Both must be from 0 to 1, and leave "
                "must not exceed enter."
            )
        if not 0 <= self.margin <= 1:
            raise RulesError(f"margin must be from 0 to 1, got {self.margin:g}.")
        for name in ("smoothing_s", "dwell_s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise RulesError(f"{name} must be 0 seconds or more, got {getattr(self, name):g}.")


def allowed_classes(labels: Sequence[str], rules: DecisionRules) -> list[int]:
    """Return the indices of the classes that can be decided.

    Raises:
        RulesError: The rules name a class that the model does not have, or exclude all classes.
    """
    unknown = [label for label in (*rules.allow, *rules.deny) if label not in labels]
    if unknown:
        raise RulesError(
            f"The model has no class {', '.join(unknown)} to allow or deny. Its classes: {', '.join(labels[:8])}"
            f"{', …' if len(labels) > 8 else ''}."
        )
    allowed = [
        index
        for index, label in enumerate(labels)
        if label not in rules.deny and (not rules.allow or label in rules.allow)
    ]
    if not allowed:
        raise RulesError("allow and deny exclude every class of the model. Leave at least one.")
    return allowed


class Decider:
    """Decides which single class is in view in one stream.

    Args:
        labels: Class names, by index.
        rules: Rules for when a class counts as in view.

    Raises:
        RulesError: The rules name a class that the model does not have, or exclude all classes.
    """

    def __init__(self, labels: Sequence[str], rules: DecisionRules) -> None:
        self._allowed = allowed_classes(labels, rules)
        self._labels = tuple(labels)
        self._rules = rules
        self._smooth = _SMOOTHERS[rules.smoothing](rules.smoothing_s)
        self._current: int | None = None  # decided class; None is unknown
        self._since: tuple[float, float] | None = None  # its `at` and `time`; None before the first update
        self._candidate: int | None = None  # class that is decided next if it lasts
        self._candidate_at: float | None = None  # start of the candidacy; None while nothing is about to change
        self._unheld_at: float | None = None  # when the frames began to contradict the decision

    def update(
        self, scores: NDArray[np.float32], *, at: float, time: float | None = None, is_unknown: bool = False
    ) -> Decision:
        """Return the decision after one more frame.

        Args:
            scores: Scores of all classes, float32 (classes,), 0–1.
            at: Capture time in seconds, from a monotonic clock.
            time: Time stamp for events, in seconds since 1970 (UTC); default: ``at``.
            is_unknown: Whether the frame may show none of the classes; it then counts for none of them.
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
            return self._change(None, smooth, at, time)  # others alternate: none is certain, but this one is gone
        return self._decision(smooth)

    def _wanted(self, smooth: NDArray[np.float32]) -> int | None:
        """Return the class that these scores support, given the current decision."""
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


class _Exponential:
    """Exponential moving average over time, independent of the frame rate."""

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
    """Fraction of the window's frames in which each class was best; the newest frame always counts."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._votes: deque[tuple[float, int | None]] = deque()  # time, and best class; None for an unknown frame

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
    "none": lambda seconds: lambda scores, at: scores,
    "exponential": _Exponential,
    "majority": _Majority,
}


class MultiLabelDecider:
    """Decides which classes are in view in one stream of a multi-label model.

    Each class enters at its own threshold T instead of ``rules.enter``, and leaves below T × leave / enter.

    Args:
        labels: Class names, by index.
        thresholds: Score from which each class counts as present, 0–1, by index.
        rules: Smoothing, hysteresis, dwell time and classes. A margin and majority smoothing compare classes, and are
            not supported here.

    Raises:
        RulesError: The rules name a class that the model does not have, exclude all classes, or compare classes.
    """

    def __init__(self, labels: Sequence[str], thresholds: Sequence[float], rules: DecisionRules) -> None:
        if rules.margin or rules.smoothing == "majority":
            what = f"a margin of {rules.margin:g}" if rules.margin else "majority smoothing"
            raise RulesError(
                f"A multi-label model cannot use {what}, which compares classes. Leave it out: several classes may be "
                "in view at once."
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

    def update(
        self, scores: NDArray[np.float32], *, at: float, time: float | None = None, is_unknown: bool = False
    ) -> Decision:
        """Return the decision after one more frame.

        Args:
            scores: Scores of all classes, float32 (classes,), 0–1.
            at: Capture time in seconds, from a monotonic clock.
            time: Time stamp for events, in seconds since 1970 (UTC); default: ``at``.
            is_unknown: Ignored: multi-label models have no "unknown", since no class in view is a valid result.
        """
        time = at if time is None else time
        decisions = [decider.update(scores[[index]], at=at, time=time) for index, decider in self._deciders.items()]
        events = tuple(event for decision in decisions for event in decision.events if event.kind != "changed")
        if events or self._since is None:
            self._since = time
        in_view = sorted((one for one in decisions if one.label is not None), key=lambda one: -one.score)
        names = tuple(one.label for one in in_view if one.label is not None)
        best = in_view[0] if in_view else Decision(None, 0.0, self._since)
        return Decision(best.label, best.score, self._since, events, names)


def open_decider(
    labels: Sequence[str], thresholds: Sequence[float], rules: DecisionRules
) -> Decider | MultiLabelDecider:
    """Open the decider that suits a model: `MultiLabelDecider` if its classes have thresholds, otherwise `Decider`.

    Raises:
        RulesError: The rules don't fit the model.
    """
    return MultiLabelDecider(labels, thresholds, rules) if thresholds else Decider(labels, rules)
