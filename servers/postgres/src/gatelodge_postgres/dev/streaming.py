"""Rows as they arrive: no more than a few of them are held, whatever the rows are.

`libpq` keeps a whole result, so what was to be a batch of small rows could turn out to be one of huge ones. In its modes
for chunks and single rows the server is held back by the network instead, and the time is about the same.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import LiteralString, cast

from psycopg import generators, pq, waiting
from psycopg.errors import error_from_result

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.errors import Stopped

Values = list[bytes | None]
FETCH_ROWS = 5000
CHUNK_ROWS = 4
CANCEL_SECONDS = 2.0
_INTERVAL = 5.0


async def arriving(session: Session, size: int, seconds: float) -> AsyncGenerator[Values]:
    """Batches of rows of the open cursor ``q``; the values of one row after those of another.

    Args:
        session: Whose cursor it is.
        size: Bytes of values that make a batch.
        seconds: The statement timeout, set anew before each fetch: what ran could have changed it.

    Raises:
        psycopg.Error: A fetch failed.
        Stopped: The call has ended.
    """
    pgconn = session.connection.pgconn
    # From libpq 17 on; with an older one each row is a result of its own, which costs a second for each million of them.
    chunked = pgconn.set_chunked_rows_mode if pq.version() >= 170000 else None
    is_busy, get_result = pgconn.is_busy, pgconn.get_result
    whole = True
    fetch = f"FETCH FORWARD {FETCH_ROWS} FROM q"
    batch: Values = []
    held = 0
    try:
        while True:
            # Made of our words and numbers.
            await session.constant(cast("LiteralString", f"SET LOCAL statement_timeout={round(seconds * 1000)}"))
            if session.stopped:
                raise Stopped
            pgconn.send_query(fetch.encode())
            chunked(CHUNK_ROWS) if chunked is not None else pgconn.set_single_row_mode()
            whole = False
            await waiting.wait_async(generators.send(pgconn), pgconn.socket, interval=_INTERVAL)
            count = 0
            while (result := await _next(pgconn) if is_busy() else get_result()) is not None:
                if result.status == pq.ExecStatus.FATAL_ERROR:
                    whole = await _drained(pgconn)
                    raise error_from_result(result, encoding="utf-8")
                value_of, columns, rows = result.get_value, range(result.nfields), range(result.ntuples)
                values = [value_of(row, column) for row in rows for column in columns]
                result.clear()
                count += len(rows)
                batch += values
                held += sum(map(len, filter(None, values)))
                if held >= size or len(batch) >= FETCH_ROWS * max(1, len(columns)):
                    yield batch
                    batch, held = [], 0
            whole = True
            if count < FETCH_ROWS:
                break
        if batch:
            yield batch
    finally:
        if not whole and not session.stopped:
            # Who asked wants no more; what is on its way could still be a lot.
            await session.connection.cancel_safe(timeout=CANCEL_SECONDS)
            await _drained(pgconn)


async def _next(pgconn: pq.abc.PGconn) -> pq.abc.PGresult | None:
    if pgconn.is_busy():
        return await waiting.wait_async(generators.fetch(pgconn), pgconn.socket, interval=_INTERVAL)
    return pgconn.get_result()


async def _drained(pgconn: pq.abc.PGconn) -> bool:
    while await _next(pgconn) is not None:
        pass
    return True
