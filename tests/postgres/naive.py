"""A server as a careless team writes it: the caller's text goes out by the simple protocol, as it is."""

from __future__ import annotations

import select
import time
from dataclasses import dataclass, field

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from tests.postgres.attacks import Attack
from tests.postgres.processes import PATIENCE
from tests.postgres.watch import Watch, columns, leaks, probe

BRIEF = 0.4
"""Seconds that its statements may take, where time is what a case is after."""
LATEST = 5.0
"""Seconds that a server may take to show what it was told by a signal."""
LARGE = 8_000_000
"""Characters from which an answer is too large for anybody."""


@dataclass
class Outcome:
    """What came of an attack: effects with details, and the answer."""

    effects: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    answer: str = ""
    error: str = ""


def attempt(attack: Attack, watch: Watch, *, read_only: bool = False) -> Outcome:
    """Run an attack on a connection of its own; with `read_only` between BEGIN READ ONLY and ROLLBACK."""
    # A case that needs no time gets what a slow machine may need.
    limit = BRIEF if attack.effect == "time" or attack.why else PATIENCE
    options = f"-c statement_timeout={int(limit * 1000)}" + (f" -c role={attack.role}" if attack.role else "")
    connection = watch.home.bed.connect(watch.home.db, attack.user, options=options)
    outcome = Outcome()
    with connection:
        remembered, before, began = probe(connection), watch.snapshot(), time.monotonic()
        if read_only:
            connection.execute("BEGIN READ ONLY")
        outcome.answer, outcome.error, state = _simple(connection.pgconn, watch.fill(attack.text()))
        slow = state == "57014" or time.monotonic() - began > BRIEF
        if read_only and not connection.closed:
            connection.execute("ROLLBACK")
        outcome.effects = watch.changes(before)
        while attack.effect == "server" and attack.bites and "server" not in outcome.effects:
            # A signal to the server takes its time to be heard by all.
            if time.monotonic() - began > LATEST:
                break
            time.sleep(0.05)
            outcome.effects = watch.changes(before)
        outcome.effects |= _answered(attack, outcome)
        if slow:
            outcome.effects["time"] = [state]
        if not connection.closed and connection.info.transaction_status == 0 and probe(connection) != remembered:
            outcome.effects["session"] = [probe(connection)]
    return outcome


def _answered(attack: Attack, outcome: Outcome) -> dict[str, list[str]]:
    said = outcome.answer + outcome.error
    found: dict[str, list[str]] = {}
    if attack.witness and attack.witness in said:
        found[attack.effect] = [attack.witness]
    if secrets := leaks(said):
        found["leak"] = secrets
    if secrets := columns(said):
        found["column"] = secrets
    if len(outcome.answer) > LARGE:
        found["size"] = [str(len(outcome.answer))]
    return found


def _simple(pgconn: PGconn, text: str) -> tuple[str, str, str]:
    """Send a text as a simple query; all it answered, the last error and its code."""
    parts: list[str] = []
    error = state = ""
    try:
        pgconn.send_query(text.encode())
        while (result := _next(pgconn)) is not None:
            if result.status == ExecStatus.COPY_OUT:
                while (got := pgconn.get_copy_data(0))[0] > 0:
                    parts.append(bytes(got[1]).decode("utf-8", "replace"))
            elif result.status == ExecStatus.COPY_IN:
                pgconn.put_copy_data(b"91\tcopied\n")
                pgconn.put_copy_end()
            elif result.status == ExecStatus.FATAL_ERROR:
                error = result.error_message.decode("utf-8", "replace")
                state = (result.error_field(67) or b"").decode()
            else:
                parts += _cells(result)
    except psycopg.Error as failure:
        error = str(failure)
    return "\n".join(parts), error, state


def _next(pgconn: PGconn) -> PGresult | None:
    # `get_result` alone would wait with the interpreter's lock held, and stop the thread that the server may call.
    while pgconn.is_busy():
        select.select([pgconn.socket], [], [], 1)
        pgconn.consume_input()
    return pgconn.get_result()


def _cells(result: PGresult) -> list[str]:
    names = [(result.fname(c) or b"").decode("utf-8", "replace") for c in range(result.nfields)]
    return names + [
        (result.get_value(r, c) or b"").decode("utf-8", "replace")
        for r in range(result.ntuples)
        for c in range(result.nfields)
    ]
