"""SIGTERM and Ctrl-C end a command in every state: quickly, with whole files, and with the right exit status."""

from __future__ import annotations

import array
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest

from edge_runtime.cli.stopping import HURRY_S, LEAVE_S, hurry, stop_event
from edge_runtime.sinks import Background, Callback
from edge_runtime.sources.recording import INDEX_NAME

LEAVES_S = 20.0  # within 2 s on an idle machine
PATIENCE_S = 60.0
CHATTY = ("--enter", "0.1", "--leave", "0.05")


class Running:
    """A running command, with its lines on stderr."""

    def __init__(self, *arguments: object, leave_s: float) -> None:
        program = (
            "import sys; from edge_runtime.cli.main import main; from edge_runtime.cli import stopping; "
            f"stopping.LEAVE_S = {leave_s}; sys.exit(main(sys.argv[1:]))"
        )
        command = [sys.executable, "-c", program, *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.stdout = self.process.stdout
        self.said: list[str] = []
        self._reader = threading.Thread(target=lambda: self.said.extend(iter(self.process.stderr.readline, "")))  # type: ignore[union-attr]
        self._reader.start()

    def wait_for(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def wait_to_hear(self, words: str) -> None:
        self.wait_for(lambda: any(words in line for line in self.said))

    def stop(self, number: int) -> int:
        """Send a signal and return the exit status."""
        asked = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE_S)
        assert time.monotonic() - asked < LEAVES_S
        self._reader.join()
        assert "Traceback" not in "".join(self.said)
        return status


@contextmanager
def running(*arguments: object, leave_s: float = LEAVES_S) -> Iterator[Running]:
    """Start a command; ``leave_s`` replaces `LEAVE_S`, which is too short for a busy machine."""
    command = Running(*arguments, leave_s=leave_s)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.wait()
        command._reader.join()
        command.process.stdout.close()  # type: ignore[union-attr]
        command.process.stderr.close()  # type: ignore[union-attr]


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        yield server


def address(server: socket.socket, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{server.getsockname()[1]}/x"


def whole_lines(path: Path) -> list[dict[str, object]]:
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


both = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@both
def test_while_a_camera_is_being_opened(tiny_int8: Path, silent: socket.socket, number: int) -> None:
    with running("run", tiny_int8, "--source", address(silent), leave_s=LEAVE_S) as command:
        connection, _ = silent.accept()
        with connection:
            assert command.stop(number) == 128 + number
    assert (
        f"forced to exit {LEAVE_S:g} s after {signal.Signals(number).name}: it hung in open_capture" in command.said[-1]
    )


@both
def test_while_nobody_reads_the_results(tiny_int8: Path, number: int) -> None:
    with running("run", tiny_int8, "--source", "synthetic", leave_s=LEAVE_S) as command:
        waiting = array.array("i", [0])

        def is_full() -> bool:
            before = waiting[0]
            time.sleep(0.3)
            fcntl.ioctl(command.stdout, termios.FIONREAD, waiting)
            return waiting[0] == before > 30_000

        command.wait_for(is_full)
        assert command.stop(number) == 128 + number
        assert ": it hung in write (json_lines.py" in command.said[-1]


def test_while_an_output_is_opened_that_nobody_reads(tiny_int8: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lines")
    with running("run", tiny_int8, "--source", "synthetic", "--to", tmp_path / "lines", leave_s=LEAVE_S) as command:
        tasks = Path(f"/proc/{command.process.pid}/task")
        command.wait_for(lambda: len(list(tasks.iterdir())) > 1)  # one of them receives signals
        time.sleep(2)
        assert command.stop(signal.SIGTERM) == 128 + signal.SIGTERM


@pytest.mark.slow
@both
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("faulty:stall@100000", "Ctrl-C"),
        ("faulty:disconnect@5:600", "Trying again"),
        ("faulty:stall@5:600", "Reopening it"),
    ],
    ids=["running", "reconnecting", "a driver hangs"],
)
def test_while_a_camera_delivers_is_away_or_hangs(
    tiny_int8: Path, tmp_path: Path, source: str, words: str, number: int
) -> None:
    lines = tmp_path / "lines.jsonl"
    with running("run", tiny_int8, "--source", source, "--stall-timeout", 0.5, "--to", lines) as command:
        command.wait_to_hear(words)
        command.wait_for(lambda: lines.read_bytes().count(b"\n") >= 5)
        assert command.stop(number) == 0
    assert [line["frame"] for line in whole_lines(lines)][:5] == [0, 1, 2, 3, 4]
    assert "frames" in command.said[-1]


@pytest.mark.slow
@both
def test_while_sinks_hang(tiny_int8: Path, tmp_path: Path, silent: socket.socket, number: int) -> None:
    started, lines = tmp_path / "started", tmp_path / "lines.jsonl"
    sinks = ("--webhook", address(silent), "--on-event", f"sh -c 'touch {started}; exec sleep 40'")
    with running("run", tiny_int8, "--source", "synthetic", *CHATTY, *sinks, "--to", lines) as command:
        connection, _ = silent.accept()
        with connection:
            command.wait_for(started.exists)
            assert command.stop(number) == 0
    said = "".join(command.said)  # read to its end, so the program that it ran has ended too
    assert f"command sh did not finish within {HURRY_S:g} s" in said
    assert f"did not finish within {HURRY_S:g} s" in said.partition("webhook at")[2]
    assert whole_lines(lines)


@pytest.mark.slow
@both
def test_while_pictures_are_recorded(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "session"
    with running("record", "--source", "synthetic", "--to", folder, "--format", "png") as command:
        command.wait_for(lambda: len(list(folder.glob("*.png"))) > 20)
        assert command.stop(number) == 0
    names = [str(entry["file"]) for entry in whole_lines(folder / INDEX_NAME)[1:]]
    assert sorted(path.name for path in folder.glob("*.png")) == names
    assert all(cv2.imread(str(folder / name)) is not None for name in names)


@pytest.mark.slow
@both
def test_while_a_server_serves_and_its_sink_hangs(tiny_int8: Path, tmp_path: Path, number: int) -> None:
    started = tmp_path / "started"
    sink = ("--on-event", f"sh -c 'touch {started}; exec sleep 40'")
    arguments = ("--port", 0, "--num-threads", 1, "--source", "synthetic", *CHATTY, *sink)
    with running("serve", tiny_int8, *arguments) as command:
        command.wait_for(started.exists)
        assert command.stop(number) == 0
    assert f"command sh did not finish within {HURRY_S:g} s" in "".join(command.said)


@pytest.mark.slow
@pytest.mark.parametrize("command_name", ["run", "serve"])
def test_at_any_moment_of_the_start(tiny_int8: Path, command_name: str) -> None:
    arguments = ("--port", 0) if command_name == "serve" else ()
    for delay_s in (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6):
        with running(command_name, tiny_int8, "--source", "faulty:disconnect@1:600", *arguments) as command:
            time.sleep(delay_s)
            # Before the command has begun, the signal ends Python as usual.
            assert command.stop(signal.SIGTERM) in (0, -signal.SIGTERM)


class TestStopEvent:
    def test_is_set_by_the_signal_and_all_is_as_before_afterwards(self) -> None:
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        threads = threading.active_count()
        with stop_event() as stop:
            assert not stop.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.wait(PATIENCE_S)
        assert {number: signal.getsignal(number) for number in before} == before
        assert threading.active_count() == threads
        assert signal.set_wakeup_fd(-1) == -1

    def test_other_signals_are_not_taken_for_it(self) -> None:
        before = signal.signal(signal.SIGUSR1, lambda *_: None)
        try:
            with stop_event() as stop:
                os.kill(os.getpid(), signal.SIGUSR1)
                assert not stop.wait(0.2)
        finally:
            signal.signal(signal.SIGUSR1, before)

    def test_sinks_get_little_time_then_and_never_more_than_they_had(self) -> None:
        with Background(Callback(print)) as patient, Background(Callback(print), close_timeout_s=0.1) as impatient:
            hurry([patient, impatient])
            assert (patient.close_timeout_s, impatient.close_timeout_s) == (HURRY_S, 0.1)
