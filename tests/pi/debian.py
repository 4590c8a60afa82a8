"""Debian packages for 64-bit Arm, unpacked into a folder: nothing is installed on this machine, no root needed."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

logger = logging.getLogger(__name__)

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_ELSEWHERE = "http://deb.debian.org/debian"  # on a machine that isn't Debian


@dataclass(frozen=True)
class Release:
    """A Debian release, as Raspberry Pi OS follows it.

    Attributes:
        name: The archive's word for it.
        python: Its Python, ``major.minor``.
        packages: What a test needs of it beyond Python.
    """

    name: str
    python: str
    packages: tuple[str, ...] = ()

    @property
    def wanted(self) -> tuple[str, ...]:
        """Packages to unpack, with what they depend on; numpy from 2.5 on needs the C++ library of the system."""
        return (f"python{self.python}-minimal", f"libpython{self.python}-stdlib", "libstdc++6", *self.packages)


def unpack(release: Release, cache: Path) -> Path:
    """Fetches and unpacks a release's packages, unless an earlier call did.

    Returns:
        The root of its file system.
    """
    key = hashlib.sha256(" ".join(release.wanted).encode()).hexdigest()[:8]
    root = cache / f"{release.name}-{key}"
    if root.is_dir():
        return root
    partial = root.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with TemporaryDirectory(dir=cache) as folder:
        for package in _fetch(release, Path(folder)):
            subprocess.run(["dpkg-deb", "--extract", package, partial], check=True)
    if not (partial / "lib").exists():
        (partial / "lib").symlink_to("usr/lib")  # base-files would make it, where the packages hold /usr alone
    partial.rename(root)
    return root


def _fetch(release: Release, folder: Path) -> list[Path]:
    """An apt of its own, with nothing installed and another architecture, checks signatures and sums as ever."""
    archives, lists = folder / "archives", folder / "lists"
    for place in (archives, lists):
        (place / "partial").mkdir(parents=True)
    status, sources = folder / "status", folder / "sources.list"
    status.touch()
    sources.write_text(f"deb [arch=arm64 signed-by={_KEYRING}] {_archive()} {release.name} main\n")
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Dir::Cache": folder,
        "Dir::Cache::archives": archives,
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State::lists": lists,
        "Dir::State::status": status,
    }
    apt = ["apt-get", "--quiet=2", *(f"--option={name}={value}" for name, value in options.items())]
    logger.info("%s: fetching %s", release.name, ", ".join(release.wanted))
    _run(*apt, "update")
    _run(*apt, "install", "--yes", "--no-install-recommends", "--download-only", *release.wanted)
    return sorted(archives.glob("*.deb"))


def _archive() -> str:
    """The archive that this machine's own apt is set up with."""
    columns = ("apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)")
    for line in _run(*columns).splitlines():
        uri, *names = line.split()
        if names == ["Debian", "Debian"]:
            return uri
    return _ELSEWHERE


def _run(*command: str | os.PathLike[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command[0]} failed: {done.stderr or done.stdout}"
    return done.stdout
