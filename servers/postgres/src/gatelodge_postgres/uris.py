"""URIs of the resources. Every part is percent-encoded, so that any name fits, and none is taken for another form.

Templates are tried in the order of their declaration: ``pg://results/ID`` before a database's schema, and
``pg://CONNECTION/health`` before one called health, which is reached by ``pg://CONNECTION/%68ealth``.
"""

from __future__ import annotations

from urllib.parse import quote

from mcp.shared.uri_template import UriTemplate

RESULT = "pg://results/{id}"
RESULT_PART = "pg://results/{id}/{part}"
OVERVIEW = "pg://{connection}"
HEALTH = "pg://{connection}/health"
SCHEMA = "pg://{connection}/{schema}"
TABLE = "pg://{connection}/{schema}/{table}"
SAMPLE = "pg://{connection}/{schema}/{table}/sample"

_TABLE = UriTemplate.parse(TABLE)


def overview(connection: str) -> str:
    """That of a database."""
    return f"pg://{quote(connection, safe='')}"


def health(connection: str) -> str:
    """That of its health."""
    return f"{overview(connection)}/health"


def schema(connection: str, name: str) -> str:
    """That of a schema."""
    # Without this, a schema called so would be hidden by the health of its database.
    part = "%68ealth" if name == "health" else quote(name, safe="")
    return f"{overview(connection)}/{part}"


def table(connection: str, where: str, name: str) -> str:
    """That of a table, view or the like."""
    return f"{overview(connection)}/{quote(where, safe='')}/{quote(name, safe='')}"


def parsed(uri: str) -> tuple[str, str, str] | None:
    """(connection, schema, table) that a URI means; None if it is none of a table."""
    found = _TABLE.match(uri)
    if found is None or found["connection"] == "results":
        return None
    return str(found["connection"]), str(found["schema"]), str(found["table"])
