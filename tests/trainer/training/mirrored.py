"""A program: fine-tunes a network alone and on two replicas, and prints learning curves and weights as JSON.

A process of its own, because TensorFlow's devices can't be changed once it has computed anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace

from tests.support.tiny import CONTRACT, build_network, training_pixels
from trainer.config import AugmentConfig, FinetuneConfig
from trainer.environment import load_tensorflow
from trainer.errors import RecipeError
from trainer.training.distribution.strategy import Distribution, open_distribution
from trainer.training.finetune import FitSettings, finetune
from trainer.types import Pixels, TrainingSet

PIXELS = training_pixels(120)


def photos(first: int, end: int) -> Pixels:
    return Pixels(PIXELS.images[first:end], PIXELS.labels[first:end], PIXELS.paths[first:end])


TRAIN, VAL = photos(0, 54), photos(54, 120)  # batches of 16, 16, 16 and 6; of 64 and 2
PLAIN = AugmentConfig(set="none")


def trained(
    distribution: Distribution | None,
    *,
    train: Pixels = TRAIN,
    val: Pixels = VAL,
    batch_size: int = 16,
    augment: AugmentConfig,
) -> dict[str, object]:
    """Fine-tune a network with batch normalization; return its curve and the sizes of its weights."""
    model = build_network()
    config = FinetuneConfig(epochs=2, batch_size=batch_size, learning_rate=3e-3, train_size=1.0)
    settings = FitSettings(config, augment, seed=0, progress=False)
    curve = finetune(model, TrainingSet(train, val, CONTRACT), settings, distribution=distribution)
    sizes = [float(abs(weight).sum()) for weight in model.get_weights()]
    return {"curve": [asdict(epoch) for epoch in curve], "sizes": sizes}


def refusal(work: Callable[[], object]) -> str:
    try:
        work()
    except RecipeError as error:
        return str(error)
    return ""


def main() -> None:
    load_tensorflow()
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = open_distribution("gpus", announce=print, devices=("CPU:0", "CPU:1"))
    # All photos in one batch: then it plays no part in which order they come.
    dealt = replace(TRAIN, whole=len(TRAIN))
    odd, even = photos(54, 119), photos(54, 118)  # one in the last batch is left out
    found: dict[str, object] = {
        "alone": trained(None, augment=AugmentConfig()),
        "together": trained(two, augment=AugmentConfig()),
        "alone_at_once": trained(None, val=even, batch_size=54, augment=PLAIN),
        "dealt_at_once": trained(two, train=dealt, val=odd, batch_size=54, augment=PLAIN),
        "refused": [
            refusal(lambda: two.require_divisible(15)),
            refusal(lambda: trained(two, val=photos(54, 55), augment=PLAIN)),
        ],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
