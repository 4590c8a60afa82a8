"""The search for a smaller model: targets, the accuracy gate, and what cannot be met."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge_runtime import Classifier
from tests.support.tiny import LABELS, build_network, write_photos
from trainer.config import Recipe
from trainer.errors import CompressionError, RecipeError
from trainer.reports.summary import format_compressed
from trainer.types import CompressedModel
from trainer.workflows.external.compress import SHARES, Target, compress

if TYPE_CHECKING:
    from tests.support.tiny import TinyModels

QUICK = Recipe.from_dict(
    {
        "prune": {"epochs": 2},
        "finetune": {"learning_rate": 3e-3, "train_size": 1.0},
        "quantize": {"samples": 24},
        "gate": {"max_drop": 15.0, "repair": False},
    }
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 60)


@pytest.fixture(scope="module")
def keras_file(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keras") / "mine.keras"
    tiny_models.keras.save(path)
    return path


def run(keras_file: Path, photos: Path, to: Path, recipe: Recipe = QUICK, **settings: Any) -> CompressedModel:
    return compress(
        keras_file, photos, to, recipe, normalize="symmetric", announce=settings.pop("announce", str), **settings
    )


def test_without_a_target_it_goes_as_far_as_the_gate_allows(keras_file: Path, photos: Path, tmp_path: Path) -> None:
    made = run(keras_file, photos, tmp_path / "c")
    assert made.verdict.passed
    assert made.keep_macs in SHARES
    (shipped,) = (variant for variant in made.variants if variant.ships)
    (baseline,) = (variant for variant in made.variants if variant.baseline)
    assert shipped.macs <= made.keep_macs * baseline.macs
    assert shipped.accuracies["val"] >= baseline.accuracies["val"] - 0.15
    with Classifier(made.int8) as classifier:
        assert classifier.model.is_quantized
        assert classifier.labels == LABELS
    assert json.loads((tmp_path / "c" / "compression.json").read_text())["pareto"]["size_bytes"]
    assert "Unchanged network, FP32" in made.page.read_text()
    assert f"{made.keep_macs:.0%} of the multiply-adds" in format_compressed(made)


def test_a_target_is_met_by_the_largest_that_meets_it(keras_file: Path, photos: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    made = run(keras_file, photos, tmp_path / "any", target=Target(size_bytes=10**6), announce=lines.append)
    assert made.keep_macs == 1.0  # nothing has to go
    whole = made.int8.stat().st_size
    made = run(keras_file, photos, tmp_path / "less", target=Target(size_bytes=whole - 200))
    assert made.keep_macs < 1.0
    assert made.int8.stat().st_size < whole
    assert any("FPS on one thread" in line for line in lines)


def test_a_target_that_cannot_be_met_says_what_can(keras_file: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(CompressionError, match=r"target of 1 KiB: pruned to \d+% .* reaches \d+ FPS and \d+ KiB"):
        run(keras_file, photos, tmp_path / "c", target=Target(size_bytes=1024))
    with pytest.raises(RecipeError, match="--target-fps must be greater than 0"):
        Target(fps=0.0)


def test_a_network_without_softmax_is_refused(photos: Path, tmp_path: Path) -> None:
    import tf_keras

    network = build_network()
    logits = tf_keras.Model(network.input, network.get_layer("head").output)
    logits.save(tmp_path / "logits.keras")
    with pytest.raises(
        CompressionError, match="ends in Dense 'head', but these photos need a network that ends in softmax"
    ):
        run(tmp_path / "logits.keras", photos, tmp_path / "c")
    assert not (tmp_path / "c").exists()
