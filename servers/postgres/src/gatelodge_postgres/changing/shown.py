"""What callers and the person are shown of a change, as text of bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from gatelodge_postgres.changing.changer import Applied
from gatelodge_postgres.changing.comparing import counted
from gatelodge_postgres.changing.rehearsal import Rehearsal
from gatelodge_postgres.changing.sample import ROWS, Change, Column
from gatelodge_postgres.changing.tokens import SECONDS, Record
from gatelodge_postgres.changing.withholding import told
from gatelodge_postgres.reading.render import text_of

MAX_SAMPLE = 6000
MAX_LINES = 15
"""Entries of each list."""
MAX_PARAMETER = 200
FEW = 12
"""Columns of a row that is new or goes."""


def preview_text(record: Record, token: str) -> str:
    """The answer of `preview_change`."""
    found = told(record.found)
    head = (
        f"previewed and rolled back, nothing was changed: {_what(found)} on {record.connection} "
        f"({found.identity.database}) as {found.identity.role}, change {record.id}, {found.seconds * 1000:.0f} ms"
    )
    lines = [
        head,
        *_facts(found),
        *sample_lines(found),
        f"change_token: {token}",
        f"The token is good for {SECONDS / 60:.0f} minutes and one apply_change, which asks the person first.",
    ]
    return "\n".join(lines)


def effect_text(record: Record) -> str:
    """What the person is asked to agree to: numbers first, as a dialog may be cut."""
    found = record.found
    what = f"{_what(found)} on database {record.connection} ({found.identity.database}) as {found.identity.role}"
    head = [f"{what}, change {record.id}", *_facts(found)]
    if record.full_table:
        head.append("it may change every row of a table (allow_full_table)")
    statement = ["", "statement:", record.sql.strip()]
    values = [f"  ${number} = {_parameter(value)}" for number, value in enumerate(record.parameters, 1)]
    given = ["parameters:", *values] if values else []
    sample = sample_lines(found)
    return "\n".join([*head, *statement, *given, *(["", *sample] if sample else [])])


def applied_text(record: Record, applied: Applied) -> str:
    """The answer of `apply_change`."""
    found = told(applied.found)
    place = f"transaction {applied.transaction}" if applied.transaction else "no transaction number, as nothing was written"  # fmt: skip
    wal = f", WAL up to {applied.wal}" if applied.wal else ""
    what = f"{_what(found)} on {record.connection} ({found.identity.database}) as {found.identity.role}"
    lines = [f"committed: {what}, change {record.id}, {place}{wal}"]
    lines += [f"note: {applied.note}"] if applied.note else []
    lines += [f"table: {name}: {counted(numbers)}" for name, numbers in _few(found.measured.tables)]
    lines += [f"notice: {notice}" for notice in found.notices]
    names, rows = found.returned
    if names:
        lines.append(f"returned, shown {len(rows)} of {found.rows}:")
        lines.append(text_of(names, [25] * len(names), rows, "csv")[:MAX_SAMPLE])
    return "\n".join(lines)


def _what(found: Rehearsal) -> str:
    if found.profile == "dml":
        return f"{found.word} of {found.rows} rows"
    return f"{found.word}, which takes {found.rows} rows away" if found.rows else found.word


def _facts(found: Rehearsal) -> Iterator[str]:
    measured = found.measured
    yield from (f"table: {name}: {counted(numbers)}" for name, numbers in _few(measured.tables))
    yield from _list("made", measured.made)
    rows = {name: f" (about {count} rows)" for name, count in measured.lost.items()}
    # Those with rows first: they are what can't be had back.
    yield from _list("dropped", [f"{name}{rows.get(name, '')}" for name in sorted(measured.gone, key=lambda one: one not in rows)])  # fmt: skip
    yield from _list("rewritten", [f"{name} ({_size(size)})" for name, size in measured.rewritten.items()])
    yield from _list("locks", [f"{name} {mode.removesuffix('Lock')}" for name, mode in measured.locks.items()])
    yield from _list("triggers", found.acting.triggers)
    yield from _list("event triggers", found.acting.event_triggers)
    yield from (f"notice: {notice}" for notice in found.notices)
    yield from (f"note: {note}" for note in found.notes)


def _list(word: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        more = f", and {len(entries) - MAX_LINES} more" if len(entries) > MAX_LINES else ""
        yield f"{word}: {', '.join(entries[:MAX_LINES])}{more}"


def _few(tables: dict[str, tuple[int, int, int]]) -> list[tuple[str, tuple[int, int, int]]]:
    return list(tables.items())[:MAX_LINES]


def sample_lines(found: Rehearsal) -> list[str]:
    """The sample: ``+`` is new, ``-`` goes, ``~`` changes."""
    if not found.changes:
        return []
    lines = [f"sample, {len(found.changes)} of {found.rows} rows (at most {ROWS}):"]
    size = 0
    for change in found.changes:
        line = _line(found.columns, change)
        size += len(line)
        if size > MAX_SAMPLE:
            lines.append("... cut, the sample is too long")
            break
        lines.append(line)
    return lines


def _line(columns: Sequence[Column], change: Change) -> str:
    if change.before is not None and change.after is not None:
        keys: list[str] = []
        parts: list[str] = []
        for column, old, new in zip(columns, change.before, change.after, strict=True):
            if column.key:
                keys.append(f"{column.name}={_value(new)}")
            elif old != new:
                parts.append(f"{column.name} {_value(old)} -> {_value(new)}")
        masked = [column.name for column in columns if column.masked]
        parts += [f"{', '.join(masked)} masked"] if masked else []
        return f"~ {' '.join(keys)}: {', '.join(parts) or 'no value changes'}"
    values = change.after if change.after is not None else change.before
    mark = "+" if change.after is not None and change.before is None else "-"
    shown = [f"{column.name}={_value(value)}" for column, value in list(zip(columns, values or (), strict=False))[:FEW]]
    more = f" (and {len(columns) - FEW} columns)" if len(columns) > FEW else ""
    return f"{mark} {', '.join(shown)}{more}"


def _value(value: str | None) -> str:
    return "NULL" if value is None else json.dumps(value, ensure_ascii=False)


def _parameter(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f"{text[:MAX_PARAMETER]}… ({len(text)} characters)" if len(text) > MAX_PARAMETER else text


def _size(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MB" if size >= 1024 * 1024 else f"{size / 1024:.0f} kB"
