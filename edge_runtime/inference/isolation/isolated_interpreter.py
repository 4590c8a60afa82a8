"""Counterpart of `interpreter.Interpreter` for untrusted models: a separate process runs the network."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
import time
import weakref
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from edge_runtime.errors import BackendError
from edge_runtime.inference.isolation.channel import Channel
from edge_runtime.types import BackendInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_runtime.inference.interpreter import Int8Kernels
    from edge_runtime.inference.isolation.limits import IsolationLimits
    from edge_runtime.model.file import ModelFile

_T = TypeVar("_T")

# -I and this process's own path: a module in the current folder must not shadow ours.
_START = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from edge_runtime.inference.isolation.child import main; main(int(sys.argv[1]))"
)
_MOST_BYTES = 1 << 20  # maximum size of a reply, in addition to the output


class IsolatedInterpreter:
    """A model loaded in a separate process. Not thread-safe; `edge_runtime.Classifier` adds the lock.

    After the process has failed, each further call raises the same error.

    Args:
        model: Model file that was read from ``content``.
        content: Bytes of the model file.
        limits: Limits of the process.
        backend: Name of the backend; see `edge_runtime.inference.interpreter.Interpreter`.
        num_threads: Number of kernel threads.
        int8_kernels: Use of the XNNPACK kernels for quantized models.

    Raises:
        BackendError: No interpreter is available, it rejects the model, crashes, or exceeds a limit.
    """

    def __init__(
        self,
        model: ModelFile,
        content: bytes,
        limits: IsolationLimits,
        *,
        backend: str | None = None,
        num_threads: int | None = None,
        int8_kernels: Int8Kernels = "auto",
    ) -> None:
        self._name, self._limits, self._failure = model.path.name, limits, ""
        self._input: NDArray[Any] = np.zeros(model.input_tensor.shape, model.input_tensor.dtype)
        self._output: NDArray[Any] = np.zeros(model.output_tensor.shape[1:], model.output_tensor.dtype)
        job = {
            "model": str(model.path),
            "labels": model.labels,
            "contract": model.contract.to_dict(),
            "activation": model.activation,
            "is_quantized": model.is_quantized,
            "backend": backend,
            "num_threads": num_threads,
            "int8_kernels": int8_kernels,
            "limits": asdict(limits),
        }
        self._process, self._channel = _start()
        self._end = weakref.finalize(self, _end, self._process, self._channel)
        reply = self._ask(json.dumps(job).encode(), content, limit_s=limits.load_s, doing="load the model")
        self.info: BackendInfo = self._read(lambda: _backend_info(reply["backend"]))

    def invoke(self) -> None:
        """Run the network on the current input tensor.

        Raises:
            BackendError: The backend failed to run the model, crashed, or exceeded a limit.
        """
        pixels = memoryview(self._input).cast("B")  # type: ignore[arg-type,unused-ignore]
        reply = self._ask(pixels, limit_s=self._limits.invoke_s, doing="run the model")
        before = self._output
        self._output = self._read(
            lambda: np.frombuffer(base64.b64decode(reply["output"]), before.dtype).reshape(before.shape)
        )

    def input(self) -> NDArray[Any]:
        """Return the writable input tensor, in its dtype and shape."""
        return self._input

    def output_view(self) -> NDArray[Any]:
        """Return the scores, shape (classes,) in the output tensor's dtype."""
        return self._output

    def output(self) -> NDArray[Any]:
        """Return a copy of the scores, shape (classes,) in the output tensor's dtype."""
        return self._output.copy()

    def close(self) -> None:
        """End the process; nothing can be run afterwards."""
        self._end()

    def _ask(self, *messages: bytes | memoryview, limit_s: float, doing: str) -> dict[str, Any]:
        """Send messages and wait for the reply."""
        if not self._end.alive:
            raise BackendError(self._failure or f"The process of {self._name} was ended. Open the model again.")
        deadline = time.monotonic() + limit_s
        try:
            for message in messages:
                self._channel.send(message, deadline=deadline)
            content = self._channel.receive(most=_MOST_BYTES + 2 * self._output.nbytes, deadline=deadline)
        except TimeoutError:
            raise self._failed(f"didn't {doing} within {limit_s:g} s and was ended") from None
        except OSError:  # the process closed its end
            content = None
        except BaseException:  # Ctrl-C: a later call must not read this call's reply
            self._end()
            raise
        if content is None:
            raise self._failed(f"didn't {doing}: {self._cause()}")
        reply = self._read(lambda: dict(json.loads(content)))
        if "error" in reply:
            raise self._failed(f"didn't {doing}: {_one_line(reply['error'])}")
        return reply

    def _read(self, read: Callable[[], _T]) -> _T:
        """Parse a reply, which a crashed or malicious process may have filled with anything."""
        try:
            return read()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._failed("sent an invalid reply and was ended") from None

    def _failed(self, what: str) -> BackendError:
        self._end()
        self._failure = f"The isolated process of {self._name} {what}."
        return BackendError(self._failure)

    def _cause(self) -> str:
        """Return why the process is gone."""
        try:
            status = self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            return "it closed the connection"
        if status >= 0:
            return f"it ended with exit status {status}"
        memory = f"or needs more than {self._limits.memory_mib:g} MiB"
        return f"it was ended by {signal.Signals(-status).name} because the model crashed the interpreter {memory}"


def _start() -> tuple[subprocess.Popen[bytes], Channel]:
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, str(theirs.fileno()), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        except OSError as error:
            ours.close()
            raise BackendError(f"Cannot start a process for the model: {error}.") from error
    return process, Channel(ours)


def _end(process: subprocess.Popen[bytes], channel: Channel) -> None:
    channel.close()
    process.kill()
    process.wait()


def _backend_info(values: dict[str, Any]) -> BackendInfo:
    lists = {name: tuple(map(_one_line, values[name])) for name in ("notes", "undelegated")}
    return BackendInfo(**{**values, **lists})


def _one_line(text: object) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in str(text)).strip().rstrip(".")
