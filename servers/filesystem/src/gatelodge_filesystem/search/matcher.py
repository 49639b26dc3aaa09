"""Deciding whether and where a file's text matches."""

from __future__ import annotations

import codecs
import itertools
import re
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import regex
from gatelodge_core.errors import CallError

from gatelodge_filesystem.search.model import Request

_T = TypeVar("_T")

MAX_PATTERN = 1000
FILE_SECONDS = 2.0
"""The longest one expression may match in one file; a nested repetition can otherwise take for ever."""
_BATCH = 4096
"""Matches that are looked for at once."""


class SlowError(Exception):
    """The expression takes too long on this file."""


class Matcher(Protocol):
    """One pattern, prepared."""

    def may_match(self, data: bytes) -> bool:
        """A quick no from the bytes of a UTF-8 file; yes if it takes a closer look."""
        ...

    def first(self, line: str) -> int | None:
        """Where the first match in a line of the text begins, from 0; None if there is none.

        Raises:
            SlowError: The expression has taken too long on this text.
        """
        ...

    def offsets(self, text: str) -> Iterator[tuple[int, bool]]:
        """Where in a text to look for lines with a match, in order; may be more than there are, never fewer.

        With each goes whether the first match in its line surely begins there, if none was given for that line before.

        Raises:
            SlowError: The expression takes too long on it.
        """
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

    def offsets(self, text: str) -> Iterator[tuple[int, bool]]:
        if self._fold is not None:
            yield from ((found.start(), True) for found in self._fold.finditer(text))
            return
        at = text.find(self._pattern)
        while at >= 0:
            yield at, True
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
        # Once a line matches, the rest of it is of no interest; what comes behind it can't move the beginning of a match.
        self._by_text = self._compiled if self._by_line else regex.compile(rf"(?:{source})[^\n]*+", flags)
        self._left = FILE_SECONDS

    def may_match(self, data: bytes) -> bool:
        del data
        return True

    def first(self, line: str) -> int | None:
        found = self._timed(lambda left: self._compiled.search(line, timeout=left, concurrent=True))
        return found.start() if found else None

    def offsets(self, text: str) -> Iterator[tuple[int, bool]]:
        self._left = FILE_SECONDS
        if self._by_line:
            yield from ((found.start(), False) for found in re.finditer(r"^", text, re.MULTILINE))
            return
        at = 0
        while batch := self._batch(text, at):
            for begin, end in batch:
                following = text.find("\n", begin, end)
                yield begin, following < 0
                # A match may reach over line ends, as \s does: every line it touches is looked at.
                while following >= 0:
                    yield following + 1, False
                    following = text.find("\n", following + 1, end)
            if len(batch) < _BATCH:
                return
            at = batch[-1][1]

    def _batch(self, text: str, at: int) -> list[tuple[int, int]]:
        """The next matches. An empty one at the end of a batch comes again at the beginning of the next."""
        return self._timed(
            lambda left: [
                found.span()
                for found in itertools.islice(self._by_text.finditer(text, at, timeout=left, concurrent=True), _BATCH)
            ]
        )

    def _timed(self, matching: Callable[[float], _T]) -> _T:
        """Match with the time that is left; what the caller does in between takes nothing from it."""
        if self._left <= 0:
            raise SlowError
        begin = time.thread_time()
        try:
            return matching(self._left)
        except TimeoutError:
            raise SlowError from None
        finally:
            self._left -= time.thread_time() - begin


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
