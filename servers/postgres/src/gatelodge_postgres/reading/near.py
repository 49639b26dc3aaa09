"""What a wrong name may have meant, from the catalog: ``Did you mean app.orders?``."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, LiteralString

from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.facts import gather
from gatelodge_postgres.verdict.parse import statement
from gatelodge_postgres.verdict.shut import shut

if TYPE_CHECKING:
    from gatelodge_postgres.reading.reader import Reader

SECONDS = 3.0
MOST = 3
_NAMES: dict[str, re.Pattern[str]] = {
    "undefined_table": re.compile(r'relation "(.+?)" does not exist'),
    "undefined_column": re.compile(r'column "?(.+?)"? (?:of relation .*)?does not exist'),
    "undefined_function": re.compile(r"function (.+?)\("),
    "undefined_object": re.compile(r'type "(.+?)" does not exist'),
    "invalid_schema_name": re.compile(r'schema "(.+?)" does not exist'),
}
_CANDIDATES: dict[str, LiteralString] = {
    "undefined_table": """
        SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'pg_toast'
        AND has_schema_privilege(n.oid, 'USAGE')
        ORDER BY n.nspname IN ('pg_catalog', 'information_schema'), pg_table_is_visible(c.oid) DESC LIMIT 5000""",
    "undefined_column": """
        SELECT DISTINCT a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relname = ANY ($1::name[]) AND a.attnum > 0 AND NOT a.attisdropped LIMIT 5000""",
    "undefined_function": "SELECT DISTINCT proname::text FROM pg_proc LIMIT 10000",
    "undefined_object": "SELECT typname::text FROM pg_type WHERE typtype <> 'c' AND typname !~ '^_' LIMIT 5000",
    "invalid_schema_name": "SELECT nspname::text FROM pg_namespace WHERE has_schema_privilege(oid, 'USAGE')",
}


async def near(reader: Reader, sql: str, error: CallError) -> CallError:
    """The same error with the names that come nearest to the wrong one, if it is about a name."""
    pattern = _NAMES.get(error.code)
    found = pattern.search(error.message) if pattern else None
    if found is None or "Perhaps you meant" in error.hint:
        return error
    wrong = found[1]
    try:
        tables = sorted({name for _, name in gather(statement(sql).node).relations})

        async def ask(session: Session) -> list[str]:
            parameters = [tables] if error.code == "undefined_column" else []
            found = [str(name) for (name,) in await session.rows(_CANDIDATES[error.code], parameters)]
            known = await shut(session, reader.judge)
            return [name for name in found if not known.closed(*_split(name))]

        names = await reader.database.run(ask, seconds=SECONDS)
    except CallError:
        return error
    close = closest(wrong, names)
    return (
        CallError(error.code, error.message, f"Did you mean {' or '.join(close)}? {error.hint}".strip())
        if close
        else error
    )


def closest(wrong: str, names: list[str]) -> list[str]:
    """The names nearest to a wrong one; where that has no schema, theirs don't count."""
    word = wrong.lower() if "." in wrong else wrong.rpartition(".")[2].lower()
    keys: dict[str, str] = {}
    for name in names:
        keys.setdefault(name.lower() if "." in wrong else name.rpartition(".")[2].lower(), name)
    found = difflib.get_close_matches(word, keys, MOST, 0.6)
    if not found and "." in wrong:
        return closest(wrong.rpartition(".")[2], names)
    return [keys[key] for key in found]


def _split(name: str) -> tuple[str, str]:
    schema, _, table = name.rpartition(".")
    return schema, table
