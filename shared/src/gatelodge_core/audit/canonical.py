"""The one byte form of a JSON value (RFC 8785, JCS), and its digest.

Equal values give equal bytes whatever made them, so a digest taken before a call can be compared with one taken after.
The form is that of RFC 8785 for every value the RFC covers. It goes on where the RFC stops, because a digest must not
crash on what a file system or database returns, nor let two different values share one digest:

- Integers beyond 2**53 - 1 are written with all their digits. JCS would round them to a double, so that
  9007199254740993 and 9007199254740992 would look the same. Our own front refuses them in arguments; results hold them.
- A lone surrogate, as Python makes of an undecodable file name, is written as its six-character escape in lower case,
  as ECMAScript's well-formed JSON.stringify does. No other text gives that form, since a real backslash is doubled.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring
from typing import NamedTuple, cast

MAX_DEPTH = 128
"""Nesting beyond this is refused; the strict wire stops at 64."""

_LONE = re.compile("[\ud800-\udfff]")


class CanonicalError(ValueError):
    """The value has no JSON form: NaN, an infinity, a key that isn't text, nesting too deep, or another type."""


class Digest(NamedTuple):
    """The digest of a value and the size of what was digested.

    Args:
        digest: ``sha256:`` and 64 hexadecimal digits.
        size: Bytes of the canonical form.
    """

    digest: str
    size: int


def canonical(value: object) -> bytes:
    """The canonical form of a JSON value.

    Args:
        value: None, bool, int, float, str, and lists, tuples and mappings of these.

    Raises:
        CanonicalError: The value has no JSON form, or is an integer of more than 4,300 digits.
    """
    parts: list[str] = []
    _write(value, parts, 0)
    text = "".join(parts)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        # Through UTF-16, so that two surrogates that do make a character become that character first.
        joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return _LONE.sub(lambda found: f"\\u{ord(found.group()):04x}", joined).encode("utf-8")


def measure(value: object) -> Digest:
    """The digest and size of a value's canonical form.

    Raises:
        CanonicalError: See `canonical`.
    """
    return measure_form(canonical(value))


def measure_form(form: bytes) -> Digest:
    """The digest and size of a canonical form that was made before."""
    return Digest("sha256:" + hashlib.sha256(form).hexdigest(), len(form))


def digest(value: object) -> str:
    """``sha256:`` and the hexadecimal SHA-256 of a value's canonical form.

    Raises:
        CanonicalError: See `canonical`.
    """
    return measure(value).digest


def _write(value: object, parts: list[str], depth: int) -> None:
    if isinstance(value, str):
        parts.append(encode_basestring(value))
    elif value is None:
        parts.append("null")
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, int):
        parts.append(_integer(value))
    elif isinstance(value, float):
        parts.append(number(value))
    elif depth >= MAX_DEPTH:
        raise CanonicalError(f"nested deeper than {MAX_DEPTH} levels")
    elif isinstance(value, Mapping):
        _write_object(cast("Mapping[object, object]", value), parts, depth)
    elif isinstance(value, (list, tuple)):
        mark = "["
        for item in cast("list[object]", value):
            parts.append(mark)
            _write(item, parts, depth + 1)
            mark = ","
        parts.append("[]" if mark == "[" else "]")
    else:
        raise CanonicalError(f"{type(value).__name__} has no JSON form")


def _write_object(value: Mapping[object, object], parts: list[str], depth: int) -> None:
    mark = "{"
    for key in _ordered(value):
        parts.append(f"{mark}{encode_basestring(key)}:")
        item = value[key]
        # Most values are texts, and a call for each is what takes the time.
        if isinstance(item, str):
            parts.append(encode_basestring(item))
        else:
            _write(item, parts, depth + 1)
        mark = ","
    parts.append("{}" if mark == "{" else "}")


def _ordered(keys: Iterable[object]) -> list[str]:
    texts = cast("Iterable[str]", keys)
    try:
        # Among ASCII keys, as nearly all are, every order is the same.
        if all(map(str.isascii, texts)):
            return sorted(texts)
    except TypeError:
        pass
    return sorted(texts, key=_order)


def _order(key: object) -> bytes:
    """RFC 8785, 3.2.3: keys are sorted by UTF-16 code units, which differs from code points beyond U+FFFF."""
    if not isinstance(key, str):
        raise CanonicalError(f"a key must be text, not {type(key).__name__}")
    return key.encode("utf-16-be", "surrogatepass")


def _integer(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:
        # Python's own limit against quadratic conversion (CVE-2020-10735).
        raise CanonicalError("an integer of more than 4,300 digits") from None


def number(value: float) -> str:
    """A double as ECMAScript writes it (ECMA-262, Number::toString), which RFC 8785 asks for.

    Python's `repr` finds the same shortest digits; only the layout differs.

    Raises:
        CanonicalError: NaN or an infinity.
    """
    if not math.isfinite(value):
        raise CanonicalError("NaN and infinities have no JSON form")
    if value == 0:
        return "0"
    mantissa, _, power = float.__repr__(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    point = len(whole) + int(power or 0)
    digits = whole + fraction
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    sign = "-" if value < 0 else ""
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"
