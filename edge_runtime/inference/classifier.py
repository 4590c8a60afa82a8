"""The classifier: one model file, one call a frame."""

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
    """Classifies frames with one TensorFlow Lite image classification model.

    The model has one image input (1, height, width, 1 or 3) of float32, int8 or uint8, and an output (1, classes) of
    the same types. A model exported by the trainer, or one with standard TFLite Metadata, explains itself; for others
    the caller gives what is missing. Frames are uint8 (H, W, 3), BGR or RGB, or grey (H, W). Not supported: batches
    above 1, several inputs, float frames.

    One classifier may be used from many threads; calls wait for one another.

    Attributes:
        model: The model file.
        labels: Names of the classes, by index.
        contract: How a frame becomes the network's input.
        unknown_threshold: Certainty below which a picture is unknown; None: none is.
        options: The arguments below, as they were given.
        require_signature: The public key that the model had to be signed with; None where none was asked for.
        isolation: The limits of the process of its own that runs the model; None where this one does.

    Args:
        model: Path of the ``.tflite`` file.
        num_threads: Threads of the kernels; default: what ``edge-runtime benchmark --threads auto`` found best for
            this model on this machine, or else one less than the cores, 1 to 4.
        backend: ``"tflite_runtime"`` or ``"ai_edge_litert"``; default: the first that is installed.
        int8_kernels: Whether the XNNPACK kernels for quantized models are switched on; see `Int8Kernels`.
        labels: Names of the classes, where the file has none or others are wanted.
        contract: The input contract, where the file has none or another is wanted.
        activation: What the network applies to its output, where the file doesn't tell.
        unknown_threshold: Certainty, 0–1, below which a picture is unknown (`postprocess.certainty`);
            default: the one that the file carries, if any; 0: none is.
        require_signature: Path of an Ed25519 public key (PEM): the model runs only if it is signed with it
            (`edge_runtime.model.signature`); the file is read once, and the bytes that were checked are those that run.
        isolation: Runs a model that isn't trusted in a process of its own, with these limits: one that crashes the
            interpreter or hangs ends in a BackendError. Answers are the same, to the bit; each takes a bit longer.

    Raises:
        ModelError: The file can't be used as it is, or the threshold can't be used with it.
        SignatureError: It isn't signed as is asked for.
        BackendError: No interpreter can be had, or it refuses the model.
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
        # Read once: what is checked is what runs, whatever becomes of the file.
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
        """Open the classifier that options describe.

        Raises:
            ModelError: The file can't be used as it is, or the threshold can't be used with it.
            SignatureError: It isn't signed as is asked for.
            BackendError: No interpreter can be had, or it refuses the model.
        """
        return cls(**options.as_arguments())

    @property
    def resolved_options(self) -> ClassifierOptions:
        """The options with every default decided: they open the same classifier in another process."""
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
        """What runs the network, and how."""
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
        """Says what is in a frame.

        Args:
            frame: uint8 (H, W, 3) in ``color`` order, or grey (H, W), 0–255. It is not changed.
            color: Channel order; ``"bgr"`` is OpenCV's.
            top_k: How many categories at most, at least 1.
            score_threshold: The least score that is kept, 0–1. A model that answers each class by itself gives only
                those over their own threshold (``model.thresholds``), and of them only those over this one.
            all_scores: Whether the prediction carries the scores of all the classes too.

        Raises:
            FrameError: The frame is no such array, or ``top_k`` is below 1.
        """
        if top_k < 1:
            raise FrameError(f"Expected top_k of at least 1, got {top_k}.")
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
            del output  # a view of the interpreter's memory, which then refuses to run for the next caller
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
        """All the scores: float32 (classes,), 0–1."""
        with self._lock:
            return self._scores_of(self._output(frame, color))

    def raw_output(self, frame: NDArray[np.uint8], *, color: Color = "bgr") -> NDArray[Any]:
        """The output tensor as stored, (classes,): integers of a quantized model."""
        with self._lock:
            return self._output(frame, color)

    def invoke(self) -> None:
        """Runs the network on the input tensor as it stands: the bare inference, for benchmarks."""
        with self._lock:
            self._loaded().invoke()

    def reopened(self) -> Classifier | None:
        """Another classifier, of what is in this one's file now, made with the same arguments.

        Returns:
            None where the file still says all that it said when this one was made.

        Raises:
            ModelError: As for a new classifier.
            BackendError: As for a new classifier.
        """
        if _read(self.options) == self.model:
            return None
        return Classifier.from_options(self.options)

    def take_over(self, other: Classifier) -> None:
        """Answers with another one's model from the next call on; the other can't be used afterwards.

        Raises:
            FrameError: One of the two was closed.
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
        """Frees the interpreter; the classifier can't be used afterwards."""
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
            raise FrameError(f"Expected an open classifier, got one that was closed ({self.model.path.name}).")
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
    """The threshold that counts: the caller's before the file's; None where there is none."""
    if given is None:
        return model.manifest.unknown.certainty if model.manifest and model.manifest.unknown else None
    if not 0 <= given <= 1:
        raise ModelError(f"Expected an unknown_threshold from 0 to 1, got {given:g}.")
    if given and model.activation == "sigmoid":
        raise ModelError(
            f"Expected no unknown_threshold for {model.path.name}: with sigmoid its classes don't exclude each other, "
            "and none of them may be in view. Leave it out, and use score_threshold."
        )
    return given or None
