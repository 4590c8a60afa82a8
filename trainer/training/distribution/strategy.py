"""Training on several GPUs or machines at once: `tf.distribute`'s synchronous data parallelism.

Every replica makes the same global batches, by the same seeds, and learns from its part of each; gradients are summed,
and batch normalization's statistics are those of the whole batch. So the loss is that of one replica within rounding,
however many there are; dropout alone draws its masks on each replica by itself.
Packed photos are dealt instead: a worker holds its own shards, and makes its part of each batch from them.

The chief (the first task of ``TF_CONFIG``) works through the run; the others wait for its word and train along.
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
_GO_ON = "What was finished is kept: start the same command on each machine again."


@dataclass(frozen=True)
class Order:
    """What the chief tells the others to train next.

    Attributes:
        stage: Of the run.
        from_scratch: The network holds no pretrained weights.
    """

    stage: str
    from_scratch: bool


_STAGES = ("", "teacher", "finetune")  # by number, as they are sent; 0: no more


class Distribution:
    """Where a network is trained.

    Attributes:
        strategy: TensorFlow's.
        workers: Number of machines.
        worker: Index of this one; 0 is the chief.
    """

    def __init__(self, strategy: tf.distribute.Strategy, cluster: Cluster | None = None) -> None:
        self.strategy = strategy
        self.worker, self.workers = (cluster.index, len(cluster.addresses)) if cluster else (0, 1)
        self._cluster = cluster
        self._led = self.worker == 0

    @property
    def replicas(self) -> int:
        """GPUs, or machines without."""
        return int(self.strategy.num_replicas_in_sync)

    def require_divisible(self, batch_size: int) -> None:
        """Raises a RecipeError where a batch can't be divided evenly among the replicas."""
        if batch_size % self.replicas:
            raise RecipeError(
                f"Expected finetune.batch_size to be a multiple of the {self.replicas} replicas, got {batch_size}. "
                "Change it."
            )

    def lead(self, order: Order, fingerprint: int) -> None:
        """The chief's word to the others, who are to train along.

        Args:
            order: What.
            fingerprint: Of the run's photos and settings, which must be the others' too.
        """
        if self._led and self.workers > 1:
            self._of_chief([np.array([_STAGES.index(order.stage), order.from_scratch, fingerprint], np.int64)])

    def dismiss(self) -> None:
        """The chief's word that there is no more to train; said once."""
        if self._led and self.workers > 1:
            self._of_chief([np.zeros(3, np.int64)])
        self._led = False

    def follow(self, fingerprint: int) -> Order | None:
        """Waits for the chief's word; None: there is no more.

        Raises:
            ClusterError: The chief is lost, or has other photos or settings.
        """
        ((number, from_scratch, theirs),) = self._of_chief([np.zeros(3, np.int64)])
        if number and theirs != fingerprint:
            raise ClusterError(
                "Expected the chief's photos and settings on this machine, but they differ. "
                "Start the same command on each machine, with the same photos."
            )
        return Order(_STAGES[number], bool(from_scratch)) if number else None

    def share_weights(self, model: tf_keras.Model) -> None:
        """Gives the model the weights that it has on the chief."""
        if self.workers > 1:
            model.set_weights(self._of_chief(model.get_weights()))

    @contextmanager
    def scope(self) -> Iterator[None]:
        """What is built and fitted here is trained on all replicas.

        Raises:
            ClusterError: A machine was lost.
        """
        with self._lost_is_told(), self.strategy.scope():
            yield

    def _of_chief(self, values: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """The chief's values, on each machine: a sum to which nobody else adds anything."""
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
            gone = ", ".join(self._cluster.name(number) for number in self._cluster.silent()) or "one of them"
            raise ClusterError(
                f"Expected {self.workers} machines to train to the end, but {gone} was lost. {_GO_ON}"
            ) from error


def open_distribution(
    kind: Kind, *, announce: Callable[[str], None], wait_s: float = _WAIT_S, devices: tuple[str, ...] | None = None
) -> Distribution:
    """Takes all GPUs of this machine, or meets the other machines, before TensorFlow has computed anything.

    Args:
        kind: ``"gpus"``, or ``"workers"``: the machines of ``TF_CONFIG``, each with all of its GPUs.
        announce: Called with a line for people.
        wait_s: Time for all machines to start.
        devices: For ``"gpus"``, by TensorFlow's names; None: all GPUs.

    Raises:
        ClusterError: There is no GPU, ``TF_CONFIG`` can't be understood, or a machine doesn't start.
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
            raise ClusterError("Expected a GPU for --distribute gpus, but TensorFlow sees none. Leave the option out.")
        return Distribution(tf.distribute.MirroredStrategy(found))
    try:
        with Path(os.devnull).open("wb") as nowhere, quiet(nowhere):  # it tells of its servers
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, tf.errors.OpError) as error:
        raise ClusterError(
            f"Expected to join the machines of TF_CONFIG, got: {str(error).splitlines()[0]}. {_GO_ON}"
        ) from error
    return Distribution(strategy, cluster)
