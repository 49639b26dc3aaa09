"""Unified diffs made from the spans that changed, so that a line changed in a large file costs next to nothing."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from gatelodge_filesystem.encoding import Encoding, split_lines

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
    before, after = split_lines(encoding.decode(old)), split_lines(encoding.decode(new))
    # Only what lies between the common beginning and end is compared line by line.
    head = 0
    limit = min(len(before), len(after))
    while head < limit and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < limit - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    start = max(head - CONTEXT, 0)
    first = before[start : len(before) - max(tail - CONTEXT, 0)]
    second = after[start : len(after) - max(tail - CONTEXT, 0)]
    if max(len(first), len(second)) > MAX_COMPARED_LINES:
        added, removed = len(after) - head - tail, len(before) - head - tail
        text = f"--- {name}\n+++ {name}\n@@ too many lines to compare: {removed} replaced by {added} @@\n"
        return Diff(text, added, removed, cut=True)
    lines: list[str] = []
    added = removed = 0
    for group in difflib.SequenceMatcher(None, first, second, autojunk=False).get_grouped_opcodes(CONTEXT):
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


def _range(start: int, length: int) -> str:
    return f"{start + 1 if length else start},{length}"


def _body(line: str) -> str:
    return line.rstrip("\r\n")


def _shown(mark: str, line: str, *, ends: bool = False) -> str:
    end = line[len(_body(line)) :]
    note = {"\r\n": "[CRLF]", "\r": "[CR]", "\n": "[LF]"}.get(end, "") if ends else ""
    text = f"{mark}{_body(line)}{note}\n"
    return text if end else f"{text}\\ No newline at end of file\n"
