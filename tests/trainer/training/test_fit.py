from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.training.loop.fit import batches, endless_batches
from trainer.types import Pixels


def numbered(count: int) -> Pixels:
    """Pictures in one color each, which is their label."""
    labels = np.arange(count)
    images = np.broadcast_to(labels.astype(np.uint8)[:, None, None, None], (count, 2, 2, 3))
    return Pixels(images, labels, tuple(map(str, labels)))


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 40), batch_size=st.integers(1, 40), seed=st.integers(0, 1000))
def test_training_batches_are_full_and_each_round_shows_each_picture_once(
    count: int, batch_size: int, seed: int
) -> None:
    rounds = batch_size  # of which a whole number of batches is made
    taken = list(endless_batches(numbered(count), batch_size, seed=seed).take(count).as_numpy_iterator())

    assert {len(images) for images, _ in taken} == {batch_size}
    labels = np.concatenate([labels for _, labels in taken]).reshape(rounds, count)
    assert (np.sort(labels, axis=1) == np.arange(count)).all()
    assert (np.concatenate([images for images, _ in taken])[:, 0, 0, 0] == labels.ravel()).all()


def test_training_batches_come_in_another_order_each_round() -> None:
    rounds = [labels for _, labels in endless_batches(numbered(32), 32, seed=0).take(4).as_numpy_iterator()]

    assert len({tuple(labels) for labels in rounds}) == 4


@pytest.mark.parametrize("batch_size", [1, 4, 9, 20])
def test_batches_show_each_picture_once_in_order(batch_size: int) -> None:
    taken = [labels for _, labels in batches(numbered(9), batch_size).as_numpy_iterator()]

    assert np.concatenate(taken).tolist() == list(range(9))
