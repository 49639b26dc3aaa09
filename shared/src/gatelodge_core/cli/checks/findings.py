"""One thing that `gatelodge doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found.

    Args:
        what: Its stable code, as in the table of docs/12-doctor.md.
        level: ``ok``, ``warn`` (it works, but not as it should) or ``fail`` (it doesn't work, or isn't safe).
        text: What it is; never a secret.
        fix: What to do, best something to type; empty if nothing.
        host: Of a configured server.
        server: Its key there.
        file: Where that is written.
        line: In that file, from 1; 0 if it isn't known.
    """

    what: str
    level: Level
    text: str
    fix: str = ""
    host: str = ""
    server: str = ""
    file: str = ""
    line: int = 0

    def as_json(self) -> dict[str, Any]:
        """All of it, with `good` for those who only ask that."""
        found: dict[str, Any] = {
            "what": self.what, "level": self.level, "good": self.level == "ok", "text": self.text, "fix": self.fix,
        }  # fmt: skip
        if self.host:
            found |= {"host": self.host, "server": self.server, "file": self.file, "line": self.line}
        return found
