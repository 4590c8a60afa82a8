"""The ladder: ways to quantize, cheapest first, climbed until INT8 keeps the promise.

The first two steps cost seconds and are tried in any case, unless the recipe takes one of them; more comes only where
they are not enough. Which step ships is decided on the validation split: of those that keep the promise, the one whose
answers equal FP32's most often. That counts every picture, where accuracy counts only those that change sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any

from trainer.evaluation.accuracy_gate import judge
from trainer.quantization.calibration import representative_set
from trainer.quantization.convert import convert_int8
from trainer.quantization.layer_errors import layer_errors
from trainer.quantization.preparation.prepare import prepare_for_int8
from trainer.types import Epoch, Evaluation, LadderStep, TrainingSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.model.manifest import Calibration
    from trainer.config import Recipe
    from trainer.quantization.layer_errors import LayerError

Measure = Callable[[str, bytes, "Calibration"], Evaluation]
"""Writes a step's model under its name and measures it on the validation split."""

_MORE_PICTURES = 4
_FLOAT_LAYERS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Subject:
    """What is quantized, and with what.

    Attributes:
        network: A Keras model of plain layers.
        data: Pictures to calibrate and train with, validation pictures that decide, and the input contract.
        recipe: The settings; ``quantize``, ``qat``, ``finetune``, ``augment``, ``loss``, ``cluster``, ``gate`` and the
            seed are read.
        num_classes: Length of the output.
        samples: Pictures of the representative dataset.
    """

    network: Any
    data: TrainingSet
    recipe: Recipe
    num_classes: int
    samples: int

    def pictures(self, times: int = 1) -> tuple[NDArray[np.uint8], Calibration]:
        """The representative dataset, or one that is so many times as large."""
        samples = times * self.samples
        return representative_set(self.data.train, samples=samples, seed=self.recipe.seed, num_classes=self.num_classes)

    @cached_property
    def prepared(self) -> Any:
        """The network with its channels equalized and its biases corrected."""
        return prepare_for_int8(self.network, self.pictures()[0], contract=self.data.contract)

    @cached_property
    def layer_errors(self) -> tuple[LayerError, ...]:
        """What INT8 costs in each layer of that, worst first."""
        return layer_errors(self.prepared, self.pictures()[0], contract=self.data.contract)


@dataclass(frozen=True)
class _Attempt:
    """One step before it is measured."""

    name: str
    title: str
    content: bytes
    calibration: Calibration
    remark: str
    history: tuple[Epoch, ...] = ()
    full_integer: bool = True


def climb(
    subject: Subject, fp32: Evaluation, measure: Measure, announce: Callable[[str], None]
) -> tuple[tuple[LadderStep, ...], tuple[Epoch, ...]]:
    """Tries the steps in order until the gate lets one through.

    Args:
        subject: What is quantized.
        fp32: The float network on the validation split.
        measure: Called with each step's name, model and representative dataset.
        announce: Called with a line about each step.

    Returns:
        The steps that were tried, of which one is chosen, and the learning curves on the way. Where no step keeps the
        promise, the one that loses least is chosen.
    """
    steps: list[LadderStep] = []
    history: list[Epoch] = []

    def try_all(attempts: Iterator[_Attempt], *, until_passed: bool) -> None:
        start = perf_counter()
        for attempt in attempts:
            verdict = judge(fp32, measured := measure(attempt.name, attempt.content, attempt.calibration), gate)
            step = LadderStep(
                name=attempt.name,
                title=attempt.title,
                accuracy=measured.accuracy,
                drop=verdict.drop,
                agreement=verdict.agreement,
                passed=verdict.passed,
                seconds=round(perf_counter() - start, 1),
                full_integer=attempt.full_integer,
                remark=attempt.remark,
            )
            steps.append(step)
            history.extend(attempt.history)
            announce(f"  {step.title}: {step.gain:+.2f} points, {step.agreement:.1f}% of FP32's answers")
            if until_passed and step.passed:
                return
            start = perf_counter()

    gate, always = subject.recipe.gate, subject.recipe.qat.always
    try_all(_cheap(subject), until_passed=False)
    if always:
        try_all(_trained(subject, teach=True), until_passed=False)
    elif gate.repair and not any(step.passed for step in steps):
        try_all(_costly(subject), until_passed=True)
    if gate.repair and gate.allow_float and not any(step.passed for step in steps):
        try_all(_mixed(subject), until_passed=True)
    chosen = _best(steps, prefer_trained=always)
    return tuple(replace(step, chosen=step is chosen) for step in steps), tuple(history)


def _cheap(subject: Subject) -> Iterator[_Attempt]:
    ways, (images, record) = subject.recipe.quantize.ways, subject.pictures()
    if "plain" in ways:
        content, remark = _converted(subject, subject.network, images), f"{len(images)} pictures"
        yield _Attempt("plain", "Plain quantization", content, record, remark)
    if "equalized" in ways:
        yield _prepared(subject, "equalized", "Channels equalized, biases corrected")


def _costly(subject: Subject) -> Iterator[_Attempt]:
    if len(subject.data.train) > subject.samples:
        yield _prepared(subject, "calibrated", "The same with more pictures", times=_MORE_PICTURES)
    if not subject.recipe.cluster.clusters:  # training would move each weight off its cluster
        yield from _trained(subject, teach=False)
        yield from _trained(subject, teach=True)


def _prepared(subject: Subject, name: str, title: str, *, times: int = 1) -> _Attempt:
    images, record = subject.pictures(times)
    more = times > 1
    prepared = prepare_for_int8(subject.network, images, contract=subject.data.contract) if more else subject.prepared
    return _Attempt(name, title, _converted(subject, prepared, images), record, f"{len(images)} pictures")


def _trained(subject: Subject, *, teach: bool) -> Iterator[_Attempt]:
    """Quantization-aware training, by the labels or by the float network's answers; zero weights stay zero."""
    from trainer.compression.sparsity import zero_masks
    from trainer.quantization.qat.train import train_quantized
    from trainer.training.distillation import Teacher
    from trainer.training.finetune import FitSettings

    recipe, contract = subject.recipe, subject.data.contract
    images, record = subject.pictures()
    settings = FitSettings(
        recipe.finetune_for(recipe.qat.epochs, recipe.qat.learning_rate, share=0.1),
        recipe.augment,
        recipe.seed,
        loss=recipe.loss,
        teacher=Teacher(subject.network, recipe.distill, contract=contract, loss=recipe.loss) if teach else None,
    )
    network, history = train_quantized(
        subject.network,
        subject.data,
        settings,
        calibration_images=images,
        masks=zero_masks(subject.network) if recipe.sparsify.sparsity else None,
    )
    name = "qat_distilled" if teach else "qat"
    title = "Quantization-aware training" + (", taught by FP32" if teach else "")
    content = _converted(subject, network, images)
    yield _Attempt(name, title, content, record, f"{len(history)} epochs", tuple(history))


def _mixed(subject: Subject) -> Iterator[_Attempt]:
    """The layers that INT8 costs most stay in float, more and more of them."""
    images, record = subject.pictures()
    worst = [error.name for error in subject.layer_errors]
    for count in (count for count in _FLOAT_LAYERS if count < len(worst)):
        content = _converted(subject, subject.prepared, images, float_layers=tuple(worst[:count]))
        title = f"{count} layer{'s' if count > 1 else ''} in float"
        remark = f"not full integer: {', '.join(worst[:count])} in float"
        yield _Attempt(f"mixed_{count}", title, content, record, remark, full_integer=False)


def _converted(subject: Subject, network: Any, images: NDArray[np.uint8], float_layers: tuple[str, ...] = ()) -> bytes:
    io = subject.recipe.quantize.io
    return convert_int8(network, images, contract=subject.data.contract, io=io, float_layers=float_layers)


def _best(steps: list[LadderStep], *, prefer_trained: bool) -> LadderStep:
    """The step that ships."""
    kept = [step for step in steps if step.passed]
    if not kept:
        return min(steps, key=lambda step: (step.drop, -step.agreement))
    trained = [step for step in kept if step.name.startswith("qat")]
    return max(trained if prefer_trained and trained else kept, key=lambda step: step.agreement)
