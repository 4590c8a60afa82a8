"""Decisions depend only on scores and times, and change only for what lasts."""

from __future__ import annotations

from itertools import pairwise
from math import exp
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.errors import RulesError
from edge_runtime.live_loop.decision import Decider, DecisionRules, open_decider
from edge_runtime.types import Decision, Event

LABELS = ("cat", "dog", "owl")
AT_ONCE: dict[str, Any] = {"smoothing": "none", "dwell_s": 0.0}
THRESHOLDS = (0.3, 0.8, 0.5)
PLAIN = DecisionRules(**AT_ONCE)  # leaves below two thirds


def scores(**given: float) -> NDArray[np.float32]:
    """Scores by label; 0 for the others."""
    return np.asarray([given.get(label, 0.0) for label in LABELS], np.float32)


def decide(frames: list[tuple[float, NDArray[np.float32]]], **rules: Any) -> list[Decision]:
    decider = Decider(LABELS, DecisionRules(**rules))
    return [decider.update(frame, at=at) for at, frame in frames]


def labels_of(decisions: list[Decision]) -> list[str | None]:
    return [decision.label for decision in decisions]


def events_of(decisions: list[Decision]) -> list[tuple[str, str | None, str | None]]:
    return [(event.kind, event.label, event.previous) for decision in decisions for event in decision.events]


class TestThresholds:
    def test_a_class_enters_at_one_score_and_leaves_at_a_lower_one(self) -> None:
        levels = [0.5, 0.7, 0.5, 0.41, 0.39, 0.5, 0.6]
        decisions = decide(
            [(float(i), scores(cat=level)) for i, level in enumerate(levels)], **AT_ONCE, enter=0.6, leave=0.4
        )
        assert labels_of(decisions) == [None, "cat", "cat", "cat", None, None, "cat"]

    def test_a_class_that_hardly_leads_is_unknown(self) -> None:
        close, clear = scores(cat=0.45, dog=0.4), scores(cat=0.6, dog=0.3)
        decisions = decide([(0.0, close), (1.0, clear), (2.0, close)], **AT_ONCE, enter=0.4, leave=0.3, margin=0.2)
        assert labels_of(decisions) == [None, "cat", "cat"]  # the margin counts for entering, not for staying

    def test_one_class_follows_another_without_unknown_between(self) -> None:
        decisions = decide([(0.0, scores(cat=0.9)), (1.0, scores(dog=0.9))], **AT_ONCE)
        assert events_of(decisions) == [
            ("entered", "cat", None),
            ("changed", "cat", None),
            ("left", "cat", "cat"),
            ("entered", "dog", "cat"),
            ("changed", "dog", "cat"),
        ]

    def test_events_tell_when_how_sure_and_how_long(self) -> None:
        decider = Decider(LABELS, DecisionRules(**AT_ONCE))
        decider.update(scores(), at=10.0, time=1000.0)
        entered = decider.update(scores(owl=0.75), at=12.0, time=1002.0).events
        left = decider.update(scores(owl=0.25), at=15.0, time=1005.0).events
        assert entered == (
            Event("entered", "owl", None, 0.75, 1002.0),
            Event("changed", "owl", None, 0.75, 1002.0, 2.0),
        )
        assert left == (Event("left", "owl", "owl", 0.25, 1005.0, 3.0), Event("changed", None, "owl", 0.0, 1005.0, 3.0))

    def test_since_is_when_it_was_decided(self) -> None:
        decisions = decide([(5.0, scores()), (6.0, scores(cat=1)), (7.0, scores(cat=1))], **AT_ONCE)
        assert [decision.since for decision in decisions] == [5.0, 6.0, 6.0]


class TestDwell:
    def test_what_flickers_is_not_decided(self) -> None:
        frames = [(i / 10, scores(cat=0.9) if i % 2 else scores(dog=0.9)) for i in range(40)]
        assert set(labels_of(decide(frames, smoothing="none", dwell_s=0.3))) == {None}

    def test_what_lasts_is_decided_after_the_dwell_time(self) -> None:
        frames = [(i / 10, scores(cat=0.9)) for i in range(6)]
        assert labels_of(decide(frames, smoothing="none", dwell_s=0.25)) == [None, None, None, "cat", "cat", "cat"]

    def test_a_short_gap_does_not_end_it(self) -> None:
        there, gone = scores(cat=0.9), scores()
        frames = [(0.0, there), (0.5, there), (0.6, gone), (0.7, gone), (0.8, there), (1.5, there)]
        assert labels_of(decide(frames, smoothing="none", dwell_s=0.3))[1:] == ["cat"] * 5

    def test_a_class_that_has_gone_is_left_although_others_take_turns(self) -> None:
        frames = [(0.0, scores(cat=0.9)), (0.4, scores(cat=0.9))]
        frames += [(0.5 + i / 10, scores(dog=0.9) if i % 2 else scores(owl=0.9)) for i in range(8)]
        decisions = decide(frames, smoothing="none", dwell_s=0.3)
        assert labels_of(decisions)[1] == "cat"
        assert decisions[-1].label is None


class TestSmoothing:
    def test_the_exponential_mean_forgets_at_its_time_constant_whatever_the_frame_rate(self) -> None:
        for fps in (5, 30, 120):
            frames = [(0.0, scores(cat=1.0)), *[(i / fps, scores()) for i in range(1, fps + 1)]]
            decisions = decide(frames, smoothing="exponential", smoothing_s=0.5, enter=0.5, leave=0.05, dwell_s=0.0)
            assert decisions[-1].score == pytest.approx(exp(-1 / 0.5), rel=1e-4)

    def test_the_exponential_mean_is_its_definition(self) -> None:
        rng = np.random.default_rng(3)
        times = np.cumsum(rng.uniform(0.01, 0.2, 50))
        series = rng.uniform(0, 1, (50, 3)).astype(np.float32)
        decisions = decide(list(zip(times.tolist(), series, strict=True)), smoothing_s=0.3, enter=0, leave=0, dwell_s=0)
        mean = series[0].astype(np.float64)
        for before, now, frame in zip(times, times[1:], series[1:], strict=False):
            mean += (1 - exp(-(now - before) / 0.3)) * (frame - mean)
        assert decisions[-1].score == pytest.approx(mean.max(), abs=1e-5)

    def test_the_majority_is_counted_in_a_window(self) -> None:
        frames = [(i / 10, scores(cat=0.9) if i % 3 else scores(dog=1.0)) for i in range(10)]
        decisions = decide(frames, smoothing="majority", smoothing_s=0.55, enter=0.6, leave=0.6, dwell_s=0.0)
        assert decisions[-1].label == "cat"
        assert decisions[-1].score == pytest.approx(4 / 6)

    @pytest.mark.parametrize("smoothing", ["none", "exponential", "majority"])
    def test_a_frame_that_is_unknown_speaks_for_no_class(self, smoothing: Any) -> None:
        rules = DecisionRules(smoothing=smoothing, smoothing_s=0.2, dwell_s=0.0)
        decider = Decider(LABELS, rules)
        labels = [
            decider.update(scores(cat=0.9), at=frame / 10, is_unknown=10 <= frame < 20).label for frame in range(30)
        ]
        assert labels[9] == "cat"
        assert labels[19] is None
        assert labels[29] == "cat"

    def test_scores_are_not_changed(self) -> None:
        given_scores = scores(cat=0.7)
        for smoothing in ("none", "exponential", "majority"):
            decide([(0.0, given_scores), (0.1, given_scores)], smoothing=smoothing)
        assert given_scores.tolist() == scores(cat=0.7).tolist()


class TestClasses:
    def test_only_allowed_classes_are_decided(self) -> None:
        frames = [(0.0, scores(cat=0.9, dog=0.1)), (1.0, scores(dog=0.9, cat=0.1))]
        assert labels_of(decide(frames, **AT_ONCE, allow=("dog",))) == [None, "dog"]
        assert labels_of(decide(frames, **AT_ONCE, deny=("cat",))) == [None, "dog"]

    def test_a_denied_class_that_is_as_strong_leaves_the_rest_unknown(self) -> None:
        frames = [(0.0, scores(cat=0.5, dog=0.5))]
        assert labels_of(decide(frames, **AT_ONCE, enter=0.4, deny=("cat",), margin=0.1)) == [None]

    def test_a_class_that_is_not_there_is_named(self) -> None:
        with pytest.raises(ValueError, match=r"no class fox to allow or deny. Its classes: cat"):
            Decider(LABELS, DecisionRules(allow=("cat", "fox")))

    def test_denying_all_is_refused(self) -> None:
        with pytest.raises(ValueError, match="exclude every class"):
            Decider(LABELS, DecisionRules(deny=LABELS))


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"enter": 0.3, "leave": 0.5}, "leave must not exceed enter"),
        ({"enter": 1.5}, "must be from 0 to 1"),
        ({"margin": -0.1}, "margin must be from 0 to 1"),
        ({"dwell_s": -1}, "dwell_s must be 0 seconds or more"),
        ({"smoothing_s": float("nan")}, "smoothing_s must be 0 seconds or more"),
        ({"smoothing": "median"}, "none, exponential, majority"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DecisionRules(**rules)


@given(
    steps=st.lists(st.tuples(st.floats(0.001, 0.5), st.integers(0, 2), st.floats(0, 1)), min_size=1, max_size=60),
    smoothing=st.sampled_from(("none", "exponential", "majority")),
    dwell_s=st.sampled_from((0.0, 0.1, 0.5)),
)
def test_laws(steps: list[tuple[float, int, float]], smoothing: str, dwell_s: float) -> None:
    at, frames = 0.0, []
    for step, best, score in steps:
        at += step
        frames.append((at, scores(**{LABELS[best]: score})))
    decisions = decide(frames, smoothing=smoothing, dwell_s=dwell_s)
    assert decisions == decide(frames, smoothing=smoothing, dwell_s=dwell_s)  # only scores and times matter
    events = [event for decision in decisions for event in decision.events]
    changes = [event for event in events if event.kind == "changed"]
    # Decisions change only with an event, and last at least the dwell time.
    changed = [(b.label, a.label) for a, b in pairwise([Decision(None, 0, 0), *decisions]) if a.label != b.label]
    assert [(event.label, event.previous) for event in changes] == changed
    assert all(event.lasted_s >= dwell_s - 1e-9 for event in changes)
    # Only a class that entered can leave, and none is in view twice.
    inside: set[str | None] = set()
    for event in events:
        if event.kind == "entered":
            assert not inside
            inside.add(event.label)
        elif event.kind == "left":
            inside.remove(event.label)
    assert all(0 <= decision.score <= 1 + 1e-6 for decision in decisions)


def decided(*frames: tuple[float, float, float], rules: DecisionRules = PLAIN, step_s: float = 1.0) -> list[Decision]:
    decider = open_decider(LABELS, THRESHOLDS, rules)
    return [decider.update(np.array(frame, np.float32), at=number * step_s) for number, frame in enumerate(frames)]


def test_every_class_over_its_own_threshold_is_in_view() -> None:
    first, second, third = decided((0.1, 0.7, 0.4), (0.4, 0.9, 0.4), (0.1, 0.9, 0.6))
    assert (first.label, first.labels, first.score) == (None, (), 0)
    assert (second.label, second.labels) == ("dog", ("dog", "cat"))
    assert [(event.kind, event.label) for event in second.events] == [("entered", "cat"), ("entered", "dog")]
    assert third.labels == ("dog", "owl")
    assert [(event.kind, event.label) for event in third.events] == [("left", "cat"), ("entered", "owl")]
    assert (second.since, third.since) == (1, 2)


def test_a_class_leaves_below_a_share_of_its_threshold() -> None:
    frames = decided((0.35, 0.0, 0.0), (0.21, 0.0, 0.0), (0.19, 0.0, 0.0))
    assert [decision.labels for decision in frames] == [("cat",), ("cat",), ()]
    assert frames[2].events[0].lasted_s == 2


def test_a_change_has_to_last() -> None:
    rules = DecisionRules(smoothing="none", dwell_s=1.5)
    frames = decided((0, 0, 0), (0.9, 0.9, 0), (0.9, 0, 0), (0.9, 0, 0), rules=rules)
    assert [decision.labels for decision in frames] == [(), (), (), ("cat",)]


def test_classes_can_be_left_out() -> None:
    assert decided((0.9, 0.9, 0.0), rules=DecisionRules(**AT_ONCE, deny=("cat",)))[0].labels == ("dog",)


def test_multi_label_models_have_no_unknown() -> None:
    decider = open_decider(LABELS, THRESHOLDS, PLAIN)
    assert decider.update(np.array((0.9, 0, 0), np.float32), at=0.0, is_unknown=True).labels == ("cat",)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (DecisionRules(margin=0.1), "a margin of 0.1"),
        (DecisionRules(smoothing="majority"), "majority smoothing"),
        (DecisionRules(allow=("cow",)), "cow"),
    ],
)
def test_multi_label_rules_that_compare_classes_are_refused(rules: DecisionRules, message: str) -> None:
    with pytest.raises(RulesError, match=message):
        open_decider(LABELS, THRESHOLDS, rules)


def test_json_names_all_that_is_in_view() -> None:
    (decision,) = decided((0.4, 0.9, 0.0))
    assert decision.to_dict()["labels"] == ["dog", "cat"]
    assert "labels" not in Decision("cat", 0.5, 0.0).to_dict()
