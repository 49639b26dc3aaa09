"""A preview runs the change for real, tells what it does, and leaves nothing behind."""

from __future__ import annotations

import pytest

from tests.postgres.seed import Home
from tests.postgres.writing import ITEMS, MAKER, ask, do, prepare, token_of, writing

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=["system", "newest"])
def place(request: pytest.FixtureRequest) -> Home:
    return request.getfixturevalue(f"{request.param}_home")


async def test_an_update_shows_rows_before_and_after_and_changes_nothing(place: Home) -> None:
    prepare(place)
    before = ask(place, ITEMS)
    async with writing(place) as w:
        text = await w.preview("UPDATE w.item SET price = price + $1 WHERE id <= 3", ["1"])
    assert "UPDATE of 3 rows" in text
    assert '~ id="2": price "20" -> "21"' in text
    assert "table: w.item: 3 updated" in text
    assert "locks: w.item RowExclusive" in text
    assert len(token_of(text)) == 64
    assert ask(place, ITEMS) == before
    assert ask(place, "SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = 'w.item'::regclass") == [(0,)]  # fmt: skip


async def test_a_delete_shows_what_goes_and_an_insert_what_comes(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        gone = await w.preview("DELETE FROM w.item AS x USING (VALUES (2)) v(n) WHERE x.id = v.n; -- one")
        come = await w.preview("WITH v AS (SELECT 50 AS n) INSERT INTO w.item (id, name) SELECT n, 'new' FROM v")
    assert '- id="2", name="item 2"' in gone
    assert '+ id="50", name="new", price=NULL, secret=NULL' in come
    assert ask(place, "SELECT count(*) FROM w.item") == [(20,)]


async def test_an_upsert_tells_new_rows_from_changed_ones(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        text = await w.preview(
            "INSERT INTO w.item AS i (id, name) VALUES (1, 'one'), (50, 'fifty') "
            "ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING i.id, upper(i.name)"
        )
        nothing = await w.preview("INSERT INTO w.item (id, name) VALUES (1, 'one') ON CONFLICT DO NOTHING")
    assert "INSERT of 2 rows" in text
    assert '~ id="1": name "item 1" -> "one"' in text
    assert '+ id="50", name="fifty"' in text
    assert "w.item: 1 inserted, 1 updated" in text
    assert "INSERT of 0 rows" in nothing


async def test_a_merge_is_counted_and_from_17_on_shown(place: Home) -> None:
    prepare(place)
    sql = (
        "MERGE INTO w.item AS i USING (VALUES (1, 'm'), (2, ''), (60, 'n')) s(id, name) ON i.id = s.id "
        "WHEN MATCHED AND s.name = '' THEN DELETE WHEN MATCHED THEN UPDATE SET name = s.name "
        "WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)"
    )
    async with writing(place) as w:
        text = await w.preview(sql)
        assert "MERGE of 3 rows" in text
        assert "w.item: 1 inserted, 1 updated, 1 deleted" in text
        if place.bed.version >= 17:
            assert '~ id="1": name "item 1" -> "m"' in text
            assert '- id="2"' in text
            assert '+ id="60"' in text
        else:
            assert "no sample: MERGE tells its rows from PostgreSQL 17 on" in text
        assert "committed: MERGE of 3 rows" in await w.apply(text)
    assert ask(place, "SELECT count(*) FROM w.item") == [(20,)]


async def test_tables_without_a_key_and_changes_of_the_key_say_what_is_not_shown(place: Home) -> None:
    prepare(place, "CREATE TABLE w.loose (a int, b text); INSERT INTO w.loose VALUES (1, 'x'), (2, 'y'), (2, 'z')")
    async with writing(place) as w:
        loose = await w.preview("UPDATE w.loose SET b = 'q' WHERE a = 2")
        moved = await w.preview("UPDATE w.item SET id = id + 100 WHERE id = 1")
    assert "UPDATE of 2 rows" in loose
    if place.bed.version >= 18:
        assert 'b "z" -> "q"' in loose
        assert "~" in moved
    else:
        assert "what the rows were is not shown" in loose
        assert "what the rows were is not shown" in moved
    assert 'id="101"' in moved


async def test_a_change_in_the_with_counts_and_says_that_there_is_no_sample(place: Home) -> None:
    prepare(place, "CREATE TABLE w.log (note text)")
    async with writing(place) as w:
        text = await w.preview(
            "WITH d AS (DELETE FROM w.item WHERE id IN (1, 2) RETURNING name) INSERT INTO w.log SELECT name FROM d"
        )
        assert "INSERT of 2 rows" in text
        assert "table: w.item: 2 deleted" in text
        assert "table: w.log: 2 inserted" in text
        assert "no sample" in text
        assert "committed" in await w.apply(text)
    assert ask(place, "SELECT count(*) FROM w.item") == [(18,)]


async def test_rows_that_go_by_cascade_are_counted_in_their_tables(place: Home) -> None:
    prepare(
        place,
        "CREATE TABLE w.part (id int PRIMARY KEY, item int REFERENCES w.item ON DELETE CASCADE);"
        "INSERT INTO w.part SELECT g, 1 + g % 3 FROM generate_series(1, 9) g",
    )
    async with writing(place) as w:
        text = await w.preview("DELETE FROM w.item WHERE id <= 2")
    assert "table: w.item: 2 deleted" in text
    assert "table: w.part: 6 deleted" in text
    assert ask(place, "SELECT count(*) FROM w.part") == [(9,)]


async def test_triggers_that_run_are_named_and_what_they_change_is_counted(place: Home) -> None:
    prepare(
        place,
        """CREATE TABLE w.log (note text);
        CREATE FUNCTION w.note() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN INSERT INTO w.log VALUES (NEW.name); RAISE NOTICE 'noted %', NEW.id; RETURN NEW; END $$;
        CREATE TRIGGER noting AFTER UPDATE ON w.item FOR EACH ROW EXECUTE FUNCTION w.note();
        CREATE TRIGGER other AFTER DELETE ON w.item FOR EACH ROW EXECUTE FUNCTION w.note();
        GRANT INSERT ON w.log TO app_writer""",
    )
    async with writing(place) as w:
        text = await w.preview("UPDATE w.item SET name = 'x' WHERE id = 7")
    assert "triggers: noting on w.item calls w.note" in text
    assert "other" not in text
    assert "table: w.log: 1 inserted" in text
    assert "NOTICE: noted 7" in text
    assert ask(place, "SELECT count(*) FROM w.log") == [(0,)]


async def test_a_constraint_put_off_to_the_commit_fails_in_the_preview(place: Home) -> None:
    prepare(
        place,
        "CREATE TABLE w.part (id int PRIMARY KEY, item int REFERENCES w.item DEFERRABLE INITIALLY DEFERRED);"
        "INSERT INTO w.part VALUES (1, 1)",
    )
    async with writing(place) as w:
        error = await w.refusal("INSERT INTO w.part VALUES (2, 999)")
        assert error.code == "foreign_key_violation"
        assert not w.tokens._records  # pyright: ignore[reportPrivateUsage] - nobody else can tell that none was given
        assert (await w.refusal("UPDATE w.item SET price = -1 WHERE id = 1")).code == "check_violation"
        assert (await w.refusal("INSERT INTO w.item (id, name) VALUES (1, 'x')")).code == "unique_violation"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE w.item SET price = 0",
        "DELETE FROM w.item",
        "DELETE FROM w.item WHERE true",
        "DELETE FROM w.item WHERE 1 = 1",
        "DELETE FROM w.item WHERE NOT false",
        "DELETE FROM w.item WHERE now() > '2000-01-01'",
        "DELETE FROM w.item WHERE $1 = 'yes'",
        "DELETE FROM w.item WHERE id = id",
        "DELETE FROM w.item i WHERE i.id = i.id OR i.id = 3",
        "DELETE FROM w.item WHERE id = 3 OR true",
        "DELETE FROM w.item WHERE true AND 'a' LIKE '%'",
        "DELETE FROM w.item WHERE (SELECT true)",
        "DELETE FROM w.item WHERE EXISTS (SELECT 1)",
        "DELETE FROM w.item WHERE id IS NOT NULL",
        "DELETE FROM w.item WHERE id > -1",
        "UPDATE w.item SET price = 0 WHERE name LIKE '%'",
        "UPDATE w.item SET price = 0 WHERE id IN (SELECT id FROM w.item)",
        "UPDATE w.item SET price = 0 FROM w.item o WHERE o.id = item.id",
        "WITH d AS (DELETE FROM w.item RETURNING id) INSERT INTO w.log SELECT count(*) FROM d",
        "MERGE INTO w.item USING (VALUES (1)) v ON true WHEN MATCHED THEN DELETE",
    ],
)
async def test_every_row_of_a_table_changes_only_by_its_own_word(place: Home, sql: str) -> None:
    prepare(place, "CREATE TABLE w.log (n bigint)")
    params = ["yes"] if "$1" in sql else []
    async with writing(place) as w:
        assert (await w.refusal(sql, params)).code == "full_table"
        text = await w.preview(sql, params, allow_full_table=True)
    assert "change_token" in text
    assert ask(place, "SELECT count(*) FROM w.item WHERE price > 0") == [(20,)]


async def test_ordinary_changes_are_not_taken_for_whole_tables(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        for sql in (
            "DELETE FROM w.item WHERE id = 1",
            "DELETE FROM w.item WHERE id IN (SELECT g FROM generate_series(1, 3) g)",
            "UPDATE w.item SET price = 1 WHERE id = 1 AND true",
            "UPDATE w.item i SET price = v.p FROM (VALUES (1, 5)) v(id, p) WHERE v.id = i.id",
            "UPDATE w.item SET (name, price) = (SELECT 'x', 2) WHERE id BETWEEN 2 AND 4",
            "DELETE FROM w.item i WHERE EXISTS (SELECT 1 FROM w.item o WHERE o.id = i.id + 19)",
            "UPDATE ONLY w.item SET name = 'q' WHERE id = (SELECT min(id) FROM w.item)",
            "UPDATE w.item SET name = 'q' WHERE id IN (SELECT id FROM w.item WHERE id < 3 FOR UPDATE SKIP LOCKED)",
        ):
            assert "change_token" in await w.preview(sql), sql


async def test_definitions_tell_locks_rewrites_and_what_is_made_and_dropped(place: Home) -> None:
    prepare(place, "CREATE VIEW w.cheap AS SELECT id FROM w.item WHERE price < 5; ANALYZE w.item")
    before = ask(place, "SELECT relname, relfilenode FROM pg_class WHERE relnamespace = 'w'::regnamespace ORDER BY 1")
    async with writing(place, role=MAKER) as w:
        added = await w.preview("ALTER TABLE w.item ADD COLUMN note text")
        typed = await w.preview("ALTER TABLE w.item ALTER COLUMN name TYPE varchar(40), ALTER COLUMN secret TYPE bytea USING secret::bytea")  # fmt: skip
        index = await w.preview("CREATE INDEX item_name ON w.item (upper(name))")
        copied = await w.preview("CREATE TABLE w.copy AS SELECT * FROM w.item")
        emptied = await w.preview("TRUNCATE w.item")
        dropped = await w.preview("DROP TABLE w.item CASCADE")
        schema = await w.preview("DROP SCHEMA w CASCADE")
    assert "locks: w.item AccessExclusive" in added
    assert "rewritten" not in added
    assert "rewritten: w.item (" in typed
    assert "made: w.item_name" in index
    assert "w.item Share" in index
    assert "made: w.copy" in copied
    assert "table: w.copy: 20 inserted" in copied
    assert "TRUNCATE, which takes 20 rows away" in emptied
    assert "DROP, which takes 20 rows away" in dropped
    assert "dropped: w.item (about 20 rows), w.cheap" in dropped
    assert "w.item (about 20 rows)" in schema
    assert ask(place, "SELECT relname, relfilenode FROM pg_class WHERE relnamespace = 'w'::regnamespace ORDER BY 1") == before  # fmt: skip


async def test_a_preview_waits_two_seconds_for_a_lock_at_most(place: Home) -> None:
    prepare(place)
    async with writing(place, lock_seconds=50) as w:
        with place.admin() as other:
            other.execute("BEGIN")
            other.execute("UPDATE w.item SET price = 1 WHERE id = 1")
            error = await w.refusal("UPDATE w.item SET price = 2 WHERE id = 1")
            other.execute("ROLLBACK")
        assert error.code == "lock_not_available"
        assert "show_activity" in error.hint
        assert "change_token" in await w.preview("UPDATE w.item SET price = 2 WHERE id = 1")


async def test_sequences_that_advance_are_told(place: Home) -> None:
    prepare(place, "CREATE TABLE w.numbered (id int GENERATED ALWAYS AS IDENTITY, n int); GRANT USAGE ON ALL SEQUENCES IN SCHEMA w TO app_writer")  # fmt: skip
    async with writing(place) as w:
        assert "sequences advanced" in await w.preview("INSERT INTO w.numbered (n) VALUES (1)")
        assert "sequences" not in await w.preview("UPDATE w.item SET price = 3 WHERE id = 1")
        assert "change_token" in await w.preview("INSERT INTO w.item (id, name) VALUES (nextval('w.numbered_id_seq') + 30, 'n')")  # fmt: skip


async def test_large_changes_give_small_answers(place: Home) -> None:
    wide = ", ".join(f"c{number} text" for number in range(60))
    prepare(
        place,
        f"CREATE TABLE w.wide (id int PRIMARY KEY, {wide});"
        "INSERT INTO w.wide (id, c1) SELECT g, repeat('x', 100000) FROM generate_series(1, 200) g",
    )
    async with writing(place) as w:
        text = await w.preview("UPDATE w.wide SET c1 = c1 || 'y', c50 = 'set' WHERE id > 5 RETURNING *")
        everything = await w.preview("DELETE FROM w.wide WHERE id > 5")
        done = await w.apply(text)
    assert "UPDATE of 195 rows" in text
    assert "more columns are not shown" in text
    assert 'c50 NULL -> "set"' in text
    assert len(text) < 10_000
    assert len(everything) < 10_000
    assert "returned, shown 50 of 195" in done
    assert len(done) < 12_000


async def test_parameters_must_fit_and_mistakes_are_placed(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        assert (await w.refusal("UPDATE w.item SET price = $1 WHERE id = $2", ["1"])).code == "wrong_parameters"
        assert (
            await w.refusal(
                "CREATE TABLE w.x (a text)",
                ["1"],
            )
        ).code == "wrong_parameters"
        wrong = await w.refusal("UPDATE w.item SET pricee = 1 WHERE id = 1")
        assert wrong.code == "undefined_column"
        assert "at character 19" in wrong.message
        missing = await w.refusal("DELETE FROM w.itm WHERE id = 1")
        assert "Did you mean w.item" in missing.hint
        late = await w.refusal("UPDATE w.item SET price = 1 / (id - 1) WHERE id < 3")
        assert late.code == "division_by_zero"


async def test_views_are_changed_through_and_their_triggers_named(place: Home) -> None:
    prepare(place, "CREATE VIEW w.cheap AS SELECT id, name FROM w.item WHERE id < 5")
    async with writing(place) as w:
        text = await w.preview("UPDATE w.cheap SET name = 'v' WHERE id = 2")
        assert "UPDATE of 1 rows" in text
        assert "table: w.item: 1 updated" in text
        assert "committed" in await w.apply(text)
    assert ask(place, "SELECT name FROM w.item WHERE id = 2") == [("v",)]


async def test_partitions_are_changed_through_their_parent(place: Home) -> None:
    prepare(
        place,
        "CREATE TABLE w.p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
        "CREATE TABLE w.p1 PARTITION OF w.p FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE w.p2 PARTITION OF w.p FOR VALUES FROM (10) TO (20); INSERT INTO w.p VALUES (1, 'a'), (11, 'b'), (12, 'c')",
    )
    async with writing(place) as w:
        text = await w.preview("UPDATE w.p SET v = 'z' WHERE v IN ('a', 'b')")
    assert "UPDATE of 2 rows" in text
    assert 'v "a" -> "z"' in text
    assert "table: w.p1: 1 updated" in text


async def test_names_of_every_kind_are_quoted(place: Home) -> None:
    do(place, "GRANT ALL ON ALL TABLES IN SCHEMA app TO app_writer")
    async with writing(place) as w:
        text = await w.preview("""UPDATE app."we""ird.table %s" AS "a b""c" SET "se lect" = $1 WHERE "a b""c".id = 1""", ["ü"])  # fmt: skip
    assert '"s" -> "ü"' in text


async def test_the_answer_hides_nothing_of_who_and_where(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        text = await w.preview("UPDATE w.item SET price = 1 WHERE id = 1")
    assert f"on default ({place.db}) as app_writer" in text
    assert "previewed and rolled back" in text
