"""Denied relations, asked for by every tool, resource, prompt and completion: no name, no structure, no value comes out."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from gatelodge_core.errors import CallError
from mcp import Client, MCPError
from mcp_types import PromptReference, ResourceTemplateReference

from tests.postgres.bed import Bed
from tests.postgres.dba import database
from tests.postgres.seed import READER
from tests.postgres.support import Called, server

pytestmark = pytest.mark.anyio

SETUP = """
CREATE SCHEMA sw; CREATE SCHEMA sw2;
CREATE TABLE sw.open (id int PRIMARY KEY, note text);
INSERT INTO sw.open SELECT g, 'note ' || g FROM generate_series(1, 2000) g;
CREATE TABLE sw2.open (id int PRIMARY KEY, note text);
CREATE VIEW sw.plain AS SELECT id FROM sw.open;
CREATE SEQUENCE sw.zqloose;
CREATE TABLE sw.zqvault (zqid int GENERATED ALWAYS AS IDENTITY, zqpin text DEFAULT 'canary', part int,
  open_id int REFERENCES sw.open, CONSTRAINT zqcheck CHECK (zqpin <> 'canary0')) PARTITION BY RANGE (part);
CREATE TABLE sw.zqpart PARTITION OF sw.zqvault FOR VALUES FROM (0) TO (100);
CREATE TABLE sw.zqdeep PARTITION OF sw.zqvault FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (part);
CREATE TABLE sw.zqleaf PARTITION OF sw.zqdeep FOR VALUES FROM (100) TO (200);
CREATE TABLE sw.zqsafe (zqid int PRIMARY KEY, zqtext text);
CREATE TABLE sw.zqchild (zqmore text) INHERITS (sw.zqsafe);
INSERT INTO sw.zqvault (zqpin, part) SELECT 'canary', g % 200 FROM generate_series(1, 4000) g;
INSERT INTO sw.zqchild SELECT g, 'canary', 'canary' FROM generate_series(1, 2000) g;
CREATE VIEW sw.zqview AS SELECT zqpin FROM sw.zqvault;
CREATE VIEW sw.zqover AS SELECT * FROM sw.zqview;
CREATE VIEW sw.window AS SELECT part FROM sw.zqvault;
CREATE VIEW sw.zqofpart AS SELECT * FROM sw.zqleaf;
CREATE MATERIALIZED VIEW sw.zqmat AS SELECT zqid, zqtext FROM sw.zqchild;
CREATE VIEW sw.zqofmat AS SELECT zqtext FROM sw.zqmat;
CREATE INDEX zqindex ON sw.zqvault (zqpin); CREATE INDEX zqindex2 ON sw.zqvault (zqpin); CREATE INDEX zqmatindex ON sw.zqmat (zqtext);
CREATE INDEX zqchildindex ON sw.zqchild (zqtext); CREATE INDEX zqchildindex2 ON sw.zqchild (zqtext);
CREATE STATISTICS sw.zqstats (dependencies) ON zqid, zqtext FROM sw.zqsafe;
CREATE FUNCTION sw.noting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO sw.zqsafe VALUES (1, 'canary'); RETURN NEW; END $$;
CREATE TRIGGER zqtrigger BEFORE INSERT ON sw.zqsafe FOR EACH ROW EXECUTE FUNCTION sw.noting();
ALTER TABLE sw.zqsafe DISABLE TRIGGER zqtrigger;
CREATE FUNCTION sw.taking(sw.zqsafe) RETURNS text LANGUAGE sql STABLE AS $$ SELECT ($1).zqtext $$;
CREATE FUNCTION sw.giving() RETURNS SETOF sw.zqchild LANGUAGE sql STABLE AS $$ TABLE sw.zqchild $$;
CREATE POLICY theirs ON sw.open USING (EXISTS (SELECT FROM sw.zqsafe s WHERE s.zqid = id));
ALTER TABLE sw.open ADD vault int REFERENCES sw.zqsafe, ADD pair sw.zqsafe, ADD pairs sw.zqsafe[], ADD number int DEFAULT nextval('sw.zqloose');
ALTER TABLE sw.zqsafe ADD CONSTRAINT zqnew CHECK (zqtext <> 'canary9') NOT VALID;
COMMENT ON TABLE sw.zqvault IS 'canary'; COMMENT ON COLUMN sw.zqvault.zqpin IS 'canary'; COMMENT ON VIEW sw.zqview IS 'canary';
COMMENT ON TABLE sw.zqchild IS 'canary'; COMMENT ON INDEX sw.zqindex IS 'canary'; COMMENT ON TABLE sw.zqleaf IS 'canary';
COMMENT ON MATERIALIZED VIEW sw.zqmat IS 'canary'; COMMENT ON CONSTRAINT zqcheck ON sw.zqvault IS 'canary';
GRANT USAGE ON SCHEMA sw, sw2 TO {reader}; GRANT SELECT ON ALL TABLES IN SCHEMA sw, sw2 TO {reader};
GRANT SELECT ON ALL SEQUENCES IN SCHEMA sw TO {reader};
GRANT pg_read_all_stats TO {reader};
ALTER TABLE sw.zqsafe SET (autovacuum_enabled = false);
ALTER SEQUENCE sw.zqvault_zqid_seq RESTART WITH 2147483600;
GRANT INSERT ON sw.zqsafe TO PUBLIC;
"""
CANARY = re.compile(rf"(?:{'|'.join(sorted(set(re.findall(r'zq[a-z]+', SETUP))))})\w*|canary", re.IGNORECASE)
"""All names of what is closed begin with zq (that alone stands in many a random name of a result, too); their comments
and values hold the other word."""
DENIED = {"deny_relations": ["sw.zqvault", "sw.zqsafe", "sw.zqloose"]}
"""What else begins with zq is closed by what it shares, reads or belongs to."""
NOT_ALLOWED = {"allow_relations": ["sw.open", "sw2.open", "sw.plain", "sw.window"]}
CLOSED = (
    "zqvault",
    "zqpart",
    "zqdeep",
    "zqleaf",
    "zqsafe",
    "zqchild",
    "zqview",
    "zqover",
    "zqofpart",
    "zqmat",
    "zqofmat",
)
NAMES = [f"sw.{name}" for name in (*CLOSED, "zqloose", "zqvault_zqid_seq", "zqindex", "zqstats")]
KINDS = ["table", "view", "materialized_view", "foreign_table", "partition", "sequence", "function", "type", "schema", "extension"]  # fmt: skip
PARTS = ["columns", "constraints", "indexes", "triggers", "policies", "stats", "privileges"]


@pytest.fixture(scope="module")
def home(system_bed: Bed) -> Generator[str]:
    extensions = ("CREATE EXTENSION pg_stat_statements", "CREATE EXTENSION hypopg")
    with database(system_bed, *extensions, SETUP.format(reader=READER), "ANALYZE") as name:
        with system_bed.admin(name) as admin:
            for _ in range(3):
                admin.execute("SELECT count(*) FROM sw.zqvault WHERE zqpin = 'canary'")
                admin.execute("SELECT count(*) FROM sw.open WHERE note = 'x'")
        yield name


@pytest.fixture
def busy(system_bed: Bed, home: str) -> Generator[psycopg.Connection]:
    """Somebody in a transaction on what is closed."""
    with system_bed.admin(home) as admin:
        admin.execute("BEGIN")
        admin.execute("SELECT zqpin, 'canary' FROM sw.zqvault LIMIT 1")
        yield admin


@pytest.fixture(params=[DENIED, NOT_ALLOWED], ids=["denied", "not allowed"])
async def called(
    request: pytest.FixtureRequest, system_bed: Bed, home: str, busy: object, tmp_path: Path
) -> AsyncGenerator[Called]:
    async with server(tmp_path, system_bed.url(home, READER), state_dir=str(tmp_path / "s"), **request.param) as client:
        yield client


def tool_calls() -> dict[str, list[dict[str, Any]]]:
    """What each tool is asked: all that it has of its own accord, and what is closed by its names."""
    sqls = [f"SELECT * FROM {name}" for name in NAMES[:11]] + [
        "SELECT zqpn FROM sw.zqvault", "SELECT * FROM sw.zqvaul",
        "SELECT o.id FROM sw.open o JOIN sw.zqview v ON true", "SELECT most_common_vals FROM pg_stats WHERE schemaname = 'sw'",
        "SELECT id, note FROM sw.open WHERE id < 3",
        "SELECT part FROM sw.window",
        "EXPLAIN (VERBOSE) SELECT part FROM sw.window",
        "SELECT count(*) FROM sw.window a, sw.window b, sw.window c, sw.window d",
    ]  # fmt: skip
    run = [{"sql": sql} for sql in sqls]
    single = [[name] for name in NAMES]
    return {
        "list_objects": [{"kinds": [kind], "schema": schema} for kind in KINDS for schema in ("", "sw")]
        + [{"kinds": KINDS, "pattern": "zq"}, {"detail": "names"}, {"kinds": KINDS, "limit": 1}],
        "describe_objects": [
            {"names": names, "include": include}
            for names in (*single, ["open"], ["sw.open", "sw.plain"], ["sw.window"], ["sw.noting"], ["sw.taking"], ["sw.giving"])
            for include in (PARTS, ["ddl"])
        ],
        "run_query": run,
        "validate_query": run,
        "explain_query": [*run, {"sql": "SELECT 1", "hypothetical_indexes": ["CREATE INDEX ON sw.zqpart (zqpin)"]},
            {"sql": "SELECT 1", "hypothetical_indexes": ["CREATE INDEX ON sw.zqmat (zqtext)"]}],
        "export_query": run,
        "search_schema": [{"text": text} for text in ("zq", "canary", "pin", "vault", "zqvalut", "taking", "giving", "sw")]
        + [{"start": name, "goal": "sw.open"} for name in NAMES[:11]] + [{"start": "sw.open", "goal": "sw2.open"}],
        "profile_table": [{"table": name} for name in (*NAMES, "zqvaul", "sw.open", "sw.plain", "sw.window")],
        "generate_types": [{"tables": [name], "language": language} for name in (*NAMES, "sw.open")
            for language in ("typescript", "sqlalchemy")],
        "compare_schemas": [{"left": "sw", "right": "sw2"}, {"left": "sw2", "right": "sw"}],
        "list_top_queries": [{"limit": 50}, {"by": "calls", "limit": 50}],
        "recommend_indexes": [{}, *({"queries": [sql]} for sql in sqls[:11])],
        "check_health": [{}],
        "show_activity": [{}, {"blocking_tree": True}, {"states": ["idle in transaction"]}],
    }  # fmt: skip


def innocent(text: str, sent: object) -> str:
    """The text without the words that the caller sent: an error may repeat those."""
    words = sorted(set(CANARY.findall(repr(sent))), key=len, reverse=True)
    for word in words:
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "…", text)
    return text


def assert_nothing(text: str, what: str, sent: object = "") -> None:
    found = CANARY.search(innocent(text, sent))
    assert found is None, (what, sent, found, text[max(0, found.start() - 200) : found.end() + 100])


async def test_no_tool_tells_of_what_is_closed(called: Called) -> None:
    calls = tool_calls()
    tools = {tool.name for tool in (await called.client.list_tools()).tools}
    assert tools == set(calls), "each tool is to be asked here"
    seen = 0
    for name, given in calls.items():
        for arguments in given:
            found = await called.client.call_tool(name, arguments)
            text = found.model_dump_json()
            assert "internal_error" not in text, (name, arguments, text)
            assert_nothing(text, name, arguments)
            seen += not found.is_error
    assert seen > 50


async def test_what_is_open_is_told_all_the_same(called: Called) -> None:
    assert "open" in await called.text("list_objects", schema="sw")
    text = await called.text("describe_objects", names=["sw.open"], include=PARTS)
    assert "primary key (id)" in text.lower()
    assert "sw.plain" in await called.text("search_schema", text="plain")
    assert "note 1" in await called.text("run_query", sql="SELECT * FROM sw.open WHERE id = 1")
    assert "pg_stat" in await called.text("run_query", sql="SELECT 'pg_stat' FROM pg_stat_database LIMIT 1")


async def test_no_resource_tells_of_what_is_closed(called: Called) -> None:
    client = called.client
    listed = (await client.list_resources()).resources
    uris = [str(one.uri) for one in listed]
    name = uris[0].removeprefix("pg://").partition("/")[0]
    assert any(uri.endswith("/sw/open") for uri in uris)
    for one in listed:
        assert_nothing(one.model_dump_json(), "list")
    closed = [f"pg://{name}/sw/{table}{end}" for table in (*CLOSED, "zqloose", "zqindex") for end in ("", "/sample")]
    for uri in [*uris, f"pg://{name}/sw", f"pg://{name}/sw2", f"pg://{name}/sw/open/sample", *closed]:
        try:
            text = (await client.read_resource(uri)).model_dump_json()
        except MCPError as error:
            text = str(error)
            assert "nternal" not in text, (uri, text)
        else:
            assert uri not in closed, uri
        assert_nothing(text, "resource", uri)
        assert_nothing(text.replace(uri, "…"), "resource", uri)


async def test_no_prompt_tells_of_what_is_closed(called: Called) -> None:
    given: dict[str, Any] = {"schema": "sw", "goal": "tidy", "question": "what", "sql": "SELECT 1", "table": "sw.open"}
    for prompt in (await called.client.list_prompts()).prompts:
        names = [one.name for one in prompt.arguments or []]
        found = await called.client.get_prompt(prompt.name, {name: given[name] for name in names if name in given})
        assert_nothing(found.model_dump_json(), prompt.name)


async def test_no_completion_tells_of_what_is_closed(called: Called) -> None:
    client = called.client
    owners: list[tuple[Any, Sequence[str]]] = [
        (PromptReference(name=one.name), [argument.name for argument in one.arguments or []])
        for one in (await client.list_prompts()).prompts
    ]
    owners += [
        (ResourceTemplateReference(uri=one.uri_template), re.findall(r"\{(\w+)\}", one.uri_template))
        for one in (await client.list_resource_templates()).resource_templates
    ]
    asked = 0
    for owner, names in owners:
        for name in names:
            for value in ("", "z", "zq", "sw.zq", "sw.", "o", "c"):
                for chosen in (
                    {},
                    {"schema": "sw"},
                    {"table": "sw.zqvault"},
                    {"table": "sw.zqmat"},
                    {"table": "sw.zqleaf"},
                ):
                    found = await _completed(client, owner, name, value, chosen)
                    assert_nothing(" ".join(found), f"{owner} {name} {value}")
                    asked += len(found)
    assert asked > 20


async def _completed(client: Client, owner: Any, name: str, value: str, chosen: dict[str, str]) -> list[str]:
    try:
        found = await client.complete(owner, {"name": name, "value": value}, context_arguments=chosen or None)
    except (MCPError, CallError):
        return []
    return found.completion.values


async def test_an_allowed_view_is_read_though_its_tables_are_not(system_bed: Bed, home: str, tmp_path: Path) -> None:
    async with server(tmp_path, system_bed.url(home, READER), **NOT_ALLOWED) as client:
        assert await client.rows("SELECT part FROM sw.window ORDER BY part LIMIT 1") == ['{"part":0}']
        assert (await client.error("explain_query", sql="SELECT part FROM sw.window")).startswith("refused")
        assert "sw.window" in await client.text("describe_objects", names=["sw.window"])
