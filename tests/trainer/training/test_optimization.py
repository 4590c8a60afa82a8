from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.trainer.training.test_head import CONTRACT, colored, quiet, same, small_model
from trainer.config import FinetuneConfig
from trainer.errors import RecipeError
from trainer.training.finetune import finetune, fit_augmented
from trainer.training.loop.fit import growing_sizes, of_any_size
from trainer.training.loop.mixed_precision import check_precision, in_mixed_precision
from trainer.training.loop.optimization import make_optimizer, make_schedule, plateaus
from trainer.types import Epoch, Pixels, TrainingSet

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TRAIN, VAL = colored(60, seed=0), colored(20, seed=1)
DATA = TrainingSet(TRAIN, VAL, CONTRACT)
CONFIG = FinetuneConfig(epochs=2, batch_size=20, train_size=1.0, learning_rate=0.1, warmup_epochs=0.0)


def epoch(val_loss: float) -> Epoch:
    return Epoch("finetune", 0, 1.0, 0.5, val_loss, 0.5, 0.1, 1.0)


def validation_loss(model: Any, val: Pixels, config: FinetuneConfig) -> float:
    import tf_keras

    scores = model((val.images - 128.0) / 127.5, training=False)
    one_hot = np.eye(3, dtype=np.float32)[val.labels]
    return float(tf_keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)(one_hot, scores))


class TestSchedules:
    STEPS = 10

    def rates(self, *steps: int, **settings: Any) -> list[float]:
        schedule = make_schedule(replace(CONFIG, epochs=9, **settings), steps=self.STEPS)
        return [float(schedule.rate(step)) for step in steps]  # type: ignore[operator]

    def test_the_default_warms_up_and_decays_to_nothing(self) -> None:
        rates = self.rates(0, 5, 10, 50, 90, warmup_epochs=1.0)
        assert rates == pytest.approx([0.0, 0.05, 0.1, 0.05, 0.0], abs=1e-7)

    def test_steps_come_every_so_many_epochs(self) -> None:
        rates = self.rates(0, 19, 20, 40, schedule="step", decay=0.5, decay_epochs=2)
        assert rates == pytest.approx([0.1, 0.1, 0.05, 0.025])
        assert self.rates(29, 30, 60, schedule="step") == pytest.approx([0.1, 0.01, 0.001])  # a third of the epochs

    def test_a_warm_up_comes_before_any_schedule(self) -> None:
        for kind in ("step", "plateau", "constant"):
            assert self.rates(0, 5, 10, schedule=kind, warmup_epochs=1.0) == pytest.approx([0.0, 0.05, 0.1])

    def test_a_constant_rate_is_a_number(self) -> None:
        assert make_schedule(replace(CONFIG, schedule="constant"), steps=10).rate == CONFIG.learning_rate

    def test_a_plateau_lowers_the_rate(self) -> None:
        schedule = make_schedule(replace(CONFIG, schedule="plateau", decay=0.5, decay_epochs=2), steps=10)
        found = []
        for losses in ([1.0], [1.0, 1.1, 0.9], [1.0, 1.1, 1.2], [1.0, 1.1, 1.2, 1.0, 1.0]):
            schedule.follow([epoch(loss) for loss in losses])
            found.append(float(schedule.rate(7)))  # type: ignore[operator]
        assert found == pytest.approx([0.1, 0.1, 0.05, 0.025])

    @pytest.mark.parametrize(
        ("losses", "wait", "expected"), [([], 1, 0), ([3, 2, 1], 1, 0), ([1, 1, 1], 1, 2), ([1, 2, 0, 1, 2], 2, 1)]
    )
    def test_plateaus_are_counted_again_after_each(self, losses: list[float], wait: int, expected: int) -> None:
        assert plateaus(losses, wait) == expected


class TestBestEpoch:
    @pytest.mark.parametrize(("schedule", "first"), [("constant", 0), ("cosine", 4), ("step", 4)])
    def test_is_one_of_the_last_third_where_the_rate_falls_by_plan(self, schedule: Any, first: int) -> None:
        model = small_model()
        config = replace(CONFIG, epochs=6, schedule=schedule, learning_rate=3e-3)
        wrong = replace(VAL, labels=(VAL.labels + 1) % 3)  # the more is learned, the higher is their loss
        curve = finetune(model, replace(DATA, val=wrong), quiet(config))
        losses = [one.val_loss for one in curve]
        assert losses[0] == min(losses)
        assert validation_loss(model, wrong, config) == pytest.approx(min(losses[first:]), rel=1e-5)


class TestOptimizers:
    @pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
    def test_are_made_as_named(self, name: str) -> None:
        optimizer = make_optimizer(replace(CONFIG, optimizer=name, clip_norm=2.0), 0.1)
        assert type(optimizer).__name__.lower() == name
        assert optimizer.global_clipnorm == 2.0
        assert not optimizer.use_ema
        assert optimizer.weight_decay == (None if name == "adam" else CONFIG.weight_decay)

    def test_sgd_has_nesterov_momentum(self) -> None:
        optimizer = make_optimizer(replace(CONFIG, optimizer="sgd", momentum=0.8), 0.1)
        assert optimizer.nesterov
        assert optimizer.momentum == 0.8

    def test_clipped_gradients_move_weights_no_further(self) -> None:
        import tensorflow as tf

        weight = tf.Variable([0.0, 0.0])
        optimizer = make_optimizer(replace(CONFIG, optimizer="sgd", momentum=0.0, clip_norm=1.0), 0.1)
        optimizer.apply_gradients([(tf.constant([30.0, 40.0]), weight)])
        np.testing.assert_allclose(weight.numpy(), [-0.06, -0.08], rtol=1e-6)


class TestAveragedWeights:
    def test_are_those_that_are_validated_and_kept(self) -> None:
        model = small_model()
        config = replace(CONFIG, optimizer="sgd", ema=0.9)
        curve = finetune(model, DATA, quiet(config))
        loss = validation_loss(model, VAL, config)
        assert loss == pytest.approx(min(one.val_loss for one in curve), rel=1e-5)

    def test_lie_on_the_way_that_training_takes_without_them(self) -> None:
        ends = {}
        for ema in (0.0, 0.9):
            model = small_model()
            finetune(model, DATA, quiet(replace(CONFIG, epochs=1, ema=ema)))
            ends[ema] = model.get_layer("head").get_weights()[0]
        start = small_model().get_layer("head").get_weights()[0]
        assert 0 < np.abs(ends[0.9] - start).mean() < np.abs(ends[0.0] - start).mean()


class TestGrowingPictures:
    @pytest.mark.parametrize(
        ("start", "share", "expected"),
        [(0.0, 0.7, [160]), (0.4, 0.7, [96, 128, 160]), (0.7, 0.7, [160]), (0.5, 1.0, [128, 160, 192, 224])],
    )
    def test_have_sizes_that_halve_evenly(self, start: float, share: float, expected: list[int]) -> None:
        assert growing_sizes(224, start, share) == expected

    def test_are_shown_in_equal_parts_of_the_epochs(self) -> None:
        import tensorflow as tf
        import tf_keras

        shown: list[int] = []

        class Looking(tf_keras.layers.Layer):  # type: ignore[misc]
            def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
                if training:
                    tf.py_function(lambda size: shown.append(int(size)), [tf.shape(images)[1]], [])
                return images

        image = tf_keras.layers.Input((None, None, 3))
        features = tf_keras.layers.GlobalAveragePooling2D()(Looking()(image))
        network = tf_keras.Model(image, tf_keras.layers.Dense(3, "softmax")(features))
        config = replace(CONFIG, epochs=4, start_size=0.5)
        contract = replace(CONTRACT, height=64, width=64)
        fit_augmented(network, replace(DATA, contract=contract), quiet(config))
        assert shown == [32] * 6 + [64] * 6


class TestMixedPrecision:
    def test_computes_in_half_and_answers_nearly_the_same(self) -> None:
        model = small_model()
        half = in_mixed_precision(of_any_size(model))
        assert {layer.compute_dtype for layer in half.layers if layer.weights} == {"float16"}
        assert {weight.dtype.name for weight in half.weights} == {"float32"}
        assert same(half.get_weights(), model.get_weights())
        images = ((VAL.images - 128.0) / 127.5).astype(np.float32)
        scores = half(images)
        assert scores.dtype == "float32"
        np.testing.assert_allclose(scores, model(images), atol=0.01)

    def test_is_refused_without_a_gpu(self) -> None:
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            pytest.skip("there is a GPU")
        check_precision(CONFIG)
        with pytest.raises(RecipeError, match=r"finetune\.mixed_precision needs a GPU"):
            check_precision(replace(CONFIG, mixed_precision=True))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("optimizer", "lion"),
        ("schedule", "linear"),
        ("ema", 1.0),
        ("momentum", -0.1),
        ("decay", 0.0),
        ("decay_epochs", -1),
        ("clip_norm", -1.0),
        ("start_size", 1.1),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=rf"finetune\.{setting} must be"):
        FinetuneConfig(**{setting: value})
