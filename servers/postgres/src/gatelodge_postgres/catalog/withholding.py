"""Taking out of a relation's description what tells of relations that are closed."""

from __future__ import annotations

from dataclasses import replace

from gatelodge_postgres.catalog.relations import Described
from gatelodge_postgres.verdict.shut import Shut


def withhold(one: Described, closing: Shut) -> None:
    """Drop or blank each part of a description that names what is closed, in place."""
    if not closing.words:
        return
    # Its own name may be that of a closed one in another schema; its own parts name it.
    closing = replace(closing, words=closing.words - {one.name})
    one.query = closing.or_withheld(one.query) if one.query else ""
    one.partition_of = closing.or_withheld(one.partition_of) if one.partition_of else ""
    children = closing.told(one.children)
    one.child_count -= len(one.children) - len(children)
    one.children = children
    one.columns = [
        replace(
            column,
            type=closing.or_withheld(column.type),
            default=closing.or_withheld(column.default),
            generated=_generated(column.generated, closing),
        )
        for column in one.columns
    ]
    one.constraints = [each for each in one.constraints if not closing.tells(each[2])]
    one.referenced_by = closing.told(one.referenced_by)
    one.indexes = [each for each in one.indexes if not closing.tells(each.definition)]
    one.triggers = closing.told(one.triggers)
    one.policies = closing.told(one.policies)


def _generated(text: str, closing: Shut) -> str:
    kind = text.rpartition(" ")[2]
    return f"{closing.or_withheld(text)} {kind}" if closing.tells(text) else text
