r"""Editing by exact text: spans are found and replaced, and every byte outside them stays what it was.

The file is never decoded, changed and encoded as a whole: line ends (also mixed ones), byte order mark, stray invalid
bytes and a missing final newline survive. Text is matched exactly; if that fails, with line ends made equal, since a
model writes ``\n`` whatever the file has. Replacements are literal: ``$1`` and ``\1`` mean themselves.
"""

from __future__ import annotations

import codecs
import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import AnyStr, Generic, TypeVar, cast

from gatelodge_core.errors import CallError

from gatelodge_filesystem.encoding import LINE_END, Encoding, dominant_eol, line_ends
from gatelodge_filesystem.linewise import Placed, by_lines
from gatelodge_filesystem.linewise import flexible as find_flexible
from gatelodge_filesystem.matching import (
    MAX_MATCHES,
    Deadline,
    ambiguous,
    apart,
    nearest,
    occurrences,
    too_many,
)
from gatelodge_filesystem.nearest import MAX_BYTES, explain_no_match
from gatelodge_filesystem.newlines import Hay, prepare

T = TypeVar("T")

MAX_FLEXIBLE = 8_000_000
"""Characters of a file in which text is looked for whatever its indentation: all its lines are taken apart for that."""
SECONDS = 20.0
"""The longest all edits of a call may be looked for: the file is locked, and a call that was cancelled goes on to here."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement.

    Args:
        old: The text to find, exact but for line ends.
        new: What to put there instead.
        replace_all: Replace every occurrence.
        expected_count: Replace every occurrence if there are exactly so many; 0 expects one.
        near_line: Of several occurrences, take the one nearest to this line, if one is strictly nearest.
        start_line: Replace this line and those up to `end_line`, whose text has to be `old`; 0 to look for `old`.
        end_line: The last of them; negative for `start_line` itself. One less than `start_line`, with an empty `old`, inserts.
    """

    old: str
    new: str
    replace_all: bool = False
    expected_count: int = 0
    near_line: int = 0
    start_line: int = 0
    end_line: int = -1


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of a list of edits.

    Args:
        data: The new bytes.
        spans: Of the old bytes: (begin, end, replacement), in order; what is between them is untouched.
        counts: How many replacements each edit made.
    """

    data: bytes
    spans: tuple[tuple[int, int, bytes], ...]
    counts: tuple[int, ...]


def apply(
    data: bytes, edits: Sequence[Edit], encoding: Encoding, *, flexible: bool = False, seconds: float = SECONDS
) -> Applied:
    """Apply all edits to the same original bytes, or none.

    Args:
        data: The file.
        edits: They.
        encoding: How the file is read as text.
        flexible: Whether text that is nowhere as it was written is looked for whatever its indentation.
        seconds: The longest the edits may be looked for.

    Raises:
        CallError: `no_match` with the nearest candidates, `ambiguous_edit` with the line numbers, `overlapping_edits`,
            `too_many_matches`, `too_large`, `timeout`, `not_representable`, or `bad_edit`.
    """
    if not edits:
        raise CallError(
            "bad_edit", "there is nothing to do: edits is empty.", 'Send edits=[{"old":"...","new":"..."}].'
        )
    deadline = Deadline(time.monotonic() + seconds)
    body = data[len(encoding.bom) :]
    eol = dominant_eol(line_ends(body, encoding))
    if encoding.by_bytes:
        hay = prepare(body, b"\r\n", b"\r", b"\n")
        found = _within(
            _spans(hay, _encoded(edit, encoding, eol), number, body, encoding, deadline, flexible=flexible)
            for number, edit in enumerate(edits, 1)
        )
        spans = [(begin, end, new) for group in found for begin, end, new in group]
    else:
        text = _round_trip(body, encoding)
        characters = prepare(text, "\r\n", "\r", "\n")
        groups = _within(
            _spans(characters, _texts(edit, eol), number, body, encoding, deadline, flexible=flexible)
            for number, edit in enumerate(edits, 1)
        )
        found = groups
        widths = _widths(text, [at for group in groups for span in group for at in span[:2]], encoding)
        spans = [(widths[begin], widths[end], _encode(new, encoding)) for group in groups for begin, end, new in group]
    spans.sort(key=lambda span: span[:2])
    for before, after in itertools.pairwise(spans):
        if after[0] < before[1] or after[:2] == before[:2]:
            raise CallError(
                "overlapping_edits",
                f"two edits change the same text, at line {_line(body, after[0], encoding)}.",
                "Join them into one edit. Nothing was changed.",
            )
    pieces: list[bytes] = [data[: len(encoding.bom)]]
    done = 0
    for begin, end, new in spans:
        pieces += [body[done:begin], new]
        done = end
    pieces.append(body[done:])
    shift = len(encoding.bom)
    placed = tuple((begin + shift, end + shift, new) for begin, end, new in spans)
    return Applied(b"".join(pieces), placed, tuple(len(group) for group in found))


@dataclass(frozen=True, slots=True)
class _Wanted(Generic[AnyStr]):
    """An edit in the form of what is searched."""

    edit: Edit
    old: AnyStr
    plain: AnyStr
    new: AnyStr
    eol: AnyStr


def _texts(edit: Edit, eol: str) -> _Wanted[str]:
    if not edit.old and not edit.start_line:
        raise CallError("bad_edit", "old is empty.", "Give the exact text to replace; write_file makes a whole file.")
    if edit.old == edit.new:
        raise CallError("bad_edit", "old and new are the same text.", "Nothing was changed.")
    return _Wanted(edit, edit.old, LINE_END.sub("\n", edit.old), LINE_END.sub("\n", edit.new), eol)


def _encoded(edit: Edit, encoding: Encoding, eol: str) -> _Wanted[bytes]:
    texts = _texts(edit, eol)
    return _Wanted(edit, *(_encode(text, encoding) for text in (texts.old, texts.plain, texts.new, texts.eol)))


def _encode(text: str, encoding: Encoding) -> bytes:
    try:
        return text.encode(encoding.codec)
    except UnicodeEncodeError as error:
        char = text[error.start]
        raise CallError(
            "not_representable",
            f"the file is {encoding.codec}, which has no {char!r} (U+{ord(char):04X}).",
            "Use another character, or rewrite the file in UTF-8 with write_file. Nothing was changed.",
        ) from None


def _round_trip(body: bytes, encoding: Encoding) -> str:
    try:
        text = body.decode(encoding.codec)
    except UnicodeDecodeError:
        text = ""
    if text.encode(encoding.codec) != body:
        raise CallError(
            "not_representable",
            f"the file is {encoding.codec} with bytes that don't survive being read and written.",
            "It can only be replaced whole, with write_file.",
        )
    return text


def _within(groups: Iterable[list[T]]) -> list[list[T]]:
    """The replacements of all edits, as long as they are not too many together."""
    found: list[list[T]] = []
    total = 0
    for number, group in enumerate(groups, 1):
        total += len(group)
        if total > MAX_MATCHES:
            raise too_many(f"the first {number} edits replace")
        found.append(group)
    return found


def _spans(
    hay: Hay[AnyStr],
    wanted: _Wanted[AnyStr],
    number: int,
    body: bytes,
    encoding: Encoding,
    deadline: Deadline,
    *,
    flexible: bool,
) -> list[tuple[int, int, AnyStr]]:
    """The spans of `hay.whole` that an edit replaces, and with what."""
    deadline.check(number)
    if wanted.edit.start_line:
        return _by_lines(hay, wanted, number)
    starts = occurrences(hay.plain, wanted.plain, number, deadline)
    # Text that has a \r of its own is looked for as it is written first.
    if len(starts) > 1 and wanted.old != wanted.plain:
        exact = set(occurrences(hay.whole, wanted.old, number, deadline))
        starts = [start for start in starts if hay.back(start) in exact] or starts
    edit = wanted.edit
    if not starts and flexible:
        if len(hay.plain) > MAX_FLEXIBLE:
            raise CallError(
                "too_large",
                f"edit {number}: old is nowhere as it is written, and the file is too large to look for it otherwise.",
                f"whitespace=flexible takes files of up to {MAX_FLEXIBLE:,} characters. Nothing was changed.",
            )
        found = _flexible(hay, wanted)
        if len(found) > 1:
            raise ambiguous(hay, [start for start, _ in found], number, "flexible text must be unique")
        if found:
            return _placed(hay, found[0][1], [found[0][0]])
    if not starts:
        raise explain_no_match(edit.old, edit.new, encoding.decode(body[:MAX_BYTES]), number)
    if edit.replace_all or edit.expected_count:
        starts = apart(starts, len(wanted.plain))
        if edit.expected_count and len(starts) != edit.expected_count:
            raise ambiguous(hay, starts, number, f"expected_count is {edit.expected_count}")
    elif len(starts) > 1:
        chosen = nearest(hay, starts, edit.near_line)
        if chosen is None:
            raise ambiguous(hay, starts, number, "old must be unique")
        starts = [chosen]
    return _placed(hay, wanted, starts)


def _by_lines(hay: Hay[AnyStr], wanted: _Wanted[AnyStr], number: int) -> list[tuple[int, int, AnyStr]]:
    edit = wanted.edit
    last = edit.start_line if edit.end_line < 0 else edit.end_line
    placed = by_lines(
        _characters(hay.plain), edit.start_line, last, _characters(wanted.plain), _characters(wanted.new), number
    )
    return _placed(hay, _adjusted(hay, wanted, placed), [placed.start])


def _flexible(hay: Hay[AnyStr], wanted: _Wanted[AnyStr]) -> list[tuple[int, _Wanted[AnyStr]]]:
    found = find_flexible(_characters(hay.plain), _characters(wanted.plain), _characters(wanted.new))
    return [(placed.start, _adjusted(hay, wanted, placed)) for placed in found]


def _adjusted(hay: Hay[AnyStr], wanted: _Wanted[AnyStr], placed: Placed) -> _Wanted[AnyStr]:
    old, new = _back(placed.old, hay.plain), _back(placed.new, hay.plain)
    return _Wanted(wanted.edit, old, old, new, wanted.eol)


def _characters(text: AnyStr) -> str:
    return text if isinstance(text, str) else text.decode("latin-1")


def _back(text: str, like: AnyStr) -> AnyStr:
    return cast("AnyStr", text if isinstance(like, str) else text.encode("latin-1"))


def _placed(hay: Hay[AnyStr], wanted: _Wanted[AnyStr], starts: Sequence[int]) -> list[tuple[int, int, AnyStr]]:
    """The replacements, narrowed to what differs, so that line ends inside the common part stay as they are."""
    old, new = wanted.plain, wanted.new
    limit = min(len(old), len(new))
    head = 0
    while head < limit and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < limit - head and old[len(old) - 1 - tail] == new[len(new) - 1 - tail]:
        tail += 1
    middle = new[head : len(new) - tail].replace(hay.newline, wanted.eol)
    last = len(old) - tail
    return [(hay.back(start + head), hay.back(start + last), middle) for start in starts]


def _line(body: bytes, offset: int, encoding: Encoding) -> int:
    return len(LINE_END.findall(encoding.decode(body[:offset]))) + 1


def _widths(text: str, places: Sequence[int], encoding: Encoding) -> dict[int, int]:
    """The bytes before places in a text; it is encoded through once."""
    encoder = codecs.getincrementalencoder(encoding.codec)()
    widths: dict[int, int] = {}
    width = done = 0
    for place in sorted(set(places)):
        width += len(encoder.encode(text[done:place]))
        done = place
        widths[place] = width
    return widths
