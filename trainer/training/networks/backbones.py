"""The table of backbones, and how a classifier is built on one.

Every model is flat (no model inside a model), takes normalized pictures, float32 (N, size, size, 3) RGB, and ends in
global pooling, dropout, a dense layer and softmax, or a sigmoid for multi-label data sets. Pruning,
quantization-aware training and the converter therefore see only plain layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import RecipeError, WeightsError

if TYPE_CHECKING:
    import tf_keras

    from trainer.config import Recipe
    from trainer.types import Dataset

FEATURES_LAYER = "features"
"""Name of the global pooling layer, which outputs one feature vector per picture."""

HEAD_LAYER = "head"
"""Name of the dense layer that outputs the logits."""

# With the 0.999 of Keras' MobileNetV2 and V3, the moving statistics do not converge in a short training.
BATCH_NORM_MOMENTUM = 0.9

_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class Backbone:
    """A network body, its preprocessing and its pretrained weights.

    Attributes:
        name: Name in recipes.
        body: Function from the normalized picture's tensor to the feature map's.
        input_size: Default height and width, in pixels.
        mean: Mean of the normalization ``(pixel - mean) / std``, in pixel units 0–255.
        std: Standard deviation of the normalization, in pixel units.
        weights_file: Official file name of the ImageNet weights without top, with ``{size}`` if there is one file per
            input size; empty if there are none.
        weights_url: Download folder of the weights; empty if they have no public download.
        weights_sizes: Input sizes that have their own weights; other sizes use those of 224.
        int8_warning: Reason why the backbone quantizes badly to INT8; empty if it quantizes well.
    """

    name: str
    body: Callable[[tf_keras.KerasTensor], tf_keras.KerasTensor]
    input_size: int = 224
    mean: tuple[float, ...] = (128.0,)
    std: tuple[float, ...] = (127.5,)
    weights_file: str = ""
    weights_url: str = ""
    weights_sizes: tuple[int, ...] = (224,)
    int8_warning: str = ""

    def weights_name(self, input_size: int) -> str:
        """Return the file name of the official weights for an input size; empty if there are none."""
        return self.weights_file.format(size=input_size if input_size in self.weights_sizes else 224)


def _mobilenet_v1(alpha: float) -> Backbone:
    def body(image: tf_keras.KerasTensor) -> tf_keras.KerasTensor:
        from tf_keras.applications import MobileNet

        return MobileNet(input_tensor=image, alpha=alpha, include_top=False, weights=None).output

    text = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}[alpha]
    return Backbone(
        f"mobilenet_v1_{alpha}",
        body,
        weights_file=f"mobilenet_{text}_{{size}}_tf_no_top.h5",
        weights_url=f"{_KERAS_URL}/mobilenet",
        weights_sizes=(128, 160, 192, 224),
    )


def _mobilenet_v2(alpha: float) -> Backbone:
    def body(image: tf_keras.KerasTensor) -> tf_keras.KerasTensor:
        from tf_keras.applications import MobileNetV2

        return MobileNetV2(input_tensor=image, alpha=alpha, include_top=False, weights=None).output

    return Backbone(
        f"mobilenet_v2_{alpha}",
        body,
        weights_file=f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{{size}}_no_top.h5",
        weights_url=f"{_KERAS_URL}/mobilenet_v2",
        weights_sizes=(96, 128, 160, 192, 224),
    )


def _mobilenet_v3_small(minimalistic: bool) -> Backbone:
    def body(image: tf_keras.KerasTensor) -> tf_keras.KerasTensor:
        from tf_keras.applications import MobileNetV3Small

        return MobileNetV3Small(
            input_tensor=image, minimalistic=minimalistic, include_top=False, weights=None, include_preprocessing=False
        ).output

    suffix = "_minimalistic" if minimalistic else ""
    return Backbone(
        f"mobilenet_v3_small{suffix}",
        body,
        weights_file=f"weights_mobilenet_v3_small{suffix}_224_1.0_float_no_top_v2.h5",
        weights_url=f"{_KERAS_URL}/mobilenet_v3",
        int8_warning=""
        if minimalistic
        else "its hard-swish activations quantize badly and run slower in INT8 than in FP32; "
        "mobilenet_v3_small_minimalistic and mobilenet_v2 are better choices for INT8",
    )


def _own(name: str, **values: object) -> Backbone:
    def body(image: tf_keras.KerasTensor) -> tf_keras.KerasTensor:
        from trainer.training.networks import bodies

        return getattr(bodies, name)(image)

    return Backbone(name, body, **values)  # type: ignore[arg-type]


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        _own("basic_cnn", input_size=96),
        *(_mobilenet_v1(alpha) for alpha in (0.25, 0.5, 0.75, 1.0)),
        *(_mobilenet_v2(alpha) for alpha in (0.35, 0.5, 0.75, 1.0)),
        _mobilenet_v3_small(minimalistic=False),
        _mobilenet_v3_small(minimalistic=True),
        _own("efficientnet_lite0", mean=(127.0,), std=(128.0,), weights_file="efficientnet_lite0_notop.h5"),
    )
}


def get_backbone(name: str) -> Backbone:
    """Return the backbone of a name.

    Raises:
        RecipeError: There is no such backbone.
    """
    if name not in BACKBONES:
        raise RecipeError(f"Unknown model.backbone {name!r}. Choose one of {', '.join(BACKBONES)}.")
    return BACKBONES[name]


def build_network(recipe: Recipe, dataset: Dataset, weights_file: Path | None = None) -> tf_keras.Model:
    """Build the network of a recipe for the classes of a data set; see `build_model`."""
    return build_model(
        get_backbone(recipe.model.backbone),
        num_classes=len(dataset.labels),
        multi_label=dataset.multi_label,
        input_size=recipe.model.input_size,
        dropout=recipe.model.dropout,
        weights_file=weights_file,
        seed=recipe.seed,
    )


def build_model(
    backbone: Backbone,
    *,
    num_classes: int,
    multi_label: bool = False,
    input_size: int = 0,
    dropout: float = 0.2,
    weights_file: Path | None = None,
    seed: int = 0,
) -> tf_keras.Model:
    """Build a classifier; its weights are drawn from the seed, then the body's are read from the file.

    Args:
        backbone: Backbone from `get_backbone`.
        num_classes: Number of classes, the length of the output.
        multi_label: If True, a sigmoid scores each class independently; else a softmax, whose scores sum to 1.
        input_size: Height and width in pixels; 0: the backbone's default.
        dropout: Dropout rate before the dense layer, 0–1.
        weights_file: Weights of the body without top, as keras.applications publishes them; None: train from scratch.
        seed: Seed of Python's, NumPy's and TensorFlow's global generators, which are set here.

    Returns:
        A model from float32 (N, size, size, 3) RGB, normalized with the backbone's ``mean`` and ``std``, to scores,
        float32 (N, num_classes), 0–1.

    Raises:
        WeightsError: The weights file does not fit the backbone.
    """
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(seed)
    tf_keras.backend.reset_uids()  # so that layer names, and files, do not depend on earlier networks
    size = input_size or backbone.input_size
    image = layers.Input((size, size, 3), name="image")
    feature_map = backbone.body(image)
    body = tf_keras.Model(image, feature_map)
    for layer in body.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = BATCH_NORM_MOMENTUM
    if weights_file is not None:
        _load_body(body, backbone, weights_file)
    x = layers.GlobalAveragePooling2D(name=FEATURES_LAYER)(feature_map)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(num_classes, name=HEAD_LAYER)(x)
    return tf_keras.Model(image, scores_layer(multi_label)(x), name=backbone.name.replace(".", "_"))


def scores_layer(multi_label: bool) -> tf_keras.layers.Layer:
    """Return the last layer, from logits to scores."""
    from tf_keras import layers

    return layers.Activation("sigmoid", name="scores") if multi_label else layers.Softmax(name="scores")


def is_multi_label(model: tf_keras.Model) -> bool:
    """Whether a network scores each class independently, by a sigmoid in its last layer."""
    return getattr(getattr(model.layers[-1], "activation", None), "__name__", "") == "sigmoid"


def _load_body(body: tf_keras.Model, backbone: Backbone, file: Path) -> None:
    try:
        body.load_weights(str(file))
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"The weights in {file} do not fit the backbone {backbone.name} without its top ({error}). "
            "Set model.backbone to the one that the file belongs to, or delete the file if its download was incomplete."
        ) from error
