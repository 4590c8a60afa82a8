"""Trains networks on augmented pictures: fine-tuning, and the training that follows each compression."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from trainer.config import AugmentConfig, FinetuneConfig, LossConfig
from trainer.config.photo_count import for_photos
from trainer.errors import RecipeError
from trainer.training.augmentation.augment import augment, changes_pictures, mix_targets, normalize
from trainer.training.distribution.replicas import replicas, training_batches, validation_batches
from trainer.training.loop.checkpoint import Checkpoint
from trainer.training.loop.fit import batches, endless_batches, fit, growing_sizes, of_any_size
from trainer.training.loop.losses import accuracy_of, as_targets, make_loss
from trainer.training.loop.mixed_precision import in_mixed_precision
from trainer.training.loop.optimization import make_optimizer, make_schedule
from trainer.training.networks.backbones import FEATURES_LAYER
from trainer.types import Epoch, TrainingSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tensorflow as tf
    import tf_keras

    from trainer.training.distillation import Teacher
    from trainer.training.distribution.strategy import Distribution

_VALIDATION_BATCH = 64


@dataclass(frozen=True)
class FitSettings:
    """Settings of one training.

    Attributes:
        finetune: Epochs, batch size, optimizer, learning rate and its schedule.
        augment: Random changes to the training pictures.
        seed: Seed of all random draws. On a CPU, the same seed gives the same weights.
        loss: Loss on the labels; None: the default for the kind of labels. Ignored with a teacher, which has its own.
        teacher: Network whose predictions are learned besides the labels; None: the labels alone.
        stage: Name of the training in the learning curve and the progress bar.
        callbacks: Further Keras callbacks.
        progress: If True, a progress bar is drawn on stderr.
    """

    finetune: FinetuneConfig
    augment: AugmentConfig
    seed: int
    loss: LossConfig | None = None
    teacher: Teacher | None = None
    stage: str = "finetune"
    callbacks: Sequence[Any] = ()
    progress: bool = True


def finetune(
    model: tf_keras.Model,
    data: TrainingSet,
    settings: FitSettings,
    *,
    from_scratch: bool = False,
    distribution: Distribution | None = None,
) -> list[Epoch]:
    """Train a model in place on augmented pictures and leave the weights of its best epoch in it.

    Batch normalization is in training mode in every layer that is trained, with the momentum that
    `networks.backbones` sets. Freezing it makes fine-tuning fragile: MobileNetV2 has channels of tiny variance,
    which turn a small weight update into a large change of the output.

    Args:
        model: Model from `networks.backbones.build_model`, with a trained head unless ``from_scratch``.
        data: Pictures to train and validate on.
        settings: Epochs, augmentation, seed, loss and teacher.
        from_scratch: If True, the model holds no pretrained weights and all layers are trained.
        distribution: Replicas to train on; None: this machine alone. Not supported together with a teacher.

    Returns:
        The learning curve; empty when ``settings.finetune.epochs`` is 0.

    Raises:
        RecipeError: There are fewer validation pictures than replicas.
    """
    config = settings.finetune
    if config.epochs == 0:
        return []
    if distribution:
        distribution.share_weights(model)
    with distribution.scope() if distribution else nullcontext():
        network = of_any_size(model)
        if config.mixed_precision:
            network = in_mixed_precision(network)
        _freeze_below(network, 1.0 if from_scratch else config.unfreeze)
        curve = fit_augmented(network, data, settings)
        trained = network.get_weights()
    model.set_weights(trained)
    return curve


def fit_augmented(
    network: tf_keras.Model, data: TrainingSet, settings: FitSettings, *, start_epoch: int = 0
) -> list[Epoch]:
    """Train a network as it is, wrapped layers included, and leave the weights of its best epoch in it.

    With a schedule that ends at a low learning rate, only the last third of the epochs can be the best: earlier, the
    validation loss may be lowest just because the network is unsure of everything. The same applies with a teacher,
    since the loss on the labels alone is not what training minimizes.

    Args:
        network: Network for pictures of any size (`of_any_size`), or of the training size alone where
            ``settings.finetune.train_size`` is 1; outputs scores (N, classes).
        data: Pictures to train and validate on.
        settings: Epochs, augmentation, seed, loss and teacher; ``settings.finetune.unfreeze`` is ignored.
        start_epoch: First epoch that can be the best one, counted from 0.

    Returns:
        The learning curve.

    Raises:
        RecipeError: There are fewer validation pictures than replicas.
    """
    import tensorflow as tf
    import tf_keras

    train, val, contract, seed, teacher = data.train, data.val, data.contract, settings.seed, settings.teacher
    student = teacher.student_of(network) if teacher else network
    if len(val) < replicas():
        raise RecipeError(
            f"Too few validation photos: {len(val)} for {replicas()} replicas, and each needs at least one. "
            "Add photos, or train on fewer replicas."
        )
    tf_keras.utils.set_random_seed(seed)
    dealt = train.whole > 0 and replicas() > 1
    count = train.whole if dealt else len(train)
    config, augmentation = for_photos(settings.finetune, settings.augment, count)
    steps = -(-count // config.batch_size)
    schedule = make_schedule(config, steps=steps)
    optimizer = make_optimizer(config, schedule.rate)
    classes = student.output_shape[-1]
    sizes = growing_sizes(contract.height, config.start_size, config.train_size)
    if teacher is not None or config.schedule in ("cosine", "step"):
        start_epoch = max(start_epoch, 2 * config.epochs // 3)
    if teacher is None:
        by_labels = make_loss(
            settings.loss or LossConfig(), train.labels, classes, label_smoothing=config.label_smoothing
        )
        student.compile(optimizer, loss=by_labels, metrics=[accuracy_of(train.labels)])
        training = endless_batches(train, config.batch_size, seed=seed)
    else:
        teacher.compile(student, optimizer, train.labels, label_smoothing=config.label_smoothing)
        fixed = not changes_pictures(augmentation)
        training = teacher.training_batches(train, config.batch_size, seed=seed, share=config.train_size, fixed=fixed)

    checkpoint = Checkpoint(student, kept=replicas() == 1)  # other replicas could not resume from it

    def change(number: tf.Tensor, batch: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, Any]:
        images, *shown, targets = batch
        seeds = tf.stack([tf.constant(seed, tf.int64), number])
        made = [partial(augment, images, seeds, augmentation, size=size) for size in sizes]
        part = tf.cast(number * len(sizes) // (steps * config.epochs), tf.int32)
        pictures = tf.switch_case(part, made) if len(sizes) > 1 else made[0]()
        if teacher is None or shown:
            targets = mix_targets(as_targets(targets, classes), seeds, augmentation)
        if teacher is not None and shown:  # the same draws give the same picture at the teacher's own size
            targets = teacher.targets(targets, augment(shown[0], seeds, augmentation, size=teacher.size))
        return normalize(pictures, contract.mean, contract.std), targets

    def prepare(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        truth = teacher.labels_only(labels) if teacher else as_targets(labels, classes)
        return normalize(images, contract.mean, contract.std), truth

    return fit(
        student,
        training_batches(
            training, change, batch_size=config.batch_size, dealt=dealt, skip=len(checkpoint.curve) * steps
        ),
        validation_batches(batches(val, _VALIDATION_BATCH), prepare),
        stage=settings.stage,
        epochs=config.epochs,
        steps=steps,
        patience=config.patience,
        progress=settings.progress,
        callbacks=settings.callbacks,
        start_epoch=start_epoch,
        checkpoint=checkpoint,
        follow=schedule.follow,
        steps_per_epoch=steps,
    )


def _freeze_below(model: tf_keras.Model, unfreeze: float) -> None:
    """Freeze the lowest layers of the backbone, all but the share ``unfreeze``."""
    names = [layer.name for layer in model.layers]
    if unfreeze == 1.0 or FEATURES_LAYER not in names:
        return
    first = round(names.index(FEATURES_LAYER) * (1.0 - unfreeze))
    for index, layer in enumerate(model.layers):
        layer.trainable = index >= first
