"""One transaction on one connection, and the only place that sends SQL.

A caller's text travels by the extended protocol alone, where PostgreSQL itself refuses a second statement. The simple
protocol, which would run several, carries only texts of our own: `constant` takes nothing else.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, LiteralString, cast

import psycopg
from gatelodge_core.errors import CallError
from psycopg import AsyncConnection, generators, pq, waiting
from psycopg.abc import PQGen
from psycopg.errors import error_from_result

from gatelodge_postgres.errors import Stopped

Connection = AsyncConnection[Any]
MAX_NOTICES = 20
MAX_NOTICE = 300
_INTERVAL = 5.0
"""Seconds after which waiting looks up by itself; the socket wakes it long before."""
_COPY = (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH)
_BOOL, _INTS, _FLOATS, _JSON = 16, (20, 21, 23, 26), (700, 701), (114, 3802)


class Session:
    """A transaction that has begun; it ends with the lease that gave it.

    Args:
        connection: Leased for this transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.notices: list[str] = []
        self.stopped = False
        """Set when the call was cancelled or timed out: nothing more is sent."""
        self.afterwards: list[LiteralString] = []
        """Statements to run once the transaction has ended, to undo what no rollback does."""
        self.tainted = False
        """Set when a caller's text ran: it may have left locks or the like, which a rollback leaves too."""

    @property
    def version(self) -> int:
        """The server's version, such as 150018."""
        return self.connection.pgconn.server_version

    def note(self, notice: psycopg.errors.Diagnostic) -> None:
        """Remember what the server says beside, such as RAISE NOTICE."""
        if len(self.notices) < MAX_NOTICES:
            self.notices.append(f"{notice.severity}: {notice.message_primary}"[:MAX_NOTICE])

    async def constant(self, sql: LiteralString) -> list[pq.abc.PGresult]:
        """Send statements of our own, without parameters, in one message.

        Raises:
            psycopg.Error: One failed; those after it did not run.
            Stopped: The call has ended.
        """
        self._pgconn().send_query(sql.encode())
        return await self._results()

    async def extended(self, sql: str, parameters: Sequence[object] = ()) -> pq.abc.PGresult:
        """Send one statement, of whoever, by the extended protocol; values come back as text.

        Raises:
            psycopg.Error: It failed, or there is more than one statement.
            CallError: A parameter has no form that can be sent.
            Stopped: The call has ended.
        """
        values = [wire(value) for value in parameters]
        self._pgconn().send_query_params(encoded(sql), values)
        (result,) = await self._results()
        return result

    async def prepare(self, sql: str) -> pq.abc.PGresult:
        """Parse and describe a statement without running it: its columns and the types of its parameters.

        Raises:
            psycopg.Error: It can't be parsed, or there is more than one.
            Stopped: The call has ended.
        """
        text = encoded(sql)
        pgconn = self._pgconn()
        _, described = await self._piped([partial(pgconn.send_prepare, b"", text), _describing(pgconn)])
        return described

    async def prepare_and_run(
        self, sql: str, other: str, parameters: Sequence[object]
    ) -> tuple[pq.abc.PGresult, pq.abc.PGresult]:
        """`prepare` one statement and run another, such as its EXPLAIN, in one round trip.

        Raises:
            psycopg.Error: Of the first that failed.
            CallError: A parameter has no form that can be sent.
            Stopped: The call has ended.
        """
        text, running, values = encoded(sql), encoded(other), [wire(value) for value in parameters]
        pgconn = self._pgconn()
        _, described, result = await self._piped(
            [
                partial(pgconn.send_prepare, b"", text),
                _describing(pgconn),
                partial(pgconn.send_query_params, running, values),
            ]
        )
        return described, result

    async def rows(self, sql: LiteralString, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows of a statement of our own, with booleans, integers, floats and JSON as Python's, the rest as text.

        Raises:
            psycopg.Error: It failed.
            Stopped: The call has ended.
        """
        result = await self.extended(sql, parameters)
        kinds = [result.ftype(column) for column in range(result.nfields)]
        return [
            tuple(_value(result.get_value(row, column), kind) for column, kind in enumerate(kinds))
            for row in range(result.ntuples)
        ]

    async def pipeline(
        self, statements: Sequence[tuple[str, Sequence[object]]], *, describing: str = ""
    ) -> list[pq.abc.PGresult]:
        """Send several statements, each by the extended protocol, in one round trip; a result each.

        Args:
            statements: Texts with their parameters.
            describing: A statement that is to be described before them; its description is the first result then.

        Raises:
            psycopg.Error: Of the first that failed; those after it did not run.
            CallError: A parameter has no form that can be sent.
            Stopped: The call has ended.
        """
        messages = [(encoded(sql), [wire(value) for value in parameters]) for sql, parameters in statements]
        pgconn = self._pgconn()
        sends: list[Callable[[], None]] = []
        if describing:
            sends = [partial(pgconn.send_prepare, b"", encoded(describing)), _describing(pgconn)]
        sends += [partial(pgconn.send_query_params, text, values) for text, values in messages]
        return (await self._piped(sends))[1 if describing else 0 :]

    async def _piped(self, messages: Sequence[Callable[[], None]]) -> list[pq.abc.PGresult]:
        """Send messages of the extended protocol together; a result each."""
        pgconn = self._pgconn()
        pgconn.enter_pipeline_mode()
        try:
            for send in messages:
                send()
            pgconn.pipeline_sync()
            results = await waiting.wait_async(_collected(pgconn), pgconn.socket, interval=_INTERVAL)
        finally:
            if pgconn.status == pq.ConnStatus.OK and pgconn.transaction_status != pq.TransactionStatus.ACTIVE:
                pgconn.exit_pipeline_mode()
        return _checked(pgconn, results)

    def _pgconn(self) -> pq.abc.PGconn:
        """Where the next message goes.

        Raises:
            Stopped: The call has ended.
        """
        if self.stopped:
            raise Stopped
        return self.connection.pgconn

    async def _results(self) -> list[pq.abc.PGresult]:
        """What the server answers to the message just sent."""
        pgconn = self.connection.pgconn
        # Not through the connection: interrupted, that would try to cancel by itself, and wait for it.
        results = await waiting.wait_async(_gathered(pgconn), pgconn.socket, interval=_INTERVAL)
        return _checked(pgconn, results)


def _gathered(pgconn: pq.abc.PGconn) -> PQGen[list[pq.abc.PGresult]]:
    """Send what lies ready, and collect all results."""
    results: list[pq.abc.PGresult] = []
    try:
        yield from generators.send(pgconn)
        while (result := (yield from generators.fetch(pgconn))) is not None:
            results.append(result)
            if result.status in _COPY:
                break
    except psycopg.OperationalError:
        if not _has_failed(results):
            raise  # else the server said why, before it closed the connection
    return results


def _has_failed(results: list[pq.abc.PGresult]) -> bool:
    return any(result.status == pq.ExecStatus.FATAL_ERROR for result in results)


def _collected(pgconn: pq.abc.PGconn) -> PQGen[list[pq.abc.PGresult]]:
    """Send what lies ready, and collect a result for each statement up to the end of the pipeline."""
    results: list[pq.abc.PGresult] = []
    try:
        while pgconn.flush():
            if (yield waiting.Wait.RW) & waiting.Ready.R:
                pgconn.consume_input()
        while True:
            while pgconn.is_busy():
                yield waiting.Wait.R
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:
                if pgconn.status != pq.ConnStatus.OK:
                    raise psycopg.OperationalError("the connection is lost")
                continue  # between the statements
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                return results
            results.append(result)
    except psycopg.OperationalError:
        if not _has_failed(results):
            raise
    return results


def _describing(pgconn: pq.abc.PGconn) -> Callable[[], None]:
    return partial(pgconn.send_describe_prepared, b"")


def _checked(pgconn: pq.abc.PGconn, results: list[pq.abc.PGresult]) -> list[pq.abc.PGresult]:
    for result in results:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise error_from_result(result, encoding="utf-8")
        if result.status in _COPY:
            # The connection is in another mode now, and useless for anything else.
            pgconn.finish()
            raise CallError("not_supported", "COPY has no place here.", "Use export_query for large results.")
    return results


def encoded(sql: str) -> bytes:
    """A caller's text as it is sent.

    Raises:
        CallError: It holds what no PostgreSQL text can.
    """
    if "\0" in sql:
        raise CallError("invalid_sql", "the text holds a NUL character.", "Leave it out.")
    try:
        return sql.encode()
    except UnicodeEncodeError:
        raise CallError("invalid_sql", "the text holds half of a surrogate pair.", "Send whole characters.") from None


def wire(value: object) -> bytes | None:
    """A parameter in PostgreSQL's text form; the server infers its type from where it stands.

    Raises:
        CallError: It has none.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, (int, float)):
        if isinstance(value, float) and math.isnan(value):
            return b"NaN"
        return repr(value).replace("inf", "Infinity").encode()
    if isinstance(value, bytes):
        return b"\\x" + value.hex().encode()
    if isinstance(value, str):
        return encoded(value)
    if isinstance(value, (list, tuple)):
        return encoded(_array(cast("Sequence[object]", value)))
    if isinstance(value, dict):
        return encoded(json.dumps(value, ensure_ascii=False))
    raise CallError("invalid_arguments", f"a parameter of type {type(value).__name__} can't be sent.", "Send text.")


def _array(values: Sequence[object]) -> str:
    parts: list[str] = []
    for value in values:
        if isinstance(value, (list, tuple)):
            parts.append(_array(cast("Sequence[object]", value)))
        elif value is None:
            parts.append("NULL")
        else:
            text = (wire(value) or b"").decode().replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'"{text}"')
    return "{" + ",".join(parts) + "}"


def decoded(raw: bytes) -> str:
    """Text of a value; bytes that are no UTF-8, as in a SQL_ASCII database, stay visible as escapes."""
    return raw.decode("utf-8", "backslashreplace")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """As ``backslashreplace`` does, for text inside JSON."""
    assert isinstance(error, UnicodeDecodeError)
    return "".join(f"\\\\x{byte:02x}" for byte in error.object[error.start : error.end]), error.end


_ESCAPED = "gatelodge-postgres-json"
codecs.register_error(_ESCAPED, _escaped)


def _value(raw: bytes | None, kind: int) -> Any:
    if raw is None:
        return None
    if kind == _BOOL:
        return raw == b"t"
    if kind in _INTS:
        return int(raw)
    if kind in _FLOATS:
        return float(raw)
    if kind in _JSON:
        return json.loads(raw.decode("utf-8", _ESCAPED))
    return decoded(raw)
