"""Globs as PostgreSQL's regular expressions, so that a list is filtered and counted by the server."""

from __future__ import annotations

import re
from collections.abc import Sequence


def regex(glob: str) -> str:
    """The regular expression, anchored, of a glob with ``*``, ``?`` and ``[...]``."""
    parts = re.split(r"(\*|\?|\[[^\]]+\])", glob)
    words = {"*": ".*", "?": "."}
    return (
        "^(?:"
        + "".join(words.get(part) or (_class(part) if part[:1] == "[" else _escaped(part)) for part in parts)
        + ")$"
    )


def regexes(globs: Sequence[str]) -> list[str]:
    """Those of several."""
    return [regex(glob) for glob in globs]


def _escaped(text: str) -> str:
    return re.sub(r"([^\w ])", r"\\\1", text)


def _class(text: str) -> str:
    inside = text[1:-1].replace("\\", "\\\\")
    return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
