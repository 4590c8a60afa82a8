"""Searches for the smallest or fastest model that keeps the promise, from a network that was trained elsewhere.

Size and speed depend on a network's widths alone, so a target is met before anything is trained: the network is pruned
to one share of its multiply-adds after the other, quantized and timed as it is. Only what meets the target is trained,
by the answers of the whole network. Without a target the share is halved in on until the promise just holds.
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
"""Shares of the multiply-adds that are tried."""

_BENCHMARK_S = 2.0


@dataclass(frozen=True)
class Target:
    """What the model is to reach on this machine; None: nothing.

    Attributes:
        fps: Inferences in a second on one thread, at least.
        size_bytes: Of the INT8 file, at most.
    """

    fps: float | None = None
    size_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("--target-fps", self.fps), ("--target-size", self.size_bytes)):
            if value is not None and value <= 0:
                raise RecipeError(f"Expected {name} to be greater than 0, got {value:g}.")

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return self.fps is not None or self.size_bytes is not None

    def met_by(self, fps: float, size_bytes: int) -> bool:
        """Whether a model reaches all of it."""
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
    """Prunes, trains and quantizes a Keras model until it meets the target, or as far as the promise holds.

    Args:
        model: As for `quantize_keras_model`, but a functional Keras 2 model that ends in softmax, or
            in a sigmoid where photos have several labels.
        photos: The same; the training split is trained with.
        to: A new folder.
        recipe: ``prune``, ``finetune``, ``augment``, ``distill``, ``quantize``, ``qat``, ``gate`` and the seed count.
        normalize: As for `quantize_keras_model`.
        target: What to reach; None: the fastest model that loses at most ``gate.max_drop`` against FP32.
        crop: As for `quantize_keras_model`.
        labels: The same.
        announce: Called with a line about each step.

    Returns:
        The models and the gate's verdict, which the caller is to heed.

    Raises:
        CompressionError: The network can't be pruned, or the target can't be met.
        TrainerError: Network, photos or folder can't be used.
    """
    target = target or Target()
    opened = open_external(model, photos, to, normalize=normalize, crop=crop, labels=labels, seed=recipe.seed)
    check_flip(recipe.augment, opened.labels)
    search = _Search(opened, to, recipe, announce)
    share = search.largest_meeting(target) if target.given else search.smallest_keeping()
    return search.finish(share)


class _Search:
    """The network, what is known of it, and what was tried."""

    def __init__(self, opened: ExternalModel, to: Path, recipe: Recipe, announce: Callable[[str], None]) -> None:
        from trainer.compression.channel_pruning import least_share
        from trainer.compression.channels import channel_groups
        from trainer.compression.importance import channel_importance
        from trainer.quantization.convert import convert_fp32

        _check_prunable(opened)
        self._opened, self._to, self._announce = opened, to, announce
        # Fewer channels give other answers where both are wrong: the promise is accuracy.
        self._recipe = replace(recipe, gate=replace(recipe.gate, min_agreement=0.0))
        self._network: Any = opened.network
        least = least_share(self._network)
        self._shares = tuple(share for share in SHARES if share >= least)
        if least == 1.0:
            announce("The network has no channels that can be taken out; it is quantized as it is.")
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
        """The largest share whose untrained INT8 model meets a target.

        Raises:
            CompressionError: None does; the message says what the least reaches.
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
            opened.export(probe, content, calibration=record)
            report = benchmark([probe], seconds=_BENCHMARK_S, num_threads=1).to_dict()
            fps, size = report["models"][0]["inference"]["fps"], probe.stat().st_size
            probe.unlink()
            self._announce(f"{share:.0%} of the multiply-adds: {size / 1024:.0f} KiB, {fps:.0f} FPS on one thread")
            if target.met_by(fps, size):
                return share
        wanted = [f"{target.fps:g} FPS"] if target.fps else []
        wanted += [f"{target.size_bytes / 1024:.0f} KiB"] if target.size_bytes else []
        raise CompressionError(
            f"Expected {' and '.join(wanted)}, but {opened.name} pruned to {self._shares[-1]:.0%} of its "
            f"multiply-adds has {fps:.0f} FPS and {size / 1024:.0f} KiB. "
            "Ask for less, or begin with a smaller network or input."
        )

    def smallest_keeping(self) -> float:
        """The smallest share that keeps the promise, by halving; the largest where none does."""
        low, high = 0, len(self._shares) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.try_share(self._shares[middle]).step.passed:
                low = middle
            else:
                high = middle - 1
        return self._shares[low]

    def try_share(self, share: float) -> _Trial:
        """Prunes, trains and quantizes, unless that was done before."""
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
            opened.export(folder / f"int8_{name}.tflite", content, calibration=calibration)
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
        """Writes the model of a share, and the page about all that were tried."""
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
        """All that were tried beside the baseline, and how they were timed."""
        whole = "The network as it came, FP32"
        candidates = [Candidate("whole", "fp32", whole, self._fp32, count_cost(self._network))]
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
            f"Expected a functional or sequential Keras 2 model, got {opened.name}, which doesn't tell its layers. "
            "Save it with tf_keras as .keras, or use edge-trainer quantize."
        )
    last = network.layers[-1]
    ending = "sigmoid" if opened.dataset.multi_label else "softmax"
    found = "softmax" if isinstance(last, tf_keras.layers.Softmax) else getattr(last, "activation", None)
    if found not in (ending, getattr(tf_keras.activations, ending)):
        raise CompressionError(
            f"Expected a network that ends in {ending}, as the photos are labelled, got {type(last).__name__} "
            f"{last.name!r} at the end of {opened.name}. Let it end so, or use edge-trainer quantize."
        )
