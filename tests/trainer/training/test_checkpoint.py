"""A training that was interrupted and resumed gives the same result as an uninterrupted one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.trainer.training.test_head import CONTRACT, colored, quiet, same, small_model
from trainer.config import ClusterConfig, DistillConfig, FinetuneConfig, SparsifyConfig
from trainer.training.finetune import finetune
from trainer.training.loop.checkpoint import Checkpoint, checkpoints_in, countable_dropout
from trainer.types import TrainingSet

if TYPE_CHECKING:
    import tf_keras

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Training = Callable[[], tuple["tf_keras.Model", list[Any]]]
DATA = TrainingSet(colored(50, seed=0), colored(20, seed=1), CONTRACT)  # the last batch of an epoch is a small one
CONFIG = FinetuneConfig(epochs=3, batch_size=16, train_size=1.0, learning_rate=5e-3)


def fine_tuning(**settings: Any) -> Training:
    def run() -> tuple[tf_keras.Model, list[Any]]:
        model = small_model()
        return model, finetune(model, DATA, quiet(replace(CONFIG, **settings)))

    return run


def learning_a_feature_map() -> tuple[tf_keras.Model, list[Any]]:
    from trainer.training.distillation import Teacher

    teacher = Teacher(wide_model(), DistillConfig(feature_weight=1.0), contract=CONTRACT)
    model = small_model()
    return model, finetune(model, DATA, quiet(CONFIG, teacher=teacher))


def wide_model() -> tf_keras.Model:
    """With more channels than the student's, which are projected by a layer of random weights."""
    from trainer.training.networks.backbones import build_model, get_backbone

    return build_model(get_backbone("mobilenet_v1_0.25"), num_classes=3, input_size=32)


def sparsifying() -> tuple[tf_keras.Model, list[Any]]:
    from trainer.compression.sparsity import sparsify

    return sparsify(small_model(), DATA, quiet(CONFIG), SparsifyConfig(sparsity=0.5))


def clustering() -> tuple[tf_keras.Model, list[Any]]:
    from trainer.compression.clustering import cluster

    return cluster(small_model(), DATA, quiet(CONFIG), ClusterConfig(clusters=8))


def quantizing() -> tuple[tf_keras.Model, list[Any]]:
    from trainer.quantization.qat.train import train_quantized

    return train_quantized(small_model(), DATA, quiet(CONFIG), calibration_images=DATA.train.images)


class BrokenOffError(Exception):
    """Stands for the end of the process."""


def break_off(training: Training, epochs: int, folder: Path) -> None:
    """Trains for so many epochs and stops, as if the process were killed after writing its checkpoint."""
    written = 0

    def save(self: Checkpoint, *arguments: Any) -> None:
        nonlocal written
        whole(self, *arguments)
        written += 1
        if written == epochs:
            raise BrokenOffError

    whole = Checkpoint.save
    with pytest.MonkeyPatch.context() as patch, checkpoints_in(folder):
        patch.setattr(Checkpoint, "save", save)
        with pytest.raises(BrokenOffError):
            training()


def losses(curve: list[Any]) -> list[tuple[float, float, float]]:
    return [(epoch.loss, epoch.val_loss, epoch.learning_rate) for epoch in curve]


@pytest.mark.parametrize(
    "training",
    [
        pytest.param(fine_tuning(), id="default"),
        pytest.param(
            fine_tuning(optimizer="sgd", ema=0.5, clip_norm=1.0, schedule="plateau", decay_epochs=1, learning_rate=0.3),
            id="sgd, averaged, on plateaus",
        ),
        *(
            pytest.param(training, id=training.__name__, marks=pytest.mark.slow)
            for training in (learning_a_feature_map, sparsifying, clustering, quantizing)
        ),
    ],
)
def test_a_training_that_was_broken_off_ends_the_same_bit_for_bit(training: Training, tmp_path: Path) -> None:
    import tf_keras

    undisturbed, curve = training()
    break_off(training, 2, tmp_path / "checkpoints")
    tf_keras.utils.set_random_seed(99)  # as different as another process
    with checkpoints_in(tmp_path / "checkpoints"):
        again, curve_again = training()
    assert losses(curve_again) == losses(curve)
    assert [epoch.epoch for epoch in curve_again] == list(range(len(curve)))
    assert same(undisturbed.get_weights(), again.get_weights())


def test_a_training_that_was_finished_is_not_repeated(tmp_path: Path) -> None:
    with checkpoints_in(tmp_path):
        model, curve = fine_tuning()()
    with checkpoints_in(tmp_path):
        again, curve_again = fine_tuning()()
    assert curve_again == curve  # the times, too
    assert same(model.get_weights(), again.get_weights())


def test_a_checkpoint_of_another_network_is_not_used(tmp_path: Path) -> None:
    with checkpoints_in(tmp_path):
        fine_tuning()()
    other = small_model(seed=5)
    with checkpoints_in(tmp_path):
        curve = finetune(other, DATA, quiet(replace(CONFIG, epochs=1)))
    assert len(curve) == 1


def test_nothing_is_written_where_nobody_asked_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    finetune(small_model(), DATA, quiet(replace(CONFIG, epochs=1)))
    assert list(tmp_path.iterdir()) == []


def test_countable_dropout_draws_what_dropout_draws_and_begins_anywhere() -> None:
    import tensorflow as tf
    import tf_keras

    batches = [np.ones((rows, 7), np.float32) for rows in (5, 5, 2, 5, 5, 2)]

    def dropped(start: int = 0, *, count: bool = True, drawn: int = 0) -> list[np.ndarray]:
        tf_keras.utils.set_random_seed(3)
        model = tf_keras.Sequential([tf_keras.layers.Input((7,)), tf_keras.layers.Dropout(0.4)])
        if count:
            (counter,) = countable_dropout(model)
            counter.assign(drawn)

        @tf.function(input_signature=[tf.TensorSpec((None, 7))])
        def step(batch: tf.Tensor) -> tf.Tensor:
            return model(batch, training=True)

        return [step(batch).numpy() for batch in batches[start:]]

    expected = dropped(count=False)
    assert 0 < np.mean(expected[0] == 0) < 1
    assert same(dropped(), expected)
    assert same(dropped(3, drawn=(5 + 5 + 2) * 7), expected[3:])
