"""The servers that the tests stand on are what they are said to be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import psutil
import psycopg
import pytest

from tests.postgres import beds
from tests.postgres.bed import PASSWORD, Bed
from tests.postgres.processes import PATIENCE
from tests.postgres.seed import COLUMN_SECRETS, FILE_SECRET, READER, Home
from tests.postgres.watch import PROBE, columns, leaks, watching


def test_a_bed_listens_on_loopback_and_on_a_socket_of_its_own(bed: Bed) -> None:
    with psycopg.connect(bed.url()) as tcp, psycopg.connect(bed.url(over="socket")) as local:
        assert tcp.execute("SELECT host(inet_server_addr())").fetchone() == ("127.0.0.1",)
        assert local.execute("SELECT inet_server_addr()").fetchone() == (None,)
        assert tcp.info.server_version // 10000 == bed.version


def test_a_database_survives_a_crash_of_its_server() -> None:
    with beds.system() as own:
        with own.admin() as admin:
            admin.execute("CREATE TABLE t AS SELECT 1 AS a")
        pid = own.pid
        own.restart("immediate")
        assert own.pid != pid
        with own.admin() as admin:
            assert admin.execute("SELECT a FROM t").fetchone() == (1,)


def test_one_backend_can_be_ended_from_the_side_of_the_server(bed: Bed) -> None:
    with bed.connect(application_name="somebody") as connection:
        pid = connection.info.backend_pid
        assert bed.backends()[pid] == "somebody"
        bed.kill_backend(pid)
        assert pid not in bed.backends()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_database_can_be_without_an_encoding(bed: Bed) -> None:
    name = bed.create("ascii", "template0", "SQL_ASCII")
    try:
        with bed.admin(name) as admin:
            admin.execute("CREATE TABLE t AS SELECT E'\\xff'::text AS a")
            assert admin.execute("SELECT a FROM t").fetchone() == (b"\xff",)
    finally:
        bed.drop(name)


def test_passwords_are_asked_for_over_tcp(scram_bed: Bed) -> None:
    psycopg.connect(scram_bed.url(password=PASSWORD)).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(scram_bed.url(password="wrong"))


def test_a_client_shows_its_certificate(tls_bed: Bed) -> None:
    assert tls_bed.certificates is not None
    with psycopg.connect(tls_bed.url(over="tcp", **tls_bed.certificates.client("postgres"))) as connection:
        assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        psycopg.connect(tls_bed.url(sslmode="require"))


def test_pgbouncer_lends_few_connections_to_many(bouncer: beds.Bouncer) -> None:
    clients = [psycopg.connect(bouncer.url(), autocommit=True, prepare_threshold=None) for _ in range(12)]
    try:
        pids = {client.execute("SELECT pg_backend_pid()").fetchone() for client in clients}
        assert len(pids) <= 5
    finally:
        for client in clients:
            client.close()


def test_a_replica_follows_and_takes_no_writes(system_bed: Bed) -> None:
    with beds.replica(system_bed) as copy, copy.admin() as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE t (a int)")


def test_the_reader_may_read_and_no_more(system_home: Home) -> None:
    with system_home.bed.connect(system_home.db, READER) as reader:
        assert reader.execute("SELECT count(*) FROM app.victim").fetchone() == (5,)
        reader.execute("SET default_transaction_read_only = off")
        for forbidden in (
            "INSERT INTO app.victim VALUES (9)", "SELECT ssn FROM app.people", "SELECT pg_sleep(0)",
            "SELECT pg_advisory_lock(1)", "CREATE TEMP TABLE t (a int)", "SELECT pg_read_file('planted_secret')",
            "TABLE pg_authid",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(forbidden)


def test_homes_are_the_same_and_do_not_share(newest_home: Home, system_home: Home) -> None:
    for home in (newest_home, system_home):
        with home.admin() as admin:
            assert admin.execute("SELECT count(*), sum(quantity) FROM app.order_lines").fetchone() == (600, 1500)
            assert admin.execute("SELECT count(*) FROM app.kinds").fetchone() == (7,)


def test_a_quiet_world_has_no_changes(bed: Bed, request: pytest.FixtureRequest) -> None:
    home: Home = request.getfixturevalue("newest_home" if bed.version >= 18 else "system_home")
    with watching(home) as watch, home.admin() as admin:
        before = watch.snapshot()
        admin.execute("SELECT count(*) FROM app.orders")
        admin.execute(PROBE.encode())
        assert watch.changes(before) == {}


def test_a_secret_is_known_in_other_clothes(system_home: Home) -> None:
    for said in (FILE_SECRET, FILE_SECRET.upper(), FILE_SECRET.encode().hex(), FILE_SECRET[::-1]):
        assert leaks(f"x{said}x") == [FILE_SECRET]
    assert columns("gl-secret-ssn-1c9e") == [COLUMN_SECRETS[0]]
    assert leaks("nothing") == columns("nothing") == []
    assert (system_home.bed.data / "planted_secret").read_text().strip() == FILE_SECRET


def test_no_server_is_left_behind() -> None:
    with beds.newest() as own:
        pid, place = own.pid, own.folder
    assert not place.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_ends_with_a_process_that_was_killed() -> None:
    code = "import time\nfrom tests.postgres import beds\nwith beds.newest() as b: print(b.pid, b.folder, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, place = parent.stdout.readline().split()
        parent.kill()
    deadline = time.monotonic() + PATIENCE
    try:
        while psutil.pid_exists(int(pid)):
            assert time.monotonic() < deadline, "it still runs"
            time.sleep(0.02)
    finally:
        shutil.rmtree(place)
