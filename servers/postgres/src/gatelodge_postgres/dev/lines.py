"""Batches of rows as lines of CSV or JSON, with little done to a single value.

CSV is what PostgreSQL writes of a row, ``ROW (...)::text``, but for its brackets and backslashes: the server does the
work, on its own processor. JSON is made here, a column at a time, by the rules of `reading.render`: most columns of a
batch need nothing done to them, which one look at the whole column tells. A value at a time, 1,000,000 rows of six
columns would take ten seconds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence

from gatelodge_postgres.connect.session import decoded
from gatelodge_postgres.dev.exports import Form
from gatelodge_postgres.dev.streaming import Values
from gatelodge_postgres.reading.describe import BYTEA, JSON_TYPES, Column
from gatelodge_postgres.reading.render import distinct

_BOOL, _NUMERIC = 16, 1700
_INTS = (20, 21, 23, 26)
_NUMBERS = (700, 701, _NUMERIC)
_SPECIAL = re.compile(rb'["\\\x01-\x1f]')
_FIELD = re.compile(rb'(?:"((?:[^"]|"")*)"|([^,]*))(?:,|\Z)')
_EXACT_DIGITS = 15
"""What a double holds in any case."""
CUT = "…".encode()
"""At the end of a value that was cut."""


class Lines:
    """Makes lines of the rows of one query.

    Args:
        columns: What it gives.
        form: What the lines are.
        chars: The most characters of a value; one that has more is cut, marked, and counted.
    """

    def __init__(self, columns: Sequence[Column], form: Form, chars: int) -> None:
        self._columns = columns
        self._csv = form == "csv"
        # Of binary values that many digits, and what stands before them.
        self._most = [chars + 2 if column.oid == BYTEA else chars for column in columns]
        self._least = chars
        names = [column.name for column in columns]
        keys = [json.dumps(name, ensure_ascii=False).encode() for name in distinct(names)]
        self._template = b"{" + b",".join(key.replace(b"%", b"%%") + b":%b" for key in keys) + b"}\n"
        self.head = b",".join(_csv(name.encode()) for name in names) + b"\n" if self._csv else b""
        """What stands before the lines."""
        self.width = 1 if self._csv else len(columns)
        """Values that a row has as it is fetched."""
        self.cut: dict[str, int] = {}
        """How many values were cut, by column."""

    def select(self, wrapped: str) -> tuple[str, int]:
        """What is to be fetched, and how many characters stand before `wrapped` in it."""
        if not self._csv:
            return wrapped, 0
        names = [f"c{number}" for number in range(len(self._columns))]
        parts = [
            f"CASE WHEN w.{name} THEN 'true' WHEN NOT w.{name} THEN 'false' END" if column.oid == _BOOL else f"w.{name}"
            for name, column in zip(names, self._columns, strict=True)
        ]
        # Of numbers and fixed words; `wrapped` is judged, and sent as one statement.
        head = f"SELECT ROW ({', '.join(parts)})::pg_catalog.text FROM (\n"  # noqa: S608
        return f"{head}{wrapped}\n) w({', '.join(names)})", len(head)

    def text(self, values: Values) -> bytes:
        """The lines of some rows, each with a line break at its end."""
        return self._csv_text(values) if self._csv else self._json_text(values)

    def _csv_text(self, values: Values) -> bytes:
        rows = [value for value in _sound(values) if value is not None]
        if max(map(len, rows), default=0) > self._least:
            rows = [self._shortened(row) if len(row) > self._least else row for row in rows]
        # No value holds a NUL.
        joined = b"\0".join(rows).replace(b"\\\\", b"\\")
        return joined[1:-1].replace(b")\0(", b"\n") + b"\n"

    def _shortened(self, row: bytes) -> bytes:
        """A row as PostgreSQL writes it, its long values cut."""
        fields: list[bytes] = []
        for number, match in enumerate(_FIELD.finditer(row[1:-1])):
            if number == len(self._columns):
                break  # the empty match behind the last one
            quoted, plain = match.groups()
            field = match[0][: -1 if match[0].endswith(b",") and match.end() < len(row) - 2 else None]
            if quoted is None:
                text = self._fitting(plain, number)
                fields.append(field if text is plain else text)
            else:
                value = quoted.replace(b'""', b'"').replace(b"\\\\", b"\\")
                text = self._fitting(value, number)
                fields.append(field if text is value else _csv(text).replace(b"\\", b"\\\\"))
        return b"(" + b",".join(fields) + b")"

    def _fitting(self, value: bytes, number: int) -> bytes:
        """A value, cut if it came longer than it may be; the same object if not."""
        most = self._most[number]
        # Bytes are no fewer than characters.
        if len(value) <= most or not self._columns[number].wide:
            return value
        text = value.decode()
        if len(text) <= most:
            return value
        name = self._columns[number].name
        self.cut[name] = self.cut.get(name, 0) + 1
        return text[:most].encode() + CUT

    def _json_text(self, values: Values) -> bytes:
        made: list[list[bytes]] = []
        for number, column in enumerate(self._columns):
            own = values[number :: self.width]
            if column.wide:
                own = _sound(own)
                if max(map(len, filter(None, own)), default=0) > self._most[number]:
                    own = [None if value is None else self._fitting(value, number) for value in own]
            made.append(_json(own, column.oid))
        template = self._template
        return b"".join([template % row for row in zip(*made, strict=True)])


def _csv(text: bytes) -> bytes:
    if text and not any(special in text for special in (b'"', b",", b"\n", b"\r")) and text == text.strip():
        return text
    return b'"' + text.replace(b'"', b'""') + b'"'


def _json(values: Values, kind: int) -> list[bytes]:
    if kind == _BOOL:
        return [b"null" if value is None else (b"true" if value == b"t" else b"false") for value in values]
    if kind in _INTS:
        return [b"null" if value is None else value for value in values]
    if kind in _NUMBERS:
        return [b"null" if value is None else _number(value, kind) for value in values]
    if kind in JSON_TYPES:
        return [b"null" if value is None else _document(value) for value in values]
    present = [value for value in values if value is not None]
    if len(present) == len(values) and not _SPECIAL.search(b"\0".join(present)):
        return [b'"%b"' % value for value in present]
    return [b"null" if value is None else _string(value) for value in values]


def _number(value: bytes, kind: int) -> bytes:
    """A number if a reader that takes numbers for doubles loses nothing, else a string."""
    if len(value) <= _EXACT_DIGITS and value[-1:].isdigit():
        return value
    if value.endswith(CUT) or not math.isfinite(float(value)):
        return b'"%b"' % value
    digits = len(value.lstrip(b"-").replace(b".", b"").lstrip(b"0"))
    return value if kind != _NUMERIC or digits <= _EXACT_DIGITS else b'"%b"' % value


def _document(text: bytes) -> bytes:
    """A JSON value as it is, since its numbers would lose digits on the way; on one line. No such value ends with …."""
    return _string(text) if text.endswith(CUT) else text.replace(b"\n", b" ").replace(b"\r", b" ")


def _string(text: bytes) -> bytes:
    if not _SPECIAL.search(text):
        return b'"%b"' % text
    return json.dumps(text.decode(), ensure_ascii=False).encode()


def _sound(values: Values) -> Values:
    """The values as UTF-8; what is none, as in a SQL_ASCII database, stays visible as escapes."""
    try:
        b"\0".join([value for value in values if value is not None]).decode()
    except UnicodeDecodeError:
        return [None if value is None else decoded(value).encode() for value in values]
    return values
