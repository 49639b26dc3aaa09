r"""What a file's bytes are: the encoding they are shown in, their line ends, and the etag that names them.

Nothing here changes bytes. Line ends are ``\\n``, ``\\r\\n`` and a lone ``\\r`` and nothing else: `str.splitlines` would
also split on form feeds and U+2028, and then disagree with every editor about line numbers.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import string
from dataclasses import dataclass

BINARY = "binary"
LINE_END = re.compile(r"\r\n|\r|\n")
_LINE_END_BYTES = re.compile(rb"\r\n|\r|\n")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16 LE, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Codecs in which a byte below 0x80 may be the second half of a character, so that bytes can't be searched as text.
_STATEFUL = re.compile(r"utf-?(16|32)|shift|sjis|cp932|gb|big5|hz|iso-?2022|johab|cp949", re.IGNORECASE)
_CONTROLS = bytes(range(1, 8)) + bytes(range(14, 27)) + bytes(range(28, 32))
_LETTERS = (string.ascii_letters + string.digits).encode()
_HIGH = bytes(range(0x80, 0x100))


@dataclass(frozen=True, slots=True)
class Encoding:
    """How bytes are read as text.

    Args:
        codec: Python's name of the codec, or ``binary``.
        bom: The byte order mark that the file begins with, never part of its text.
    """

    codec: str
    bom: bytes = b""

    @property
    def is_text(self) -> bool:
        """Whether the bytes are text at all."""
        return self.codec != BINARY

    @property
    def by_bytes(self) -> bool:
        """Whether text can be found by searching its encoded bytes."""
        return _STATEFUL.search(self.codec) is None

    @property
    def name(self) -> str:
        """As it is shown, such as ``utf-16-le with BOM``."""
        return f"{self.codec} with BOM" if self.bom else self.codec

    def decode(self, data: bytes) -> str:
        r"""The text of bytes without their mark; what isn't valid is shown as ``\\xNN``, never dropped."""
        return data.decode(self.codec, "backslashreplace")


UTF8 = Encoding("utf-8")


def etag(data: bytes, sha256: str = "") -> str:
    """The name of exactly these bytes: 16 hex digits of SHA-256, which may be known, and the length in hex."""
    return f"{(sha256 or hashlib.sha256(data).hexdigest())[:16]}-{len(data):x}"


def detect(sample: bytes, *, whole: bool) -> Encoding:
    """The encoding of a file from its beginning.

    Args:
        sample: Its first bytes.
        whole: Whether that is all of it; otherwise a character may be cut at the end.
    """
    for bom, codec in _BOMS:
        if sample.startswith(bom):
            return Encoding(codec, bom)
    if b"\0" in sample:
        return _utf16_without_mark(sample)
    if _is_utf8(sample, whole):
        return UTF8
    if len(sample.translate(None, _CONTROLS)) < 0.9 * len(sample):
        return Encoding(BINARY)
    if _mostly_utf8(sample):
        return UTF8
    return _legacy(sample)


def _is_utf8(sample: bytes, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=whole)
    except UnicodeDecodeError:
        return False
    return True


def _mostly_utf8(sample: bytes) -> bool:
    """Whether stray bytes stand in what is otherwise UTF-8, as in a log that several programs wrote."""
    text = sample.decode("utf-8", "surrogateescape")
    stray = sum("\udc80" <= char <= "\udcff" for char in text)
    good = sum(char > "\x7f" for char in text) - stray
    return good > 4 * stray


def _utf16_without_mark(sample: bytes) -> Encoding:
    """UTF-16 if nearly every second byte is zero, as in text of European languages; else binary."""
    half = max(len(sample) // 2, 1)
    even, odd = sample[0::2].count(0) / half, sample[1::2].count(0) / half
    for codec, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros > 0.7 and others < 0.05:
            try:
                sample[: len(sample) // 2 * 2].decode(codec)
            except UnicodeDecodeError as error:
                if error.start < len(sample) - 4:
                    continue
            return Encoding(codec)
    return Encoding(BINARY)


def _legacy(sample: bytes) -> Encoding:
    import chardet  # noqa: PLC0415 - 48 ms, and few files need it

    found = chardet.detect(sample[:65536])
    codec = found.get("encoding") or "windows-1252"
    try:
        known = codecs.lookup(codec).name
        # A codec that can't read the sample after all would only show escapes.
        codecs.getincrementaldecoder(known)().decode(sample)
        doubtful = _LETTERS.decode(known, "replace").encode() != _LETTERS
    except (LookupError, UnicodeDecodeError):
        return Encoding("latin-1")
    # In EBCDIC every letter and digit is a high byte: where few are, it is a wrong guess, as the detector makes of short texts.
    if doubtful and len(sample.translate(None, _HIGH)) > 0.5 * len(sample):
        return Encoding("latin-1")
    return Encoding("latin-1" if known == "ascii" else known)


def line_ends(data: bytes, encoding: Encoding = UTF8) -> dict[str, int]:
    """How often each line end occurs, by its name: ``crlf``, ``lf``, ``cr``."""
    if encoding.by_bytes:
        # Single bytes are counted many times faster than pairs, and most files have no \r.
        cr = data.count(b"\r")
        crlf = data.count(b"\r\n") if cr else 0
        return {"crlf": crlf, "lf": data.count(b"\n") - crlf, "cr": cr - crlf}
    text = encoding.decode(data)
    crlf = text.count("\r\n")
    return {"crlf": crlf, "lf": text.count("\n") - crlf, "cr": text.count("\r") - crlf}


def eol_name(ends: dict[str, int]) -> str:
    """``lf``, ``crlf``, ``cr``, ``none``, or ``mixed`` with the commonest first."""
    present = sorted((name for name in ends if ends[name]), key=lambda name: -ends[name])
    if len(present) > 1:
        return f"mixed ({', '.join(f'{ends[name]} {name}' for name in present)})"
    return present[0] if present else "none"


def dominant_eol(ends: dict[str, int]) -> str:
    r"""The commonest line end itself; ``\n`` where there is none."""
    best = max(ends, key=lambda name: ends[name])
    return {"crlf": "\r\n", "cr": "\r", "lf": "\n"}[best] if ends[best] else "\n"


def split_lines(text: str) -> list[str]:
    """The lines of a text, each with its end; the last may have none."""
    if "\r" not in text:
        parts = text.split("\n")
        lines = [f"{part}\n" for part in parts[:-1]]
        return [*lines, parts[-1]] if parts[-1] else lines
    lines: list[str] = []
    start = 0
    for found in LINE_END.finditer(text):
        lines.append(text[start : found.end()])
        start = found.end()
    if start < len(text):
        lines.append(text[start:])
    return lines


def count_lines(data: bytes, encoding: Encoding = UTF8) -> int:
    """The number of lines; a last line without an end counts."""
    if not encoding.by_bytes:
        return len(split_lines(encoding.decode(data)))
    ends = len(_LINE_END_BYTES.findall(data)) if b"\r" in data else data.count(b"\n")
    return ends + (0 if not data or data.endswith((b"\n", b"\r")) else 1)


def count_ends(data: bytes, encoding: Encoding = UTF8) -> int:
    """The number of line ends."""
    return sum(line_ends(data, encoding).values())


def nth_line_end(data: bytes, count: int) -> int:
    """Where the line after the first `count` lines begins; the end of the data if it has fewer."""
    at = 0
    if b"\r" in data:
        for found in _LINE_END_BYTES.finditer(data):
            at = found.end()
            count -= 1
            if not count:
                return at
        return len(data)
    # Whole blocks are counted, then the lines of the one that has the wanted end.
    while count > 0:
        block = data.count(b"\n", at, at + 65536)
        if block >= count:
            break
        count -= block
        at += 65536
        if at >= len(data):
            return len(data)
    for _ in range(count):
        at = data.find(b"\n", at) + 1
        if not at:
            return len(data)
    return at
