"""Names as callers write them: ``schema.name``, ``name``, with quotes where a part has odd characters."""

from __future__ import annotations

import re
from typing import LiteralString

ROWS: LiteralString = (
    "CASE WHEN c.reltuples = 0 AND c.relpages = 0 AND current_setting('server_version_num')::int < 140000 THEN -1 "
    "ELSE c.reltuples END::float8"
)
"""How many rows the server thinks that relation ``c`` has; -1 where nobody counted, for which 13 has 0."""
_PART = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')


def split(text: str) -> tuple[str, str]:
    """(schema, name); the schema is empty where there is none. A leading database part is dropped.

    Unquoted parts are taken as they are where they have capitals: callers copy names from lists, without quotes.
    """
    parts = [(quoted.replace('""', '"') if quoted else plain.strip()) for quoted, plain in _PART.findall(text.strip())]
    if not parts:
        return "", text.strip()
    return (parts[-2] if len(parts) > 1 else "", parts[-1])
