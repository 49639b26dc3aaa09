"""Exports as resources: whole if they are small, else in parts that are cut between lines."""

from __future__ import annotations

import anyio.to_thread
from gatelodge_core.declare import Content
from gatelodge_core.errors import CallError

from gatelodge_postgres.dev.exports import Exports

PART = 2_000_000
"""Bytes of one part: the lines that begin in them. As JSON it can take twice as much."""
LINE = 16_000_000
"""Bytes of one line that are read; rows have a bound far below."""


async def part_of(exports: Exports, name: str, part: int) -> Content:
    """A part of one of the caller's exports, from 1; 0 is the whole.

    Raises:
        CallError: ``not_found``; the whole is too large.
    """
    export = exports.get(name)
    count = max(1, -(-export.size // PART))
    if part > count:
        raise CallError("not_found", f"the export has {count} parts.")
    if not part and count > 1:
        hint = f"Read {export.uri}/1 to {export.uri}/{count}; one after another they are the whole."
        raise CallError("too_large", f"the export has {export.size} bytes, {PART} are read at once.", hint)
    data = await anyio.to_thread.run_sync(_read, exports.path(name), max(part, 1))
    return Content(data.decode("utf-8", "replace"), export.mime_type)


def _read(path: str, part: int) -> bytes:
    begin, end = (part - 1) * PART, part * PART
    lines: list[bytes] = []
    try:
        with open(path, "rb") as file:
            if begin:
                # The line that is cut by the border belongs to the part before.
                file.seek(begin - 1)
                file.readline(LINE)
            while file.tell() < end and (line := file.readline(LINE)):
                lines.append(line)
    except OSError:
        raise CallError("not_found", "the export's file is gone.", "Run export_query again.") from None
    return b"".join(lines)
