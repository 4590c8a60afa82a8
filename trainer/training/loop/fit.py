"""Batches, picture sizes, and a fit with early stopping that keeps the best weights, for all stages that train."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from trainer.training.distribution.replicas import copy_layer
from trainer.training.loop.epoch_listener import tell
from trainer.training.loop.optimization import swap_in_averages
from trainer.types import Epoch, Pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import tensorflow as tf
    import tf_keras
    from numpy.typing import NDArray

    from trainer.training.loop.checkpoint import Checkpoint


def batches(pixels: Pixels, batch_size: int) -> tf.data.Dataset:
    """Batches of pictures, each picture once, in order.

    Args:
        pixels: Pictures, read batch by batch so that a memory map is never loaded as a whole.
        batch_size: Batch size; the last batch may be smaller.

    Returns:
        A dataset of (uint8 (N, height, width, 3) RGB, labels).
    """
    import tensorflow as tf

    order = tf.data.Dataset.range(len(pixels)).batch(batch_size)
    return _gathered(order, [pixels.images, pixels.labels])


def endless_batches(
    pixels: Pixels,
    batch_size: int,
    *,
    seed: int,
    targets: NDArray[Any] | None = None,
    beside: NDArray[np.uint8] | None = None,
) -> tf.data.Dataset:
    """Endless batches to train on: all pictures again and again, shuffled for each pass.

    All batches are full; the remainder of a pass is filled up from the next. A batch of one or two pictures would make
    a full step from meaningless statistics and leave them in batch normalization's moving averages: one such batch per
    epoch of 513 pictures cost 2.4 points of accuracy.

    Args:
        pixels: Pictures, read batch by batch so that a memory map is never loaded as a whole.
        batch_size: Size of every batch.
        seed: Seed of the random order.
        targets: Targets of any dtype, (N, …); None: the labels.
        beside: The same pictures at another size, uint8 (N, height, width, 3) RGB, 0–255; None: left out.

    Returns:
        A dataset of (uint8 (N, height, width, 3) RGB, targets), with the batch of ``beside`` in between if given.
    """
    import tensorflow as tf

    count = len(pixels)
    order = tf.data.Dataset.range(count).shuffle(count, seed=seed, reshuffle_each_iteration=True)
    sources = [pixels.images, *([beside] if beside is not None else []), pixels.labels if targets is None else targets]
    return _gathered(order.repeat().batch(batch_size), sources)


def _gathered(order: tf.data.Dataset, sources: Sequence[NDArray[Any]]) -> tf.data.Dataset:
    """Replace batches of indices by the rows that they select."""
    import tensorflow as tf

    def gather(indices: NDArray[np.int64]) -> list[NDArray[Any]]:
        return [source[indices] for source in sources]

    def read(indices: tf.Tensor) -> tuple[tf.Tensor, ...]:
        found = tf.numpy_function(gather, [indices], [tf.as_dtype(source.dtype) for source in sources], stateful=False)
        for tensor, source in zip(found, sources, strict=True):
            tensor.set_shape((None, *source.shape[1:]))
        return tuple(found)

    return order.map(read)


def train_size(input_size: int, share: float) -> int:
    """Return the height and width in training: a share of the input size, as a multiple of 32, which halves evenly."""
    return input_size if share == 1.0 else min(input_size, max(32, round(input_size * share / 32) * 32))


def growing_sizes(input_size: int, start: float, share: float) -> list[int]:
    """Return the sizes for training with growing pictures (progressive resizing), in order.

    Args:
        input_size: Height and width of the network's input, in pixels.
        start: Share of the input size at the start of training; 0: the same as ``share``.
        share: Share of the input size at the end of training.
    """
    last = train_size(input_size, share)
    first = train_size(input_size, start) if start else last
    return [*range(first, last, 32), last]


def of_any_size(model: tf_keras.Model) -> tf_keras.Model:
    """Return a copy of a model for pictures of any size, to train on smaller ones than it is validated on."""
    import tf_keras

    image = tf_keras.layers.Input((None, None, 3), name="any_size")
    copy = tf_keras.models.clone_model(model, input_tensors=image, clone_function=copy_layer)
    copy.set_weights(model.get_weights())
    return copy


def fit(
    model: tf_keras.Model,
    training: Any,
    validation: Any,
    *,
    stage: str,
    epochs: int,
    steps: int,
    patience: int,
    progress: bool,
    callbacks: Sequence[Any] = (),
    start_epoch: int = 0,
    checkpoint: Checkpoint | None = None,
    follow: Callable[[Sequence[Epoch]], None] | None = None,
    **options: Any,
) -> list[Epoch]:
    """Fit a compiled model with early stopping, and leave the weights of the best epoch in it.

    The best epoch is the one with the lowest validation loss. On a few hundred pictures, the accuracy varies by a point
    from epoch to epoch, so its highest value would be largely luck. The accuracy gate, which compares INT8 on the same
    pictures, would then mistake the lack of that luck for an accuracy drop.

    Args:
        model: Model compiled with the metric ``accuracy``.
        training: Training data, the argument ``x`` of Keras' ``fit``.
        validation: Validation data, the argument ``validation_data`` of Keras' ``fit``.
        stage: Name in the learning curve and on the progress bar.
        epochs: Largest number of epochs.
        steps: Number of batches in an epoch.
        patience: Number of epochs without improvement before training stops.
        progress: If True, a progress bar is drawn on stderr.
        callbacks: Further Keras callbacks.
        start_epoch: First epoch that can be the best one, counted from 0; earlier networks are not complete yet.
        checkpoint: Checkpoint to resume from and to write after each epoch; ``training`` must then start with the
            next epoch's batches. None: train from the beginning.
        follow: Called after each epoch with the learning curve so far.
        **options: Further arguments for Keras' ``fit``.

    Returns:
        The learning curve.
    """
    watch = _watch(stage, epochs * steps, patience, progress, start_epoch, follow)
    watchers = [watch]
    if model.optimizer.use_ema:
        watchers.append(swap_in_averages())
    if checkpoint is not None:
        watch.go_on(checkpoint.curve, checkpoint.best_weights, steps)
        watchers.append(_save(checkpoint, watch))
    try:
        if not watch.finished and len(watch.curve) < epochs:
            model.fit(
                training,
                validation_data=validation,
                epochs=epochs,
                initial_epoch=len(watch.curve),
                callbacks=[*callbacks, *watchers],
                verbose=0,
                **options,
            )
    finally:
        watch.bar.close()
    if watch.best_weights is not None:
        model.set_weights(watch.best_weights)
    curve: list[Epoch] = watch.curve
    return curve


def _watch(
    stage: str,
    total_steps: int,
    patience: int,
    progress: bool,
    start_epoch: int,
    follow: Callable[[Sequence[Epoch]], None] | None,
) -> Any:
    """Return the Keras callback for the learning curve, the best weights, early stopping and the progress bar."""
    import tf_keras
    from tqdm import tqdm

    class Watch(tf_keras.callbacks.Callback):  # type: ignore[misc]  # tf_keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.curve: list[Epoch] = []
            self.best_weights: list[NDArray[np.float32]] | None = None
            self.best_loss: float | None = None
            self.waited = 0
            self.started_s = 0.0
            self.bar = tqdm(total=total_steps, desc=stage, unit="batch", disable=not progress, mininterval=0.5)

        @property
        def finished(self) -> bool:
            return self.waited >= patience

        def go_on(self, curve: Sequence[Epoch], best_weights: list[NDArray[np.float32]] | None, steps: int) -> None:
            for epoch in curve:
                self._take(epoch)
            self.best_weights = best_weights
            self.bar.update(len(curve) * steps)

        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.started_s = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            self.bar.update()

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            logs = logs or {}
            is_best = self._take(
                Epoch(
                    stage=stage,
                    epoch=epoch,
                    loss=float(logs["loss"]),
                    accuracy=float(logs["accuracy"]),
                    val_loss=float(logs["val_loss"]),
                    val_accuracy=float(logs["val_accuracy"]),
                    learning_rate=float(self.model.optimizer.learning_rate.numpy()),
                    seconds=time.perf_counter() - self.started_s,
                )
            )
            self.bar.set_postfix(val_accuracy=f"{logs['val_accuracy']:.3f}", loss=f"{logs['loss']:.3f}")
            tell(self.curve[-1])
            if is_best:
                self.best_weights = self.model.get_weights()
            self.model.stop_training |= self.finished

        def _take(self, epoch: Epoch) -> bool:
            """Add an epoch to the curve; return whether it is the best one so far."""
            self.curve.append(epoch)
            if follow is not None:
                follow(self.curve)
            if epoch.epoch < start_epoch:
                return False
            if self.best_loss is None or epoch.val_loss < self.best_loss:
                self.best_loss, self.waited = epoch.val_loss, 0
                return True
            self.waited += 1
            return False

    return Watch()


def _save(checkpoint: Checkpoint, watch: Any) -> Any:
    """Return the Keras callback that saves the checkpoint of an epoch, after all other callbacks have run."""
    import tf_keras

    class Save(tf_keras.callbacks.Callback):  # type: ignore[misc]  # tf_keras has no types
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            checkpoint.save(watch.curve, watch.best_weights)

    return Save()
