"""PostgreSQL's own parser, called through libpg_query: a statement's raw tree as plain JSON values.

The JSON form is a third of the cost of the protobuf one, and goes ten times deeper before it gives up.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, cast

from gatelodge_core.errors import CallError

MAX_SQL = 64 * 1024
"""The longest text that is judged, in bytes; parsing holds the process for about 20 ms then."""

SHORT = 1000
"""Characters of a text whose tree is remembered."""

Node = dict[str, Any]

_VALUES = re.compile(
    rb'"(?:location|list_start|list_end|stmt_location|stmt_len)":-?\d+'
    rb'|"(ival|fval|sval|bsval|boolval)":\{(?:"\1":(?:"(?:[^"\\]|\\.)*"|[^"}]*))?\}'
)
"""Places, and values of constants. A name stands in a node ``String``, whose text is no object of its own."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The one statement of a text.

    Args:
        kind: Its node's name, such as ``SelectStmt``.
        node: Its tree.
        text: Its own text, without a semicolon at its end.
        start: Characters of the whole text before it.
        shape: A digest of the tree without places and without the values of constants; their kinds are kept. Texts of
            one shape name the same things, so what was found of one holds for the other.
    """

    kind: str
    node: Node
    text: str
    start: int
    shape: bytes = b""


def statement(sql: str) -> Statement:
    """Parse a text of exactly one statement. Nobody may change the tree: it is given again for the same text.

    Raises:
        CallError: It is too long, isn't SQL, or holds no statement or several.
    """
    return _again(sql) if len(sql) <= SHORT else _statement(sql)


@lru_cache(maxsize=256)
def _again(sql: str) -> Statement:
    return _statement(sql)


def _statement(sql: str) -> Statement:
    raw = _bytes(sql)
    found, shape = _parsed(raw, sql)
    if not found:
        raise CallError("no_statement", "the text holds no statement.", "Send one SELECT.")
    if len(found) > 1:
        raise CallError(
            "several_statements", f"the text holds {len(found)} statements.", "Send one; leave out the rest."
        )
    start = int(found[0].get("stmt_location", 0))
    end = start + int(found[0].get("stmt_len") or len(raw) - start)
    ((kind, node),) = found[0]["stmt"].items()
    return Statement(kind, node, raw[start:end].decode(), len(raw[:start].decode()), shape)


def query(sql: str) -> Statement:
    """Parse a text as `statement` does; a SHOW becomes the SELECT that tells the same, since no cursor takes a SHOW.

    Raises:
        CallError: As `statement` does.
    """
    whole = statement(sql)
    if whole.kind != "VariableShowStmt":
        return whole
    name = str(whole.node.get("name", ""))
    if name.lower() == "all":
        return statement("SELECT name, setting, short_desc AS description FROM pg_catalog.pg_settings ORDER BY name")
    text, column = name.replace("'", "''"), name.replace('"', '""')
    # E'' as a backslash is one only there, whatever standard_conforming_strings says.
    text = text.replace("\\", "\\\\")
    return statement(f"""SELECT pg_catalog.current_setting(E'{text}') AS "{column}\"""")


def unjudged(sql: str) -> Statement:
    """A text as it is, where there is no parser and nothing is judged; PostgreSQL finds what is wrong with it."""
    raw = _bytes(sql)
    text = sql.rstrip().rstrip(";")
    return Statement("SelectStmt", {}, text, 0, hashlib.blake2b(raw, digest_size=16).digest())


def has_parser() -> bool:
    """Whether the parser is installed; some platforms have none."""
    return find_spec("postgast") is not None


def expression(sql: str) -> Node:
    """The tree of an expression, as PostgreSQL prints that of a domain's check.

    Raises:
        CallError: It can't be parsed.
    """
    return statement(f"SELECT {sql}").node


def _bytes(sql: str) -> bytes:
    if "\0" in sql:
        # The parser would stop there, and judge half of it.
        raise CallError("invalid_sql", "the text holds a NUL character.", "Leave it out.")
    try:
        raw = sql.encode()
    except UnicodeEncodeError:
        raise CallError("invalid_sql", "the text holds half of a surrogate pair.", "Send whole characters.") from None
    if len(raw) > MAX_SQL:
        raise CallError("too_long", f"the text has {len(raw)} bytes; at most {MAX_SQL} are judged.", "Send less.")
    return raw


def _parsed(raw: bytes, sql: str) -> tuple[list[Node], bytes]:
    try:
        from postgast import native  # noqa: PLC0415 - 0.1 s that the start doesn't pay
    except ImportError:
        text = "this needs PostgreSQL's parser, which is not installed here."
        raise CallError("no_parser", text, "run_query works without it.") from None
    result = native.lib.pg_query_parse(raw)
    try:
        if result.error:
            at = int(result.error.contents.cursorpos)
            text = result.error.contents.message.decode("utf-8", "replace")
            raise CallError("syntax_error", f"[42601] {text}{_place(sql, at)}.", "Send one statement of plain SQL.")
        tree: bytes = result.parse_tree
        shape = hashlib.blake2b(_VALUES.sub(_kind, tree), digest_size=16).digest()
        return cast("list[Node]", json.loads(tree).get("stmts", [])), shape
    except RecursionError:
        raise CallError("too_deep", "the statement is nested too deeply to be judged.", "Flatten it.") from None
    finally:
        native.lib.pg_query_free_parse_result(result)


def _kind(found: re.Match[bytes]) -> bytes:
    return found[1] or b""


def _place(sql: str, at: int) -> str:
    if at <= 0:
        return ""
    line = sql[: at - 1].count("\n") + 1
    return f", at character {at} (line {line})"
