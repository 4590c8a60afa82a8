"""``edge-runtime install-service``: write a systemd unit that classifies from boot."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.cli import run, serve
from edge_runtime.cli.options.values import add_command
from edge_runtime.errors import ServiceError

if TYPE_CHECKING:
    from edge_runtime.device.systemd_unit import ServiceUnit

# Commands that a service can run; each module's `add` defines the options.
_SERVED = {"run": run, "serve": serve}
_GROUPS = ("video",)


def add(commands: Any) -> None:
    """Add the command."""
    install = add_command(
        commands,
        "install-service",
        "Create a systemd service that classifies from boot",
        _install,
        examples=(
            "edge-runtime install-service model_int8.tflite --source 0 --to door.jsonl",
            "sudo edge-runtime install-service --name door model_int8.tflite --source 0 --to door.jsonl",
            "edge-runtime install-service --user-unit --command serve model_int8.tflite --source csi",
        ),
        notes="""\
Put options of the service before MODEL; options after MODEL are passed to run.
Relative paths start from the current folder, which the service may write to.
Without sudo or --system, the unit is printed instead of installed.""",
    )
    install.usage = "edge-runtime install-service [options] MODEL [--] [options of run]"
    install.add_argument("--name", default="edge-runtime", help="Name of the service")
    install.add_argument("--user", metavar="NAME", help="User that runs the service, not root (default: you)")
    install.add_argument(
        "--command", dest="served", choices=tuple(_SERVED), default="run", help="Command that the service runs"
    )
    install.add_argument(
        "--writable",
        action="append",
        default=[],
        metavar="FOLDER",
        help="Another folder that the service may write to; can be repeated",
    )
    install.add_argument("--journal", action="store_true", help="Also log results to the journal (many lines)")
    where = install.add_mutually_exclusive_group()
    where.add_argument("--to", metavar="FILE", help="Write the unit to FILE; - for stdout")
    where.add_argument(
        "--system", action="store_true", help="Write the unit to /etc/systemd/system (default if run as root)"
    )
    where.add_argument(
        "--user-unit", action="store_true", help="Write the unit to ~/.config/systemd/user, for systemctl --user"
    )
    install.add_argument("model", metavar="MODEL", help="The .tflite file")
    rest = install.add_argument(
        "options", nargs=argparse.REMAINDER, metavar="options of run", help="See edge-runtime run --help"
    )
    rest.required = False  # or the error about a missing MODEL would name these as well


def _install(arguments: argparse.Namespace) -> int:
    from edge_runtime.device.systemd_unit import SYSTEM_FOLDER

    unit = _unit(arguments)
    if arguments.user_unit:
        settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        target = settings / "systemd/user" / unit.file_name
        manager, after = "systemctl --user", f"loginctl enable-linger {_invoking_user()}   # without being logged in"
    else:
        system = arguments.system or (os.geteuid() == 0 and arguments.to is None)
        target = SYSTEM_FOLDER / unit.file_name if system else Path(arguments.to or "-")
        manager, after = "sudo systemctl", f"journalctl -u {unit.name} -f"
    if str(target) == "-":
        print(unit.text(), end="")
        return 0
    unit.write(target)
    print(f"Wrote {target}. Next:")
    steps = (
        *((f"sudo cp {target} {SYSTEM_FOLDER}/{unit.file_name}",) if arguments.to else ()),
        f"{manager} daemon-reload",
        f"{manager} enable --now {unit.name}",
        f"{manager} status {unit.name}",
        after,
    )
    print(*(f"  {step}" for step in steps), sep="\n")
    return 0


def _unit(arguments: argparse.Namespace) -> ServiceUnit:
    from edge_runtime.device.systemd_unit import ServiceUnit

    model = _absolute(arguments.model)
    if not model.is_file():
        raise ServiceError(
            f"Model file {model} not found. Put the service's own options before MODEL, and those of "
            f"{arguments.served} after it."
        )
    options = tuple(arguments.options[1:] if arguments.options[:1] == ["--"] else arguments.options)
    parsed = _parsed(arguments.served, str(model), options)
    user = None if arguments.user_unit else _checked_user(arguments.user or _invoking_user())
    return ServiceUnit(
        name=arguments.name,
        command=(*_program(), arguments.served, str(model), *options),
        folder=Path.cwd(),
        user=user,
        groups=() if user is None else tuple(filter(_group_exists, _GROUPS)),
        writable=tuple(_folder(given) for given in (*arguments.writable, *_written_to(parsed))),
        journal_results=arguments.journal,
    )


def _parsed(served: str, model: str, options: tuple[str, ...]) -> argparse.Namespace:
    """Parse the options as the service will, to report a mistake now instead of at boot."""
    parser = argparse.ArgumentParser(prog="edge-runtime")
    _SERVED[served].add(parser.add_subparsers())
    try:
        return parser.parse_args([served, model, *options])
    except SystemExit as end:
        if end.code:
            print("Put options of install-service itself before MODEL.", file=sys.stderr)
        raise


def _written_to(parsed: argparse.Namespace) -> list[Path]:
    """Return the folders outside the current one that the options write to."""
    here = Path.cwd()
    folders = [Path(parsed.to).absolute().parent] if getattr(parsed, "to", None) else []
    for option in ("save_to", "collect"):  # inside the current folder they are created when needed
        given = getattr(parsed, option, None)
        if given and not Path(given).absolute().is_relative_to(here):
            folders.append(Path(given))
    return [folder for folder in folders if folder != here]


def _program() -> tuple[str, ...]:
    """Return the command that started this program."""
    python, script = str(_absolute(sys.executable)), Path(sys.argv[0])
    if script.name == "edge-runtime" and script.is_file():
        return python, str(_absolute(script))
    return python, "-m", "edge_runtime"


def _absolute(given: str | Path) -> Path:
    """Return an absolute path without "..", which systemd rejects; links stay, as virtual environments need them."""
    return Path(os.path.normpath(Path(given).absolute()))


def _invoking_user() -> str:
    import pwd

    name = os.environ.get("SUDO_USER") if os.geteuid() == 0 else None
    try:
        return name or pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ServiceError(f"User number {os.geteuid()} has no name here. Choose a user with --user.") from None


def _checked_user(name: str) -> str:
    import pwd

    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ServiceError(
            f"User {name!r} does not exist. Choose another with --user, or create it: "
            f"sudo useradd --system --groups video {name}"
        ) from None
    if entry.pw_uid == 0:
        raise ServiceError(f"The service must not run as {name}. Choose another user with --user.")
    return entry.pw_name


def _group_exists(name: str) -> bool:
    import grp

    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _folder(given: str | Path) -> Path:
    folder = _absolute(given)
    if not folder.is_dir():
        raise ServiceError(f"Folder {folder}, which the service writes to, does not exist. Create it first.")
    return folder
