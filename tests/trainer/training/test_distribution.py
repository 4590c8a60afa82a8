"""Several replicas learn the same as one, and missing or lost machines are reported."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import HOST, free_ports
from tests.support.tiny import write_photos
from trainer.cli.main import main
from trainer.config.recipe_file import read_recipe
from trainer.errors import ClusterError
from trainer.runs.run import open_run, run_stages
from trainer.training.distribution.cluster import Cluster, meet
from trainer.training.distribution.strategy import open_distribution
from trainer.workflows.train.pipeline import STAGES

ROUNDING = 1e-4
"""Relative tolerance: two half sums are rounded differently from one, and training amplifies it."""

RECIPE = """
[model]
backbone = "basic_cnn"
input_size = 32
weights = "none"
dropout = 0.0  # each replica draws its own masks
[finetune]
epochs = 4
batch_size = 16
learning_rate = 3e-3
"""


def free_addresses() -> list[str]:
    """Addresses of two free ports."""
    return [f"{HOST}:{port}" for port in free_ports(2)]


def tf_config(addresses: list[str], index: int) -> str:
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


@pytest.mark.slow
def test_two_replicas_learn_what_one_learns() -> None:
    program = [sys.executable, "-m", "tests.trainer.training.mirrored"]
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    for alone, together in (("alone", "together"), ("alone_at_once", "dealt_at_once")):
        for one, two in zip(found[alone]["curve"], found[together]["curve"], strict=True):
            for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
                assert two[name] == pytest.approx(one[name], rel=ROUNDING)
        assert found[together]["sizes"] == pytest.approx(found[alone]["sizes"], rel=1e-2)
    assert found["refused"] == [
        "finetune.batch_size is 15, which is not a multiple of the 2 replicas. Change it to a multiple.",
        "Too few validation photos: 1 for 2 replicas, and each needs at least one. "
        "Add photos, or train on fewer replicas.",
    ]


class Machines:
    """Two processes on loopback that run the same command, as two machines would."""

    def __init__(self, folder: Path, photos: Path) -> None:
        self.run = folder / "run"
        self._folder, addresses = folder, free_addresses()
        command = [sys.executable, "-m", "trainer", "train", str(photos), "--to", str(self.run)]
        command += ["--recipe", str(folder / "recipe.toml"), "--distribute", "workers"]
        self.processes = []
        for index in range(2):
            environment = {**os.environ, "TF_CONFIG": tf_config(addresses, index)}
            with self._log(index).open("w") as log:
                process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=log)
            self.processes.append(process)

    def log(self, index: int) -> str:
        return self._log(index).read_text()

    def wait_for(self, index: int, text: str) -> None:
        while text not in self.log(index):
            assert self.processes[index].poll() is None, self.log(index)
            time.sleep(0.1)

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def _log(self, index: int) -> Path:
        return self._folder / f"log{index}"


@pytest.mark.slow
def test_two_machines_go_on_after_one_was_lost_and_learn_what_one_learns(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 30)
    (tmp_path / "recipe.toml").write_text(RECIPE)

    machines = Machines(tmp_path, photos)
    try:
        machines.wait_for(0, "1/16 [")  # the first batch of four epochs' sixteen
        machines.processes[1].kill()
        assert machines.processes[0].wait() == 1
        told = machines.log(0).splitlines()[-1]
        assert told.startswith("edge-trainer: Lost worker 1 (127.0.0.1:")
        assert told.endswith("Finished stages are kept; run the same command on each machine again.")
        assert {path.name for path in (machines.run / "stages").iterdir()} == {"data", "head"}
    finally:
        machines.end()

    machines = Machines(tmp_path, photos)
    try:
        assert machines.processes[1].wait() == 0, machines.log(1)
        assert machines.log(1).endswith("Distributed training finished; the chief continues alone.\n")
        machines.wait_for(0, "[4/7]")
        assert "[2/7] Training the classifier on the frozen backbone's features: already done" in machines.log(0)
    finally:
        machines.end()  # what the chief does alone is tested elsewhere

    alone = open_run(tmp_path / "alone", photos, read_recipe(str(tmp_path / "recipe.toml")), None)
    run_stages(alone, [stage for stage in STAGES if stage.name in ("data", "head", "finetune")], print)
    one, two = history(alone.folder), history(machines.run)
    assert len(one) == len(two) == 4
    # The moving variance of so few values (16 pictures of 2 × 2) lacks n / (n - 1), where several replicas make it.
    for name, tolerance in (("loss", ROUNDING), ("accuracy", ROUNDING), ("val_loss", 1e-2)):
        expected = [epoch[name] for epoch in one]
        assert [epoch[name] for epoch in two] == pytest.approx(expected, rel=tolerance)


def history(folder: Path) -> list[Any]:
    return json.loads((folder / "stages" / "finetune" / "training.json").read_text())["history"]


def test_machines_that_do_not_start_are_named() -> None:
    addresses = free_addresses()
    lines: list[str] = []
    with pytest.raises(ClusterError, match=rf"No connection to the chief \({addresses[0]}\) within 0 s\. .* all 2"):
        meet(Cluster(tuple(addresses), 1), announce=lines.append, wait_s=0)
    with pytest.raises(ClusterError, match="worker 1"):
        meet(Cluster(tuple(addresses), 0), announce=lines.append, wait_s=0.1)
    assert lines == [f"Waiting for worker 1 ({addresses[1]})"]


def test_machines_that_have_started_meet() -> None:
    addresses = free_addresses()
    host, port = addresses[1].split(":")
    with socket.create_server((host, int(port))):
        meet(Cluster(tuple(addresses), 0), announce=print, wait_s=0)


def test_a_port_that_is_taken_is_told() -> None:
    addresses = free_addresses()
    with (
        socket.create_server(("", int(addresses[0].split(":")[1]))),
        pytest.raises(ClusterError, match="which TF_CONFIG names for this machine: Address already in use"),
    ):
        meet(Cluster(tuple(addresses), 0), announce=print, wait_s=0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_tf_config_that_cannot_be_understood(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")  # the command changes it
    assert main(["train", str(tmp_path), "--to", str(tmp_path / "run"), "--distribute", "workers"]) == 1
    assert f"TF_CONFIG is missing or invalid: {text!r}." in capsys.readouterr().err


def test_the_chief_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = {"worker": ["b:2", "c:3"], "chief": ["a:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}}))
    assert Cluster.from_environment() == Cluster(("a:1", "b:2", "c:3"), 2)


def test_without_a_gpu_it_is_said() -> None:
    with pytest.raises(ClusterError, match="TensorFlow finds no GPU for --distribute gpus"):
        open_distribution("gpus", announce=print)
