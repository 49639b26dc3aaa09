"""Indexes that could go: never used, doubled, or the beginning of another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from gatelodge_postgres.connect.privileges import quoted
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.amounts import duration
from gatelodge_postgres.reading.reader import Reader
from gatelodge_postgres.verdict.shut import shut

MAX_DROPS = 200
"""As many are looked at."""

_INDEXES: LiteralString = """
WITH i AS MATERIALIZED (
 SELECT i.indexrelid, i.indrelid, n.nspname, t.relname AS tab, x.relname AS ind, m.amname,
  (string_to_array(i.indkey::text, ' '))[1:i.indnkeyatts] AS keys,
  (string_to_array(i.indkey::text, ' '))[i.indnkeyatts + 1:] AS included, i.indclass::text AS classes,
  i.indcollation::text AS collations, i.indoption::text AS options, coalesce(pg_get_expr(i.indexprs, i.indrelid), '') AS exprs,
  coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS pred,
  i.indisunique OR i.indisexclusion OR i.indisreplident OR i.indexrelid IN (SELECT conindid FROM pg_constraint) AS needed,
  pg_relation_size(i.indexrelid) AS bytes, coalesce(s.idx_scan, 0) AS used
 FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
 JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_am m ON m.oid = x.relam
 LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = i.indexrelid
 WHERE i.indisvalid AND x.relkind = 'i' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
  AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(t.oid, 'SELECT')),
age AS (SELECT extract(epoch FROM now() - coalesce(stats_reset, pg_postmaster_start_time()))::float8 AS seconds,
  stats_reset IS NOT NULL AS known FROM pg_stat_database WHERE datname = current_database()),
twins AS (SELECT indexrelid, row_number() OVER same AS place, first_value(ind) OVER same AS first FROM i
 WINDOW same AS (PARTITION BY indrelid, keys, included, classes, collations, options, exprs, pred, amname
   ORDER BY needed DESC, indexrelid)),
-- Each index with each beginning of its keys, so that equal ones meet without a join: thousands would take seconds.
longer AS (SELECT indexrelid, ind FROM (SELECT indexrelid, part, needed, included,
   min(ind::text) FILTER (WHERE part) OVER (PARTITION BY indrelid, pred, beginning) AS ind
  FROM (SELECT i.*, k < cardinality(keys) AS part, concat_ws('|', keys[1:k]::text,
     (string_to_array(classes, ' '))[1:k]::text, (string_to_array(collations, ' '))[1:k]::text,
     (string_to_array(options, ' '))[1:k]::text) AS beginning
   FROM i CROSS JOIN LATERAL generate_series(1, cardinality(keys)) k WHERE amname = 'btree' AND exprs = '') s) w
 WHERE NOT part AND NOT needed AND cardinality(included) = 0 AND ind IS NOT NULL)
SELECT a.nspname::text, a.tab::text, a.ind::text, a.bytes::int8, a.used::int8, age.seconds, age.known,
 CASE WHEN t.place > 1 THEN t.first::text END, l.ind
FROM i a CROSS JOIN age JOIN twins t USING (indexrelid) LEFT JOIN longer l USING (indexrelid)
WHERE NOT a.needed AND (a.used = 0 OR t.place > 1 OR l.ind IS NOT NULL)
ORDER BY a.bytes DESC, a.ind LIMIT 200
"""


@dataclass(frozen=True, slots=True)
class Drop:
    """An index that could go.

    Args:
        name: Its name with its schema.
        ddl: The statement that drops it.
        size: Its bytes.
        why: In words.
        kind: ``duplicate``, ``prefix`` or ``unused``.
    """

    name: str
    ddl: str
    size: int
    why: str
    kind: str


async def drops(session: Session, reader: Reader) -> list[Drop]:
    """Indexes of the tables that the role may read which could go, the largest first.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    found: list[Drop] = []
    closing = await shut(session, reader.judge)
    for schema, table, index, size, used, seconds, known, twin, longer in await session.rows(_INDEXES):
        if closing.closed(schema, table):
            continue
        ddl = f"DROP INDEX CONCURRENTLY {quoted(schema)}.{quoted(index)}"
        times = f"; used {used} times" if used else ""
        if twin is not None:
            found.append(Drop(f"{schema}.{index}", ddl, size, f"the same as {twin}{times}", "duplicate"))
        elif longer is not None:
            found.append(
                Drop(f"{schema}.{index}", ddl, size, f"its keys are the first ones of {longer}{times}", "prefix")
            )
        else:
            period = f"in {duration(seconds)}" if known else f"at least since the start {duration(seconds)} ago"
            found.append(
                Drop(f"{schema}.{index}", ddl, size, f"not used {period} (replicas count for themselves)", "unused")
            )
    return found
