"""Whether a statement may change what it names: functions as for reading, relations by the person's rules, and more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, LiteralString

from gatelodge_core.errors import CallError

from gatelodge_postgres.changing.kinds import DML
from gatelodge_postgres.changing.shape import Shape, Target
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.facts import Facts, statement_words
from gatelodge_postgres.verdict.judge import Judge, Rules, Verdict
from gatelodge_postgres.verdict.known import Known, Relation, Routine
from gatelodge_postgres.verdict.lists import RUNNING_EXTENSIONS, SQL_RUNNERS
from gatelodge_postgres.verdict.parse import Statement

ADVANCING = frozenset(("nextval",))
"""Volatile functions that a change may call all the same; what they did is not undone, and harmless."""
CLOSED = frozenset(("pg_catalog", "information_schema", "pg_toast"))
_LOCKS = "it holds row locks (FOR UPDATE, FOR SHARE)"
_LANGUAGE: LiteralString = """
SELECT l.lanname::text FROM pg_language l WHERE l.lanname = $1 AND l.lanname <> 'sql' AND NOT l.lanpltrusted
"""


@dataclass(frozen=True)
class Judged:
    """A statement that may run.

    Args:
        shape: What it is made of.
        relations: What it names, with what the views among it read.
        targets: Its targets, each with its relation.
        verdict: What was found of it.
    """

    shape: Shape
    relations: tuple[Relation, ...]
    targets: tuple[tuple[Target, Relation], ...]
    verdict: Verdict


async def judge(session: Session, sql: str, shape: Shape, known: Known, rules: Rules) -> Judged:
    """Judge a statement.

    Args:
        session: With the role that changes things, whose search path counts.
        sql: The caller's text.
        shape: What it is made of.
        known: What is known of that role's catalog.
        rules: What the person allows.

    Raises:
        CallError: It is refused, with all reasons.
        psycopg.Error: The catalog can't be read.
    """
    if shape.reasons:
        # A statement of the wrong kind has no more to be said of it.
        raise refused(shape.reasons)
    judging = _Judge(known, rules, shape)
    verdict = await judging.judge(session, sql)
    reasons = _remaining(shape, verdict)
    targets = tuple((target, one) for target in shape.targets for one in _meant(target, verdict.relations))
    for _, one in targets:
        if one.schema in CLOSED:
            reasons.append(f"{one.schema}.{one.name} is PostgreSQL's own")
        if one.kind == "f":
            reasons.append(f"{one.schema}.{one.name} is a foreign table: what changes elsewhere may not be undone")
    for one in verdict.relations:
        # Reading one can run a program, or a function on another server, which a commit here makes last.
        if one.kind == "f" and not any(fnmatchcase(f"{one.schema}.{one.name}", glob) for glob in rules.allow_relations):
            reasons.append(f"{one.schema}.{one.name} is a foreign table, and not in allow_relations")
    for schema, name in sorted(shape.named):
        # One that isn't there yet may be denied, too.
        if schema and (reason := judging.closed(schema, name)):
            reasons.append(reason)
        if schema in CLOSED or schema.startswith("pg_temp"):
            reasons.append(f"{schema}.{name} is no place for changes")
    if shape.statement.kind == "CreateFunctionStmt" and (language := _language(shape.statement)):
        reasons += [f"language {name} is not trusted" for (name,) in await session.rows(_LANGUAGE, [language])]
    if reasons:
        raise refused(reasons)
    return Judged(shape, verdict.relations, targets, verdict)


def refused(reasons: list[str] | tuple[str, ...]) -> CallError:
    """The error that tells why."""
    once = list(dict.fromkeys(reasons))
    more = f"; and {len(once) - 6} more" if len(once) > 6 else ""
    hint = (
        "One INSERT, UPDATE, DELETE, MERGE, or one statement that makes, alters or drops an object, can be previewed."
    )
    if any("volatile" in reason for reason in once):
        hint = "If the function is harmless, the person can allow it with allow_functions."
    elif any("run_query" in reason for reason in once):
        hint = ""
    return CallError("refused", f"this change is not previewed: {'; '.join(once[:6])}{more}.", hint)


class _Judge(Judge):
    """The reader's judge, except for what a change may do besides."""

    def __init__(self, known: Known, rules: Rules, shape: Shape) -> None:
        super().__init__(known, rules)
        self._shape = shape

    def _root(self, whole: Statement) -> tuple[bool, Statement, list[str]]:
        if whole.kind == "CreateFunctionStmt":
            # Making a function doesn't run it.
            return False, replace(whole, node={key: item for key, item in whole.node.items() if key != "sql_body"}), []
        return False, whole, []

    async def _judge(self, session: Session, facts: Facts, findings: Any, within: str, depth: int) -> None:
        if depth == 0:
            facts.relations |= self._shape.named
        await super()._judge(session, facts, findings, within, depth)

    def _routines(self, kind: str, word: str, found: list[Routine], findings: Any, within: str) -> None:
        for one in found:
            if word in SQL_RUNNERS or one.extension in RUNNING_EXTENSIONS:
                # Also where it is allowed for reading: what it does there no rollback undoes.
                findings.reasons[f"{one.schema}.{word} runs a text as SQL"] = None
        rest = [one for one in found if one.own or one.schema != "pg_catalog" or word not in ADVANCING]
        super()._routines(kind, word, rest, findings, within)


def _remaining(shape: Shape, verdict: Verdict) -> list[str]:
    """The reasons, without those that say of a change that it is no read."""
    # The SELECT is that of an INSERT.
    usual = {f"it holds {statement_words(shape.statement.kind)}", "it holds SELECT", _LOCKS}
    if shape.profile == "dml":
        usual |= {f"it holds {statement_words(kind)}" for kind in DML}
    return [reason for reason in verdict.reasons if reason not in usual]


def _meant(target: Target, relations: tuple[Relation, ...]) -> list[Relation]:
    """The relation that a target is; none if it isn't there, which PostgreSQL will say."""
    return [
        one
        for one in relations
        if one.name == target.name and (one.schema == target.schema if target.schema else one.visible)
    ]


def _language(whole: Statement) -> str:
    options = [item["DefElem"] for item in whole.node.get("options", [])]
    names = [item.get("arg", {}).get("String", {}).get("sval", "") for item in options if item["defname"] == "language"]
    return str(names[0]) if names else ""


def allowed(name: str, rules: Rules) -> bool:
    """Whether the person allows a function, ``schema.name``, whatever it is."""
    return any(fnmatchcase(name, glob) for glob in rules.allow_functions)
