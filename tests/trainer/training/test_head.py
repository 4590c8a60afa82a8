from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge_runtime.types import InputContract
from trainer.config import AugmentConfig, FinetuneConfig, HeadConfig
from trainer.training.finetune import FitSettings, finetune
from trainer.training.head import feature_extractor, fit_head, train_head
from trainer.training.loop.fit import train_size
from trainer.training.networks.backbones import HEAD_LAYER, build_model, get_backbone
from trainer.types import Features, Pixels, TrainingSet

if TYPE_CHECKING:
    import tf_keras

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

BACKBONE = get_backbone("basic_cnn")
CONTRACT = InputContract(32, 32, mean=BACKBONE.mean, std=BACKBONE.std)
QUIET: dict[str, Any] = {"seed": 0, "progress": False}


def colored(count: int, seed: int) -> Pixels:
    """Noise, in which one of three channels is brighter: that channel is the class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    images = random.integers(0, 120, (count, 32, 32, 3)).astype(np.uint8)
    images[np.arange(count), :, :, labels] += 60
    return Pixels(images, labels, tuple(str(number) for number in range(count)))


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return TrainingSet(colored(256, seed=0), colored(64, seed=1), CONTRACT)


@pytest.fixture(scope="module")
def val(data: TrainingSet) -> Pixels:
    return data.val


def quiet(config: FinetuneConfig, augment: AugmentConfig | None = None, **settings: Any) -> FitSettings:
    return FitSettings(config, augment or AugmentConfig(), **{**QUIET, **settings})


def small_model(seed: int = 0) -> tf_keras.Model:
    return build_model(BACKBONE, num_classes=3, input_size=32, seed=seed)


def accuracy(model: tf_keras.Model, pixels: Pixels) -> float:
    scores = model((pixels.images - 128.0) / 127.5, training=False).numpy()
    return float((scores.argmax(axis=1) == pixels.labels).mean())


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_features_do_not_depend_on_the_batches(val: Pixels) -> None:
    model = small_model()
    at_once = feature_extractor(model, contract=CONTRACT, batch_size=64, progress=False)(val.images)
    in_parts = feature_extractor(model, contract=CONTRACT, batch_size=24, progress=False)(val.images)
    assert at_once.shape == (64, 128)
    np.testing.assert_allclose(at_once, in_parts, rtol=1e-4, atol=1e-5)


def test_the_head_learns_and_the_backbone_stays(data: TrainingSet, val: Pixels) -> None:
    model = small_model()
    before = model.get_weights()
    curve = train_head(model, data, HeadConfig(epochs=15, learning_rate=0.05), **QUIET)
    after = model.get_weights()
    assert same(before[:-2], after[:-2])
    assert not same(before[-2:], after[-2:])
    assert [epoch.stage for epoch in curve] == ["head"] * len(curve)
    assert accuracy(model, val) == pytest.approx(min(curve, key=lambda epoch: epoch.val_loss).val_accuracy)
    assert accuracy(model, val) > 0.8


def test_a_regression_gives_rare_classes_their_due(data: TrainingSet, val: Pixels) -> None:
    train = data.train
    rare = np.flatnonzero((train.labels != 2) | (np.cumsum(train.labels == 2) <= 6))
    few = Pixels(train.images[rare], train.labels[rare], ("",) * len(rare))
    model = small_model()
    assert train_head(model, replace(data, train=few), HeadConfig(solver="lbfgs"), **QUIET) == []
    assert accuracy(model, val) > 0.8


def test_few_photos_of_one_label_each_have_a_regression(data: TrainingSet, val: Pixels) -> None:
    model = small_model()
    assert train_head(model, data, HeadConfig(), **QUIET) == []
    assert accuracy(model, val) > 0.8

    both = np.eye(3, dtype=np.uint8)
    labelled = [Pixels(pixels.images, both[pixels.labels], pixels.paths) for pixels in (data.train, val)]
    several = build_model(BACKBONE, num_classes=3, input_size=32, multi_label=True)
    assert train_head(several, TrainingSet(*labelled, CONTRACT), HeadConfig(), **QUIET)[0].stage == "head"


def test_a_regression_of_two_classes_has_two_outputs() -> None:
    values = np.random.default_rng(0).normal(size=(40, 128)).astype(np.float32)
    two = Features(values, (values[:, 0] > 0).astype(np.int64))
    model = build_model(BACKBONE, num_classes=2, input_size=32)
    fit_head(model, two, two, HeadConfig(solver="lbfgs"), seed=0, progress=False)
    kernel, bias = model.get_layer(HEAD_LAYER).get_weights()
    assert ((values @ kernel + bias).argmax(axis=1) == two.labels).mean() > 0.9


def test_no_epochs_leave_the_model_as_it_is(data: TrainingSet, val: Pixels) -> None:
    model = small_model()
    before = model.get_weights()
    assert train_head(model, data, HeadConfig(epochs=0), **QUIET) == []
    assert finetune(model, data, quiet(FinetuneConfig(epochs=0))) == []
    assert same(before, model.get_weights())


def test_training_from_scratch_learns_and_keeps_the_best_epoch(data: TrainingSet, val: Pixels) -> None:
    model = small_model()
    config = FinetuneConfig(epochs=6, learning_rate=5e-3, train_size=1.0)
    curve = finetune(model, data, quiet(config), from_scratch=True)
    assert accuracy(model, val) == pytest.approx(min(curve, key=lambda epoch: epoch.val_loss).val_accuracy)
    assert accuracy(model, val) > 0.8
    assert curve[-1].learning_rate < curve[1].learning_rate


def test_mixed_pictures_are_learned_from(data: TrainingSet, val: Pixels) -> None:
    model = small_model()
    config = FinetuneConfig(epochs=6, learning_rate=5e-3, train_size=1.0)
    mixing = AugmentConfig(set="none", mixup=1.0, cutmix=1.0)
    finetune(model, data, quiet(config, mixing), from_scratch=True)
    assert accuracy(model, val) > 0.8


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data: TrainingSet, val: Pixels) -> None:
    config = FinetuneConfig(epochs=1, train_size=1.0)

    def trained(seed: int) -> list[np.ndarray]:
        model = small_model()
        train_head(model, data, HeadConfig(epochs=2), seed=seed, progress=False)
        finetune(model, data, quiet(config, seed=seed))
        return model.get_weights()

    first = trained(seed=1)
    assert same(first, trained(seed=1))
    assert not same(first, trained(seed=2))


def test_the_lower_layers_stay_frozen(data: TrainingSet, val: Pixels) -> None:
    model = small_model()
    names = ("conv1", "conv1_bn", "conv5", HEAD_LAYER)
    before = {name: model.get_layer(name).get_weights() for name in names}
    finetune(model, data, quiet(FinetuneConfig(epochs=1, unfreeze=0.5)))
    kept = {name: same(before[name], model.get_layer(name).get_weights()) for name in names}
    assert kept == {"conv1": True, "conv1_bn": True, "conv5": False, HEAD_LAYER: False}


def test_training_stops_when_nothing_gets_better(data: TrainingSet, val: Pixels) -> None:
    model = small_model()
    config = HeadConfig(epochs=50, learning_rate=1e-9, patience=3)
    assert len(train_head(model, data, config, **QUIET)) < 50


@pytest.mark.parametrize(
    ("input_size", "share", "expected"),
    [(224, 0.7, 160), (224, 1.0, 224), (96, 0.7, 64), (100, 1.0, 100), (32, 0.5, 32)],
)
def test_the_size_in_training_halves_evenly(input_size: int, share: float, expected: int) -> None:
    assert train_size(input_size, share) == expected
