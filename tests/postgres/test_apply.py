"""What was previewed is applied once, for the caller who previewed it, and only if it still does the same."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from gatelodge_core.auth.principal import Principal
from gatelodge_core.errors import CallError
from gatelodge_postgres.server import declarations
from gatelodge_postgres.settings import PostgresSettings
from psycopg.conninfo import conninfo_to_dict

from tests.postgres.beds import Bouncer
from tests.postgres.cutting import Where, cutting
from tests.postgres.seed import Home
from tests.postgres.writing import ITEMS, MAKER, ask, do, prepare, settings_of, token_of, writing

pytestmark = pytest.mark.anyio
UPDATE = "UPDATE w.item SET price = 0 WHERE id <= 3"


@pytest.fixture(scope="module", params=["system", "newest"])
def place(request: pytest.FixtureRequest) -> Home:
    return request.getfixturevalue(f"{request.param}_home")


async def test_a_change_is_made_with_its_transaction_and_place_in_the_log(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        text = await w.apply(await w.preview("UPDATE w.item SET price = $1 WHERE id = 2 RETURNING id, price", ["7"]))
    ((xid, status),) = ask(place, "SELECT xmin::text, pg_xact_status(xmin::text::xid8) FROM w.item WHERE id = 2")
    assert text.startswith(f"committed: UPDATE of 1 rows on default ({place.db}) as app_writer")
    assert f"transaction {xid}, WAL up to " in text
    assert status == "committed"
    assert text.endswith("id,price\n2,7")
    assert ask(place, "SELECT price::text FROM w.item WHERE id = 2") == [("7",)]


async def test_rows_that_somebody_changed_in_between_roll_it_back(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        token = await w.preview(UPDATE)
        do(place, "DELETE FROM w.item WHERE id = 3")
        before = ask(place, ITEMS)
        error = await w.declined(token)
        assert error.code == "changed_since_preview"
        assert "the preview changed 3 rows, and now it would be 2" in error.message
        assert "nothing was changed" in error.message
        assert ask(place, ITEMS) == before
        assert (await w.declined(token)).code == "token_used"
        assert "UPDATE of 2 rows" in await w.apply(await w.preview(UPDATE))


async def test_rows_of_other_tables_roll_it_back_too(place: Home) -> None:
    prepare(
        place,
        "CREATE TABLE w.part (id int PRIMARY KEY, item int REFERENCES w.item ON DELETE CASCADE);"
        "INSERT INTO w.part VALUES (1, 1)",
    )
    async with writing(place) as w:
        token = await w.preview("DELETE FROM w.item WHERE id = 1")
        do(place, "INSERT INTO w.part SELECT g, 1 FROM generate_series(2, 9) g")
        error = await w.declined(token)
    assert "in w.part it was 1 deleted, and now it would be 9 deleted" in error.message
    assert ask(place, "SELECT count(*) FROM w.part") == [(9,)]


async def test_a_trigger_made_in_between_rolls_it_back(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        token = await w.preview(UPDATE)
        do(place, "CREATE FUNCTION w.quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
        do(place, "CREATE TRIGGER quiet BEFORE UPDATE ON w.item FOR EACH ROW EXECUTE FUNCTION w.quiet()")
        assert "other triggers run now" in (await w.declined(token)).message
    assert ask(place, "SELECT count(*) FROM w.item WHERE price = 0") == [(0,)]


async def test_a_row_that_another_transaction_holds_and_then_changes_rolls_it_back(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        token = await w.preview("UPDATE w.item SET price = 1 WHERE price <= 30 AND price > 0")
        with place.admin() as other:
            other.execute("BEGIN")
            other.execute("UPDATE w.item SET price = 500 WHERE id = 2")
            applying = asyncio.create_task(w.declined(token))
            await waiting_for_a_lock(place)
            other.execute("COMMIT")
            error = await applying
    assert "changed 3 rows, and now it would be 2" in error.message
    assert ask(place, "SELECT price::int FROM w.item WHERE id <= 3 ORDER BY id") == [(10,), (500,), (30,)]


async def waiting_for_a_lock(place: Home) -> None:
    """Until somebody in the database waits for another's lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while ask(place, query) == [(0,)]:  # noqa: ASYNC110 - only the server knows
        await asyncio.sleep(0)


async def test_many_changes_at_once_are_each_made_once(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        tokens = [await w.preview("UPDATE w.item SET price = price + 1 WHERE id = $1", [str(n)]) for n in range(1, 17)]
        done = await asyncio.gather(*(w.apply(token) for token in tokens))
        assert all(text.startswith("committed") for text in done)
        again = await asyncio.gather(*(w.declined(token) for token in tokens))
        assert {error.code for error in again} == {"token_used"}
    assert ask(place, "SELECT sum(price)::int FROM w.item") == [(2116,)]


async def test_one_token_sent_twice_at_once_changes_once(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        token = await w.preview("UPDATE w.item SET price = price + 1 WHERE id = 1")
        results = await asyncio.gather(*(w.apply(token) for _ in range(5)), return_exceptions=True)
    assert [isinstance(result, str) for result in results].count(True) == 1
    assert ask(place, "SELECT price::int FROM w.item WHERE id = 1") == [(11,)]


async def test_a_token_is_its_callers_alone(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        token = await w.preview(UPDATE)
        for other in (Principal("os-user", "1001"), Principal("oauth", "1000"), Principal("", "")):
            assert (await w.declined(token, by=other)).code == "wrong_caller"
        # Whoever tried has not spent it.
        assert "committed" in await w.apply(token)


async def test_a_token_that_was_altered_or_made_up_is_unknown(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        token = token_of(await w.preview(UPDATE))
        for wrong in (token[:-1], token + "b", token[::-1], token.upper(), token[:-1] + ("b" if token[-1] != "b" else "c"), "x", "ü" * 64, "\ud800"):  # fmt: skip
            assert (await w.declined(wrong)).code == "unknown_token"
    assert ask(place, "SELECT count(*) FROM w.item WHERE price = 0") == [(0,)]


async def test_a_token_is_good_for_ten_minutes_and_the_oldest_go_first(place: Home) -> None:
    prepare(place)
    now = [1000.0]
    async with writing(place) as w:
        w.tokens.clock = lambda: now[0]
        token = await w.preview(UPDATE)
        now[0] += 599
        fresh = await w.preview(UPDATE)
        now[0] += 1
        assert (await w.declined(token)).code == "token_expired"
        assert "committed" in await w.apply(fresh)
        first = await w.preview(UPDATE)
        others = await w.preview(UPDATE, by=Principal("os-user", "2"))
        for _ in range(16):
            await w.preview(UPDATE)
        assert (await w.declined(first)).code == "unknown_token"
        # Nobody pushes out what somebody else was given.
        assert "committed" in await w.apply(others, by=Principal("os-user", "2"))


async def test_a_token_is_for_its_database(place: Home) -> None:
    prepare(place)
    urls = {"url": place.url(), "write_url": place.url("app_writer")}
    async with writing(place, url="", write_url="", databases={"one": urls, "two": urls}) as w:
        token = await w.preview(UPDATE, connection="one")
        assert (await w.declined(token, connection="two")).code == "wrong_connection"
        assert "committed: UPDATE of 3 rows on one" in await w.apply(token)
        token = await w.preview(UPDATE, connection="two")
        assert "committed" in await w.apply(token, connection="two")


async def test_definitions_are_applied_and_known_at_once(place: Home) -> None:
    prepare(place)
    async with writing(place, role=MAKER) as w:
        source = w.sources.pick()
        with pytest.raises(CallError):
            await source.reader.query("SELECT extra FROM w.item", [], rows=1, size=1000)
        text = await w.apply(await w.preview("ALTER TABLE w.item ADD COLUMN extra text DEFAULT 'here'"))
        assert text.startswith("committed: ALTER")
        answer = await source.reader.query("SELECT extra FROM w.item LIMIT 1", [], rows=1, size=1000)
        assert answer.rows.rows == [["here"]]
        made = await w.preview("CREATE TABLE w.fresh AS SELECT id FROM w.item WHERE id < 4")
        assert "committed" in await w.apply(made)
        token = await w.preview("DROP TABLE w.fresh")
        do(place, "INSERT INTO w.fresh VALUES (99)")
        assert "changed 3 rows, and now it would be 4" in (await w.declined(token)).message
        token = await w.preview("TRUNCATE w.fresh")
        assert "takes 4 rows away" in token
        assert "committed" in await w.apply(token)
    assert ask(place, "SELECT count(*) FROM w.fresh") == [(0,)]


async def test_the_full_table_word_holds_for_the_application_too(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        token = await w.preview("DELETE FROM w.item WHERE id < 11")
        # Now the same condition would empty the table, by as many rows.
        do(place, "DELETE FROM w.item WHERE id > 10")
        assert (await w.declined(token)).code == "full_table"
        done = await w.apply(await w.preview("DELETE FROM w.item", allow_full_table=True))
    assert done.startswith("committed: DELETE of 10 rows")


async def test_a_call_that_is_cancelled_leaves_nothing_half_done(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        token = await w.preview("UPDATE w.item SET price = 1 WHERE id = 2")
        with place.admin() as other:
            other.execute("BEGIN")
            other.execute("SELECT FROM w.item WHERE id = 2 FOR UPDATE")
            applying = asyncio.create_task(w.apply(token))
            await waiting_for_a_lock(place)
            applying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await applying
            other.execute("COMMIT")
        assert ask(place, "SELECT price::int FROM w.item WHERE id = 2") == [(20,)]
        assert "committed" in await w.apply(await w.preview("UPDATE w.item SET price = 1 WHERE id = 2"))


async def test_a_connection_lost_after_the_commit_is_asked_about_and_nothing_is_repeated(place: Home) -> None:
    prepare(place)
    async with cutting(place) as cutter, writing(place, write_url=cutter.url("app_writer")) as w:
        token = await w.preview("UPDATE w.item SET price = price + 1 WHERE id = 1")
        cutter.at = "after"
        text = await w.apply(token)
    assert "the server says that the transaction was committed" in text
    assert ask(place, "SELECT price::int FROM w.item WHERE id = 1") == [(11,)]


async def test_a_connection_lost_before_the_commit_changes_nothing_and_says_so(place: Home) -> None:
    prepare(place)
    async with cutting(place) as cutter, writing(place, write_url=cutter.url("app_writer")) as w:
        token = await w.preview("UPDATE w.item SET price = price + 1 WHERE id = 1")
        cutter.at = "before"
        error = await w.declined(token)
        assert (error.code, "nothing was changed" in error.message) == ("rolled_back", True)
        assert ask(place, "SELECT price::int FROM w.item WHERE id = 1") == [(10,)]
        assert (await w.declined(token)).code == "token_used"


@pytest.mark.parametrize("where", ["before", "after"])
async def test_an_outcome_that_cannot_be_asked_is_unknown(place: Home, where: Where) -> None:
    prepare(place)
    async with cutting(place) as cutter, writing(place, write_url=cutter.url("app_writer"), connect_seconds=2) as w:
        token = await w.preview("UPDATE w.item SET price = price + 1 WHERE id = 1")
        cutter.at, cutter.for_good = where, True
        error = await w.declined(token)
        assert error.code == "unknown_outcome"
        assert "before anything is repeated" in error.hint
        assert (await w.declined(token)).code == "token_used"
    assert ask(place, "SELECT price::int FROM w.item WHERE id = 1") == [(11 if where == "after" else 10,)]


async def test_without_its_switch_there_are_no_tools_and_without_a_role_a_clear_error(place: Home) -> None:
    def offered(**given: object) -> set[str]:
        return set(declarations(PostgresSettings.model_validate({"url": place.url(), **given})).tools)

    both = {"preview_change", "apply_change"}
    assert not both & offered(tools=["core", "write"], write_url=place.url("app_writer"))
    assert not both & offered(allow_write=True, read_only=True)
    assert both <= offered(allow_write=True)
    async with writing(place, write_url="") as w:
        error = await w.refusal(UPDATE)
        assert error.code == "not_writable"
        assert "GATELODGE_POSTGRES_WRITE_URL" in error.hint


async def test_a_role_that_cannot_write_or_can_do_everything_is_no_role_for_changes(place: Home) -> None:
    prepare(place)
    async with writing(place, role="gatelodge_ro") as w:
        assert (await w.refusal(UPDATE)).code == "not_writable"
    async with writing(place, role="postgres") as w:
        assert (await w.refusal(UPDATE)).code == "superuser_refused"
    async with writing(place, role="postgres", allow_superuser=True) as w:
        assert "change_token" in await w.preview(UPDATE)
        # Who may do everything calls only what the person allows.
        assert (await w.refusal("UPDATE w.item SET price = app.liar_of(id) WHERE id = 1")).code == "refused"
    async with writing(place, role="tenant1") as w:
        assert (await w.refusal(UPDATE)).code == "insufficient_privilege"


async def test_the_pool_that_reads_never_has_the_rights_to_write(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        await w.apply(await w.preview(UPDATE))
        source = w.sources.pick()
        who = "SELECT current_user::text, current_setting('transaction_read_only'), has_table_privilege('w.item', 'UPDATE')::text"  # fmt: skip
        answer = await source.reader.query(who, [], rows=1, size=1000)
        assert answer.rows.rows == [["gatelodge_ro", "on", "false"]]
        with pytest.raises(CallError, match="is no query"):
            await source.reader.query(UPDATE, [], rows=1, size=1000)


@pytest.mark.parametrize(
    ("profile", "dml", "ddl"), [("dml", True, False), ("ddl", False, True), ("all", True, True)]
)  # fmt: skip
async def test_the_profile_says_what_may_change(place: Home, profile: str, dml: bool, ddl: bool) -> None:
    prepare(place)
    async with writing(place, role=MAKER, write_profile=profile) as w:
        for allowed, sql in ((dml, UPDATE), (ddl, "ALTER TABLE w.item ADD COLUMN x text"), (ddl, "TRUNCATE w.item")):
            if allowed:
                assert "change_token" in await w.preview(sql)
            else:
                assert "write_profile" in (await w.refusal(sql)).message


async def test_a_change_of_no_rows_is_applied_without_a_transaction_number(place: Home) -> None:
    prepare(place)
    async with writing(place) as w:
        text = await w.apply(await w.preview("UPDATE w.item SET price = 0 WHERE id = 999"))
    assert "UPDATE of 0 rows" in text
    assert "nothing was written" in text


def test_settings_keep_the_two_roles_apart(place: Home) -> None:
    settings = settings_of(place)
    (given,) = settings.all_databases().values()
    assert conninfo_to_dict(given.url.get_secret_value())["user"] == "gatelodge_ro"
    assert conninfo_to_dict(given.write_url.get_secret_value())["user"] == "app_writer"


async def test_it_works_through_a_pooler_that_shares_sessions(system_home: Home, bouncer: Bouncer) -> None:
    prepare(system_home)
    url = bouncer.url(system_home.db)
    async with writing(system_home, url=url, write_url=url, allow_superuser=True) as w:
        token = await w.preview("DELETE FROM w.item WHERE id <= 5")
        assert "w.item: 5 deleted" in token
        do(system_home, "DELETE FROM w.item WHERE id = 5")
        assert (await w.declined(token)).code == "changed_since_preview"
        done = await w.apply(await w.preview("DELETE FROM w.item WHERE id <= 4"))
    assert "transaction " in done
    assert ask(system_home, "SELECT count(*) FROM w.item") == [(15,)]


async def test_what_the_statement_returns_comes_with_the_application(place: Home) -> None:
    prepare(place)
    cases = {
        "DELETE FROM w.item WHERE id < 3 RETURNING *, id AS id, price * 2 -- twice": "id,name,price,secret,id,?column?",
        "WITH v AS (SELECT 9 AS n) UPDATE w.item SET name = 'r' FROM v WHERE id = n RETURNING (SELECT 'sub' FROM v), n": "sub,9",
    }
    if place.bed.version >= 18:
        cases |= {
            "UPDATE w.item SET price = 1 WHERE id = 5 RETURNING old.price, new.price": "50,1",
            "MERGE INTO w.item USING (VALUES (70)) s(n) ON id = n WHEN NOT MATCHED THEN INSERT (id, name) "
            "VALUES (n, 'm') RETURNING merge_action(), s.n, item.id": "INSERT,70,70",
        }
    async with writing(place) as w:
        for sql, part in cases.items():
            preview = await w.preview(sql)
            done = await w.apply(preview)
            assert part in done, done
            assert f"returned, shown {2 if 'id < 3' in sql else 1} of" in done
