r"""Git's ignore patterns as expressions that take a bounded time, whatever the pattern.

This follows ``wildmatch.c`` and ``dir.c`` of git, byte for byte, its oddities included. Two things make it quick. Each run
of ``*`` but the last of a name becomes an atomic group, as does what stands between two ``**``: the leftmost place is always
as good as any other. And in what is matched a folder ends in a NUL, which no name can hold, so that nothing runs over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SPECIAL = re.compile(rb"[*?\[\\]")
_ONE = rb"[^/\0]"
_MANY = rb"[^/\0]*"
_CLASS = {
    b"alnum": rb"[0-9A-Za-z]", b"alpha": rb"[A-Za-z]", b"blank": rb"[ \t]", b"cntrl": rb"[\x00-\x1f\x7f]", b"digit": rb"[0-9]",
    b"graph": rb"[!-~]", b"lower": rb"[a-z]", b"print": rb"[ -~]", b"punct": rb"[!-/:-@\[-`{-~]", b"space": rb"[\t-\r ]",
    b"upper": rb"[A-Z]", b"xdigit": rb"[0-9A-Fa-f]",
}  # fmt: skip
_NAME = 255
_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file.

    Args:
        include: Whether it leaves out what it matches; False for a line with ``!``.
        by_name: Whether it is matched with the last name of a path; otherwise with the path from the file's folder.
        source: What matches, as an expression over bytes, without a group that captures.
        cost: About the most steps that one match can take.
    """

    include: bool
    by_name: bool
    source: bytes
    cost: int


class _NeverError(Exception):
    """The pattern can't match anything: git reads such a line, and passes over it."""


def patterns(content: bytes) -> Iterator[Pattern]:
    """The patterns of an ignore file, in order. Comments, and lines that can never match, are left out."""
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line[:1] == b"#":
            continue
        text = _trimmed(line.removesuffix(b"\r").partition(b"\0")[0])
        try:
            found = _pattern(text)
        except _NeverError:
            continue
        yield found


def _trimmed(line: bytes) -> bytes:
    """The line without spaces at its end, but for one behind a backslash."""
    kept = len(line.rstrip(b" "))
    behind = kept - len(line[:kept].rstrip(b"\\"))
    return line[: kept + 1] if behind % 2 else line[:kept]


def _pattern(text: bytes) -> Pattern:
    include = text[:1] != b"!"
    text = text if include else text[1:]
    folders_only = text[-1:] == b"/"
    text = text[:-1] if folders_only else text
    end = rb"\0" if folders_only else rb"\0?"
    if text[:3] == b"**/" and b"/" not in text[3:]:
        text = text[3:]  # the same, and cheaper
    if not text:
        raise _NeverError
    by_name = b"/" not in text
    if not by_name:
        text = text.removeprefix(b"/")
    wild = _SPECIAL.search(text)
    if wild is None:
        return Pattern(include, by_name, re.escape(text) + end, len(text))
    source, deep = _translated(text, wild.start(), by_name=by_name)
    return Pattern(include, by_name, source + end, len(text) * _NAME * (_DEPTH if deep else 1))


def _translated(text: bytes, literal: int, *, by_name: bool) -> tuple[bytes, bool]:
    """The expression, and whether it has a ``**``. Git compares the `literal` bytes in front apart from the rest."""
    out = b""
    opening: bytes | None = None
    chunk = _Chunk()
    at = 0
    while at < len(text):
        char = text[at : at + 1]
        if char == b"*":
            end = at + len(text[at:]) - len(text[at:].lstrip(b"*"))
            starts = at == literal or text[at - 1 : at] == b"/"
            ends = text[end : end + 1] in (b"", b"/") or text[end : end + 2] == b"\\/"
            if end - at > 1 and starts and ends and not by_name:
                out += _joined(opening, chunk.source(), last=False)
                chunk = _Chunk()
                opening = b"/" if text[end : end + 1] == b"/" else b""
                end += 1 if opening else 0
            else:
                chunk.star()
            at = end
        elif char == b"[":
            source, at = _bracket(text, at + 1)
            chunk.add(source)
        elif char == b"\\":
            if at + 1 == len(text):
                raise _NeverError
            chunk.add(re.escape(text[at + 1 : at + 2]))
            at += 2
        else:
            chunk.add(_ONE if char == b"?" else re.escape(char))
            at += 1
    return out + _joined(opening, chunk.source(), last=True), opening is not None


def _joined(opening: bytes | None, source: bytes, *, last: bool) -> bytes:
    """A chunk with what stands in front of it: nothing, ``**`` and a slash, or a bare ``**``."""
    if opening is None:
        return source
    if last:
        return rb"(?:[^\0]*/)?" + source if opening else rb"[^\0]*" + source
    return b"(?>" + (rb"(?:[^\0]*?/)??" if opening else rb"[^\0]*?") + source + b")" if source else b""


class _Chunk:
    """What stands between two ``**``."""

    def __init__(self) -> None:
        self._done = b""
        self._parts = [b""]

    def add(self, source: bytes) -> None:
        """Add what matches one byte."""
        if source == b"/":
            self._done = self.source() + b"/"
            self._parts = [b""]
        else:
            self._parts[-1] += source

    def star(self) -> None:
        """Add a ``*``."""
        if self._parts[-1] or len(self._parts) == 1:
            self._parts.append(b"")

    def source(self) -> bytes:
        """The expression."""
        first, *more = self._parts
        if not more:
            return self._done + first
        middle = b"".join(b"(?>" + _MANY + b"?" + part + b")" for part in more[:-1])
        return self._done + first + middle + _MANY + more[-1]


def _bracket(text: bytes, at: int) -> tuple[bytes, int]:
    """A set of bytes, from behind its ``[``, and where the pattern goes on.

    Raises:
        _NeverError: It has no end, or a class that there isn't.
    """
    negated = text[at : at + 1] in (b"!", b"^")
    at += negated
    begin = at
    found: set[int] = set()
    before = 0
    # A ] right at the beginning is one of the set.
    while at == begin or text[at : at + 1] != b"]":
        char = _byte(text, at)
        if char == 0x5C:
            at += 1
            char = _byte(text, at)
            found.add(char)
        elif char == 0x2D and before and text[at + 1 : at + 2] not in (b"", b"]"):
            at += 1
            char = _byte(text, at)
            if char == 0x5C:
                at += 1
                char = _byte(text, at)
            found.update(range(before, char + 1))
            char = 0
        elif char == 0x5B and text[at + 1 : at + 2] == b":":
            end = text.find(b"]", at + 2)
            if end < 0:
                raise _NeverError
            if end > at + 2 and text[end - 1 : end] == b":":
                members = _CLASS.get(text[at + 2 : end - 1])
                if members is None:
                    raise _NeverError
                found.update(item for item in range(256) if re.match(members, bytes([item])))
                at, char = end, 0
            else:
                found.add(char)
        else:
            found.add(char)
        before = char
        at += 1
    chosen = (set(range(256)) - found if negated else found) - {0, 0x2F}
    if not chosen:
        raise _NeverError
    return b"[" + b"".join(b"\\x%02x" % item for item in sorted(chosen)) + b"]", at + 1


def _byte(text: bytes, at: int) -> int:
    if at >= len(text):
        raise _NeverError
    return text[at]
