"""Minimal hand-written loops that do for one model what `edge_runtime.Classifier` does for any model.

Each loop hard-codes the sizes of model and camera, reuses its buffers, writes the input tensor in place, reads one
score and checks nothing. Pixels and predictions are the same as the classifier's.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from tflite_runtime.interpreter import Interpreter, OpResolverType

from edge_runtime.inference.xnnpack import QuantizedDelegate

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALF_TURN = np.uint8(0x80)


class _Loop:
    """Interpreter with one thread and the INT8 kernels, as in the classifier."""

    def __init__(self, model: Path) -> None:
        self._interpreter: Any = Interpreter(
            model_path=str(model),
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_delegates=[QuantizedDelegate(num_threads=1)],
        )
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.tensor(self._interpreter.get_input_details()[0]["index"])
        output = self._interpreter.get_output_details()[0]
        self._output = self._interpreter.tensor(output["index"])
        self._scale, self._zero_point = output["quantization"]
        height, width = self._input().shape[1:3]
        self._size = (width, height)
        self._small = np.empty((height, width, 3), np.uint8)

    def _invoke(self) -> tuple[int, float, float]:
        """Return index and score of the best class, and the inference time in milliseconds."""
        start = perf_counter()
        self._interpreter.invoke()
        inference_ms = (perf_counter() - start) * 1e3
        output = self._output()[0]
        best = int(output.argmax())
        return best, (int(output[best]) - self._zero_point) * self._scale, inference_ms


class TrainedModelLoop(_Loop):
    """Loop for the trainer's models with 224×224 int8 input: center of 640×480, halved, resized, minus 128."""

    def __init__(self, model: Path) -> None:
        super().__init__(model)
        self._half = np.empty((240, 240, 3), np.uint8)

    def __call__(self, frame: NDArray[np.uint8]) -> tuple[int, float, float]:
        cv2.resize(frame[:, 80:560], (240, 240), dst=self._half, interpolation=cv2.INTER_AREA)
        cv2.resize(self._half, self._size, dst=self._small, interpolation=cv2.INTER_LINEAR_EXACT)
        pixels = self._input()[0].view(np.uint8)
        cv2.cvtColor(self._small, cv2.COLOR_BGR2RGB, dst=pixels)
        np.bitwise_xor(pixels, HALF_TURN, out=pixels)
        del pixels  # invoke refuses to run while the tensor's memory is referenced
        return self._invoke()


class PlainUint8Loop(_Loop):
    """Loop for models with uint8 input: the whole frame, resized bilinearly."""

    def __call__(self, frame: NDArray[np.uint8]) -> tuple[int, float, float]:
        cv2.resize(frame, self._size, dst=self._small, interpolation=cv2.INTER_LINEAR)
        cv2.cvtColor(self._small, cv2.COLOR_BGR2RGB, dst=self._input()[0])
        return self._invoke()
