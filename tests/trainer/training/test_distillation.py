from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.training.test_head import CONTRACT, accuracy, colored, quiet, small_model
from trainer.config import AugmentConfig, DistillConfig, FinetuneConfig, LossConfig
from trainer.training.distillation import Teacher, distillation_loss
from trainer.training.finetune import finetune
from trainer.training.loop.losses import picture_loss
from trainer.training.networks.backbones import build_model, get_backbone
from trainer.types import Pixels, TrainingSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

STILL = AugmentConfig(set="none")
CLASSES = 3


@pytest.fixture(scope="module")
def train() -> Pixels:
    return colored(192, seed=0)


@pytest.fixture(scope="module")
def val() -> Pixels:
    return colored(64, seed=1)


@pytest.fixture(scope="module")
def taught(train: Pixels, val: Pixels) -> Any:
    """A trained network."""
    model = small_model()
    config = FinetuneConfig(epochs=8, learning_rate=5e-3, train_size=1.0)
    finetune(model, TrainingSet(train, val, CONTRACT), quiet(config, STILL), from_scratch=True)
    assert accuracy(model, val) > 0.8
    return model


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(values / values.sum(axis=-1, keepdims=True))


LOGITS = st.lists(st.floats(-6, 6), min_size=CLASSES, max_size=CLASSES).map(np.array)


@given(LOGITS, LOGITS, st.integers(0, CLASSES - 1), st.floats(0.5, 8), st.floats(0, 1))
def test_the_loss_is_hintons(student: Any, teacher: Any, label: int, temperature: float, weight: float) -> None:
    targets = np.concatenate([np.eye(CLASSES)[label], softmax(teacher)])[None].astype(np.float32)
    scores = softmax(student)[None].astype(np.float32)
    soft, mine = softmax(teacher / temperature), softmax(student / temperature)
    expected = weight * temperature**2 * np.sum(soft * np.log(soft / mine))
    expected -= (1 - weight) * np.log(softmax(student)[label])
    loss = distillation_loss(targets, scores, DistillConfig(temperature=temperature, weight=weight))
    assert float(loss[0]) == pytest.approx(expected, rel=2e-2, abs=2e-3)


def test_without_an_answer_the_loss_is_that_of_the_label(taught: Any) -> None:
    targets = Teacher(taught, DistillConfig(), contract=CONTRACT).labels_only(np.array([1]))
    scores = np.array([[0.2, 0.5, 0.3]], np.float32)
    assert float(distillation_loss(targets, scores, DistillConfig())[0]) == pytest.approx(-np.log(0.5), rel=1e-4)


@pytest.mark.parametrize("augmentation", [STILL, AugmentConfig()], ids=["answered once", "answered live"])
@pytest.mark.parametrize("flip", [False, True])
def test_a_student_learns_from_answers_alone(
    taught: Any, train: Pixels, val: Pixels, augmentation: AugmentConfig, flip: bool
) -> None:
    """The labels are wrong here: only the teacher knows."""
    wrong = replace(train, labels=(train.labels + 1) % CLASSES)
    student = small_model(seed=3)
    config = FinetuneConfig(epochs=8, learning_rate=5e-3, train_size=1.0)
    teacher = Teacher(taught, DistillConfig(weight=1.0, flip=flip), contract=CONTRACT)
    data = TrainingSet(wrong, val, CONTRACT)
    finetune(student, data, quiet(config, augmentation, teacher=teacher), from_scratch=True)
    assert accuracy(student, val) > 0.7


def test_the_teacher_is_shown_mixed_pictures_beside_their_labels_shares(val: Pixels) -> None:
    """Each picture has one brightness, which gives its label, so that a mixed one gives its shares."""
    import tensorflow as tf

    shown: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []

    class Watched(Teacher):
        def targets(self, truth: Any, pictures: Any) -> Any:
            def note(truth: Any, pictures: Any) -> Any:
                shown.append((truth, pictures))
                return truth

            truth = tf.ensure_shape(tf.numpy_function(note, [truth, pictures], tf.float32), truth.shape)
            return super().targets(truth, pictures)

    labels = np.arange(24) % CLASSES
    plain = np.broadcast_to(100 * labels[:, None, None, None], (24, 32, 32, 3)).astype(np.uint8)
    train = Pixels(plain, labels, tuple(map(str, labels)))
    large = replace(train, images=plain.repeat(2, axis=1).repeat(2, axis=2))
    contract = replace(CONTRACT, height=64, width=64)
    teacher = Watched(small_model(seed=9), DistillConfig(), contract=contract, pixels=large)
    mixing = AugmentConfig(set="none", mixup=1.0, cutmix=1.0)
    config = FinetuneConfig(epochs=1, batch_size=12, train_size=1.0)
    finetune(small_model(seed=3), TrainingSet(train, val, CONTRACT), quiet(config, mixing, teacher=teacher))
    truth, pictures = (np.concatenate(kind) for kind in zip(*shown, strict=True))
    assert pictures.shape[1] == 64
    assert np.count_nonzero((truth > 0.1) & (truth < 0.9)) >= 8
    np.testing.assert_allclose(pictures.mean(axis=(1, 2, 3)), truth @ (100 * np.arange(CLASSES)), atol=8)


def test_a_student_is_not_left_where_it_had_hardly_begun(taught: Any, train: Pixels, val: Pixels) -> None:
    """The more it learns, the worse these labels say it is; by their loss, the first epoch would be the best."""
    misleading = replace(val, labels=(val.labels + 1) % CLASSES)
    student = small_model(seed=3)
    config = FinetuneConfig(epochs=8, learning_rate=5e-3, train_size=1.0)
    teacher = Teacher(taught, DistillConfig(), contract=CONTRACT)
    data = TrainingSet(train, misleading, CONTRACT)
    curve = finetune(student, data, quiet(config, STILL, teacher=teacher), from_scratch=True)
    assert min(curve, key=lambda epoch: epoch.val_loss).epoch < 4
    assert accuracy(student, val) > 0.7


def test_the_feature_map_is_learned_through_a_projection_that_is_thrown_away(train: Pixels, val: Pixels) -> None:
    narrow = get_backbone("mobilenet_v1_0.25")  # 256 channels against basic_cnn's 128
    teacher = Teacher(
        build_model(narrow, num_classes=CLASSES, input_size=32), DistillConfig(feature_weight=1.0), contract=CONTRACT
    )
    student = small_model(seed=5)
    names = [layer.name for layer in student.layers]
    config = FinetuneConfig(epochs=2, train_size=1.0)
    curve = finetune(student, TrainingSet(train, val, CONTRACT), quiet(config, teacher=teacher))
    assert len(curve) == 2
    assert [layer.name for layer in student.layers] == names


def test_a_feature_map_is_imitated(taught: Any, train: Pixels, val: Pixels) -> None:
    """With the map alone to learn from, a student's map comes closer to its teacher's."""
    student = small_model(seed=5)
    before = map_distance(student, taught, val)
    config = FinetuneConfig(epochs=4, learning_rate=5e-3, train_size=1.0)
    teacher = Teacher(taught, DistillConfig(feature_weight=20.0), contract=CONTRACT)
    data = TrainingSet(train, val, CONTRACT)
    finetune(student, data, quiet(config, STILL, teacher=teacher), from_scratch=True)
    assert map_distance(student, taught, val) < 0.5 * before


def test_a_teacher_of_another_size_sees_the_pictures_at_its_own(train: Pixels, val: Pixels) -> None:
    large = build_model(get_backbone("basic_cnn"), num_classes=CLASSES, input_size=64)
    images = train.images.repeat(2, axis=1).repeat(2, axis=2)
    contract = replace(CONTRACT, height=64, width=64)
    teacher = Teacher(large, DistillConfig(), contract=contract, pixels=replace(train, images=images))
    before = large.get_weights()
    config = FinetuneConfig(epochs=1, train_size=1.0)
    curve = finetune(small_model(seed=2), TrainingSet(train, val, CONTRACT), quiet(config, teacher=teacher))
    assert teacher.size == 64
    assert len(curve) == 1
    assert all(np.array_equal(a, b) for a, b in zip(before, large.get_weights(), strict=True))


def map_distance(student: Any, teacher: Any, pixels: Pixels) -> float:
    import tf_keras

    def unit_map(model: Any) -> NDArray[np.float32]:
        body = tf_keras.Model(model.input, model.get_layer("features").input)
        values = body((pixels.images - 128.0) / 127.5, training=False).numpy()
        return np.asarray(values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-6))

    return float(np.mean(np.sum((unit_map(student) - unit_map(teacher)) ** 2, axis=-1)))


@given(LOGITS, LOGITS, st.floats(0.5, 8), st.floats(0, 1))
def test_with_several_labels_each_class_is_a_question_of_its_own(
    student: Any, teacher: Any, temperature: float, weight: float
) -> None:
    def sigmoid(logits: Any) -> Any:
        return 1 / (1 + np.exp(-logits))

    labels = np.array([1, 0, 1])
    targets = np.concatenate([labels, sigmoid(teacher)])[None].astype(np.float32)
    scores = sigmoid(student)[None].astype(np.float32)
    soft, mine = sigmoid(teacher / temperature), sigmoid(student / temperature)
    divergence = soft * np.log(soft / mine) + (1 - soft) * np.log((1 - soft) / (1 - mine))
    hard = -np.where(labels == 1, np.log(sigmoid(student)), np.log(1 - sigmoid(student)))
    expected = weight * temperature**2 * divergence.mean() + (1 - weight) * hard.mean()
    config = DistillConfig(temperature=temperature, weight=weight)
    by_labels = picture_loss(LossConfig(), labels[None], CLASSES)
    loss = distillation_loss(targets, scores, config, hard_loss=by_labels, multi_label=True)
    assert float(loss[0]) == pytest.approx(expected, rel=2e-2, abs=2e-3)
