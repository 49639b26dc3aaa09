"""A change hunk by hunk, each with the edits that make it alone: what the diff view shows and sends back.

An edit of a hunk names lines by number and repeats their text, so that it fits the previewed version and no other. Whether
the edits of all hunks together give exactly the new version is tried before any is offered: line ends that change, stray
bytes and the like can't be told in such edits, and then the change is shown, and can only be made whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatelodge_core.errors import CallError

from gatelodge_filesystem.edits import Edit, apply
from gatelodge_filesystem.encoding import LINE_END, Encoding
from gatelodge_filesystem.linediff import Opcode
from gatelodge_filesystem.unified import Compared, compared

MAX_HUNKS = 200
MAX_EDITS = 200
"""The most edits that one call takes."""
MAX_CHARACTERS = 200_000
"""Of all lines that are shown; the rest is told of."""

Table = dict[str, Any]


def shown_hunks(old: bytes, new: bytes, encoding: Encoding) -> Table:
    """What the view shows of a change.

    Returns:
        ``hunks`` (``lines`` as [mark, line before, line after, text] with numbers from 1 or 0, and ``edits`` with the number
        of their ``characters``, by which the view sees that nothing in them was masked on the way), ``left`` (how many are
        not shown), and ``whole``: why the hunks can't be accepted singly, or empty.
    """
    if old == new:
        return {"hunks": [], "left": 0, "whole": "nothing changes"}
    found = compared(old, new, encoding)
    if isinstance(found, tuple):
        return {"hunks": [], "left": 1, "whole": "too many lines to compare"}
    hunks: list[Table] = []
    room = MAX_CHARACTERS
    for group in found.groups[:MAX_HUNKS]:
        edits = [_edit(found, code) for code in group if code[0] != "equal"]
        lines = _lines(found, group)
        room -= sum(len(line[3]) for line in lines)
        if room < 0:
            break
        hunks.append({"lines": lines, "edits": edits, "characters": _characters(edits)})
    left = len(found.groups) - len(hunks)
    return {"hunks": hunks, "left": left, "whole": _flaw(old, new, encoding, hunks, left)}


def _flaw(old: bytes, new: bytes, encoding: Encoding, hunks: Sequence[Table], left: int) -> str:
    if left:
        return "not all of it can be shown here"
    edits = [Edit(**edit) for hunk in hunks for edit in hunk["edits"]]
    if len(edits) > MAX_EDITS:
        return "it has too many places"
    try:
        same = apply(old, edits, encoding).data == new
    except CallError:
        same = False
    return "" if same else "it changes line ends or bytes that no edit of text can tell"


def _edit(found: Compared, code: Opcode) -> Table:
    _, low, high, other_low, other_high = code
    line = found.start + low + 1
    # An insertion stands before a line: its last line is the one before.
    return {
        "start_line": line,
        "end_line": found.start + high,
        "old": _plain(found.first[low:high]),
        "new": _plain(found.second[other_low:other_high]),
    }


def _lines(found: Compared, group: Sequence[Opcode]) -> list[list[Any]]:
    lines: list[list[Any]] = []
    for tag, low, high, other_low, other_high in group:
        if tag == "equal":
            shift = other_low - low
            for at in range(low, high):
                number = found.start + at + 1
                lines.append([" ", number, number + shift, _body(found.first[at])])
            continue
        lines += [["-", found.start + at + 1, 0, _body(found.first[at])] for at in range(low, high)]
        lines += [["+", 0, found.start + at + 1, _body(found.second[at])] for at in range(other_low, other_high)]
    return lines


def _characters(edits: Sequence[Table]) -> int:
    return sum(len(edit["old"]) + len(edit["new"]) for edit in edits)


def _plain(lines: Sequence[str]) -> str:
    return LINE_END.sub("\n", "".join(lines))


def _body(line: str) -> str:
    return line.rstrip("\r\n")
