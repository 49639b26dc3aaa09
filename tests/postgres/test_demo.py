"""``--demo``: a shop that is the same everywhere, in a database that is shared, let go of, and never left behind."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from gatelodge_core.errors import SettingsError
from gatelodge_postgres import demo as package
from gatelodge_postgres.demo import locks, names, place, programs
from gatelodge_postgres.demo import remove as removing
from gatelodge_postgres.demo.place import Demo, prepare
from gatelodge_postgres.demo.rows import Shop
from gatelodge_postgres.settings import DatabaseSettings

from tests.postgres import processes
from tests.postgres.support import server
from tests.support.wire import MODERN, StdioWire, connected

PATIENCE = 30.0


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def state() -> Generator[Path]:
    """A state folder that PostgreSQL's account can reach, for one database that all tests share."""
    with processes.folder() as made:
        yield made
        assert removing.run(["--state-dir", str(made)]) == 0


@pytest.fixture
def shop(state: Path) -> Generator[Demo]:
    """The database, in use."""
    found = prepare(str(state), allow_root=True)
    yield found
    found.close()


def connect(demo: Demo, *, write: bool = False) -> psycopg.Connection[Any]:
    given = demo.databases["shop"]
    url = given.write_url if write else given.url
    return psycopg.connect(url.get_secret_value(), autocommit=True)


def one(demo: Demo, sql: str) -> Any:
    """The single value of a query."""
    with connect(demo) as connection:
        row = connection.execute(sql.encode()).fetchone()
    assert row is not None
    return row[0]


def postmaster(state: Path) -> int:
    """The process id of the database."""
    return int((state / names.FOLDER / "data" / "postmaster.pid").read_text("utf-8").splitlines()[0])


def stopped(state: Path) -> bool:
    """Whether nobody keeps the database."""
    return locks.free(str(state / names.FOLDER / names.ALIVE))


# The database


def test_the_database_holds_all_of_it(shop: Demo) -> None:
    for name, _, rows in Shop().tables():
        assert one(shop, f"SELECT count(*) FROM shop.{name}") == len(rows)
    wrong = """SELECT count(*) FROM orders o WHERE total <> (SELECT sum(amount) FROM order_items i WHERE i.order_id = o.id)"""
    assert one(shop, wrong) == 0
    assert one(shop, "SELECT sum(revenue) FROM monthly_revenue") == one(shop, "SELECT sum(revenue) FROM product_sales")


def test_it_has_what_databases_have(shop: Demo) -> None:
    kinds = "SELECT string_agg(DISTINCT relkind::text, '' ORDER BY relkind::text) FROM pg_class WHERE relnamespace = 'shop'::regnamespace"
    assert set("rvmpiIS") <= set(one(shop, kinds))
    assert (
        one(shop, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'shop'::regnamespace") > 12
    )
    assert one(shop, "SELECT count(*) FROM page_views_later") == 0
    assert one(shop, "SELECT category_path(3)") == "Camping > Sleeping"
    assert (
        one(shop, "SELECT count(*) FROM products WHERE search @@ websearch_to_tsquery('english', 'merino jackets')") > 0
    )
    assert one(shop, 'SELECT count(*) FROM products WHERE attributes @> \'{"tags": ["vegan"]}\'') > 0
    undescribed = """SELECT count(*) FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'v', 'm', 'p')
        AND NOT relispartition AND obj_description(oid, 'pg_class') IS NULL"""
    assert one(shop, undescribed) == 0


def test_the_reader_only_reads_and_the_writer_changes(shop: Demo) -> None:
    with connect(shop) as reader:
        reader.execute("SET default_transaction_read_only = off")
        for sql in (
            "DELETE FROM reviews",
            "CREATE TABLE shop.mine ()",
            "CREATE TEMP TABLE mine ()",
            "SELECT pg_sleep(9)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(sql)
    with connect(shop, write=True) as writer:
        writer.execute("BEGIN")
        added = writer.execute("INSERT INTO warehouses (name, country) VALUES ('Malmö', 'SE') RETURNING id").fetchone()
        assert added == (4,)
        writer.execute("UPDATE order_items SET quantity = quantity + 1 WHERE order_id = 1")
        writer.execute("ALTER TABLE products ADD COLUMN more text")
        wrong = """SELECT count(*) FROM orders o WHERE total <> (SELECT sum(amount) FROM order_items i WHERE i.order_id = o.id)"""
        assert writer.execute(wrong).fetchone() == (0,)
        writer.execute("ROLLBACK")


def test_nobody_else_is_let_in(shop: Demo, state: Path) -> None:
    url = shop.databases["shop"].url.get_secret_value()
    for role, database in (("postgres", "shop"), ("postgres", "postgres"), ("shop_reader", "postgres")):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url.replace("shop_reader@/shop", f"{role}@/{database}"))
    found = psutil.Process(postmaster(state))
    assert [one.status for one in found.net_connections("inet")] == []
    folder = found.cmdline()[-1]
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


# Its life


def test_several_servers_share_it(shop: Demo, state: Path) -> None:
    running = postmaster(state)
    others = [prepare(str(state), allow_root=True) for _ in range(3)]
    assert {str(other.databases["shop"].url.get_secret_value()) for other in others} == {
        shop.databases["shop"].url.get_secret_value()
    }
    for other in others:
        other.close()
    assert postmaster(state) == running
    assert one(shop, "SELECT 1") == 1


def test_servers_that_start_at_once_find_one_database(state: Path) -> None:
    until(lambda: stopped(state))
    script = (
        "import sys; from gatelodge_postgres.demo.place import prepare\n"
        "demo = prepare(sys.argv[1], allow_root=True)\n"
        "print(demo.databases['shop'].url.get_secret_value(), flush=True); sys.stdin.read()"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    try:
        places = {child.stdout.readline() for child in started if child.stdout is not None}
        assert len(places) == 1
        assert places.pop()
    finally:
        for child in started:
            child.communicate()
    until(lambda: stopped(state))


def test_changes_outlast_a_restart(state: Path) -> None:
    first = prepare(str(state), allow_root=True)
    made = (state / names.FOLDER / names.MADE).stat().st_mtime_ns
    with connect(first, write=True) as writer:
        writer.execute("UPDATE suppliers SET lead_days = 99 WHERE id = 1")
    first.close()
    until(lambda: stopped(state))
    second = prepare(str(state), allow_root=True)
    try:
        assert one(second, "SELECT lead_days FROM suppliers WHERE id = 1") == 99
        assert (state / names.FOLDER / names.MADE).stat().st_mtime_ns == made
    finally:
        second.close()


def command(state: Path) -> list[str]:
    """A server as a host starts it."""
    return [sys.executable, "-m", "gatelodge_postgres", "--demo", "--allow-root", "--state-dir", str(state)]


def test_a_killed_server_leaves_nothing_running(state: Path) -> None:
    until(lambda: stopped(state))
    with connected(command(state), "stdio", MODERN) as wire:
        assert "15500" in wire.text("run_query", sql="SELECT count(*) FROM orders")
        database = psutil.Process(postmaster(state))
        folder = Path(database.cmdline()[-1])
        other = prepare(str(state), allow_root=True)
        assert isinstance(wire, StdioWire)
        wire.server.process.kill()
        wire.server.process.wait()
        # While another server uses it, it stays.
        assert one(other, "SELECT 1") == 1
        other.close()
    until(lambda: stopped(state))
    assert not database.is_running()
    assert not folder.exists()
    assert not (state / names.FOLDER / names.PLACE).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends what was left")
def test_a_killed_keeper_takes_the_database_with_it(shop: Demo, state: Path) -> None:
    database = psutil.Process(postmaster(state))
    folder, keeper = Path(database.cmdline()[-1]), database.parent()
    assert keeper is not None
    keeper.kill()
    psutil.wait_procs([keeper, database], timeout=PATIENCE)
    assert not database.is_running()
    again = prepare(str(state), allow_root=True)
    assert not folder.exists()
    assert one(again, "SELECT 1") == 1
    again.close()


def test_a_start_that_is_killed_halfway_is_no_harm() -> None:
    with processes.folder() as state:
        child = subprocess.Popen(command(state), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        until((state / names.FOLDER / "data" / "PG_VERSION").exists)
        child.kill()
        child.communicate()
        found = prepare(str(state), allow_root=True)
        assert one(found, "SELECT count(*) FROM reviews") > 5_000
        found.close()
        assert removing.run(["--state-dir", str(state)]) == 0
        assert not (state / names.FOLDER).exists()


def test_what_an_older_version_made_is_made_anew(state: Path) -> None:
    until(lambda: stopped(state))
    (state / names.FOLDER / names.MADE).write_text("0 of another")
    found = prepare(str(state), allow_root=True)
    assert one(found, "SELECT lead_days FROM suppliers WHERE id = 1") < 99
    found.close()


def test_it_is_not_removed_while_it_is_used(
    shop: Demo, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(removing, "SECONDS", 0.1)
    assert removing.run(["--state-dir", str(state)]) == 1
    assert "a server still uses the demo" in capsys.readouterr().err
    assert one(shop, "SELECT 1") == 1


def test_a_long_name_of_the_temporary_folder_is_no_obstacle(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    until(lambda: stopped(state))
    with processes.folder() as made:
        long = made / ("x" * 90)
        long.mkdir()
        monkeypatch.setenv("TMPDIR", str(long))
        found = prepare(str(state), allow_root=True)
        assert one(found, "SELECT 1") == 1
        found.close()
        until(lambda: stopped(state))


# The server on it


@pytest.mark.anyio
async def test_the_server_serves_it_under_enforced_privileges_without_naming_it(state: Path) -> None:
    async with server(state, demo=True, allow_root=True, state_dir=str(state), privileges="enforce") as called:
        tools = {tool.name: tool for tool in (await called.client.list_tools()).tools}
        assert "connection" not in tools["run_query"].input_schema["properties"]
        assert await called.rows("SELECT count(*) AS n FROM orders") == ['{"n":15500}']
        assert [source.name for source in called.sources.all] == ["shop"]
    until(lambda: stopped(state))


@pytest.mark.anyio
async def test_it_is_one_of_several_where_others_are_configured(state: Path) -> None:
    other = {"other": DatabaseSettings.model_validate({"url": "postgresql://nobody@127.0.0.1:1/none"})}
    async with server(state, demo=True, allow_root=True, state_dir=str(state), databases=other) as called:
        assert [source.name for source in called.sources.all] == ["other", "shop"]
        assert await called.rows("SELECT 1 AS n", connection="shop") == ['{"n":1}']


def test_its_name_must_be_free(state: Path) -> None:
    taken = {"shop": {"url": "postgresql://nobody@127.0.0.1:1/none"}}
    settings = settings_of(state, databases=taken)
    with pytest.raises(SettingsError, match="a database shop is configured already"):
        package.with_demo(settings)
    until(lambda: stopped(state))


def settings_of(state: Path, **given: Any) -> Any:
    from gatelodge_postgres.settings import PostgresSettings

    return PostgresSettings.model_validate({"state_dir": str(state), "allow_root": True, "demo": True, **given})


# Where it can't be


def test_as_root_it_needs_a_container_or_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(programs, "in_container", lambda: False)
    with pytest.raises(SettingsError, match=r"PostgreSQL refuses to run as root.*--allow-root"):
        programs.account(allow_root=False)
    assert programs.account(allow_root=True).other is not None
    monkeypatch.setattr(programs, "in_container", lambda: True)
    assert programs.account(allow_root=False).other is not None


def test_an_ordinary_user_needs_no_flag_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    found = programs.account(allow_root=False)
    assert found.other is None
    assert "user" not in found.options


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "PACKAGE", "no_such_package_here")
    with pytest.raises(SettingsError, match=r"uvx --from 'gatelodge-postgres\[demo\]' gatelodge-postgres --demo"):
        programs.packaged()
    monkeypatch.setattr(programs, "musl", lambda: True)
    with pytest.raises(SettingsError, match=r"musl.*docker run"):
        programs.packaged()


def test_on_windows_it_says_what_else_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SettingsError, match="On Windows use it in WSL"):
        package.prepare(str(tmp_path))


def test_where_the_account_cannot_go_the_database_is_elsewhere(tmp_path: Path) -> None:
    import pwd

    nobody = programs.Account("root", pwd.getpwnam("nobody"))
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    assert place.home(str(closed / "state"), nobody).startswith(f"{names.ROOTS_FOLDER}-")
    assert place.home(str(closed / "state"), programs.Account("me")) == str(closed / "state" / names.FOLDER)


def test_programs_are_copied_to_where_the_account_can_run_them(tmp_path: Path) -> None:
    import pwd

    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    install = Path(programs.packaged())
    (closed / install.name).symlink_to(install)
    with processes.folder() as folder:
        nobody = programs.Account("root", pwd.getpwnam("nobody"))
        elsewhere = Unreachable(nobody.name, nobody.other)
        found = Path(programs.runnable(str(install), str(folder), elsewhere))
        assert found.is_relative_to(folder)
        if os.geteuid() == 0:
            for program in ("postgres", "initdb"):
                subprocess.run([found / program, "--version"], check=True, capture_output=True, **nobody.options)
        assert programs.runnable(str(install), str(folder), elsewhere) == str(found)


class Unreachable(programs.Account):
    """An account that can't reach what was installed."""

    def reaches(self, folder: str) -> bool:
        return False
