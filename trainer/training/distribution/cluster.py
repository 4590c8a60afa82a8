"""Machines that train together: their addresses in ``TF_CONFIG``, and whether they can be reached."""

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
    """The machines in ``TF_CONFIG``.

    Attributes:
        addresses: ``host:port`` of each machine, the chief first.
        index: Index of this machine in ``addresses``.
    """

    addresses: tuple[str, ...]
    index: int

    @classmethod
    def from_environment(cls) -> Cluster:
        """Read ``TF_CONFIG``, like `tf.distribute.cluster_resolver.TFConfigClusterResolver`.

        Raises:
            ClusterError: ``TF_CONFIG`` is not set or not valid.
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
                f"TF_CONFIG is missing or invalid: {text!r}. Set it on each machine to the addresses of all machines "
                f"and the machine's own index, such as {_EXAMPLE}."
            ) from error

    def name(self, number: int) -> str:
        """Return the role and address of a machine, for messages."""
        return f"{'the chief' if number == 0 else f'worker {number}'} ({self.addresses[number]})"

    def silent(self) -> list[int]:
        """Return the indices of the other machines that do not answer at their port."""
        others = [number for number in range(len(self.addresses)) if number != self.index]
        return [number for number in others if not _answers(self.addresses[number])]


def meet(cluster: Cluster, *, announce: Callable[[str], None], wait_s: float) -> None:
    """Wait until all machines have started; unlike TensorFlow's own waiting, this can be interrupted and reports.

    Each machine listens on the port that TensorFlow will use, and looks for the others until it has seen all of them.

    Raises:
        ClusterError: The port is in use, or a machine did not start in time.
    """
    port = int(cluster.addresses[cluster.index].rpartition(":")[2])
    try:
        listener = socket.create_server(("", port))
    except OSError as error:
        raise ClusterError(
            f"Cannot listen on port {port}, which TF_CONFIG names for this machine: {error.strerror}. "
            "Stop the program that uses it, or change the port in TF_CONFIG on all machines."
        ) from error
    with closing(listener):
        until, told = time.monotonic() + wait_s, False
        while missing := cluster.silent():
            names = ", ".join(cluster.name(number) for number in missing)
            if time.monotonic() > until:
                raise ClusterError(
                    f"No connection to {names} within {wait_s:g} s. Start the same command on all "
                    f"{len(cluster.addresses)} machines, and check that their ports are open."
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
