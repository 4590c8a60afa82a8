"""A server in a process of its own, as a user starts it, and what tests ask it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import httpx

from tests.support.tiny import LABELS, picture
from tests.support.waiting import wait_until

PATIENCE_S = 60.0
# A camera that sends one picture again and again, and none while a file is there; serve's arguments follow.
_CAMERA = """
import sys, threading, time
from pathlib import Path
import cv2
from edge_runtime import Classifier
from edge_runtime.server.serve import serve
from edge_runtime.sources import Frame, Source

class Camera(Source):
    live = True
    index = 0
    closed = False
    def read(self):
        while Path(sys.argv[3]).exists() and not self.closed:
            time.sleep(0.01)
        time.sleep(0.02)
        self.index += 1
        return None if self.closed else Frame(self.pixels + self.index % 3, self.index, time.monotonic())
    def close(self):
        self.closed = True
    def reopen(self):
        return Camera()
    def describe(self):
        return "a camera with a switch"

Camera.pixels = cv2.imread(sys.argv[2])
with Classifier(sys.argv[1], num_threads=1) as classifier:
    serve(classifier, Camera(), port=0, ready=lambda address: print(address, "is ready", file=sys.stderr, flush=True))
print("closed", flush=True)
"""


class Server:
    """One that runs; ``client`` asks it, ``errors`` is what it says on stderr so far."""

    def __init__(self, process: subprocess.Popen[str], address: str, errors: list[str]) -> None:
        self.process = process
        self.address = address
        self.errors = errors
        self.client = httpx.Client(base_url=address, timeout=PATIENCE_S, trust_env=False)

    @property
    def said(self) -> list[str]:
        """What it has said since its address."""
        (first,) = (number for number, line in enumerate(self.errors) if self.address in line)
        return self.errors[first + 1 :]

    def metric(self, name: str) -> float:
        """One figure of /metrics, with its labels as they stand there."""
        (line,) = [line for line in self.client.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
        return float(line.rpartition(" ")[2])

    def rss_mib(self) -> float:
        """Its resident memory."""
        (line,) = re.findall(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{self.process.pid}/status").read_text(), re.MULTILINE)
        return int(line) / 1024

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Tells it to stop; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@contextmanager
def serving(*arguments: object, env: dict[str, str] | None = None) -> Iterator[Server]:
    """``edge-runtime serve`` on a free port."""
    with _started(["-m", "edge_runtime", "serve", "--port", "0", "--num-threads", "1", *arguments], env) as server:
        yield server


@contextmanager
def camera_with_a_switch(model: Path, shown: Path, away: Path) -> Iterator[Server]:
    """A server around a camera that is away while the file ``away`` exists."""
    with _started(["-c", _CAMERA, model, shown, away], None) as server:
        yield server


@contextmanager
def _started(arguments: list[object], env: dict[str, str] | None) -> Iterator[Server]:
    command = [sys.executable, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=env, **pipes) as process:  # type: ignore[call-overload]
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.extend(iter(process.stderr.readline, "")))
        reader.start()
        try:
            wait_until(lambda: process.poll() is not None or any("://" in line for line in errors))
            found = re.search(r"http://\S+", "".join(errors))
            assert found is not None, errors
            server = Server(process, found[0], errors)
            yield server
            server.client.close()
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            finally:
                process.kill()
                reader.join()


def messages(response: httpx.Response) -> Iterator[tuple[str, str, str]]:
    """Kind, id and data of server-sent events, as they come."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields.get("event"):
            yield fields["event"], fields.get("id", ""), fields["data"]
            fields = {}


def jpegs(response: httpx.Response) -> Iterator[bytes]:
    """The parts of a Motion JPEG stream, as they come."""
    buffer = b""
    for chunk in response.iter_raw():
        buffer += chunk
        while (end := buffer.find(b"\r\n--frame\r\n", 1)) >= 0:
            head, _, jpeg = buffer[:end].rpartition(b"\r\n\r\n")
            assert int(head.lower().rpartition(b"content-length: ")[2]) == len(jpeg)
            yield jpeg
            buffer = buffer[end + len(b"\r\n--frame\r\n") :]


def clip_of_all_classes(path: Path) -> Path:
    """A video that shows each class for 1.5 seconds, 480×640 pixels at 20 frames a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (640, 480))
    for label in LABELS:
        shown = cv2.resize(picture(label)[:, :, ::-1], (640, 480), interpolation=cv2.INTER_NEAREST)
        for index in range(30):
            writer.write(cv2.putText(shown.copy(), str(index), (560, 460), 0, 1.0, (255, 255, 255), 2))
    writer.release()
    return path
