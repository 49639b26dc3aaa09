"""The ways to real databases, each by a confined process: TCP, sockets, TLS, passwords, poolers, several hosts."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Generator, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

import anyio
import psycopg
import pytest
import trustme
from gatelodge_postgres.connect.database import READ_WRITE, Database, Timeouts
from gatelodge_postgres.connect.pool import Pool
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.connect.target import parse

from tests.postgres.bed import PASSWORD, Bed
from tests.postgres.beds import Bouncer, pgbouncer, replica, system
from tests.postgres.conftest import had
from tests.postgres.processes import free_port
from tests.postgres.processing import process, sandbox, until
from tests.postgres.support import server
from tests.postgres.test_resilience import HEAVY, soon
from tests.support.wire import StdioWire

USER = "reader"
MARK = f"SELECT '{USER}' = current_user AS mine"


def role(bed: Bed) -> None:
    with bed.admin() as admin, contextlib.suppress(psycopg.errors.DuplicateObject):
        admin.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")


@pytest.fixture(scope="module")
def plain(system_bed: Bed) -> Bed:
    role(system_bed)
    return system_bed


@pytest.fixture(scope="module")
def scram(scram_bed: Bed) -> Bed:
    role(scram_bed)
    return scram_bed


@pytest.fixture(scope="module")
def tls(tls_bed: Bed) -> Bed:
    role(tls_bed)
    return tls_bed


def told(bed: Bed, options: Mapping[str, str]) -> str:
    """A URL without a password, with options of libpq."""
    return f"{bed.url(user=USER, password=None)}?{urlencode(options)}"


def reached(tmp_path: Path, url: str, **env: str) -> None:
    """The database is reached by a process whose confinement is whole."""
    with process(tmp_path, env={"GATELODGE_POSTGRES_URL": url, **env}) as wire:
        assert "mine\ntrue\n" in wire.text("run_query", sql=MARK)
        level = json.loads(sandbox(tmp_path))["sandbox"]
        assert re.match(r"landlock \d+ \(files, ports, scopes\), seccomp, rlimits$", level), level


def refused(tmp_path: Path, url: str, **env: str) -> str:
    """What is said when it can't be."""
    with process(tmp_path, env={"GATELODGE_POSTGRES_URL": url, **env}) as wire:
        said = wire.error("run_query", sql=MARK)
        assert said.startswith("unreachable: database default can't be reached: "), said
        assert PASSWORD not in said
        return said


def test_by_address(plain: Bed, tmp_path: Path) -> None:
    reached(tmp_path, plain.url(user=USER))


def test_by_a_name_that_is_looked_up(plain: Bed, tmp_path: Path) -> None:
    reached(tmp_path, plain.url(user=USER).replace("127.0.0.1", "localhost"))


def test_by_a_unix_socket(plain: Bed, tmp_path: Path) -> None:
    reached(tmp_path, plain.url(user=USER, over="socket"))


def test_by_a_unix_socket_that_isn_t_there(tmp_path: Path) -> None:
    said = refused(tmp_path, f"postgresql://reader@/postgres?host={quote(str(tmp_path), safe='')}")
    assert "No such file or directory" in said


def test_by_a_password_in_the_url(scram: Bed, tmp_path: Path) -> None:
    reached(tmp_path, scram.url(user=USER))


def test_by_a_password_in_the_environment(scram: Bed, tmp_path: Path) -> None:
    reached(tmp_path, scram.url(user=USER, password=None), PGPASSWORD=PASSWORD)


def test_by_the_password_file(scram: Bed, tmp_path: Path) -> None:
    passfile = tmp_path / "home" / ".pgpass"
    passfile.parent.mkdir()
    passfile.write_text(f"127.0.0.1:{scram.port}:*:{USER}:{PASSWORD}\n")
    passfile.chmod(0o600)
    reached(tmp_path, scram.url(user=USER, password=None))


def test_by_another_password_file(scram: Bed, tmp_path: Path) -> None:
    passfile = tmp_path / "passwords"
    passfile.write_text(f"*:*:*:{USER}:{PASSWORD}\n")
    passfile.chmod(0o600)
    reached(tmp_path, scram.url(user=USER, password=None, passfile=str(passfile)))
    reached(tmp_path, scram.url(user=USER, password=None), PGPASSFILE=str(passfile))


def test_by_a_service_file(scram: Bed, tmp_path: Path) -> None:
    services = tmp_path / "services"
    services.write_text(
        f"[shop]\nhost=127.0.0.1\nport={scram.port}\ndbname=postgres\nuser={USER}\npassword={PASSWORD}\n"
    )
    reached(tmp_path, "service=shop", PGSERVICEFILE=str(services))
    reached(tmp_path, "postgresql:///?service=shop", PGSERVICEFILE=str(services))


def test_a_wrong_password_is_told_without_it(scram: Bed, tmp_path: Path) -> None:
    said = refused(tmp_path, scram.url(user=USER, password="gl-wrong-secret"))
    assert "password authentication failed" in said
    assert "gl-wrong-secret" not in said
    said = refused(tmp_path, scram.url(user=USER, password=None))
    assert "no password supplied" in said
    assert "must correct its user or password" in said


def test_by_tls_with_a_client_s_certificate(tls: Bed, tmp_path: Path) -> None:
    assert tls.certificates is not None
    given = tls.certificates.client(USER)
    reached(tmp_path, told(tls, given))
    reached(tmp_path, told(tls, given).replace("@127.0.0.1", "@localhost"))


def test_a_certificate_of_another_authority_is_refused(tls: Bed, tmp_path: Path) -> None:
    assert tls.certificates is not None
    other = tmp_path / "other.crt"
    trustme.CA().cert_pem.write_to_path(str(other))
    given = {**tls.certificates.client(USER), "sslrootcert": str(other)}
    said = refused(tmp_path, told(tls, given))
    assert "certificate verify failed" in said
    assert "sslrootcert" in said


def test_a_server_of_another_name_is_refused(tls: Bed, tmp_path: Path) -> None:
    assert tls.certificates is not None
    given = {**tls.certificates.client(USER), "host": "db.example", "hostaddr": "127.0.0.1", "port": str(tls.port)}
    said = refused(tmp_path, f"postgresql:///postgres?user={USER}&" + "&".join(f"{k}={v}" for k, v in given.items()))
    assert "does not match host name" in said


def test_a_missing_client_s_certificate_is_told(tls: Bed, tmp_path: Path) -> None:
    assert tls.certificates is not None
    url = tls.url(user=USER, password=None, sslmode="verify-full", sslrootcert=str(tls.certificates.authority))
    said = refused(tmp_path, url)
    assert "requires a valid client certificate" in said
    assert "sslcert" in said


def test_somebody_else_s_certificate_is_refused(tls: Bed, tmp_path: Path) -> None:
    assert tls.certificates is not None
    said = refused(tmp_path, told(tls, tls.certificates.client("stranger")))
    assert "certificate authentication failed" in said


def test_a_server_without_tls_is_told_when_tls_is_asked_for(plain: Bed, tmp_path: Path) -> None:
    said = refused(tmp_path, plain.url(user=USER, sslmode="require"))
    assert "server does not support SSL" in said
    assert "sslmode=disable" in said


def test_tls_is_asked_for_by_itself_beyond_this_machine() -> None:
    assert parse("db", "postgresql://a@db.example/app").parameters["sslmode"] == "require"
    assert "sslmode" not in parse("db", "postgresql://a@localhost/app").parameters
    assert parse("db", "postgresql://a@db.example/app?sslmode=disable").parameters["sslmode"] == "disable"


@pytest.fixture(scope="module")
def ascii_db(plain: Bed) -> Generator[str]:
    """A database without an encoding, with bytes in it that are no text in any."""
    name = plain.create("ascii", "template0", "SQL_ASCII")
    with plain.connect(name, client_encoding="SQL_ASCII") as admin:
        admin.execute(b'CREATE TABLE odd (id int, "na\xefve" text, good text)')
        admin.execute(b"INSERT INTO odd VALUES (1, '\xff\xfe bad', 'caf\xc3\xa9')")
        admin.execute(b"COMMENT ON TABLE odd IS 'd\xe9j\xe0'")
        admin.execute(b'CREATE TABLE "caf\xe9" (id int)')
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")
    yield name
    plain.drop(name)


def test_bytes_that_are_no_text_stay_visible(plain: Bed, ascii_db: str, tmp_path: Path) -> None:
    with process(tmp_path, env={"GATELODGE_POSTGRES_URL": plain.url(ascii_db, user=USER)}) as wire:
        for form in ("csv", "jsonl", "markdown"):
            text = wire.text("run_query", sql="SELECT * FROM odd", format=form)
            assert "xff" in text
            assert "xfe bad" in text
            assert "na\\xefve" in text.replace("\\\\", "\\")
            assert "café" in text
        assert "café" in wire.text("run_query", sql="SELECT good FROM odd WHERE good = $1", params=["café"])
        listed = wire.text("list_objects")
        assert "caf\\xe9" in listed.replace("\\\\", "\\")
        text = wire.text("describe_objects", names=["odd"])
        assert "d\\xe9j\\xe0" in text.replace("\\\\", "\\")
        assert "undefined_table" in wire.error("run_query", sql='SELECT * FROM "caf\\xe9"')


@pytest.fixture(scope="module")
def bounced(plain: Bed) -> Generator[Bouncer]:
    yield from had(pgbouncer(plain, size=3, user=USER))


@pytest.fixture(scope="module")
def behind(bounced: Bouncer, tmp_path_factory: pytest.TempPathFactory) -> Generator[StdioWire]:
    env = {"GATELODGE_POSTGRES_URL": bounced.url(user=USER)}
    options = ["--max-cost", "0", "--pool-size", "12", "--allow-functions", "public.*"]
    with process(tmp_path_factory.mktemp("bounced"), *options, env=env, revision="2025-11-25") as wire:
        yield wire


def test_many_calls_share_few_backends_behind_pgbouncer(bounced: Bouncer, behind: StdioWire) -> None:
    for number in range(300):
        sql = f"SELECT {number} AS n, $1::int AS m" if number % 2 else "SELECT $1::int AS m, count(*) FROM pg_class"
        behind.send_call(f"call {number}", "run_query", sql=sql, params=[str(number)])
    wanted = {f"call {number}" for number in range(300)}
    while wanted:
        message = json.loads(behind.server.line())
        if message.get("id") in wanted:
            wanted.remove(message["id"])
            assert not message["result"].get("isError"), message
    log = bounced.log()
    assert "unsupported startup parameter" not in log
    assert "prepared statement" not in log
    assert len(bounced.bed.backends("postgres")) <= 3 + 1


def test_a_cancel_goes_through_pgbouncer(bounced: Bouncer, behind: StdioWire) -> None:
    def running() -> int:
        with bounced.bed.admin() as admin:
            sql = "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^FETCH' AND state = 'active' AND usename = 'reader'"
            found = admin.execute(sql).fetchone()
        return int(found[0]) if found else 0

    for _ in range(5):
        behind.send_call("heavy", "run_query", sql=HEAVY)
        until(running)
        behind.notify("notifications/cancelled", {"requestId": "heavy"})
        assert until(lambda: not running()) < 2
        assert "\n7\n" in behind.text("run_query", sql="SELECT 7 AS n")


def test_a_lock_left_behind_is_gone_behind_pgbouncer_too(bounced: Bouncer, behind: StdioWire) -> None:
    with bounced.bed.admin() as admin:
        admin.execute(
            "CREATE OR REPLACE FUNCTION leaves_lock(int) RETURNS int STABLE LANGUAGE plpgsql"
            " AS $$ BEGIN PERFORM pg_advisory_lock($1); RETURN $1; END $$"
        )
        try:
            for number in range(40):
                behind.send_call(f"lock {number}", "run_query", sql=f"SELECT leaves_lock({number})")
            for number in range(40):
                assert not behind.response(f"lock {number}")["result"].get("isError") if number == 39 else True
            until(lambda: admin.execute("SELECT count(*) FROM pg_locks WHERE locktype='advisory'").fetchone() == (0,))
        finally:
            admin.execute("DROP FUNCTION leaves_lock")


@pytest.fixture(scope="module")
def pair() -> Generator[tuple[Bed, Bed]]:
    """A primary, and a standby that gives way to it at once."""
    for primary in had(system(settings={"hot_standby_feedback": "off"})):
        role(primary)
        with primary.admin() as admin:
            admin.execute("CREATE TABLE shrinking AS SELECT g AS id FROM generate_series(1, 50000) g")
            admin.execute(f"GRANT ALL ON shrinking TO {USER}")
        for standby in had(replica(primary)):
            standby.configure(max_standby_streaming_delay="0", max_standby_archive_delay="0")
            yield primary, standby


def hosts(*ports: int, **options: str) -> str:
    places = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"postgresql://{USER}@{places}/postgres" + ("?" + "&".join(f"{k}={v}" for k, v in options.items()))


def test_a_dead_host_is_passed_over_and_reads_go_to_the_standby(pair: tuple[Bed, Bed], tmp_path: Path) -> None:
    primary, standby = pair
    env = {"GATELODGE_POSTGRES_URL": hosts(free_port(), primary.port, standby.port)}
    with process(tmp_path, env=env) as wire:
        text = wire.text("run_query", sql="SELECT pg_is_in_recovery() AS standby, inet_server_port() AS port")
        assert f"true,{standby.port}\n" in text
        standby.stop()
        try:
            text = wire.text("run_query", sql="SELECT pg_is_in_recovery() AS standby, inet_server_port() AS port")
            assert f"false,{primary.port}\n" in text
        finally:
            standby.start()


def test_changes_go_to_the_primary(pair: tuple[Bed, Bed]) -> None:
    primary, standby = pair

    async def main() -> None:
        target = parse("db", hosts(free_port(), standby.port, primary.port))
        database = Database("db", Pool(target, size=1, seconds=10, sessions="read-write"), Timeouts(), begin=READ_WRITE)

        async def port(session: Session) -> int:
            (row,) = await session.rows("SELECT inet_server_port()")
            return int(row[0])

        async with database.life():
            assert await database.run(port) == primary.port

    anyio.run(main)


def test_what_a_host_must_be_can_be_said_in_the_url(pair: tuple[Bed, Bed], tmp_path: Path) -> None:
    primary, standby = pair
    url = hosts(standby.port, primary.port, target_session_attrs="primary")
    with process(tmp_path, env={"GATELODGE_POSTGRES_URL": url}) as wire:
        assert f"\n{primary.port}\n" in wire.text("run_query", sql="SELECT inet_server_port() AS port")


def test_a_query_that_a_standby_gives_up_for_its_primary_runs_once_more(pair: tuple[Bed, Bed], tmp_path: Path) -> None:
    primary, standby = pair
    sql = "SELECT count(*) AS n FROM shrinking a, shrinking b, shrinking c WHERE a.id + b.id <> c.id"
    answers: list[str] = []

    def conflicts() -> int:
        with standby.admin() as admin:
            found = admin.execute("SELECT sum(confl_snapshot + confl_lock) FROM pg_stat_database_conflicts").fetchone()
        return int(found[0]) if found else 0

    def running() -> bool:
        with standby.admin() as admin:
            found = admin.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND query ~ '^FETCH' AND state = 'active'",
                [USER],
            ).fetchone()
        return found != (0,)

    async def main() -> None:
        async with server(tmp_path, standby.url(user=USER), max_cost=0) as called:
            assert "true" in await called.text("run_query", sql="SELECT pg_is_in_recovery()")

            async def ask() -> None:
                answers.append(await called.text("run_query", sql=sql))

            before = conflicts()
            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                await soon(running)
                with primary.admin() as admin:
                    admin.execute("DELETE FROM shrinking")
                    # Its end would be cut off under a lock, a second conflict.
                    admin.execute("VACUUM (TRUNCATE off) shrinking")
            await soon(lambda: conflicts() > before)

    anyio.run(main)
    assert "\n0\n" in answers[0]


def test_the_newest_server_is_reached_in_all_plain_ways(newest_bed: Bed, tmp_path: Path) -> None:
    role(newest_bed)
    reached(tmp_path, newest_bed.url(user=USER))
    reached(tmp_path, newest_bed.url(user=USER, over="socket"))


def test_several_databases_are_reached_each_in_its_own_way(plain: Bed, scram: Bed, tls: Bed, tmp_path: Path) -> None:
    assert tls.certificates is not None
    env = {
        "GATELODGE_POSTGRES_PLAIN_URL": plain.url(user=USER, over="socket"),
        "GATELODGE_POSTGRES_ASKS_URL": scram.url(user=USER, password=None),
        "GATELODGE_POSTGRES_ASKS_PASSWORD_COMMAND": f"echo {PASSWORD}",
        "GATELODGE_POSTGRES_TLS_URL": told(tls, tls.certificates.client(USER)),
    }
    with process(tmp_path, env=env) as wire:
        for name in ("plain", "asks", "tls"):
            assert "mine\ntrue\n" in wire.text("run_query", sql=MARK, connection=name)
