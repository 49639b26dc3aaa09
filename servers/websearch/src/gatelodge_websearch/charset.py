"""From bytes to text: byte order mark, header, the page's own word, then detection.

The order is that of the WHATWG encoding sniffing algorithm, with detection by `charset_normalizer` at its end.
"""

from __future__ import annotations

import codecs
import re

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_HEADER = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_META = re.compile(rb"<meta[^>]{0,400}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_LOOKED = 4096
"""Bytes in which a page may say its charset; the standard has 1024, real pages put scripts before it."""
_SAMPLE = 64 * 1024
# Browsers read these labels as the Windows page that contains them.
_WIDER = {"iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "tis-620": "cp874"}  # fmt: skip
_NO_CHARSETS = frozenset({"utf-7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"})  # fmt: skip
"""Encodings of Python that no page is in; in some of them plain text says something else."""


def decode(data: bytes, content_type: str = "") -> tuple[str, str]:
    """Text of a body, and the charset it was read by. It never fails: what can't be read becomes U+FFFD.

    Args:
        data: The body.
        content_type: The header, with its charset if it has one.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace"), name
    for label in (_label(_HEADER.search(content_type)), _label(_META.search(data[:_LOOKED])), _label(_XML.match(data))):
        name = _usable(label)
        if name:
            # A page that says it in ASCII can't be UTF-16 (HTML, section 13.2.3.2).
            name = "utf-8" if name.startswith("utf-16") and b"\0" not in data[:_LOOKED] else name
            return data.decode(name, "replace"), name
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        if error.end == len(data) and error.reason == "unexpected end of data":
            # Cut in the middle of a character, at a cap.
            return data[: error.start].decode("utf-8"), "utf-8"
        name = _detected(data[:_SAMPLE])
        return data.decode(name, "replace"), name


def _label(found: re.Match[str] | re.Match[bytes] | None) -> str:
    label = found[1] if found else ""
    return label.decode("ascii") if isinstance(label, bytes) else label


def _usable(label: str) -> str:
    """The name of a text encoding of Python, or nothing."""
    if not label:
        return ""
    try:
        name = codecs.lookup(label).name
        b"x".decode(name)
    except (LookupError, ValueError):
        return ""
    return "" if name in _NO_CHARSETS else _WIDER.get(name, name)


def _detected(sample: bytes) -> str:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - most pages say what they are

    best = from_bytes(sample).best()
    return _usable(best.encoding) or "cp1252" if best is not None else "cp1252"
