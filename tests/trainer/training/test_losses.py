from __future__ import annotations

import numpy as np
import pytest

from tests.trainer.training.test_head import CONTRACT, QUIET, accuracy, colored, quiet, small_model
from trainer.config import DistillConfig, FinetuneConfig, HeadConfig, LossConfig, Recipe
from trainer.errors import RecipeError
from trainer.training.loop.losses import class_weights, fitted_to, make_loss, picture_loss
from trainer.types import TrainingSet

ONE = np.array([0] * 6 + [1] * 3 + [2])  # one label a photo, 6 : 3 : 1
SEVERAL = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 0], [0, 0, 0]], np.uint8)
SCORES = np.array([[0.7, 0.2, 0.1], [0.3, 0.5, 0.2]], np.float32)
TARGETS = np.array([[1, 0, 0], [0, 0, 1]], np.float32)


def test_a_loss_is_chosen_that_fits_the_labels() -> None:
    assert fitted_to(LossConfig(), multi_label=False).kind == "categorical_crossentropy"
    assert fitted_to(LossConfig(), multi_label=True).kind == "binary_crossentropy"
    assert fitted_to(LossConfig("focal"), multi_label=True) == LossConfig("focal")


@pytest.mark.parametrize(
    ("config", "labels", "expected"),
    [
        (
            LossConfig("binary_crossentropy"),
            ONE,
            r"loss\.kind is 'binary.* softmax .* categorical_\w+ or focal",
        ),
        (
            LossConfig("categorical_crossentropy"),
            SEVERAL,
            r"loss\.kind is 'categorical.* sigmoid .* binary_\w+ or focal",
        ),
        (LossConfig("focal", alpha=0.25), ONE, r"loss\.alpha is 0\.25, but .* several labels"),
        (LossConfig(alpha=0.25), SEVERAL, r"loss\.alpha is 0\.25, but .* loss\.kind focal"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(config: LossConfig, labels: np.ndarray, expected: str) -> None:
    with pytest.raises(RecipeError, match=expected):
        make_loss(config, labels, 3)


@pytest.mark.parametrize("name", ["kind", "class_weights", "beta", "gamma", "alpha"])
def test_settings_out_of_range_are_refused(name: str) -> None:
    wrong = "most" if name in ("kind", "class_weights") else -1.0
    with pytest.raises(RecipeError, match=f"loss.{name}"):
        Recipe.from_dict({"loss": {name: wrong}})


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_what_is_neither_weighted_nor_focused_is_keras_own(smoothing: float) -> None:
    import tf_keras

    for labels, keras in (
        (ONE, tf_keras.losses.CategoricalCrossentropy),
        (SEVERAL, tf_keras.losses.BinaryCrossentropy),
    ):
        own = picture_loss(LossConfig(), labels, 3, label_smoothing=smoothing)(TARGETS, SCORES)
        assert float(np.mean(own)) == pytest.approx(float(keras(label_smoothing=smoothing)(TARGETS, SCORES)), rel=1e-5)


def test_the_focal_loss_is_keras_own_too() -> None:
    import tf_keras

    config = LossConfig("focal", gamma=1.5, alpha=0.25)
    keras = tf_keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True, alpha=0.25, gamma=1.5)
    own = picture_loss(config, SEVERAL, 3)(TARGETS, SCORES)
    assert float(np.mean(own)) == pytest.approx(float(keras(TARGETS, SCORES)), rel=1e-5)
    keras = tf_keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0)
    own = picture_loss(LossConfig("focal"), ONE, 3)(TARGETS, SCORES)
    assert float(np.mean(own)) == pytest.approx(float(keras(TARGETS, SCORES)), rel=1e-5)


def test_balanced_weights_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    expected = compute_class_weight("balanced", classes=np.arange(3), y=ONE)
    weights = class_weights(LossConfig(class_weights="balanced"), ONE, 3)
    assert weights == pytest.approx(expected)
    picture = picture_loss(LossConfig(class_weights="balanced"), ONE, 3)(TARGETS, SCORES)
    assert np.asarray(picture) == pytest.approx([-expected[0] * np.log(0.7), -expected[2] * np.log(0.2)], rel=1e-5)


def test_effective_numbers_lie_between_all_the_same_and_balanced() -> None:
    def weights(beta: float) -> np.ndarray:
        found = class_weights(LossConfig(class_weights="effective_number", beta=beta), ONE, 3)
        assert found is not None
        return found

    assert weights(0.0) == pytest.approx([1, 1, 1])
    expected = 0.1 / (1 - 0.9 ** np.array([6, 3, 1]))  # Cui et al., equation 2
    assert weights(0.9) == pytest.approx(3 * expected / expected.sum())
    inverse = 1 / np.array([6, 3, 1])
    assert weights(0.999999) == pytest.approx(3 * inverse / inverse.sum(), rel=1e-4)


def test_with_several_labels_a_weight_is_that_of_yes_against_no() -> None:
    assert class_weights(LossConfig(class_weights="balanced"), SEVERAL, 3) == pytest.approx([1 / 3, 3, 3])
    config = LossConfig(class_weights="balanced")
    plain = picture_loss(LossConfig(), SEVERAL, 3)(TARGETS, SCORES)
    weighted = picture_loss(config, SEVERAL, 3)(TARGETS, SCORES)
    assert np.asarray(weighted - plain) == pytest.approx([2 / 9 * np.log(0.7), -2 / 3 * np.log(0.2)], rel=1e-4)


@pytest.mark.parametrize(
    "loss",
    [LossConfig(class_weights="balanced"), LossConfig("focal", "effective_number")],
    ids=lambda loss: f"{loss.kind}-{loss.class_weights}",
)
def test_networks_learn_by_it_with_and_without_a_teacher(loss: LossConfig) -> None:
    from trainer.config import AugmentConfig
    from trainer.training.distillation import Teacher
    from trainer.training.finetune import finetune
    from trainer.training.head import train_head

    data, model = TrainingSet(colored(96, seed=0), colored(48, seed=1), CONTRACT), small_model()
    assert len(train_head(model, data, HeadConfig(epochs=2), loss=loss, **QUIET)) == 2
    config, still = FinetuneConfig(epochs=6, learning_rate=5e-3, train_size=1.0), AugmentConfig(set="none")
    curve = finetune(model, data, quiet(config, still, loss=loss), from_scratch=True)
    assert curve[-1].loss < curve[0].loss
    assert accuracy(model, data.val) > 0.6
    teacher = Teacher(model, DistillConfig(weight=0.5), contract=CONTRACT, loss=loss)
    taught = finetune(small_model(), data, quiet(config, still, teacher=teacher), from_scratch=True)
    assert taught[-1].val_loss < taught[0].val_loss
