"""A command runs for each event, hears of it in three ways, and can't hang for ever."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from shlex import quote

import pytest

from edge_runtime.errors import OutputError
from edge_runtime.sinks import Background, Command
from edge_runtime.types import Event
from tests.support.results import CHANGED, ENTERED, GONE, LEFT, TIME, made_result

ROOT = Path(__file__).resolve().parents[3]


def test_the_event_comes_in_the_environment(tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = f'echo "$EDGE_KIND,$EDGE_LABEL,$EDGE_PREVIOUS,$EDGE_SCORE,$EDGE_TIME" >> {quote(str(out))}'
    Command(f"sh -c {quote(program)}").write(made_result(LEFT, ENTERED, CHANGED, GONE))
    time_ = round(TIME, 3)
    assert out.read_text().splitlines() == [
        f"left,dog,dog,0.1,{time_}",
        f"entered,cat,,0.8765,{time_}",
        f"changed,cat,dog,0.8765,{time_}",
        f"changed,,cat,0.0,{time_}",
    ]


def test_the_event_comes_as_json_on_the_standard_input(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    Command(f"{quote(sys.executable)} -c 'import sys; open(sys.argv[1], \"w\").write(sys.stdin.read())' {out}").send(
        CHANGED
    )
    assert json.loads(out.read_text()) == {
        "kind": "changed",
        "label": "cat",
        "previous": "dog",
        "score": 0.8765,
        "time": round(TIME, 3),
        "lasted_s": 12.346,
    }


def test_a_label_is_no_part_of_a_shell_command(tmp_path: Path) -> None:
    nasty = Event("entered", f"$(touch {tmp_path}/a); touch {tmp_path}/b", None, 0.9, TIME)
    Command(f"sh -c 'printf %s \"$EDGE_LABEL\" > {tmp_path}/label'").send(nasty)
    assert [path.name for path in tmp_path.iterdir()] == ["label"]
    assert (tmp_path / "label").read_text() == nasty.label


def test_a_command_that_does_not_read_is_fine() -> None:
    Command("true").send(ENTERED)


def test_what_it_prints_goes_to_the_standard_error() -> None:
    code = (
        "from edge_runtime.sinks import Command\n"
        "from tests.support.results import ENTERED\n"
        "Command('echo seen').send(ENTERED)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "seen\n")


def test_its_failure_is_an_error() -> None:
    with pytest.raises(OutputError, match=r"^The command sh exited with status 3 on event entered cat\.$"):
        Command("sh -c 'exit 3' s3cret").send(ENTERED)
    with pytest.raises(OutputError, match=r"^The command sh was killed on event changed unknown\.$"):
        Command("sh -c 'kill -9 $$'").send(GONE)


def test_it_is_ended_after_its_time_with_all_that_it_started(tmp_path: Path) -> None:
    out = tmp_path / "pid"
    # The inner sleep holds the pipes; one that is left behind would keep us waiting for it.
    program = f"sleep 300 & echo $! > {out}; wait"
    with pytest.raises(OutputError, match=r"The command sh ran longer than 1 s and was killed\."):
        Command(f"sh -c {quote(program)}", timeout_s=1).send(ENTERED)
    pid = int(out.read_text())
    deadline = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_program_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(OutputError, match="Program 'no-such-program' not found"):
        Command("no-such-program --now")


@pytest.mark.parametrize(("command", "message"), [("", "command is empty"), ("echo 'a", "No closing quotation")])
def test_what_is_no_command_is_refused(command: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Command(command)


def test_in_the_background_a_failure_is_logged_and_the_next_event_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = f'test "$EDGE_KIND" = entered && touch {tmp_path}/entered'
    with Background(Command(f"sh -c {quote(program)}"), close_timeout_s=20) as sink:
        sink.write(made_result(LEFT))
        sink.write(made_result(ENTERED))
    assert (tmp_path / "entered").exists()
    assert "The command sh exited with status 1 on event left dog." in caplog.text


def test_one_that_hangs_is_ended_when_there_is_no_more_time_and_no_other_is_started(tmp_path: Path) -> None:
    out = tmp_path / "pids"
    command = Command(f"sh -c 'echo $$ >> {out}; exec sleep 300'", timeout_s=300)
    background = Background(command, close_timeout_s=0.05)
    for _ in range(3):
        background.write(made_result(ENTERED, CHANGED))
    deadline = time.monotonic() + 20
    while not (out.exists() and out.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    background.close()
    background._thread.join(20)
    assert not background._thread.is_alive()
    (pid,) = map(int, out.read_text().split())
    assert not is_running(pid)
