"""The classifier: one model file, one call per frame."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import FrameError, ModelError
from edge_runtime.inference.interpreter import Int8Kernels, Interpreter
from edge_runtime.inference.options import ClassifierOptions
from edge_runtime.inference.postprocess import Postprocessor, to_scores
from edge_runtime.model.file import ModelFile, read_model_content, read_model_file
from edge_runtime.pixels.preprocess import Preprocessor
from edge_runtime.types import Activation, BackendInfo, Color, InputContract, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.inference.isolation.isolated_interpreter import IsolatedInterpreter
    from edge_runtime.inference.isolation.limits import IsolationLimits


class Classifier:
    """Classifies frames with a TensorFlow Lite image classification model.

    The model has one image input (1, height, width, 1 or 3) and one output (1, classes), each float32, int8 or uint8.
    Models exported by the trainer and models with standard TFLite Metadata describe themselves; for others, pass what
    is missing. Frames are uint8 (H, W, 3) in BGR or RGB, or gray (H, W), 0–255. Not supported: batch sizes above 1,
    several inputs, float frames.

    A classifier may be shared between threads; concurrent calls run one after the other.

    Attributes:
        model: Contents of the model file.
        labels: Class names, by index.
        contract: Input contract: how a frame becomes the network's input.
        unknown_threshold: Certainty below which a picture is unknown, 0–1; None if the check is off.
        options: Arguments below, as given.
        require_signature: Path of the public key that the model had to be signed with; None if not required.
        isolation: Limits of the separate process that runs the model; None if it runs in this process.

    Args:
        model: Path of the ``.tflite`` file.
        num_threads: Number of kernel threads; default: the best one that ``edge-runtime benchmark --threads auto``
            measured for this model on this machine, otherwise one less than the number of cores, 1 to 4.
        backend: ``"tflite_runtime"`` or ``"ai_edge_litert"``; default: the first one installed.
        int8_kernels: Use of the XNNPACK kernels for quantized models; see `Int8Kernels`.
        labels: Class names, for a file without labels or to replace them.
        contract: Input contract, for a file without one or to replace it.
        activation: Activation that the network applies to its output, for a file that does not say.
        unknown_threshold: Certainty below which a picture is unknown, 0–1 (`postprocess.certainty`); 0 turns the
            check off; default: the threshold in the file, if any.
        require_signature: Path of an Ed25519 public key (PEM); the model runs only if it was signed with the matching
            private key. The file is read once, so the bytes checked are the bytes run.
        isolation: Limits for an untrusted model, which then runs in a separate process: a crash or hang becomes a
            `BackendError`. Predictions are bit-identical and take slightly longer.

    Raises:
        ModelError: The file cannot be used, or ``unknown_threshold`` is invalid for it.
        SignatureError: The required signature is missing, wrong, or cannot be checked.
        BackendError: No interpreter is available, or it rejects the model.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        num_threads: int | None = None,
        backend: str | None = None,
        int8_kernels: Int8Kernels = "auto",
        labels: Sequence[str] | None = None,
        contract: InputContract | None = None,
        activation: Activation | None = None,
        unknown_threshold: float | None = None,
        require_signature: str | PathLike[str] | None = None,
        isolation: IsolationLimits | None = None,
    ) -> None:
        self.options = ClassifierOptions(
            os.fspath(model),
            num_threads=num_threads,
            backend=backend,
            int8_kernels=int8_kernels,
            labels=None if labels is None else tuple(labels),
            contract=contract,
            activation=activation,
            unknown_threshold=unknown_threshold,
            require_signature=None if require_signature is None else os.fspath(require_signature),
            isolation=isolation,
        )
        self.require_signature, self.isolation = self.options.require_signature, isolation
        # Read once, so that the bytes checked are the bytes run even if the file changes.
        if require_signature is None:
            content = read_model_content(model)
        else:
            from edge_runtime.model.signature import read_signed_content

            content = read_signed_content(model, require_signature)
        self.model: ModelFile = _read(self.options, content)
        self._interpreter: Interpreter | IsolatedInterpreter | None = _start(self.options, self.model, content)
        self.labels: tuple[str, ...] = self.model.labels
        self.contract: InputContract = self.model.contract
        self._preprocessor = Preprocessor(self.contract, self.model.input_tensor)
        self._postprocess = Postprocessor(
            self.model.output_tensor, self.model.activation, self.labels, self.model.thresholds
        )
        self.unknown_threshold: float | None = _unknown_threshold(self.model, unknown_threshold)
        self._lock = Lock()

    @classmethod
    def from_options(cls, options: ClassifierOptions) -> Classifier:
        """Open a classifier from its options; raises the same errors as the constructor."""
        return cls(**options.as_arguments())

    @property
    def resolved_options(self) -> ClassifierOptions:
        """Options with all defaults resolved, to open the same classifier in another process."""
        backend = self.backend
        return replace(
            self.options,
            num_threads=backend.num_threads,
            backend=backend.name,
            int8_kernels="off" if backend.int8_kernels == "off" else "auto",
            labels=self.labels,
            contract=self.contract,
            activation=self.model.activation,
            unknown_threshold=self.unknown_threshold or 0.0,
        )

    @property
    def backend(self) -> BackendInfo:
        """Interpreter that runs the network, and its configuration."""
        return self._loaded().info

    def classify(
        self,
        frame: NDArray[np.uint8],
        *,
        color: Color = "bgr",
        top_k: int = 5,
        score_threshold: float = 0.0,
        all_scores: bool = False,
    ) -> Prediction:
        """Classify one frame, and return its categories, best first.

        Args:
            frame: uint8 (H, W, 3) in ``color`` order, or gray (H, W), 0–255; not modified.
            color: Channel order of the frame; ``"bgr"`` is OpenCV's.
            top_k: Maximum number of categories, at least 1.
            score_threshold: Minimum score of a category, 0–1. Multi-label models apply it in addition to each class's
                own threshold (``model.thresholds``).
            all_scores: If True, the prediction also holds the scores of all classes.

        Raises:
            FrameError: The frame has another shape or dtype, ``top_k`` is below 1, or the classifier is closed.
            BackendError: The interpreter failed.
        """
        if top_k < 1:
            raise FrameError(f"top_k must be at least 1, got {top_k}.")
        with self._lock:
            start = perf_counter()
            interpreter, threshold = self._loaded(), self.unknown_threshold
            self._preprocessor.fill(frame, interpreter.input(), color=color)
            filled = perf_counter()
            interpreter.invoke()
            invoked = perf_counter()
            output = interpreter.output_view()
            categories = self._postprocess(output, top_k, score_threshold)
            scores = self._scores_of(output) if all_scores else None
            certainty = None if threshold is None else self._postprocess.certainty(output)
            del output  # the interpreter refuses to run while a view of its memory exists
            done = perf_counter()
        return Prediction(
            categories,
            (filled - start) * 1e3,
            (invoked - filled) * 1e3,
            (done - invoked) * 1e3,
            scores,
            certainty,
            None if certainty is None or threshold is None else certainty < threshold,
        )

    def scores(self, frame: NDArray[np.uint8], *, color: Color = "bgr") -> NDArray[np.float32]:
        """Return all scores of a frame, float32 (classes,), 0–1; see `classify` for the arguments."""
        with self._lock:
            return self._scores_of(self._output(frame, color))

    def raw_output(self, frame: NDArray[np.uint8], *, color: Color = "bgr") -> NDArray[Any]:
        """Return the raw output for a frame, shape (classes,), in the output tensor's dtype; see `classify`."""
        with self._lock:
            return self._output(frame, color)

    def invoke(self) -> None:
        """Run the network on the current input tensor; for benchmarks of the inference alone."""
        with self._lock:
            self._loaded().invoke()

    def reopened(self) -> Classifier | None:
        """Open a new classifier with the same options if the model file has changed.

        Returns:
            The new classifier; None if the file's contents are unchanged.

        Raises:
            ModelError: The file cannot be used.
            SignatureError: The required signature is missing, wrong, or cannot be checked.
            BackendError: No interpreter is available, or it rejects the model.
        """
        if _read(self.options) == self.model:
            return None
        return Classifier.from_options(self.options)

    def take_over(self, other: Classifier) -> None:
        """Take over another classifier's model for all further calls, which closes the other classifier.

        Raises:
            FrameError: One of the two classifiers is closed.
        """
        with other._lock:
            interpreter, other._interpreter = other._loaded(), None
        with self._lock:
            self._loaded().close()
            self.model, self.labels, self.contract = other.model, other.labels, other.contract
            self.unknown_threshold = other.unknown_threshold
            self._interpreter = interpreter
            self._preprocessor, self._postprocess = other._preprocessor, other._postprocess

    def close(self) -> None:
        """Release the interpreter; the classifier cannot be used afterwards."""
        with self._lock:
            if self._interpreter is not None:
                self._interpreter.close()
            self._interpreter = None

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _output(self, frame: NDArray[np.uint8], color: Color) -> NDArray[Any]:
        interpreter = self._loaded()
        self._preprocessor.fill(frame, interpreter.input(), color=color)
        interpreter.invoke()
        return interpreter.output()

    def _scores_of(self, output: NDArray[Any]) -> NDArray[np.float32]:
        return to_scores(output, self.model.output_tensor, self.model.activation)

    def _loaded(self) -> Interpreter | IsolatedInterpreter:
        if self._interpreter is None:
            raise FrameError(f"The classifier of {self.model.path.name} is closed. Open a new one.")
        return self._interpreter


def _read(options: ClassifierOptions, content: bytes | None = None) -> ModelFile:
    return read_model_file(
        options.model,
        content=content,
        labels=options.labels,
        contract=options.contract,
        activation=options.activation,
    )


def _start(options: ClassifierOptions, model: ModelFile, content: bytes) -> Interpreter | IsolatedInterpreter:
    open_interpreter: Callable[..., Interpreter | IsolatedInterpreter] = Interpreter
    if options.isolation is not None:
        from edge_runtime.inference.isolation.isolated_interpreter import IsolatedInterpreter

        open_interpreter = partial(IsolatedInterpreter, limits=options.isolation)
    return open_interpreter(
        model,
        content,
        backend=options.backend,
        num_threads=options.num_threads,
        int8_kernels=options.int8_kernels,
    )


def _unknown_threshold(model: ModelFile, given: float | None) -> float | None:
    """Return the threshold to use: the caller's, otherwise the file's; None if the check is off."""
    if given is None:
        return model.manifest.unknown.certainty if model.manifest and model.manifest.unknown else None
    if not 0 <= given <= 1:
        raise ModelError(f"unknown_threshold must be from 0 to 1, got {given:g}.")
    if given and model.activation == "sigmoid":
        raise ModelError(
            f"unknown_threshold is not supported for {model.path.name}: multi-label (sigmoid) models have no "
            "'unknown', since no class in view is a valid result. Use score_threshold instead."
        )
    return given or None
