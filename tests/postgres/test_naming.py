"""Names of relations that nothing may tell of, asked of the catalog by a caller's own query: each way bites without the rule."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.postgres.bed import Bed
from tests.postgres.dba import database
from tests.postgres.seed import READER
from tests.postgres.support import Called, server
from tests.postgres.test_denied_sweep import CANARY, DENIED, NOT_ALLOWED, SETUP, innocent

pytestmark = pytest.mark.anyio

MORE = f"""
CREATE VIEW sw.tables AS SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'sw'::regnamespace;
CREATE MATERIALIZED VIEW sw.kept AS SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'sw'::regnamespace;
DO $$ BEGIN
  EXECUTE format('CREATE VIEW sw.named AS SELECT x::oid::regclass::text AS name FROM generate_series(%s, %s) x',
    'sw.zqvault'::regclass::oid::int8 - 1000, 'sw.zqvault'::regclass::oid::int8 + 1000);
END $$;
CREATE FUNCTION sw.sized(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 7';
GRANT SELECT ON sw.tables, sw.kept, sw.named TO {READER};
"""


@dataclass(frozen=True)
class Way:
    """A query after a name; ``{{oid}}`` is the denied table's number, ``{{row}}`` its row type's, ``{{view}}`` a view's."""

    sql: str
    witness: str = ""
    """What the answer holds where it is no name, but tells whether one is there, or of what is behind it."""


NAMES = (
    "SELECT relname FROM pg_class WHERE relname > 'z'",
    "SELECT relname FROM pg_catalog.pg_class WHERE oid = {oid}",
    "TABLE pg_tables",
    "SELECT c.* FROM (SELECT * FROM (TABLE pg_class) d) c WHERE oid = {oid}",
    "WITH pg_clas AS (SELECT * FROM pg_class) SELECT relname FROM pg_clas WHERE oid = {oid}",
    'SELECT relname FROM "pg_class" WHERE oid = {oid}',
    'SELECT relname FROM U&"pg\\005fclass" WHERE oid = {oid}',
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'sw'",
    "SELECT column_name FROM information_schema.columns WHERE table_schema = 'sw'",
    "SELECT constraint_name FROM information_schema.table_constraints WHERE table_schema = 'sw'",
    "SELECT sequence_name FROM information_schema.sequences",
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'sw'",
    "SELECT relname FROM pg_stat_user_tables",
    "SELECT relname FROM pg_statio_all_tables WHERE schemaname = 'sw'",
    "SELECT relname FROM pg_stat_xact_user_tables",
    "SELECT indexrelname FROM pg_stat_user_indexes",
    "SELECT viewname FROM pg_views WHERE schemaname = 'sw'",
    "SELECT matviewname FROM pg_matviews",
    "SELECT sequencename FROM pg_sequences",
    "SELECT attname FROM pg_attribute WHERE attrelid = {oid}",
    "SELECT typname FROM pg_type WHERE oid = {row}",
    "SELECT conname FROM pg_constraint WHERE conrelid = {oid}",
    "SELECT tgname FROM pg_trigger",
    "SELECT stxname FROM pg_statistic_ext",
    "SELECT description FROM pg_description WHERE objoid = {oid}",
    "SELECT prosrc FROM pg_proc WHERE proname = 'noting'",
    "SELECT qual FROM pg_policies",
    "SELECT {oid}::regclass",
    "SELECT {oid}::pg_catalog.regclass::text",
    "SELECT CAST({oid} AS regclass)",
    "SELECT '{{{oid}}}'::regclass[]",
    "SELECT '{{{oid}}}'::_regclass",
    "SELECT regclass({oid})",
    "SELECT ({oid}).regclass",
    "SELECT g::oid::regclass FROM generate_series({oid}, {oid}) g",
    "SELECT {row}::regtype",
    "SELECT {taking}::regprocedure",
    "SELECT x FROM json_to_record('{{\"x\": {oid}}}') AS t(x regclass)",
    "SELECT x FROM xmltable('/a' PASSING '<a><x>{oid}</x></a>' COLUMNS x regclass)",
    "SELECT t.data_type FROM json_populate_record(null::pg_sequences, '{{\"data_type\": {row}}}') t",
    "SELECT t.parameter_types FROM json_populate_record(null::pg_prepared_statements, '{{\"parameter_types\": [{row}]}}') t",
    "SELECT CASE WHEN id > 0 THEN '{row}' ELSE pg_typeof(1) END FROM sw.open LIMIT 1",
    "SELECT CASE WHEN id > 0 THEN '{oid}' ELSE to_regclass('sw.open') END FROM sw.open LIMIT 1",
    "SELECT pg_partition_root('{part}')",
    "SELECT pg_partition_tree('{oid}')",
    "SELECT * FROM pg_partition_ancestors('{part}')",
    "SELECT pg_describe_object('pg_class'::regclass, {oid}, 0)",
    "SELECT pg_describe_object(1259, {oid}, 0)",
    "SELECT * FROM pg_identify_object(1259, {oid}, 0)",
    "SELECT format_type({row}, NULL)",
    "SELECT obj_description({oid}, 'pg_class')",
    "SELECT col_description({oid}, 2)",
    "SELECT pg_get_viewdef({view})",
    "SELECT ({view}::oid).pg_get_viewdef",
    "SELECT pg_get_viewdef('sw.window')",
    "SELECT pg_get_constraintdef(g) FROM generate_series({oid}::int, {oid}::int + 200) g",
    "SELECT pg_get_functiondef({taking})",
    "SELECT pg_get_function_arguments({taking})",
    "SELECT * FROM json_populate_record(null::sw.zqvault, '{{}}')",
    "SELECT * FROM json_populate_recordset(null::sw.zqpart, '[{{}}]')",
    "SELECT to_json(x) FROM unnest('{{\"(1,a,1,1)\"}}'::sw._zqvault) x",
    "SELECT (json_populate_record(null::sw.zqover, '{{}}')).*",
    "SELECT name FROM sw.tables",
    "SELECT name FROM sw.kept",
    "SELECT name FROM sw.named WHERE name ~ '^sw'",
)
FACTS = (
    Way("SELECT has_table_privilege('sw.zqvault', 'SELECT')", "\ntrue"),
    Way("SELECT has_column_privilege('sw.zqvault', 'zqpin', 'SELECT')", "\ntrue"),
    Way("SELECT pg_get_serial_sequence('sw.zqvault', 'part') IS NULL", "\ntrue"),
    Way("SELECT to_regclass('sw.zqvault') IS NOT NULL", "\ntrue"),
    Way("SELECT 'sw.zqvault'::regclass IS NOT NULL", "\ntrue"),
    Way("SELECT 'sw.zqvault'::regtype IS NOT NULL", "\ntrue"),
    Way("SELECT pg_total_relation_size({oid}) >= 0", "\ntrue"),
    Way("SELECT pg_stat_get_live_tuples({part}) >= 0", "\ntrue"),
    Way("SELECT pg_sequence_last_value('sw.zqvault_zqid_seq') IS NULL", "\ntrue"),
    Way("SELECT pg_relation_filenode({part}) > 0", "\ntrue"),
)  # fmt: skip
WAYS = (*map(Way, NAMES), *FACTS)
OPEN = (
    "SELECT name FROM pg_settings LIMIT 1",
    "SELECT rolname FROM pg_roles LIMIT 1",
    "SELECT datname, pg_database_size(oid) FROM pg_database",
    "SELECT nspname FROM pg_namespace",
    "SELECT extname FROM pg_extension",
    "SELECT count(*) FROM pg_locks",
    "SELECT blks_hit FROM pg_stat_database",
    "SELECT schema_name FROM information_schema.schemata",
    "SELECT max(id), min(id), count(*), array_agg(note) FROM sw.open",
    "SELECT id::int8, note::text, now()::date, '{}'::json FROM sw.open LIMIT 1",
    "SELECT json_populate_record(null::sw.open, '{}')",
    "SELECT pg_has_role(current_user, 'USAGE'), version(), current_setting('work_mem'), pg_size_pretty(1::int8)",
    "SELECT sw.sized(1)",
    "SELECT x FROM json_to_record('{\"x\": 1}') AS t(x int)",
)


@dataclass(frozen=True)
class Place:
    """A database, and what stands for the open places of a way."""

    name: str
    numbers: dict[str, int]

    def text(self, way: Way) -> str:
        return way.sql.format(**self.numbers)


@pytest.fixture(scope="module")
def place(system_bed: Bed) -> Generator[Place]:
    extensions = ("CREATE EXTENSION pg_stat_statements", "CREATE EXTENSION hypopg")
    with database(system_bed, *extensions, SETUP.format(reader=READER), MORE, "ANALYZE") as name:
        with system_bed.admin(name) as admin:
            (found,) = admin.execute(
                "SELECT 'sw.zqvault'::regclass::oid, 'sw.zqpart'::regclass::oid, 'sw.window'::regclass::oid,"
                " 'sw.zqvault'::regtype::oid, 'sw.taking'::regproc::oid"
            ).fetchall()
        yield Place(name, dict(zip(("oid", "part", "view", "row", "taking"), found, strict=True)))


@pytest.fixture(params=[DENIED, NOT_ALLOWED], ids=["denied", "not allowed"])
async def called(
    request: pytest.FixtureRequest, system_bed: Bed, place: Place, tmp_path: Path
) -> AsyncGenerator[Called]:
    async with server(tmp_path, system_bed.url(place.name, READER), **request.param) as client:
        yield client


async def test_each_way_bites_where_no_relation_is_closed(system_bed: Bed, place: Place, tmp_path: Path) -> None:
    async with server(tmp_path, system_bed.url(place.name, READER), pool_size=1) as client:
        wrong: list[str] = []
        for way in WAYS:
            sql = place.text(way)
            failed, text = await client.call("run_query", sql=sql, max_rows=10_000)
            told = way.witness in text if way.witness else CANARY.search(innocent(text, sql)) is not None
            if failed or not told:
                wrong.append(f"{sql}: {text[:300]}")
        assert not wrong, "\n".join(wrong)


async def test_no_query_tells_the_name_of_what_is_closed(called: Called, place: Place) -> None:
    wrong: list[str] = []
    for way in WAYS:
        sql = place.text(way)
        for tool in ("run_query", "export_query", "explain_query"):
            failed, text = await called.call(tool, sql=sql)
            if not failed or not text.startswith("refused") or CANARY.search(innocent(text, sql)):
                wrong.append(f"{tool} {sql}: {text[:300]}")
    assert not wrong, "\n".join(wrong)


async def test_what_names_no_relation_is_read_all_the_same(called: Called) -> None:
    for sql in OPEN:
        if "sw.sized" not in sql:
            await called.text("run_query", sql=sql)
    assert await called.rows("SELECT sw.sized(1) AS n") == ['{"n":7}']


async def test_the_refusal_names_the_tools_that_tell_what_is_open(called: Called) -> None:
    text = await called.error("run_query", sql="SELECT relname FROM pg_class")
    assert "pg_class tells of relations, and some are not told of here" in text
    assert "list_objects, describe_objects and search_schema" in text


async def test_no_profile_and_no_sample_tells_names_from_the_catalog(called: Called) -> None:
    for table in ("pg_catalog.pg_class", "information_schema.tables"):
        assert CANARY.search(await called.error("profile_table", table=table)) is None


async def test_a_function_that_the_person_allows_is_called(system_bed: Bed, place: Place, tmp_path: Path) -> None:
    url = system_bed.url(place.name, READER)
    async with server(tmp_path, url, **DENIED, allow_functions=["pg_typeof"]) as client:
        assert await client.rows("SELECT pg_typeof(1)::text AS t") == ['{"t":"integer"}']


async def test_a_view_that_the_person_allows_tells_what_it_was_made_for(
    system_bed: Bed, place: Place, tmp_path: Path
) -> None:
    allowed = ["sw.tables", "sw.kept", "sw.named"]
    async with server(tmp_path, system_bed.url(place.name, READER), allow_relations=allowed) as client:
        for view in allowed:
            assert any("zqvault" in line for line in await client.rows(f"SELECT name FROM {view}", max_rows=10_000))


async def test_masks_alone_close_no_names(system_bed: Bed, place: Place, tmp_path: Path) -> None:
    async with server(tmp_path, system_bed.url(place.name, READER), mask_columns=["sw.open.note"]) as client:
        assert await client.rows("SELECT 'sw.open'::regclass::text AS n") == ['{"n":"sw.open"}']
        assert "open" in await client.text("run_query", sql="SELECT relname FROM pg_class WHERE relname = 'open'")
