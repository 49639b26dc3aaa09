"""Unified diffs of the part that changed, so that a line changed in a large file costs next to nothing."""

from __future__ import annotations

from dataclasses import dataclass

from gatelodge_filesystem.encoding import Encoding, count_ends, split_lines
from gatelodge_filesystem.linediff import Opcode, grouped, opcodes

CONTEXT = 3
MAX_COMPARED_LINES = 4000


@dataclass(frozen=True, slots=True)
class Diff:
    """A unified diff.

    Args:
        text: The diff; empty if nothing changed.
        added: Lines added.
        removed: Lines removed.
        cut: Whether `text` was cut to its budget; the counts are whole.
    """

    text: str
    added: int
    removed: int
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """The part of two versions that has all changes, line by line.

    Args:
        first: Lines of the old version, with their ends.
        second: Lines of the new one.
        start: How many lines are before them, in both.
        groups: What changes, with context: lists of (tag, low, high, other low, other high) as `difflib` has them.
    """

    first: list[str]
    second: list[str]
    start: int
    groups: list[list[Opcode]]


def compared(old: bytes, new: bytes, encoding: Encoding) -> Compared | tuple[int, int]:
    """Compare two versions of a file line by line, or tell the numbers of lines if they are too many for that."""
    # Only what lies between the common beginning and end is decoded and compared.
    begin, ends = _changed(old, new, encoding)
    first = split_lines(encoding.decode(old[begin : ends[0]]))
    second = split_lines(encoding.decode(new[begin : ends[1]]))
    if max(len(first), len(second)) > MAX_COMPARED_LINES:
        return len(first), len(second)
    groups = grouped(opcodes(first, second), CONTEXT)
    return Compared(first, second, count_ends(old[:begin], encoding), groups)


def unified(old: bytes, new: bytes, name: str, encoding: Encoding, *, budget: int) -> Diff:
    """Compare two versions of a file.

    Args:
        old: The bytes before.
        new: The bytes after.
        name: What the file is called in the header.
        encoding: How both are shown.
        budget: The most characters of text.
    """
    if old == new:
        return Diff("", 0, 0)
    found = compared(old, new, encoding)
    if isinstance(found, tuple):
        removed, added = found
        text = f"--- {name}\n+++ {name}\n@@ too many lines to compare: {removed} replaced by {added} @@\n"
        return Diff(text, added, removed, cut=True)
    first, second, start = found.first, found.second, found.start
    lines: list[str] = []
    added = removed = 0
    for group in found.groups:
        a, b, c, d = group[0][1], group[-1][2], group[0][3], group[-1][4]
        lines.append(f"@@ -{_range(a + start, b - a)} +{_range(c + start, d - c)} @@\n")
        for tag, low, high, other_low, other_high in group:
            if tag == "equal":
                lines += [_shown(" ", line) for line in first[low:high]]
                continue
            removed += high - low
            added += other_high - other_low
            # Line ends are only worth showing where they are what changed.
            ends = [_body(line) for line in first[low:high]] == [_body(line) for line in second[other_low:other_high]]
            lines += [_shown("-", line, ends=ends) for line in first[low:high]]
            lines += [_shown("+", line, ends=ends) for line in second[other_low:other_high]]
    text = f"--- {name}\n+++ {name}\n" + "".join(lines)
    if len(text) <= budget:
        return Diff(text, added, removed)
    return Diff(text[:budget].rsplit("\n", 1)[0] + "\n", added, removed, cut=True)


def _changed(old: bytes, new: bytes, encoding: Encoding) -> tuple[int, tuple[int, int]]:
    """Where the part with all changes and their context begins, and where it ends in each; at line ends."""
    if not encoding.by_bytes:
        return len(encoding.bom), (len(old), len(new))
    head = _common(old, new)
    tail = min(_common_end(old, new), min(len(old), len(new)) - head)
    begin = head
    for _ in range(CONTEXT + 1):
        begin = max(old.rfind(b"\n", 0, max(begin - 1, 0)) + 1, 0)
    at = len(old) - tail
    for _ in range(CONTEXT + 2):
        found = old.find(b"\n", at)
        at = len(old) if found < 0 else found + 1
    rest = len(old) - at
    return begin or len(encoding.bom), (at, len(new) - rest)


def _common(old: bytes, new: bytes) -> int:
    """How many first bytes are the same; slices are compared, not single bytes."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_end(old: bytes, new: bytes) -> int:
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[len(old) - middle : len(old) - low] == new[len(new) - middle : len(new) - low]:
            low = middle
        else:
            high = middle - 1
    return low


def _range(start: int, length: int) -> str:
    return f"{start + 1 if length else start},{length}"


def _body(line: str) -> str:
    return line.rstrip("\r\n")


def _shown(mark: str, line: str, *, ends: bool = False) -> str:
    end = line[len(_body(line)) :]
    note = {"\r\n": "[CRLF]", "\r": "[CR]", "\n": "[LF]"}.get(end, "") if ends else ""
    text = f"{mark}{_body(line)}{note}\n"
    return text if end else f"{text}\\ No newline at end of file\n"
