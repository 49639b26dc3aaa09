"""A server whose policy has every edit confirmed, for clients that can ask a person."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


class Asking:
    """One file, one edit of it, and the command of the server.

    Args:
        base: An empty folder.
    """

    def __init__(self, base: Path) -> None:
        self._file = base / "notes" / "a.txt"
        self._file.parent.mkdir()
        self._file.write_text("one\n", encoding="utf-8")
        policy = base / "policy.toml"
        policy.write_text('[[rule]]\ntool = "edit_file"\nthen = "confirm"\n', encoding="utf-8")
        self.command = [
            sys.executable, "-m", "gatelodge_filesystem", str(self._file.parent),
            "--state-dir", str(base / "state"), "--policy", str(policy),
        ]  # fmt: skip
        self.edit: dict[str, Any] = {"path": "notes/a.txt", "edits": [{"old": "one", "new": "two"}]}

    @property
    def text(self) -> str:
        """What is in the file now."""
        return self._file.read_text(encoding="utf-8")
