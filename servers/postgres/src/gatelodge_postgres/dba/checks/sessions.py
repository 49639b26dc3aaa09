"""Checks of what is going on: connections, locks, the cache."""

from __future__ import annotations

from typing import LiteralString

from gatelodge_postgres.dba.amounts import amount, duration, size
from gatelodge_postgres.dba.checks.finding import STATS, At, Finding, unseen

FULL, NEARLY_FULL = 0.9, 0.75
"""Parts of the connections that are in use."""
IDLE_SECONDS, LONG_IDLE_SECONDS = 60.0, 3600.0
"""A transaction that does nothing for so long holds locks, and keeps vacuum from its work."""
LONG_SECONDS = 3600.0
WAIT_SECONDS, LONG_WAIT_SECONDS = 5.0, 60.0
TOUCHED_BLOCKS = 100_000
"""Fewer say nothing about a cache."""
POOR_HITS, FAIR_HITS = 0.8, 0.9
MUCH_TEMP = 10 * 2**30

_CONNECTIONS: LiteralString = """
SELECT count(*) FILTER (WHERE coalesce(backend_type, 'client backend') = 'client backend' AND datid IS NOT NULL),
 current_setting('max_connections')::int8, count(*) FILTER (WHERE datid IS NOT NULL AND backend_type IS NULL),
 count(*) FILTER (WHERE state ~ '^idle in transaction' AND now() - state_change >= make_interval(secs => $1::float8)),
 coalesce(max(extract(epoch FROM now() - state_change)) FILTER (WHERE state ~ '^idle in transaction'), 0)::float8,
 (json_agg(pid) FILTER (WHERE state ~ '^idle in transaction'
   AND now() - state_change >= make_interval(secs => $1::float8))),
 coalesce(max(extract(epoch FROM now() - xact_start)) FILTER (WHERE state = 'active' AND backend_type = 'client backend'), 0)::float8
FROM pg_stat_activity WHERE pid <> pg_backend_pid()
"""
_WAITS: LiteralString = """
SELECT a.pid, extract(epoch FROM clock_timestamp() - coalesce(a.state_change, a.query_start))::float8,
 array_to_string(pg_blocking_pids(a.pid), ', '), a.state IS NULL
FROM pg_stat_activity a WHERE a.pid IN (SELECT pid FROM pg_locks WHERE NOT granted) AND a.pid <> pg_backend_pid()
ORDER BY 2 DESC NULLS LAST LIMIT 100
"""
_PREPARED: LiteralString = """
SELECT count(*)::int8, coalesce(extract(epoch FROM now() - min(prepared)), 0)::float8, min(gid) FROM pg_prepared_xacts
"""
_DATABASE: LiteralString = """
SELECT blks_hit::float8, blks_read::float8, temp_files, temp_bytes::float8, deadlocks,
 extract(epoch FROM now() - coalesce(stats_reset, pg_postmaster_start_time()))::float8,
 current_setting('shared_buffers'), current_setting('work_mem') FROM pg_stat_database WHERE datname = current_database()
"""


async def connections(at: At) -> list[Finding]:
    """How many connections there are, and transactions left open."""
    ((used, most, hidden, idle, longest, pids, running),) = await at.session.rows(_CONNECTIONS, [IDLE_SECONDS])
    part = used / most
    shown = f"{used} of {most} connections are in use"
    fix = "Use a connection pooler, close idle connections, or raise max_connections."
    found = [Finding("critical" if part >= FULL else "warning" if part >= NEARLY_FULL else "ok", shown, fix if part >= NEARLY_FULL else "")]  # fmt: skip
    if idle:
        which = ", ".join(map(str, pids[:5]))
        found.append(
            Finding(
                "critical" if longest >= LONG_IDLE_SECONDS else "warning",
                f"{idle} sessions are idle in a transaction, the longest for {duration(longest)} (pids {which})",
                "End them (cancel_backend with terminate), and set idle_in_transaction_session_timeout.",
            )
        )
    if running >= LONG_SECONDS:
        text = f"a transaction has been running for {duration(running)}"
        found.append(Finding("warning", text, "show_activity tells which; vacuum can't clean up behind it."))
    if hidden:
        found.append(unseen(f"what {hidden} sessions of other roles do", STATS))
    return found


async def locks(at: At) -> list[Finding]:
    """Sessions that wait for others, and transactions that were prepared and left."""
    rows = await at.session.rows(_WAITS)
    waiting = [row for row in rows if row[1] is not None and row[1] >= WAIT_SECONDS]
    found: list[Finding] = []
    if waiting:
        longest = waiting[0]
        text = f"{len(waiting)} sessions wait for locks; pid {longest[0]} for {duration(longest[1])}, blocked by {longest[2]}"
        severity = "critical" if longest[1] >= LONG_WAIT_SECONDS else "warning"
        found.append(Finding(severity, text, "show_activity with blocking_tree tells who holds them."))
    if hidden := sum(1 for row in rows if row[3]):
        found.append(unseen(f"for how long {hidden} sessions of other roles have waited", STATS))
    ((count, age, name),) = await at.session.rows(_PREPARED)
    if count and age >= WAIT_SECONDS:
        text = f"{count} prepared transactions hold their locks, the oldest ({name}) for {duration(age)}"
        found.append(Finding("warning", text, "COMMIT PREPARED or ROLLBACK PREPARED them."))
    ((*_, deadlocks, seconds, _, _),) = await at.session.rows(_DATABASE)
    if deadlocks > 10 and deadlocks > seconds / 86_400:
        text = f"{amount(deadlocks)} deadlocks in {duration(seconds)}"
        found.append(Finding("notice", text, "Let transactions lock in the same order; the server's log names them."))
    return found or [Finding("ok", "nobody waits for a lock")]


async def cache(at: At) -> list[Finding]:
    """How much is read from memory, and how much is written to temporary files."""
    ((hit, read, files, temporary, _, seconds, buffers, memory),) = await at.session.rows(_DATABASE)
    found: list[Finding] = []
    if hit + read < TOUCHED_BLOCKS:
        found.append(Finding("ok", "too little was read yet to tell"))
    else:
        part = hit / (hit + read)
        text = f"{part:.1%} of blocks came from shared_buffers ({buffers})"
        fix = "Raise shared_buffers, or find what reads so much with list_top_queries by io."
        severity = "warning" if part < POOR_HITS else "notice" if part < FAIR_HITS else "ok"
        found.append(Finding(severity, text, "" if severity == "ok" else fix))
    if temporary > MUCH_TEMP:
        text = f"{amount(files)} temporary files of {size(temporary)} in {duration(seconds)}, with work_mem {memory}"
        found.append(Finding("notice", text, "list_top_queries by temp tells which; raise work_mem for those."))
    return found
