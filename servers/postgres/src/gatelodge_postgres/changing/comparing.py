"""Whether a change does what its preview said."""

from __future__ import annotations

from gatelodge_core.errors import CallError

from gatelodge_postgres.changing.rehearsal import Rehearsal


def same(previewed: Rehearsal, found: Rehearsal) -> None:
    """Raise, which rolls back, if a change does something else than it did in its preview.

    Raises:
        CallError: It does.
    """
    differing: list[str] = []
    if previewed.rows != found.rows:
        differing.append(f"the preview changed {previewed.rows} rows, and now it would be {found.rows}")
    before, now = previewed.measured, found.measured
    for table in sorted(before.tables.keys() | now.tables.keys()):
        old, new = before.tables.get(table, (0, 0, 0)), now.tables.get(table, (0, 0, 0))
        if old != new and previewed.rows == found.rows:
            where = "a relation that is not told of here" if found.closing.tells(table) else table
            differing.append(f"in {where} it was {counted(old)}, and now it would be {counted(new)}")
    if previewed.acting != found.acting:
        differing.append("other triggers run now")
    if (previewed.identity.role, previewed.identity.database) != (found.identity.role, found.identity.database):
        differing.append(f"the role or the database is another: {found.identity.role} in {found.identity.database}")
    if (before.made, before.gone, tuple(before.rewritten)) != (now.made, now.gone, tuple(now.rewritten)):
        differing.append("other relations are made, dropped or rewritten")
    if differing:
        text = f"rolled back, nothing was changed: {'; '.join(differing[:5])}."
        raise CallError(
            "changed_since_preview", text, "Call preview_change again, and show the person the new numbers."
        )


def counted(numbers: tuple[int, int, int]) -> str:
    """Rows as words."""
    words = [
        f"{count} {word}" for count, word in zip(numbers, ("inserted", "updated", "deleted"), strict=True) if count
    ]
    return ", ".join(words) or "none"
