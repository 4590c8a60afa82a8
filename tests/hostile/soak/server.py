"""Sends valid and invalid requests from many clients: the server must keep responding, and its resources must not grow.

python -m tests.hostile.soak.server --requests 100000 --clients 32
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count as count_up
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from tests.support.raw_http import Answer, ask, connect, get, post, read_answer
from tests.support.serving import Server, serving
from tests.support.tiny import make_models
from tests.support.waiting import wait_until

_JSON = "Content-Type: application/json"
_TOKEN = "a token of some length"
_SAMPLE_S = 0.5
_GROWTH_MIB = 8.0  # allowed growth of resident memory, from the second quarter of a run to the last
# Short timeouts, so that many slow clients run into them; uploads are limited only by the number of clients.
_OPTIONS = ("--max-uploads", 128, "--max-rate", 2000, "--header-timeout", 1, "--body-timeout", 4, "--send-timeout", 1)


@dataclass(frozen=True)
class Sample:
    """Resources that the server uses at one moment.

    Attributes:
        requests: Number of requests so far.
        rss_mib: Resident memory in MiB.
        threads: Number of threads.
        files: Number of open files, including connections.
    """

    requests: int
    rss_mib: float
    threads: int
    files: int

    @classmethod
    def of(cls, server: Server, requests: int) -> Sample:
        process = Path("/proc") / str(server.process.pid)
        threads, files = (sum(1 for _ in (process / name).iterdir()) for name in ("task", "fd"))
        return cls(requests, server.rss_mib(), threads, files)


@dataclass(frozen=True)
class Soak:
    """Result of a run.

    Attributes:
        seconds: Duration.
        kinds: Number of requests by kind.
        statuses: Number of responses by HTTP status; ``"none"`` if either side closed the connection without one.
        samples: Samples in order; the last two after all clients have disconnected, before and after an idle time.
        refused: The server's own counters of refused requests, by reason.
        said: Lines on the server's stderr; libjpeg writes one for each damaged picture.
    """

    seconds: float
    kinds: dict[str, int]
    statuses: dict[str, int]
    samples: list[Sample]
    refused: dict[str, int]
    said: list[str]

    def quarter(self, number: int) -> list[Sample]:
        """Return the samples of one quarter of the run."""
        return self.samples[len(self.samples) * number // 4 : len(self.samples) * (number + 1) // 4]

    @property
    def growth_mib(self) -> float:
        """Growth of resident memory in MiB, from the second quarter to the last."""
        early, late = (median(sample.rss_mib for sample in self.quarter(number)) for number in (1, 3))
        return late - early

    def faults(self) -> list[str]:
        """Return the faults found; empty for a robust server."""
        start, end = self.samples[0], self.samples[-1]
        most = max(sample.threads for sample in self.quarter(1))
        late = max(sample.threads for sample in self.quarter(3))
        broken = {status: count for status, count in self.statuses.items() if status.startswith("5")}
        found = {
            f"responses of a failed or overloaded server: {broken}": broken,
            f"memory grew by {self.growth_mib:.1f} MiB": self.growth_mib > _GROWTH_MIB,
            f"threads grew from {most} to {late}": late > most + 1,
            f"open files grew from {start.files} to {end.files}": end.files > start.files,
            f"traceback on stderr: {self.said}": any("Traceback" in line for line in self.said),
        }
        return [fault for fault, there in found.items() if there]


def soak(model: Path, *, requests: int, clients: int, seed: int = 0) -> Soak:
    """Start a server and send it requests.

    Args:
        model: Model to serve.
        requests: Total number of requests.
        clients: Number of simultaneous clients, four per address.
        seed: Seed of the random requests.
    """
    ways = _Ways()
    with tempfile.TemporaryDirectory() as folder:
        options = ("--source", "synthetic", "--collect", Path(folder) / "photos", "--token", _TOKEN, *_OPTIONS)
        with serving(model, *options) as server:
            authorized = {"authorization": f"Bearer {_TOKEN}"}
            wait_until(lambda: server.client.get("/healthz", headers=authorized).status_code == 200)
            server.client.close()
            kinds, statuses = Counter[str](), Counter[str]()
            lock, numbers, start = threading.Lock(), count_up(1), time.perf_counter()
            samples = [Sample.of(server, 0)]

            def client(index: int) -> None:
                rng = random.Random(f"{seed}-{index}")
                while next(numbers) <= requests:
                    name, way = ways.choose(rng)
                    answer = None
                    with suppress(ConnectionError):
                        answer = way(server.address, f"127.0.1.{1 + index // 4}", rng)
                    with lock:
                        kinds[name] += 1
                        statuses["none" if answer is None else str(answer.status)] += 1

            with ThreadPoolExecutor(clients) as threads:
                running = [threads.submit(client, index) for index in range(clients)]
                while not all(future.done() for future in running):
                    time.sleep(_SAMPLE_S)
                    samples.append(Sample.of(server, kinds.total()))
            for future in running:
                future.result()
            seconds = time.perf_counter() - start
            wait_until(lambda: Sample.of(server, 0).files <= samples[0].files)
            samples.append(Sample.of(server, kinds.total()))
            figures = ask(server.address, _authorized("/metrics"))
            assert figures is not None
            return Soak(seconds, dict(kinds), dict(statuses), samples, _refused(figures), server.said)


def _refused(figures: Answer) -> dict[str, int]:
    name = "edge_runtime_refused_total"
    lines = [line.split('"') for line in figures.body.decode().splitlines() if line.startswith(f"{name}{{")]
    return {reason: int(float(value.lstrip("} "))) for _, reason, value in lines}


def _authorized(path: str) -> bytes:
    return get(path, f"Authorization: Bearer {_TOKEN}")


_Way = Callable[[str, str, random.Random], Answer | None]


class _Ways:
    """Kinds of requests and their shares."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        shades = [np.full((96, 128, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(8)]
        self._pictures = [cv2.imencode(".jpg", shade)[1].tobytes() for shade in shades]
        self._large = cv2.imencode(".jpg", rng.integers(0, 256, (1500, 2000, 3), np.uint8))[1].tobytes()
        self._shares: dict[_Way, float] = {
            self.predict: 40,
            self.predict_in_a_form: 5,
            self.predict_large: 0.5,
            self.figures: 8,
            self.page: 6,
            self.snapshot: 4,
            self.collect: 3,
            self.watch: 4,
            self.wrong_token: 6,
            self.wrong_path: 6,
            self.wrong_parameter: 4,
            self.damaged_picture: 5,
            self.too_large: 0.5,
            self.no_http: 4,
            self.gone_in_the_middle: 2,
            self.gone_while_watching: 1.5,
            self.slow_head: 0.15,
            self.slow_body: 0.15,
            self.deaf: 0.15,
        }

    def choose(self, rng: random.Random) -> tuple[str, _Way]:
        """Choose a kind; return its name and function."""
        (way,) = rng.choices(tuple(self._shares), tuple(self._shares.values()))
        return way.__name__, way

    def _predict(self, address: str, client: str, body: bytes, *headers: str) -> Answer | None:
        return ask(address, post("/predict", body, f"Authorization: Bearer {_TOKEN}", *headers), client=client)

    def predict(self, address: str, client: str, rng: random.Random) -> Answer | None:
        return self._predict(address, client, rng.choice(self._pictures))

    def predict_in_a_form(self, address: str, client: str, rng: random.Random) -> Answer | None:
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        body = head + rng.choice(self._pictures) + b"\r\n--x--\r\n"
        return self._predict(address, client, body, "Content-Type: multipart/form-data; boundary=x")

    def predict_large(self, address: str, client: str, rng: random.Random) -> Answer | None:
        return self._predict(address, client, self._large)

    def figures(self, address: str, client: str, rng: random.Random) -> Answer | None:
        return ask(address, _authorized(rng.choice(("/metrics", "/healthz", "/info", "/openapi.json"))), client=client)

    def page(self, address: str, client: str, rng: random.Random) -> Answer | None:
        """Request several files on one connection."""
        with connect(address, client=client) as connection:
            for path in ("/", "/page.js", "/page.css"):
                connection.sendall(get(path))
                answer = read_answer(connection)
        return answer

    def snapshot(self, address: str, client: str, rng: random.Random) -> Answer | None:
        return ask(address, _authorized("/snapshot.jpg"), client=client)

    def collect(self, address: str, client: str, rng: random.Random) -> Answer | None:
        body = json.dumps({"label": rng.choice(("a", "b", "../up", ""))}).encode()
        return ask(address, post("/collect", body, _JSON, f"Authorization: Bearer {_TOKEN}"), client=client)

    def watch(self, address: str, client: str, rng: random.Random) -> Answer | None:
        """Read a stream's headers and some of its content."""
        with connect(address, client=client) as connection:
            connection.sendall(_authorized(rng.choice(("/events", "/stream.mjpg"))))
            answer = read_answer(connection)
            connection.recv(10_000)
        return answer

    def wrong_token(self, address: str, client: str, rng: random.Random) -> Answer | None:
        return ask(address, get(f"/info?token={rng.random()}"), client=client)

    def wrong_path(self, address: str, client: str, rng: random.Random) -> Answer | None:
        return ask(address, _authorized(rng.choice(("/../etc/passwd", f"/{rng.random()}", "/info/"))), client=client)

    def wrong_parameter(self, address: str, client: str, rng: random.Random) -> Answer | None:
        body = rng.choice(self._pictures)
        request = post(f"/predict?top_k={rng.random()}", body, f"Authorization: Bearer {_TOKEN}")
        return ask(address, request, client=client)

    def damaged_picture(self, address: str, client: str, rng: random.Random) -> Answer | None:
        body = bytearray(rng.choice(self._pictures))
        for _ in range(20):
            body[rng.randrange(len(body))] = rng.randrange(256)
        return self._predict(address, client, bytes(body[: rng.randrange(len(body))]))

    def too_large(self, address: str, client: str, rng: random.Random) -> Answer | None:
        return self._predict(address, client, bytes(9 * 1024**2))

    def no_http(self, address: str, client: str, rng: random.Random) -> Answer | None:
        return ask(address, rng.randbytes(rng.randrange(10, 500)) + b"\r\n\r\n", client=client)

    def gone_in_the_middle(self, address: str, client: str, rng: random.Random) -> None:
        request = post("/predict", self._large, f"Authorization: Bearer {_TOKEN}")
        with connect(address, client=client) as connection:
            connection.sendall(request[: rng.randrange(len(request))])

    def gone_while_watching(self, address: str, client: str, rng: random.Random) -> None:
        with connect(address, client=client) as connection:
            connection.sendall(_authorized("/stream.mjpg"))
            # A connection reset, as from a device that was switched off.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    def slow_head(self, address: str, client: str, rng: random.Random) -> Answer | None:
        return ask(address, b"GET /info HTTP/1.1\r\nHost: local", client=client)

    def slow_body(self, address: str, client: str, rng: random.Random) -> Answer | None:
        request = post("/predict", b"x", f"Authorization: Bearer {_TOKEN}", length=1000)
        return ask(address, request, client=client)

    def deaf(self, address: str, client: str, rng: random.Random) -> None:
        """Open a stream and never read it."""
        with connect(address, client=client) as connection:
            connection.sendall(_authorized("/stream.mjpg"))
            time.sleep(rng.uniform(1, 4))


def main() -> int:
    parser = argparse.ArgumentParser(description="Send many valid and invalid requests to a server.")
    parser.add_argument("model", nargs="?", type=Path, metavar="MODEL", help="model to serve (default: a tiny one)")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the full result to FILE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or make_models(Path(folder)).int8
        done = soak(model, requests=arguments.requests, clients=arguments.clients, seed=arguments.seed)
    print(f"{sum(done.kinds.values()):,} requests in {done.seconds:.0f} s by {arguments.clients} clients")
    print("requests", dict(sorted(done.kinds.items())))
    print("statuses", dict(sorted(done.statuses.items())))
    print("refused ", done.refused)
    print("requests  MiB  threads  files")
    for sample in [*done.samples[:: max(1, len(done.samples) // 12)], done.samples[-1]]:
        print(f"{sample.requests:8,}  {sample.rss_mib:5.1f}  {sample.threads:3}  {sample.files:4}")
    print(f"memory grew by {done.growth_mib:+.1f} MiB from the second quarter to the last")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(asdict(done)))
    for fault in done.faults():
        print(f"FAULT: {fault}")
    return 1 if done.faults() else 0


if __name__ == "__main__":
    sys.exit(main())
