"""The machines that train together: who they are, by ``TF_CONFIG``, and whether they are there."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from trainer.errors import ClusterError

_EXAMPLE = '{"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """The machines of ``TF_CONFIG``.

    Attributes:
        addresses: ``host:port`` of each, the chief first.
        index: Of this one.
    """

    addresses: tuple[str, ...]
    index: int

    @classmethod
    def from_environment(cls) -> Cluster:
        """Reads ``TF_CONFIG``, as `tf.distribute.cluster_resolver.TFConfigClusterResolver` does.

        Raises:
            ClusterError: There is none, or it can't be understood.
        """
        text = os.environ.get("TF_CONFIG", "")
        try:
            values = json.loads(text)
            jobs, task = values["cluster"], values["task"]
            tasks = [(job, number) for job in ("chief", "worker") for number in range(len(jobs.get(job, ())))]
            addresses = tuple(jobs[job][number] for job, number in tasks)
            if not set(jobs) <= {"chief", "worker"} or not all(
                address.rpartition(":")[2].isdigit() for address in addresses
            ):
                raise ValueError
            return cls(addresses, tasks.index((task["type"], int(task["index"]))))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ClusterError(
                f"Expected TF_CONFIG to name the machines and this one's place, as {_EXAMPLE}, got {text!r}. "
                "Set it on each machine."
            ) from error

    def name(self, number: int) -> str:
        """For people."""
        return f"{'the chief' if number == 0 else f'worker {number}'} ({self.addresses[number]})"

    def silent(self) -> list[int]:
        """Indices of the other machines at whose port nobody answers."""
        others = [number for number in range(len(self.addresses)) if number != self.index]
        return [number for number in others if not _answers(self.addresses[number])]


def meet(cluster: Cluster, *, announce: Callable[[str], None], wait_s: float) -> None:
    """Waits until each machine has started: TensorFlow's own waiting can't be interrupted, and tells nothing.

    Each listens at the port that TensorFlow is going to take, and looks for the others, until it has seen them all.
    """
    port = int(cluster.addresses[cluster.index].rpartition(":")[2])
    try:
        listener = socket.create_server(("", port))
    except OSError as error:
        raise ClusterError(
            f"Expected to listen at port {port}, this machine's in TF_CONFIG, got: {error.strerror}. "
            "End what uses it, or name another one."
        ) from error
    with closing(listener):
        until, told = time.monotonic() + wait_s, False
        while missing := cluster.silent():
            names = ", ".join(cluster.name(number) for number in missing)
            if time.monotonic() > until:
                raise ClusterError(
                    f"Expected all {len(cluster.addresses)} machines within {wait_s:g} s, but {names} didn't start or "
                    "can't be reached. Start the same command there, and see that the port is open."
                )
            if not told:
                announce(f"Waiting for {names}")
                told = True
            time.sleep(0.5)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except OSError:
        return False
    return True
