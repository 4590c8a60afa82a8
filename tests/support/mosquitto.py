"""A real MQTT broker (Debian's mosquitto) on a free port of this machine, for as long as a test wants it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.support.ports import HOST, free_ports
from tests.support.waiting import wait_until


class Mosquitto:
    """Runs the broker, and listens to what it passes on.

    Attributes:
        port: Where it listens; the same after a restart.
        messages: What came: topic, text, and whether it was retained when we came.
    """

    def __init__(self, folder: Path, *, config: str = "allow_anonymous true") -> None:
        self._program = program("mosquitto")
        self._config = folder / "mosquitto.conf"
        (self.port,) = free_ports(1)
        self._config.write_text(f"listener {self.port} {HOST}\n{config}\nuser root\npersistence false\n")
        self._process: subprocess.Popen[bytes] | None = None
        self._listener: Any = None
        self.messages: list[tuple[str, str, bool]] = []

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers, "the broker doesn't answer")

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(20)
            self._process = None

    def listen(self, topic: str = "#", **login: str) -> None:
        """Begins to collect `messages`."""
        from paho.mqtt.client import CallbackAPIVersion, Client

        self.messages.clear()
        subscribed = threading.Event()
        listener = Client(CallbackAPIVersion.VERSION2)
        if login:
            listener.username_pw_set(**login)
        listener.on_message = lambda _client, _data, message: self.messages.append(
            (message.topic, message.payload.decode(), bool(message.retain))
        )
        listener.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        listener.on_subscribe = lambda *_: subscribed.set()
        listener.connect(HOST, self.port)
        listener.loop_start()
        self._listener = listener
        assert subscribed.wait(20)

    def texts(self, topic: str) -> list[str]:
        return [text for name, text, _ in self.messages if name == topic]

    def values(self, topic: str) -> list[Any]:
        return [json.loads(text) for text in self.texts(topic)]

    def wait_for(self, topic: str, count: int = 1) -> None:
        wait_until(lambda: len(self.texts(topic)) >= count, f"no {topic} among {self.messages}")

    def hang_up(self) -> None:
        """Ends listening."""
        if self._listener is not None:
            self._listener.disconnect()
            self._listener.loop_stop()
            self._listener = None

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        self.stop()

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True


def program(name: str) -> str:
    """Where a program is, or the test is skipped."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {name.partition('_')[0]}")
    return found


def only_for(folder: Path, user: str, password: str) -> str:
    """The configuration of a broker that lets nobody else in."""
    file = folder / "passwords"
    subprocess.run(
        [program("mosquitto_passwd"), "-b", "-c", str(file), user, password], check=True, capture_output=True
    )
    file.chmod(0o600)
    return f"allow_anonymous false\npassword_file {file}"
