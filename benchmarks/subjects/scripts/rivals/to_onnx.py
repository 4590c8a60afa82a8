"""Convert a model with tf2onnx: ``to_onnx.py MODEL ONNX [PICTURES]``.

With pictures, uint8 (N, H, W, 3) BGR in the network's size, it is also quantized as in ONNX Runtime's guide, with the
pictures as calibration set. The network takes RGB from -1 to 1. tf2onnx requires unique tensor names, which our files
do not have.
"""

import sys

import numpy as np
import onnx
import tf2onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from tensorflow.lite.tools import flatbuffer_utils


class Pictures(CalibrationDataReader):
    """Calibration set from a file of pictures."""

    def __init__(self, path: str, name: str) -> None:
        self._left = iter([{name: (picture[None].astype(np.float32) - 128) / 127.5} for picture in _rgb(path)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


def _rgb(path: str) -> np.ndarray:
    return np.load(path)[..., ::-1]


def convert(source: str, target: str) -> None:
    model = flatbuffer_utils.read_model(source)
    for number, tensor in enumerate(model.subgraphs[0].tensors):
        tensor.name = f"tensor_{number}"
    named = f"{target}.tflite"
    flatbuffer_utils.write_model(model, named)
    tf2onnx.convert.from_tflite(named, opset=17, output_path=target)


def quantize(model: str, pictures: str) -> None:
    quant_pre_process(model, model)
    (given,) = onnx.load(model).graph.input
    quantize_static(
        model,
        model,
        Pictures(pictures, given.name),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,  # x86 multiplies unsigned by signed bytes
        weight_type=QuantType.QInt8,
    )


convert(sys.argv[1], sys.argv[2])
if len(sys.argv) > 3:
    quantize(sys.argv[2], sys.argv[3])
