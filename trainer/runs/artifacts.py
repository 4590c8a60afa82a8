"""What the stages of a run leave behind for later ones: the one place that knows their files' names."""

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
"""Stages that leave a network, in order, and what the network is called after them."""

MEASURED_SPLITS: tuple[Split, ...] = ("val", "test")


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Of the data stage."""
    write_json(folder / "dataset.json", dataset.to_dict())


def read_dataset(run: Run) -> Dataset:
    """The photos and their splits, as the run was started with."""
    return Dataset.from_dict(read_json(run.stage("data") / "dataset.json"))


def read_pixels(run: Run, dataset: Dataset, split: Split, contract: InputContract | None = None) -> Pixels:
    """A split's pictures, from the user's cache, which all runs share; for another network by its contract.

    Packed training photos are dealt to the machines that train together, a set of shards each.
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
    """Of a training stage."""
    model.save(folder / "model.keras")
    write_json(folder / "training.json", {"pretrained": pretrained, "history": [asdict(epoch) for epoch in history]})


def read_model(run: Run, stage: str) -> Any:
    """The tf_keras model of a training stage."""
    return load_model(_network_file(run, stage))


def _network_file(run: Run, stage: str) -> Path:
    return run.stage(stage) / "model.keras"


def write_extension(folder: Path, extension: Extension) -> None:
    """Of the extend stage."""
    write_json(folder / "extension.json", extension.to_dict())


def read_extension(run: Run) -> Extension | None:
    """What an extension did to the classes; None where the run extends none."""
    file = run.stage("extend") / "extension.json"
    return Extension.from_dict(read_json(file)) if file.exists() else None


def write_accuracy_by_photos(folder: Path, found: tuple[tuple[float, float], ...]) -> None:
    """Of the head stage, where photos are few."""
    write_json(folder / "accuracy_by_photos.json", found)


def read_accuracy_by_photos(run: Run) -> tuple[tuple[float, float], ...]:
    """Photos of a class and accuracy, 0–1, growing; empty where it wasn't looked for."""
    file = run.stage("head") / "accuracy_by_photos.json"
    return tuple((photos, accuracy) for photos, accuracy in read_json(file)) if file.exists() else ()


def write_undone(folder: Path, before: float, after: float) -> None:
    """Of the finetune stage, where it was undone: the validation accuracy before and after it, 0–1."""
    write_json(folder / "undone.json", (before, after))


def read_undone(run: Run) -> tuple[float, float] | None:
    """Validation accuracy, 0–1, before and after a fine-tuning that was undone; None where it wasn't."""
    file = run.stage("finetune") / "undone.json"
    return tuple(read_json(file)) if file.exists() else None


def write_widths(folder: Path, before: dict[str, int], after: dict[str, int]) -> None:
    """Of the prune stage: the layers' channels before and after, by layer."""
    changed = {name: (before[name], width) for name, width in after.items() if width != before[name]}
    write_json(folder / "widths.json", changed)


def read_widths(run: Run) -> tuple[tuple[str, int, int], ...]:
    """Name, channels before and after of the layers that were pruned; empty where none was."""
    file = run.stage("prune") / "widths.json"
    return tuple((name, *widths) for name, widths in read_json(file).items()) if file.exists() else ()


def finished_networks(run: Run) -> dict[str, str]:
    """Stages that have left a network, in order, and what it is called; the last one's is the run's."""
    return {stage: name for stage, name in NETWORKS.items() if run.stage(stage).exists()}


def read_latest(run: Run) -> Any:
    """The tf_keras model as the training stages have left it so far."""
    return read_model(run, _latest_stage(run))


def read_latest_shared(run: Run) -> Any:
    """As `read_latest`, of a finished run that another one extends. That one's stages share it: none may change it."""
    file = _network_file(run, _latest_stage(run))
    return _loaded_once(file.resolve(), file.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _loaded_once(file: Path, changed_ns: int) -> Any:
    """The model of a file as it was written at a time: loading one takes seconds."""
    return load_model(file)


def _latest_stage(run: Run) -> str:
    return list(finished_networks(run))[-1]


def was_pretrained(run: Run) -> bool:
    """Whether training began with pretrained weights."""
    first = "head" if run.stage("head").exists() else "extend"
    return bool(read_json(run.stage(first) / "training.json")["pretrained"])


def read_history(run: Run) -> tuple[Epoch, ...]:
    """The learning curves of the network's training stages, in order."""
    files = (run.stage(name) / "training.json" for name in ("head", *finished_networks(run), "quantize"))
    return tuple(Epoch(**epoch) for file in files if file.exists() for epoch in read_json(file)["history"])


def write_evaluation(folder: Path, kind: str, evaluation: Evaluation) -> None:
    """Of the evaluate stage."""
    write_json(folder / f"{kind}_{evaluation.split}.json", evaluation.to_dict())
    if evaluation.all_scores is not None:
        import numpy as np

        content = BytesIO()
        np.savez_compressed(content, scores=evaluation.all_scores)
        write_bytes(folder / f"{kind}_{evaluation.split}.npz", content.getvalue())


def read_evaluations(run: Run) -> dict[str, dict[str, Evaluation]]:
    """By kind (``"fp32"``, ``"int8"``), then by split."""
    folder = run.stage("evaluate")
    return {
        kind: {split: _read_evaluation(folder / f"{kind}_{split}.json") for split in MEASURED_SPLITS}
        for kind in MODEL_FILES
    }


def _read_evaluation(file: Path) -> Evaluation:
    import numpy as np

    evaluation, scores = read_evaluation(read_json(file)), file.with_suffix(".npz")
    if not scores.exists():  # of a run that is older than they are
        return evaluation
    with np.load(scores) as found:
        return replace(evaluation, all_scores=found["scores"])


def write_robustness(folder: Path, measured: dict[str, tuple[Robustness, ...]]) -> None:
    """Of the evaluate stage, by kind of model."""
    write_json(folder / "robustness.json", {kind: [asdict(one) for one in of_it] for kind, of_it in measured.items()})


def read_robustness(run: Run) -> dict[str, tuple[Robustness, ...]]:
    """By kind of model; empty where it wasn't measured."""
    file = run.stage("evaluate") / "robustness.json"
    found = read_json(file) if file.exists() else {}
    return {kind: tuple(Robustness(**one) for one in of_it) for kind, of_it in found.items()}


def read_verdict(run: Run) -> Verdict:
    """The gate's decision."""
    return Verdict.from_dict(read_json(run.stage("evaluate") / "verdict.json"))


def write_speed(folder: Path, report: dict[str, Any], of: Literal["models", "variants"] = "models") -> None:
    """Of the evaluate stage: the benchmark's report on the two models that ship, or on all of the run."""
    write_json(folder / f"speed_{of}.json", report)


def read_speed(run: Run, of: Literal["models", "variants"] = "models") -> dict[str, Any]:
    """The benchmark's report."""
    speed: dict[str, Any] = read_json(run.stage("evaluate") / f"speed_{of}.json")
    return speed


def write_ladder(folder: Path, steps: tuple[LadderStep, ...], history: tuple[Epoch, ...]) -> None:
    """Of the quantize stage: the ways to quantize that were tried, and the learning curves on the way."""
    write_json(folder / "ladder.json", [asdict(step) for step in steps])
    write_json(folder / "training.json", {"history": [asdict(epoch) for epoch in history]})


def read_ladder(run: Run) -> tuple[LadderStep, ...]:
    """The ways to quantize that were tried, in order."""
    return tuple(LadderStep(**step) for step in read_json(run.stage("quantize") / "ladder.json"))


def chosen_step(run: Run) -> LadderStep:
    """The way to quantize by which the INT8 model was made."""
    return next(step for step in read_ladder(run) if step.chosen)


def write_int8_costs(
    folder: Path, calibration: tuple[tuple[int, float], ...], errors: tuple[tuple[str, float], ...]
) -> None:
    """Of the quantize stage: how many pictures were tried for calibration, and what INT8 costs each layer."""
    write_json(folder / "int8_costs.json", {"calibration": calibration, "layer_errors": errors})


def read_int8_costs(run: Run) -> tuple[tuple[tuple[int, float], ...], tuple[tuple[str, float], ...]]:
    """Number of pictures and how much two such sets disagree, 0–1; name and error of each layer, worst first."""
    found = read_json(run.stage("quantize") / "int8_costs.json")
    return tuple((n, share) for n, share in found["calibration"]), tuple((n, e) for n, e in found["layer_errors"])


def write_network_costs(folder: Path, costs: dict[str, NetworkCost]) -> None:
    """Of the quantize stage: what each network of the run costs, by its name."""
    write_json(folder / "network_costs.json", {name: asdict(cost) for name, cost in costs.items()})


def read_network_costs(run: Run) -> dict[str, NetworkCost]:
    """By the network's name: those of `NETWORKS`, and ``"teacher"``."""
    found = read_json(run.stage("quantize") / "network_costs.json")
    return {name: NetworkCost(**cost) for name, cost in found.items()}


def write_variants(folder: Path, variants: tuple[Variant, ...]) -> None:
    """Of the evaluate stage."""
    write_json(folder / "variants.json", [variant.to_dict() for variant in variants])


def read_variants(run: Run) -> tuple[Variant, ...]:
    """Every model file that the run made, as it was measured."""
    return tuple(Variant.from_dict(variant) for variant in read_json(run.stage("evaluate") / "variants.json"))
