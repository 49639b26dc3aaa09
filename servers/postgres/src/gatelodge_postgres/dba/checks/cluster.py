"""Checks of the server: replication, settings."""

from __future__ import annotations

from typing import LiteralString

from gatelodge_postgres.dba.amounts import amount, duration, size
from gatelodge_postgres.dba.checks.finding import STATS, At, Finding, Severity, some, unseen

KEPT, MUCH_KEPT = 2**30, 10 * 2**30
"""Bytes of WAL that a slot keeps from being removed."""
BEHIND, FAR_BEHIND = 60.0, 600.0

_ROLE: LiteralString = "SELECT pg_is_in_recovery()"
_STANDBY: LiteralString = """
SELECT (SELECT status FROM pg_stat_wal_receiver), CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
 ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END::float8, pg_is_wal_replay_paused()
"""
_REPLICAS: LiteralString = """
SELECT coalesce(application_name, ''), state, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8,
 extract(epoch FROM replay_lag)::float8, state IS NULL FROM pg_stat_replication
"""
_SLOTS: LiteralString = """
SELECT slot_name::text, active, slot_type, wal_status, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery()
 THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)::float8 FROM pg_replication_slots
"""
_ARCHIVER: LiteralString = """
SELECT failed_count, coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false), last_failed_wal
FROM pg_stat_archiver
"""
_SETTINGS: LiteralString = """
SELECT name, setting, pending_restart FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'track_counts', 'track_activities', 'synchronous_commit', 'max_connections',
  'zero_damaged_pages', 'ignore_checksum_failure', 'idle_in_transaction_session_timeout', 'shared_buffers', 'jit',
  'default_statistics_target', 'max_prepared_transactions') OR name ~ '^enable_.*(scan|join|sort|agg|memoize)$' OR pending_restart
"""
_WRONG: dict[str, tuple[str, Severity, str]] = {
    "fsync": ("on", "critical", "a crash can destroy the whole database"),
    "full_page_writes": ("on", "critical", "a crash can destroy blocks"),
    "zero_damaged_pages": ("off", "critical", "damaged blocks are silently emptied"),
    "ignore_checksum_failure": ("off", "critical", "damaged blocks are read as if they were right"),
    "track_counts": ("on", "critical", "autovacuum doesn't know what to do"),
    "track_activities": ("on", "warning", "nobody can see what sessions do"),
    "synchronous_commit": ("on remote_apply remote_write local", "notice", "a crash loses the last commits"),
}


async def replication(at: At) -> list[Finding]:
    """Lag, slots that keep WAL, and archiving that fails."""
    ((standby,),) = await at.session.rows(_ROLE)
    found = await _standby(at) if standby else await _primary(at)
    for name, active, kind, status, kept in await at.session.rows(_SLOTS):
        if status == "lost":
            found.append(Finding("critical", f"slot {name} has lost WAL that its consumer needs", "Drop it, and set the consumer up anew."))  # fmt: skip
        elif not active or (kept or 0) > MUCH_KEPT:
            severity = "critical" if (kept or 0) > MUCH_KEPT else "warning"
            state = "in use" if active else "inactive"
            text = f"{kind} slot {name} is {state} and keeps {size(kept or 0)} of WAL"
            found.append(Finding(severity, text, "Start its consumer, or drop it: the disk fills up."))
    ((failed, failing, wal),) = await at.session.rows(_ARCHIVER)
    if failing:
        text = f"archiving fails ({amount(failed)} times, last {wal})"
        found.append(Finding("critical", text, "See the server's log; WAL piles up until it works."))
    return found or [Finding("ok", "a standby that follows" if standby else "no replica lags, no slot is left behind")]


async def _standby(at: At) -> list[Finding]:
    ((status, lag, paused),) = await at.session.rows(_STANDBY)
    found: list[Finding] = []
    if lag is not None and lag > BEHIND:
        severity = "critical" if lag > FAR_BEHIND else "warning"
        found.append(Finding(severity, f"this standby is {duration(lag)} behind", "Look for long queries here and load there."))  # fmt: skip
    if paused:
        found.append(Finding("warning", "replay is paused", "pg_wal_replay_resume() lets it go on."))
    if status is None:
        found.append(unseen("whether this standby receives WAL, or it does not", STATS))
    return found


async def _primary(at: At) -> list[Finding]:
    found: list[Finding] = []
    hidden = 0
    for name, state, behind, lag, unknown in await at.session.rows(_REPLICAS):
        hidden += bool(unknown)
        if (behind or 0) > KEPT or (lag or 0) > BEHIND:
            severity = "critical" if (behind or 0) > MUCH_KEPT or (lag or 0) > FAR_BEHIND else "warning"
            text = f"replica {name} ({state}) is {size(behind or 0)} and {duration(lag or 0)} behind"
            found.append(Finding(severity, text, "Look at its load and at the network."))
    if hidden:
        found.append(unseen(f"how far {hidden} replicas are", STATS))
    return found


async def settings(at: At) -> list[Finding]:
    """Settings that endanger data or switch off what the server needs."""
    found: list[Finding] = []
    off: list[str] = []
    pending: list[str] = []
    for name, value, waits in await at.session.rows(_SETTINGS):
        pending += [name] if waits else []
        if name in _WRONG and value not in _WRONG[name][0].split():
            _, severity, why = _WRONG[name]
            found.append(Finding(severity, f"{name} is {value}: {why}", f"Set {name} = {_WRONG[name][0].split()[0]}."))
        elif (
            name.startswith("enable_")
            and value == "off"
            and name != "enable_partitionwise_join"
            and "partitionwise" not in name
        ):
            off.append(name)
        elif name == "max_connections" and int(value) > 500:
            text = f"max_connections is {value}; so many working at once slow each other down"
            found.append(Finding("notice", text, "Use a pooler such as PgBouncer, and fewer connections."))
        elif name == "default_statistics_target" and int(value) < 50:
            text = f"default_statistics_target is {value}: the planner knows little of the columns"
            found.append(Finding("notice", text, "Set it to 100 or more."))
    found += some("warning", off, "kinds of plans that are switched off", "Set them on; cure the query instead.")
    found += some("notice", pending, "settings that wait for a restart", "Restart PostgreSQL when that suits.")
    return found or [Finding("ok", "no setting endangers data")]
