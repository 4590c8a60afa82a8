"""Photos and process log of the measurement of training's scaling."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.training.training_scaling import ProcessLog, draw_photos
from trainer.config import DataConfig
from trainer.data.dataset import scan


def test_drawn_photos_can_be_trained_on_and_no_two_are_the_same(tmp_path: Path) -> None:
    found = scan(draw_photos(tmp_path / "photos", 200, 7), data=DataConfig(), seed=0)
    assert len(found.labels) == 7
    assert found.unreadable == ()
    assert len({photo.sha256 for photo in found.photos}) == 200


def test_memory_and_processor_time_are_seen_in_the_step_that_takes_them() -> None:
    with ProcessLog() as log:
        start = time.time()
        time.sleep(0.2)
        between = time.time()
        taken = np.ones(64 * 2**20, np.uint8)
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass
        time.sleep(0.1)
        end = time.time()
    before, during = log.step(start, between), log.step(between, end)
    assert during.anonymous_bytes - before.anonymous_bytes >= 0.9 * taken.nbytes
    assert before.processor_seconds < 0.1 < 0.25 < during.processor_seconds
