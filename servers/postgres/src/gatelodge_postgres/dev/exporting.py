"""Writing all that a query gives into a file: judged and masked like any query, in flat memory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import LiteralString

import psycopg
from gatelodge_core.declare import Progress
from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dev.exports import Draft, Export, Exports, Form
from gatelodge_postgres.dev.lines import Lines
from gatelodge_postgres.dev.streaming import Values, arriving
from gatelodge_postgres.errors import told
from gatelodge_postgres.reading.fetch import DECLARE
from gatelodge_postgres.reading.near import near
from gatelodge_postgres.reading.project import wrapped
from gatelodge_postgres.reading.reader import Prepared, Reader

BATCH_BYTES = 512 * 1024
ROW_CHARS = 1_000_000
"""Characters that the wide columns of a row may have together; some rows are held at a time."""
LEAST_CHARS = 4096
TEXT = 25
TELL_SECONDS = 1.0
FEW = 8
# The planner otherwise thinks that a tenth of the rows will do.
_ALL_ROWS: LiteralString = "SET LOCAL cursor_tuple_fraction=1.0"


@dataclass(frozen=True)
class Exported:
    """What came of it.

    Args:
        export: The file.
        stopped_by: ``bytes`` or ``time``, if there was more.
        cut: How many values were cut, by column.
        chars: The most characters that a value has here.
    """

    export: Export
    stopped_by: str
    cut: dict[str, int]
    chars: int


@dataclass
class _Writing:
    """A draft that batches are written to."""

    draft: Draft
    lines: Lines
    most: int
    rows: int = 0
    full: bool = False

    def batch(self, values: Values) -> None:
        """Write rows, as far as there is room. Blocks."""
        text = self.lines.text(values)
        width = self.lines.width
        if self.draft.size + len(text) <= self.most:
            self.draft.write(text)
            self.rows += len(values) // width
            return
        self.full = True
        for start in range(0, len(values), width):
            text = self.lines.text(values[start : start + width])
            if self.draft.size + len(text) > self.most:
                return
            self.draft.write(text)
            self.rows += 1


class Exporter:
    """Exports what one reader reads.

    Args:
        reader: Of the database.
        exports: Where it goes.
        seconds: The longest a statement may run.
        patience: The longest all of it may take.
    """

    def __init__(self, reader: Reader, exports: Exports, seconds: float, patience: float) -> None:
        self._reader = reader
        self._exports = exports
        self._seconds = seconds
        self._patience = patience

    async def export(
        self, sql: str, parameters: Sequence[object], form: Form, most: int, progress: Progress
    ) -> Exported:
        """Run a query and write what it gives.

        Args:
            sql: The caller's text.
            parameters: Of ``$1`` and so on.
            form: Of the file.
            most: Bytes.
            progress: Told the bytes written.

        Raises:
            CallError: It is refused, can't run or be written, or took too long.
        """
        draft = self._exports.begin(form, most)
        try:

            async def work(session: Session) -> Exported:
                return await self._work(session, draft, sql, parameters, most, progress)

            return await self._reader.database.run(work, seconds=self._patience, sql=sql)
        except CallError as error:
            raise await near(self._reader, sql, error) from None
        except OSError as error:
            text = f"the export can't be written: {error.strerror}."
            raise CallError("cannot_write", text, "Ask for less by max_bytes, or the person must make room.") from None
        finally:
            self._exports.drop(draft)

    async def _work(
        self, session: Session, draft: Draft, sql: str, parameters: Sequence[object], most: int, progress: Progress
    ) -> Exported:
        deadline = time.monotonic() + self._patience - min(2.0, self._patience / 10)
        made = await self._prepared(session, sql, parameters)
        columns = [
            replace(column, oid=TEXT) if number in made.masked else column
            for number, column in enumerate(made.description.columns)
        ]
        wide = sum(column.wide for column in columns)
        chars = max(LEAST_CHARS, ROW_CHARS // max(1, wide)) // 2 * 2
        # One more byte tells that there is more, for binary values too, which come as two digits a byte.
        inner, inside = wrapped(made.sql, columns, chars + 2, made.masked)
        lines = Lines(columns, draft.form, chars)
        text, outside = lines.select(inner)
        session.tainted = True
        await session.constant(_ALL_ROWS)
        try:
            await session.extended(DECLARE + text, parameters)
        except psycopg.Error as error:
            raise told(error, sql=sql, prefix=len(DECLARE) + outside + inside - made.offset) from None
        writing = _Writing(draft, lines, most)
        stopped = await self._stream(session, writing, deadline, progress)
        names = tuple(column.name for column in columns)
        export = self._exports.finish(draft, writing.rows, names, whole=not stopped and not lines.cut)
        return Exported(export, stopped, lines.cut, chars)

    async def _prepared(self, session: Session, sql: str, parameters: Sequence[object]) -> Prepared:
        made = await self._reader.prepare(session, sql, parameters)
        wanted = len(made.description.parameters)
        if wanted != len(parameters):
            text = f"the statement has {wanted} parameters, and {len(parameters)} values were sent."
            raise CallError("wrong_parameters", text, "Send one for each of $1, $2, ... in params.")
        if made.explained or not made.description.columns:
            raise CallError("nothing_to_export", "the statement gives no rows of columns.", "Send one SELECT.")
        return made

    async def _stream(self, session: Session, writing: _Writing, deadline: float, progress: Progress) -> str:
        """Write the rows; why it stopped before their end, or nothing."""
        await asyncio.to_thread(writing.draft.write, writing.lines.head)
        # One batch is written while the next one arrives.
        pending: asyncio.Task[None] | None = None
        tell = time.monotonic() + TELL_SECONDS
        try:
            async with contextlib.aclosing(arriving(session, BATCH_BYTES, self._seconds)) as batches:
                async for rows in batches:
                    if pending is not None:
                        await pending
                    if writing.full:
                        return "bytes"
                    now = time.monotonic()
                    if now > deadline:
                        return "time"
                    if now > tell:
                        tell = now + TELL_SECONDS
                        await progress(writing.draft.size, message=f"{writing.rows} rows written")
                    pending = asyncio.create_task(asyncio.to_thread(writing.batch, rows))
                    if len(rows) < FEW * writing.lines.width:
                        await pending  # of huge rows not two batches at a time
            if pending is not None:
                await pending
            return "bytes" if writing.full else ""
        finally:
            if pending is not None and not pending.done():
                # Its thread goes on; the file must not be closed under it.
                await asyncio.wait({pending})
