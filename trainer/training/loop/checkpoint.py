"""Checkpoints after each epoch, so that a killed process loses at most one epoch.

A training that resumes from a checkpoint gives the same weights as an uninterrupted one, bit for bit on a CPU. All
random draws depend only on the seed and the number of the epoch or batch, except those of dropout, whose state is
inside TensorFlow; `countable_dropout` makes it accessible.
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

_PHILOX = 1  # TensorFlow's identifier of the generator
_BLOCKS_PER_NUMBER = 256  # blocks of the generator that TensorFlow's RandomUniform reserves for each number

# A context variable, because the functions between the stage that sets it and the fit that reads it do not need it.
_files: ContextVar[Iterator[Path] | None] = ContextVar("checkpoint files", default=None)


@contextmanager
def checkpoints_in(folder: Path) -> Iterator[None]:
    """Let all trainings in this context save checkpoints in a folder and resume from those that it holds.

    Args:
        folder: Folder of the checkpoints, created when needed. The caller removes it once the results are stored. The
            same trainings must run in the same order when they resume.
    """
    numbers = iter(range(1, 1000))
    token = _files.set(folder / f"{number}.npz" for number in numbers)
    try:
        yield
    finally:
        _files.reset(token)


class Checkpoint:
    """The checkpoint of one training.

    Attributes:
        curve: Learning curve of the finished epochs.
        best_weights: Weights of the best epoch; None if no epoch can be the best one yet.
    """

    def __init__(self, network: tf_keras.Model, *, kept: bool = True) -> None:
        """Open the next file of the context, and restore the network's state from it.

        Args:
            network: Compiled network before its first step. A file whose training began with other weights is ignored.
            kept: If False, there is no checkpoint, and the training starts from the beginning.
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
        """Write the state at the end of an epoch; without a context of `checkpoints_in`, do nothing.

        Raises:
            OutputFolderError: The file cannot be written.
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
        """Variables that training needs besides the weights."""
        return [*self._network.optimizer.variables, *self._drawn]


def countable_dropout(network: tf_keras.Model) -> list[tf.Variable]:
    """Make the state of a network's dropout accessible without changing the random numbers that it draws.

    Keras draws them with TensorFlow's RandomUniform, which has an internal position in its stream of random numbers
    (Philox: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011). The stateless operation used here
    reads the same stream from a given position.

    Args:
        network: Network before its first training step.

    Returns:
        The number of random numbers that each dropout layer has drawn, int64 ().
    """
    import tensorflow as tf
    from tf_keras.layers import Dropout

    def counting(layer: Any) -> tf.Variable:
        drawn = tf.Variable(0, dtype=tf.int64, trainable=False, name="drawn")

        def draw(shape: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
            seed, seed_of_layer = tf.compat.v1.get_seed(None)  # the seeds that RandomUniform would get
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
