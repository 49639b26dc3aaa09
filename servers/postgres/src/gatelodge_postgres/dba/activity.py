"""What sessions do just now, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, LiteralString

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.amounts import duration
from gatelodge_postgres.dba.texts import shown
from gatelodge_postgres.reading.reader import Reader
from gatelodge_postgres.verdict.shut import WITHHELD, shut

State = Literal["active", "idle", "idle in transaction", "waiting"]
OURS = "gatelodge-postgres/"
"""How the application names of this server's connections begin."""
MAX_ROWS = 500
MAX_DEPTH = 20

_ACTIVITY: LiteralString = """
WITH held AS MATERIALIZED (SELECT pid, locktype, mode, granted, database, relation FROM pg_locks),
waiting AS (SELECT DISTINCT ON (w.pid) w.pid, w.locktype, w.mode, n.nspname::text, c.relname::text FROM held w
  -- Whoever waits for a row waits for its last writer's transaction, and holds a place in the row's queue meanwhile.
  LEFT JOIN held t ON t.pid = w.pid AND t.locktype = 'tuple' AND t.granted
  LEFT JOIN pg_class c ON c.oid = coalesce(w.relation, t.relation)
   AND coalesce(w.database, t.database) = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND has_schema_privilege(c.relnamespace, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
  LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT w.granted ORDER BY w.pid)
SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.state, ''),
 coalesce(a.backend_type, ''), coalesce(a.wait_event_type || ':' || a.wait_event, ''),
 extract(epoch FROM clock_timestamp() - a.xact_start)::float8,
 extract(epoch FROM clock_timestamp() - CASE WHEN a.state = 'active' THEN a.query_start ELSE a.state_change END)::float8,
 left(a.query, 2000), array_to_json(CASE WHEN l.pid IS NULL THEN '{}'::int[] ELSE pg_blocking_pids(a.pid) END),
 coalesce(l.locktype, ''), coalesce(l.mode, ''), coalesce(l.nspname, ''), coalesce(l.relname, ''),
 coalesce(a.datname = current_database(), false)
FROM pg_stat_activity a LEFT JOIN waiting l ON l.pid = a.pid
WHERE a.pid <> pg_backend_pid() AND a.datid IS NOT NULL ORDER BY a.xact_start NULLS LAST, a.pid LIMIT 2000
"""


@dataclass(frozen=True, slots=True)
class Backend:
    """One session.

    Args:
        pid: Of its process.
        role: Whose it is.
        application: What it calls itself.
        state: As PostgreSQL names it; empty if the role may not see it.
        kind: Of backend.
        waits: Event that it waits for.
        transaction: Seconds since its transaction began; None outside of one.
        seconds: Since its statement began, or since it ended.
        query: Its newest statement, cut.
        blockers: Who holds what it waits for; 0 is a prepared transaction.
        lock: What it waits for, such as ``ShareLock on transactionid of app.orders``.
        here: Whether it is in this database.
    """

    pid: int
    role: str
    application: str
    state: str
    kind: str
    waits: str
    transaction: float | None
    seconds: float | None
    query: str
    blockers: tuple[int, ...]
    lock: str
    here: bool

    @property
    def hidden(self) -> bool:
        """Whether the role may not see what it does."""
        return not self.state and not self.kind

    def fits(self, states: Iterable[State], least: float) -> bool:
        """Whether it has one of the states (all but idle without any) for at least so many seconds."""
        if (self.seconds or 0) < least:
            return False
        wanted = tuple(states)
        if not wanted:
            return self.state != "idle" and not self.hidden
        return any(self._is(state) for state in wanted)

    def _is(self, state: State) -> bool:
        if state == "waiting":
            return bool(self.blockers)
        return self.state.startswith(state) if state == "idle in transaction" else self.state == state

    def line(self, *, numbers: bool) -> str:
        """It in one line."""
        what = self.state or ("?" if self.hidden else self.kind)
        parts = [
            f"pid {self.pid} {self.role or '-'}{f' ({self.application[:40]})' if self.application else ''}: {what}",
            f"for {duration(self.seconds)}" if self.seconds is not None else "",
            f"transaction {duration(self.transaction)}" if self.transaction is not None else "",
            f"waits for {self.lock or self.waits}" if self.lock or (self.waits and self.state == "active") else "",
            "" if self.here else "in another database",
        ]
        query = "" if self.hidden or not self.query else f" | {shown(self.query, 200, numbers=numbers)}"
        return ", ".join(part for part in parts if part) + query


async def backends(session: Session, reader: Reader) -> list[Backend]:
    """The sessions of this database, and those of others that hold up one of them; not the one that asks.

    Raises:
        psycopg.Error: They can't be had.
    """
    found: list[Backend] = []
    closing = await shut(session, reader.judge, texts=True)
    for row in await session.rows(_ACTIVITY):
        (
            pid, role, application, state, backend, waits, transaction, seconds, query, blockers, kind, mode, schema,
            table, here,
        ) = row  # fmt: skip
        relation = "" if not table or closing.closed(schema, table) else f" of {schema}.{table}"
        lock = f"{mode} on {kind}{relation}" if mode else ""
        # A blocker is named once for each of its parallel workers.
        distinct = tuple(dict.fromkeys(int(one) for one in blockers))
        found.append(
            Backend(
                pid,
                role,
                application,
                state,
                backend,
                waits,
                transaction,
                seconds,
                WITHHELD if closing.reads(query or "") else query or "",
                distinct,
                lock,
                here,
            )
        )
    needed = {pid for one in found if one.here for pid in one.blockers}
    return [one for one in found if one.here or one.pid in needed][:MAX_ROWS]


def tree(found: list[Backend], *, numbers: bool) -> list[str]:
    """Who waits for whom: holders first, and under each, further in, those that wait for it, each of them once."""
    known = {one.pid: one for one in found}
    depths: dict[int, int] = {}

    def depth(pid: int, above: frozenset[int]) -> int:
        """How long the longest queue before a session is. One that waits in a circle counts as its beginning."""
        if pid not in known or pid in above or len(above) > MAX_DEPTH:
            return 0
        if pid not in depths:
            depths[pid] = max((1 + depth(one, above | {pid}) for one in known[pid].blockers), default=0)
        return depths[pid]

    under: dict[int, list[int]] = {}
    for one in found:
        if one.blockers:
            last = max(one.blockers, key=lambda pid: depth(pid, frozenset({one.pid})))
            under.setdefault(last, []).append(one.pid)
    roots = [pid for pid in under if pid not in known or not known[pid].blockers]
    lines: list[str] = []
    reached: set[int] = set()
    # Circles have no root, until PostgreSQL ends them as deadlocks.
    for root in (*roots, *under):
        left = [(root, 0)] if root not in reached else []
        while left:
            pid, far = left.pop()
            if pid in reached:
                continue
            reached.add(pid)
            lines.append(f"{'  ' * far}{_said(pid, known.get(pid), numbers=numbers)}")
            left += [(next_, far + 1) for next_ in reversed(under.get(pid, []))]
    return lines


def _said(pid: int, one: Backend | None, *, numbers: bool) -> str:
    if one is None:
        return f"pid {pid}" if pid else "a prepared transaction"
    behind = f" | blocked by {', '.join(map(str, one.blockers))}" if len(one.blockers) > 1 else ""
    return one.line(numbers=numbers) + behind
