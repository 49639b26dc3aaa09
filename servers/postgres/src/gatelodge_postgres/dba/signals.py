"""Ending what another session does, or the session itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import LiteralString

import anyio
from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.database import Database
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.activity import OURS

PATIENCE = 2.0
"""Seconds that a session has to obey before the answer says that it hasn't yet."""
EACH = 0.05
RIGHT = "The person can GRANT pg_signal_backend to the role; only a superuser may end a superuser's session."

_LOOK: LiteralString = """
SELECT a.datname = current_database(), a.backend_type, coalesce(a.usename::text, ''), coalesce(a.application_name, ''),
 a.backend_start::text, a.state, a.query_start::text, a.pid = pg_backend_pid()
  OR starts_with(a.application_name, $2) OR (a.usename = session_user
  AND a.application_name = current_setting('application_name') AND a.application_name <> '')
FROM pg_stat_activity a WHERE a.pid = $1::int4
"""
# The session is looked at again in the same statement, since its number may be another's by now.
CANCEL: LiteralString = """
SELECT pg_cancel_backend(a.pid) FROM pg_stat_activity a WHERE a.pid = $1::int4 AND a.backend_start = $2::timestamptz
 AND a.backend_type = 'client backend' AND a.datname = current_database()
"""
TERMINATE: LiteralString = CANCEL.replace("pg_cancel_backend", "pg_terminate_backend")


@dataclass(frozen=True, slots=True)
class Seen:
    """A session as it was seen.

    Args:
        role: Whose it is.
        application: What it calls itself.
        start: When it began.
        state: What it does.
        statement: When its newest statement began.
    """

    role: str
    application: str
    start: str
    state: str
    statement: str


async def end(database: Database, pid: int, *, session_too: bool) -> str:
    """Signal a session, and say what came of it.

    Args:
        database: Where it is.
        pid: Its process.
        session_too: Whether the session is to end, and not its statement alone.

    Raises:
        CallError: There is none that may be ended so, or the role lacks the right.
    """

    async def signal(session: Session) -> Seen:
        seen = await _seen(session, pid)
        rows = await session.rows(TERMINATE if session_too else CANCEL, [pid, seen.start])
        if not rows or not rows[0][0]:
            raise CallError("not_found", f"session {pid} has ended by itself meanwhile.")
        return seen

    async def look(session: Session) -> Seen | None:
        try:
            return await _seen(session, pid)
        except CallError:
            return None

    try:
        before = await database.run(signal)
    except CallError as error:
        if error.message.startswith("[42501]"):
            raise CallError(error.code, error.message, RIGHT) from None
        raise
    who = f"session {pid} of {before.role}{f' ({before.application[:40]})' if before.application else ''}"
    if not session_too and before.state != "active":
        return f"{who} was signalled, but ran no statement (it is {before.state}); terminate=true ends the session."
    deadline = time.monotonic() + PATIENCE
    while True:
        now = await database.run(look)
        if now is None or now.start != before.start:
            return f"{who} was signalled and is gone."
        if not session_too and (now.state != "active" or now.statement != before.statement):
            return f"{who} was signalled; its statement has ended, and the session is {now.state}."
        if time.monotonic() > deadline:
            what = "is still there" if session_too else "still runs its statement"
            return f"{who} was signalled, and {what} after {PATIENCE:g} s; show_activity tells how it goes on."
        await anyio.sleep(EACH)


async def _seen(session: Session, pid: int) -> Seen:
    """A client's session of this database that isn't this server's own.

    Raises:
        CallError: It is no such session.
    """
    rows = await session.rows(_LOOK, [pid, OURS])
    if not rows:
        raise CallError("not_found", f"there is no session {pid}.", "show_activity tells which there are.")
    here, kind, role, application, start, state, statement, own = rows[0]
    if own:
        raise CallError("refused", f"session {pid} is this server's own.", "Cancel the call that it works for.")
    if not here and kind in (None, "client backend"):
        raise CallError("refused", f"session {pid} is not in this database.", "Only sessions of it are ended.")
    if kind is None:
        text = f"the role can't see what session {pid} is, so it is not ended."
        raise CallError("insufficient_privilege", text, f"{RIGHT} It needs pg_read_all_stats too.")
    if kind != "client backend":
        raise CallError("refused", f"process {pid} is the server's own ({kind}).", "Only clients' sessions are ended.")
    return Seen(role, application, start, state or "unknown", statement or "")
