"""Deciding whether and where a file's text matches."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Protocol

import regex
from gatelodge_core.errors import CallError

from gatelodge_filesystem.search.model import Request

MAX_PATTERN = 1000
LINE_SECONDS = 1.0
"""The longest one expression may work on one file; a nested repetition can otherwise take for ever."""


class Matcher(Protocol):
    """One pattern, prepared."""

    def may_match(self, data: bytes) -> bool:
        """A quick no from the bytes of a UTF-8 file; yes if it takes a closer look."""
        ...

    def first(self, line: str) -> int | None:
        """Where the first match in a line begins, from 0; None if there is none."""
        ...

    def offsets(self, text: str) -> Iterator[int]:
        """Where in a text to look for lines with a match; may be more than there are, never fewer."""
        ...


def matcher(request: Request) -> Matcher:
    """Prepare a request's pattern.

    Raises:
        CallError: `bad_pattern`, with what is wrong and where.
    """
    if not request.pattern or len(request.pattern) > MAX_PATTERN:
        raise CallError("bad_pattern", f"a pattern has 1 to {MAX_PATTERN} characters.", "")
    if "\n" in request.pattern or "\r" in request.pattern:
        raise CallError(
            "bad_pattern", "a pattern has no line breaks: the search is line by line.", "Search for one line of it."
        )
    if not request.regex and not request.word:
        return _Literal(request.pattern, sensitive=request.sensitive)
    source = request.pattern if request.regex else regex.escape(request.pattern, literal_spaces=True)
    return _Expression(rf"\b(?:{source})\b" if request.word else source, sensitive=request.sensitive)


class _Literal:
    """A plain text. Bytes are searched as bytes: no decoding for the files that don't have it."""

    def __init__(self, pattern: str, *, sensitive: bool) -> None:
        self._pattern = pattern
        self._bytes = pattern.encode("utf-8", "surrogateescape")
        # One expression finds both cases of ASCII; other letters have pairs that bytes don't show (U+212A and k).
        self._plain = sensitive
        self._fold = None if sensitive else re.compile(re.escape(pattern), re.IGNORECASE)
        self._quick = None if sensitive or not pattern.isascii() else self._bytes.lower()

    def may_match(self, data: bytes) -> bool:
        if self._plain:
            return self._bytes in data
        if self._quick is None:
            return True
        return self._quick in data.lower() or not data.isascii()

    def first(self, line: str) -> int | None:
        if self._fold is not None:
            found = self._fold.search(line)
            return found.start() if found else None
        at = line.find(self._pattern)
        return at if at >= 0 else None

    def offsets(self, text: str) -> Iterator[int]:
        if self._fold is not None:
            yield from (found.start() for found in self._fold.finditer(text))
            return
        at = text.find(self._pattern)
        while at >= 0:
            yield at
            at = text.find(self._pattern, at + 1)


class _Expression:
    """A regular expression, under a clock."""

    def __init__(self, source: str, *, sensitive: bool) -> None:
        flags = regex.MULTILINE | (0 if sensitive else regex.IGNORECASE)
        try:
            self._compiled = regex.compile(source, flags)
        except (regex.error, OverflowError, RecursionError) as error:
            raise CallError(
                "bad_pattern", f"the expression can't be read: {error}.", "Set regex=false to search for it as text."
            ) from None
        # \A and \Z mean a line's ends here, but a text's ends when it is searched whole.
        self._by_line = re.search(r"\\[AZzGK]|\(\?", source) is not None

    def may_match(self, data: bytes) -> bool:
        del data
        return True

    def first(self, line: str) -> int | None:
        try:
            found = self._compiled.search(line, timeout=LINE_SECONDS, concurrent=True)
        except TimeoutError:
            raise _slow() from None
        return found.start() if found else None

    def offsets(self, text: str) -> Iterator[int]:
        if self._by_line:
            yield from (found.start() for found in re.finditer(r"^", text, re.MULTILINE))
            return
        try:
            for found in self._compiled.finditer(text, timeout=LINE_SECONDS, concurrent=True):
                # A match may reach over line ends, as \s does: every line it touches is looked at.
                yield from range(found.start(), found.start() + 1)
                at = text.find("\n", found.start(), found.end())
                while at >= 0:
                    yield at + 1
                    at = text.find("\n", at + 1, found.end())
        except TimeoutError:
            raise _slow() from None


def _slow() -> CallError:
    return CallError(
        "slow_pattern", "the expression takes too long, as nested repetitions do.", "Simplify it, or set regex=false."
    )


def text_of(data: bytes) -> str | None:
    """The text that is searched: UTF-8, or UTF-16 by its mark; None for what has a NUL and so is no text."""
    for mark, codec in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(mark):
            return data[len(mark) :].decode(codec, "replace")
    if b"\0" in data:
        return None
    return data.decode("utf-8", "replace")
