"""What an attacker sends to `preview_change`: nothing may be left behind, by whatever role, and no token misused."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass

import pytest
from gatelodge_core.errors import CallError

from tests.postgres.seed import Home
from tests.postgres.watch import Watch, columns, leaks, watching
from tests.postgres.writing import ITEMS, WRITER, ask, do, prepare, writing

pytestmark = pytest.mark.anyio
INSERT = "INSERT INTO w.item (id, name) VALUES (90, 'evil')"
SETUP = """
CREATE TABLE w.log (note text);
CREATE TABLE w.parent (id int, name text, price numeric, secret text);
CREATE FUNCTION w.committing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN COMMIT; RETURN NEW; END $$;
CREATE TABLE w.traps (id int PRIMARY KEY, what text);
INSERT INTO w.traps VALUES (1, 'a');
CREATE TRIGGER committing BEFORE UPDATE ON w.traps FOR EACH ROW EXECUTE FUNCTION w.committing();
CREATE FUNCTION w.rolling() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ROLLBACK; RETURN NULL; END $$;
CREATE TABLE w.late (id int PRIMARY KEY);
INSERT INTO w.late VALUES (1);
CREATE CONSTRAINT TRIGGER rolling AFTER DELETE ON w.late DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION w.rolling();
CREATE FUNCTION w.reaching() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM dblink_exec('port=1', 'INSERT INTO w.item VALUES (91)'); RETURN NEW; END $$;
CREATE TABLE w.far (id int PRIMARY KEY);
CREATE TRIGGER reaching BEFORE INSERT ON w.far FOR EACH ROW EXECUTE FUNCTION w.reaching();
CREATE FUNCTION w.program() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE 'COPY w.log TO PROGRAM ''touch {canary}'''; RETURN NEW; END $$;
CREATE TABLE w.root (id int PRIMARY KEY);
INSERT INTO w.root VALUES (1);
CREATE TABLE w.leaf (id int PRIMARY KEY REFERENCES w.root ON DELETE CASCADE);
INSERT INTO w.leaf VALUES (1);
CREATE TRIGGER program AFTER DELETE ON w.leaf FOR EACH ROW EXECUTE FUNCTION w.program();
CREATE FUNCTION w.default_of() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN dblink_exec('port=1', 'x'); END $$;
CREATE TABLE w.defaults (id int PRIMARY KEY, what text DEFAULT w.default_of());
CREATE TABLE w.ruled (id int PRIMARY KEY);
CREATE RULE other AS ON INSERT TO w.ruled DO ALSO INSERT INTO w.log VALUES ('by rule');
CREATE FUNCTION w.locking() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(77); PERFORM set_config('statement_timeout', '0', false); PERFORM pg_notify('gl_canary', 'x'); RETURN NEW; END $$;
CREATE TABLE w.locks (id int PRIMARY KEY);
CREATE TRIGGER locking BEFORE INSERT ON w.locks FOR EACH ROW EXECUTE FUNCTION w.locking();
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA w TO app_writer;
"""


@dataclass(frozen=True)
class Case:
    """A text, and what is said of it; `says` empty means that it may be previewed."""

    sql: str
    says: str = "refused"
    params: tuple[str, ...] = ()


REFUSED = [
    Case(f"SELECT 1; {INSERT}", "several_statements"),
    Case(f"{INSERT}; COMMIT", "several_statements"),
    Case(f"COMMIT; {INSERT}", "several_statements"),
    Case(f"{INSERT};; COMMIT; BEGIN; {INSERT}", "several_statements"),
    Case(f"{INSERT} /* ; */; COMMIT --", "several_statements"),
    Case(f"{INSERT} -- \n; COMMIT", "several_statements"),
    Case("INSERT INTO w.item (id, name) VALUES (90, $a$;$a$); COMMIT", "several_statements"),
    Case(f"{INSERT}) SELECT 1; COMMIT; WITH q AS (SELECT 1", "syntax_error"),
    Case(f"{INSERT} RETURNING 1) SELECT 1, 2 FROM q; COMMIT --", "syntax_error"),
    Case("", "no_statement"),
    Case(f"{INSERT}\0; COMMIT", "invalid_sql"),
    Case("COMMIT"),
    Case("COMMIT AND CHAIN"),
    Case("ROLLBACK"),
    Case("SAVEPOINT s"),
    Case("PREPARE TRANSACTION 'evil'"),
    Case(f"PREPARE p AS {INSERT}"),
    Case("EXECUTE p"),
    Case("SET ROLE app_owner"),
    Case("SET LOCAL statement_timeout = 0"),
    Case("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
    Case("RESET ALL"),
    Case("DISCARD ALL"),
    Case("LISTEN gl_canary"),
    Case("NOTIFY gl_canary, 'x'"),
    Case(f"DO $$ BEGIN {INSERT}; COMMIT; END $$"),
    Case("CALL app.proc()"),
    Case("CALL app.quiet_proc()"),
    Case("COPY w.item TO PROGRAM 'touch {canary}'"),
    Case("COPY w.item FROM PROGRAM 'touch {canary}'"),
    Case("COPY (DELETE FROM w.item RETURNING *) TO '{canary}'"),
    Case("COPY w.item FROM STDIN"),
    Case("VACUUM w.item"),
    Case("ANALYZE w.item"),
    Case("CLUSTER w.item USING item_pkey"),
    Case("REINDEX TABLE w.item"),
    Case("CHECKPOINT"),
    Case("CREATE DATABASE evil"),
    Case("DROP DATABASE evil"),
    Case("ALTER SYSTEM SET work_mem = '1GB'"),
    Case("ALTER DATABASE postgres SET work_mem = '1GB'"),
    Case("CREATE TABLESPACE evil LOCATION '{folder}'"),
    Case("CREATE INDEX CONCURRENTLY ON w.item (name)"),
    Case("DROP INDEX CONCURRENTLY w.item_pkey"),
    Case("CREATE ROLE evil SUPERUSER"),
    Case("ALTER ROLE app_writer SUPERUSER"),
    Case("ALTER ROLE app_writer SET default_transaction_read_only = off"),
    Case("GRANT ALL ON w.item TO PUBLIC"),
    Case("GRANT app_owner TO app_writer"),
    Case("REVOKE ALL ON w.item FROM app_writer"),
    Case("ALTER TABLE w.item OWNER TO app_writer"),
    Case("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC"),
    Case("REASSIGN OWNED BY app_writer TO app_owner"),
    Case("DROP OWNED BY app_writer"),
    Case("CREATE EXTENSION hstore"),
    Case("CREATE LANGUAGE plpython3u"),
    Case("CREATE FUNCTION w.evil() RETURNS int LANGUAGE c AS 'evil', 'evil'"),
    Case("CREATE FUNCTION w.evil() RETURNS int LANGUAGE internal AS 'pg_backend_pid'"),
    Case("CREATE FUNCTION w.evil() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"),
    Case("ALTER FUNCTION app.write_note(text) SECURITY DEFINER"),
    Case("CREATE EVENT TRIGGER evil ON ddl_command_start EXECUTE FUNCTION w.committing()"),
    Case("CREATE RULE evil AS ON INSERT TO w.item DO INSTEAD DELETE FROM w.log"),
    Case("CREATE SERVER evil FOREIGN DATA WRAPPER postgres_fdw"),
    Case("CREATE SUBSCRIPTION evil CONNECTION 'port={port}' PUBLICATION p"),
    Case("CREATE SCHEMA evil CREATE TABLE t (a text) GRANT ALL ON t TO PUBLIC"),
    Case("CREATE SCHEMA evil AUTHORIZATION app_owner"),
    Case("CREATE TEMP TABLE evil (a text)"),
    Case("CREATE TABLE pg_temp.evil (a text)"),
    Case("LOAD 'auto_explain'"),
    Case("LOCK TABLE w.item"),
    Case("DECLARE c CURSOR WITH HOLD FOR SELECT 1"),
    Case("SELECT 1"),
    Case("TABLE w.item"),
    Case("WITH d AS (DELETE FROM w.item RETURNING *) SELECT count(*) FROM d"),
    Case("SELECT * INTO w.evil FROM w.item"),
    Case(f"EXPLAIN ANALYZE {INSERT}"),
    Case("UPDATE w.item SET name = app.write_note() WHERE id = 1"),
    Case("UPDATE w.item SET name = pg_sleep(60)::text WHERE id = 1"),
    Case("DELETE FROM w.item WHERE id = 1 RETURNING app.sd_write()"),
    Case("DELETE FROM w.item USING app.write_rows() r WHERE id = r"),
    Case("INSERT INTO w.log SELECT app.run('COMMIT')"),
    Case("INSERT INTO w.log VALUES (set_config('role', 'postgres', false))"),
    Case("INSERT INTO w.log VALUES (setval('app.seq1', 99)::text)"),
    Case("INSERT INTO w.log VALUES (pg_advisory_lock(1)::text)"),
    Case("INSERT INTO w.log VALUES (pg_notify('gl_canary', 'x')::text)"),
    Case("INSERT INTO w.log VALUES (lo_import('{secret}')::text)"),
    Case("INSERT INTO w.log VALUES (lo_create(0)::text)"),
    Case("INSERT INTO w.log SELECT pg_read_file('{secret}')"),
    Case("INSERT INTO w.log SELECT ('{secret}'::text).pg_read_file"),
    Case("INSERT INTO w.log SELECT U&\"pg_re\\0061d_file\"('{secret}')"),
    Case("INSERT INTO w.log SELECT query_to_xml('DELETE FROM w.item', true, true, '')::text"),
    Case("INSERT INTO w.log SELECT word FROM ts_stat('SELECT to_tsvector(name) FROM w.item')"),
    Case("INSERT INTO w.log SELECT pg_terminate_backend({bystander})::text"),
    Case("INSERT INTO w.log SELECT n::text FROM app.v_write"),
    Case("UPDATE w.item SET name = 'x' FROM app.v_notify v WHERE id = 1"),
    Case("WITH x AS (SELECT app.write_note()) DELETE FROM w.item WHERE id IN (SELECT 1 FROM x)"),
    Case("MERGE INTO w.item i USING (SELECT app.write_note() AS n) s ON i.id = s.n WHEN MATCHED THEN DELETE"),
    Case(f"{INSERT} ON CONFLICT (id) DO UPDATE SET name = app.write_note()::text"),
    Case("ALTER TABLE w.item ADD COLUMN x int DEFAULT app.write_note()"),
    Case("ALTER TABLE w.item ALTER COLUMN price TYPE int USING app.write_note()"),
    Case("CREATE INDEX ON w.item (app.write_note(name))"),
    Case("CREATE TABLE w.evil AS SELECT pg_read_file('{secret}') AS x"),
    Case("CREATE VIEW w.evil AS SELECT pg_sleep(9)"),
    Case("INSERT INTO w.log SELECT line FROM app.far_program"),
    Case("INSERT INTO w.log SELECT n::text FROM app.far_write"),
    Case("INSERT INTO w.log SELECT n::text FROM app.far_canary"),
    Case("INSERT INTO app.far_victim VALUES (90, 'evil')"),
    Case("CREATE TABLE w.evil AS EXECUTE p"),
    Case("INSERT INTO w.log SELECT rolpassword FROM pg_authid"),
    Case("INSERT INTO w.log SELECT rolpassword FROM app.v_hashes"),
    Case("UPDATE pg_catalog.pg_class SET relname = 'evil' WHERE relname = 'item'"),
    Case("DELETE FROM pg_proc WHERE proname = 'now'"),
    Case("INSERT INTO w.far VALUES (1)", "not_previewable"),
    Case("DELETE FROM w.root WHERE id = 1", "not_previewable"),
    Case("INSERT INTO w.defaults (id) VALUES (1)", "not_previewable"),
    Case("INSERT INTO w.ruled VALUES (1)", "not_previewable"),
    Case("UPDATE w.traps SET what = 'b' WHERE id = 1", "invalid_transaction_termination"),
    Case("DELETE FROM w.late WHERE id = 1", "invalid_transaction_termination"),
    Case("DELETE FROM w.item WHERE CURRENT OF q", "invalid_cursor_name|undefined_cursor"),
    Case("UPDATE w.item SET name = $1 WHERE id = 1", "wrong_parameters", ("'; COMMIT; --", "x")),
]
PREVIEWED = [
    Case("INSERT INTO w.item (id, name) VALUES (90, E'\\'); COMMIT; --')", ""),
    Case("INSERT INTO w.locks VALUES (1)", ""),
    Case("UPDATE w.item SET name = $1 WHERE id = $2", "", ("'; COMMIT; DROP TABLE w.item; --", "1")),
    Case("INSERT INTO w.item (id, name) VALUES (90, 'a;b') -- ; COMMIT", ""),
    Case(f'WITH "q" AS (SELECT 1) {INSERT} RETURNING *, (SELECT 1 FROM q)', ""),
    Case("UPDATE w.item AS gl_old SET name = 'o' WHERE gl_old.id = 1", ""),
    Case("WITH gl_new AS (SELECT 1 AS id) DELETE FROM w.item s USING gl_new WHERE s.id = gl_new.id", ""),
]


@pytest.fixture(scope="module", params=["system", "newest"])
def watch(request: pytest.FixtureRequest) -> Generator[Watch]:
    home: Home = request.getfixturevalue(f"{request.param}_home")
    with watching(home) as made:
        prepare(home, made.fill(SETUP))
        # What a rollback doesn't undo, done by a trigger.
        do(home, "GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint), pg_notify(text, text) TO app_writer")
        yield made


@pytest.mark.parametrize(
    ("role", "case"),
    [("postgres", case) for case in REFUSED + PREVIEWED] + [(WRITER, case) for case in PREVIEWED + REFUSED[::6]],
    ids=lambda value: value.sql[:50] if isinstance(value, Case) else str(value),
)
async def test_nothing_is_left_behind(watch: Watch, case: Case, role: str) -> None:
    before = watch.snapshot()
    async with writing(watch.home, role=role, allow_superuser=True, query_seconds=3) as w:
        try:
            answer = await w.preview(watch.fill(case.sql), case.params)
            code = ""
        except CallError as error:
            answer, code = str(error), error.code
        # The same connection serves the next call as if nothing had been.
        assert "change_token" in await w.preview("UPDATE w.item SET name = 'next' WHERE id = 2")
    assert not watch.changes(before)
    assert not leaks(answer)
    if case.says == "":
        assert code == "", answer
    else:
        # What a superuser may not do is refused; what a plain role may not, PostgreSQL can say as well.
        assert re.fullmatch(f"{case.says}|insufficient_privilege|undefined_\\w+", code), answer
        assert "change_token" not in answer


def test_there_are_enough_attacks() -> None:
    assert len({case.sql for case in REFUSED}) >= 100


async def test_what_the_person_allows_may_be_called_but_never_what_runs_texts(watch: Watch) -> None:
    async with writing(watch.home, allow_functions=["app.write_note", "*query_to_xml*", "w.reaching"]) as w:
        do(watch.home, "GRANT INSERT ON app.victim TO app_writer")
        assert "app.victim: 1 inserted" in await w.preview("UPDATE w.item SET price = app.write_note() WHERE id = 1")
        error = await w.refusal("INSERT INTO w.log SELECT query_to_xml('DELETE FROM w.item', true, true, '')::text")
        assert "runs a text as SQL" in error.message
        # Allowed, it runs, and fails by itself.
        assert (await w.refusal("INSERT INTO w.far VALUES (1)")).code != "not_previewable"


MASKS = ["w.item.secret", "*.people.ssn"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE w.item SET name = secret WHERE id = 1",
        "UPDATE w.item SET name = left(i.secret, 20) FROM w.item i WHERE item.id = 1",
        "UPDATE w.item SET price = 1 WHERE secret LIKE 'gl-%1'",
        "DELETE FROM w.item WHERE id = 1 RETURNING upper(secret)",
        "DELETE FROM w.item WHERE id = 1 RETURNING item",
        "INSERT INTO w.log SELECT secret FROM w.item",
        "INSERT INTO w.log SELECT i::text FROM w.item i",
        "INSERT INTO w.log SELECT z FROM w.item AS q(a, b, c, z)",
        "INSERT INTO w.item TABLE w.item",
        "INSERT INTO w.log (note) SELECT d.secret FROM (SELECT * FROM w.item) d",
        "WITH d AS (DELETE FROM w.item WHERE id = 1 RETURNING *) INSERT INTO w.log SELECT name FROM d",
        "INSERT INTO w.item (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = item.secret",
        "MERGE INTO w.item i USING w.item s ON i.id = 1 AND s.id = 1 WHEN MATCHED THEN UPDATE SET name = s.secret",
        "UPDATE w.item SET name = 'x' WHERE id = (SELECT id FROM w.item NATURAL JOIN w.item j LIMIT 1)",
        "CREATE TABLE w.evil AS SELECT secret FROM w.item",
        "CREATE TABLE w.evil AS SELECT * FROM w.item",
        "CREATE VIEW w.evil AS SELECT id FROM w.item",
        "ALTER TABLE w.item RENAME COLUMN secret TO name2",
        "ALTER TABLE w.item RENAME TO item2",
        "ALTER TABLE w.item SET SCHEMA app",
        "ALTER TABLE w.item INHERIT w.parent",
        "ALTER TABLE w.item ADD COLUMN x text GENERATED ALWAYS AS (secret) STORED",
        "CREATE FUNCTION w.evil() RETURNS text LANGUAGE sql AS 'SELECT secret FROM w.item'",
        "CREATE POLICY evil ON w.item USING (secret <> '')",
    ],
)
async def test_masked_columns_are_not_copied_asked_about_or_renamed(watch: Watch, sql: str) -> None:
    async with writing(watch.home, role="app_maker", mask_columns=MASKS) as w:
        error = await w.refusal(sql)
    assert error.code in ("masked_columns", "refused"), error
    assert not columns(str(error))


async def test_masked_columns_may_be_set_and_are_shown_as_masks(watch: Watch) -> None:
    home = watch.home
    before = ask(home, ITEMS)
    async with writing(home, role="app_maker", mask_columns=MASKS) as w:
        texts = [
            await w.preview("UPDATE w.item SET secret = 'new', price = 1 WHERE id = 1 RETURNING *"),
            await w.preview("DELETE FROM w.item WHERE id = 2 RETURNING id, secret"),
            await w.preview(
                "INSERT INTO w.item (id, name, secret) VALUES (1, 'n', 's') "
                "ON CONFLICT (id) DO UPDATE SET secret = excluded.secret"
            ),
        ]
        assert ask(home, ITEMS) == before
        done = await w.apply(texts[0])
        errors = [
            # PostgreSQL shows the failing row.
            await w.refusal("UPDATE w.item SET price = -1 WHERE id = 3"),
            await w.refusal("UPDATE w.item SET name = NULL WHERE id = 3"),
        ]
    assert all("masked" in text for text in texts)
    assert "[masked]" in done
    assert [error.code for error in errors] == ["check_violation", "not_null_violation"]
    assert not columns("".join([*texts, done, *map(str, errors)]))
    assert ask(home, "SELECT secret FROM w.item WHERE id = 1") == [("new",)]


async def test_closed_relations_are_neither_changed_nor_dropped_by_the_way(watch: Watch) -> None:
    async with writing(watch.home, role="app_maker", deny_relations=["w.log", "hr.*"]) as w:
        for sql in (
            "INSERT INTO w.log VALUES ('x')",
            "UPDATE w.item SET name = note FROM w.log WHERE id = 1",
            "DROP TABLE w.log",
            "DROP TABLE IF EXISTS w.item, w.log",
            "TRUNCATE w.log",
            "ALTER TABLE w.log RENAME TO log2",
            "COMMENT ON TABLE w.log IS 'x'",
            "DROP SCHEMA w CASCADE",
            "CREATE TABLE hr.evil (a text)",
            "CREATE INDEX ON w.log (note)",
        ):
            error = await w.refusal(sql)
            assert error.code == "refused", (sql, error)
            assert "deny_relations" in error.message
