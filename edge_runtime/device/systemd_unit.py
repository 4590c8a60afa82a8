"""A systemd unit that classifies from boot on: as a user, watched, started anew when it fails, and fenced in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import OutputError, ServiceError

MARK = "# Written by edge-runtime install-service."
"""First line of each unit: a file without it is somebody else's."""

SYSTEM_FOLDER = Path("/etc/systemd/system")
"""Where the units of this machine's administrator lie."""

_WATCHDOG_S = 30
# What systemd takes for a special character somewhere in a command line is none of these.
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+-]+")
_TEMPORARY = re.compile(r"(^|=)(/var)?/tmp(/|$)")

# What the program can do without, whatever it is told to run. Left out on purpose: PrivateDevices and ProtectClock,
# which take /dev/video* away; ProtectHome, since virtual environments lie there; MemoryDenyWriteExecute, which ctypes
# trips over; ProcSubset, which hides the processor's name. AF_NETLINK is how libcamera finds cameras.
_FENCE = """\
ProtectSystem=strict
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
CapabilityBoundingSet="""


@dataclass(frozen=True)
class ServiceUnit:
    """What a unit is made of.

    Attributes:
        name: Of the service, without ``.service``.
        command: Program and arguments; the program by its absolute path.
        folder: Absolute; where the command runs, which relative paths in it are from, and where it may write.
        user: Who it runs as; None makes a unit for the user's own service manager (``systemctl --user``).
        groups: That it also belongs to, such as ``video``.
        writable: More folders that it may write to; absolute.
        journal_results: Whether stdout goes to the journal, too; stderr does.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    user: str | None
    groups: tuple[str, ...] = ()
    writable: tuple[Path, ...] = ()
    journal_results: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", self.name) or self.name.endswith(".service"):
            raise ServiceError(
                f"Expected a service's name of letters, digits, '_', '.' and '-', without .service, got {self.name!r}. "
                "Choose one by --name, for example door-camera."
            )
        if self.user in ("root", "0"):
            raise ServiceError("Expected a user other than root: nothing here needs it. Name one by --user.")
        for path in (Path(self.command[0]), self.folder, *self.writable):
            # A line ends at a break, loses spaces at its end, and goes on in the next one after a backslash.
            whole = str(path).isprintable() and not str(path).endswith((" ", "\\"))
            if not path.is_absolute() or ".." in path.parts or not whole:
                raise ServiceError(
                    "Expected an absolute path of printable characters, without '..', and without a space or '\\' at "
                    f"its end, got {str(path)!r}. Rename it."
                )
        if any(mark in self.command[0] for mark in "\"'\\"):  # systemd refuses these, however they are written
            raise ServiceError(
                f"Expected a program's path without quotes and '\\', got {self.command[0]}. Rename its folder."
            )
        if any("\0" in word for word in self.command):
            raise ServiceError("Expected a command without zero bytes. Leave them out.")

    @property
    def file_name(self) -> str:
        """What its file is called."""
        return f"{self.name}.service"

    def text(self) -> str:
        """The unit, as systemd reads it."""
        sections = (("Unit", self._unit()), ("Service", self._service()), ("Install", self._install()))
        return "\n".join((MARK, *("\n".join((f"[{title}]", *lines, "")) for title, lines in sections)))

    def write(self, path: Path) -> None:
        """Writes it, over an earlier one of ours only.

        Raises:
            ServiceError: A file is there that isn't one of ours.
            OutputError: It can't be written.
        """
        try:
            if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(MARK):
                raise ServiceError(
                    f"Expected no file or one of ours at {path}, there is another's. Choose another name by --name."
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.text(), encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"Expected to write {path}, got: {error.strerror}. Run it with sudo, or choose another file by --to."
            ) from error

    def _unit(self) -> tuple[str, ...]:
        online = any("://" in word for word in self.command)
        return (
            f"Description=edge-runtime: {self.name}",
            *(("Wants=network-online.target", "After=network-online.target") if online else ()),
            "# A camera that isn't there yet is tried for again; what never works is given up after some minutes.",
            "StartLimitIntervalSec=300",
            "StartLimitBurst=20",
        )

    def _service(self) -> tuple[str, ...]:
        identity = [] if self.user is None else [f"User={_escape(self.user)}"]
        if self.groups:
            identity.append(f"SupplementaryGroups={' '.join(self.groups)}")
        return (
            "Type=notify",
            "NotifyAccess=main",
            # The colon keeps systemd from taking $ for a variable.
            f"ExecStart=:{' '.join(map(quote, self.command))}",
            f"WorkingDirectory={_escape(str(self.folder))}",
            *identity,
            "# The self-test of the INT8 kernels, once for each machine, and the camera take their time.",
            "TimeoutStartSec=120",
            "TimeoutStopSec=20",
            f"WatchdogSec={_WATCHDOG_S}",
            "Restart=on-failure",
            "RestartSec=5",
            "# 2: wrong usage, which another try doesn't mend.",
            "RestartPreventExitStatus=2",
            "# 128 and SIGTERM: told to stop, it left although a driver or a reader hung.",
            "SuccessExitStatus=143",
            "# Where it hung stands in the journal when the watchdog ends it.",
            "Environment=PYTHONFAULTHANDLER=1",
            *self._output(),
            *self._fence(),
        )

    def _output(self) -> tuple[str, ...]:
        if self.journal_results:
            return ("Environment=PYTHONUNBUFFERED=1",)
        return (
            "# Results are millions of lines a day: they go to --to or to a sink; messages go to the journal.",
            "StandardOutput=null",
        )

    def _fence(self) -> tuple[str, ...]:
        if self.user is None:  # a user's own manager may not mount anything
            return ("NoNewPrivileges=yes",)
        folders = dict.fromkeys((self.folder, *self.writable))
        return (
            f"CacheDirectory={self.name}",
            f"Environment=XDG_CACHE_HOME=%C/{self.name}",
            "NoNewPrivileges=yes",
            *(() if self._uses_temporary() else ("PrivateTmp=yes",)),
            *_FENCE.splitlines(),
            f"ReadWritePaths={' '.join(quote(str(folder)) for folder in folders)}",
        )

    def _uses_temporary(self) -> bool:
        words = (*self.command, str(self.folder), *map(str, self.writable))
        return any(_TEMPORARY.search(word) for word in words)

    def _install(self) -> tuple[str, ...]:
        return (f"WantedBy={'default' if self.user is None else 'multi-user'}.target",)


def quote(word: str) -> str:
    """A word as systemd's lists and command lines take it (systemd.syntax, systemd.service, "Command lines").

    ``%`` begins a specifier anywhere; ``$`` is left alone, for ``ExecStart=:``.
    """
    if _PLAIN.fullmatch(word):
        return word
    escaped = _escape(word).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(character if character.isprintable() else _bytes(character) for character in escaped) + '"'


def _bytes(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _escape(text: str) -> str:
    return text.replace("%", "%%")
