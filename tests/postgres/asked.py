"""What the tools that read are asked on every version of PostgreSQL, and what an answer must hold."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gatelodge_postgres.dba.health import CHECKS

SEED = (Path(__file__).parent / "compatibility.sql").read_text("utf-8")
NEWER = {
    14: "CREATE TABLE shop.ranges (id int PRIMARY KEY, spans int4multirange, label text COMPRESSION pglz);"
    "CREATE FUNCTION shop.half(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN n / 2",
    15: "CREATE UNIQUE INDEX one_null ON shop.note (body) NULLS NOT DISTINCT;"
    "CREATE VIEW shop.mine WITH (security_invoker) AS SELECT id FROM shop.note",
    16: "CREATE TABLE shop.stored (id int PRIMARY KEY, label text STORAGE EXTERNAL)",
    17: "CREATE TABLE shop.split (id int GENERATED ALWAYS AS IDENTITY, at date) PARTITION BY RANGE (at)",
    18: "CREATE TABLE shop.computed (id int PRIMARY KEY, whole text GENERATED ALWAYS AS ('n' || id::text) VIRTUAL);"
    "CREATE TABLE shop.booked (room int4range, during tstzrange, PRIMARY KEY (room, during WITHOUT OVERLAPS));"
    "CREATE TABLE shop.loose (id int CONSTRAINT loose_there NOT NULL, customer int, CONSTRAINT to_customer FOREIGN KEY "
    "(customer) REFERENCES shop.customer NOT ENFORCED);"
    "ALTER TABLE shop.loose ADD CONSTRAINT loose_sane CHECK (id > 0) NOT ENFORCED",
}
"""What came with a version, and stands in catalogs in a form of its own."""


@dataclass(frozen=True)
class Asked:
    """A call of a tool, and what its answer must hold, as patterns."""

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    words: tuple[str, ...] = ()
    since: int = 0


def _asked() -> Generator[Asked]:
    q = "SELECT c.name, o.total FROM shop.customer c JOIN shop.orders o ON o.customer = c.id WHERE o.total > $1::int"
    tables = ["shop.customer", "shop.orders", "shop.event", "shop.note", "shop.spent", "shop.counted"]
    yield Asked("list_objects", {}, (r"customer, ~500 rows, .*Who buys", r"spent \(view\)", r"never_analysed, (?!~)"))
    yield Asked(
        "list_objects", {"kinds": ["function"], "schema": "shop"}, (r"twice.* \(n integer\) -> integer immutable",)
    )
    yield Asked(
        "list_objects",
        {"kinds": ["type", "sequence", "partition", "schema", "extension"], "schema": ""},
        ("mood", "event_2024", "plpgsql"),
    )
    yield Asked(
        "describe_objects",
        {"names": tables},
        (
            r"id integer not null identity always",
            r"generated upper\(name\) STORED",
            r"EXCLUDE USING gist",
            "Where to write",
            r"index loudly using btree",
            r"2 partitions or children: shop.event_2024, shop.event_rest",
            r"definition: SELECT",
        ),
    )
    yield Asked(
        "describe_objects",
        {"names": tables, "include": ["triggers", "policies", "privileges", "stats"]},
        (
            "trigger CREATE TRIGGER touched",
            "CREATE POLICY own ON shop.note",
            "grants to gatelodge_ro: SELECT",
            "0.0% null",
        ),
    )
    yield Asked(
        "describe_objects",
        {"names": tables, "include": ["ddl"]},
        (
            r"loud text GENERATED ALWAYS AS \(upper\(name\)\) STORED",
            "PARTITION BY RANGE",
            r"CREATE INDEX costly ON shop.orders",
        ),
    )
    yield Asked(
        "describe_objects",
        {"names": ["twice", "mood", "cents", "tidy"], "include": ["ddl"]},
        ("Doubles", "enum shop.mood: 'sad', 'ok'", "CHECK", "CREATE OR REPLACE PROCEDURE"),
    )
    yield Asked(
        "describe_objects",
        {"names": ["shop.ranges", "shop.half"], "include": ["ddl"]},
        ("int4multirange", r"RETURN \(?n / 2"),
        14,
    )
    yield Asked(
        "describe_objects",
        {"names": ["shop.note", "shop.mine"], "include": ["ddl"]},
        ("NULLS NOT DISTINCT", "VIEW shop.mine"),
        15,
    )
    yield Asked(
        "describe_objects", {"names": ["shop.split"], "include": ["ddl"]}, ("GENERATED ALWAYS AS IDENTITY",), 17
    )
    yield Asked(
        "describe_objects",
        {"names": ["shop.computed", "shop.booked", "shop.loose"], "include": ["ddl"]},
        (
            r"whole text GENERATED ALWAYS AS \(.*\) VIRTUAL",
            "WITHOUT OVERLAPS",
            r"FOREIGN KEY .* NOT ENFORCED",
            "CHECK .* NOT ENFORCED",
        ),
        18,
    )
    yield Asked("describe_objects", {"names": ["shop.computed", "shop.booked", "shop.loose"]}, ("VIRTUAL",), 18)
    yield Asked(
        "run_query",
        {"sql": q, "params": ["250"], "max_rows": 5},
        ("shown 5 of more", "name text = shop.customer.name", "MORE: cursor="),
    )
    yield Asked(
        "run_query",
        {"sql": "SELECT * FROM shop.customer ORDER BY id LIMIT 2", "format": "jsonl"},
        (r'"home":"\(\\"Street 1\\",1\)"',),
    )
    yield Asked(
        "run_query", {"sql": "SELECT shop.product(g), shop.twice(4) FROM generate_series(1, 4) g"}, ("\n24,8\n",)
    )
    yield Asked("run_query", {"sql": "SELECT id, body FROM shop.note"}, ("\n1,mine\n",))
    yield Asked("run_query", {"sql": "EXPLAIN SELECT * FROM shop.spent"}, ("Aggregate",))
    yield Asked("run_query", {"sql": "SELECT '{[1,3)}'::int4multirange AS r"}, (r"\{\[1,3\)\}",), 14)
    yield Asked("run_query", {"sql": "SELECT whole FROM shop.computed"}, ("shown 0 of 0",), 18)
    yield Asked("run_query", {"sql": "SELECT uuidv7() IS NOT NULL AS made"}, ("true",), 18)
    yield Asked("validate_query", {"sql": q}, ('"allowed": ?true', "shop.orders"))
    yield Asked("validate_query", {"sql": "SELECT shop.acts()"}, ('"allowed": ?false', "VOLATILE|volatile"))
    yield Asked("explain_query", {"sql": q, "params": ["250"]}, ("Hash|Nested|Merge",))
    yield Asked("explain_query", {"sql": q, "params": ["250"], "analyze": True}, ("execution: ",))
    yield Asked("explain_query", {"sql": q, "generic": True}, ("Hash|Nested|Merge",))
    yield Asked("search_schema", {"text": "customer mail"}, ("Who buys|mail",))
    yield Asked("search_schema", {"start": "shop.spent", "goal": "shop.customer"}, ("no path",))
    yield Asked("search_schema", {"start": "shop.orders", "goal": "shop.customer"}, (r"JOIN",))
    for table in tables:
        yield Asked("profile_table", {"table": table}, ("columns", "sample"))
    yield Asked("profile_table", {"table": "shop.computed"}, ("2 columns",), 18)
    yield Asked("export_query", {"sql": "SELECT * FROM shop.customer"}, ("500 rows", "sha256"))
    yield Asked(
        "export_query",
        {"sql": "SELECT * FROM shop.orders WHERE total > $1::int", "params": [200], "format": "jsonl"},
        ("rows",),
    )
    for language in ("typescript", "zod", "pydantic", "sqlalchemy", "go"):
        yield Asked("generate_types", {"tables": tables, "language": language}, ("(?i)customer", "sad"))
    yield Asked("generate_types", {"tables": ["shop.computed", "shop.booked", "shop.ranges"]}, ("whole",), 18)
    yield Asked("compare_schemas", {"left": "empty", "right": "shop"}, ("CREATE TABLE", r"\+ .*customer"))
    yield Asked(
        "recommend_indexes",
        {"queries": ["SELECT * FROM shop.orders WHERE placed > '2024-06-01' AND total = 7"]},
        ("create ",),
    )
    for check in CHECKS:
        yield Asked("check_health", {"checks": [check]}, ("1 checks: ",))
    yield Asked("check_health", {}, (f"{len(CHECKS)} checks: ",))
    yield Asked("show_activity", {"states": ["idle", "active", "waiting", "idle in transaction"]}, ("sessions",))
    yield Asked("show_activity", {"blocking_tree": True}, ("0 of ",))


ASKED = tuple(_asked())
