"""Stages that write model files: conversion, measurement, and the run's results."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.environment import package_versions
from trainer.export.model_file import Exporter
from trainer.runs.artifacts import (
    MODEL_FILES,
    finished_networks,
    read_dataset,
    read_latest,
    read_model,
    read_pixels,
    write_evaluation,
    write_int8_costs,
    write_ladder,
    write_network_costs,
    write_robustness,
    write_speed,
    write_variants,
)
from trainer.runs.run import Run
from trainer.storage import write_bytes, write_json
from trainer.training.networks.contract import input_contract
from trainer.types import Evaluation, NetworkCost, Robustness, TrainingSet
from trainer.workflows.train.stages.teachers import read_teacher

if TYPE_CHECKING:
    from edge_runtime.model.manifest import Calibration
    from edge_runtime.types import Activation

_BENCHMARK_S = 5.0


def quantize(run: Run, folder: Path) -> None:
    """Convert the last network to FP32 and, by the quantization ladder, to INT8; convert others to compare with."""
    from trainer.compression.cost import count_cost
    from trainer.evaluation.evaluate import evaluate_pixels
    from trainer.evaluation.temperature import fit_temperature, scale_logits
    from trainer.quantization.calibration import stable_samples
    from trainer.quantization.convert import convert_fp32
    from trainer.quantization.ladder import Subject, climb

    dataset, contract, network, seed = read_dataset(run), input_contract(run.recipe), read_latest(run), run.recipe.seed
    exporter = _exporter(run)
    train, val = read_pixels(run, dataset, "train"), read_pixels(run, dataset, "val")

    def measure(name: str, content: bytes, calibration: Calibration | None = None, *, check: bool = True) -> Evaluation:
        exporter.write(folder / name, content, calibration, check=check)
        return evaluate_pixels(folder / name, val, "val")

    scaled = run.recipe.scores.temperature_scaling
    fp32 = measure(MODEL_FILES["fp32"], convert_fp32(network), check=not scaled)
    if scaled:
        # Before the ladder, so that FP32, all INT8 models and the teacher of INT8 share one scale. FP32's predictions
        # stay the same.
        exporter = replace(exporter, temperature=fit_temperature(fp32))
        scale_logits(network, exporter.temperature)
        exporter.write(folder / MODEL_FILES["fp32"], convert_fp32(network))
    classes, samples = len(dataset.labels), run.recipe.quantize.samples
    tried: tuple[tuple[int, float], ...] = ()
    if not samples:
        samples, tried = stable_samples(network, train, contract=contract, seed=seed, num_classes=classes)
    subject = Subject(network, TrainingSet(train, val, contract), run.recipe, classes, samples)
    steps, history = climb(
        subject,
        fp32,
        lambda name, content, calibration: measure(f"int8_{name}.tflite", content, calibration),
        lambda line: print(line, file=sys.stderr),
    )
    chosen = next(step for step in steps if step.chosen)
    write_bytes(folder / MODEL_FILES["int8"], (folder / f"int8_{chosen.name}.tflite").read_bytes())
    write_ladder(folder, steps, history)
    images, _ = subject.pictures()
    errors = () if run.recipe.extend.run else subject.layer_errors  # a new head does not change other layers
    write_int8_costs(folder, tried, tuple((error.name, error.rmse_over_scale) for error in errors))
    _other_precisions(run, folder, network, images, exporter)
    costs = {**_earlier_networks(run, folder, images), list(finished_networks(run).values())[-1]: count_cost(network)}
    write_network_costs(folder, costs)


def _other_precisions(run: Run, folder: Path, network: Any, images: Any, exporter: Exporter) -> None:
    from trainer.quantization.convert import convert_dynamic_range, convert_float16, convert_int16

    conversions = {
        "float16": lambda: convert_float16(network),
        "dynamic_range": lambda: convert_dynamic_range(network),
        "int16": lambda: convert_int16(network, images, contract=exporter.contract),
    }
    for precision in run.recipe.quantize.also:
        name = list(finished_networks(run).values())[-1]
        exporter.write(folder / f"{name}_{precision}.tflite", conversions[precision]())


def _earlier_networks(run: Run, folder: Path, images: Any) -> dict[str, NetworkCost]:
    """Convert the networks before the last one, and return the cost of each by its name."""
    from trainer.compression.cost import count_cost
    from trainer.quantization.convert import convert_fp32, convert_int8
    from trainer.quantization.preparation.prepare import prepare_for_int8

    exporter, costs = _exporter(run), dict[str, NetworkCost]()
    contract = exporter.contract
    for stage, name in list(finished_networks(run).items())[:-1]:
        network = read_model(run, stage)
        costs[name] = count_cost(network)
        prepared = prepare_for_int8(network, images, contract=contract)
        exporter.write(folder / f"{name}_fp32.tflite", convert_fp32(network))
        exporter.write(folder / f"{name}_int8.tflite", convert_int8(prepared, images, contract=contract))
    if run.recipe.distill.teacher:
        teacher, teacher_contract = read_teacher(run)
        costs["teacher"] = count_cost(teacher)
        replace(exporter, contract=teacher_contract).write(folder / "teacher_fp32.tflite", convert_fp32(teacher))
    return costs


def evaluate(run: Run, folder: Path) -> None:
    """Measure all model files through the runtime: validation decides, the test split is measured only here."""
    from edge_runtime.benchmark import benchmark
    from trainer.evaluation.accuracy_gate import judge
    from trainer.workflows.train.stages.variants import describe_variants, list_candidates, time_candidates

    candidates = list_candidates(run)
    evaluations = {one.name: one.evaluations(run) for one in candidates}
    ship = {one.file.name: evaluations[one.name] for one in candidates if one.ships}
    fp32, int8 = (ship[MODEL_FILES[kind]] for kind in ("fp32", "int8"))
    for kind, splits in (("fp32", fp32), ("int8", int8)):
        for evaluation in splits.values():
            write_evaluation(folder, kind, evaluation)
    write_json(folder / "verdict.json", judge(fp32["val"], int8["val"], run.recipe.gate).to_dict())
    files = {kind: run.stage("quantize") / name for kind, name in MODEL_FILES.items()}
    write_robustness(folder, _robustness(run, files))
    speed = benchmark([files["int8"]], baseline=files["fp32"], seconds=_BENCHMARK_S, num_threads=1).to_dict()
    write_speed(folder, speed)
    # If there are only the two models that ship, they are already timed.
    of_all = time_candidates(candidates) if len(candidates) > len(ship) else speed
    write_speed(folder, of_all, of="variants")
    write_variants(folder, describe_variants(candidates, evaluations, of_all))


def _robustness(run: Run, models: dict[str, Path]) -> dict[str, tuple[Robustness, ...]]:
    """Return the robustness of both models, on some of the test pictures."""
    from trainer.evaluation.robustness import measure_robustness

    dataset, photos = read_dataset(run), run.recipe.robustness.photos
    if not photos or dataset.multi_label:
        return {}
    return measure_robustness(models, read_pixels(run, dataset, "test"), photos=photos, seed=run.recipe.seed)


def report(run: Run, folder: Path) -> None:
    """Write the two models that ship, now with their measurements, and the reports about them."""
    from edge_runtime import read_model_file
    from trainer.reports.compression_page import write_compression_report
    from trainer.reports.model_card import write_model_card
    from trainer.reports.report import write_report
    from trainer.workflows.train.stages.report import compression_content, report_content
    from trainer.workflows.train.stages.stamp import stamp

    for kind, name in MODEL_FILES.items():
        write_bytes(folder / name, (run.stage("quantize") / name).read_bytes())
        stamp(run, kind, folder / name)
        write_bytes(run.folder / name, (folder / name).read_bytes())
    content = report_content(run, folder)
    write_report(run.folder, content)
    described = None if read_dataset(run).multi_label else content  # the card's figures are for one label per photo
    write_model_card(run.folder, read_model_file(run.folder / MODEL_FILES["int8"]), described)
    write_compression_report(run.folder, compression_content(run))


def _exporter(run: Run) -> Exporter:
    """Return an exporter for the run's own networks, before temperature scaling."""
    dataset = read_dataset(run)
    activation: Activation = "sigmoid" if dataset.multi_label else "softmax"
    return Exporter(dataset.labels, input_contract(run.recipe), activation, _provenance(run))


def _provenance(run: Run) -> dict[str, Any]:
    """Return the origin of a model, without anything about the machine that made it."""
    photos = "".join(f"{photo.sha256} {photo.split}\n" for photo in read_dataset(run).photos)
    recipe = run.recipe.without_tracking().to_dict()
    recipe["extend"]["run"] = Path(run.recipe.extend.run).name
    return {
        "backbone": run.recipe.model.backbone,
        "data_sha256": hashlib.sha256(photos.encode()).hexdigest(),
        "date": _today(),
        "recipe": recipe,
        "versions": package_versions(),
    }


def _today() -> str:
    """Return today's date, or that of ``SOURCE_DATE_EPOCH`` for reproducible builds (reproducible-builds.org)."""
    now = os.environ.get("SOURCE_DATE_EPOCH")
    when = datetime.fromtimestamp(int(now), timezone.utc) if now else datetime.now(timezone.utc)
    return when.date().isoformat()
