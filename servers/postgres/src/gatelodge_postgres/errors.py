"""What PostgreSQL's errors become: SQLSTATE, the place in the caller's own text, and what to do next."""

from __future__ import annotations

import re

import psycopg
from gatelodge_core.errors import CallError
from psycopg import errors as pg

MAX_TEXT = 600
_HINTS = {
    "57014": "Narrow the query, aggregate, or raise timeout_ms.",
    "55P03": "Somebody holds a lock; show_activity tells who. Try again later.",
    "25006": "This server only reads; preview_change and apply_change change things, if they are switched on.",
    "42501": "The role lacks this right; the person can grant it.",
    "40001": "The replica had to cancel it; try again.",
    "53300": "The server has no connection left; try again later.",
    "53200": "The server is out of memory for this; ask for less.",
    "42P18": "Say what type each parameter has, for example $1::int.",
    "42601": "Send one statement of plain SQL.",
}
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


class Stopped(Exception):
    """Work on a connection whose call was cancelled or timed out; never leaves the connect package."""


def code_of(error: psycopg.Error) -> str:
    """A stable word for an error's class, such as ``undefined_table``."""
    name = type(error).__name__ if error.sqlstate else "connection_error"
    return _WORD.sub("_", name).lower()


def call_error(error: psycopg.Error, *, sql: str = "", prefix: int = 0) -> CallError:
    """The error as the caller is told of it.

    Args:
        error: Of the driver.
        sql: The caller's text, to show where in it.
        prefix: Characters that stood before that text in what was sent.
    """
    diag = error.diag
    text = diag.message_primary or str(error).strip().splitlines()[0] if str(error).strip() else code_of(error)
    if diag.message_detail and error.sqlstate != "42501":
        text += f" ({diag.message_detail})"
    parts = [f"[{error.sqlstate}] {text[:MAX_TEXT]}" if error.sqlstate else text[:MAX_TEXT]]
    place = _place(diag.statement_position, sql, prefix)
    if place:
        parts.append(place)
    hint = " ".join(part for part in (diag.message_hint or "", _HINTS.get(error.sqlstate or "", "")) if part)
    message = ", ".join(parts)
    return CallError(code_of(error), message if message.endswith((".", "?")) else f"{message}.", hint[:MAX_TEXT])


def told(error: psycopg.Error, *, sql: str, prefix: int = 0) -> Exception:
    """A statement's error as the caller is told of it; one of the connection or of time as it is, for the lease."""
    return error if is_lost(error) or isinstance(error, pg.QueryCanceled) else call_error(error, sql=sql, prefix=prefix)


def _place(position: str | None, sql: str, prefix: int) -> str:
    """Where in the caller's text, in characters and lines from 1; nothing if it isn't in there."""
    if not position or not sql:
        return ""
    at = int(position) - prefix
    if not 1 <= at <= len(sql) + 1:
        return ""
    before = sql[: at - 1]
    line = before.count("\n") + 1
    around = sql[at - 1 : at + 29].split("\n", 1)[0]
    return f"at character {at} (line {line}), before {around!r}"


def is_lost(error: BaseException) -> bool:
    """Whether the connection, rather than the statement, failed."""
    return isinstance(error, psycopg.OperationalError) and (
        error.sqlstate is None or isinstance(error, (pg.AdminShutdown, pg.CrashShutdown, pg.CannotConnectNow))
    )


def unreachable(name: str, reason: str) -> CallError:
    """A database that no connection can be had to. libpq's reason names hosts and ports, never passwords."""
    line = " ".join(reason.split())[:MAX_TEXT]
    hint = "Check that it runs and that its address is right; the next call tries again."
    if "does not support SSL" in line:
        hint = "Add sslmode=disable to its URL if the network up to it is trusted, or switch TLS on in the server."
    elif "client certificate" in line or "certificate authentication" in line:
        hint = "The person must give sslcert and sslkey in its URL, a certificate of the role's own."
    elif "connection slots" in line or "too many c" in line:
        hint = "The server has no connection left; try again later, or lower pool_size where many servers share it."
    elif "password" in line or "authentication" in line:
        hint = "The person must correct its user or password."
    elif "certificate" in line:
        hint = "Give sslrootcert in its URL, or correct the server's certificate."
    return CallError("unreachable", f"database {name} can't be reached: {line}", hint)
