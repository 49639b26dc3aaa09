"""Resources: databases, schemas, tables, samples and exports, by the SDK's client and on the wire."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from gatelodge_core.auth.principal import CALLER, local_user
from gatelodge_postgres.dev import parts
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import TextResourceContents

from tests.postgres import beds
from tests.postgres.bed import Bed
from tests.postgres.seed import COLUMN_SECRETS, READER, SECRETS, Home
from tests.postgres.support import Called, server
from tests.support.wire import Revision, Transport, Wire, connected, python_module

pytestmark = pytest.mark.anyio


async def contents(client: Client, uri: str) -> TextResourceContents:
    (found,) = (await client.read_resource(uri)).contents
    assert isinstance(found, TextResourceContents)
    return found


async def read(called: Called, uri: str) -> str:
    return (await contents(called.client, uri)).text


async def missing(called: Called, uri: str) -> str:
    with pytest.raises(MCPError) as caught:
        await called.client.read_resource(uri)
    assert caught.value.error.code == -32602
    return caught.value.error.message


async def listed(client: Client) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        page = await client.list_resources(cursor=cursor or None)
        found += [item.uri for item in page.resources]
        cursor = page.next_cursor or ""
        if not cursor:
            return found


async def test_the_overview_tells_what_is_served_as_whom_and_within_which_limits(
    system_home: Home, tmp_path: Path
) -> None:
    async with server(tmp_path, system_home.url(), query_seconds=7, max_rows=77) as called:
        text = await read(called, "pg://default")
    assert f"server: PostgreSQL {system_home.bed.version}" in text
    assert "primary" in text
    assert f"database: {system_home.db}, UTF8, " in text
    assert f"role: {READER}" in text
    assert "could do more than read: nothing found" in text
    assert "changes: off" in text
    assert "query 7 s, lock 2 s, 77 rows" in text
    assert "statement_timeout=7s" in text
    assert "transaction_read_only=on" in text
    assert re.search(r"  app: \d\d relations, pg://default/app", text)
    assert "postgresql://" not in text


async def test_the_overview_says_what_an_owner_could_do(system_home: Home, tmp_path: Path) -> None:
    async with server(tmp_path, system_home.url("app_writer")) as called:
        assert "could do more than read: it can change rows of app." in await read(called, "pg://default")


async def test_health_is_what_the_checks_find(system_home: Home, tmp_path: Path) -> None:
    async with server(tmp_path, system_home.url()) as called:
        text = await read(called, "pg://default/health")
    assert "database default, 12 checks" in text


async def test_a_schema_is_outlined_with_keys_references_and_comments(system_home: Home, tmp_path: Path) -> None:
    async with server(tmp_path, system_home.url()) as called:
        text = await read(called, "pg://default/app")
    assert re.search(r"^-- shown (\d+) of \1 relations$", text, re.MULTILINE)
    (line,) = re.findall(r"^table order_lines .*$", text, re.MULTILINE)
    assert "order_id integer NOT NULL -> orders.id" in line
    assert "PRIMARY KEY (order_id, line)" in line
    (line,) = re.findall(r"^table customers .*$", text, re.MULTILINE)
    assert "id integer PK" in line
    assert "email text UNIQUE" in line
    assert "country character(2) NOT NULL /* ISO 3166-1 alpha-2 */" in line
    assert line.endswith("Who buys")
    assert "view order_totals (" in text
    assert "mood: enum 'sad', 'ok'" in text
    assert "events_2024" not in text


async def test_a_schema_of_2000_tables_is_cut_to_the_budget_and_says_how_to_go_on(
    system_home: Home, tmp_path: Path
) -> None:
    with system_home.admin() as admin:
        admin.execute(
            "DO $$ BEGIN CREATE SCHEMA wide; GRANT USAGE ON SCHEMA wide TO PUBLIC; FOR n IN 1..2000 LOOP EXECUTE format("
            "'CREATE TABLE wide.t%s (id int PRIMARY KEY, name text, at timestamptz, amount numeric, note text)', n);"
            " END LOOP; GRANT SELECT ON ALL TABLES IN SCHEMA wide TO PUBLIC; END $$"
        )
    async with server(tmp_path, system_home.url()) as called:
        text = await read(called, "pg://default/wide")
        names = await listed(called.client)
    found = re.search(r"-- shown (\d+) of 2000 relations; list_objects\(schema=\"wide\"\)", text)
    assert found is not None
    assert 50 <= int(found[1]) <= 200
    assert len(text) <= 15_000
    assert len(names) == 102
    with system_home.admin() as admin:
        # One statement can't hold the locks of so many.
        for begin in range(1, 2001, 250):
            tables = ", ".join(f"wide.t{n}" for n in range(begin, begin + 250))
            admin.execute(f"DROP TABLE {tables}")  # pyright: ignore[reportArgumentType, reportCallIssue] - made of numbers
        admin.execute("DROP SCHEMA wide CASCADE")


async def test_a_table_is_shown_as_its_definition(system_home: Home, tmp_path: Path) -> None:
    async with server(tmp_path, system_home.url()) as called:
        text = await read(called, "pg://default/app/customers")
        view = await read(called, "pg://default/app/order_totals")
        events = await read(called, "pg://default/app/events")
        policed = await read(called, "pg://default/app/policed")
    assert "CREATE TABLE app.customers (" in text
    assert "id integer GENERATED BY DEFAULT AS IDENTITY NOT NULL" in text
    assert "CREATE INDEX customers_lower_idx" in text
    assert "COMMENT ON COLUMN app.customers.country IS 'ISO 3166-1 alpha-2';" in text
    assert "CREATE VIEW app.order_totals AS" in view
    assert "PARTITION BY RANGE (at)" in events
    assert "ENABLE ROW LEVEL SECURITY" in policed
    assert "CREATE POLICY acts" in policed


async def test_a_sample_has_ten_rows_cut_values_and_masks(system_home: Home, tmp_path: Path) -> None:
    async with server(tmp_path, system_home.url(), mask_columns=["app.patients.diagnosis"]) as called:
        customers = await read(called, "pg://default/app/customers/sample")
        kinds = await read(called, "pg://default/app/kinds/sample")
        patients = await read(called, "pg://default/app/patients/sample")
        people = await read(called, "pg://default/app/people/sample")
    assert "10 rows of app.customers, in no order; there may be more" in customers
    assert customers.count("@example.org") in (9, 10)
    assert len(kinds) < 20_000
    assert "values longer than 200 characters end with …" in kinds
    assert "0123456789abcdef" * 12 in kinds
    assert "0123456789abcdef" * 13 not in kinds
    assert "masked: diagnosis" in patients
    assert "[masked]" in patients
    # A column that the role was not granted is left out, rather than fail the rest.
    assert "id,name,email" in people
    for text in (patients, people):
        assert not any(secret in text for secret in COLUMN_SECRETS)


async def test_no_name_reaches_what_may_not_be_read_and_the_reasons_are_not_told_apart(
    system_home: Home, tmp_path: Path
) -> None:
    with system_home.admin() as admin:
        admin.execute(
            "CREATE TABLE IF NOT EXISTS app.hidden_one (id int); REVOKE ALL ON app.hidden_one FROM gatelodge_ro"
        )
        admin.execute("CREATE SCHEMA IF NOT EXISTS kept; CREATE TABLE IF NOT EXISTS kept.one (id int)")
    async with server(tmp_path, system_home.url(), deny_relations=["app.patients"]) as called:
        for name in ("hidden_one", "patients", "no_such"):
            for uri in (f"pg://default/app/{name}", f"pg://default/app/{name}/sample"):
                assert (await missing(called, uri)).startswith(
                    f"not_found: there is no app.{name}, or it may not be read."
                )
        for schema in ("kept", "no_such"):
            assert f"not_found: there is no schema '{schema}', or" in await missing(called, f"pg://default/{schema}")
            assert "not_found" in await missing(called, f"pg://default/{schema}/one")
        for uri in (
            "pg://elsewhere",
            "pg://elsewhere/health",
            "pg://elsewhere/app",
            "pg://elsewhere/app/orders/sample",
        ):
            assert "not_found" in await missing(called, uri)
        for uri in ("pg://default/pg_catalog/pg_authid", "pg://default/pg_catalog/pg_authid/sample"):
            assert "not_found" in await missing(called, uri)
        names = await listed(called.client)
        outline = await read(called, "pg://default/app")
    assert "pg://default/app/orders" in names
    for word in ("hidden_one", "patients", "kept"):
        assert not any(word in name for name in names)
        assert word not in outline


async def test_only_allowed_relations_are_listed_outlined_and_read(system_home: Home, tmp_path: Path) -> None:
    async with server(tmp_path, system_home.url(), allow_relations=["app.ord*"]) as called:
        names = await listed(called.client)
        assert [name for name in names if name.count("/") > 3] == [
            "pg://default/app/order_lines", "pg://default/app/order_totals", "pg://default/app/orders",
        ]  # fmt: skip
        text = await read(called, "pg://default")
        assert "app: 3 relations" in text
        assert "odd.schema" not in text
        assert "-- shown 3 of 3 relations" in await read(called, "pg://default/app")
        await missing(called, "pg://default/odd.schema")
        await missing(called, "pg://default/app/customers")


async def test_odd_names_are_listed_so_that_they_can_be_read(system_home: Home, tmp_path: Path) -> None:
    odd = [
        'we"ird',
        "with space",
        "pct%25",
        "sl/ash",
        "ünïcode",
        "dot.ted",
        "new\nline",
        "semi;colon",
        "plus+amp&",
        "sample",
    ]
    with system_home.admin() as admin:
        for name in odd:
            doubled = name.replace('"', '""')
            order = (
                f'CREATE TABLE IF NOT EXISTS public."{doubled}" (id int); GRANT SELECT ON public."{doubled}" TO PUBLIC'
            )
            admin.execute(order)  # pyright: ignore[reportArgumentType, reportCallIssue] - a quoted name
        admin.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    async with server(tmp_path, system_home.url()) as called:
        names = [name for name in await listed(called.client) if name.startswith("pg://default/public/")]
        for name in odd:
            uri = f"pg://default/public/{quote(name, safe='')}"
            assert uri in names
            assert "id integer" in await read(called, uri)
            assert "0 rows of public." in await read(called, f"{uri}/sample")


async def test_words_of_the_uris_hide_no_schema_and_no_table(system_home: Home, tmp_path: Path) -> None:
    with system_home.admin() as admin:
        admin.execute("CREATE SCHEMA IF NOT EXISTS health; CREATE TABLE IF NOT EXISTS health.sample (beat int)")
        admin.execute("GRANT USAGE ON SCHEMA health TO PUBLIC; GRANT SELECT ON health.sample TO PUBLIC")
    async with server(tmp_path, system_home.url()) as called:
        assert "checks" in await read(called, "pg://default/health")
        assert "table sample (beat integer)" in await read(called, "pg://default/%68ealth")
        assert "pg://default/%68ealth" in await read(called, "pg://default")
        assert "CREATE TABLE health.sample" in await read(called, "pg://default/health/sample")
        assert "0 rows of health.sample" in await read(called, "pg://default/health/sample/sample")
        assert called.sources.pick("default").name == "default"


async def test_each_of_several_databases_is_listed_and_one_that_is_down_hides_no_other(
    system_home: Home, tmp_path: Path
) -> None:
    databases = {
        "shop": {"url": system_home.url(), "description": "What was sold"},
        "down": {"url": "postgresql://nobody@127.0.0.1:1/none"},
    }
    async with server(tmp_path, databases=databases) as called:
        names = await listed(called.client)
        page = await called.client.list_resources()
        assert {"pg://shop", "pg://shop/health", "pg://down", "pg://down/health", "pg://shop/app/orders"} <= set(names)
        assert not any(name.startswith("pg://down/app") for name in names)
        assert any("What was sold" in (item.description or "") for item in page.resources)
        assert "What was sold" in await read(called, "pg://shop")
        with pytest.raises(MCPError, match="down"):
            await called.client.read_resource("pg://down")


async def test_a_long_list_comes_in_pages_without_gap_or_double(system_home: Home, tmp_path: Path) -> None:
    with system_home.admin() as admin:
        admin.execute(
            "DO $$ BEGIN CREATE SCHEMA many; GRANT USAGE ON SCHEMA many TO PUBLIC; FOR n IN 1..120 LOOP"
            " EXECUTE format('CREATE TABLE many.t%s (id int)', n); END LOOP;"
            " GRANT SELECT ON ALL TABLES IN SCHEMA many TO PUBLIC; END $$"
        )
    try:
        databases = {name: {"url": system_home.url()} for name in ("a", "b", "c")}
        async with server(tmp_path, databases=databases) as called:
            names = await listed(called.client)
            with pytest.raises(MCPError, match="bad_cursor"):
                await called.client.list_resources(cursor="nonsense")
        assert len(names) == len(set(names)) == 3 * 102
        assert names.index("pg://b") == 102
    finally:
        with system_home.admin() as admin:
            admin.execute("DROP SCHEMA many CASCADE")


async def test_texts_of_others_come_in_an_envelope_that_they_cannot_close(system_home: Home, tmp_path: Path) -> None:
    async with server(tmp_path, system_home.url()) as called:
        found = await contents(called.client, "pg://default/app")
        sample = await contents(called.client, "pg://default/app/kinds/sample")
    for one in (found, sample):
        (opening,) = re.findall(r'<untrusted-([0-9a-f]{32}) source="resource pg://default', one.text)
        assert one.text.endswith(f"\n</untrusted-{opening}>")
        assert "</untrusted>" not in one.text


async def test_an_export_is_read_whole_or_in_parts_that_join(
    system_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server(tmp_path, system_home.url()) as called:
        exports = called.sources.exports
        assert "not_found" in await missing(called, "pg://results/zzz")
        token = CALLER.set(local_user())
        draft = exports.begin("csv", 100_000)
        data = 'a,b\n1,"two\nlines"\n' + "".join(f"{n},ü{n}\n" for n in range(3000))
        draft.write(data.encode())
        export = exports.finish(draft, 3001, ("a", "b"), whole=True)
        CALLER.reset(token)
        whole = await contents(called.client, export.uri)
        assert whole.text == data
        assert whole.mime_type == "text/csv"
        monkeypatch.setattr(parts, "PART", 1000)
        with pytest.raises(MCPError, match="too_large"):
            await called.client.read_resource(export.uri)
        count = -(-export.size // 1000)
        joined = [await read(called, f"{export.uri}/{n}") for n in range(1, count + 1)]
        assert "".join(joined) == data
        for part in (str(count + 1), "0", "x", "-1", "1e3"):
            assert "not_found" in await missing(called, f"{export.uri}/{part}")


@pytest.fixture(scope="module")
def wire(
    system_home: Home, transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Wire]:
    state = tmp_path_factory.mktemp("state")
    command = python_module("gatelodge_postgres", "--state-dir", str(state))
    with connected(command, transport, revision, env={"GATELODGE_POSTGRES_URL": system_home.url()}) as made:
        yield made


def test_every_resource_can_be_read_on_the_wire_and_none_holds_a_secret(wire: Wire) -> None:
    result = wire.request("resources/list")["result"]
    uris = [item["uri"] for item in result["resources"]]
    assert uris[:2] == ["pg://default", "pg://default/health"]
    templates = wire.request("resources/templates/list")["result"]["resourceTemplates"]
    assert {item["uriTemplate"] for item in templates} == {
        "pg://results/{id}", "pg://results/{id}/{part}", "pg://{connection}", "pg://{connection}/health",
        "pg://{connection}/{schema}", "pg://{connection}/{schema}/{table}", "pg://{connection}/{schema}/{table}/sample",
    }  # fmt: skip
    for uri in (*uris, "pg://default/app", "pg://default/app/orders/sample"):
        answer: dict[str, Any] = wire.request("resources/read", {"uri": uri})
        text = json.dumps(answer)
        assert "result" in answer, (uri, answer)
        assert not any(secret in text for secret in SECRETS), uri
    error = wire.request("resources/read", {"uri": "pg://default/app/no_such"})["error"]
    assert error["code"] == (-32602 if wire.modern else -32002)
    assert error["data"]["uri"] == "pg://default/app/no_such"


async def test_every_resource_is_read_on_the_newest_server_too(newest_home: Home, tmp_path: Path) -> None:
    async with server(tmp_path, newest_home.url()) as called:
        names = await listed(called.client)
        assert "pg://default/app/orders" in names
        for uri in (*names, "pg://default/app", "pg://default/app/orders/sample"):
            assert await read(called, uri)
        assert f"server: PostgreSQL {newest_home.bed.version}" in await read(called, "pg://default")


async def test_a_standby_says_that_it_is_one_and_how_far_it_is_behind(system_bed: Bed, tmp_path: Path) -> None:
    with system_bed.admin() as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS public.for_replicas (id int)")
    with beds.replica(system_bed) as standby:
        async with server(tmp_path, standby.url("postgres", "postgres"), allow_superuser=True) as called:
            text = await read(called, "pg://default")
            # Nothing is replayed, and so nothing is behind, before the first change.
            assert re.search(r"PostgreSQL [^,]+, standby(, last replayed transaction [\d.]+ s ago)?, up", text)
            assert "it is a superuser" in text
            assert "CREATE TABLE public.for_replicas" in await read(called, "pg://default/public/for_replicas")
