"""What policies and people are told of a call: the relations it acts on, and what a change would do.

A relation is ``connection/schema.relation``, by whatever name the text calls it, and through views. A call whose relations
can't be told in advance acts on the whole database: whatever a rule denies there denies it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import unquote

from gatelodge_core.auth.principal import CALLER
from gatelodge_core.errors import CallError
from gatelodge_core.guard.admission import plain_effect
from gatelodge_core.guard.call import Call, Subject

from gatelodge_postgres.changing.changer import changes_of
from gatelodge_postgres.changing.shape import named_relations
from gatelodge_postgres.changing.shown import effect_text
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.sources import Source, Sources
from gatelodge_postgres.verdict.facts import Facts, Name, gather
from gatelodge_postgres.verdict.known import Known, Relation
from gatelodge_postgres.verdict.parse import statement

_SQL = ("sql", "query")
_SQLS = ("queries",)
_TABLE = ("table", "start", "goal")
_TABLES = ("tables", "names")
_NO_RELATIONS = frozenset(("show_activity", "cancel_backend", "check_health", "list_top_queries"))
"""Tools that look at the server's work, at no table's rows."""
_URI = re.compile(r"pg://([^/?#]+)(?:/([^/?#]+))?(?:/([^/?#]+))?")
MAX_DEPTH = 16
SECONDS = 5.0


async def subjects(sources: Sources, call: Call) -> list[Subject]:
    """The relations a call acts on."""
    if call.kind == "tool" and call.name == "apply_change":
        return _of_token(sources, call)
    if call.kind == "resource":
        return await _of_resource(sources, call)
    if call.kind == "prompt":
        return []
    # Of the databases that a call may name, as `compare_schemas` does with two.
    given = [str(call.arguments.get(key) or "") for key in ("connection", "left", "right")]
    found: list[Subject] = []
    for name in [name.partition("/")[0] for name in given if name] or [""]:
        try:
            source = sources.pick(name)
        except CallError:
            # It will fail in the tool; until then it could be any.
            found += [Subject(one.name, tree=True) for one in sources.all]
            continue
        found += await _of_arguments(source, call)
    return found


async def effect(sources: Sources, call: Call) -> str:
    """What a change would do; for anything else its arguments."""
    if call.kind != "tool" or call.name != "apply_change":
        return await plain_effect(call)
    token, connection = str(call.arguments.get("change_token", "")), str(call.arguments.get("connection") or "")
    try:
        return effect_text(changes_of(sources).tokens.look(token, str(call.principal), connection))
    except CallError as error:
        return f"apply_change: nothing would be done: {error.message}"


def _of_token(sources: Sources, call: Call) -> list[Subject]:
    try:
        record = changes_of(sources).tokens.look(str(call.arguments.get("change_token", "")), str(call.principal))
    except CallError:
        return []  # it will fail in the tool
    measured = record.found.measured
    names = {*record.found.relations, *measured.made, *measured.gone, *measured.tables}
    return [_subject(record.connection, name) for name in sorted(names)] or [Subject(record.connection, tree=True)]


async def _of_resource(sources: Sources, call: Call) -> list[Subject]:
    found = _URI.match(call.name)
    if found is None or found[1] == "results":
        return []
    # Before it is decoded: a schema called health is written in another way.
    health = found[2] == "health"
    connection, schema, relation = (unquote(part or "") for part in found.groups())
    try:
        source = sources.pick(connection)
    except CallError:
        return [Subject(connection)]
    if health and not relation:
        return [Subject(source.name)]
    if not relation:
        return [Subject(source.name, tree=True)]
    return await _resolved(source, call, [[(schema, relation)]], [])


async def _of_arguments(source: Source, call: Call) -> list[Subject]:
    texts = [str(call.arguments[key]) for key in _SQL if call.arguments.get(key)]
    texts += [text for key in _SQLS for text in _texts(call.arguments.get(key))]
    written = [str(call.arguments[key]) for key in _TABLE if call.arguments.get(key)]
    written += [text for key in _TABLES for text in _texts(call.arguments.get(key))]
    names = [_spelled(text) for text in written]
    if not texts and not names:
        return [Subject(source.name, tree=call.name not in _NO_RELATIONS)]
    return await _resolved(source, call, names, texts)


async def _resolved(source: Source, call: Call, names: list[list[Name]], texts: list[str]) -> list[Subject]:
    """The relations that names, each with its readings, and statements mean, asked of the catalog."""
    facts = Facts(relations={reading for readings in names for reading in readings})
    try:
        for text in texts:
            parsed = statement(text)
            facts.relations |= gather(parsed.node, parsed.kind).relations | named_relations(parsed)
    except CallError:
        # No statement: it will fail in the tool, if that judges; until then it could be about anything.
        return [Subject(source.name, tree=True)]
    if not facts.relations:
        # Such as DROP SCHEMA: what it reaches is known only when it has run.
        return [Subject(source.name, tree=call.name == "preview_change")]
    token = CALLER.set(call.principal)
    known = Known()
    try:
        found = await source.database.run(lambda session: _followed(session, known, facts), seconds=SECONDS)
    except CallError:
        return [Subject(source.name, tree=True)]
    finally:
        CALLER.reset(token)
    # A name of something else, such as a schema or a pattern, can mean much.
    new = any(not any(known.relations[name] for _, name in readings) for readings in names)
    # What is to be made isn't there yet, and where it will be isn't certain.
    new = new or (call.name == "preview_change" and any(not known.relations[name] for _, name in facts.relations))
    return [_subject(source.name, name) for name in sorted(found)] + ([Subject(source.name, tree=True)] if new else [])


async def _followed(session: Session, known: Known, facts: Facts) -> set[str]:
    """Full names of the relations, and of those that views among them read."""
    found = {f"{schema}.{name}" for schema, name in facts.relations if schema}
    left, seen = [facts], set[int]()
    for _ in range(MAX_DEPTH):
        following: list[Facts] = []
        for one in left:
            await known.learn(session, Facts(relations=one.relations))
            for relation in _meant(known, one.relations):
                found.add(f"{relation.schema}.{relation.name}")
                if relation.definition and relation.oid not in seen:
                    following.append(gather(statement(relation.definition).node))
                seen.add(relation.oid)
        left = following
        if not left:
            break
    return found


def _meant(known: Known, names: Iterable[Name]) -> Iterable[Relation]:
    for schema, name in names:
        # Without a schema any of that name: the write role, and a search path of its own, may mean another one.
        yield from (one for one in known.relations[name] if schema in ("", one.schema))


def _spelled(text: str) -> list[Name]:
    """A name as a caller writes it: as SQL reads it, and as it stands."""
    schema, _, relation = text.rpartition(".")
    found = [(schema, relation)]
    try:
        parsed = statement(f"TABLE {text}")
        found += list(gather(parsed.node, parsed.kind).relations)
    except CallError:
        pass
    return found


def _texts(value: object) -> list[str]:
    return [str(item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def _subject(connection: str, name: str) -> Subject:
    # A slash in a name would else begin another part of the path that rules match.
    return Subject(f"{connection}/{name.replace('/', '%2F')}")
