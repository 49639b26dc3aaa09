"""Taking out of what a model is told of a change the relations that nothing may tell of. The person is shown all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from gatelodge_core.errors import CallError

from gatelodge_postgres.verdict.shut import Shut

if TYPE_CHECKING:
    from gatelodge_postgres.changing.rehearsal import Rehearsal

T = TypeVar("T")


def told(found: Rehearsal) -> Rehearsal:
    """A rehearsal without what names closed relations, and a note that something was left out."""
    closing, measured, acting = found.closing, found.measured, found.acting
    gone = tuple(name for name in measured.gone if not closing.tells(name))
    shown = replace(
        measured,
        tables=_open(measured.tables, closing),
        locks=_open(measured.locks, closing),
        rewritten=_open(measured.rewritten, closing),
        lost=_open(measured.lost, closing),
        gone=gone,
    )
    runs = replace(
        acting,
        triggers=tuple(closing.told(acting.triggers)),
        event_triggers=tuple(closing.told(acting.event_triggers)),
    )
    notices = tuple(closing.or_withheld(notice) for notice in found.notices)
    notes = found.notes
    if (shown, runs) != (measured, acting):
        notes = (*notes, "it also acts on relations that are not told of here; the person who is asked is shown them")
    return replace(found, measured=shown, acting=runs, notices=notices, notes=notes)


def _open(entries: Mapping[str, T], closing: Shut) -> dict[str, T]:
    return {name: value for name, value in entries.items() if not closing.tells(name)}


def told_error(error: CallError, closing: Shut) -> CallError:
    """The same error, or one of the same kind without its text where that names closed relations."""
    if not closing.tells(f"{error.message} {error.hint}"):
        return error
    text = (
        "PostgreSQL, or a rule here, refuses this change for a reason that names a relation which is not told of here."
    )
    return CallError(error.code, text, "Change only what is open, or ask the person.")
