"""Search for the smallest or fastest model that passes the accuracy gate, from a network that was trained elsewhere.

Size and speed depend only on the widths of the layers, so a target is checked before training: the network is pruned to
decreasing shares of its multiply-adds, quantized and timed. Only the first one that meets the target is trained, on the
predictions of the whole network. Without a target, a binary search finds the smallest share that passes the gate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trainer.compression.cost import count_cost
from trainer.errors import CompressionError, RecipeError
from trainer.reports.compression_page import CompressionContent, write_compression_report
from trainer.reports.texts import KIND_NAMES
from trainer.runs.artifacts import MODEL_FILES
from trainer.training.augmentation.augment import check_flip
from trainer.types import CompressedModel, Evaluation, LadderStep, TrainingSet, Variant
from trainer.workflows.external.quantize import ExternalModel, open_external
from trainer.workflows.train.stages.variants import Candidate, describe_variants, speed_conditions, time_candidates

if TYPE_CHECKING:
    from edge_runtime.model.manifest import Calibration
    from trainer.config import Recipe

SHARES = (1.0, 0.85, 0.75, 0.65, 0.55, 0.45, 0.35, 0.25, 0.15)
"""Shares of the multiply-adds to try."""

_BENCHMARK_S = 2.0


@dataclass(frozen=True)
class Target:
    """Speed and size that the model must reach on this machine; None for no limit.

    Attributes:
        fps: Minimum number of inferences per second on one thread.
        size_bytes: Maximum size of the INT8 file.

    Raises:
        RecipeError: A value is not greater than 0.
    """

    fps: float | None = None
    size_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("--target-fps", self.fps), ("--target-size", self.size_bytes)):
            if value is not None and value <= 0:
                raise RecipeError(f"{name} must be greater than 0, got {value:g}.")

    @property
    def given(self) -> bool:
        """Whether there is any limit."""
        return self.fps is not None or self.size_bytes is not None

    def met_by(self, fps: float, size_bytes: int) -> bool:
        """Whether a model's speed and size are within the limits."""
        return (self.fps is None or fps >= self.fps) and (self.size_bytes is None or size_bytes <= self.size_bytes)


@dataclass(frozen=True)
class _Trial:
    """A share that was trained and quantized."""

    keep_macs: float
    file: Path
    network: Any
    evaluation: Evaluation
    rungs: tuple[LadderStep, ...]

    @property
    def step(self) -> LadderStep:
        return next(step for step in self.rungs if step.chosen)


def compress(
    model: Path,
    photos: Path,
    to: Path,
    recipe: Recipe,
    *,
    normalize: str,
    target: Target | None = None,
    crop: Literal["center", "stretch"] = "center",
    labels: tuple[str, ...] | None = None,
    announce: Callable[[str], None],
) -> CompressedModel:
    """Prune, train and quantize a Keras model to meet a target, or as far as it passes the accuracy gate.

    Args:
        model: Functional or sequential Keras 2 model as for `quantize_keras_model`, ending in softmax, or in a sigmoid
            for multi-label photos.
        photos: Folder or list of photos; the training split is used for training.
        to: New or empty folder for the models.
        recipe: Settings, of which ``prune``, ``finetune``, ``augment``, ``distill``, ``quantize``, ``qat``, ``gate``
            and ``seed`` are used.
        normalize: Range of the network's input, as for `quantize_keras_model`.
        target: Speed and size to reach; None for the smallest model that loses at most ``gate.max_drop`` against FP32.
        crop: Part of a frame to use, as for `quantize_keras_model`.
        labels: Names of the classes in the order of the network's outputs; None for those of the photos, sorted.
        announce: Function that receives progress messages.

    Returns:
        The models and the decision of the accuracy gate; a failed gate raises no error here.

    Raises:
        CompressionError: The network cannot be pruned, or the target cannot be met.
        TrainerError: Network, photos or folder cannot be used.
    """
    target = target or Target()
    opened = open_external(model, photos, to, normalize=normalize, crop=crop, labels=labels, seed=recipe.seed)
    check_flip(recipe.augment, opened.labels)
    search = _Search(opened, to, recipe, announce)
    share = search.largest_meeting(target) if target.given else search.smallest_passing()
    return search.finish(share)


class _Search:
    """The network, its baseline, and the shares that were tried."""

    def __init__(self, opened: ExternalModel, to: Path, recipe: Recipe, announce: Callable[[str], None]) -> None:
        from trainer.compression.channel_pruning import least_share
        from trainer.compression.channels import channel_groups
        from trainer.compression.importance import channel_importance
        from trainer.quantization.convert import convert_fp32

        _check_prunable(opened)
        self._opened, self._to, self._announce = opened, to, announce
        # A pruned network makes different mistakes, so only accuracy counts here.
        self._recipe = replace(recipe, gate=replace(recipe.gate, min_agreement=0.0))
        self._network: Any = opened.network
        least = least_share(self._network)
        self._shares = tuple(share for share in SHARES if share >= least)
        if least == 1.0:
            announce("The network has no channels that can be removed; it is quantized unchanged.")
        else:
            self._importance = channel_importance(
                self._network,
                channel_groups(self._network),
                opened.pixels("train"),
                contract=opened.contract,
                kind=recipe.prune.importance,
            )
        self._fp32 = to / MODEL_FILES["fp32"]
        opened.export(self._fp32, convert_fp32(self._network))
        self._baseline = opened.measure(self._fp32)
        announce(f"Baseline, FP32: {self._baseline.accuracy:.1%} on validation")
        self._trials: dict[float, _Trial] = {}

    def largest_meeting(self, target: Target) -> float:
        """Return the largest share whose untrained INT8 model meets a target.

        Raises:
            CompressionError: No share meets it; the message gives the speed and size of the smallest.
        """
        from edge_runtime.benchmark import benchmark
        from trainer.quantization.calibration import representative_set
        from trainer.quantization.convert import convert_int8

        opened, probe = self._opened, self._to / "stages" / "probe.tflite"
        train = opened.pixels("train")
        images, record = representative_set(train, samples=16, seed=0, num_classes=len(opened.labels))
        fps, size = 0.0, 0
        for share in self._shares:
            content = convert_int8(self._pruned(share), images, contract=opened.contract)
            opened.export(probe, content, record)
            report = benchmark([probe], seconds=_BENCHMARK_S, num_threads=1).to_dict()
            fps, size = report["models"][0]["inference"]["fps"], probe.stat().st_size
            probe.unlink()
            self._announce(f"{share:.0%} of the multiply-adds: {size / 1024:.0f} KiB, {fps:.0f} FPS on one thread")
            if target.met_by(fps, size):
                return share
        wanted = [f"{target.fps:g} FPS"] if target.fps else []
        wanted += [f"{target.size_bytes / 1024:.0f} KiB"] if target.size_bytes else []
        raise CompressionError(
            f"{opened.name} cannot meet the target of {' and '.join(wanted)}: pruned to {self._shares[-1]:.0%} of its "
            f"multiply-adds it reaches {fps:.0f} FPS and {size / 1024:.0f} KiB. "
            "Relax the target, or start from a smaller network or input size."
        )

    def smallest_passing(self) -> float:
        """Return the smallest share that passes the gate, by binary search; the largest one if none does."""
        low, high = 0, len(self._shares) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.try_share(self._shares[middle]).step.passed:
                low = middle
            else:
                high = middle - 1
        return self._shares[low]

    def try_share(self, share: float) -> _Trial:
        """Prune, train and quantize, unless this share was tried before."""
        from trainer.quantization.ladder import Subject, climb
        from trainer.training.distillation import Teacher
        from trainer.training.finetune import FitSettings, finetune

        if share in self._trials:
            return self._trials[share]
        opened, recipe, contract = self._opened, self._recipe, self._opened.contract
        data = TrainingSet(opened.pixels("train"), opened.pixels("val"), contract)
        network = self._pruned(share)
        self._announce(f"{share:.0%} of the multiply-adds: training and quantizing")
        if share < 1.0:
            settings = FitSettings(
                replace(recipe.finetune_for(recipe.prune.epochs, recipe.prune.learning_rate), unfreeze=1.0),
                recipe.augment,
                recipe.seed,
                teacher=Teacher(self._network, recipe.distill, contract=contract, loss=recipe.loss),
                stage=f"{share:.0%}",
            )
            finetune(network, data, settings)
        folder = self._to / "stages" / f"{round(100 * share)}_percent"

        def measure(name: str, content: bytes, calibration: Calibration) -> Evaluation:
            opened.export(folder / f"int8_{name}.tflite", content, calibration)
            return opened.measure(folder / f"int8_{name}.tflite")

        samples = recipe.quantize.samples or 256
        subject = Subject(network, data, recipe, len(opened.labels), samples)
        steps, _ = climb(subject, self._baseline, measure, self._announce)
        file = folder / f"int8_{next(step.name for step in steps if step.chosen)}.tflite"
        trial = _Trial(share, file, network, opened.measure(file), steps)
        self._announce(f"{share:.0%} of the multiply-adds: {trial.evaluation.accuracy:.1%}")
        self._trials[share] = trial
        return trial

    def finish(self, share: float) -> CompressedModel:
        """Write the model of a share, and the report on all shares that were tried."""
        from trainer.compression.cost import layer_widths
        from trainer.evaluation.accuracy_gate import judge
        from trainer.storage import write_bytes

        best = self.try_share(share)
        int8 = self._to / MODEL_FILES["int8"]
        write_bytes(int8, best.file.read_bytes())
        variants, conditions = self._variants(best)
        before, after = layer_widths(self._network), layer_widths(best.network)
        page = write_compression_report(
            self._to,
            CompressionContent(
                title=self._opened.name,
                variants=variants,
                rungs=best.rungs,
                max_drop=self._recipe.gate.max_drop,
                layer_errors=(),
                layer_sparsity={},
                layer_widths=tuple((n, before[n], width) for n, width in after.items() if width != before[n]),
                calibration=(),
                conditions=conditions,
                count=self._baseline.count,
            ),
        )
        verdict = judge(self._baseline, best.evaluation, self._recipe.gate)
        return CompressedModel(self._fp32, int8, page, best.keep_macs, verdict, variants, best.rungs)

    def _pruned(self, share: float) -> Any:
        from trainer.compression.channel_pruning import plan_widths, rebuild

        if share == 1.0:
            return self._network
        return rebuild(self._network, plan_widths(self._network, self._importance, share))

    def _variants(self, best: _Trial) -> tuple[tuple[Variant, ...], str]:
        """Return the baseline and all shares that were tried, and the conditions of the benchmark."""
        candidates = [Candidate("whole", "fp32", "Unchanged network, FP32", self._fp32, count_cost(self._network))]
        evaluations = {candidates[0].name: {"val": self._baseline}}
        for share in sorted(self._trials, reverse=True):
            trial = self._trials[share]
            stage = "whole" if share == 1.0 else f"{round(100 * share)}_percent"
            precision = "int8" if trial.step.full_integer else "mixed"
            title = f"{share:.0%} of the multiply-adds, {KIND_NAMES[precision]}"
            cost = count_cost(trial.network)
            candidates.append(Candidate(stage, precision, title, trial.file, cost, ships=trial is best))
            evaluations[candidates[-1].name] = {"val": trial.evaluation}
        speed = time_candidates(candidates)
        return describe_variants(candidates, evaluations, speed), speed_conditions(speed, best.file)


def _check_prunable(opened: ExternalModel) -> None:
    import tf_keras

    network: Any = opened.network
    if not getattr(network, "_is_graph_network", False):
        raise CompressionError(
            f"{opened.name} cannot be pruned, because it is not a functional or sequential Keras 2 model. "
            "Save it with tf_keras as .keras, or quantize it only, with edge-trainer quantize."
        )
    last = network.layers[-1]
    ending = "sigmoid" if opened.dataset.multi_label else "softmax"
    found = "softmax" if isinstance(last, tf_keras.layers.Softmax) else getattr(last, "activation", None)
    if found not in (ending, getattr(tf_keras.activations, ending)):
        raise CompressionError(
            f"{opened.name} ends in {type(last).__name__} {last.name!r}, but these photos need a network that ends in "
            f"{ending}. Change its last layer, or quantize it only, with edge-trainer quantize."
        )
