"""What the tests of `gatelodge install` share: a home folder, and the command in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from gatelodge_core.cli.__main__ import main
from gatelodge_core.cli.hosts import HOSTS, Entry, Machine, entries, target

SCRIPTS = Path(sys.executable).parent


@dataclass(frozen=True)
class Ran:
    """A command that ended."""

    status: int
    out: str
    err: str


class Home:
    """A person's home folder, on which the command is tried.

    Args:
        path: The folder.
        capture: Takes what is printed.
    """

    def __init__(self, path: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self.machine = Machine(str(path), "linux", {"HOME": str(path), "PATH": os.environ["PATH"]})
        self.root = path / "notes"
        self.root.mkdir(parents=True)
        self._capture = capture

    def file(self, host: str) -> Path:
        """The host's file."""
        return Path(target(HOSTS[host], self.machine).path)

    def write(self, host: str, text: str | bytes) -> Path:
        """Write the host's file."""
        path = self.file(host)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        # An hour ago: an empty file that is new is taken for one that is just being written.
        then = path.stat().st_mtime - 3600
        os.utime(path, (then, then))
        return path

    def entry(self, host: str, key: str = "gatelodge-filesystem") -> Entry:
        """A server in it, which must be there."""
        found = entries(HOSTS[host], self.machine)
        assert found.problems == ()
        return next(entry for entry in found.entries if entry.key == key)

    def install(self, host: str, *arguments: str, check: bool = False) -> Ran:
        """``gatelodge install``; the filesystem server with the folder, if nothing else is said."""
        given = arguments or ("filesystem", "--root", str(self.root))
        return self.run("install", host, *([] if check else ["--no-check"]), "--home", str(self.path), *given)

    def uninstall(self, host: str, *arguments: str) -> Ran:
        """``gatelodge uninstall``."""
        return self.run("uninstall", host, "--home", str(self.path), *arguments)

    def run(self, *arguments: str) -> Ran:
        """Any command."""
        self._capture.readouterr()
        try:
            status = main(list(arguments))
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        captured = self._capture.readouterr()
        return Ran(status, captured.out, captured.err)

    def backups(self) -> Sequence[Path]:
        """The backups that were made."""
        return sorted((self.path / ".local/state/gatelodge/backups").glob("*"))
