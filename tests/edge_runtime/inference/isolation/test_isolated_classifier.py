"""An isolated model gives the same predictions, and each failure of its process is a one-sentence error."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.cli.main import main
from edge_runtime.errors import BackendError, FrameError, ModelError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.golden import all_passed, verify_model
from edge_runtime.inference.interpreter import installed_backends
from edge_runtime.inference.isolation.channel import Channel
from edge_runtime.inference.isolation.isolated_interpreter import IsolatedInterpreter
from edge_runtime.inference.isolation.limits import IsolationLimits
from edge_runtime.inference.options import ClassifierOptions
from tests.support.tiny import LABELS, TinyModels, picture, write_photos
from trainer.export.signing import new_key, sign_model

LIMITS = IsolationLimits()
FRAMES = [picture(LABELS[seed % 3], seed=seed) for seed in range(12)]


def process_of(classifier: Classifier) -> int:
    interpreter = classifier._interpreter
    assert isinstance(interpreter, IsolatedInterpreter)
    return interpreter._process.pid


@pytest.fixture
def isolated(tiny_int8: Path) -> Iterator[Classifier]:
    with Classifier(tiny_int8, isolation=LIMITS) as classifier:
        yield classifier


@pytest.fixture
def impatient(tiny_int8: Path) -> Iterator[Classifier]:
    """A classifier with a short limit per inference, but a long one to load, since the machine may be busy."""
    with Classifier(tiny_int8, isolation=IsolationLimits(invoke_s=2)) as classifier:
        yield classifier


class TestAnswers:
    @pytest.mark.parametrize("kind", ["fp32", "int8"])
    @pytest.mark.parametrize("backend", installed_backends())
    @pytest.mark.parametrize("num_threads", [1, 2])
    def test_are_the_same_to_the_bit(self, tiny_models: TinyModels, kind: str, backend: str, num_threads: int) -> None:
        options: dict[str, Any] = {"backend": backend, "num_threads": num_threads, "unknown_threshold": 0.9}
        path = getattr(tiny_models, kind)
        with Classifier(path, **options) as plain, Classifier(path, isolation=LIMITS, **options) as isolated:
            assert isolated.model == plain.model
            for frame in FRAMES:
                assert isolated.raw_output(frame).tobytes() == plain.raw_output(frame).tobytes()
                assert isolated.scores(frame).tobytes() == plain.scores(frame).tobytes()
                ours, theirs = (one.classify(frame, all_scores=True) for one in (isolated, plain))
                assert (ours.categories, ours.certainty, ours.is_unknown) == (
                    theirs.categories,
                    theirs.certainty,
                    theirs.is_unknown,
                )
                assert ours.inference_ms > 0
            ours, theirs = isolated.backend, plain.backend
            assert (ours.int8_kernels, ours.delegated_ops, ours.num_threads) == (
                theirs.int8_kernels,
                theirs.delegated_ops,
                theirs.num_threads,
            )

    def test_are_the_same_where_the_self_test_cannot_be_remembered(
        self, tiny_int8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        with Classifier(tiny_int8) as plain, Classifier(tiny_int8, isolation=LIMITS) as isolated:
            assert isolated.backend.int8_kernels == plain.backend.int8_kernels
            assert isolated.backend.int8_kernels_reason == plain.backend.int8_kernels_reason

    def test_from_many_threads_are_those_of_one(self, tiny_int8: Path) -> None:
        with Classifier(tiny_int8, isolation=LIMITS) as classifier, ThreadPoolExecutor(4) as threads:
            alone = [classifier.raw_output(frame).tolist() for frame in FRAMES]
            for answers in [
                threads.submit(lambda: [classifier.raw_output(f).tolist() for f in FRAMES]) for _ in "1234"
            ]:
                assert answers.result() == alone

    def test_belong_to_the_caller(self, isolated: Classifier) -> None:
        first = isolated.raw_output(FRAMES[0])
        kept = first.copy()
        isolated.raw_output(FRAMES[1])
        assert (first == kept).all()

    def test_golden_samples_are_verified(self, isolated: Classifier) -> None:
        assert all_passed(verify_model(isolated))

    def test_say_that_they_come_from_another_process(self, isolated: Classifier) -> None:
        assert any(
            note.startswith("isolated: the model's process cannot write files") for note in isolated.backend.notes
        )

    def test_a_bad_frame_is_an_error_as_ever_and_the_next_is_answered(self, isolated: Classifier) -> None:
        with pytest.raises(FrameError):
            isolated.classify(np.zeros((4, 4, 7), np.uint8))
        assert isolated.classify(FRAMES[0]).top is not None


class TestAProcessThatFails:
    @pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGBUS])
    def test_while_it_answers_is_told(self, isolated: Classifier, number: signal.Signals) -> None:
        process = process_of(isolated)
        os.kill(process, signal.SIGSTOP)  # so that it is certainly busy when it is ended

        def end() -> None:
            time.sleep(0.2)
            os.kill(process, number)
            os.kill(process, signal.SIGCONT)

        ending = threading.Thread(target=end)
        ending.start()
        with pytest.raises(BackendError) as told:
            isolated.classify(FRAMES[0])
        ending.join()
        assert str(told.value) == (
            f"The isolated process of tiny_int8.tflite didn't run the model: it was ended by {number.name} "
            "because the model crashed the interpreter or needs more than 512 MiB."
        )
        with pytest.raises(BackendError, match=number.name):  # the error persists
            isolated.classify(FRAMES[0])

    def test_between_two_frames_is_told(self, isolated: Classifier) -> None:
        isolated.classify(FRAMES[0])
        os.kill(process_of(isolated), signal.SIGSEGV)
        with pytest.raises(BackendError, match="ended by SIGSEGV"):
            isolated.classify(FRAMES[0])

    def test_by_hanging_is_told_in_time_and_ended(self, impatient: Classifier) -> None:
        process = process_of(impatient)
        os.kill(process, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(BackendError) as told:
            impatient.classify(FRAMES[0])
        assert 2 <= time.monotonic() - started < 20
        assert str(told.value) == (
            "The isolated process of tiny_int8.tflite didn't run the model within 2 s and was ended."
        )
        assert not Path(f"/proc/{process}").exists()

    def test_by_loading_for_ever_is_told(self, tiny_int8: Path) -> None:
        with pytest.raises(BackendError, match=r"didn't load the model within 0\.001 s and was ended"):
            Classifier(tiny_int8, isolation=IsolationLimits(load_s=0.001))

    @pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is Linux's")
    def test_for_want_of_memory_is_told(self, tiny_int8: Path) -> None:
        with pytest.raises(BackendError, match=r"didn't load the model: (it needs more memory|it was ended by)"):
            Classifier(tiny_int8, isolation=IsolationLimits(memory_mib=0.1))

    def test_is_given_no_time_by_an_interrupt(self, isolated: Classifier) -> None:
        os.kill(process_of(isolated), signal.SIGSTOP)
        me = threading.get_ident()
        # A program started in the background ignores the signal.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            threading.Timer(0.2, signal.pthread_kill, (me, signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                isolated.classify(FRAMES[0])
        finally:
            signal.signal(signal.SIGINT, before)
        with pytest.raises(BackendError, match="Open the model again"):  # the pending reply belongs to no call
            isolated.classify(FRAMES[0])

    def test_by_a_backend_that_is_not_there_is_told(self, tiny_int8: Path) -> None:
        with pytest.raises(BackendError, match="backend must be one of"):
            Classifier(tiny_int8, isolation=LIMITS, backend="none")
        with pytest.raises(BackendError, match="num_threads must be"):
            Classifier(tiny_int8, isolation=LIMITS, num_threads=0)

    def test_by_starting_is_told(self, tiny_int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(BackendError, match="Cannot start a process for the model: "):
            Classifier(tiny_int8, isolation=LIMITS)
        monkeypatch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(BackendError, match="didn't load the model: it ended with exit status 1"):
            Classifier(tiny_int8, isolation=LIMITS)

    @pytest.mark.parametrize(
        "reply",
        [
            *(b"", b"{", b"null", b"[" * 10_000, b"{}", b'{"output": 1}', b'{"output": "AAAA BBBB"}'),
            *(b'{"output": "AA=="}', b'{"output": [1, 2, 3]}', b'{"output": "\xff"}'),
        ],
    )
    def test_by_saying_what_is_no_answer_is_told(self, isolated: Classifier, reply: bytes) -> None:
        with taken_over(isolated) as channel:
            threading.Thread(target=lambda: (channel.receive(), channel.send(reply))).start()
            with pytest.raises(BackendError, match="sent an invalid reply and was ended"):
                isolated.classify(FRAMES[0])

    def test_by_saying_too_much_is_told(self, isolated: Classifier) -> None:
        with taken_over(isolated) as channel:
            threading.Thread(target=lambda: (channel.receive(), channel._socket.sendall(b"\xff\xff\xff\xff"))).start()
            with pytest.raises(BackendError, match="didn't run the model: it closed the connection"):
                isolated.classify(FRAMES[0])

    def test_by_dribbling_is_told_in_time(self, impatient: Classifier) -> None:
        with taken_over(impatient) as channel:

            def dribble() -> None:
                channel.receive()
                channel._socket.sendall(b"\xff\xff\0\0")
                with suppress(OSError):  # until the connection is closed
                    while True:
                        channel._socket.sendall(b" ")
                        time.sleep(0.05)

            dribbling = threading.Thread(target=dribble)
            dribbling.start()
            with pytest.raises(BackendError, match="within 2 s"):
                impatient.classify(FRAMES[0])
        dribbling.join()

    def test_its_words_are_one_printable_line(self, isolated: Classifier) -> None:
        with taken_over(isolated) as channel:
            reply = json.dumps({"error": "bad\n\x1b[2Jthing."}).encode()
            threading.Thread(target=lambda: (channel.receive(), channel.send(reply))).start()
            with pytest.raises(BackendError, match=r"didn't run the model: bad  \[2Jthing\.$"):
                isolated.classify(FRAMES[0])


class taken_over:  # noqa: N801
    """Replace the connection to the process by a socket of the test."""

    def __init__(self, classifier: Classifier) -> None:
        interpreter = classifier._interpreter
        assert isinstance(interpreter, IsolatedInterpreter)
        self._interpreter = interpreter
        theirs, ours = socket.socketpair()
        self._before, interpreter._channel = interpreter._channel, Channel(theirs)
        self._ours = Channel(ours)

    def __enter__(self) -> Channel:
        return self._ours

    def __exit__(self, *_: object) -> None:
        self._interpreter._channel.close()
        self._ours.close()


class TestTheProcess:
    def test_ends_with_its_classifier(self, tiny_int8: Path) -> None:
        classifier = Classifier(tiny_int8, isolation=LIMITS)
        process = process_of(classifier)
        classifier.close()
        classifier.close()
        assert not Path(f"/proc/{process}").exists()
        with pytest.raises(FrameError, match="closed"):
            classifier.classify(FRAMES[0])

    def test_ends_with_a_classifier_that_is_thrown_away(self, tiny_int8: Path) -> None:
        classifier = Classifier(tiny_int8, isolation=LIMITS)
        process = process_of(classifier)
        del classifier
        assert not Path(f"/proc/{process}").exists()

    def test_ends_with_a_program_that_is_killed(self, tiny_int8: Path) -> None:
        code = (
            "import sys, time; from edge_runtime import Classifier, IsolationLimits\n"
            "classifier = Classifier(sys.argv[1], isolation=IsolationLimits())\n"
            "print(classifier._interpreter._process.pid, flush=True); time.sleep(60)"
        )
        program = subprocess.Popen([sys.executable, "-c", code, tiny_int8], stdout=subprocess.PIPE, text=True)
        assert program.stdout is not None
        process = int(program.stdout.readline())
        program.kill()
        program.communicate()
        deadline = time.monotonic() + 30
        while alive(process) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive(process)

    def test_is_left_alone_by_signals_to_the_whole_group(self, isolated: Classifier) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(process_of(isolated), number)
        assert isolated.classify(FRAMES[0]).top is not None

    def test_imports_nothing_from_the_present_folder(
        self, tiny_int8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("json.py", "numpy.py", "edge_runtime.py"):
            (tmp_path / name).write_text("raise SystemExit(7)")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
        with Classifier(tiny_int8, isolation=LIMITS) as classifier:
            assert classifier.classify(FRAMES[0]).top is not None

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_has_limits_and_a_filter(self, isolated: Classifier) -> None:
        process = Path(f"/proc/{process_of(isolated)}")
        limits = {line[:26].strip(): line[26:].split()[:2] for line in (process / "limits").read_text().splitlines()}
        assert limits["Max file size"] == limits["Max core file size"] == ["0", "0"]
        assert limits["Max address space"][1] != "unlimited"
        status = (process / "status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status


class TestOtherWays:
    def test_a_signed_model_may_be_isolated(self, tiny_int8: Path, tmp_path: Path) -> None:
        private, public = new_key(tmp_path / "door")
        model = tmp_path / "model.tflite"
        model.write_bytes(tiny_int8.read_bytes())
        sign_model(model, private)
        with Classifier(model, require_signature=public, isolation=LIMITS) as classifier:
            assert classifier.classify(FRAMES[0]).top is not None

    def test_a_model_that_cannot_be_used_is_told_before_any_process(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="No such file"):
            Classifier(tmp_path / "none.tflite", isolation=LIMITS)
        (tmp_path / "empty.tflite").touch()
        with pytest.raises(ModelError, match="is empty"):
            Classifier(tmp_path / "empty.tflite", isolation=LIMITS)

    def test_other_processes_isolate_it_too(self, tiny_int8: Path) -> None:
        limits = IsolationLimits(memory_mib=300, invoke_s=5)
        with Classifier(tiny_int8, isolation=limits) as classifier:
            options = ClassifierOptions.from_dict(json.loads(json.dumps(classifier.resolved_options.to_dict())))
        assert options.isolation == limits
        with Classifier.from_options(options) as classifier:
            assert process_of(classifier) != os.getpid()

    @pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1"])
    def test_limits_are_numbers_above_0(self, value: Any) -> None:
        with pytest.raises(BackendError, match="load_s must be a number greater than 0"):
            IsolationLimits(load_s=value)

    def test_commands_take_it(self, tiny_int8: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        photos = write_photos(tmp_path / "photos", 1)
        assert main(["classify", str(tiny_int8), str(photos)]) == 0
        plain = capsys.readouterr().out
        assert main(["classify", str(tiny_int8), str(photos), "--isolated"]) == 0
        assert capsys.readouterr().out == plain
        assert main(["verify", str(tiny_int8), "--isolated"]) == 0
        assert "verified: 2 golden samples" in capsys.readouterr().out
        command = [sys.executable, "-m", "edge_runtime", "run", str(tiny_int8), "--isolated"]
        command += ["--source", "synthetic", "--max-frames", "3"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 3)


def alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
