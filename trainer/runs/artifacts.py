"""Results of each stage on disk: the only module that knows the names of their files."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trainer.data.cache import cache_folder
from trainer.evaluation.multi_label import read_evaluation
from trainer.runs.run import Run
from trainer.storage import read_json, write_bytes, write_json
from trainer.training.networks.contract import input_contract, load_model
from trainer.types import (
    Dataset,
    Epoch,
    Evaluation,
    Extension,
    LadderStep,
    NetworkCost,
    Pixels,
    Robustness,
    Split,
    Variant,
    Verdict,
)

if TYPE_CHECKING:
    from edge_runtime import InputContract

MODEL_FILES = {"fp32": "model_fp32.tflite", "int8": "model_int8.tflite"}
NETWORKS = {
    "finetune": "student",
    "distill": "distilled",
    "prune": "pruned",
    "sparsify": "sparse",
    "cluster": "clustered",
    "extend": "extended",
}
"""Stages that write a network, in order, and the name of that network."""

MEASURED_SPLITS: tuple[Split, ...] = ("val", "test")


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Write the data set of the data stage."""
    write_json(folder / "dataset.json", dataset.to_dict())


def read_dataset(run: Run) -> Dataset:
    """Return the photos and splits that the run was started with."""
    return Dataset.from_dict(read_json(run.stage("data") / "dataset.json"))


def read_pixels(run: Run, dataset: Dataset, split: Split, contract: InputContract | None = None) -> Pixels:
    """Return a split's pictures, from the user's cache, which all runs share.

    In distributed training, packed training photos are divided among the machines by shards.

    Args:
        run: Run whose photos to read.
        dataset: Data set of the run.
        split: Split to read.
        contract: Input contract of another network; None for the run's own.
    """
    from trainer.data.pixels import load_pixels
    from trainer.data.shards import deal, is_packed

    whole, machines = len(dataset.split(split)), run.distribution
    dealt = split == "train" and machines is not None and machines.workers > 1 and is_packed(dataset.root)
    if machines is not None and dealt:
        dataset = deal(dataset, machines.worker, of=machines.workers)
    pixels = load_pixels(dataset, split, contract or input_contract(run.recipe), cache_folder())
    return replace(pixels, whole=whole) if dealt else pixels


def write_trained(folder: Path, model: Any, history: list[Epoch], *, pretrained: bool) -> None:
    """Write the network and the learning curves of a training stage.

    Args:
        folder: Folder of the stage.
        model: The tf_keras model.
        history: Epochs of the stage, in order.
        pretrained: Whether training began with pretrained weights.
    """
    model.save(folder / "model.keras")
    write_json(folder / "training.json", {"pretrained": pretrained, "history": [asdict(epoch) for epoch in history]})


def read_model(run: Run, stage: str) -> Any:
    """Return the tf_keras model of a training stage."""
    return load_model(run.stage(stage) / "model.keras")


def write_extension(folder: Path, extension: Extension) -> None:
    """Write the effect on each class, from the extend stage."""
    write_json(folder / "extension.json", extension.to_dict())


def read_extension(run: Run) -> Extension | None:
    """Return the effect on each class; None if the run extends no other one."""
    file = run.stage("extend") / "extension.json"
    return Extension.from_dict(read_json(file)) if file.exists() else None


def write_accuracy_by_photos(folder: Path, found: tuple[tuple[float, float], ...]) -> None:
    """Write the accuracy by number of photos, from the head stage of a run with few photos."""
    write_json(folder / "accuracy_by_photos.json", found)


def read_accuracy_by_photos(run: Run) -> tuple[tuple[float, float], ...]:
    """Return pairs of photos per class, ascending, and accuracy, 0–1; empty if not measured."""
    file = run.stage("head") / "accuracy_by_photos.json"
    return tuple((photos, accuracy) for photos, accuracy in read_json(file)) if file.exists() else ()


def write_undone(folder: Path, before: float, after: float) -> None:
    """Write the validation accuracy, 0–1, before and after a fine-tuning that was undone."""
    write_json(folder / "undone.json", (before, after))


def read_undone(run: Run) -> tuple[float, float] | None:
    """Return the validation accuracy, 0–1, before and after a fine-tuning that was undone; None if it was not."""
    file = run.stage("finetune") / "undone.json"
    return tuple(read_json(file)) if file.exists() else None


def write_widths(folder: Path, before: dict[str, int], after: dict[str, int]) -> None:
    """Write the number of channels by layer, before and after the prune stage."""
    changed = {name: (before[name], width) for name, width in after.items() if width != before[name]}
    write_json(folder / "widths.json", changed)


def read_widths(run: Run) -> tuple[tuple[str, int, int], ...]:
    """Return the name and the number of channels, before and after, of each pruned layer."""
    file = run.stage("prune") / "widths.json"
    return tuple((name, *widths) for name, widths in read_json(file).items()) if file.exists() else ()


def finished_networks(run: Run) -> dict[str, str]:
    """Return the finished stages that wrote a network, in order, and its name; the last one is the run's own."""
    return {stage: name for stage, name in NETWORKS.items() if run.stage(stage).exists()}


def read_latest(run: Run) -> Any:
    """Return the tf_keras model of the latest finished training stage."""
    return read_model(run, _latest_stage(run))


def read_latest_shared(run: Run) -> Any:
    """Return the model of a finished run, loaded once and shared by the stages that extend it; do not change it."""
    file = run.stage(_latest_stage(run)) / "model.keras"
    return _loaded_once(file.resolve(), file.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _loaded_once(file: Path, changed_ns: int) -> Any:
    """Return a cached model, since loading takes seconds; the time identifies the version of the file."""
    return load_model(file)


def _latest_stage(run: Run) -> str:
    return list(finished_networks(run))[-1]


def was_pretrained(run: Run) -> bool:
    """Whether training began with pretrained weights."""
    first = "head" if run.stage("head").exists() else "extend"
    return bool(read_json(run.stage(first) / "training.json")["pretrained"])


def read_history(run: Run) -> tuple[Epoch, ...]:
    """Return the learning curves of all training stages, in order."""
    files = (run.stage(name) / "training.json" for name in ("head", *finished_networks(run), "quantize"))
    return tuple(Epoch(**epoch) for file in files if file.exists() for epoch in read_json(file)["history"])


def write_evaluation(folder: Path, kind: str, evaluation: Evaluation) -> None:
    """Write the evaluation of a model (``"fp32"`` or ``"int8"``) on one split."""
    write_json(folder / f"{kind}_{evaluation.split}.json", evaluation.to_dict())
    if evaluation.all_scores is not None:
        import numpy as np

        content = BytesIO()
        np.savez_compressed(content, scores=evaluation.all_scores)
        write_bytes(folder / f"{kind}_{evaluation.split}.npz", content.getvalue())


def read_evaluations(run: Run) -> dict[str, dict[str, Evaluation]]:
    """Return the evaluations by model (``"fp32"``, ``"int8"``), then by split."""
    folder = run.stage("evaluate")
    return {
        kind: {split: _read_evaluation(folder / f"{kind}_{split}.json") for split in MEASURED_SPLITS}
        for kind in MODEL_FILES
    }


def _read_evaluation(file: Path) -> Evaluation:
    import numpy as np

    evaluation, scores = read_evaluation(read_json(file)), file.with_suffix(".npz")
    if not scores.exists():  # older runs did not store scores
        return evaluation
    with np.load(scores) as found:
        return replace(evaluation, all_scores=found["scores"])


def write_robustness(folder: Path, measured: dict[str, tuple[Robustness, ...]]) -> None:
    """Write the robustness by model (``"fp32"``, ``"int8"``)."""
    write_json(folder / "robustness.json", {kind: [asdict(one) for one in of_it] for kind, of_it in measured.items()})


def read_robustness(run: Run) -> dict[str, tuple[Robustness, ...]]:
    """Return the robustness by model (``"fp32"``, ``"int8"``); empty if not measured."""
    file = run.stage("evaluate") / "robustness.json"
    found = read_json(file) if file.exists() else {}
    return {kind: tuple(Robustness(**one) for one in of_it) for kind, of_it in found.items()}


def read_verdict(run: Run) -> Verdict:
    """Return the decision of the accuracy gate."""
    return Verdict.from_dict(read_json(run.stage("evaluate") / "verdict.json"))


def write_speed(folder: Path, report: dict[str, Any], of: Literal["models", "variants"] = "models") -> None:
    """Write the benchmark's report on the two models that ship, or on all variants."""
    write_json(folder / f"speed_{of}.json", report)


def read_speed(run: Run, of: Literal["models", "variants"] = "models") -> dict[str, Any]:
    """Return the benchmark's report on the two models that ship, or on all variants."""
    speed: dict[str, Any] = read_json(run.stage("evaluate") / f"speed_{of}.json")
    return speed


def write_ladder(folder: Path, steps: tuple[LadderStep, ...], history: tuple[Epoch, ...]) -> None:
    """Write the steps of the quantization ladder that were tried, and their learning curves."""
    write_json(folder / "ladder.json", [asdict(step) for step in steps])
    write_json(folder / "training.json", {"history": [asdict(epoch) for epoch in history]})


def read_ladder(run: Run) -> tuple[LadderStep, ...]:
    """Return the steps of the quantization ladder that were tried, in order."""
    return tuple(LadderStep(**step) for step in read_json(run.stage("quantize") / "ladder.json"))


def chosen_step(run: Run) -> LadderStep:
    """Return the step that made the INT8 model."""
    return next(step for step in read_ladder(run) if step.chosen)


def write_int8_costs(
    folder: Path, calibration: tuple[tuple[int, float], ...], errors: tuple[tuple[str, float], ...]
) -> None:
    """Write the sizes of the calibration set that were tried, and the INT8 error of each layer."""
    write_json(folder / "int8_costs.json", {"calibration": calibration, "layer_errors": errors})


def read_int8_costs(run: Run) -> tuple[tuple[tuple[int, float], ...], tuple[tuple[str, float], ...]]:
    """Return calibration-set sizes with the disagreement of two such sets, 0–1, and layers with errors, worst first."""
    found = read_json(run.stage("quantize") / "int8_costs.json")
    return tuple((n, share) for n, share in found["calibration"]), tuple((n, e) for n, e in found["layer_errors"])


def write_network_costs(folder: Path, costs: dict[str, NetworkCost]) -> None:
    """Write the cost of each network, by its name."""
    write_json(folder / "network_costs.json", {name: asdict(cost) for name, cost in costs.items()})


def read_network_costs(run: Run) -> dict[str, NetworkCost]:
    """Return the cost of each network, by its name in `NETWORKS` or ``"teacher"``."""
    found = read_json(run.stage("quantize") / "network_costs.json")
    return {name: NetworkCost(**cost) for name, cost in found.items()}


def write_variants(folder: Path, variants: tuple[Variant, ...]) -> None:
    """Write the measurements of every model file."""
    write_json(folder / "variants.json", [variant.to_dict() for variant in variants])


def read_variants(run: Run) -> tuple[Variant, ...]:
    """Return the measurements of every model file of the run."""
    return tuple(Variant.from_dict(variant) for variant in read_json(run.stage("evaluate") / "variants.json"))
