"""Help: every command has examples that parse, shows its defaults, and takes them from the API."""

from __future__ import annotations

import argparse
import inspect
import shlex
from pathlib import Path

import pytest

from edge_runtime import CaptureRules, Classifier, DecisionRules, GateRules, __version__
from edge_runtime.cli.main import build_parser, main
from edge_runtime.cli.options.limits import server_limits
from edge_runtime.cli.options.live import capture_rules, decision_rules, gate_rules
from edge_runtime.server.protection.limits import Limits
from edge_runtime.sinks import SavedFrames
from edge_runtime.sources.recording import Recorder


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Each command's parser, by its name and its aliases."""
    (commands,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    listed = {line.split()[0] for line in help_of(capsys).splitlines() if line.startswith("    ")}
    assert listed >= set(parsers()) - {"capture"}
    assert "collect (capture)" in help_of(capsys)


@pytest.mark.parametrize("name", list(parsers()))
def test_ends_with_examples_that_parse(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    examples = help_of(capsys, name).partition("\nexamples:\n")[2].splitlines()
    assert 2 <= len(examples) <= 3
    for example in examples:
        words = shlex.split(example)
        arguments = build_parser().parse_args(words[words.index("edge-runtime") + 1 :])
        assert arguments.command is parsers()[name].get_default("command")
        if name == "install-service":  # it passes the rest to another command
            build_parser().parse_args([arguments.served, arguments.model, *arguments.options])


@pytest.mark.parametrize("name", list(parsers()))
def test_every_option_is_explained_in_sentence_case(name: str) -> None:
    for action in parsers()[name]._actions:
        assert action.help, action.dest
        assert action.help[0].isupper(), action.help


@pytest.mark.parametrize("command", ["info", "verify", "classify", "run", "benchmark"])
def test_shows_the_defaults(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "(default: auto)" in help_of(capsys, command)


def test_defaults_are_those_of_the_api() -> None:
    arguments = build_parser().parse_args(["serve", "model.tflite"])
    assert decision_rules(arguments) == DecisionRules()
    assert gate_rules(arguments) == GateRules()
    assert capture_rules(arguments) == CaptureRules()
    assert server_limits(arguments) == Limits()
    assert arguments.save_quota == inspect.signature(SavedFrames).parameters["quota_mib"].default
    assert arguments.score_threshold == inspect.signature(Classifier.classify).parameters["score_threshold"].default
    recording = build_parser().parse_args(["record", "--to", "session"])
    assert recording.format == inspect.signature(Recorder).parameters["picture_format"].default


def test_capture_is_another_name_of_collect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--to", str(tmp_path), "--label", "scene", "--source", "synthetic", "--interval", "0.05", "--count", "1"]
    for name in ("collect", "capture"):
        assert main([name, *options]) == 0
        assert capsys.readouterr().out.startswith("scene: 1 saved, ")
    assert len(list(tmp_path.glob("scene/*.jpg"))) == 2


def test_says_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"edge-runtime {__version__}\n"
