"""Checks of the cameras."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from edge_runtime.device.doctor.child import run_python
from edge_runtime.device.doctor.finding import Finding

# Other video devices of a Raspberry Pi.
_NO_CAMERAS = re.compile(r"bcm2835-(codec|isp)|unicam-embedded|pisp|rpi-?(hevc|vid)|rp1-cfe-(?!csi2_ch0)")
_CAMERA_MODULE = re.compile(r"unicam|rp1-cfe")
_PICAMERA2 = "import json, picamera2; print(json.dumps({}))"


def check_cameras(root: str | os.PathLike[str] = "/") -> list[Finding]:
    """List the cameras, with their permanent names, missing permissions and current users.

    Args:
        root: Folder with ``dev``, ``proc`` and ``sys``.
    """
    base = Path(root)
    findings = []
    for entry in sorted((base / "sys/class/video4linux").glob("video*"), key=lambda path: (len(path.name), path.name)):
        name = _read(entry / "name") or "unnamed"
        # USB cameras have a second device, for metadata.
        if _NO_CAMERAS.match(name) or (_read(entry / "index") or "0") != "0":
            continue
        findings.append(_camera(base, entry, name))
    if findings:
        return findings
    return [Finding("cameras", "warning", "none found: connect one and check that it is listed", "lsusb")]


def check_picamera2(root: str | os.PathLike[str] = "/", *, python: str | None = None) -> list[Finding]:
    """Check that a Raspberry Pi can use its camera module; no finding on other machines.

    Args:
        root: Folder with ``proc`` and ``usr``.
        python: Path of the interpreter; default: the running one.
    """
    base = Path(root)
    if "Raspberry Pi" not in (_read(base / "proc/device-tree/model") or ""):
        return []
    result = run_python(_PICAMERA2, python=python)
    if not result.error:
        return [Finding("picamera2", "ok", "installed, for --source csi")]
    if not (base / "usr/lib/python3/dist-packages/picamera2").exists():
        mend = "sudo apt install -y python3-picamera2"
        return [Finding("picamera2", "warning", "not installed: --source csi does not work without it", mend)]
    settings = Path(python or sys.executable).parents[1] / "pyvenv.cfg"
    if re.search(r"include-system-site-packages\s*=\s*false", _read(settings) or "", re.IGNORECASE):
        found = "installed, but this virtual environment cannot use system packages"
        mend = f"sed -i 's/^\\(include-system-site-packages = \\).*/\\1true/' '{settings}'"
        return [Finding("picamera2", "warning", found, mend)]
    return [Finding("picamera2", "warning", f"installed, but cannot be imported: {result.error}")]


def _camera(base: Path, entry: Path, name: str) -> Finding:
    device = f"/dev/{entry.name}"
    subject = f"camera {entry.name.removeprefix('video')}"
    driver = (entry / "device/driver").resolve().name if (entry / "device/driver").exists() else ""
    what = f"{device}: {name}{f' ({driver})' if driver else ''}"
    if _CAMERA_MODULE.match(name):
        return Finding(subject, "ok", f"{what}, a camera module: use it with --source csi")
    place = base / device.lstrip("/")
    if not place.exists():
        found = f"{what}, but {device} is missing here: start the container with --device {device}"
        return Finding(subject, "problem", found)
    if not os.access(place, os.R_OK | os.W_OK):
        return _forbidden(subject, what, place)
    users = _users(base, device)
    if users:
        return Finding(subject, "warning", f"{what}, in use by {', '.join(users)}", f"sudo fuser -v {device}")
    lasting = sorted(link for link in (base / "dev/v4l/by-id").glob("*") if link.resolve().name == entry.name)
    also = f", also /dev/v4l/by-id/{lasting[0].name}" if lasting else ""
    return Finding(subject, "ok", f"{what}{also}")


def _forbidden(subject: str, what: str, place: Path) -> Finding:
    import grp
    import pwd

    try:
        group = grp.getgrgid(place.stat().st_gid)
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container without user names
        return Finding(subject, "problem", f"{what}: permission denied")
    if user in group.gr_mem:
        found = f"{what}: permission denied: {user} joined the group {group.gr_name} after logging in"
        return Finding(subject, "problem", found, f"newgrp {group.gr_name}")
    found = f"{what}: permission denied: {user} is not in the group {group.gr_name}; log in again after joining it"
    return Finding(subject, "problem", found, f"sudo usermod -aG {group.gr_name} {user}")


def _users(base: Path, device: str) -> list[str]:
    """Return the programs that have the device open, if this user may inspect them."""
    found = []
    for process in (base / "proc").glob("[0-9]*"):
        try:
            opened = {str(link.readlink()) for link in (process / "fd").iterdir()}
        except OSError:  # another user's process, or it has just ended
            continue
        if device in opened:
            found.append(f"{_read(process / 'comm') or 'a program'} (process {process.name})")
    return sorted(found)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n") or None
    except OSError:
        return None
