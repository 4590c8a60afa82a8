"""Runs in the emulated machine: unplugs its camera while the program classifies it, and plugs it in again.

What happened when, by the machine's clock, is written to ``report.json`` beside this file, for the test to judge.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
MODEL, LINES, MESSAGES, REPORT = (
    HERE / name for name in ("model.tflite", "lines.jsonl", "messages.txt", "report.json")
)
DEVICE = Path("/dev/video0")
CAMERA = Path("/dev/v4l/by-id/usb-vivid-video-index0")  # as udev names it, where there is one
FRAMES = 20  # wanted before and after
AWAY_S = 2.0
PATIENCE_S = 120.0


def main() -> None:
    CAMERA.parent.mkdir(parents=True)
    plug_in("red")
    with LINES.open("wb") as lines, MESSAGES.open("wb") as messages:
        program = subprocess.Popen(runtime("run", MODEL, "--source", CAMERA), stdout=lines, stderr=messages)
    try:
        wait_until(lambda: frames() >= FRAMES, f"{FRAMES} frames", program)
        unplugged = unplug()
        time.sleep(AWAY_S)
        before, plugging = frames(), time.time()
        plug_in("blue")
        plugged = time.time()
        wait_until(lambda: frames() >= before + FRAMES, f"{FRAMES} more frames", program)
        program.send_signal(signal.SIGINT)
        exit_status = program.wait(PATIENCE_S)
    finally:
        program.kill()
    more = (runtime("run", MODEL, "--source", "0", "--max-frames", "3"), runtime("info", "--json", MODEL))
    with ThreadPoolExecutor(len(more)) as pool:
        by_number, info = pool.map(output_of, more)
    report = {
        "unplugged": unplugged,
        "plugging": plugging,
        "plugged": plugged,
        "exit_status": exit_status,
        "by_number": by_number,
        "info": info,
    }
    REPORT.write_text(json.dumps(report))


def plug_in(colour: str) -> None:
    """Loads the kernel's virtual camera; it shows one colour and a running clock."""
    subprocess.run(["modprobe", "vivid", "n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=0x0"], check=True)
    menu = output_of(["v4l2-ctl", "--device", DEVICE, "--list-ctrls-menus"])
    (number,) = (line.split(":")[0].strip() for line in menu.splitlines() if line.endswith(f": 100% {colour.title()}"))
    control(f"test_pattern={number}")
    CAMERA.symlink_to(DEVICE)  # only now: programs wait for this name, and are to see no other picture


def unplug() -> float:
    """First programs get errors from the camera that they hold, then its name goes, then the device itself.

    Returns:
        When the errors began.
    """
    with DEVICE.open("rb"):  # the driver plugs itself in again as soon as nobody holds it any more
        control("disconnect=0")
        unplugged = time.time()
        time.sleep(AWAY_S)
        CAMERA.unlink()
    subprocess.run(["modprobe", "--remove", "vivid"], check=True)  # fails where the program still holds it
    assert not DEVICE.exists()
    return unplugged


def control(setting: str) -> None:
    subprocess.run(["v4l2-ctl", "--device", DEVICE, "--set-ctrl", setting], check=True)


def runtime(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "edge_runtime", *arguments]


def output_of(command: list[str | Path]) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def frames() -> int:
    return LINES.read_bytes().count(b"\n")


def wait_until(condition: Callable[[], bool], what: str, program: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert program.poll() is None, f"The program ended by itself: {MESSAGES.read_text()}"
        assert time.monotonic() < deadline, f"Waited in vain for {what}: {MESSAGES.read_text()}"
        time.sleep(0.1)


if __name__ == "__main__":
    main()
