"""A systemd unit that classifies from boot: unprivileged, sandboxed, watched and restarted after failures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import OutputError, ServiceError

MARK = "# Written by edge-runtime install-service."
"""First line of our units: a file without it belongs to somebody else."""

SYSTEM_FOLDER = Path("/etc/systemd/system")
"""Folder of the administrator's units."""

_WATCHDOG_S = 30
# Characters that have no special meaning in systemd's command lines.
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+-]+")
_TEMPORARY = re.compile(r"(^|=)(/var)?/tmp(/|$)")

# Restrictions that suit every command. Left out: PrivateDevices and ProtectClock, which hide /dev/video*; ProtectHome,
# as virtual environments are there; MemoryDenyWriteExecute, which breaks ctypes; ProcSubset, which hides the name of
# the processor. libcamera needs AF_NETLINK to find cameras.
_SANDBOX = """\
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
    """Settings of a unit.

    Attributes:
        name: Name of the service, without ``.service``.
        command: Absolute path of the program, and its arguments.
        folder: Absolute path of the working folder, which the service may write to.
        user: User that runs the service; None for a unit of the user's own manager (``systemctl --user``).
        groups: Supplementary groups, such as ``video``.
        writable: Absolute paths of more folders that the service may write to.
        journal_results: Whether stdout goes to the journal; stderr always does.

    Raises:
        ServiceError: A value is not allowed in a unit.
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
                f"Invalid service name {self.name!r}. Choose one of letters, digits, '_', '.' and '-' with --name, "
                "without .service, for example door-camera."
            )
        if self.user in ("root", "0"):
            raise ServiceError("The service must not run as root. Choose another user with --user.")
        for path in (Path(self.command[0]), self.folder, *self.writable):
            # In a unit, trailing spaces are lost, and a backslash at the end of a line continues it.
            whole = str(path).isprintable() and not str(path).endswith((" ", "\\"))
            if not path.is_absolute() or ".." in path.parts or not whole:
                raise ServiceError(
                    f"A systemd unit cannot use the path {str(path)!r}. Use an absolute one without '..' or control "
                    "characters, and without a space or '\\' at its end."
                )
        if any(mark in self.command[0] for mark in "\"'\\"):  # systemd rejects these, even if quoted
            raise ServiceError(
                f"systemd cannot run {self.command[0]}: its path has a quote or '\\'. Rename the folder."
            )
        if any("\0" in word for word in self.command):
            raise ServiceError("The command contains a zero byte. Remove it.")

    @property
    def file_name(self) -> str:
        """Name of the unit file."""
        return f"{self.name}.service"

    def text(self) -> str:
        """Return the content of the unit file."""
        sections = (("Unit", self._unit()), ("Service", self._service()), ("Install", self._install()))
        return "\n".join((MARK, *("\n".join((f"[{title}]", *lines, "")) for title, lines in sections)))

    def write(self, path: Path) -> None:
        """Write the unit file. An existing file is replaced only if it is one of our units.

        Raises:
            ServiceError: Another program's file is at this path.
            OutputError: The file cannot be written.
        """
        try:
            if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(MARK):
                raise ServiceError(
                    f"{path} was not written by edge-runtime, and is not replaced. Choose another name with --name."
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.text(), encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"Cannot write {path}: {error.strerror}. Run the command with sudo, or choose another file with --to."
            ) from error

    def _unit(self) -> tuple[str, ...]:
        online = any("://" in word for word in self.command)
        return (
            f"Description=edge-runtime: {self.name}",
            *(("Wants=network-online.target", "After=network-online.target") if online else ()),
            "# Retry while a camera is missing, but give up after some minutes.",
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
            # The colon turns off variables, so that $ is an ordinary character.
            f"ExecStart=:{' '.join(map(quote, self.command))}",
            f"WorkingDirectory={_escape(str(self.folder))}",
            *identity,
            "# The self-test of the INT8 kernels (once per machine) and the camera take time.",
            "TimeoutStartSec=120",
            "TimeoutStopSec=20",
            f"WatchdogSec={_WATCHDOG_S}",
            "Restart=on-failure",
            "RestartSec=5",
            "# 2: wrong usage; a restart would not help.",
            "RestartPreventExitStatus=2",
            "# 128 + SIGTERM: forced to exit because a driver or a reader hung.",
            "SuccessExitStatus=143",
            "# Log where the program hung if the watchdog ends it.",
            "Environment=PYTHONFAULTHANDLER=1",
            *self._output(),
            *self._sandbox(),
        )

    def _output(self) -> tuple[str, ...]:
        if self.journal_results:
            return ("Environment=PYTHONUNBUFFERED=1",)
        return (
            "# Results are millions of lines a day: use --to or a sink. Messages go to the journal.",
            "StandardOutput=null",
        )

    def _sandbox(self) -> tuple[str, ...]:
        if self.user is None:  # a user's own manager is not allowed to mount anything
            return ("NoNewPrivileges=yes",)
        folders = dict.fromkeys((self.folder, *self.writable))
        return (
            f"CacheDirectory={self.name}",
            f"Environment=XDG_CACHE_HOME=%C/{self.name}",
            "NoNewPrivileges=yes",
            *(() if self._uses_temporary() else ("PrivateTmp=yes",)),
            *_SANDBOX.splitlines(),
            f"ReadWritePaths={' '.join(quote(str(folder)) for folder in folders)}",
        )

    def _uses_temporary(self) -> bool:
        words = (*self.command, str(self.folder), *map(str, self.writable))
        return any(_TEMPORARY.search(word) for word in words)

    def _install(self) -> tuple[str, ...]:
        return (f"WantedBy={'default' if self.user is None else 'multi-user'}.target",)


def quote(word: str) -> str:
    """Quote a word for systemd's lists and command lines (systemd.syntax; systemd.service, "Command lines").

    ``%`` is escaped, as it begins a specifier; ``$`` is not, as ``ExecStart=:`` turns off variables.
    """
    if _PLAIN.fullmatch(word):
        return word
    escaped = _escape(word).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(character if character.isprintable() else _bytes(character) for character in escaped) + '"'


def _bytes(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _escape(text: str) -> str:
    return text.replace("%", "%%")
