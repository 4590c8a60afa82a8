"""The quantization ladder: ways to INT8, cheapest first, tried until the accuracy gate passes.

The first two steps take seconds and are always tried, unless the recipe selects one of them. The other steps follow
only if these two fail the gate. The validation set decides which step ships: of those that pass the gate, the one whose
predictions agree with FP32's most often. Agreement counts every picture, whereas a difference in accuracy counts only
those that became right or wrong.
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
"""Writes the model of a step under its name and evaluates it on the validation set."""

_MORE_PICTURES = 4
_FLOAT_LAYERS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Subject:
    """A network to quantize, with its data and settings.

    Attributes:
        network: Keras model of plain layers.
        data: Pictures to calibrate and train with, validation pictures that decide, and the input contract.
        recipe: Settings, of which ``quantize``, ``qat``, ``finetune``, ``augment``, ``loss``, ``distill``,
            ``sparsify``, ``cluster``, ``gate`` and ``seed`` are used.
        num_classes: Number of classes, the length of the output.
        samples: Number of pictures in the representative dataset.
    """

    network: Any
    data: TrainingSet
    recipe: Recipe
    num_classes: int
    samples: int

    def pictures(self, times: int = 1) -> tuple[NDArray[np.uint8], Calibration]:
        """Return the representative dataset, uint8 (N, height, width, 3) RGB, 0–255, or one ``times`` as large."""
        samples = times * self.samples
        return representative_set(self.data.train, samples=samples, seed=self.recipe.seed, num_classes=self.num_classes)

    @cached_property
    def prepared(self) -> Any:
        """The network with its channels equalized and its biases corrected."""
        return prepare_for_int8(self.network, self.pictures()[0], contract=self.data.contract)

    @cached_property
    def layer_errors(self) -> tuple[LayerError, ...]:
        """The error that INT8 causes in each layer of the prepared network, worst first."""
        return layer_errors(self.prepared, self.pictures()[0], contract=self.data.contract)


@dataclass(frozen=True)
class _Attempt:
    """A step of the ladder before it is evaluated."""

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
    """Try the steps of the quantization ladder in order until one passes the accuracy gate.

    Args:
        subject: Network to quantize, with its data and settings.
        fp32: Evaluation of the float network on the validation set.
        measure: Called with the name, model and representative dataset of each step; returns its evaluation.
        announce: Called with a line about each step, for the user.

    Returns:
        The steps that were tried, one of them chosen, and their learning curves. If no step passes the gate, the one
        with the smallest accuracy drop is chosen.
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
            announce(f"  {step.title}: {step.gain:+.2f} points, {step.agreement:.1f}% agreement with FP32")
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
        yield _prepared(subject, "calibrated", "Equalized, with a larger calibration set", times=_MORE_PICTURES)
    if not subject.recipe.cluster.clusters:  # training would move each weight off its cluster
        yield from _trained(subject, teach=False)
        yield from _trained(subject, teach=True)


def _prepared(subject: Subject, name: str, title: str, *, times: int = 1) -> _Attempt:
    images, record = subject.pictures(times)
    more = times > 1
    prepared = prepare_for_int8(subject.network, images, contract=subject.data.contract) if more else subject.prepared
    return _Attempt(name, title, _converted(subject, prepared, images), record, f"{len(images)} pictures")


def _trained(subject: Subject, *, teach: bool) -> Iterator[_Attempt]:
    """Quantization-aware training on the labels, with or without the float network as teacher; zeros stay zero."""
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
    title = "Quantization-aware training" + (", distilled from FP32" if teach else "")
    content = _converted(subject, network, images)
    yield _Attempt(name, title, content, record, f"{len(history)} epochs", tuple(history))


def _mixed(subject: Subject) -> Iterator[_Attempt]:
    """Keep the layers with the largest INT8 errors in float, more of them with each step."""
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
    """Return the step that ships."""
    passed = [step for step in steps if step.passed]
    if not passed:
        return min(steps, key=lambda step: (step.drop, -step.agreement))
    trained = [step for step in passed if step.name.startswith("qat")]
    return max(trained if prefer_trained and trained else passed, key=lambda step: step.agreement)
