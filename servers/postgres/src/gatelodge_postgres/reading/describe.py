"""What a statement would give: its columns with type and origin, and the types of its parameters; nothing is run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import LiteralString

import psycopg
from psycopg import pq

from gatelodge_postgres.connect.session import Session, decoded
from gatelodge_postgres.verdict.kin import NOBODY, Kin, kin

BYTEA = 17
JSON_TYPES = (114, 3802)
_TYPES: LiteralString = "SELECT oid, format_type(oid, NULL) FROM pg_type WHERE oid = ANY ($1::oid[])"
_ORIGINS: LiteralString = """
SELECT c.oid, n.nspname::text, c.relname::text, a.attnum, a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
"""
MAX_KNOWN = 2000


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result.

    Args:
        name: As the statement names it.
        oid: Of its type.
        wide: Whether its values have no fixed size.
        table: OID of the table it comes from as it is; 0 if it is computed.
        number: Its number there.
    """

    name: str
    oid: int
    wide: bool
    table: int
    number: int


@dataclass(frozen=True, slots=True)
class Description:
    """What a statement would give."""

    columns: tuple[Column, ...]
    parameters: tuple[int, ...]


async def describe(session: Session, sql: str) -> Description:
    """Let the server parse and describe a statement.

    Raises:
        psycopg.Error: It can't be parsed.
    """
    return description_of(await session.prepare(sql))


def description_of(result: pq.abc.PGresult) -> Description:
    """What a described statement would give."""
    columns = tuple(
        Column(
            decoded(result.fname(number) or b""),
            result.ftype(number),
            result.fsize(number) < 0,
            result.ftable(number),
            result.ftablecol(number),
        )
        for number in range(result.nfields)
    )
    return Description(columns, tuple(result.param_type(number) for number in range(result.nparams)))


@dataclass(frozen=True, slots=True)
class Origins:
    """A table that columns come from.

    Args:
        schema: Where it is.
        table: Its name.
        columns: Names of its columns by number.
        kin: Where else its values are.
    """

    schema: str
    table: str
    columns: dict[int, str] = field(default_factory=dict[int, str])
    kin: Kin = NOBODY


class Names:
    """Names of types and of columns' origins in one database, remembered until told to forget."""

    def __init__(self) -> None:
        self._types: dict[int, str] = {}
        self._origins: dict[int, Origins] = {}

    def forget(self) -> None:
        """Ask anew."""
        self._types.clear()
        self._origins.clear()

    async def learn(self, session: Session, description: Description, *, anew: bool = False) -> None:
        """Ask for the names that aren't known.

        Args:
            session: The transaction that described the statement, and so keeps others from renaming its columns.
            description: What it gives.
            anew: Whether to ask for columns' origins even if they are known, since masks depend on them.

        Raises:
            psycopg.Error: The catalog can't be read.
        """
        if len(self._origins) > MAX_KNOWN:
            self.forget()
        wanted = {c.table for c in description.columns if c.table and (anew or self.origin(c) is None)}
        if wanted:
            found: dict[int, Origins] = {}
            for oid, schema, table, number, name in await session.rows(_ORIGINS, [sorted(wanted)]):
                found.setdefault(oid, Origins(schema, table)).columns[number] = name
            shared = await kin(session, found) if anew else {}
            self._origins |= {oid: replace(one, kin=shared.get(oid, NOBODY)) for oid, one in found.items()}
        oids = {column.oid for column in description.columns} | set(description.parameters)
        unknown = sorted(oid for oid in oids if oid not in self._types and not _builtin(oid))
        if unknown:
            self._types |= dict(await session.rows(_TYPES, [unknown]))

    def type(self, oid: int) -> str:
        """The name of a type."""
        return _builtin(oid) or self._types.get(oid, f"type {oid}")

    def origin(self, column: Column) -> tuple[str, str, str] | None:
        """(schema, table, column) that a column comes from as it is; None if it is computed."""
        found = self._origins.get(column.table)
        if found is None or column.number not in found.columns:
            return None
        return found.schema, found.table, found.columns[column.number]

    def kin(self, column: Column) -> Kin:
        """That of the table it comes from; known if asked for anew."""
        found = self._origins.get(column.table)
        return found.kin if found else NOBODY


def _builtin(oid: int) -> str:
    found = psycopg.adapters.types.get(oid)
    if found is None:
        return ""
    return f"{found.name}[]" if oid == found.array_oid else found.name
