"""What TensorFlow Lite requires of the operators that image classifiers use.

Some kernels do not check the model: a missing options table, a missing input or a stride of zero crashes the process.
Numbers are those of TensorFlow Lite's ``schema.fbs``.
"""

from __future__ import annotations

from typing import NamedTuple

from edge_runtime.model.flatbuffer import Table

_ANY = 1 << 16  # no limit on the number of inputs


class Operator(NamedTuple):
    """Requirements of one operator type.

    Attributes:
        name: Name in the schema.
        least: Minimum number of inputs.
        most: Maximum number of inputs.
        options: Number of its options table in the union BuiltinOptions; 0 if it needs none.
        positive: Slots of the options table whose values must be at least 1. If there are any, slot 0 is the padding.
        defaults: Values of those slots if they are not stored.
        required: Number of leading inputs that must be present.
    """

    name: str
    least: int = 1
    most: int = 1
    options: int = 0
    positive: tuple[int, ...] = ()
    defaults: tuple[int, ...] = ()
    required: int = 1

    def problem(self, sources: tuple[int, ...], results: int, kind: int, options: Table | None) -> str:
        """Describe what is wrong with an operation; "" if nothing is.

        Args:
            sources: Indices of the input tensors; -1 for an omitted optional input.
            results: Number of outputs.
            kind: Number of the options table in the union BuiltinOptions.
            options: Options table; None if it is missing.
        """
        if not self.least <= len(sources) <= self.most:
            return f"has {len(sources)} inputs"
        if -1 in sources[: self.required]:
            return "lacks a required input"
        if results < 1:
            return "has no output"
        if self.options and (kind != self.options or options is None):
            return "has no options table"
        if options is not None and self.positive:
            if options.scalar(0, "b") not in (0, 1):  # enum Padding
                return "has an unknown padding mode"
            held = (
                options.scalar(slot, "i", default) for slot, default in zip(self.positive, self.defaults, strict=True)
            )
            if any(not 1 <= number < 1 << 16 for number in held):
                return "has an invalid stride, filter size or dilation"
        return ""


def _pool(name: str) -> Operator:
    return Operator(name, options=5, positive=(1, 2, 3, 4), defaults=(0, 0, 0, 0))


def _two(name: str, options: int) -> Operator:
    return Operator(name, 2, 2, options, required=2)


# enum BuiltinOperator. The interpreter checks the operators that are not listed.
OPERATORS = {
    0: _two("ADD", 11),
    1: _pool("AVERAGE_POOL_2D"),
    2: Operator("CONCATENATION", 1, _ANY, 10, required=_ANY),
    3: Operator("CONV_2D", 2, 3, 1, (1, 2, 4, 5), (0, 0, 1, 1), required=2),
    4: Operator("DEPTHWISE_CONV_2D", 2, 3, 2, (1, 2, 5, 6), (0, 0, 1, 1), required=2),
    6: Operator("DEQUANTIZE"),
    9: Operator("FULLY_CONNECTED", 2, 3, 8, required=2),
    14: Operator("LOGISTIC"),
    17: _pool("MAX_POOL_2D"),
    18: _two("MUL", 21),
    19: Operator("RELU"),
    21: Operator("RELU6"),
    22: Operator("RESHAPE", 1, 2, required=2),
    23: Operator("RESIZE_BILINEAR", 2, 2, 15, required=2),
    25: Operator("SOFTMAX", options=9),
    28: Operator("TANH"),
    32: Operator("CUSTOM", 0, _ANY, required=0),
    34: Operator("PAD", 2, 2, required=2),
    40: _two("MEAN", 27),
    41: _two("SUB", 28),
    42: _two("DIV", 29),
    43: Operator("SQUEEZE", options=30),
    45: Operator("STRIDED_SLICE", 4, 4, 32, required=4),
    49: Operator("SPLIT", 2, 2, 35, required=2),
    54: Operator("PRELU", 2, 2, required=2),
    74: _two("SUM", 27),
    77: Operator("SHAPE", options=55),
    83: Operator("PACK", 1, _ANY, 59, required=_ANY),
    98: Operator("LEAKY_RELU", options=75),
    99: Operator("SQUARED_DIFFERENCE", 2, 2, required=2),
    114: Operator("QUANTIZE"),
    117: Operator("HARD_SWISH"),
    150: Operator("GELU", options=116),
}


def unknown_operator(builtin: int) -> Operator:
    """Return an operator of which only the number is known."""
    return Operator(f"BUILTIN_{builtin}", 0, _ANY, required=0)
