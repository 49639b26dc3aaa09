"""What a change reaches beyond its own row count: whole tables, sequences, and what a preview can't tell."""

from __future__ import annotations

from typing import LiteralString

from gatelodge_core.errors import CallError

from gatelodge_postgres.changing.judging import Judged
from gatelodge_postgres.changing.measure import MAX_COUNTED, Identity
from gatelodge_postgres.changing.shape import Shape
from gatelodge_postgres.connect.privileges import quoted
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.known import Relation

_SEQUENCES: LiteralString = """
SELECT count(*)::int8 FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY ($1::oid[]) AND NOT a.attisdropped
 AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%')
"""


async def check_whole(session: Session, judged: Judged, rows: int) -> None:
    """Refuse a change whose condition holds for every row of a table, as `1 = 1` does in other words.

    Raises:
        CallError: It is one.
        psycopg.Error: The rows can't be counted.
    """
    formed = judged.shape
    if rows < 2 or formed.word not in ("UPDATE", "DELETE"):
        return
    for target, one in judged.targets[:1]:
        if one.kind not in ("r", "p") or not await _may_count(session, one):
            continue
        table = f"{quoted(one.schema)}.{quoted(one.name)}"
        # Quoted names of the catalog, and a number.
        counting = f"SELECT count(*) FROM (SELECT FROM {table} LIMIT {rows + 1}) t"  # noqa: S608
        left = int((await session.extended(counting)).get_value(0, 0) or 0)
        if left == (rows if "UPDATE" in target.events else 0):
            text = f"its condition holds for all {rows} rows of {one.schema}.{one.name}."
            raise CallError("full_table", text, "Narrow it, or set allow_full_table if every row is meant.")


_MAY: LiteralString = "SELECT has_table_privilege($1::oid, 'SELECT')"


async def _may_count(session: Session, one: Relation) -> bool:
    ((may,),) = await session.rows(_MAY, [one.oid])
    return bool(may)


def notes_on(formed: Shape, identity: Identity, standing: int) -> list[str]:
    """What the person should know of a change besides its numbers; `standing` rows go with a table."""
    notes: list[str] = []
    if formed.profile == "ddl":
        notes.append("the locks are held, and others wait, for as long as the statement takes")
    if formed.statement.kind in ("CreateFunctionStmt", "CreateTrigStmt", "AlterFunctionStmt"):
        notes.append("what the function does is not judged, only that it can be made")
    if standing > MAX_COUNTED:
        notes.append(f"a table has more than {MAX_COUNTED} rows; they are counted up to there")
    if not identity.counts:
        notes.append("track_counts is off: rows of other tables that change are not counted")
    return notes


async def sequences(session: Session, judged: Judged) -> list[str]:
    """Whether sequences advanced, which no rollback undoes."""
    filled = [one.oid for target, one in judged.targets if "INSERT" in target.events]
    if not filled:
        return []
    ((count,),) = await session.rows(_SEQUENCES, [filled])
    return ["sequences advanced, and are not set back: numbers will be missing"] if count else []
