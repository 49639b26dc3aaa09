"""Notices of a changed catalog: to whom they are promised, in both eras, and to nobody else."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from gatelodge_core.errors import CallError
from gatelodge_postgres.listing import Listing
from gatelodge_postgres.server import build
from gatelodge_postgres.settings import PostgresSettings
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError
from mcp_types import (
    EmptyResult,
    ResourceListChangedNotification,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
)

from tests.postgres.bed import Bed
from tests.postgres.seed import Home
from tests.support.wire import MODERN, REVISIONS, Revision, Server, StdioWire, Transport, python_module

pytestmark = pytest.mark.anyio

Era = Literal["legacy", "modern"]
DEADLINE = 60
OFTEN = 0.2


@pytest.fixture(params=["legacy", "modern"])
def era(request: pytest.FixtureRequest) -> Era:
    return request.param


@pytest.fixture(autouse=True)
def tables(system_home: Home) -> Generator[None]:
    """Two tables that each test may change, in a schema of their own."""
    with system_home.admin() as admin:
        admin.execute(
            "CREATE SCHEMA told; GRANT USAGE ON SCHEMA told TO PUBLIC;"
            "CREATE TABLE told.watched (id int PRIMARY KEY, name text); CREATE TABLE told.marker (id int);"
            "CREATE VIEW told.seen AS SELECT id FROM told.watched;"
            "GRANT SELECT ON ALL TABLES IN SCHEMA told TO PUBLIC"
        )
    yield
    with system_home.admin() as admin:
        admin.execute("DROP SCHEMA told CASCADE")


class Ear:
    """Counts what it is told, and waits for it."""

    def __init__(self) -> None:
        self.count = 0
        self._event = anyio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._event.set()

    async def heard(self) -> None:
        """Wait for a notice since this was last called."""
        with anyio.fail_after(DEADLINE):
            await self._event.wait()
        self._event = anyio.Event()


@contextlib.asynccontextmanager
async def listing(folder: Path, url: str, **given: Any) -> AsyncGenerator[Listing]:
    settings = PostgresSettings.model_validate(
        {"state_dir": str(folder / "state"), "url": url, "catalog_seconds": OFTEN, **given}
    )
    lodge = build(settings)
    assert lodge.life is not None
    assert isinstance(lodge.lists, Listing)
    async with lodge.life():
        yield lodge.lists


async def mark(home: Home, marker: Ear, text: str) -> None:
    """Change what changes no list, and wait until that was seen: all else was compared in the same look."""
    with home.admin() as admin:
        admin.execute(f"COMMENT ON TABLE told.marker IS '{text}'")  # pyright: ignore[reportArgumentType, reportCallIssue]
    await marker.heard()


CHANGES = [
    "CREATE TABLE told.more (id int); GRANT SELECT ON told.more TO PUBLIC",
    "DROP VIEW told.seen",
    "ALTER TABLE told.watched RENAME TO renamed",
    "ALTER TABLE told.watched ADD COLUMN more int",
    "ALTER TABLE told.watched DROP COLUMN name",
    "ALTER TABLE told.watched RENAME COLUMN name TO title",
    "ALTER TABLE told.watched ALTER COLUMN name TYPE varchar(9)",
    "REVOKE SELECT ON told.watched FROM PUBLIC",
    "REVOKE USAGE ON SCHEMA told FROM PUBLIC",
    "CREATE MATERIALIZED VIEW told.kept AS SELECT 1 AS one; GRANT SELECT ON told.kept TO PUBLIC",
]
SILENT = [
    "INSERT INTO told.watched SELECT g, 'x' FROM generate_series(1, 100) g",
    "TRUNCATE told.watched",
    "ANALYZE told.watched",
    "VACUUM FULL told.watched",
    "COMMENT ON TABLE told.watched IS 'said'",
    "CREATE INDEX ON told.watched (name)",
    "CREATE TABLE told.private (id int)",
    "CREATE TEMP TABLE fleeting (id int)",
    "CREATE TABLE told.denied (id int); GRANT SELECT ON told.denied TO PUBLIC",
]


@pytest.mark.parametrize("change", CHANGES)
async def test_the_list_has_changed_with_what_may_be_read(system_home: Home, tmp_path: Path, change: str) -> None:
    ear = Ear()
    async with listing(tmp_path, system_home.url()) as listed:
        stop = await listed.watch(ear)
        with system_home.admin() as admin:
            admin.execute(change)  # pyright: ignore[reportArgumentType, reportCallIssue] - one of the list above
        await ear.heard()
        stop()
    assert ear.count == 1


async def test_rows_statistics_and_what_may_not_be_read_change_no_list(system_home: Home, tmp_path: Path) -> None:
    ear, marker = Ear(), Ear()
    async with listing(tmp_path, system_home.url(), deny_relations=["told.denied"]) as listed:
        stops = [await listed.watch(ear), await listed.watch_table("pg://default/told/marker", marker)]
        for number, change in enumerate(SILENT):
            with system_home.admin() as admin:
                admin.execute(change)  # pyright: ignore[reportArgumentType, reportCallIssue] - one of the list above
            await mark(system_home, marker, f"after {number}")
            assert ear.count == 0, change
        for stop in stops:
            stop()


DEFINITIONS = [
    "ALTER TABLE told.watched ADD COLUMN more int DEFAULT 5",
    "ALTER TABLE told.watched ALTER COLUMN name SET DEFAULT 'x'",
    "ALTER TABLE told.watched ALTER COLUMN name SET DEFAULT 'y'",
    "ALTER TABLE told.watched ALTER COLUMN name SET NOT NULL",
    "ALTER TABLE told.watched ADD CHECK (id > 0)",
    "ALTER TABLE told.watched ADD FOREIGN KEY (id) REFERENCES told.watched",
    "CREATE INDEX watched_name ON told.watched (name)",
    "ALTER INDEX told.watched_name RENAME TO watched_other",
    "DROP INDEX told.watched_other",
    "COMMENT ON TABLE told.watched IS 'said'",
    "COMMENT ON COLUMN told.watched.name IS 'said too'",
    "CREATE TRIGGER t BEFORE INSERT ON told.watched FOR EACH ROW EXECUTE FUNCTION app.v_insert()",
    "CREATE POLICY p ON told.watched USING (id > 1)",
    "ALTER TABLE told.watched ENABLE ROW LEVEL SECURITY",
    "ALTER POLICY p ON told.watched USING (id > 2)",
    "ALTER TABLE told.watched SET (fillfactor = 70)",
]


async def test_a_definition_has_changed_with_anything_that_it_shows(system_home: Home, tmp_path: Path) -> None:
    ear, view = Ear(), Ear()
    async with listing(tmp_path, system_home.url()) as listed:
        stops = [
            await listed.watch_table("pg://default/told/watched", ear),
            await listed.watch_table("pg://default/told/seen", view),
        ]
        for change in DEFINITIONS:
            with system_home.admin() as admin:
                admin.execute(change)  # pyright: ignore[reportArgumentType, reportCallIssue] - one of the list above
            await ear.heard()
        assert view.count == 0
        with system_home.admin() as admin:
            admin.execute("CREATE OR REPLACE VIEW told.seen AS SELECT id FROM told.watched WHERE id > 1")
        await view.heard()
        with system_home.admin() as admin:
            admin.execute("DROP TABLE told.watched CASCADE")
        await ear.heard()
        await view.heard()
        for stop in stops:
            stop()


async def test_rows_and_other_tables_change_no_definition(system_home: Home, tmp_path: Path) -> None:
    ear, marker = Ear(), Ear()
    async with listing(tmp_path, system_home.url()) as listed:
        await listed.watch_table("pg://default/told/watched", ear)
        await listed.watch_table("pg://default/told/marker", marker)
        for number, change in enumerate([*SILENT[:4], "CREATE INDEX ON told.marker (id)"]):
            with system_home.admin() as admin:
                admin.execute(change)  # pyright: ignore[reportArgumentType, reportCallIssue] - one of the list above
            await mark(system_home, marker, f"after {number}")
            assert ear.count == 0, change


async def test_only_tables_that_may_be_read_are_watched(system_home: Home, tmp_path: Path) -> None:
    with system_home.admin() as admin:
        admin.execute("CREATE TABLE told.private (id int)")
    refused = [
        "pg://default/told/private", "pg://default/told/no_such", "pg://default/told/denied", "pg://elsewhere/told/watched",
        "pg://default/pg_catalog/pg_authid",
    ]  # fmt: skip
    async with listing(tmp_path, system_home.url(), deny_relations=["told.denied"]) as listed:
        for uri in refused:
            with pytest.raises(CallError, match="not_found: there is no such table, or it may not be read"):
                await listed.watch_table(uri, Ear())
        for uri in ("pg://default", "pg://default/health", "pg://results/some/1", "https://example.org/"):
            with pytest.raises(CallError, match="not_supported"):
                await listed.watch_table(uri, Ear())
        assert listed.changes["default"].looks == 4


async def test_while_nobody_listens_nothing_is_looked_at_and_no_connection_is_held(
    system_home: Home, tmp_path: Path
) -> None:
    async with listing(tmp_path, system_home.url(), catalog_seconds=0) as listed:
        changes = listed.changes["default"]
        changes.hint()
        assert changes.looks == 0
        ear, other = Ear(), Ear()
        first, second = await listed.watch(ear), await listed.watch(other)
        assert changes.looks == 2
        with system_home.admin() as admin:
            states = admin.execute(
                "SELECT DISTINCT state FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'gatelodge%%'",
                [system_home.db],
            ).fetchall()
            assert states == [("idle",)]
            admin.execute("ALTER TABLE told.watched ADD COLUMN n int")
        changes.hint()
        await ear.heard()
        await other.heard()
        second()
        second()
        first()
        assert changes.looks == 3
        changes.hint()
        # The next watcher begins afresh, and is not told of what was before.
        third = await listed.watch(ear)
        await anyio.lowlevel.checkpoint()
        assert (ear.count, changes.looks) == (1, 4)
        third()


async def test_what_the_server_finds_changed_by_itself_is_looked_at_at_once(system_home: Home, tmp_path: Path) -> None:
    ear = Ear()
    settings = PostgresSettings.model_validate(
        {"state_dir": str(tmp_path / "state"), "url": system_home.url(), "catalog_seconds": 0}
    )
    lodge = build(settings)
    assert lodge.life is not None
    assert lodge.lists is not None
    async with lodge.life():
        stop = await lodge.lists.watch(ear)
        with system_home.admin() as admin:
            admin.execute("CREATE TABLE told.fresh (id int); GRANT SELECT ON told.fresh TO PUBLIC")
        # As a change that was made through this server does, and a query that meets another catalog than it knew.
        lodge.domain.pick().reader.forget()
        await ear.heard()
        stop()


async def test_a_database_that_comes_later_is_told_of(system_bed: Bed, tmp_path: Path) -> None:
    ear = Ear()
    async with listing(tmp_path, system_bed.url("comes_later"), allow_superuser=True) as listed:
        stop = await listed.watch(ear)
        page = await listed.page("")
        assert [item.uri for item in page.resources] == ["pg://default", "pg://default/health"]
        system_bed.create("comes_later")
        try:
            await ear.heard()
            stop()
        finally:
            system_bed.drop("comes_later")


async def test_the_newest_server_is_looked_at_alike(newest_home: Home, tmp_path: Path) -> None:
    ear, table = Ear(), Ear()
    async with listing(tmp_path, newest_home.url()) as listed:
        stops = [await listed.watch(ear), await listed.watch_table("pg://default/app/orders", table)]
        for change, told in (
            ("ALTER TABLE app.orders ADD COLUMN more int", (ear, table)),
            ("ALTER TABLE app.orders ADD CHECK (more > 0)", (table,)),
            ("CREATE TABLE app.brand_new (id int); GRANT SELECT ON app.brand_new TO PUBLIC", (ear,)),
        ):
            with newest_home.admin() as admin:
                admin.execute(change)  # pyright: ignore[reportArgumentType, reportCallIssue] - one of these above
            for one in told:
                await one.heard()
        assert (ear.count, table.count) == (2, 2)
        for stop in stops:
            stop()


async def test_a_lost_connection_ends_no_watch(system_home: Home, tmp_path: Path) -> None:
    ear = Ear()
    async with listing(tmp_path, system_home.url()) as listed:
        stop = await listed.watch(ear)
        for pid, name in system_home.bed.backends(system_home.db).items():
            if name.startswith("gatelodge"):
                system_home.bed.kill_backend(pid)
        with system_home.admin() as admin:
            admin.execute("ALTER TABLE told.watched ADD COLUMN after int")
        await ear.heard()
        stop()


def command(folder: Path, *more: str) -> list[str]:
    return python_module(
        "gatelodge_postgres", "--state-dir", str(folder / "state"), "--catalog-seconds", str(OFTEN), *more
    )


@contextlib.contextmanager
def serving(folder: Path, home: Home, transport: Transport) -> Generator[StdioServerParameters | str]:
    env = {"GATELODGE_POSTGRES_URL": home.url()}
    if transport == "stdio":
        executable, *arguments = command(folder)
        yield StdioServerParameters(command=executable, args=arguments, env={**os.environ, **env})
        return
    process = Server([*command(folder), "--http", "127.0.0.1:0"], env)
    try:
        yield process.wait_for_stderr(r"listening on (http://\S+)").group(1)
    finally:
        process.signal(signal.SIGTERM)
        process.end()


@contextlib.asynccontextmanager
async def hearing(server: StdioServerParameters | str, era: Era, uri: str) -> AsyncGenerator[tuple[Client, Ear, Ear]]:
    """A client that hears of the list, and of one table."""
    of_list, of_table = Ear(), Ear()

    async def message(message: Any) -> None:
        if era == "modern":
            return  # the stream tells the same
        if isinstance(message, ResourceListChangedNotification):
            of_list()
        elif isinstance(message, ResourceUpdatedNotification):
            of_table()

    with anyio.fail_after(DEADLINE):
        async with Client(
            server, mode="legacy" if era == "legacy" else MODERN, cache=None, message_handler=message
        ) as client:
            if era == "legacy":
                await client.list_resources()
                request = SubscribeRequest(params=SubscribeRequestParams(uri=uri))
                await client.session.send_request(request, EmptyResult)
                yield client, of_list, of_table
                return
            async with (
                client.listen(resources_list_changed=True, resource_subscriptions=[uri]) as stream,
                anyio.create_task_group() as group,
            ):
                assert stream.honored.resources_list_changed is True
                assert stream.honored.resource_subscriptions == [uri]

                async def pump() -> None:
                    async for event in stream:
                        (of_table if getattr(event, "uri", "") == uri else of_list)()

                group.start_soon(pump)
                yield client, of_list, of_table
                group.cancel_scope.cancel()


def test_a_host_hears_of_a_new_table_and_of_a_changed_definition(
    system_home: Home, tmp_path: Path, transport: Transport, era: Era
) -> None:
    async def conversation(server: StdioServerParameters | str) -> None:
        async with hearing(server, era, "pg://default/told/watched") as (client, of_list, of_table):
            with system_home.admin() as admin:
                admin.execute("CREATE TABLE told.brand_new (id int); GRANT SELECT ON told.brand_new TO PUBLIC")
            await of_list.heard()
            assert of_table.count == 0
            uris = [item.uri for item in (await client.list_resources()).resources]
            assert "pg://default/told/brand_new" in uris
            with system_home.admin() as admin:
                admin.execute("CREATE INDEX ON told.watched (name)")
            await of_table.heard()
            assert of_list.count == 1

    with serving(tmp_path, system_home, transport) as server:
        anyio.run(conversation, server)


def test_what_may_not_be_read_is_not_watched_over_the_wire(system_home: Home, tmp_path: Path, era: Era) -> None:
    refused = ["pg://default/told/no_such", "pg://default/pg_catalog/pg_authid", "pg://default/health"]

    async def conversation(server: StdioServerParameters | str) -> None:
        with anyio.fail_after(DEADLINE):
            if era == "legacy":
                async with Client(server, mode="legacy", cache=None) as client:
                    for uri in refused:
                        request = SubscribeRequest(params=SubscribeRequestParams(uri=uri))
                        with pytest.raises(MCPError):
                            await client.session.send_request(request, EmptyResult)
                return
            async with (
                Client(server, mode=MODERN, cache=None) as client,
                client.listen(resource_subscriptions=refused) as stream,
            ):
                assert not stream.honored.resource_subscriptions

    with serving(tmp_path, system_home, "stdio") as server:
        anyio.run(conversation, server)


@pytest.mark.parametrize("revision", REVISIONS)
def test_both_notices_are_declared(system_home: Home, tmp_path: Path, revision: Revision) -> None:
    wire = StdioWire(Server(command(tmp_path), {"GATELODGE_POSTGRES_URL": system_home.url()}), revision)
    try:
        result = wire.open() or wire.request("server/discover")["result"]
        assert result["capabilities"]["resources"] == {"subscribe": True, "listChanged": True}
        assert not result["capabilities"]["tools"].get("listChanged")
    finally:
        wire.close()
