"""The verdict: whether a statement only reads, as far as its text and the catalog tell, and if not, why.

It is the layer with good explanations, not the boundary: role, protocol and read-only transaction hold without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.facts import IMPLIED_OPERATORS, Facts, Name, gather, statement_words
from gatelodge_postgres.verdict.known import Known, Relation, Routine
from gatelodge_postgres.verdict.lists import (
    HARMLESS,
    HARMLESS_IN,
    HARMLESS_PREFIXES,
    RUNNING_EXTENSIONS,
    SECRET_RELATIONS,
    SQL_RUNNERS,
    STATEMENT_FUNCTIONS,
    STATEMENT_RELATIONS,
    VALUE_RELATIONS,
)
from gatelodge_postgres.verdict.naming import NAMELESS, PRINTED_TYPES, row_types, tells_of_relations
from gatelodge_postgres.verdict.parse import Node, Statement, expression, query, statement

MAX_DEPTH = 16
"""Views inside views, and domains inside domains, that are followed."""
TELLS = "tells of relations, and some are not told of here"
VIEW, STORED = "view ", "materialized view "
"""How what is said of a view begins; of a materialized one, and of all that only its query reads, nothing runs."""


@dataclass(frozen=True)
class Rules:
    """What the person allows.

    Args:
        strict: Whether functions and operators that users made need an entry in `allow_functions`.
        allow_functions: Globs over ``schema.function``, allowed whatever they declare.
        deny_relations: Globs over ``schema.relation`` never read.
        allow_relations: If there are any, others aren't read.
        foreign: Whether foreign tables are read.
        values_kept: Whether parts of the catalog that hold columns' values are closed, since columns are masked or relations not read.
    """

    strict: bool = False
    allow_functions: tuple[str, ...] = ()
    deny_relations: tuple[str, ...] = ()
    allow_relations: tuple[str, ...] = ()
    foreign: bool = False
    values_kept: bool = False

    @property
    def names_kept(self) -> bool:
        """Whether there are relations that nothing may tell of, so that what lists them is closed."""
        return bool(self.deny_relations or self.allow_relations)


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Args:
        statement: The parsed statement; of an EXPLAIN, the explained one.
        explained: Whether it stood in an EXPLAIN.
        reasons: Why it is refused; empty if it isn't.
        relations: What it reads, views' own relations included.
        facts: Of the statement itself.
        reads: OIDs of the relations that each view names, by what it is called; those that the statement itself names
            stand under an empty text.
    """

    statement: Statement
    explained: bool
    reasons: tuple[str, ...]
    relations: tuple[Relation, ...]
    facts: Facts
    reads: Mapping[str, set[int]]

    @property
    def named(self) -> list[Relation]:
        """The relations that the statement itself names."""
        return [one for one in self.relations if one.oid in self.reads.get("", ())]

    def read_by(self, view: Relation) -> list[Relation]:
        """The relations that a view's query names."""
        full = f"{view.schema}.{view.name}"
        oids = {oid for kind in (VIEW, STORED) for oid in self.reads.get(f"{kind}{full}", ())}
        return [one for one in self.relations if one.oid in oids]

    @property
    def ordered(self) -> bool:
        """Whether the rows come in an order that the statement asks for."""
        return "sortClause" in self.statement.node

    def check(self) -> None:
        """Raise if it is refused.

        Raises:
            CallError: With the reasons.
        """
        if self.reasons:
            shown = list(self.reasons[:6])
            more = len(self.reasons) - len(shown)
            text = "; ".join(shown) + (f"; and {more} more" if more else "")
            raise CallError("refused", f"this statement is not run: {text}.", _advice(self.reasons))


def _advice(reasons: tuple[str, ...]) -> str:
    text = " ".join(reasons)
    if "volatile" in text:
        return "If the function only reads, the person can declare it STABLE, or allow it with allow_functions."
    if "allow_functions" in text or "allow_foreign" in text:
        return ""
    if TELLS in text:
        return "list_objects, describe_objects and search_schema tell what may be known of the catalog."
    if "is not read here" in text:
        return "Use list_objects to see what may be read."
    return "Only one SELECT, VALUES, TABLE or EXPLAIN that changes nothing is run here."


@dataclass
class _Findings:
    reasons: dict[str, None] = field(default_factory=dict[str, None])
    relations: dict[int, Relation] = field(default_factory=dict[int, Relation])
    reads: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    seen: set[tuple[int, bool]] = field(default_factory=set[tuple[int, bool]])


class Judge:
    """Judges statements against one database.

    Args:
        known: What its catalog says, remembered.
        rules: What the person allows.
    """

    def __init__(self, known: Known, rules: Rules) -> None:
        self.known = known
        self.rules = rules

    async def judge(self, session: Session, sql: str) -> Verdict:
        """Judge a text of one statement.

        Raises:
            CallError: It is no text of exactly one statement.
            psycopg.Error: The catalog can't be read.
        """
        return await self.judge_statement(session, query(sql))

    async def judge_statement(self, session: Session, whole: Statement) -> Verdict:
        """Judge a parsed statement.

        Raises:
            psycopg.Error: The catalog can't be read.
        """
        explained, inner, reasons = self._root(whole)
        facts = gather(inner.node, inner.kind)
        findings = _Findings(dict.fromkeys([*reasons, *(f"it holds {word}" for word in facts.refused)]))
        await self._judge(session, facts, findings, "", 0)
        return Verdict(
            inner, explained, tuple(findings.reasons), tuple(findings.relations.values()), facts, findings.reads
        )

    def _root(self, whole: Statement) -> tuple[bool, Statement, list[str]]:
        """(whether it is an EXPLAIN, the statement to judge, what is wrong with it)."""
        if whole.kind == "SelectStmt":
            return False, whole, []
        if whole.kind != "ExplainStmt":
            return False, whole, [f"{statement_words(whole.kind)} is no query{_instead(whole.kind)}"]
        options = [item.get("DefElem", {}) for item in whole.node.get("options", [])]
        running = {str(one.get("defname", "")) for one in options if not _is_off(one)}
        ((kind, node),) = whole.node.get("query", {"": {}}).items()
        inner = Statement(kind, node, whole.text, whole.start)
        if "analyze" in running:
            return True, inner, ["EXPLAIN ANALYZE runs the statement; explain_query does it with analyze=true"]
        if "serialize" in running or kind != "SelectStmt":
            return True, inner, [f"EXPLAIN of {statement_words(kind) or 'nothing'} is not run here"]
        return True, inner, []

    async def _judge(self, session: Session, facts: Facts, findings: _Findings, within: str, depth: int) -> None:
        rows = self._row_types(facts)
        await self.known.learn(session, replace(facts, relations=facts.relations | rows))
        for name in sorted(facts.functions):
            self._function(name, findings, within)
        for word in sorted(facts.attributes):
            self._attribute(word, findings, within)
        types = self._types_in_play(facts)
        for schema, word in sorted(facts.operators | {("", name) for name in IMPLIED_OPERATORS}):
            self._operator(schema, word, types, findings, within)
        nodes: list[tuple[str, Node]] = []
        for schema, word in sorted(facts.types):
            nodes += self._type(schema, word, findings, within)
        for name in sorted(facts.relations):
            nodes += self._relation(name, findings, within)
        for name in sorted(rows):
            nodes += self._row_type(name, findings, within)
        self._printed(facts, findings, within)
        if nodes and depth >= MAX_DEPTH:
            findings.reasons[f"{within or 'it'} is nested too deeply to be judged"] = None
            return
        for inside, node in nodes:
            inner = gather(node)
            if inside.startswith(STORED):
                inner = Facts(relations=inner.relations)
            findings.reasons.update(dict.fromkeys(f"{inside} holds {word}" for word in inner.refused))
            await self._judge(session, inner, findings, inside, depth + 1)

    def _function(self, name: Name, findings: _Findings, within: str) -> None:
        schema, word = name
        found = [one for one in self.known.routines[word] if not schema or one.schema == schema]
        self._routines("function", word, found, findings, within)

    def _attribute(self, word: str, findings: _Findings, within: str) -> None:
        """Check a name after a dot, which is a call where there is no such column.

        Which of the two it is depends on what stands before the dot. So a function counts in any case: that a column has
        the name somewhere in the statement, as an alias written for the purpose may, says nothing.
        """
        found = [one for one in self.known.routines[word] if one.unary]
        self._routines("function", word, found, findings, within)

    def _types_in_play(self, facts: Facts) -> frozenset[int]:
        """Types outside of PostgreSQL's own that values of the statement can have."""
        known = self.known
        found = [one.types for name in facts.relations for one in self._meant(name)]
        found += [one.types for _, word in facts.functions for one in known.routines[word]]
        found += [one.types for word in facts.attributes for one in known.routines[word]]
        return frozenset[int]().union(*found, [one.oid for _, word in facts.types for one in known.types[word]])

    def _meant(self, name: Name) -> list[Relation]:
        schema, word = name
        return [one for one in self.known.relations[word] if (one.schema == schema if schema else one.visible)]

    def _operator(self, schema: str, word: str, types: frozenset[int], findings: _Findings, within: str) -> None:
        """Check the operators of a name; one for a user's type is meant only where a value of it can be."""
        found = [one for one in self.known.operators[word] if not schema or one.schema == schema]
        found = [one for one in found if not one.types or one.types & types]
        self._routines("operator", word, found, findings, within)

    def _routines(self, kind: str, word: str, found: list[Routine], findings: _Findings, within: str) -> None:
        where = f" (in {within})" if within else ""
        for one in found:
            name = f"{one.schema}.{word}" if one.schema != "pg_catalog" else word
            if any(fnmatchcase(name, glob) for glob in self.rules.allow_functions):
                continue
            if self._names_kept(within) and not one.own and tells_of_relations(word, typed=one.naming):
                findings.reasons[f"{name} {TELLS}{where}"] = None
            if self.rules.values_kept and word in STATEMENT_FUNCTIONS:
                findings.reasons[f"{name} tells what others' statements say{where}"] = None
            if word in SQL_RUNNERS or one.extension in RUNNING_EXTENSIONS:
                findings.reasons[f"{name} runs a text as SQL{where}"] = None
            elif one.volatile and not _harmless(word, one):
                findings.reasons[f"{kind} {name} is volatile: it may change something{where}"] = None
            elif one.definer and one.own:
                reason = f"{kind} {name} runs with its owner's rights, and is not in allow_functions{where}"
                findings.reasons[reason] = None
            elif self.rules.strict and one.own:
                findings.reasons[f"{kind} {name} is a user's, and not in allow_functions{where}"] = None

    def _type(self, schema: str, word: str, findings: _Findings, within: str) -> list[tuple[str, Node]]:
        nodes: list[tuple[str, Node]] = []
        for one in self.known.types[word]:
            if schema and one.schema != schema:
                continue
            name = f"{one.schema}.{word}"
            if one.volatile and not any(fnmatchcase(name, glob) for glob in self.rules.allow_functions):
                where = f" (in {within})" if within else ""
                findings.reasons[f"a cast to {name} calls a volatile function{where}"] = None
            nodes += [(f"domain {name}", expression(check)) for check in one.checks]
        return nodes

    def _relation(self, name: Name, findings: _Findings, within: str) -> list[tuple[str, Node]]:
        """Check a relation; the queries of views that users made, to be judged too."""
        nodes: list[tuple[str, Node]] = []
        # One that isn't there is PostgreSQL's to report.
        for one in self._meant(name):
            findings.reads.setdefault(within, set()).add(one.oid)
            stored = within.startswith(STORED)
            if (one.oid, stored) in findings.seen:
                continue
            findings.seen.add((one.oid, stored))
            findings.relations[one.oid] = one
            if reason := self.closed(one.schema, one.name, one.kin, direct=not within):
                # What a view reads is not the caller's to know.
                findings.reasons[f"a view reads what {reason.partition(' ')[2]}" if within else reason] = None
            if one.foreign and not self.rules.foreign and not stored:
                where = f" (in {within})" if within else ""
                findings.reasons[
                    f"{one.schema}.{one.name} reaches another server or a file, and allow_foreign is off{where}"
                ] = None
            if one.definition:
                inside = f"{STORED if stored or one.kind == 'm' else VIEW}{one.schema}.{one.name}"
                try:
                    nodes.append((inside, statement(one.definition).node))
                except CallError as error:
                    findings.reasons[f"{inside} can't be judged: {error.message}"] = None
        return nodes

    def _names_kept(self, within: str) -> bool:
        # A view that the person allows by its name may tell what it was made for.
        return self.rules.names_kept and not (within and self.rules.allow_relations)

    def _row_types(self, facts: Facts) -> set[Name]:
        """The relations whose rows a type in the statement may mean; asked only where some are closed."""
        if not self.rules.names_kept:
            return set()
        return {(schema, name) for schema, word in facts.types for name in row_types(word)}

    def _row_type(self, name: Name, findings: _Findings, within: str) -> list[tuple[str, Node]]:
        """Check a row type, which has its relation's name and tells its columns; what a view's query reads counts, too."""
        nodes: list[tuple[str, Node]] = []
        for one in self._meant(name):
            if reason := self.closed(one.schema, one.name, one.kin, direct=not within):
                findings.reasons[f"a view reads what {reason.partition(' ')[2]}" if within else reason] = None
            elif one.definition:
                nodes.append((f"{VIEW}{one.schema}.{one.name}", statement(one.definition).node))
        return nodes

    def _printed(self, facts: Facts, findings: _Findings, within: str) -> None:
        """Refuse types that make a name of a number, also where one is written as a column: ``(16384).regclass``."""
        if self._names_kept(within):
            words = {word for _, word in facts.types} | facts.attributes
            findings.reasons.update(dict.fromkeys(f"{word} {TELLS}" for word in sorted(words & PRINTED_TYPES)))

    def conceals(self, verdict: Verdict) -> bool:
        """Whether an allowed view reads what the caller may not name, so that a plan would tell of it."""
        named = {one.oid for one in verdict.named}
        return any(one.oid not in named and self.closed(one.schema, one.name, one.kin) for one in verdict.relations)

    def check_plan(self, verdict: Verdict) -> None:
        """Refuse to show a plan that tells of what is closed.

        Raises:
            CallError: ``refused``.
        """
        if self.conceals(verdict):
            text = "the plan is not shown: a view reads what is not read here, and the plan would tell of it."
            raise CallError("refused", text, "Run the query itself.")

    def closed(self, schema: str, name: str, kin: Sequence[str] = (), *, direct: bool = True) -> str:
        """Why a relation isn't read; empty if it is.

        Args:
            schema: Where it is.
            name: Its name.
            kin: ``schema.name`` of those it shares rows with: what it is a partition or child of, and its own.
            direct: Whether the caller names it, rather than a view that is allowed itself.
        """
        full = f"{schema}.{name}"
        system = schema in ("pg_catalog", "information_schema")
        if system and name in SECRET_RELATIONS:
            return f"{name} holds secrets and is not read here"
        if system and name in VALUE_RELATIONS and (self.rules.values_kept or self.rules.strict):
            return f"{name} holds values of columns that are kept, and is not read here"
        if self.rules.values_kept and (schema == "pg_toast" or name in STATEMENT_RELATIONS):
            what = "parts of tables' rows" if schema == "pg_toast" else "what others' statements say"
            return f"{name} holds {what}, and is not read here"
        if system and self.rules.names_kept and name not in NAMELESS and (direct or not self.rules.allow_relations):
            return f"{name} {TELLS}"
        if any(fnmatchcase(one, glob) for one in (full, *kin) for glob in self.rules.deny_relations):
            return f"{full} is not read here, by deny_relations"
        allowed = self.rules.allow_relations
        if direct and allowed and not system and not any(fnmatchcase(full, glob) for glob in allowed):
            return f"{full} is not read here, as it is not in allow_relations"
        return ""


_OFF = {"analyze": ("false", "off"), "serialize": ("none", "off")}


def _is_off(option: Node) -> bool:
    """Whether an option of EXPLAIN is written so that PostgreSQL takes it for switched off; it takes no other words."""
    value = option.get("arg", {})
    if "Integer" in value:
        return value["Integer"].get("ival", 0) == 0 and option.get("defname") == "analyze"
    word = str(value.get("String", {}).get("sval", ""))
    return word.lower() in _OFF.get(str(option.get("defname")), ())


def _harmless(word: str, one: Routine) -> bool:
    if one.schema == "pg_catalog" and not one.own:
        return word in HARMLESS or word.startswith(HARMLESS_PREFIXES)
    return word in HARMLESS_IN.get(one.extension, ())


def _instead(kind: str) -> str:
    return {
        "CopyStmt": "; use export_query",
        "InsertStmt": "; use preview_change, if it is offered",
        "UpdateStmt": "; use preview_change, if it is offered",
        "DeleteStmt": "; use preview_change, if it is offered",
    }.get(kind, "")
