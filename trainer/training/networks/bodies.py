"""Network bodies that are not in keras.applications, built flat from plain layers.

A body maps the normalized picture to a feature map (N, height, width, channels).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tf_keras

# Kernel size, repeats, output filters, expansion, stride: EfficientNet-B0's blocks (Tan & Le, 2019).
_LITE0_BLOCKS = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)


def basic_cnn(image: tf_keras.KerasTensor) -> tf_keras.KerasTensor:
    """Five plain 3×3 convolutions: a small, fast network to train from scratch."""
    from tf_keras import layers

    x = image
    for number, (filters, stride) in enumerate(((16, 2), (32, 2), (64, 2), (96, 1), (128, 2)), start=1):
        x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(name=f"conv{number}_bn")(x)
        x = layers.ReLU(6.0, name=f"conv{number}_relu6")(x)
    return x


def efficientnet_lite0(image: tf_keras.KerasTensor) -> tf_keras.KerasTensor:
    """EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excite, with ReLU6 and a stem and top of fixed width.

    Follows ``efficientnet/lite`` of tensorflow/tpu; layers are named as in Keras' EfficientNet.
    """
    from tf_keras import layers

    def batch_norm_relu6(x: tf_keras.KerasTensor, name: str, conv: str) -> tf_keras.KerasTensor:
        x = layers.BatchNormalization(epsilon=1e-3, name=name)(x)
        return layers.ReLU(6.0, name=f"{conv}_relu6")(x)

    x = layers.Conv2D(32, 3, 2, padding="same", use_bias=False, name="stem_conv")(image)
    x = batch_norm_relu6(x, "stem_bn", "stem_conv")
    channels = 32
    for stage, (kernel, repeats, filters, expansion, first_stride) in enumerate(_LITE0_BLOCKS, start=1):
        for repeat in range(repeats):
            block, stride, shortcut = f"block{stage}{chr(ord('a') + repeat)}", first_stride if repeat == 0 else 1, x
            if expansion != 1:
                x = layers.Conv2D(channels * expansion, 1, use_bias=False, name=f"{block}_expand_conv")(x)
                x = batch_norm_relu6(x, f"{block}_expand_bn", f"{block}_expand_conv")
            x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{block}_dwconv")(x)
            x = batch_norm_relu6(x, f"{block}_bn", f"{block}_dwconv")
            x = layers.Conv2D(filters, 1, use_bias=False, name=f"{block}_project_conv")(x)
            x = layers.BatchNormalization(epsilon=1e-3, name=f"{block}_project_bn")(x)
            if repeat:
                x = layers.Add(name=f"{block}_add")([x, shortcut])
            channels = filters
    x = layers.Conv2D(1280, 1, use_bias=False, name="top_conv")(x)
    return batch_norm_relu6(x, "top_bn", "top_conv")
