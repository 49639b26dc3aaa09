"""Occurrences of a pattern in a file, each with a name that holds only for exactly that version of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import regex
from gatelodge_core.errors import CallError

from gatelodge_filesystem.encoding import Encoding, detect, dominant_eol, etag, line_ends
from gatelodge_filesystem.newlines import prepare

MAX_PATTERN = 1000
FILE_SECONDS = 2.0
"""The longest one expression may work on one file."""
_SHOWN = 200
_SAMPLE = 65536


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One match, and what would come in its place.

    Args:
        id: Made of the path, the file's etag and the place: another version has other names.
        begin: Byte offset in the file.
        end: Byte offset behind it.
        new: The bytes that replace it.
        line: The line it begins on, from 1.
        before: That line as it is, cut around the match.
        after: The same with the replacement.
    """

    id: str
    begin: int
    end: int
    new: bytes
    line: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """What to replace, and by what.

    Args:
        compiled: The expression.
        template: The replacement, a template if `expands`.
        expands: Whether groups are put into the template.
    """

    compiled: regex.Pattern[str]
    template: str
    expands: bool


def pattern(text: str, replacement: str, *, expression: bool, sensitive: bool, word: bool) -> Pattern:
    r"""Prepare a pattern and its replacement.

    Args:
        text: A text, or an expression; ``\\n`` matches every kind of line end.
        replacement: Literal, or a template with ``\\1`` and ``\\g<name>`` if `expression`.
        expression: Whether `text` is a regular expression.
        sensitive: Whether upper and lower case differ.
        word: Whether only whole words count.

    Raises:
        CallError: `bad_pattern`.
    """
    if not text or len(text) > MAX_PATTERN:
        raise CallError("bad_pattern", f"a pattern has 1 to {MAX_PATTERN} characters.", "")
    plain = text.replace("\r\n", "\n")
    source = plain if expression else regex.escape(plain, literal_spaces=True)
    try:
        compiled = regex.compile(
            rf"\b(?:{source})\b" if word else source, regex.MULTILINE | (0 if sensitive else regex.IGNORECASE)
        )
    except (regex.error, OverflowError, RecursionError) as error:
        raise CallError(
            "bad_pattern", f"the expression can't be read: {error}.", "Set regex=false to take it as text."
        ) from None
    return Pattern(compiled, replacement.replace("\r\n", "\n"), expression)


def occurrences(data: bytes, path: str, wanted: Pattern, most: int) -> list[Occurrence]:
    """All matches in a file, in order; none if it isn't text.

    Args:
        data: The file.
        path: Its name, for the ids.
        wanted: What to look for.
        most: How many at most; one more is an error.

    Raises:
        CallError: `slow_pattern`, `bad_replacement`, `not_representable`, `too_many_matches`.
    """
    encoding = detect(data[:_SAMPLE], whole=len(data) <= _SAMPLE)
    if not encoding.is_text:
        return []
    body = data[len(encoding.bom) :]
    # Stray bytes in UTF-8 stay themselves; other codecs have to read the file as a whole.
    errors = "surrogateescape" if encoding.codec == "utf-8" else "strict"
    try:
        text = body.decode(encoding.codec, errors)
    except UnicodeDecodeError:
        return []
    hay = prepare(text, "\r\n", "\r", "\n")
    try:
        matches: list[regex.Match[str]] = []
        for found in wanted.compiled.finditer(hay.plain, timeout=FILE_SECONDS, concurrent=True):
            if len(matches) >= most:
                raise CallError("too_many_matches", f"there are more than {most} matches.", "Narrow it: path, globs.")
            matches.append(found)
    except TimeoutError:
        raise CallError(
            "slow_pattern", f"{path}: the expression takes too long.", "Simplify it, or set regex=false."
        ) from None
    if not matches:
        return []
    if text.encode(encoding.codec, errors) != body:
        return []  # what can't be written back as it was is left alone
    eol = dominant_eol(line_ends(body, encoding))
    version = f"{path}\0{etag(data)}"
    made: list[Occurrence] = []
    offset, done, line, counted = len(encoding.bom), 0, 1, 0
    for found in matches:
        begin, end = hay.back(found.start()), hay.back(found.end())
        new = _replacement(found, wanted)
        between, inside = (text[a:b].encode(encoding.codec, errors) for a, b in ((done, begin), (begin, end)))
        first, last = offset + len(between), offset + len(between) + len(inside)
        if data[offset:first] != between or data[first:last] != inside:
            return []  # a codec with states, in which a part of a text has other bytes than in the whole
        line += hay.plain.count("\n", counted, found.start())
        name = hashlib.blake2b(f"{version}\0{first}".encode("utf-8", "surrogateescape"), digest_size=5).hexdigest()
        before, after = _lines(hay.plain, found.start(), found.end(), new)
        made.append(
            Occurrence(name, first, last, _encoded(new.replace("\n", eol), encoding, path), line, before, after)
        )
        offset, done, counted = last, end, found.start()
    return made


def replaced(data: bytes, chosen: Sequence[Occurrence]) -> bytes:
    """The file with these occurrences replaced; every other byte as it was."""
    pieces: list[bytes] = []
    done = 0
    for item in chosen:
        pieces += [data[done : item.begin], item.new]
        done = item.end
    pieces.append(data[done:])
    return b"".join(pieces)


def _replacement(found: regex.Match[str], wanted: Pattern) -> str:
    if not wanted.expands:
        return wanted.template
    try:
        return found.expand(wanted.template)
    except (regex.error, IndexError, KeyError, ValueError) as error:
        raise CallError(
            "bad_replacement",
            f"the replacement can't be used: {error}.",
            r"Groups are \1 or \g<name>; a backslash is \\.",
        ) from None


def _encoded(text: str, encoding: Encoding, path: str) -> bytes:
    try:
        return text.encode(encoding.codec, "surrogateescape" if encoding.codec == "utf-8" else "strict")
    except UnicodeEncodeError as error:
        char = text[error.start]
        raise CallError(
            "not_representable",
            f"{path} is {encoding.codec}, which has no {char!r} (U+{ord(char):04X}).",
            "Use another character, or leave the file out. Nothing was changed.",
        ) from None


def _lines(plain: str, begin: int, end: int, new: str) -> tuple[str, str]:
    """The lines of a match before and after, cut to a moderate length."""
    head = plain[max(plain.rfind("\n", 0, begin) + 1, begin - _SHOWN // 2) : begin]
    stop = plain.find("\n", end)
    tail = plain[end : min(len(plain) if stop < 0 else stop, end + _SHOWN // 2)]
    return _cut(f"{head}{plain[begin:end]}{tail}"), _cut(f"{head}{new}{tail}")


def _cut(text: str) -> str:
    text = text.replace("\n", "\\n")
    return text if len(text) <= 2 * _SHOWN else f"{text[: 2 * _SHOWN]}..."
