"""Mixed-precision training: layers compute in float16, weights stay float32.

Micikevicius et al., "Mixed Precision Training", 2018. It is for GPUs, where it is several times as fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.config import FinetuneConfig
from trainer.environment import load_tensorflow
from trainer.errors import RecipeError

if TYPE_CHECKING:
    import tf_keras


def check_precision(config: FinetuneConfig) -> None:
    """Check, before any training, that this machine supports the requested precision.

    Raises:
        RecipeError: Mixed precision is on, and there is no GPU.
    """
    if not config.mixed_precision:
        return
    load_tensorflow()
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        raise RecipeError(
            "finetune.mixed_precision needs a GPU, and TensorFlow finds none. Set it to false; a CPU is not faster in "
            "float16."
        )


def in_mixed_precision(model: tf_keras.Model) -> tf_keras.Model:
    """Return a copy of a network that computes in float16; its weights and scores are float32.

    Train it with `tf_keras.mixed_precision.LossScaleOptimizer`, since small gradients would be zero in float16.
    """
    import tf_keras

    half = tf_keras.mixed_precision.Policy("mixed_float16")

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name != model.output_names[0]:
            config["dtype"] = half
        return layer.__class__.from_config(config)

    network = tf_keras.models.clone_model(model, clone_function=copy)
    network.set_weights(model.get_weights())
    return network
