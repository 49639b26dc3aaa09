"""What commands show: differences without anybody's secrets, colour where it is wanted, progress on what takes time."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import sys
from collections.abc import Collection, Generator

from gatelodge_core.audit.texts import clean
from gatelodge_core.outlet import coloured

HIDDEN = "…"
LONGEST = 400
"""Characters of a shown line."""

_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'""")
_KEY_FOLLOWS = re.compile(r"\s*[:=]")
_COMMENT = re.compile(r"(//|/\*|#).*", re.DOTALL)
_YAML = re.compile(r"""^(\s*(?:- )*(?:(?:"[^"]*"|'[^']*'|[^\s:"'#\[{-][^:#]*):(?=\s|$))?\s*(?:- )*)(.*)$""")
_COLOURS = {"+": "32", "-": "31", "@": "36"}


def difference(path: str, before: str | None, after: str | None, own: Collection[str], *, words: bool = False) -> str:
    """What changes in a file, line by line, without any text that isn't ours: it may be a secret.

    Args:
        path: Where the file is.
        before: Its text; None if it isn't there.
        after: Its text then; None if it is removed.
        own: Texts that may be shown.
        words: Whether values may stand without quotes, as in YAML.
    """
    old, new = ((text or "").splitlines() for text in (before, after))
    names = (os.devnull if before is None else _fit(path), os.devnull if after is None else _fit(path))
    lines = list(difflib.unified_diff(old, new, *names, n=0, lineterm=""))
    shown = lines[:2] + [line if line.startswith("@@") else line[0] + _fit(_masked(line[1:], own, words=words)) for line in lines[2:]]  # fmt: skip
    if not coloured(sys.stdout):
        return "\n".join(shown)
    return "\n".join(f"\x1b[{_COLOURS[line[0]]}m{line}\x1b[0m" if line[0] in _COLOURS else line for line in shown)


@contextlib.contextmanager
def progress(text: str) -> Generator[None]:
    """Say on standard error what is being done, for a person who waits; the outcome follows on standard output."""
    over = coloured(sys.stderr)
    if sys.stderr.isatty():
        sys.stderr.write(f"{text} ..." if over else f"{text} ...\n")
        sys.stderr.flush()
    try:
        yield
    finally:
        if over:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _fit(line: str) -> str:
    """A line that can't act on a terminal, with its tabs."""
    return "\t".join(map(clean, line.split("\t")))


def _masked(line: str, own: Collection[str], *, words: bool) -> str:
    """A line with what isn't ours hidden: quoted texts that are no keys, plain ones, comments."""
    if words:
        found = _YAML.match(line)
        shown = found is not None and (found[2] in _PLAIN or _text(found[2]) in own)
        return line if shown or found is None else f"{found[1]}{HIDDEN}"
    pieces: list[str] = []
    here = 0
    for found in _QUOTED.finditer(line):
        between = line[here : found.start()]
        if _COMMENT.search(between):
            break
        text = found.group()
        ours = _KEY_FOLLOWS.match(line, found.end()) or _text(text) in own
        pieces += [between, text if ours else f"{text[0]}{HIDDEN}{text[0]}"]
        here = found.end()
    masked = "".join(pieces) + _COMMENT.sub(rf"\1 {HIDDEN}", line[here:])
    return masked if len(masked) <= LONGEST else f"{masked[: LONGEST // 2]} {HIDDEN} {masked[-LONGEST // 2 :]}"


_PLAIN = ("", "[]", "{}", "true", "false", "null", "stdio", "builtin", "300")


def _text(quoted: str) -> str:
    try:
        return str(json.loads(quoted)) if quoted.startswith('"') else quoted.strip("'")
    except ValueError:
        return quoted
