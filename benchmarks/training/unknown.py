"""Calibration, and detection of out-of-distribution images: photos of rubbish for a network trained on clothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness.figure import Figure
from benchmarks.harness.inputs import shared
from benchmarks.subjects.photo_runs import teacher_run

if TYPE_CHECKING:
    from trainer.runs.run import Run
    from trainer.types import Evaluation

_KEEP = 0.95


def measure(quick: bool) -> list[Figure]:
    from trainer.evaluation.evaluate import evaluate_pixels
    from trainer.evaluation.quality import measure_quality
    from trainer.evaluation.unknown import fit_unknown, unknown_shares
    from trainer.runs.artifacts import read_dataset, read_pixels
    from trainer.runs.run import load_run

    rubbish = sorted(shared("data/trashnet/test").glob("*/*.jpg"))[:: 10 if quick else 1]
    run = load_run(teacher_run("clothing", quick))
    with tempfile.TemporaryDirectory() as folder:
        unscaled, file, temperature = _models(run, Path(folder))
        dataset = read_dataset(run)
        val, test_pixels = read_pixels(run, dataset, "val"), read_pixels(run, dataset, "test")
        threshold = fit_unknown(evaluate_pixels(file, val, "val"), _KEEP)
        plain, test = (evaluate_pixels(one, test_pixels, "test") for one in (unscaled, file))
        theirs = _certainties_of(file, rubbish)
    assert threshold is not None
    before, after = measure_quality(plain), measure_quality(test)
    lost, caught_mistakes = unknown_shares(test, threshold)
    assert lost is not None
    assert caught_mistakes is not None
    caught = sum(certainty < threshold.certainty for certainty in theirs) / len(theirs)
    low, high = (100 * end for end in after.calibration_error_interval)
    return [
        Figure(
            "unknown.calibration_error",
            "How far scores lie from the share of right answers (ECE), clothing, INT8",
            100 * after.calibration_error,
            "points",
            f"{test.count} test photos, temperature {temperature:g}; "
            f"{100 * before.calibration_error:.1f} without it, FP32",
            low,
            high,
        ),
        Figure(
            "unknown.auroc",
            "Clothing told from rubbish by the certainty of the scores, INT8",
            _auroc(test, theirs),
            "AUROC",
            f"{test.count} test photos of clothing, {len(theirs)} of rubbish, which the network never saw",
        ),
        Figure(
            "unknown.caught",
            "Photos of rubbish that it calls unknown",
            100 * caught,
            "%",
            f"threshold that keeps {100 * _KEEP:g}% of the right answers on validation; on the test photos it keeps "
            f"{100 * (1 - lost):.1f}%, and calls {100 * caught_mistakes:.0f}% of the wrong answers unknown",
        ),
    ]


def _models(run: Run, folder: Path) -> tuple[Path, Path, float]:
    """Export a run's network in FP32 as trained and in INT8 with temperature scaling; return the temperature too.

    The files are made here because a kept run may be older than temperature scaling.
    """
    from trainer.evaluation.evaluate import evaluate_pixels
    from trainer.evaluation.temperature import fit_temperature, scale_logits
    from trainer.export.model_file import Exporter
    from trainer.quantization.calibration import representative_set
    from trainer.quantization.convert import convert_fp32, convert_int8
    from trainer.quantization.preparation.prepare import prepare_for_int8
    from trainer.runs.artifacts import read_dataset, read_latest, read_pixels
    from trainer.training.networks.contract import input_contract

    dataset, contract, network = read_dataset(run), input_contract(run.recipe), read_latest(run)
    train, val = read_pixels(run, dataset, "train"), read_pixels(run, dataset, "val")
    fp32, int8, exporter = folder / "fp32.tflite", folder / "int8.tflite", Exporter(dataset.labels, contract)
    exporter.write(fp32, convert_fp32(network), check=False)
    temperature = fit_temperature(evaluate_pixels(fp32, val, "val"))
    scale_logits(network, temperature)
    images, calibration = representative_set(
        train, samples=run.recipe.quantize.samples, seed=run.recipe.seed, num_classes=len(dataset.labels)
    )
    content = convert_int8(prepare_for_int8(network, images, contract=contract), images, contract=contract)
    exporter.write(int8, content, calibration, check=False)
    return fp32, int8, temperature


def _certainties_of(model: Path, photos: list[Path]) -> list[float]:
    from edge_runtime import Classifier
    from edge_runtime.inference.postprocess import certainty
    from trainer.data.images import read_image

    with Classifier(model, num_threads=1) as classifier:
        return [float(certainty(classifier.scores(read_image(photo), color="rgb"))) for photo in photos]


def _auroc(known: Evaluation, unknown: list[float]) -> float:
    from sklearn.metrics import roc_auc_score

    from edge_runtime.inference.postprocess import certainty

    assert known.all_scores is not None
    certainties = certainty(known.all_scores).tolist()
    truth = [1] * len(certainties) + [0] * len(unknown)
    return float(roc_auc_score(truth, certainties + unknown))
