"""The stages that leave model files: conversion, measuring, and writing down what came out."""

from __future__ import annotations

import hashlib
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.environment import package_versions
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
    from edge_runtime import InputContract
    from edge_runtime.model.manifest import Calibration

_BENCHMARK_S = 5.0


def quantize(run: Run, folder: Path) -> None:
    """The last network in FP32, the ladder to its INT8 model, and what to compare it with."""
    from trainer.compression.cost import count_cost
    from trainer.evaluation.evaluate import evaluate_pixels
    from trainer.evaluation.temperature import fit_temperature, scale_logits
    from trainer.quantization.calibration import stable_samples
    from trainer.quantization.convert import convert_fp32
    from trainer.quantization.ladder import Subject, climb

    dataset, contract, network, seed = read_dataset(run), input_contract(run.recipe), read_latest(run), run.recipe.seed
    train, val = read_pixels(run, dataset, "train"), read_pixels(run, dataset, "val")

    def measure(name: str, content: bytes, calibration: Calibration | None = None, *, check: bool = True) -> Evaluation:
        _export(run, folder / name, content, contract, calibration, temperature, check=check)
        return evaluate_pixels(folder / name, val, "val")

    temperature, scaled = 1.0, run.recipe.scores.temperature_scaling
    fp32 = measure(MODEL_FILES["fp32"], convert_fp32(network), check=not scaled)
    if scaled:
        # Before the ladder, so that FP32, each INT8 model and what INT8 is trained by have the same scale. FP32's
        # answers stay what they are.
        temperature = fit_temperature(fp32)
        scale_logits(network, temperature)
        _export(run, folder / MODEL_FILES["fp32"], convert_fp32(network), contract, temperature=temperature)
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
    errors = () if run.recipe.extend.run else subject.layer_errors  # a new head changes no other layer
    write_int8_costs(folder, tried, tuple((error.name, error.rmse_over_scale) for error in errors))
    _other_precisions(run, folder, network, images, temperature)
    costs = {**_earlier_networks(run, folder, images), list(finished_networks(run).values())[-1]: count_cost(network)}
    write_network_costs(folder, costs)


def _other_precisions(run: Run, folder: Path, network: Any, images: Any, temperature: float) -> None:
    from trainer.quantization.convert import convert_dynamic_range, convert_float16, convert_int16

    contract = input_contract(run.recipe)
    conversions = {
        "float16": lambda: convert_float16(network),
        "dynamic_range": lambda: convert_dynamic_range(network),
        "int16": lambda: convert_int16(network, images, contract=contract),
    }
    for precision in run.recipe.quantize.also:
        name = list(finished_networks(run).values())[-1]
        file = folder / f"{name}_{precision}.tflite"
        _export(run, file, conversions[precision](), contract, temperature=temperature)


def _earlier_networks(run: Run, folder: Path, images: Any) -> dict[str, NetworkCost]:
    """Converts the networks that came before the last one; what each costs, by its name."""
    from trainer.compression.cost import count_cost
    from trainer.quantization.convert import convert_fp32, convert_int8
    from trainer.quantization.preparation.prepare import prepare_for_int8

    contract, costs = input_contract(run.recipe), dict[str, NetworkCost]()
    for stage, name in list(finished_networks(run).items())[:-1]:
        network = read_model(run, stage)
        costs[name] = count_cost(network)
        prepared = prepare_for_int8(network, images, contract=contract)
        _export(run, folder / f"{name}_fp32.tflite", convert_fp32(network), contract)
        _export(run, folder / f"{name}_int8.tflite", convert_int8(prepared, images, contract=contract), contract)
    if run.recipe.distill.teacher:
        teacher, theirs = read_teacher(run)
        costs["teacher"] = count_cost(teacher)
        _export(run, folder / "teacher_fp32.tflite", convert_fp32(teacher), theirs)
    return costs


def evaluate(run: Run, folder: Path) -> None:
    """All files through the runtime: the validation split decides, the test split is measured this once."""
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
    write_robustness(folder, _robustness(run))
    files = {kind: run.stage("quantize") / name for kind, name in MODEL_FILES.items()}
    speed = benchmark([files["int8"]], baseline=files["fp32"], seconds=_BENCHMARK_S, num_threads=1).to_dict()
    write_speed(folder, speed)
    # Where there are no others than the two, they have been timed already.
    of_all = time_candidates(candidates) if len(candidates) > len(ship) else speed
    write_speed(folder, of_all, of="variants")
    write_variants(folder, describe_variants(candidates, evaluations, of_all))


def _robustness(run: Run) -> dict[str, tuple[Robustness, ...]]:
    """Of both models, on some of the test pictures."""
    from trainer.evaluation.robustness import measure_robustness

    dataset, photos = read_dataset(run), run.recipe.robustness.photos
    if not photos or dataset.multi_label:
        return {}
    models = {kind: run.stage("quantize") / name for kind, name in MODEL_FILES.items()}
    return measure_robustness(models, read_pixels(run, dataset, "test"), photos=photos, seed=run.recipe.seed)


def report(run: Run, folder: Path) -> None:
    """The files that ship, which now carry what was measured, and the pages about them."""
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
    told = None if read_dataset(run).multi_label else content  # the card's figures are those of one label a photo
    write_model_card(run.folder, read_model_file(run.folder / MODEL_FILES["int8"]), told)
    write_compression_report(run.folder, compression_content(run))


def _export(
    run: Run,
    file: Path,
    content: bytes,
    contract: InputContract,
    calibration: Calibration | None = None,
    temperature: float = 1.0,
    *,
    check: bool = True,
) -> None:
    from trainer.export.model_file import export_model

    dataset = read_dataset(run)
    export_model(
        file,
        content,
        labels=dataset.labels,
        contract=contract,
        activation="sigmoid" if dataset.multi_label else "softmax",
        provenance=_provenance(run),
        calibration=calibration,
        temperature=temperature,
        check=check,
    )


def _provenance(run: Run) -> dict[str, Any]:
    """Where a model came from; nothing of the machine that made it."""
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
    """The day, or that of ``SOURCE_DATE_EPOCH`` (reproducible-builds.org), for whoever makes the same file again."""
    now = os.environ.get("SOURCE_DATE_EPOCH")
    when = datetime.fromtimestamp(int(now), timezone.utc) if now else datetime.now(timezone.utc)
    return when.date().isoformat()
