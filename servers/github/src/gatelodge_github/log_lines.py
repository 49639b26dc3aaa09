"""One line of an Actions log: how it comes, how it is shown, and whether it matches."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from gatelodge_core.errors import CallError

from gatelodge_github.expressions import MAX_PATTERN, Expression

LINE = 2000
"""Characters of a line that are kept and searched."""
RAW = 4 * LINE
"""Bytes of a line that are kept until it is read: a character of UTF-8 has up to four."""
SECONDS = 20.0
"""The longest that a log is searched; usual expressions take a second for 30 MB."""
TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z ?")
ANSI = re.compile(
    rb"\x1b(?:\[[0-?]{0,64}+[ -/]{0,8}+[@-~]|\][^\x07\x1b\n]{0,4096}+(?:\x07|\x1b\\)?|[PX^_][^\x1b\n]{0,4096}+(?:\x1b\\)?|[ -/]{0,4}[0-~])?"
)
"""Sequences that a terminal obeys, such as colours."""
_KINDS = "group|endgroup|error|warning|notice|debug|command|section"
MARK = re.compile(rf"##\[({_KINDS})\]".encode())
_MARKED = re.compile(MARK.pattern.decode())


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log.

    Args:
        number: From 1.
        text: Without colours, time and mark; at most 2,000 characters.
        kind: Its mark, such as "error", or empty.
        group: Of a match or an error: the name of the group that it stands in.
        match: Whether it matches, or is one of the errors.
        cut: Whether it was longer; then a note of its length follows.
    """

    number: int
    text: str
    kind: str = ""
    group: str = ""
    match: bool = False
    cut: bool = False


class Raw:
    """A line as it came, cut to what may be needed, and its size in bytes."""

    __slots__ = ("data", "size")

    def __init__(self, data: bytes, size: int = 0) -> None:
        self.data = data[:RAW]
        self.size = size or len(data)


class LogSearch:
    """What lines are searched for.

    Args:
        pattern: A text, or an expression.
        regex: Whether it is an expression.
        ignore_case: Whether letters match in both cases.
        seconds: The longest that searching may take in all.

    Raises:
        CallError: ``bad_pattern``.
    """

    def __init__(self, pattern: str, *, regex: bool, ignore_case: bool, seconds: float = SECONDS) -> None:
        if not pattern or len(pattern) > MAX_PATTERN or "\n" in pattern:
            raise CallError(
                "bad_pattern",
                f"A pattern has 1 to {MAX_PATTERN} characters and no line breaks.",
                "Search for less of it.",
            )
        self.stopped = False
        """Set, from any thread, once nobody waits for it any more."""
        self._left, self._until = seconds, 0.0
        self._fold = ignore_case
        self._text = pattern.lower() if ignore_case else pattern
        self._expression = Expression(pattern, ignore_case=ignore_case, check=self._check) if regex else None
        # A quick no from the bytes. Those of letters beyond ASCII don't show which are the same in another case.
        sure = self._expression.literal if self._expression else pattern
        self._lower = ignore_case or self._expression is not None
        if self._lower:
            sure = sure.lower() if sure.isascii() else ""
        # What isn't UTF-8 is replaced before it is searched.
        sure = "" if "\ufffd" in sure else sure
        self._sure = sure.encode("utf-8", "replace")

    def lines(self, block: bytes) -> list[int]:
        """The lines that match, from 0.

        Raises:
            CallError: ``too_slow``: it took too long, or was stopped.
        """
        begun = time.monotonic()
        self._until = begun + self._left
        try:
            return self._lines(block)
        finally:
            self._left -= time.monotonic() - begun

    def _check(self) -> None:
        if self.stopped or time.monotonic() > self._until:
            raise CallError(
                "too_slow",
                "Searching this log for that takes too long.",
                "Search for plain text, or with less repetition.",
            )

    def _lines(self, block: bytes) -> list[int]:
        self._check()
        quick = block.lower() if self._lower else block
        if self._sure not in quick:
            return []
        lines = block.split(b"\n")
        if self._sure:
            return [
                index
                for index, line in enumerate(quick.split(b"\n"))
                if self._sure in line and self._matches(lines[index])
            ]
        return [index for index, line in enumerate(lines) if self._matches(line)]

    def _matches(self, line: bytes) -> bool:
        text = _decoded(line[:RAW])[1][:LINE]
        if self._expression:
            return self._expression.search(text)
        return self._text in (text.lower() if self._fold else text)


def _decoded(data: bytes) -> tuple[str, str]:
    """The time before a line, and its text."""
    time = TIME.match(data)
    start = time.end() if time else 0
    return data[:start].decode("ascii"), data[start:].decode("utf-8", "replace").removesuffix("\r")


def line_of(number: int, raw: Raw, *, times: bool) -> Line:
    """A line to be shown; `times` leaves the time before it."""
    time, text = _decoded(raw.data)
    mark = _MARKED.match(text)
    kind = mark[1] if mark else ""
    text = text[mark.end() :] if mark else text
    cut = len(text) > LINE or raw.size > len(raw.data)
    if cut:
        text = f"{text[:LINE]} ⟦cut: {raw.size} bytes⟧"
    return Line(number, f"{time}{text}" if times else text, kind, cut=cut)
