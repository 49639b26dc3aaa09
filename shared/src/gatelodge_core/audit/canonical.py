"""Canonical JSON and digests: one value, one form, one name.

The form is RFC 8785 (JCS): keys sorted by their UTF-16 code units, no white space, numbers as ECMAScript writes them.
Two departures, since arguments are hostile: lone surrogates, which UTF-8 can't carry, are written as escapes, and
integers beyond 2^53 keep their digits.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import cast


def canonical(value: object) -> bytes:
    """The canonical form of a JSON value.

    Raises:
        TypeError: It isn't a JSON value.
        ValueError: It has a NaN or infinity.
    """
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode("utf-8", "backslashreplace")


def digest(value: object) -> str:
    """``sha256:`` and the hex digest of the canonical form, or of bytes that are one already."""
    form = value if isinstance(value, bytes) else canonical(value)
    return f"sha256:{hashlib.sha256(form).hexdigest()}"


def _write(value: object, parts: list[str]) -> None:
    if value is None or isinstance(value, (bool, int, str)):
        # Python writes these as ECMAScript does.
        parts.append(json.dumps(value, ensure_ascii=False))
    elif isinstance(value, float):
        parts.append(_number(value))
    elif isinstance(value, Mapping):
        table = cast("Mapping[str, object]", value)
        parts.append("{")
        for number, key in enumerate(sorted(table, key=lambda key: key.encode("utf-16-be", "surrogatepass"))):
            parts.append(("," if number else "") + json.dumps(key, ensure_ascii=False) + ":")
            _write(table[key], parts)
        parts.append("}")
    elif isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        parts.append("[")
        for number, item in enumerate(cast("Sequence[object]", value)):
            if number:
                parts.append(",")
            _write(item, parts)
        parts.append("]")
    else:
        raise TypeError(f"{type(value).__name__} is no JSON value")


def _number(value: float) -> str:
    """A double as ECMAScript's Number.prototype.toString writes it (ECMA-262, 6.1.6.1.20)."""
    if not math.isfinite(value):
        raise ValueError("NaN and infinities are no JSON values")
    if value == 0:
        return "0"
    if value < 0:
        return f"-{_number(-value)}"
    # repr gives the shortest digits that lead back to the same double, which is what ECMAScript asks for.
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) + len(whole) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        if len(digits) <= point:
            return digits + "0" * (point - len(digits))
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    sign = "+" if point > 0 else "-"
    head = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{head}e{sign}{abs(point - 1)}"
