"""Strict JSON for the wire: what is decided on is exactly what runs.

A lenient parser lets two readers of one message see two things (a duplicate key: first or last?), so that what was
authorised isn't what is carried out. Refused here, on stdio and HTTP alike: duplicate keys, NaN and infinities,
integers beyond 2^53-1, lone surrogates, more than 64 levels, batches, and ids that are neither string nor integer; and
more parts than can be looked at without holding up everybody else, since whoever is behind is served by the same loop.

Sources: RFC 8259 section 4 and 8.2, RFC 7493 (I-JSON), JSON-RPC 2.0 section 4, MCP 2025-06-18 (batches removed).
"""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn, cast

PARSE_ERROR = -32700
INVALID_REQUEST = -32600

MAX_DEPTH = 64
MAX_PARTS = 100_000
"""Strings, commas and brackets of a message. Its decoder, and all that looks at it later, take time for each value."""
MAX_INTEGER = 2**53 - 1
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MAX_ID = 1024
"""Characters of a message's id: it comes back in the answer, and stands in the journal."""

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

MAX_SEARCHED = 512 * 1024
"""Bytes of a message nested too deep in which its id is still looked for; that takes time for each bracket."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class WireError(Exception):
    """A message that is refused before anything looks at what it asks for.

    Args:
        code: The JSON-RPC error code.
        message: What was wrong; it never repeats the input.
        request_id: The id to answer with, where it could be read.
    """

    def __init__(self, code: int, message: str, request_id: str | int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id

    def response(self) -> dict[str, Json]:
        """The JSON-RPC error response; its id is null where none could be read (JSON-RPC 2.0 section 5)."""
        return {"jsonrpc": "2.0", "id": self.request_id, "error": {"code": self.code, "message": self.message}}


def _refuse(message: str) -> NoReturn:
    raise WireError(PARSE_ERROR, message)


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        _refuse("Parse error: an object has the same key twice")
    return made


def _integer(digits: str) -> int:
    # Compared by length first: converting a very long run of digits is quadratic.
    if len(digits) > 17 or abs(value := int(digits)) > MAX_INTEGER:
        _refuse("Parse error: an integer is beyond 2^53-1; send it as a string")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        _refuse("Parse error: a number is out of range")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=lambda _: _refuse("Parse error: NaN and Infinity are not JSON"),
    parse_int=_integer,
    parse_float=_float,
)

_Pairs = tuple[tuple[str, Json], ...]
_ID_DECODER = json.JSONDecoder(
    object_pairs_hook=tuple,
    parse_int=lambda digits: int(digits) if len(digits) <= 17 and abs(int(digits)) <= MAX_INTEGER else None,
)
"""Takes what `_DECODER` refuses; objects come as pairs, since of a key that is there twice neither is the right one."""

_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]|,', re.DOTALL)
"""A string that nothing closes is one too: looking for its end from each of its quotes would take quadratic time."""


def _check_shape(data: bytes) -> None:
    """Refuse deep nesting before the recursive decoder sees it, and too many parts before anything is made of them."""
    # Cheap upper bounds first: most messages have fewer brackets than levels allowed, and few commas.
    brackets = data.count(b"[") + data.count(b"{")
    if brackets <= MAX_DEPTH and 2 * brackets + data.count(b",") + data.count(b'"') <= MAX_PARTS:
        return
    depth = 0
    for count, token in enumerate(_STRUCTURE.finditer(data), 1):
        if count > MAX_PARTS:
            _refuse(f"Parse error: more than {MAX_PARTS} strings, commas and brackets; send less at once")
        first = data[token.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                _refuse(f"Parse error: nested deeper than {MAX_DEPTH} levels")
        elif first in b"]}":
            depth -= 1


def _shallow(data: bytes) -> bytes:
    """The same text where its shape is fit; else with a zero for each object and list in the outermost one.

    Empty if it is too long for that, or its brackets don't match.
    """
    try:
        _check_shape(data)
    except WireError:
        if len(data) > MAX_SEARCHED:
            return b""
    else:
        return data
    kept: list[bytes] = []
    depth = last = 0
    for token in _STRUCTURE.finditer(data):
        first = data[token.start()]
        if first in b"[{":
            depth += 1
            if depth == 2:
                kept += (data[last : token.start()], b"0")
        elif first in b"]}":
            depth -= 1
            if depth == 1:
                last = token.end()
    return b"".join([*kept, data[last:]]) if depth == 0 else b""


def decode(data: bytes) -> Json:
    """Decode one JSON text strictly.

    Args:
        data: UTF-8 bytes; a byte order mark is refused, as RFC 8259 section 8.1 lets a parser do. On stdio, that of
            a line is left out before.

    Raises:
        WireError: With PARSE_ERROR; the message says what was wrong without repeating the input.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        _refuse("Parse error: not valid UTF-8")
    if text.startswith("\ufeff"):
        _refuse("Parse error: a byte order mark; send UTF-8 without one")
    _check_shape(data)
    try:
        value = cast("Json", _DECODER.decode(text))
    except (ValueError, RecursionError):
        _refuse("Parse error: not valid JSON")
    # A lone surrogate can only come from a \u escape: valid UTF-8 has none.
    if "\\u" in text and _has_surrogate(value):
        _refuse("Parse error: a string has a lone surrogate")
    return value


def _has_surrogate(value: Json) -> bool:
    if isinstance(value, str):
        return _SURROGATE.search(value) is not None
    if isinstance(value, dict):
        return any(_has_surrogate(key) or _has_surrogate(item) for key, item in value.items())
    if isinstance(value, list):
        return any(_has_surrogate(item) for item in value)
    return False


def decode_message(data: bytes) -> dict[str, Json]:
    """Decode one JSON-RPC message and check its envelope.

    Raises:
        WireError: PARSE_ERROR for text that isn't strict JSON, INVALID_REQUEST for JSON that isn't one message.
    """
    try:
        value = decode(data)
    except WireError as error:
        error.request_id = _readable_id(data)
        raise
    if isinstance(value, list):
        raise WireError(INVALID_REQUEST, "Invalid request: batches are not supported; send one message at a time")
    if not isinstance(value, dict):
        raise WireError(INVALID_REQUEST, "Invalid request: a message is a JSON object")
    request_id: str | int | None = None
    if "id" in value:
        found = value["id"]
        # bool is an int to Python; JSON-RPC forbids it as an id, and MCP forbids null and fractions too.
        if isinstance(found, bool) or not isinstance(found, (str, int)):
            if not ("error" in value and found is None):
                raise WireError(INVALID_REQUEST, "Invalid request: the id must be a string or an integer")
        elif isinstance(found, str) and len(found) > MAX_ID:
            raise WireError(INVALID_REQUEST, f"Invalid request: an id has {MAX_ID} characters at most")
        elif "method" in value or not ("result" in value or "error" in value):
            # That of an answer is one of ours, and may be that of another request of the client's.
            request_id = found
    if value.get("jsonrpc") != "2.0":
        raise WireError(INVALID_REQUEST, 'Invalid request: "jsonrpc" must be "2.0"', request_id)
    if "method" in value:
        if not isinstance(value["method"], str):
            raise WireError(INVALID_REQUEST, "Invalid request: the method must be a string", request_id)
        if not isinstance(value.get("params", {}), dict):
            raise WireError(INVALID_REQUEST, "Invalid request: params must be an object", request_id)
    elif not ("id" in value and ("result" in value) != ("error" in value)):
        raise WireError(
            INVALID_REQUEST, "Invalid request: neither a request, a notification nor a response", request_id
        )
    return value


def _readable_id(data: bytes) -> str | int | None:
    """The id of a message that is refused for what else is in it: a caller that gets no id back waits until it gives up.

    None unless the message is a request with one id, which is one that might be answered. An id in a client's own answer
    is one of ours, and may be that of another request of the client's.
    """
    try:
        pairs: object = _ID_DECODER.decode(_shallow(data).decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    message = cast("_Pairs", pairs) if isinstance(pairs, tuple) else ()
    found = [value for key, value in message if key == "id"]
    if len(found) != 1 or not any(key == "method" for key, _ in message):
        return None
    if isinstance(found[0], str):
        return found[0] if len(found[0]) <= MAX_ID and _SURROGATE.search(found[0]) is None else None
    return found[0] if type(found[0]) is int else None


def sendable(text: str) -> str:
    """The same text with each lone surrogate written as its escape, so that it can be sent as UTF-8."""
    if text.isascii() or _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def sendable_json(value: Json) -> Json:
    """`sendable` over every string and key of a JSON value."""
    if isinstance(value, str):
        return sendable(value)
    if isinstance(value, dict):
        return {sendable(key): sendable_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [sendable_json(item) for item in value]
    return value
