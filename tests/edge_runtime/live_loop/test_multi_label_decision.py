from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.errors import RulesError
from edge_runtime.live_loop.decision import DecisionRules, MultiLabelDecider
from edge_runtime.types import Decision

LABELS = ("cat", "dog", "fox")
THRESHOLDS = (0.3, 0.8, 0.5)
PLAIN = DecisionRules(smoothing="none", dwell_s=0.0)  # leaves below two thirds


def decided(*frames: tuple[float, float, float], rules: DecisionRules = PLAIN, step_s: float = 1.0) -> list[Decision]:
    decider = MultiLabelDecider(LABELS, THRESHOLDS, rules)
    return [decider.update(np.array(frame, np.float32), at=number * step_s) for number, frame in enumerate(frames)]


def test_every_class_over_its_own_threshold_is_in_view() -> None:
    first, second, third = decided((0.1, 0.7, 0.4), (0.4, 0.9, 0.4), (0.1, 0.9, 0.6))
    assert (first.label, first.labels, first.score) == (None, (), 0)
    assert (second.label, second.labels) == ("dog", ("dog", "cat"))
    assert [(event.kind, event.label) for event in second.events] == [("entered", "cat"), ("entered", "dog")]
    assert third.labels == ("dog", "fox")
    assert [(event.kind, event.label) for event in third.events] == [("left", "cat"), ("entered", "fox")]
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
    rules = DecisionRules(smoothing="none", dwell_s=0.0, deny=("cat",))
    assert decided((0.9, 0.9, 0.0), rules=rules)[0].labels == ("dog",)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (DecisionRules(margin=0.1), "a margin of 0.1"),
        (DecisionRules(smoothing="majority"), "majority smoothing"),
        (DecisionRules(allow=("cow",)), "cow"),
    ],
)
def test_rules_that_compare_classes_are_refused(rules: DecisionRules, message: str) -> None:
    with pytest.raises(RulesError, match=message):
        MultiLabelDecider(LABELS, THRESHOLDS, rules)


def test_json_names_all_that_is_in_view() -> None:
    (decision,) = decided((0.4, 0.9, 0.0))
    assert decision.to_dict()["labels"] == ["dog", "cat"]
    assert "labels" not in Decision("cat", 0.5, 0.0).to_dict()
