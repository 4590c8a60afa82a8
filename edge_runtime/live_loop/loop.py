"""The live loop: frames in, predictions and decisions out.

One thread captures, the caller's thread classifies. Between them stand a mailbox of one frame (`capture`) and the gate
(`gate`), which leaves out the frames that needn't be looked at; after the classifier stands the decision (`decision`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING

from edge_runtime.live_loop.capture import CaptureRules, CaptureThread
from edge_runtime.live_loop.decision import Decider, DecisionRules, MultiLabelDecider
from edge_runtime.live_loop.frame_gate import FrameGate, GateRules
from edge_runtime.live_loop.hot_swap import ModelWatch
from edge_runtime.sources.base import Source
from edge_runtime.types import Decision, Frame, LiveResult, Prediction, Region

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.inference.classifier import Classifier


def live(
    classifier: Classifier,
    source: Source,
    *,
    top_k: int = 5,
    score_threshold: float = 0.0,
    region: Region | None = None,
    decision: DecisionRules | None = None,
    gate: GateRules | None = None,
    capture: CaptureRules | None = None,
    stop: threading.Event | None = None,
    on_frame: Callable[[Frame], None] | None = None,
    heartbeat: Callable[[], None] | None = None,
    watch_model: bool = False,
) -> Generator[LiveResult, None, None]:
    """Classifies what a source delivers, for as long as it does.

    The source is closed when the generator ends, is closed or is thrown away, also while a camera keeps the capture
    thread waiting.

    Args:
        classifier: Runs in the caller's thread.
        source: From `edge_runtime.sources.open_source`, or of your own kind.
        top_k: As for `Classifier.classify`.
        score_threshold: As for `Classifier.classify`; the decision doesn't depend on it.
        region: The part of each frame that is classified; None is all of it.
        decision: Makes decisions and events of the predictions; None leaves them out.
        gate: Which frames are classified; None is each that the classifier is free for.
        capture: When a live source counts as broken; None is `CaptureRules()`.
        stop: Ends the loop within a tenth of a second when it is set, from a signal handler or another thread.
        on_frame: Called with each frame that is taken from the source, also with those that the gate leaves out.
        heartbeat: Called at least every tenth of a second while the loop waits, and for each frame.
        watch_model: Whether a model that replaces the classifier's file takes over, between two frames; see
            `edge_runtime.live_loop.hot_swap.ModelWatch`. Where its classes are others, decisions begin anew.

    Yields:
        One result for each frame that was classified.

    Raises:
        SourceError: A source that isn't live failed, or a live one couldn't be reopened in as many attempts as
            ``capture`` allows; other errors of a source come through as they are.
        RulesError: The rules name a class that the model doesn't have, or don't fit a model of several labels.
    """
    classes, decider = _classes(classifier), _decider(classifier, decision)
    frame_gate = FrameGate(gate or GateRules())
    thread = CaptureThread(source, stop or threading.Event(), capture or CaptureRules())
    watch = None
    decided: deque[float] = deque()
    classified = skipped = 0
    try:
        if watch_model:
            watch = ModelWatch(classifier, accept=lambda fresh: _decider(fresh, decision))
        while (frame := thread.take(heartbeat)) is not None:
            if on_frame is not None:
                on_frame(frame)
            if not frame_gate.wants(frame):
                skipped += 1
                del frame
                continue
            if watch is not None and watch.update() and _classes(classifier) != classes:
                classes, decider = _classes(classifier), _decider(classifier, decision)
            pixels = frame.pixels if region is None else region.of(frame.pixels)
            prediction = classifier.classify(
                pixels, color="bgr", top_k=top_k, score_threshold=score_threshold, all_scores=decider is not None
            )
            now, wall = time.monotonic(), time.time()
            classified += 1
            decided.append(now)
            while len(decided) > 2 and decided[0] < now - 1.0:
                decided.popleft()
            span_s = now - decided[0]
            yield LiveResult(
                frame=frame,
                prediction=prediction,
                time=wall,
                age_ms=(now - frame.captured_at) * 1000,
                fps=(len(decided) - 1) / span_s if span_s > 0 else 0.0,
                counters=thread.counters(classified=classified, skipped=skipped),
                decision=_decide(decider, prediction, at=frame.at, time=wall),
            )
            del frame, pixels, prediction  # so that waiting for the next frame doesn't keep this one's pixels
    finally:
        if watch is not None:
            watch.close()
        thread.close()


def _classes(classifier: Classifier) -> tuple[object, ...]:
    return classifier.labels, classifier.model.thresholds


def _decider(classifier: Classifier, rules: DecisionRules | None) -> Decider | MultiLabelDecider | None:
    if rules is None:
        return None
    thresholds = classifier.model.thresholds
    if thresholds:
        return MultiLabelDecider(classifier.labels, thresholds, rules)
    return Decider(classifier.labels, rules)


def _decide(
    decider: Decider | MultiLabelDecider | None, prediction: Prediction, *, at: float, time: float
) -> Decision | None:
    if decider is None or prediction.scores is None:
        return None
    if isinstance(decider, MultiLabelDecider):  # a picture of none of the classes is nothing unknown to it
        return decider.update(prediction.scores, at=at, time=time)
    return decider.update(prediction.scores, at=at, time=time, is_unknown=bool(prediction.is_unknown))
