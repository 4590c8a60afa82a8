"""Clients of ``/predict``: ``send.py HOST PORT COUNT SECONDS PICTURE…``.

Each client sends a picture, waits for the response and sends the next one. Prints the responses per second.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from itertools import cycle
from pathlib import Path


def main(host: str, port: int, count: int, seconds: float, pictures: list[Path]) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: image/jpeg\r\nContent-Length: "
    files = [picture.read_bytes() for picture in pictures]
    requests = cycle([head.encode() + f"{len(file)}\r\n\r\n".encode() + file for file in files])
    selector = selectors.DefaultSelector()
    answers: dict[socket.socket, bytes] = {}
    for _ in range(count):
        client = socket.create_connection((host, port))
        selector.register(client, selectors.EVENT_READ)
        client.sendall(next(requests))
        answers[client] = b""
    start, done = None, 0
    while start is None or (elapsed := time.perf_counter() - start) < seconds:
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            client = key.fileobj
            answers[client] += client.recv(1 << 16)
            if not is_whole(answers[client]):
                continue
            answers[client] = b""
            client.sendall(next(requests))
            if start is None:  # measured from the first response on
                start = time.perf_counter()
            else:
                done += 1
    print(done / elapsed)


def is_whole(answer: bytes) -> bool:
    """Return True if the response is complete; a response other than a prediction raises `ConnectionError`."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(answer.decode("latin-1"))
    (length,) = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return len(body) == int(length.partition(b":")[2])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), [Path(name) for name in sys.argv[5:]])
