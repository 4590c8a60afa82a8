"""Training on several GPUs or machines at once: `tf.distribute`'s synchronous data parallelism.

Every replica makes the same global batches from the same seeds and learns from its part of each. Gradients are summed,
and batch normalization uses the statistics of the whole batch. The loss is therefore the same as with one replica,
within rounding; only dropout draws its masks separately on each replica.
Packed photos are dealt out instead: each worker holds its own shards and makes its part of each batch from them.

The chief (the first task in ``TF_CONFIG``) works through the run; the others wait for its orders and train along.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trainer.environment import load_tensorflow, quiet
from trainer.errors import ClusterError, RecipeError
from trainer.training.distribution.cluster import Cluster, meet

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras
    from numpy.typing import NDArray

Kind = Literal["gpus", "workers"]
_WAIT_S = 600.0
_GO_ON = "Finished stages are kept; run the same command on each machine again."


@dataclass(frozen=True)
class Order:
    """The next training, as the chief tells the other machines.

    Attributes:
        stage: Name of the run's stage.
        from_scratch: If True, the network holds no pretrained weights.
    """

    stage: str
    from_scratch: bool


_STAGES = ("", "teacher", "finetune")  # sent as an index; 0 ends the training


class Distribution:
    """The replicas that a network is trained on.

    Attributes:
        strategy: TensorFlow's distribution strategy.
        workers: Number of machines.
        worker: Index of this machine; 0 is the chief.
    """

    def __init__(self, strategy: tf.distribute.Strategy, cluster: Cluster | None = None) -> None:
        self.strategy = strategy
        self.worker, self.workers = (cluster.index, len(cluster.addresses)) if cluster else (0, 1)
        self._cluster = cluster
        self._led = self.worker == 0

    @property
    def replicas(self) -> int:
        """Number of GPUs, or of machines if they have none."""
        return int(self.strategy.num_replicas_in_sync)

    def require_divisible(self, batch_size: int) -> None:
        """Check that a batch can be divided evenly among the replicas.

        Raises:
            RecipeError: The batch size is not a multiple of the number of replicas.
        """
        if batch_size % self.replicas:
            raise RecipeError(
                f"finetune.batch_size is {batch_size}, which is not a multiple of the {self.replicas} replicas. "
                "Change it to a multiple."
            )

    def lead(self, order: Order, fingerprint: int) -> None:
        """Tell the other machines to train along; only the chief does.

        Args:
            order: The training to join.
            fingerprint: Fingerprint of the chief's photos and settings, which the other machines must have too.
        """
        if self._led and self.workers > 1:
            self._of_chief([np.array([_STAGES.index(order.stage), order.from_scratch, fingerprint], np.int64)])

    def dismiss(self) -> None:
        """Tell the other machines, once, that there is nothing more to train; only the chief does."""
        if self._led and self.workers > 1:
            self._of_chief([np.zeros(3, np.int64)])
        self._led = False

    def follow(self, fingerprint: int) -> Order | None:
        """Wait for the chief's next order; None means that there is nothing more to train.

        Raises:
            ClusterError: The chief was lost, or it has other photos or settings.
        """
        ((number, from_scratch, theirs),) = self._of_chief([np.zeros(3, np.int64)])
        if number and theirs != fingerprint:
            raise ClusterError(
                "This machine's photos or settings differ from the chief's. "
                "Run the same command on each machine, with the same photos."
            )
        return Order(_STAGES[number], bool(from_scratch)) if number else None

    def share_weights(self, model: tf_keras.Model) -> None:
        """Set a model's weights to those that it has on the chief."""
        if self.workers > 1:
            model.set_weights(self._of_chief(model.get_weights()))

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Train everything that is built and fitted in this context on all replicas.

        Raises:
            ClusterError: A machine was lost.
        """
        with self._lost_is_told(), self.strategy.scope():
            yield

    def _of_chief(self, values: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the chief's values on each machine, as a sum to which the others add zeros."""
        import tensorflow as tf

        def add() -> Any:
            context = tf.distribute.get_replica_context()
            first = context.replica_id_in_sync_group == 0
            mine = [tf.where(first, value, tf.zeros_like(value)) for value in values]
            return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

        with self._lost_is_told():
            found = self.strategy.run(tf.function(add))
            return [self.strategy.experimental_local_results(value)[0].numpy() for value in found]

    @contextmanager
    def _lost_is_told(self) -> Iterator[None]:
        import tensorflow as tf

        errors = tf.errors
        lost = (
            *(errors.UnavailableError, errors.AbortedError, errors.DeadlineExceededError),
            *(errors.InternalError, errors.CancelledError, errors.FailedPreconditionError),
        )
        try:
            yield
        except lost as error:
            if self._cluster is None:
                raise
            gone = ", ".join(self._cluster.name(number) for number in self._cluster.silent()) or "one"
            raise ClusterError(f"Lost {gone} of {self.workers} machines during training. {_GO_ON}") from error


def open_distribution(
    kind: Kind, *, announce: Callable[[str], None], wait_s: float = _WAIT_S, devices: tuple[str, ...] | None = None
) -> Distribution:
    """Connect all GPUs of this machine, or all machines, before TensorFlow has computed anything.

    Args:
        kind: ``"gpus"``: all GPUs of this machine; ``"workers"``: the machines in ``TF_CONFIG`` with all their GPUs.
        announce: Called with messages for the user.
        wait_s: Time for all machines to start, in seconds.
        devices: TensorFlow's names of the devices to use with ``"gpus"``; None: all GPUs.

    Raises:
        ClusterError: There is no GPU, ``TF_CONFIG`` is not valid, or a machine did not start.
    """
    cluster = Cluster.from_environment() if kind == "workers" else None
    if cluster:
        meet(cluster, announce=announce, wait_s=wait_s)
    load_tensorflow()
    import tensorflow as tf

    if cluster is None:
        found = devices or tuple(
            device.name.rpartition("device:")[2] for device in tf.config.list_logical_devices("GPU")
        )
        if not found:
            raise ClusterError("TensorFlow finds no GPU for --distribute gpus. Remove the option to train on the CPU.")
        return Distribution(tf.distribute.MirroredStrategy(found))
    try:
        with Path(os.devnull).open("wb") as nowhere, quiet(nowhere):  # hides the log of its servers
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, tf.errors.OpError) as error:
        raise ClusterError(
            f"Cannot connect the machines in TF_CONFIG: {str(error).splitlines()[0]}. {_GO_ON}"
        ) from error
    return Distribution(strategy, cluster)
