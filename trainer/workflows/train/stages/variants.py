"""Compare all model files of a run: what each step gained and what it cost."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.evaluation.evaluate import evaluate_pixels
from trainer.evaluation.multi_label import thresholds_of
from trainer.reports.texts import KIND_NAMES
from trainer.runs.artifacts import (
    MEASURED_SPLITS,
    MODEL_FILES,
    chosen_step,
    finished_networks,
    read_dataset,
    read_network_costs,
    read_pixels,
)
from trainer.types import Evaluation, NetworkCost, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer.runs.run import Run

TITLES = {
    "student": "Trained on labels",
    "distilled": "Distilled",
    "pruned": "Channels pruned",
    "sparse": "Weights pruned",
    "clustered": "Weights clustered",
    "extended": "Classes added",
}


@dataclass(frozen=True)
class Candidate:
    """A model file before it is measured.

    Attributes:
        stage: Last change to the network; see `trainer.types.Variant.network`.
        precision: Precision of the model; see `trainer.types.Variant.precision`.
        title: Title for reports.
        file: Path of the file.
        cost: Cost of the network.
        ships: Whether this is one of the run's two results.
    """

    stage: str
    precision: str
    title: str
    file: Path
    cost: NetworkCost
    ships: bool = False

    @property
    def name(self) -> str:
        """Unique name of network and precision."""
        return f"{self.stage}_{self.precision}"

    def evaluations(self, run: Run) -> dict[str, Evaluation]:
        """Measure the file through the runtime, by split."""
        from edge_runtime import read_model_file

        dataset, contract, found = read_dataset(run), read_model_file(self.file).contract, dict[str, Evaluation]()
        for split in MEASURED_SPLITS:  # validation first: it decides the thresholds of multi-label models
            pixels = read_pixels(run, dataset, split, contract)
            found[split] = evaluate_pixels(self.file, pixels, split, thresholds=thresholds_of(found.get("val")))
        return found


def list_candidates(run: Run) -> tuple[Candidate, ...]:
    """Return the files of the quantize stage: the teacher first, then the networks in order."""
    folder, costs = run.stage("quantize"), read_network_costs(run)
    found = []
    if run.recipe.distill.teacher:
        found.append(Candidate("teacher", "fp32", "Teacher, FP32", folder / "teacher_fp32.tflite", costs["teacher"]))
    names = list(finished_networks(run).values())
    for name in names:
        last = name == names[-1]
        for precision in KIND_NAMES:
            ships = last and precision in MODEL_FILES
            file = folder / (MODEL_FILES[precision] if ships else f"{name}_{precision}.tflite")
            if not file.exists():
                continue
            if ships and precision == "int8" and not chosen_step(run).full_integer:
                precision = "mixed"
            title = f"{TITLES[name]}, {KIND_NAMES[precision]}"
            found.append(Candidate(name, precision, title, file, costs[name], ships))
    return tuple(found)


def time_candidates(candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Benchmark all files in turns on one thread, with the first one as baseline, and return the report."""
    from edge_runtime.benchmark import benchmark

    baseline, *others = (one.file for one in candidates)
    return benchmark(others, baseline=baseline, seconds=1.0 * len(candidates), num_threads=1).to_dict()


def describe_variants(
    candidates: Sequence[Candidate], evaluations: Mapping[str, Mapping[str, Evaluation]], speed: dict[str, Any]
) -> tuple[Variant, ...]:
    """Combine size, multiply-adds, accuracy and speed of all candidates, in their order.

    Args:
        candidates: Model files, the baseline first: the teacher, or else the uncompressed network.
        evaluations: Evaluations by name, then by split.
        speed: Report of `time_candidates`.
    """
    baseline = candidates[0]
    timed = {model["path"]: model for model in speed["models"]}
    variants = []
    for one in candidates:
        measured, content = timed[str(one.file)], one.file.read_bytes()
        speedup = measured.get("inference_speedup")
        variants.append(
            Variant(
                name=one.name,
                network=one.stage,
                precision=one.precision,
                title=one.title,
                accuracies={split: evaluation.accuracy for split, evaluation in evaluations[one.name].items()},
                size_bytes=len(content),
                gzip_bytes=len(gzip.compress(content, mtime=0)),
                macs=one.cost.macs,
                sparsity=one.cost.sparsity,
                latency_ms=measured["inference"]["p50_ms"],
                speedup=None if one is baseline else (speedup["ratio"], speedup["low"], speedup["high"]),
                baseline=one is baseline,
                ships=one.ships,
            )
        )
    return tuple(variants)


def speed_conditions(report: dict[str, Any], file: Path) -> str:
    """Describe the conditions of a benchmark, with the backend of one of its models."""
    backend = next(model["backend"] for model in report["models"] if Path(model["path"]).name == file.name)
    threads = backend["num_threads"]
    return (
        f"{report['machine']['cpu']}, {backend['name']} {backend['version']}, {threads} thread{'s' * (threads != 1)}, "
        f"INT8 kernels {backend['int8_kernels']}, {report['rounds']} interleaved rounds, "
        f"{report['frame_width']}×{report['frame_height']} frames"
    )
