"""The child process that runs an untrusted model, with as few rights as the interpreter needs."""

from __future__ import annotations

import base64
import json
import signal
import socket
from typing import Any

from edge_runtime.inference.isolation.channel import Channel
from edge_runtime.inference.isolation.limits import IsolationLimits


def main(descriptor: int) -> None:
    """Load the model received over a socket, then reply to each input with the output until the socket closes."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all processes of a terminal or service
        signal.signal(number, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=descriptor))
    try:
        _serve(channel)
    except MemoryError:
        _reply(channel, {"error": "it needs more memory than its limit"})
    except Exception as error:
        _reply(channel, {"error": f"{error}" or type(error).__name__})


def _serve(channel: Channel) -> None:
    import numpy as np

    from edge_runtime.inference.interpreter import Interpreter, choose_backend
    from edge_runtime.inference.xnnpack import unavailable_reason
    from edge_runtime.model.file import read_model_file
    from edge_runtime.types import InputContract

    job = json.loads(channel.receive() or b"")
    limits = IsolationLimits(**job["limits"])
    _end_after(limits.load_s)
    # These need more rights than the model gets: imports, and the self-test of the INT8 kernels.
    backend, _ = choose_backend(job["backend"])
    if backend == "tflite_runtime" and job["is_quantized"]:
        unavailable_reason()
    content = bytes(channel.receive() or b"")
    from edge_runtime.inference.isolation.confinement import confine

    held = confine(memory_bytes=int(limits.memory_mib * (1 << 20)))
    model = read_model_file(
        job["model"],
        content=content,
        labels=job["labels"],
        contract=InputContract.from_dict(job["contract"]),
        activation=job["activation"],
    )
    interpreter = Interpreter(
        model,
        content,
        backend=job["backend"],
        num_threads=job["num_threads"],
        int8_kernels=job["int8_kernels"],
    )
    info = interpreter.info.to_dict()
    _reply(channel, {"backend": {**info, "notes": [*info["notes"], f"isolated: the model's process {held}"]}})
    shape, dtype = model.input_tensor.shape, model.input_tensor.dtype
    while (message := channel.receive()) is not None:
        _end_after(limits.invoke_s)
        interpreter.input()[...] = np.frombuffer(message, dtype).reshape(shape)
        interpreter.invoke()
        _reply(channel, {"output": base64.b64encode(interpreter.output().tobytes()).decode("ascii")})


def _reply(channel: Channel, values: dict[str, Any]) -> None:
    channel.send(json.dumps(values).encode())
    signal.setitimer(signal.ITIMER_REAL, 0)


def _end_after(limit_s: float) -> None:
    """Let the system end this process if the parent, which would end it earlier, is gone."""
    signal.setitimer(signal.ITIMER_REAL, 2 * limit_s)
