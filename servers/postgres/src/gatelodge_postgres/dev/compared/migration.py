"""A draft of what would make the left schema like the right one. It is text: nothing here runs it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gatelodge_postgres.catalog.ddl import ident, literal
from gatelodge_postgres.dev.compared.snapshot import Column, Relation, Snapshot

DANGER = "-- DANGER: "
BY_HAND = "-- BY HAND: "


def migration(left: Snapshot, right: Snapshot) -> list[str]:
    """Its statements in order, each with what is dangerous about it before it; empty if there is nothing to do."""
    return _Draft(left, right).statements()


class _Draft:
    def __init__(self, left: Snapshot, right: Snapshot) -> None:
        self._left, self._right = left, right
        own, theirs = left.relations, right.relations
        self._gone = [name for name, one in own.items() if not one.is_view and not _same_kind(one, theirs.get(name))]
        self._new = [name for name, one in theirs.items() if not one.is_view and not _same_kind(one, own.get(name))]
        self._kept = [name for name, one in own.items() if not one.is_view and name not in self._gone]
        # Generated columns that are made anew, and take with them what is built on them.
        self._anew = {name: _made_anew(own[name], theirs[name]) for name in self._kept}
        changed = {name for name in self._kept if _reshaped(own[name], theirs[name])} | {*self._gone}
        changed |= {
            name for name, one in own.items()
            if one.is_view and (not _same_kind(one, theirs.get(name)) or theirs[name].query != one.query)
        }  # fmt: skip
        # Views that read what changes have to go meanwhile, and those that read them.
        while more := {name for name, one in own.items() if one.is_view and one.uses & changed} - changed:
            changed |= more
        self._dropped = _ordered({name: own[name] for name in own if own[name].is_view and name in changed})[::-1]
        self._made = _ordered(
            {name: one for name, one in theirs.items() if one.is_view and (name in changed or name not in own)}
        )

    def statements(self) -> list[str]:
        body = [
            *self._drop_first(), *self._enums(), *self._sequences(), *self._functions(late=False), *self._tables(),
            *self._columns(), *self._owners(), *self._functions(late=True), *self._constraints(), *self._views(),
            *self._indexes(), *self._drop_last(),
        ]  # fmt: skip
        before = self._labels()
        if not body:
            return before
        head = [
            "BEGIN;",
            f"SET LOCAL search_path = {ident(self._left.schema)};",
            "SET LOCAL check_function_bodies = off;",
        ]
        return [*before, *head, *body, "COMMIT;"]

    def _labels(self) -> list[str]:
        """New labels of enums. They can be used only once their transaction has ended, so they come before it."""
        found: list[str] = []
        for name, labels in self._right.enums.items():
            own = self._left.enums.get(name)
            if own is None or own == labels:
                continue
            if [label for label in labels if label in own] != list(own):
                found.append(f"{BY_HAND}labels of enum {name} are removed or ordered anew, which needs a new type.")
                continue
            for number, label in enumerate(labels):
                if label not in own:
                    place = (
                        f"AFTER {literal(labels[number - 1])}" if number else f"BEFORE {literal(own[0])}" if own else ""
                    )
                    full = f"{ident(self._left.schema)}.{ident(name)}"
                    found.append(f"ALTER TYPE {full} ADD VALUE {literal(label)} {place}".rstrip() + ";")
        return found

    def _drop_first(self) -> list[str]:
        found = [f"DROP {_view(self._left.relations[name])} {ident(name)};" for name in self._dropped]
        gone = [
            (table, name, kind)
            for (table, name), (kind, text) in self._left.constraints.items()
            if (
                kind == "f"
                if table in self._gone
                else not self._stays(table, text, self._right.constraints.get((table, name), ("", ""))[1])
            )
        ]
        # Foreign keys first: they hold the keys that they refer to.
        for table, name, _ in sorted(gone, key=lambda item: item[2] != "f"):
            found.append(f"ALTER TABLE {ident(table)} DROP CONSTRAINT {ident(name)};")
        for name, (table, text) in self._left.indexes.items():
            if table in self._kept and not self._stays(table, text, self._right.indexes.get(name, ("", ""))[1]):
                found.append(f"DROP INDEX {ident(name)};")
        partitions = sorted(self._gone, key=lambda name: -_depth(self._left, name))
        return found + [f"{DANGER}the rows are lost.\nDROP TABLE {ident(name)};" for name in partitions]

    def _stays(self, table: str, text: str, other: str) -> bool:
        """Whether an index or constraint of a table can stay as it is."""
        return text == other and not any(_mentions(text, name) for name in self._anew.get(table, ()))

    def _enums(self) -> list[str]:
        return [
            f"CREATE TYPE {ident(name)} AS ENUM ({', '.join(map(literal, labels))});"
            for name, labels in self._right.enums.items()
            if name not in self._left.enums
        ]

    def _sequences(self) -> list[str]:
        found: list[str] = []
        for name, (text, _) in self._right.sequences.items():
            own = self._left.sequences.get(name)
            if own is None:
                found.append(f"CREATE SEQUENCE {ident(name)} {text};")
            elif own[0] != text:
                found.append(f"ALTER SEQUENCE {ident(name)} {text};")
        return found

    def _owners(self) -> list[str]:
        return [
            f"ALTER SEQUENCE {ident(name)} OWNED BY {owner or 'NONE'};"
            for name, (_, owner) in self._right.sequences.items()
            if self._left.sequences.get(name, ("", ""))[1] != owner
        ]

    def _functions(self, *, late: bool) -> list[str]:
        found: list[str] = []
        for name, (word, text, needs) in self._right.functions.items():
            own = self._left.functions.get(name)
            if needs != late or (own is not None and own[:2] == (word, text)):
                continue
            if own is not None and _header(own[1]) != _header(text):
                found.append(f"{DANGER}fails where something uses it.\nDROP {own[0]} {name};")
            found.append(f"CREATE OR REPLACE {word} {text.rstrip().rstrip(';')};")
        return found

    def _tables(self) -> list[str]:
        found: list[str] = []
        left = list(self._new)
        done = {ident(name) for name in self._kept}
        while left:
            # Partitions after what they are part of.
            ready = [
                name
                for name in left
                if not self._right.relations[name].parent or self._right.relations[name].parent in done
            ]
            for name in ready or left:
                one = self._right.relations[name]
                tail = f" PARTITION BY {one.partition_by}" if one.partition_by else ""
                if one.parent:
                    found.append(f"CREATE TABLE {ident(name)} PARTITION OF {one.parent} {one.bound}{tail};")
                else:
                    inside = ",\n".join(f"  {_column(column, given)}" for column, given in one.columns.items())
                    found.append(
                        f"CREATE TABLE {ident(name)} (\n{inside}\n){tail};"
                        if inside
                        else f"CREATE TABLE {ident(name)} (){tail};"
                    )
                done.add(ident(name))
            left = [name for name in left if name not in ready] if ready else []
        return found

    def _columns(self) -> list[str]:
        found: list[str] = []
        for table in self._kept:
            one, other = self._left.relations[table], self._right.relations[table]
            if (one.partition_by, one.parent, one.bound) != (other.partition_by, other.parent, other.bound):
                found.append(f"{BY_HAND}{table} is partitioned differently, which needs a new table.")
            alter = f"ALTER TABLE {ident(table)}"
            anew = self._anew[table]
            for name, own in one.columns.items():
                again = own.generated and name in other.columns and other.columns[name].generated
                what = (
                    "it is computed anew, which rewrites the table under a lock"
                    if again
                    else "the column's values are lost"
                )
                note = f"{DANGER}{what}.\n"
                if name not in other.columns or name in anew:
                    found.append(f"{note}{alter} DROP COLUMN {ident(name)};")
            added: list[str] = []
            for name, given in other.columns.items():
                own = one.columns.get(name)
                if own is None or name in anew:
                    empty = given.required and not (given.default or given.identity or given.generated)
                    note = f"{DANGER}fails where the table has rows.\n" if empty else ""
                    text = f"{note}{alter} ADD COLUMN {_column(name, given)};"
                    # Generated ones last: they read the others.
                    added.insert(len(added) if given.generated else 0, text)
                elif own != given:
                    found += [
                        f"{note}{alter} ALTER COLUMN {ident(name)} {text};" for note, text in _changes(name, own, given)
                    ]
            found += added
        return found

    def _constraints(self) -> list[str]:
        missing = [
            (table, name, kind, text) for (table, name), (kind, text) in self._right.constraints.items()
            if table in self._new or not self._stays(table, text, self._left.constraints.get((table, name), ("", ""))[1])
        ]  # fmt: skip
        found: list[str] = []
        for table, name, _, text in sorted(missing, key=lambda item: "puxcf".index(item[2])):
            note = "" if table in self._new else f"{DANGER}fails where rows break it; locks the table while it looks.\n"
            found.append(f"{note}ALTER TABLE {ident(table)} ADD CONSTRAINT {ident(name)} {text};")
        return found

    def _views(self) -> list[str]:
        relations = self._right.relations
        return [f"CREATE {_view(relations[name])} {ident(name)} AS\n{relations[name].query.rstrip().rstrip(';')};" for name in self._made]  # fmt: skip

    def _indexes(self) -> list[str]:
        anew = {*self._new, *self._made}
        return [
            (f"{DANGER}locks the table against changes while it is built; CONCURRENTLY outside of a transaction doesn't.\n"
             if table not in anew else "") + f"{text};"
            for name, (table, text) in self._right.indexes.items()
            if table in anew or not self._stays(table, text, self._left.indexes.get(name, ("", ""))[1])
        ]  # fmt: skip

    def _drop_last(self) -> list[str]:
        found = [
            f"{DANGER}fails where something uses it.\nDROP {word} {name};"
            for name, (word, _, _) in self._left.functions.items()
            if name not in self._right.functions
        ]
        # One that a column owns has gone with it.
        found += [
            f"DROP SEQUENCE IF EXISTS {ident(name)};"
            for name in self._left.sequences
            if name not in self._right.sequences
        ]
        return found + [f"DROP TYPE {ident(name)};" for name in self._left.enums if name not in self._right.enums]


def _made_anew(one: Relation, other: Relation) -> set[str]:
    """Columns that are dropped and added again: generated differently, or from a column that gets another type."""
    both = {name: (own, other.columns[name]) for name, own in one.columns.items() if name in other.columns}
    retyped = [name for name, (own, given) in both.items() if own.type != given.type]
    return {
        name for name, (own, given) in both.items()
        if own.generated != given.generated or any(_mentions(own.generated, which) for which in retyped)
    }  # fmt: skip


def _mentions(text: str, column: str) -> bool:
    """Whether a definition may name a column; in doubt it does."""
    return re.search(rf"(?<![\w$]){re.escape(ident(column))}(?![\w$])", text) is not None


def _depth(whole: Snapshot, name: str) -> int:
    """How many tables a partition is inside of."""
    by_sql = {ident(other): one for other, one in whole.relations.items()}
    depth, one = 0, whole.relations.get(name)
    while one is not None and one.parent:
        depth, one = depth + 1, by_sql.get(one.parent)
    return depth


def _same_kind(one: Relation, other: Relation | None) -> bool:
    return other is not None and one.kind == other.kind


def _reshaped(one: Relation, other: Relation) -> bool:
    """Whether columns that a view can read go or get another type."""
    return any(
        name not in other.columns or (given.type, given.generated, given.collation)
        != (other.columns[name].type, other.columns[name].generated, other.columns[name].collation)
        for name, given in one.columns.items()
    )  # fmt: skip


def _ordered(views: dict[str, Relation]) -> list[str]:
    """Views, each after those that it reads."""
    found: list[str] = []
    left = dict(views)
    while left:
        ready = [name for name, one in left.items() if not one.uses & (left.keys() - {name})] or list(left)
        found += ready
        left = {name: one for name, one in left.items() if name not in ready}
    return found


def _view(one: Relation) -> str:
    return "MATERIALIZED VIEW" if one.kind == "m" else "VIEW"


def _header(text: str) -> str:
    """What of a function's definition CREATE OR REPLACE can't change: all before its language."""
    return text.partition("\n LANGUAGE ")[0]


def _column(name: str, column: Column) -> str:
    words = [ident(name), column.type]
    words += [f"COLLATE {column.collation}"] if column.collation else []
    words += [f"GENERATED {_identity(column)} AS IDENTITY"] if column.identity else []
    words += [f"GENERATED ALWAYS AS {column.generated}"] if column.generated else []
    words += [f"DEFAULT {column.default}"] if column.default else []
    words += ["NOT NULL"] if column.required else []
    return " ".join(words)


def _identity(column: Column) -> str:
    return "ALWAYS" if column.identity == "a" else "BY DEFAULT"


def _changes(name: str, own: Column, given: Column) -> Iterable[tuple[str, str]]:
    """(warning, what ALTER COLUMN does)."""
    retyped = (own.type, own.collation) != (given.type, given.collation)
    if own.identity and not given.identity:
        yield "", "DROP IDENTITY"
    if own.default and (retyped or not given.default):
        yield "", "DROP DEFAULT"
    if retyped:
        collate = f" COLLATE {given.collation}" if given.collation else ""
        note = f"{DANGER}can rewrite the table under a lock, and fails or loses digits where values don't fit.\n"
        yield note, f"TYPE {given.type}{collate} USING {ident(name)}::{given.type}"
    if given.default and (retyped or own.default != given.default):
        yield "", f"SET DEFAULT {given.default}"
    if given.required and not own.required:
        yield f"{DANGER}fails where there are NULLs; looks at all rows under a lock.\n", "SET NOT NULL"
    if own.required and not given.required:
        yield "", "DROP NOT NULL"
    if given.identity and not own.identity:
        yield "", f"ADD GENERATED {_identity(given)} AS IDENTITY"
    elif own.identity and given.identity and own.identity != given.identity:
        yield "", f"SET GENERATED {_identity(given)}"
