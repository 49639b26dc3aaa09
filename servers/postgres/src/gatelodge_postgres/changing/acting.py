"""What else runs when a table changes: triggers, rules, functions behind defaults, checks and policies.

They are part of the tables, made by who may make them, and run as they do for everybody. Two things are looked at: that
they are told, and that a rehearsal is refused where one of them says that it acts outside of the transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from gatelodge_core.errors import CallError

from gatelodge_postgres.changing.judging import Judged, allowed
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.judge import Rules

_BITS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
_FOUND: LiteralString = r"""
WITH RECURSIVE reached(oid, events) AS (
  SELECT t.oid, t.events FROM unnest($1::oid[], $2::int4[]) t(oid, events)
 UNION
  SELECT * FROM (WITH r AS (SELECT * FROM reached)
   SELECT i.inhrelid, r.events FROM r JOIN pg_inherits i ON i.inhparent = r.oid
   UNION SELECT k.conrelid, CASE WHEN k.confdeltype = 'c' THEN r.events & 8 ELSE 0 END
     | CASE WHEN k.confdeltype IN ('n', 'd') OR k.confupdtype <> 'a' THEN 16 ELSE 0 END
   FROM r JOIN pg_constraint k ON k.confrelid = r.oid AND k.contype = 'f' AND r.events & 24 <> 0
    AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))) more
), acting(what, schema, relation, name, function) AS (
  SELECT 'trigger', c.relnamespace, c.relname, t.tgname, t.tgfoid FROM reached r JOIN pg_class c ON c.oid = r.oid
   JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & r.events <> 0
 UNION SELECT 'rule', c.relnamespace, c.relname, w.rulename, NULL FROM reached r JOIN pg_class c ON c.oid = r.oid
   JOIN pg_rewrite w ON w.ev_class = r.oid AND w.ev_type <> '1' AND w.ev_enabled <> 'D'
 UNION SELECT 'function', c.relnamespace, c.relname, p.proname, p.oid FROM reached r JOIN pg_class c ON c.oid = r.oid
   JOIN pg_depend of ON of.refclassid = 'pg_class'::regclass AND of.refobjid = r.oid
    AND of.classid IN ('pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_policy'::regclass, 'pg_rewrite'::regclass)
   JOIN pg_depend d ON d.classid = of.classid AND d.objid = of.objid AND d.refclassid = 'pg_proc'::regclass
   JOIN pg_proc p ON p.oid = d.refobjid
 UNION SELECT 'event trigger', p.pronamespace, '', e.evtname, e.evtfoid FROM pg_event_trigger e
   JOIN pg_proc p ON p.oid = e.evtfoid WHERE $3::bool AND e.evtenabled IN ('O', 'A') AND e.evtevent <> 'login'
)
SELECT a.what, s.nspname::text, a.relation::text, a.name::text, coalesce(n.nspname || '.' || p.proname, ''),
 coalesce(l.lanispl AND NOT l.lanpltrusted, false), coalesce(l.lanname::text, ''),
 coalesce((regexp_match(p.prosrc, '\m(dblink\w*|pg_background\w*|http_\w+|net\.http\w+|lo_export|pg_file_\w+|cron\.\w+)'
  '|\mcopy\M[^;]*\m(program)\M', 'i'))[1:2], '{}')::text
FROM acting a JOIN pg_namespace s ON s.oid = a.schema LEFT JOIN pg_proc p ON p.oid = a.function
LEFT JOIN pg_namespace n ON n.oid = p.pronamespace LEFT JOIN pg_language l ON l.oid = p.prolang
ORDER BY 1, 2, 3, 4 LIMIT 500
"""


@dataclass(frozen=True)
class Acting:
    """What runs besides the statement, in words; equal where nothing changed in between."""

    triggers: tuple[str, ...] = ()
    event_triggers: tuple[str, ...] = ()


async def acting(session: Session, judged: Judged, rules: Rules) -> Acting:
    """Look what runs besides.

    Raises:
        CallError: A table has rules, or something that runs acts outside of the transaction.
        psycopg.Error: The catalog can't be read.
    """
    oids, events = _reached(judged)
    rows = await session.rows(_FOUND, [oids, events, judged.shape.profile == "ddl"])
    triggers: list[str] = []
    on_ddl: list[str] = []
    for what, schema, relation, name, function, untrusted, language, words in rows:
        on = f"{schema}.{relation}"
        if what == "rule":
            raise CallError(
                "not_previewable",
                f"{on} has the rule {name}, which makes of a statement another one.",
                "Change the table that the rule leads to.",
            )
        if what == "trigger":
            triggers.append(f"{name} on {on} calls {function}")
        if what == "event trigger":
            on_ddl.append(f"{name} calls {function}")
        if not allowed(function, rules) and (untrusted or words != "{}"):
            why = (
                f"is written in {language}"
                if untrusted
                else f"mentions {words.strip('{}').replace('NULL', '').strip(',')}"
            )
            raise CallError(
                "not_previewable",
                f"the {what} {name} runs with this change, and {function} {why}: what it does can't be rolled back.",
                "If it is harmless, the person can allow the function with allow_functions.",
            )
    return Acting(tuple(triggers), tuple(on_ddl))


def _reached(judged: Judged) -> tuple[list[int], list[int]]:
    """OIDs of what changes, and the kinds of change as bits of ``pg_trigger.tgtype``."""
    found: dict[int, int] = {}
    for target, one in judged.targets:
        found[one.oid] = found.get(one.oid, 0) | sum(_BITS[event] for event in target.events)
    if judged.shape.word == "TRUNCATE":
        names = set(judged.shape.emptied)
        found |= {one.oid: _BITS["TRUNCATE"] for one in judged.relations if _is(names, one.schema, one.name)}
    elif judged.shape.profile == "ddl":
        # A rewrite evaluates defaults and checks, and fires no triggers.
        found |= {one.oid: 0 for one in judged.relations}
    return list(found), list(found.values())


def _is(names: Sequence[tuple[str, str]] | set[tuple[str, str]], schema: str, name: str) -> bool:
    return (schema, name) in names or ("", name) in names
