"""Health checks: each finds a planted fault, and is silent where there is none."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from gatelodge_postgres.dba import health
from gatelodge_postgres.dba.checks import schema, sessions, space
from gatelodge_postgres.dba.checks.finding import At, Finding

from tests.postgres import beds
from tests.postgres.bed import Bed
from tests.postgres.conftest import had
from tests.postgres.dba import behind, database, until, waits
from tests.postgres.seed import READER
from tests.postgres.support import server

pytestmark = pytest.mark.anyio

SOUND = {
    "autovacuum": "on", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "autovacuum_naptime": "1h",
}  # fmt: skip
TABLE = "CREATE TABLE shop.t (id int PRIMARY KEY, n int, note text)"
FILL = "INSERT INTO shop.t SELECT g, g, repeat('x', 300) FROM generate_series(1, 30000) g"


@pytest.fixture(scope="module")
def sound_system_bed() -> Generator[Bed]:
    yield from had(beds.system(settings=SOUND))


@pytest.fixture(scope="module")
def sound_newest_bed() -> Generator[Bed]:
    yield from had(beds.newest(settings=SOUND))


@pytest.fixture(params=["system", "newest"])
def sound_bed(request: pytest.FixtureRequest) -> Bed:
    """A server set up as it should be."""
    return request.getfixturevalue(f"sound_{request.param}_bed")


@pytest.fixture
def db(sound_bed: Bed) -> Generator[str]:
    with database(sound_bed, f"GRANT pg_read_all_stats TO {READER}", TABLE) as name:
        try:
            yield name
        finally:
            with sound_bed.admin() as admin:
                admin.execute(f"REVOKE pg_read_all_stats FROM {READER}".encode())


async def found(bed: Bed, db: str, folder: Path, *checks: str, user: str = READER) -> list[str]:
    """The findings of checks, one a line, without what is fine."""
    async with server(folder, bed.url(db, user), allow_superuser=True) as called:
        text = await called.text("check_health", checks=list(checks))
    return [line for line in text.split("\n") if line.startswith("[")]


def grave(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if not line.startswith("[notice]")]


def ran(bed: Bed, db: str, *statements: str) -> None:
    with bed.admin(db) as admin:
        for statement in statements:
            admin.execute(statement.encode())


async def test_a_sound_database_has_no_findings_of_weight(sound_bed: Bed, db: str, tmp_path: Path) -> None:
    ran(sound_bed, db, FILL)
    # By another session: one counts its changes when it ends, which would be after its own ANALYZE.
    ran(sound_bed, db, "VACUUM ANALYZE shop.t")
    async with server(tmp_path, sound_bed.url(db, READER)) as called:
        text = await called.text("check_health")
    assert "12 checks: 0 critical, 0 warning" in text
    lines = [line for line in text.split("\n") if line.startswith("[")]
    # What any server has from its installation.
    assert [line for line in lines if "checksums" not in line and "this server's role" not in line] == []
    ok = text.rpartition("\nok: ")[2]
    for name in ("connections", "cache", "bloat", "vacuum_wraparound", "indexes", "sequences", "constraints", "replication", "locks", "settings", "storage"):  # fmt: skip
        assert f"{name} (" in ok


FAULTS: list[tuple[str, str, tuple[str, ...]]] = [
    ("bloat", "dead rows: shop.t (29,000 dead rows, 97%, vacuumed never)", (FILL, "DELETE FROM shop.t WHERE id > 1000")),
    ("bloat", "tables much larger than their rows, by estimate: shop.t (", (
        FILL, "INSERT INTO shop.t SELECT g, g, repeat('x', 300) FROM generate_series(30001, 60000) g",
        "DELETE FROM shop.t WHERE id % 10 > 0", "VACUUM ANALYZE shop.t")),
    ("vacuum_wraparound", "autovacuum is switched off for tables: shop.t", (
        "ALTER TABLE shop.t SET (autovacuum_enabled = false)",)),
    ("indexes", "duplicate indexes: shop.t_n_idx1 (", ("CREATE INDEX ON shop.t (n)", "CREATE INDEX ON shop.t (n)")),
    ("sequences", "shop.near is at 2,100,000,000, 97.8% of what there is", (
        f"CREATE SEQUENCE shop.near AS int; GRANT SELECT ON shop.near TO {READER}; SELECT setval('shop.near', 2100000000)",)),
    ("sequences", "shop.wide_id_seq (for wide.id) is at 1,900,000,000, 88.5% of what there is", (
        "CREATE TABLE shop.wide (id int PRIMARY KEY)", "CREATE SEQUENCE shop.wide_id_seq OWNED BY shop.wide.id",
        f"GRANT SELECT ON shop.wide_id_seq TO {READER}; SELECT setval('shop.wide_id_seq', 1900000000)")),
    ("sequences", "shop.down is at -95, 95.0% of what there is", (
        f"CREATE SEQUENCE shop.down INCREMENT -1 MINVALUE -100; GRANT SELECT ON shop.down TO {READER}; SELECT setval('shop.down', -95)",)),
    ("constraints", "constraints that old rows may break (NOT VALID): shop.t.positive", (
        "ALTER TABLE shop.t ADD CONSTRAINT positive CHECK (n > 0) NOT VALID",)),
    ("constraints", "triggers that are switched off (those of foreign keys too): shop.t.tg", (
        "CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER tg BEFORE INSERT ON shop.t FOR EACH ROW EXECUTE FUNCTION shop.f()",
        "ALTER TABLE shop.t DISABLE TRIGGER tg")),
    ("security", "schemas in which everybody can make objects: shop", ("GRANT CREATE ON SCHEMA shop TO PUBLIC",)),
    ("security", "tables that everybody can change: shop.t", ("GRANT INSERT ON shop.t TO PUBLIC",)),
    ("security", "tables with policies that are not in force: shop.t", ("CREATE POLICY p ON shop.t USING (true)",)),
    ("security", f"this server's role {READER}: it can create objects in shop", (f"GRANT CREATE ON SCHEMA shop TO {READER}",)),
]  # fmt: skip


@pytest.mark.parametrize(("check", "words", "plant"), FAULTS, ids=[words for _, words, _ in FAULTS])
async def test_a_planted_fault_is_found(
    sound_bed: Bed, db: str, tmp_path: Path, check: str, words: str, plant: tuple[str, ...]
) -> None:
    before = await found(sound_bed, db, tmp_path / "before", check)
    assert not any(words in line for line in before)
    assert grave(before) == []
    ran(sound_bed, db, *plant)
    after = grave(await found(sound_bed, db, tmp_path / "after", check))
    (line,) = [line for line in after if words in line]
    assert ". Fix: " in line


NOTICES: list[tuple[str, str, tuple[str, ...]]] = [
    ("indexes", "indexes whose keys begin another one: shop.t_n_idx (", (
        "CREATE INDEX ON shop.t (n)", "CREATE INDEX ON shop.t (n, note)")),
    ("bloat", "statistics are out of date: shop.t (30,000 changes since ever)", (FILL,)),
    ("constraints", "tables without a primary key: shop.keyless", ("CREATE TABLE shop.keyless (id int)",)),
    ("constraints", "foreign keys without an index: shop.t.to_r (30,000 rows)", (
        "CREATE TABLE shop.r (id int PRIMARY KEY)", "INSERT INTO shop.r SELECT g FROM generate_series(1, 30000) g", FILL,
        "ALTER TABLE shop.t ADD CONSTRAINT to_r FOREIGN KEY (n) REFERENCES shop.r", "ANALYZE shop.t")),
    ("security", "SECURITY DEFINER functions for everybody, without a search_path: shop.d", (
        "CREATE FUNCTION shop.d() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",)),
    ("storage", "unlogged tables, which a crash empties and replicas don't have: shop.light", (
        "CREATE UNLOGGED TABLE shop.light (id int PRIMARY KEY)",)),
]  # fmt: skip


@pytest.mark.parametrize(("check", "words", "plant"), NOTICES, ids=[words for _, words, _ in NOTICES])
async def test_what_deserves_a_look_is_a_notice(
    sound_bed: Bed, db: str, tmp_path: Path, check: str, words: str, plant: tuple[str, ...]
) -> None:
    assert not any(words in line for line in await found(sound_bed, db, tmp_path / "before", check))
    ran(sound_bed, db, *plant)
    assert any(words in line and line.startswith("[notice]") for line in await found(sound_bed, db, tmp_path, check))


async def test_an_invalid_index_is_found(sound_bed: Bed, db: str, tmp_path: Path) -> None:
    ran(sound_bed, db, "INSERT INTO shop.t VALUES (1, 5), (2, 5)")
    with pytest.raises(Exception, match="duplicated"):
        ran(sound_bed, db, "CREATE UNIQUE INDEX CONCURRENTLY broken ON shop.t (n)")
    (line,) = grave(await found(sound_bed, db, tmp_path, "indexes"))
    assert "invalid indexes, which cost writes and help no query: shop.broken" in line


async def test_large_unused_indexes_are_a_notice(
    sound_bed: Bed, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(sound_bed, db, "CREATE INDEX idle ON shop.t (n)")
    assert await found(sound_bed, db, tmp_path / "small", "indexes") == []
    monkeypatch.setattr(schema, "LARGE_INDEX", 1)
    assert any("unused indexes: shop.idle (" in line for line in await found(sound_bed, db, tmp_path, "indexes"))


async def test_a_transaction_left_open_is_found(
    sound_bed: Bed, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "IDLE_SECONDS", 0.0)
    assert grave(await found(sound_bed, db, tmp_path / "before", "connections")) == []
    with sound_bed.connect(db) as idle:
        idle.execute("BEGIN")
        (line,) = grave(await found(sound_bed, db, tmp_path, "connections"))
        assert "1 sessions are idle in a transaction, the longest for " in line
        assert f"(pids {idle.info.backend_pid})" in line


async def test_connections_that_run_out_are_found(
    sound_bed: Bed, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sound_bed.connect(db):
        assert grave(await found(sound_bed, db, tmp_path / "before", "connections")) == []
        monkeypatch.setattr(sessions, "FULL", 0.01)
        (line,) = grave(await found(sound_bed, db, tmp_path, "connections"))
        assert "[critical] connections: 1 of 60 connections are in use" in line


async def test_sessions_that_wait_are_found(
    sound_bed: Bed, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "WAIT_SECONDS", 0.0)
    assert await found(sound_bed, db, tmp_path / "before", "locks") == []
    with sound_bed.connect(db) as holder, sound_bed.connect(db) as waiter:
        holder.execute("BEGIN; LOCK TABLE shop.t")
        with behind(waiter, "SELECT * FROM shop.t"):
            until(waits(sound_bed, waiter))
            (line,) = grave(await found(sound_bed, db, tmp_path, "locks"))
            assert "1 sessions wait for locks" in line
            assert f"blocked by {holder.info.backend_pid}" in line
            holder.execute("ROLLBACK")


async def test_prepared_transactions_left_over_are_found(
    sound_bed: Bed, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "WAIT_SECONDS", 0.0)
    with sound_bed.connect(db) as admin:
        admin.execute("BEGIN; INSERT INTO shop.t VALUES (1); PREPARE TRANSACTION 'left'")
    try:
        (line,) = grave(await found(sound_bed, db, tmp_path, "locks"))
        assert "1 prepared transactions hold their locks, the oldest (left)" in line
    finally:
        ran(sound_bed, db, "ROLLBACK PREPARED 'left'")


async def test_a_poor_cache_is_found(sound_bed: Bed, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "TOUCHED_BLOCKS", 1)
    assert grave(await found(sound_bed, db, tmp_path / "before", "cache")) == []
    monkeypatch.setattr(sessions, "POOR_HITS", 1.01)
    (line,) = grave(await found(sound_bed, db, tmp_path, "cache"))
    assert "of blocks came from shared_buffers (24MB)" in line


async def test_transaction_numbers_that_run_out_are_found(
    sound_bed: Bed, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "OLD_AGE", 0)
    ran(sound_bed, db, "INSERT INTO shop.t VALUES (1)")
    lines = grave(await found(sound_bed, db, tmp_path, "vacuum_wraparound"))
    assert any(f"database {db} has rows " in line for line in lines)


async def test_autovacuum_and_settings_that_endanger_data_are_found(sound_bed: Bed, db: str, tmp_path: Path) -> None:
    changed = {"autovacuum": "off", "full_page_writes": "off", "enable_hashjoin": "off"}
    assert await found(sound_bed, db, tmp_path / "before", "settings") == []
    sound_bed.configure(**changed, max_wal_senders="7")

    def arrived() -> bool:
        with sound_bed.admin() as admin:
            rows = admin.execute("SELECT setting FROM pg_settings WHERE name = ANY (%s)", [list(changed)]).fetchall()
            pending = admin.execute("SELECT FROM pg_settings WHERE pending_restart").fetchall()
        return {value for (value,) in rows} == {"off"} and bool(pending)

    try:
        until(arrived)
        lines = await found(sound_bed, db, tmp_path, "settings", "vacuum_wraparound")
        assert any("full_page_writes is off: a crash can destroy blocks" in line for line in lines)
        assert any("kinds of plans that are switched off: enable_hashjoin" in line for line in lines)
        assert any("settings that wait for a restart: max_wal_senders" in line for line in lines)
        assert any("[critical] vacuum_wraparound: autovacuum is off" in line for line in lines)
    finally:
        with sound_bed.admin() as admin:
            for name in (*changed, "max_wal_senders"):
                admin.execute(f"ALTER SYSTEM RESET {name}".encode())
            admin.execute("SELECT pg_reload_conf()")
        until(lambda: not arrived())


async def test_a_slot_that_nobody_reads_is_found(sound_bed: Bed, db: str, tmp_path: Path) -> None:
    assert grave(await found(sound_bed, db, tmp_path / "before", "replication")) == []
    ran(sound_bed, db, "SELECT pg_create_physical_replication_slot('forgotten', true)")
    try:
        (line,) = grave(await found(sound_bed, db, tmp_path, "replication"))
        assert "physical slot forgotten is inactive and keeps " in line
    finally:
        ran(sound_bed, db, "SELECT pg_drop_replication_slot('forgotten')")


async def test_a_replica_says_that_it_follows(system_bed: Bed, tmp_path: Path) -> None:
    with database(system_bed, TABLE) as db:
        for copy in had(beds.replica(system_bed)):

            def arrived(copy: Bed = copy, db: str = db) -> bool:
                with copy.admin() as admin:
                    return bool(admin.execute("SELECT FROM pg_database WHERE datname = %s", [db]).fetchall())

            until(arrived)
            async with server(tmp_path, copy.url(db), allow_superuser=True) as called:
                text = await called.text("check_health", checks=["replication"])
            assert "a standby that follows" in text


async def test_a_superuser_and_md5_are_found(sound_bed: Bed, db: str, tmp_path: Path) -> None:
    lines = await found(sound_bed, db, tmp_path, "security", user="postgres")
    assert any(line.startswith("[critical] security: this server's role postgres: it is a superuser") for line in lines)
    ran(sound_bed, db, f"ALTER ROLE {READER} SET password_encryption = 'md5'")
    lines = await found(sound_bed, db, tmp_path / "md5", "security")
    assert any("password_encryption is md5" in line for line in grave(lines))


async def test_what_the_role_cannot_see_is_said(system_bed: Bed, tmp_path: Path) -> None:
    with database(system_bed, TABLE, "CREATE SEQUENCE shop.hidden") as db, system_bed.connect(db) as other:
        other.execute("BEGIN")
        lines = await found(system_bed, db, tmp_path, "connections", "sequences")
    assert any("can't see what " in line and "sessions of other roles do. Fix: GRANT pg_read_all_stats" in line for line in lines)  # fmt: skip
    assert any("can't see how far 1 sequences are. Fix: GRANT SELECT" in line for line in lines)


async def test_a_right_that_is_missing_spoils_its_own_check_alone(sound_bed: Bed, db: str, tmp_path: Path) -> None:
    ran(sound_bed, db, "REVOKE SELECT ON pg_catalog.pg_replication_slots FROM PUBLIC", FILL, "DELETE FROM shop.t WHERE id > 500")  # fmt: skip
    lines = await found(sound_bed, db, tmp_path)
    (line,) = [line for line in lines if line.startswith("[notice] replication")]
    assert "could not be checked" in line
    assert "permission denied" in line
    assert any("dead rows: shop.t" in line for line in lines)


async def test_a_check_that_fails_leaves_the_others(
    system_bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(at: At) -> list[Finding]:
        await at.session.rows("SELECT nothing")
        return []

    monkeypatch.setitem(health.CHECKS, "cache", wrong)
    with database(system_bed, TABLE) as db:
        async with server(tmp_path, system_bed.url(db, READER), pool_size=1) as called:
            text = await called.text("check_health")
    assert "[notice] cache: could not be checked: [42703] column" in text
    assert "locks (nobody waits for a lock)" in text
    assert "12 checks" in text


async def test_relations_that_are_not_read_are_not_named(sound_bed: Bed, db: str, tmp_path: Path) -> None:
    ran(
        sound_bed, db, "CREATE TABLE shop.closed (id int)", "CREATE TABLE shop.ungranted (id int)",
        f"REVOKE SELECT ON shop.ungranted FROM {READER}", "CREATE TABLE shop.keyless (id int)",
    )  # fmt: skip
    async with server(tmp_path, sound_bed.url(db, READER), deny_relations=["shop.closed"]) as called:
        text = await called.text("check_health")
    assert "shop.keyless" in text
    assert "shop.closed" not in text
    assert "shop.ungranted" not in text


async def test_a_database_that_cannot_be_reached_is_one_error(tmp_path: Path) -> None:
    async with server(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing") as called:
        assert "unreachable" in await called.error("check_health")
