"""Rows as columns: texts once each and numbers that point at them, packed, compressed, and written as base64.

A browser unpacks each column with ``DecompressionStream`` into a typed array (scripts/columns.js does it).
"""

from __future__ import annotations

import base64
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence

from gatelodge_core.audit.report.flows import Flows, place, sink
from gatelodge_core.audit.report.rows import Row

TEXTS = (
    "server", "kind", "name", "principal", "client", "decision", "status", "effect", "reach", "label", "reason", "rule",
    "answer", "wire", "file",
)  # fmt: skip
"""Fields that become numbers into a list of texts."""
NUMBERS = ("seq", "micros", "args_bytes", "result_bytes", "redactions", "alike")
"""Fields that are written as they are, in 32 bits."""
_CODES = {"B": "u8", "H": "u16", "I": "u32", "d": "f64"}

Column = dict[str, object]


def columns(rows: Sequence[Row], flows: Flows) -> dict[str, object]:
    """All that the scripts need, as JSON has it.

    Returns:
        ``count``, ``columns`` by name, and of the flows ``sources`` and ``sets``.
    """
    times = [row.time for row in rows]
    # Steps rather than times: small numbers compress well.
    steps = [later - earlier for earlier, later in zip([0, *times], times, strict=False)]
    made: dict[str, Column] = {"time": _packed("d", map(float, steps))}
    for name in TEXTS:
        made[name] = _texts([getattr(row, name) for row in rows])
    for name in NUMBERS:
        made[name] = _packed("I", (getattr(row, name) for row in rows))
    made["place"] = _texts([place(row) for row in rows])
    made["sink"] = _texts([sink(row) for row in rows])
    made["proven"] = _packed("B", (int(row.proven) for row in rows))
    made["flow"] = _packed("I", flows.before)
    digests = b"".join(bytes.fromhex(row.digest or "0" * 12) for row in rows)
    made["digest"] = {"type": "u8", "data": _encoded(digests)}
    return {"count": len(rows), "columns": made, "sources": flows.sources, "sets": flows.sets}


def _texts(values: Sequence[str]) -> Column:
    numbers: dict[str, int] = {}
    for value in values:
        numbers.setdefault(value, len(numbers))
    code = "B" if len(numbers) <= 1 << 8 else "H" if len(numbers) <= 1 << 16 else "I"
    return {"texts": list(numbers), **_packed(code, (numbers[value] for value in values))}


def _packed(code: str, values: Iterable[float]) -> Column:
    packed = array(code, values)
    if sys.byteorder == "big":
        packed.byteswap()
    assert packed.itemsize == {"B": 1, "H": 2, "I": 4, "d": 8}[code]
    return {"type": _CODES[code], "data": _encoded(packed.tobytes())}


def _encoded(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 6)).decode("ascii")
