"""Training on augmented pictures: of the network itself after the head, and of what compression makes of it."""

from __future__ import annotations

from contextlib import nullcontext
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
from trainer.types import Epoch, Pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tensorflow as tf
    import tf_keras

    from edge_runtime.types import InputContract
    from trainer.training.distillation import Teacher
    from trainer.training.distribution.strategy import Distribution

_VALIDATION_BATCH = 64


def finetune(
    model: tf_keras.Model,
    train: Pixels,
    val: Pixels,
    config: FinetuneConfig,
    augmentation: AugmentConfig,
    *,
    contract: InputContract,
    seed: int,
    from_scratch: bool = False,
    loss: LossConfig | None = None,
    teacher: Teacher | None = None,
    stage: str = "finetune",
    callbacks: Sequence[Any] = (),
    progress: bool = True,
    distribution: Distribution | None = None,
) -> list[Epoch]:
    """Trains the model on augmented pictures and leaves the weights of its best epoch in it.

    Batch normalization is in training mode in every layer that is trained, with the momentum that
    `networks.backbones` sets. Frozen, it makes fine-tuning fragile: MobileNetV2 has channels of tiny variance,
    which turn a small step of a weight into a large one of the output.

    Args:
        model: From `networks.backbones.build_model`, its head trained already unless from scratch.
        train: Pictures to train on.
        val: Pictures that choose the best epoch and end the training.
        config: How long and how fast.
        augmentation: Random changes to the training pictures.
        contract: Its mean and std.
        seed: On a CPU, the same seed gives the same weights.
        from_scratch: The model holds no pretrained weights.
        loss: What is minimized without a teacher, who brings his own; None: what fits the labels.
        teacher: Whose answers are learned beside the labels; None: the labels alone.
        stage: Name in the learning curve.
        callbacks: Further Keras callbacks.
        progress: Whether a bar is drawn on stderr.
        distribution: Where it is trained; None: here alone. With a teacher, that is all there is.

    Returns:
        The learning curve; empty when ``config.epochs`` is 0.
    """
    if config.epochs == 0:
        return []
    if distribution:
        distribution.share_weights(model)
    with distribution.scope() if distribution else nullcontext():
        network = of_any_size(model)
        if config.mixed_precision:
            network = in_mixed_precision(network)
        _freeze_below(network, 1.0 if from_scratch else config.unfreeze)
        student = teacher.student_of(network) if teacher else network
        curve = fit_augmented(
            student,
            train,
            val,
            config,
            augmentation,
            contract=contract,
            seed=seed,
            loss=loss,
            teacher=teacher,
            stage=stage,
            callbacks=callbacks,
            progress=progress,
        )
        trained = network.get_weights()
    model.set_weights(trained)
    return curve


def fit_augmented(
    network: tf_keras.Model,
    train: Pixels,
    val: Pixels,
    config: FinetuneConfig,
    augmentation: AugmentConfig,
    *,
    contract: InputContract,
    seed: int,
    loss: LossConfig | None = None,
    teacher: Teacher | None = None,
    stage: str = "finetune",
    callbacks: Sequence[Any] = (),
    start_epoch: int = 0,
    progress: bool = True,
) -> list[Epoch]:
    """Trains a network as it stands, for those that have wrapped its layers; the best epoch's weights stay in it.

    Where the learning rate falls to the end by plan, only the last third of the epochs may be the best: before, the
    validation loss can be lowest because the network is unsure of everything. With a teacher, that holds all the more,
    since the loss by the labels alone isn't what training minimizes.

    Args:
        network: Takes pictures of any size (`of_any_size`), or of the training size alone where
            ``config.train_size`` is 1; gives scores (N, classes).
        train: Pictures to train on.
        val: Pictures that choose the best epoch and end the training.
        config: How long and how fast; ``unfreeze`` plays no part.
        augmentation: Random changes to the training pictures.
        contract: Its size, mean and std.
        seed: On a CPU, the same seed gives the same weights.
        loss: What is minimized without a teacher, who brings his own; None: what fits the labels.
        teacher: Whose answers are learned beside the labels; None: the labels alone.
        stage: Name in the learning curve.
        callbacks: Further Keras callbacks.
        start_epoch: The first epoch that may be the best one.
        progress: Whether a bar is drawn on stderr.

    Returns:
        The learning curve.

    Raises:
        RecipeError: There are fewer pictures to validate on than replicas.
    """
    import tensorflow as tf
    import tf_keras

    if len(val) < replicas():
        raise RecipeError(
            f"Expected at least one photo to validate on for each of the {replicas()} replicas, got {len(val)}. "
            "Add photos, or train on fewer."
        )
    tf_keras.utils.set_random_seed(seed)
    dealt = train.whole > 0 and replicas() > 1
    count = train.whole if dealt else len(train)
    config, augmentation = for_photos(config, augmentation, count)
    steps = -(-count // config.batch_size)
    schedule = make_schedule(config, steps=steps)
    optimizer = make_optimizer(config, schedule.rate)
    classes = network.output_shape[-1]
    sizes = growing_sizes(contract.height, config.start_size, config.train_size)
    if teacher is not None or config.schedule in ("cosine", "step"):
        start_epoch = max(start_epoch, 2 * config.epochs // 3)
    if teacher is None:
        by_labels = make_loss(loss or LossConfig(), train.labels, classes, label_smoothing=config.label_smoothing)
        network.compile(optimizer, loss=by_labels, metrics=[accuracy_of(train.labels)])
        training = endless_batches(train, config.batch_size, seed=seed)
    else:
        teacher.compile(network, optimizer, train.labels, label_smoothing=config.label_smoothing)
        fixed = not changes_pictures(augmentation)
        training = teacher.training_batches(train, config.batch_size, seed=seed, share=config.train_size, fixed=fixed)

    checkpoint = Checkpoint(network, kept=replicas() == 1)  # other replicas couldn't go on from it

    def change(number: tf.Tensor, batch: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, Any]:
        images, *shown, targets = batch
        seeds = tf.stack([tf.constant(seed, tf.int64), number])
        made = [partial(augment, images, seeds, augmentation, size=size) for size in sizes]
        part = tf.cast(number * len(sizes) // (steps * config.epochs), tf.int32)
        pictures = tf.switch_case(part, made) if len(sizes) > 1 else made[0]()
        if teacher is None or shown:
            targets = mix_targets(as_targets(targets, classes), seeds, augmentation)
        if teacher is not None and shown:  # the same draws at the teacher's own size: the same picture
            targets = teacher.targets(targets, augment(shown[0], seeds, augmentation, size=teacher.size))
        return normalize(pictures, contract.mean, contract.std), targets

    def prepare(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        truth = teacher.no_answer(labels) if teacher else as_targets(labels, classes)
        return normalize(images, contract.mean, contract.std), truth

    return fit(
        network,
        training_batches(
            training, change, batch_size=config.batch_size, dealt=dealt, skip=len(checkpoint.curve) * steps
        ),
        validation_batches(batches(val, _VALIDATION_BATCH), prepare),
        stage=stage,
        epochs=config.epochs,
        steps=steps,
        patience=config.patience,
        progress=progress,
        callbacks=callbacks,
        start_epoch=start_epoch,
        checkpoint=checkpoint,
        follow=schedule.follow,
        steps_per_epoch=steps,
    )


def _freeze_below(model: tf_keras.Model, unfreeze: float) -> None:
    """Freezes the backbone's lower layers."""
    names = [layer.name for layer in model.layers]
    if unfreeze == 1.0 or FEATURES_LAYER not in names:
        return
    first = round(names.index(FEATURES_LAYER) * (1.0 - unfreeze))
    for index, layer in enumerate(model.layers):
        layer.trainable = index >= first
