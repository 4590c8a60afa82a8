"""A picture folder that stays within a quota."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from edge_runtime.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

MIB = 1024 * 1024
_SLACK = 20  # free 1/20 of the quota at once, so that not every picture triggers a scan of all others
_STALE_LINES = 100  # stale lines tolerated in the index before it is rewritten


class PictureStore:
    """Writes pictures to ``FOLDER/LABEL/`` and lists them in ``FOLDER/index.jsonl``.

    When the quota is reached, the oldest pictures are deleted, but only files that the index lists with their current
    size: pictures added, moved or edited by hand are never touched. Only one process at a time can use a folder.

    Args:
        folder: Dedicated folder, created if missing; may hold pictures of earlier runs.
        quota_bytes: Maximum total size of the pictures in bytes.
        min_free_bytes: Disk space to keep free, in bytes.

    Raises:
        OutputError: The folder cannot be written to, or is in use by another process.
    """

    def __init__(self, folder: str | os.PathLike[str], *, quota_bytes: int, min_free_bytes: int) -> None:
        self._folder = Path(folder)
        self._index_path = self._folder / "index.jsonl"
        self._quota_bytes = quota_bytes
        self._min_free_bytes = min_free_bytes
        self._own: dict[str, int] = {}  # bytes by path inside the folder, oldest first
        self._lines: dict[str, str] = {}  # index lines by the same path
        self._stale = 0  # number of index lines whose picture is gone
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock: TextIO | None = (self._folder / ".lock").open("w")
            self._index = self._index_path.open("a", encoding="utf-8")
        except OSError as error:
            raise self._error(error) from error
        import fcntl  # missing on Windows, where the other sinks work

        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise OutputError(f"Another process is saving pictures to {self._folder}. Choose another folder.") from None
        self._read_index()

    @property
    def used_bytes(self) -> int:
        """Total size of the store's pictures in bytes."""
        return sum(self._own.values())

    def add(self, name: str, content: bytes, facts: Mapping[str, Any]) -> None:
        """Write one picture atomically.

        Args:
            name: ``LABEL/FILE``, relative to the folder.
            content: File content.
            facts: Entries for the index, in addition to ``file`` and ``bytes``.

        Raises:
            OutputError: The picture cannot be written, exceeds the quota, or would leave too little disk space.
        """
        size = len(content)
        if size > self._quota_bytes:
            raise OutputError(
                f"A picture of {size / MIB:.1f} MiB exceeds the quota of {self._quota_bytes / MIB:g} MiB. "
                "Raise the quota."
            )
        try:
            self._make_place(size)
            free = shutil.disk_usage(self._folder).free
            if free - size < self._min_free_bytes:
                raise OutputError(
                    f"The disk of {self._folder} is nearly full: {free / MIB:.0f} MiB free, "
                    f"{self._min_free_bytes / MIB:g} MiB must stay free. Nothing is saved until there is more space."
                )
            self._write(name, content, {"file": name, "bytes": size, **facts})
        except OutputError:
            raise
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Release the folder. Closing twice has no effect."""
        if self._lock is not None:
            self._index.close()
            self._lock.close()
            self._lock = None

    def _write(self, name: str, content: bytes, facts: Mapping[str, Any]) -> None:
        path, part = self._folder / name, self._folder / ".part"
        line = json.dumps(facts, separators=(",", ":"), ensure_ascii=False) + "\n"
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # a rename may reach the disk before the file's content
            path.parent.mkdir(exist_ok=True)
            # The index first: a picture that it does not list would never be deleted.
            self._index.write(line)
            self._index.flush()
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._stale += name in self._own
        self._forget(name)
        self._own[name], self._lines[name] = len(content), line

    def _make_place(self, size: int) -> None:
        """Delete the oldest pictures until ``size`` more bytes fit."""
        if self.used_bytes + size <= self._quota_bytes:
            return
        for name in list(self._own):
            if not self._is_own(name, self._own[name]):
                self._forget(name)
                self._stale += 1
        used = self.used_bytes
        for name in list(self._own):
            if used + size <= self._quota_bytes - self._quota_bytes // _SLACK:
                break
            (self._folder / name).unlink(missing_ok=True)
            used -= self._own[name]
            self._forget(name)
            self._stale += 1
        if self._stale > len(self._own) + _STALE_LINES:
            self._write_index()

    def _read_index(self) -> None:
        (self._folder / ".part").unlink(missing_ok=True)  # left by a killed process
        count = 0
        with self._index_path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                count += 1
                try:
                    entry = json.loads(line)
                    name, size = entry["file"], entry["bytes"]
                except (ValueError, TypeError, KeyError):
                    continue  # incomplete line after a power failure
                if _is_inside(name) and self._is_own(name, size):
                    self._forget(name)
                    self._own[name], self._lines[name] = size, line
        self._stale = count - len(self._own)
        if self._stale:
            self._write_index()

    def _write_index(self) -> None:
        """Rewrite the index without stale lines."""
        part = self._folder / ".part"
        part.write_text("".join(self._lines.values()), encoding="utf-8")
        part.replace(self._index_path)
        self._index.close()
        self._index = self._index_path.open("a", encoding="utf-8")
        self._stale = 0

    def _is_own(self, name: str, size: int) -> bool:
        try:
            return (self._folder / name).lstat().st_size == size
        except OSError:
            return False

    def _forget(self, name: str) -> None:
        self._own.pop(name, None)
        self._lines.pop(name, None)

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"Cannot save pictures to {self._folder}: {error.strerror or error}.")


def _is_inside(name: object) -> bool:
    """Whether ``name`` has the form ``LABEL/FILE``; the index may have been edited and must not lead elsewhere."""
    parts = name.split("/") if isinstance(name, str) else []
    return len(parts) == 2 and not any(part in ("", ".", "..") or "\0" in part for part in parts)
