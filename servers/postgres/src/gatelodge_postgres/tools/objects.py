"""Tools that tell what is in a database."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated, Literal

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import READ
from gatelodge_core.errors import CallError
from pydantic import Field

from gatelodge_postgres.catalog.details import INCLUDED, Part, described
from gatelodge_postgres.catalog.objects import RELATIONS, Item, Kind, Page, listed
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.sources import Sources
from gatelodge_postgres.tools.arguments import Connection
from gatelodge_postgres.tools.querying import DATA

objects = Declarations[Sources]()

BUDGET = 14_000
"""Characters of one answer: about 4,000 tokens."""


@objects.tool(effect=READ, yields=DATA)
async def list_objects(
    sources: Sources,
    kinds: Annotated[list[Kind], Field(description="Default: tables and views.")] = [],  # noqa: B006 - never changed
    schema: str = "",
    pattern: Annotated[str, Field(max_length=200, description="Glob or part of a name.")] = "",
    detail: Literal["names", "summary"] = "summary",
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
    cursor: str = "",
    connection: Connection = "",
) -> str:
    """List tables, views, functions, types, schemas or extensions with estimated rows, size and comment."""
    source = sources.pick(connection)
    summary = detail == "summary"

    async def work(session: Session) -> Page:
        return await listed(
            session, source.reader.judge, kinds=kinds or RELATIONS, schema=schema, pattern=pattern, limit=limit,
            cursor=cursor, summary=summary,
        )  # fmt: skip

    page = await source.database.run(work)
    lines = [f"shown {len(page.items)} of {page.total}" + (f"; MORE: cursor={page.cursor}" if page.cursor else "")]
    for name, items in groupby(page.items, key=lambda item: item.schema):
        if summary:
            lines += [f"{name}:", *(f"  {_summary(item)}" for item in items)]
        else:
            lines.append(f"{name}: {', '.join(_name(item) for item in items)}")
    if not page.items and page.total == 0:
        lines.append('Nothing fits. Try other kinds, or a shorter pattern; kinds=["schema"] lists the schemas.')
    return "\n".join(lines)


def _name(item: Item) -> str:
    mark = "" if item.kind == "table" else f" ({item.kind})"
    return f"{item.name or item.schema}{mark}"


def _summary(item: Item) -> str:
    words = [_name(item)]
    if item.more:
        words[0] += f" {item.more}"
    if item.kind in ("table", "materialized_view", "partition", "foreign_table") and item.rows >= 0:
        words.append(f"~{count(item.rows)} rows")
    if item.size is not None and item.size >= 0 and item.kind != "sequence":
        words.append(size(item.size))
    if not item.readable:
        words.append("not readable by this role")
    text = ", ".join(words)
    return f"{text} -- {' '.join(item.comment.split())}" if item.comment else text


def count(number: float) -> str:
    """A number of rows, short: ``950``, ``12k``, ``3.4M``."""
    for limit, mark in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= limit:
            return f"{number / (1000 if mark == 'k' else limit):.3g}{mark}"
    return f"{number:.0f}"


def size(number: float) -> str:
    """A size, short: ``8 kB``, ``3.4 MB``."""
    for mark in ("bytes", "kB", "MB", "GB"):
        if number < 1024:
            return f"{number:.3g} {mark}"
        number /= 1024
    return f"{number:.3g} TB"


@objects.tool(effect=READ, yields=DATA)
async def describe_objects(
    sources: Sources,
    names: Annotated[list[str], Field(min_length=1, max_length=20, description="schema.name or name.")],
    include: list[Part] = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    connection: Connection = "",
) -> str:
    """Describe tables, views, functions or types: columns, keys, constraints, indexes, comments; DDL on request."""
    source = sources.pick(connection)

    async def work(session: Session) -> list[tuple[str, str]]:
        return await described(session, source.reader.judge, source.masks, names, include or INCLUDED)

    found = await source.database.run(work)
    if not any(text for _, text in found):
        text = f"there is nothing called {', '.join(name[:80] for name, _ in found)}, or the role may not see it."
        raise CallError("not_found", text, "list_objects finds names; its pattern takes a part of one.")
    parts: list[str] = []
    left: list[str] = []
    used = 0
    for name, text in found:
        if not text:
            parts.append(f"{name}: not found")
        elif parts and used + len(text) > BUDGET:
            left.append(name)
        else:
            parts.append(text if len(text) <= 4 * BUDGET else f"{text[: 4 * BUDGET]}\n... cut; ask for fewer parts")
            used += len(text)
    if left:
        parts.insert(0, f"shown {len(parts)} of {len(found)}; ask again for: {', '.join(left)}")
    return "\n\n".join(parts)
