"""What a training has reached after each epoch, in a file, so that a process that is killed loses one epoch at most.

Training goes on from it as if nothing had been: on a CPU the weights come out the same, bit for bit. What the rest of
training draws at random is drawn from the seed and the number of the epoch or batch; dropout alone keeps a state inside
TensorFlow, which `countable_dropout` brings to light.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.storage import write_bytes
from trainer.types import Epoch

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras
    from numpy.typing import NDArray

_PHILOX = 1  # TensorFlow's number for the generator
_BLOCKS_PER_NUMBER = 256  # of the generator, that TensorFlow's RandomUniform sets aside

# Set once for a stage and read where a network is fitted, many calls below, none of which has to do with it.
_files: ContextVar[Iterator[Path] | None] = ContextVar("checkpoint files", default=None)


@contextmanager
def checkpoints_in(folder: Path) -> Iterator[None]:
    """Trainings in this context leave checkpoints in a folder, and go on from those that are there.

    Args:
        folder: Made when there is something to put into it; to be removed by who names it here, once the trainings'
            results are safe. The same trainings have to come in the same order.
    """
    numbers = iter(range(1, 1000))
    token = _files.set(folder / f"{number}.npz" for number in numbers)
    try:
        yield
    finally:
        _files.reset(token)


class Checkpoint:
    """One training's file.

    Attributes:
        curve: Of the epochs that are done.
        best_weights: Of the best of them; None where none may be it yet.
    """

    def __init__(self, network: tf_keras.Model, *, kept: bool = True) -> None:
        """Opens the next file of the context, and sets the network as it was when that was written.

        Args:
            network: Compiled and before its first step. A file that was made from other weights than these is of
                another training, and not used.
            kept: Whether there is to be one; without it, the training starts anew.
        """
        self.curve: list[Epoch] = []
        self.best_weights: list[NDArray[Any]] | None = None
        self._network = network
        files = _files.get()
        self._file = next(files) if files is not None and kept else None
        if self._file is not None:
            self._begun_with = _hash(network.get_weights())
            self._drawn = countable_dropout(network)
            self._restore(self._file)

    def save(self, curve: Sequence[Epoch], best_weights: list[NDArray[Any]] | None) -> None:
        """Writes down what has been reached, at the end of an epoch; outside of any context nothing.

        Raises:
            OutputFolderError: The file can't be written.
        """
        if self._file is None:
            return
        from io import BytesIO

        import numpy as np

        network = self._network
        told = {
            "begun_with": self._begun_with,
            "curve": [asdict(epoch) for epoch in curve],
            "best": best_weights is not None,
        }
        arrays = {
            "weights": network.get_weights(),
            "best": best_weights or [],
            "state": [variable.numpy() for variable in self._state()],
        }
        buffer = BytesIO()
        np.savez(
            buffer,
            told=np.array(json.dumps(told)),
            **{f"{kind}{number}": array for kind, group in arrays.items() for number, array in enumerate(group)},
        )
        self._file.parent.mkdir(exist_ok=True)
        write_bytes(self._file, buffer.getvalue())

    def _restore(self, file: Path) -> None:
        import numpy as np

        if not file.exists():
            return
        with np.load(file) as stored:
            told = json.loads(str(stored["told"]))
            if told["begun_with"] != self._begun_with:
                return
            groups = {
                kind: [stored[f"{kind}{number}"] for number in range(_count(stored.files, kind))]
                for kind in ("weights", "best", "state")
            }
        self._network.set_weights(groups["weights"])
        self._network.optimizer.build(self._network.trainable_variables)
        for variable, value in zip(self._state(), groups["state"], strict=True):
            variable.assign(value)
        self.curve = [Epoch(**epoch) for epoch in told["curve"]]
        self.best_weights = groups["best"] if told["best"] else None

    def _state(self) -> list[tf.Variable]:
        """What training needs beside the weights."""
        return [*self._network.optimizer.variables, *self._drawn]


def countable_dropout(network: tf_keras.Model) -> list[tf.Variable]:
    """Lets a network's dropout draw the very numbers that it would draw, but from a state that can be set.

    Keras draws them with TensorFlow's RandomUniform, which counts inside itself how far it is in its stream of random
    numbers (Philox: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011). The stateless operation reads
    the same stream from a place that it is told.

    Args:
        network: Before its first step in training.

    Returns:
        int64 () of each dropout layer: how many numbers it has drawn.
    """
    import tensorflow as tf
    from tf_keras.layers import Dropout

    def counting(layer: Any) -> tf.Variable:
        drawn = tf.Variable(0, dtype=tf.int64, trainable=False, name="drawn")

        def draw(shape: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
            seed, seed_of_layer = tf.compat.v1.get_seed(None)  # as RandomUniform gets them
            place = _BLOCKS_PER_NUMBER * drawn.read_value()
            drawn.assign_add(tf.reduce_prod(tf.cast(shape, tf.int64)))
            return tf.raw_ops.StatelessRandomUniformV2(
                shape=shape,
                key=tf.constant([seed], tf.uint64),
                counter=tf.stack([tf.cast(place, tf.uint64), tf.constant(seed_of_layer, tf.uint64)]),
                alg=_PHILOX,
                dtype=dtype,
            )

        def dropout(inputs: tf.Tensor, rate: float, noise_shape: Any = None) -> tf.Tensor:
            return tf.nn.experimental.general_dropout(inputs, rate=rate, noise_shape=noise_shape, uniform_sampler=draw)

        layer._random_generator.dropout = dropout
        return drawn

    return [counting(layer) for layer in network.layers if type(layer) is Dropout and layer.seed is None]


def _hash(weights: Sequence[NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(weight.tobytes())
    return digest.hexdigest()


def _count(names: Sequence[str], kind: str) -> int:
    return sum(name.startswith(kind) for name in names)
