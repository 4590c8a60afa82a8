"""A program: fine-tunes a network alone and on two replicas, and prints both learning curves and weights as JSON.

A process of its own, because TensorFlow's devices can't be changed once it has computed anything.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from tests.tiny import CONTRACT, build_network, training_pixels
from trainer.config import AugmentConfig, FinetuneConfig
from trainer.quiet import load_tensorflow
from trainer.training.distribution import Distribution, open_distribution
from trainer.training.finetune import finetune
from trainer.types import Pixels


def trained(distribution: Distribution | None) -> dict[str, object]:
    """What fine-tuning of a network with batch normalization gives; no epoch and no split can be halved."""
    pixels = training_pixels(120)
    train, val = (Pixels(pixels.images[at], pixels.labels[at], pixels.paths[at]) for at in PARTS)
    model = build_network()
    curve = finetune(
        model,
        train,
        val,
        FinetuneConfig(epochs=3, batch_size=16, learning_rate=3e-3, train_size=1.0),
        AugmentConfig(),
        contract=CONTRACT,
        seed=0,
        progress=False,
        distribution=distribution,
    )
    sizes = [float(abs(weight).sum()) for weight in model.get_weights()]
    return {"curve": [asdict(epoch) for epoch in curve], "sizes": sizes}


PARTS = (slice(0, 54), slice(55, 120))  # batches of 16, 16, 16 and 6; of 64 and 1


if __name__ == "__main__":
    load_tensorflow()
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = open_distribution("gpus", announce=print, devices=("CPU:0", "CPU:1"))
    print(json.dumps({"replicas": two.replicas, "alone": trained(None), "together": trained(two)}))
