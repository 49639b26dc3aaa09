"""What changes to a file made besides the entry itself, so that taking the entry out leaves the file as it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self, cast


@dataclass(slots=True)
class Made:
    """What was made in one file. An edit writes it down; the opposite edit reads it.

    Args:
        blank: The whole text, if it held no value at all; None if it did.
        containers: Names of containers that were not there.
        inner: What stood in containers that were there but empty, by name; the outermost has the empty name.
        gaps: Keys before whose lines an empty line was put.
    """

    blank: str | None = None
    containers: list[str] = field(default_factory=list[str])
    inner: dict[str, str] = field(default_factory=dict[str, str])
    gaps: list[str] = field(default_factory=list[str])

    def table(self) -> dict[str, Any]:
        """As it is kept."""
        return {"blank": self.blank, "containers": self.containers, "inner": self.inner, "gaps": self.gaps}

    @classmethod
    def of(cls, table: object) -> Self:
        """As it was kept; what isn't understood counts as nothing made, which removes too little rather than too much."""
        given = cast("dict[str, Any]", table) if isinstance(table, dict) else {}
        blank, inner = given.get("blank"), given.get("inner")
        return cls(
            blank if isinstance(blank, str) else None,
            _names(given.get("containers")),
            {str(key): str(text) for key, text in cast("dict[object, object]", inner).items()}
            if isinstance(inner, dict)
            else {},
            _names(given.get("gaps")),
        )


def _names(value: object) -> list[str]:
    return [str(item) for item in cast("list[object]", value)] if isinstance(value, list) else []
