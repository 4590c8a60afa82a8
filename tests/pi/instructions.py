"""How many instructions a processor needs for an inference: a number that a busy machine doesn't change."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pi.device import Cpu, Device
from tests.pi.guest import inferences

COMMANDS = ("qemu-aarch64", "gcc")
"""What must be there: of Debian's packages ``qemu-user`` and ``gcc``, the latter with ``libc6-dev``."""

_SOURCE = Path(__file__).with_suffix(".c")
_MARK = "instructions: "


@dataclass(frozen=True)
class Count:
    """One model on one processor.

    Attributes:
        instructions: Of one inference, with one thread.
        backend: What ran it, as `edge_runtime.BackendInfo`.
    """

    instructions: float
    backend: dict[str, Any]


def missing_commands() -> list[str]:
    """Which of `COMMANDS` this machine lacks."""
    return [command for command in COMMANDS if shutil.which(command) is None]


def build_plugin(folder: Path) -> Path:
    """Compiles QEMU's plugin that counts."""
    plugin = folder / "instructions.so"
    compiler = ("gcc", "-O2", "-shared", "-fPIC", "-o", plugin, _SOURCE)
    done = subprocess.run(compiler, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return plugin


def count_instructions(device: Device, cpu: Cpu, plugin: Path, model: Path, *, int8_kernels: str = "auto") -> Count:
    """Counts one inference: what more of them take beyond what fewer take, so that all else cancels out."""
    done = device.python(cpu, inferences.__file__, model, int8_kernels, plugin=plugin)
    assert done.returncode == 0, done.stderr
    marks = [int(line.removeprefix(_MARK)) for line in done.stderr.splitlines() if line.startswith(_MARK)]
    before, between, after = marks[-3:]
    fewer, more = inferences.RUNS
    return Count((after - between - (between - before)) / (more - fewer), json.loads(done.stdout))
