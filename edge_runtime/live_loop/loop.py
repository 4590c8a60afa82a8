"""The live loop: frames in, predictions and decisions out.

One thread captures, the caller's thread classifies. Between them are a mailbox for one frame (`capture`) and the frame
gate (`frame_gate`), which skips frames; after the classifier comes the decision (`decision`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING

from edge_runtime.live_loop.capture import CaptureRules, CaptureThread
from edge_runtime.live_loop.decision import Decider, DecisionRules, MultiLabelDecider, open_decider
from edge_runtime.live_loop.frame_gate import FrameGate, GateRules
from edge_runtime.live_loop.hot_swap import ModelWatch
from edge_runtime.sources.base import Source
from edge_runtime.types import Frame, LiveResult, Region

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
    """Classify the frames of a source until it ends.

    The source is closed when the generator ends, is closed or is discarded, even while the capture thread waits for a
    camera.

    Args:
        classifier: Classifier, called in the caller's thread.
        source: Source from `edge_runtime.sources.open_source`, or your own subclass of `Source`.
        top_k: Maximum number of categories per prediction, at least 1.
        score_threshold: Minimum score of a category, 0–1; the decision does not depend on it.
        region: Part of each frame to classify; default: the whole frame.
        decision: Rules for decisions and events; None for predictions only.
        gate: Rules that select the frames to classify; default: every frame that the classifier is free for.
        capture: Rules for when a live source counts as broken; default: ``CaptureRules()``.
        stop: Event that ends the loop within 0.1 s when set, by a signal handler or another thread.
        on_frame: Called with each frame taken from the source, including those that the frame gate skips.
        heartbeat: Called for each frame, and at least every 0.1 s while the loop waits.
        watch_model: If True, a new model that replaces the classifier's file is swapped in between two frames; see
            `edge_runtime.live_loop.hot_swap.ModelWatch`. If its classes differ, decisions start over.

    Yields:
        One result per classified frame.

    Raises:
        SourceError: A file source failed, or a live source could not be reopened within ``capture.retries`` attempts.
            Other errors of a source are raised unchanged.
        RulesError: The rules name a class that the model does not have, or don't suit a multi-label model.
    """
    classes, decider = _classes(classifier), _decider(classifier, decision)
    frame_gate, throughput = FrameGate(gate or GateRules()), _Throughput()
    thread = CaptureThread(source, stop or threading.Event(), capture or CaptureRules())
    watch = None
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
            decided = None
            if decider is not None and prediction.scores is not None:
                is_unknown = bool(prediction.is_unknown)
                decided = decider.update(prediction.scores, at=frame.at, time=wall, is_unknown=is_unknown)
            yield LiveResult(
                frame=frame,
                prediction=prediction,
                time=wall,
                age_ms=(now - frame.captured_at) * 1000,
                fps=throughput.update(now),
                counters=thread.counters(classified=classified, skipped=skipped),
                decision=decided,
            )
            del frame, pixels, prediction  # release this frame's memory while waiting for the next one
    finally:
        if watch is not None:
            watch.close()
        thread.close()


class _Throughput:
    """Results per second, over the last second or the last two results."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def update(self, now: float) -> float:
        self._times.append(now)
        while len(self._times) > 2 and self._times[0] < now - 1.0:
            self._times.popleft()
        span_s = now - self._times[0]
        return (len(self._times) - 1) / span_s if span_s > 0 else 0.0


def _classes(classifier: Classifier) -> tuple[object, ...]:
    return classifier.labels, classifier.model.thresholds


def _decider(classifier: Classifier, rules: DecisionRules | None) -> Decider | MultiLabelDecider | None:
    return None if rules is None else open_decider(classifier.labels, classifier.model.thresholds, rules)
