"""Viewers of a server's video stream: ``watch.py HOST PORT COUNT``. Prints the bytes received when stdin ends."""

from __future__ import annotations

import selectors
import socket
import sys


def main(host: str, port: int, count: int) -> None:
    selector = selectors.DefaultSelector()
    request = f"GET /stream.mjpg HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    waiting = set()
    for _ in range(count):
        viewer = socket.create_connection((host, port))
        viewer.sendall(request)
        selector.register(viewer, selectors.EVENT_READ)
        waiting.add(viewer)
    selector.register(sys.stdin, selectors.EVENT_READ)
    received = 0
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                print(received, flush=True)
                return
            assert isinstance(key.fileobj, socket.socket)
            part = key.fileobj.recv(1 << 18)
            if not part:
                raise ConnectionError("The server disconnected a viewer.")
            received += len(part)
            if key.fileobj in waiting and b"\xff\xd8\xff" in part:
                waiting.discard(key.fileobj)
                if not waiting:
                    print("all see a picture", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
