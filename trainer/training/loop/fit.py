"""What every stage that trains shares: batches, sizes of pictures, and a fit that keeps the best weights."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from trainer.training.distribution.replicas import copy_layer
from trainer.training.loop.listening import tell
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
    """Batches of pictures as they lie in the cache: each once, in order.

    Args:
        pixels: Read batch by batch, so that a memory map is never loaded whole.
        batch_size: The last batch may be smaller.

    Returns:
        A data set of (uint8 (N, height, width, 3), labels).
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
    """Batches to train on: all pictures in an order that is drawn anew each time round, without end.

    Each is full: what is left over at the end of a round is filled up from the next. A batch of a picture or two makes
    a step as large as any by statistics that say nothing, and leaves them in batch normalization's moving averages:
    one of them in each epoch of 513 pictures cost 2.4 points of accuracy.

    Args:
        pixels: Read batch by batch, so that a memory map is never loaded whole.
        batch_size: Of every batch.
        seed: Of the orders.
        targets: (N, …) what belongs to each picture; None: the labels.
        beside: uint8 (N, height, width, 3): the same pictures at another size.

    Returns:
        A data set of (uint8 (N, height, width, 3), targets), with the batch of ``beside`` between them where given.
    """
    import tensorflow as tf

    count = len(pixels)
    order = tf.data.Dataset.range(count).shuffle(count, seed=seed, reshuffle_each_iteration=True)
    sources = [pixels.images, *([beside] if beside is not None else []), pixels.labels if targets is None else targets]
    return _gathered(order.repeat().batch(batch_size), sources)


def _gathered(order: tf.data.Dataset, sources: Sequence[NDArray[Any]]) -> tf.data.Dataset:
    """What batches of indices stand for."""
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
    """Height and width in training: a share of the input size, in multiples of 32, which halve evenly."""
    return input_size if share == 1.0 else min(input_size, max(32, round(input_size * share / 32) * 32))


def growing_sizes(input_size: int, start: float, share: float) -> list[int]:
    """Heights and widths of training with larger and larger pictures, in order, as `train_size` gives them.

    Args:
        input_size: Of the network.
        start: Share of it with which training begins; 0: with ``share``.
        share: Share of it with which training ends.
    """
    last = train_size(input_size, share)
    first = train_size(input_size, start) if start else last
    return [*range(first, last, 32), last]


def of_any_size(model: tf_keras.Model) -> tf_keras.Model:
    """A copy of the model that takes pictures of any size: it trains on small ones and validates on full ones."""
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
    """Fits a compiled model, stops early, and leaves the weights of the best epoch in it.

    The best epoch has the lowest validation loss. The accuracy of a few hundred pictures jumps by a point from epoch to
    epoch; its highest value would be luck in good part, and the gate, which compares INT8 on the same pictures, would
    take the end of the luck for a loss by quantization.

    Args:
        model: Compiled with the metric ``accuracy``.
        training: What Keras' ``fit`` takes as ``x``.
        validation: What it takes as ``validation_data``.
        stage: Name in the learning curve and on the progress bar.
        epochs: At most.
        steps: Batches in an epoch.
        patience: Epochs without a better one before stopping.
        progress: Whether a bar is drawn on stderr.
        callbacks: Further Keras callbacks.
        start_epoch: The first epoch that may be the best one; before it, a network is not yet what it is to become.
        checkpoint: Where training goes on from, and what it leaves behind after each epoch; ``training`` then begins
            with the next epoch's batches. None: it begins at its beginning.
        follow: Called with the learning curve so far after each epoch.
        **options: Further arguments of Keras' ``fit``.

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
    """A Keras callback: the learning curve, the best weights, early stopping and the progress bar."""
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
            """Takes an epoch into the curve; returns whether it is the best one so far."""
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
    """A Keras callback that writes down what an epoch has come to, after all others have had their turn."""
    import tf_keras

    class Save(tf_keras.callbacks.Callback):  # type: ignore[misc]  # tf_keras has no types
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            checkpoint.save(watch.curve, watch.best_weights)

    return Save()
