"""What a text becomes once an encoding is taken off, and the parts of a text in which a token can stand.

All of it is linear in the text. Decoders look at long words and at the surroundings of escapes alone, since most of a
text has neither; and what a decoder makes of a word that was never encoded is dropped as unreadable.
"""

from __future__ import annotations

import binascii
import html
import re
import string
import unicodedata
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence

from gatelodge_core.guard.hygiene import GAP, hides_something

LONG = 20
"""Characters of the shortest token that is known by its look."""
READABLE = 12
"""Bytes of the shortest part of decoded bytes that is taken for text."""
REACH = 512
"""Characters around an escape that are decoded with it."""
APART = "\n\n"
"""Between texts that don't belong together: nothing is read across an empty line."""
_SHIFTED = 16384
"""Characters of the longest run that is also decoded from its second, third and fourth character."""
_WORDS = bytes(byte if chr(byte) in string.ascii_letters + string.digits + "_+/=.~%:\\-" else 32 for byte in range(256))
HEX_DIGITS = b"0123456789abcdefABCDEF"
_RUN = re.compile(rb"[A-Za-z0-9+/_-]{20,}+")
_HEX_RUN = re.compile(rb"[0-9A-Fa-f]{24,}+")
_CODE = string.ascii_letters + string.digits + "+/_-"
_PIECE = r"[ \t>|*#]{0,16}+[\w+/-]{2,}+"
_WRAPPED = re.compile(
    rf"\n(?:(?<=[\w+/-]{{8}}\n)|(?<=[\w+/-]{{8}}[\r \\]\n)){_PIECE}(?:[ \t\r\\]{{0,2}}+\n{_PIECE})*+", re.ASCII
)
"""The second and the following lines of a long run that is broken into lines."""
_NOT_CODE = re.compile(r"[^\w+/-]+", re.ASCII)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_CLASSES = bytes(
    ord("t" if byte in b"\t\n\r" or 32 <= byte < 127 else "h" if 0x80 <= byte <= 0xF4 else " ") for byte in range(256)
)
"""Of each byte, whether it is text in ASCII, or may belong to a longer character of UTF-8."""
_READABLE = (re.compile(b"tttt+(?:h{2,4}t+)*"), re.compile(b"h" * 12 + b"h*(?:t{1,3}h{2,})*"))
_EMPTY_LINES = re.compile(r"\n\n\n+")
_MARKS = re.compile("[\u0300-\u036f]+")
_ESCAPE = re.compile(
    r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|([0-7]{3})|([nrt\"'/\\\n]))"
)
_ENCODED = re.compile(
    r"[%&\\](?:(?<=%)[0-9A-Fa-f]{2}|(?<=&)(?:#[0-9xX]|[A-Za-z]{2,24};)"
    r"|(?<=\\)(?:[uU][0-9A-Fa-f{]|x[0-9A-Fa-f]|[0-7]{3}|/|(?<=[\w+/]{4}\\)[nr\n](?=[\w+/\\]{2})))"
)
"""Where an escape begins. One of a line feed counts only between two words, since code is full of them."""
_JOINED = re.compile(r"[\"'`](?<=[\w+/=-].)[ \t]{0,8}+(?:\+|\.\.?|&|\\)?\s{0,24}+[\"'`](?=[\w+/=-])")
"""Between two halves of a text in program code: `"ab" + "cd"`, or one below the other."""
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "\n": ""}


def disguised(text: str) -> str:
    """The lines of a text with characters that are not plain ASCII, in plain form; empty if there are none.

    That is the compatibility form (Unicode NFKD) without marks on letters and without what can't be seen. The composed
    form wouldn't do: it hides the last letter of a token in the mark that follows it.
    """
    spaced = text.replace("\t", " ")
    if spaced.isascii() and not hides_something(spaced):
        return ""
    lines = ("" if line.isascii() and line.isprintable() else line for line in spaced.split("\n"))
    chosen = _EMPTY_LINES.sub(APART, "\n".join(lines))
    return GAP.sub("", _MARKS.sub("", unicodedata.normalize("NFKD", chosen)))


def long_words(text: str) -> list[bytes]:
    """The words of a text that are long enough for a token, of characters that tokens have."""
    return [word for word in text.encode("ascii", "replace").translate(_WORDS).split() if len(word) >= LONG]


def excerpts(text: str, spots: Iterable[tuple[int, int]]) -> str:
    """Parts of a text, each on lines of its own.

    Args:
        text: The text.
        spots: Starts and ends, sorted by start; those that overlap become one part.
    """
    parts: list[str] = []
    first = last = 0
    for start, end in spots:
        if start > last:
            parts.append(text[first:last])
            first = max(start, 0)
        last = max(last, end)
    parts.append(text[first:last])
    return APART.join(part for part in parts if part)


def unescaped(text: str) -> str:
    """The parts of a text that have escapes, with these decoded; empty if it has none.

    Percent-encoding (RFC 3986), HTML entities, escapes of JSON, C and Python, and texts joined by program code.
    """
    part = _surroundings(text, _ENCODED)
    if part:
        if "%" in part:
            part = urllib.parse.unquote(part, errors="replace")
        if "&" in part:
            part = html.unescape(part)
        if "\\" in part:
            part = _ESCAPE.sub(_character, part)
            # Characters beyond U+FFFF come as two escapes in JSON.
            part = part.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    joined = _surroundings(text, _JOINED)
    return APART.join(found for found in (part, _JOINED.sub("", joined)) if found)


def _surroundings(text: str, sign: re.Pattern[str]) -> str:
    return excerpts(text, ((match.start() - REACH, match.end() + REACH) for match in sign.finditer(text)))


def _character(match: re.Match[str]) -> str:
    simple: str | None = match[6]
    if simple is not None:
        return _CONTROLS.get(simple, simple)
    octal: str | None = match[5]
    code = int(octal, 8) if octal else int(match[match.lastindex or 0], 16)
    return chr(code) if code <= 0x10FFFF else match[0]


def decoded(text: str, words: Sequence[bytes]) -> str:
    """What can be read in a text's runs of base64 (both alphabets, padded or not, wrapped or not) and hexadecimal.

    Args:
        text: The text.
        words: Its long words.

    Returns:
        Each readable part on lines of its own; empty if there is none.
    """
    runs = [run for word in words for run in _RUN.findall(word)]
    runs += _wrapped(text)
    return APART.join(part for data in (*_from_base64(runs), *_from_hex(runs)) if (part := readable(data)))


def _wrapped(text: str) -> Iterator[bytes]:
    """Runs that are broken into lines, put together."""
    for match in _WRAPPED.finditer(text):
        before = text[max(0, match.start() - REACH) : match.start()].rstrip(" \t\r\\")
        first = before[len(before.rstrip(_CODE)) :]
        run = _NOT_CODE.sub("", first + match[0])
        if len(run) >= LONG:
            yield run.encode("ascii")


def _from_base64(runs: list[bytes]) -> Iterator[bytes]:
    """The runs decoded, from each of the characters at which a group of four may begin."""
    # Text in base64 never has the look of hexadecimal; digests have.
    runs = [run for run in runs if run.strip(HEX_DIGITS)]
    for shift in range(4):
        chosen = [run[shift:] for run in runs if not shift or len(run) <= _SHIFTED]
        # Filled up with zero bits, and three bytes that are no text between one run and the next.
        code = b"".join(run + b"A" * (-len(run) % 4) + b"AQEB" for run in chosen)
        yield binascii.a2b_base64(code.translate(_URL_SAFE))


def _from_hex(runs: list[bytes]) -> Iterator[bytes]:
    digits = _HEX_RUN.findall(b" ".join(runs))
    for shift in range(2):
        yield binascii.a2b_hex(b"01".join(run[shift : len(run) - (len(run) - shift) % 2] for run in digits))


def readable(data: bytes) -> str:
    """The parts of some bytes that are text in UTF-8 or, as far as it is ASCII, in UTF-16 and UTF-32."""
    parts: list[bytes] = []
    for form in (data, data.replace(b"\0", b"")) if b"\0" in data else (data,):
        classes = form.translate(_CLASSES)
        for pattern in _READABLE:
            spans = (match.span() for match in pattern.finditer(classes))
            parts += (form[start:end] for start, end in spans if end - start >= READABLE)
    return APART.encode().join(dict.fromkeys(parts)).decode("utf-8", "replace")
