"""A folder of pictures that stays within a quota."""

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
_SLACK = 20  # a quota's share that is freed at once, so that not each picture costs a look at all the others
_STALE_LINES = 100  # in the index, before it is written anew


class PictureStore:
    """Writes pictures into ``FOLDER/LABEL/`` and an index of them, ``FOLDER/index.jsonl``.

    When the quota is used up, the oldest make place. Only files that the index names, with the size that it names, are
    ever deleted: pictures that were put there, moved away or edited by hand are nobody's business here. One process at
    a time can write into a folder.

    Attributes:
        used_bytes: Of its pictures that are there.
    """

    def __init__(self, folder: str | os.PathLike[str], *, quota_bytes: int, min_free_bytes: int) -> None:
        """Makes the folder where there is none, and reads its index.

        Args:
            folder: Of its own, or one that it wrote into before.
            quota_bytes: What its pictures may take together.
            min_free_bytes: What must be left free on the disk.

        Raises:
            OutputError: It can't be written into, or another process does.
        """
        self._folder = Path(folder)
        self._index_path = self._folder / "index.jsonl"
        self._quota_bytes = quota_bytes
        self._min_free_bytes = min_free_bytes
        self._own: dict[str, int] = {}  # bytes by path inside the folder, oldest first
        self._lines: dict[str, str] = {}  # of the index, by the same
        self._stale = 0  # lines of the index whose picture isn't there any more
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock: TextIO | None = (self._folder / ".lock").open("w")
            self._index = self._index_path.open("a", encoding="utf-8")
        except OSError as error:
            raise self._error(error) from error
        import fcntl  # there is none on Windows, where the other sinks work

        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise OutputError(
                f"Expected {self._folder} for pictures of this process alone, another one writes into it. "
                "Choose another folder."
            ) from None
        self._read_index()

    @property
    def used_bytes(self) -> int:
        """See the class."""
        return sum(self._own.values())

    def add(self, name: str, content: bytes, facts: Mapping[str, Any]) -> None:
        """Writes one picture, whole or not at all.

        Args:
            name: ``LABEL/FILE``, inside the folder.
            content: Of the file.
            facts: What the index says about it, beside ``file`` and ``bytes``.

        Raises:
            OutputError: It can't be written, is larger than the quota, or would leave too little space on the disk.
        """
        size = len(content)
        if size > self._quota_bytes:
            raise OutputError(
                f"Expected pictures smaller than the quota of {self._quota_bytes / MIB:g} MiB, got one of "
                f"{size / MIB:.1f} MiB. Raise the quota."
            )
        try:
            self._make_place(size)
            free = shutil.disk_usage(self._folder).free
            if free - size < self._min_free_bytes:
                raise OutputError(
                    f"Expected {self._min_free_bytes / MIB:g} MiB to stay free on the disk of {self._folder}, "
                    f"{free / MIB:.0f} MiB are. Nothing is saved until there is more space."
                )
            self._write(name, content, {"file": name, "bytes": size, **facts})
        except OutputError:
            raise
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Lets the folder go. Closing twice does nothing."""
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
                os.fsync(file.fileno())  # a rename may reach the disk before what is in the file
            path.parent.mkdir(exist_ok=True)
            # The index first: a picture that it doesn't name would never be deleted.
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
        """Deletes the oldest until there is place for so many bytes."""
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
        (self._folder / ".part").unlink(missing_ok=True)  # of a process that was killed
        count = 0
        with self._index_path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                count += 1
                try:
                    entry = json.loads(line)
                    name, size = entry["file"], entry["bytes"]
                except (ValueError, TypeError, KeyError):
                    continue  # half a line, from when the power went
                if _is_inside(name) and self._is_own(name, size):
                    self._forget(name)
                    self._own[name], self._lines[name] = size, line
        self._stale = count - len(self._own)
        if self._stale:
            self._write_index()

    def _write_index(self) -> None:
        """Leaves out what isn't there any more."""
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
        return OutputError(f"Expected to save pictures in {self._folder}, got: {error.strerror or error}.")


def _is_inside(name: object) -> bool:
    """Whether it is ``LABEL/FILE``: an index may have been written by anybody."""
    parts = name.split("/") if isinstance(name, str) else []
    return len(parts) == 2 and not any(part in ("", ".", "..") or "\0" in part for part in parts)
