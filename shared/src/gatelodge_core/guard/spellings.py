"""How a secret that the process holds can be spelt in a text: as it is, and in the encodings that text gets on its way."""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Iterator

from gatelodge_core.guard import shapes

MIN_HELD = 6
"""Characters that a held secret needs; a shorter one would be found in every second word."""
_MIN_LINE = 24


def forms(secret: str) -> Iterator[str]:
    """The literal forms in which a secret can stand in a text: itself, hexadecimal, base64, and escaped."""
    data = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield data.hex()
    yield data.hex().upper()
    for shift in range(3):
        # The characters that depend on the secret alone, whatever stands before and after it.
        encoded = base64.b64encode(bytes(shift) + data + bytes(3)).decode("ascii")
        core = encoded[-(-8 * shift // 6) : 8 * (shift + len(data)) // 6]
        yield core
        yield core.translate({ord("+"): "-", ord("/"): "_"})
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield html.escape(secret)
    if "\n" in secret:
        yield from (
            line.strip() for line in secret.splitlines() if len(line.strip()) >= _MIN_LINE and "-----" not in line
        )
    for start, end, _ in shapes.find(secret):
        # The password within a connection string: drivers quote it on its own.
        if MIN_HELD <= end - start < len(secret):
            yield secret[start:end]
            yield urllib.parse.unquote(secret[start:end])


def url_encoded(secret: str) -> re.Pattern[str]:
    """The secret with any of its special characters percent-encoded, once or up to three times (RFC 3986, 2.1)."""
    return re.compile("".join(_one_encoded(char) for char in secret))


def _one_encoded(char: str) -> str:
    if char.isascii() and char.isalnum():
        return char
    codes = "".join(
        "%(?:25){0,2}" + "".join(f"[{digit}{digit.lower()}]" if digit.isalpha() else digit for digit in f"{byte:02X}")
        for byte in char.encode("utf-8", "surrogatepass")
    )
    plus = r"|\+" if char == " " else ""
    return f"(?:{re.escape(char)}|{codes}{plus})"
