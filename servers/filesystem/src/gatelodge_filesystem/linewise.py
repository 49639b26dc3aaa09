r"""Edits that name lines: by their numbers, or by their text whatever its indentation.

Texts here have their line ends made equal (``\\n``). Bytes are passed as Latin-1, which gives each byte a character of
its own; only spaces, tabs and line ends are looked at, which no encoding that is searched by bytes writes differently.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gatelodge_core.errors import CallError

_BLANK = " \t"
_BLOCK = 65_536
_TAB_WIDTH = 4


@dataclass(frozen=True, slots=True)
class Placed:
    """An edit that has found its place.

    Args:
        start: Where in the text.
        old: What is there, exactly.
        new: What comes there.
    """

    start: int
    old: str
    new: str


def by_lines(text: str, first: int, last: int, old: str, new: str, number: int) -> Placed:
    """Place an edit by line numbers.

    Args:
        text: The file's.
        first: The first line, from 1.
        last: The last line; one less than `first` to insert before it.
        old: What is expected there; its last line end may be left out.
        new: What comes there instead; empty removes the lines.
        number: The edit's, for errors.

    Raises:
        CallError: `bad_edit` for lines that aren't there, `no_match` with the text that is.
    """
    begin = _start_of(text, first)
    if begin is None or last < first - 1 or (last and _start_of(text, last) is None):
        raise CallError(
            "bad_edit",
            f"edit {number}: there are no lines {first} to {last}; the file has {text.count(chr(10)) + 1}.",
            "Call read_file with line_numbers=true. Nothing was changed.",
        )
    after = _start_of(text, last + 1)
    end = begin if last < first else len(text) if after is None else after
    there = text[begin:end]
    if last < first:
        if old:
            raise CallError("bad_edit", f"edit {number}: an insertion has an empty old.", "Nothing was changed.")
        glue = "\n" if begin and text[begin - 1] != "\n" else ""
        return Placed(begin, "", glue + (new if new.endswith("\n") or begin == len(text) else f"{new}\n"))
    if old.removesuffix("\n") != there.removesuffix("\n"):
        raise CallError(
            "no_match",
            f"edit {number}: lines {first} to {last} are not old.",
            f"Nothing was changed. They are now:\n{there[:4000]}",
        )
    if there.endswith("\n") and new and not new.endswith("\n"):
        new += "\n"
    elif not there.endswith("\n") and not old.endswith("\n"):
        new = new.removesuffix("\n") if new != "\n" else new
    return Placed(begin, there, new)


def _start_of(text: str, line: int) -> int | None:
    """Where a line begins, from 1; None if there are fewer."""
    at, left = 0, line - 1
    while left:
        # Whole blocks are counted, then the lines of the one that has the wanted end.
        ends = text.count("\n", at, at + _BLOCK)
        if ends >= left:
            for _ in range(left):
                at = text.find("\n", at) + 1
            return at
        left -= ends
        at += _BLOCK
        if at >= len(text):
            return None
    return at


def flexible(text: str, old: str, new: str) -> list[Placed]:
    """Find whole lines whatever their indentation, and indent the new ones as the file does.

    Args:
        text: The file's.
        old: The lines to find; spaces and tabs around each don't count.
        new: The lines to put there, indented as `old` is.

    Returns:
        Every place; what is there, and what comes there, only where there is just one, as no other is safe to use.
    """
    wanted = [line.strip(_BLANK) for line in old.strip("\n").split("\n")]
    if not any(wanted):
        return []
    lines = text.split("\n")
    stripped = [line.strip(_BLANK) for line in lines]
    starts = _runs(stripped, wanted)
    offsets = [0, *itertools.accumulate(len(line) + 1 for line in lines)]
    if len(starts) != 1:
        return [Placed(offsets[at], "", "") for at in starts]
    at = starts[0]
    there = lines[at : at + len(wanted)]
    indented = _indented(there, old.strip("\n").split("\n"), new.strip("\n"), _unit(lines))
    found = "\n".join(there)
    if not new.strip("\n") and offsets[at] + len(found) < len(text):
        found += "\n"  # the lines go, and so does their end
    return [Placed(offsets[at], found, indented)]


def _runs(lines: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where lines stand in others, overlapping places included, in linear time (Knuth, Morris and Pratt)."""
    back = [0] * len(wanted)
    length = 0
    for at in range(1, len(wanted)):
        while length and wanted[at] != wanted[length]:
            length = back[length - 1]
        length += wanted[at] == wanted[length]
        back[at] = length
    found: list[int] = []
    length = 0
    for at, line in enumerate(lines):
        while length and line != wanted[length]:
            length = back[length - 1]
        length += line == wanted[length]
        if length == len(wanted):
            found.append(at - length + 1)
            length = back[length - 1]
    return found


def _indented(there: list[str], old: list[str], new: str, unit: str) -> str:
    """The new lines with the file's indentation."""
    if not new:
        return ""
    known = {_indent(mine): _indent(its) for mine, its in zip(old, there, strict=True) if mine.strip(_BLANK)}
    lines = new.split("\n")
    step = _step([_width(_indent(line)) for line in [*old, *lines] if line.strip(_BLANK)])
    return "\n".join(_one(line, known, step, unit) for line in lines)


def _one(line: str, known: dict[str, str], step: int, unit: str) -> str:
    body = line.strip(_BLANK)
    if not body:
        return ""
    indent = _indent(line)
    if indent in known:
        return known[indent] + body
    width = _width(indent)
    below = [mine for mine in known if _width(mine) < width]
    if below:
        base = max(below, key=_width)
        return known[base] + unit * max(round((width - _width(base)) / step), 1) + body
    base = min(known, key=_width)
    levels = max(round((_width(base) - width) / step), 1)
    theirs = known[base]
    return theirs[: max(len(theirs) - levels * len(unit), 0)] + body


def _unit(lines: list[str]) -> str:
    """What the file indents one level with."""
    indents = [_indent(line) for line in lines if line.strip(_BLANK)]
    tabs = sum(indent.startswith("\t") for indent in indents)
    spaces = sum(indent.startswith(" ") for indent in indents)
    if tabs > spaces:
        return "\t"
    widths = [len(indent) for indent in indents if "\t" not in indent]
    steps = Counter(after - before for before, after in itertools.pairwise(widths) if after > before)
    return " " * (steps.most_common(1)[0][0] if steps else 4)


def _step(widths: list[int]) -> int:
    """The width of one level in what the model wrote."""
    levels = sorted(set(widths))
    return min((after - before for before, after in itertools.pairwise(levels)), default=4)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(_BLANK))]


def _width(indent: str) -> int:
    return indent.count("\t") * _TAB_WIDTH + indent.count(" ")
