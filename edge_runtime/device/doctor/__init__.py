"""The doctor: checks a device for missing, incompatible or slow parts.

It needs only Python itself, because everything else may be missing or broken. Each check is a function that returns
findings; those that read ``/proc``, ``/sys`` or ``/dev`` take the root folder as an argument.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from edge_runtime.device.doctor.board import (
    check_clock,
    check_disk,
    check_governor,
    check_memory,
    check_power,
    check_temperature,
)
from edge_runtime.device.doctor.cameras import check_cameras, check_picamera2
from edge_runtime.device.doctor.finding import Finding as Finding
from edge_runtime.device.doctor.model import check_model
from edge_runtime.device.doctor.software import (
    check_architecture,
    check_interpreters,
    check_libc,
    check_numpy,
    check_opencv,
    check_python,
)
from edge_runtime.device.machine import describe_machine


def examine(
    model: str | os.PathLike[str] | None = None,
    *,
    require_signature: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] = "/",
) -> Iterator[Finding]:
    """Run all checks, in a few seconds.

    Args:
        model: Path of a .tflite file to open and verify as well.
        require_signature: Path of a public key; the model must be signed with its private key.
        root: Folder with ``dev``, ``proc`` and ``sys``.

    Yields:
        Each finding as soon as it is known.
    """
    yield check_python()
    yield check_architecture()
    yield check_libc()
    yield check_numpy()
    yield from check_opencv()
    yield from check_interpreters()
    if model is not None:
        yield check_model(model, require_signature=require_signature)
    yield from check_cameras(root)
    yield from check_picamera2(root)
    machine = describe_machine(root)
    yield from check_power(machine, root)
    yield from check_temperature(machine)
    yield from check_governor(machine)
    yield from check_memory(root)
    yield check_disk()
    yield from check_clock()
