"""What policies are told a call acts on, by whatever name; and what the person is shown of a change."""

from __future__ import annotations

from typing import Any, cast

import pytest
from gatelodge_core.auth.principal import Principal
from gatelodge_core.effects import DESTROY, READ, Nature, Rule
from gatelodge_core.guard.call import Call, Channel, Kind
from gatelodge_core.guard.policy import Policy, PolicyRule
from gatelodge_postgres.settings import DatabaseSettings
from gatelodge_postgres.subjects import effect, subjects

from tests.postgres.seed import Home
from tests.postgres.writing import ME, Writing, prepare, token_of, writing

pytestmark = pytest.mark.anyio


def call(name: str, kind: Kind = "tool", by: Principal = ME, **arguments: Any) -> Call:
    nature = Nature(DESTROY if name == "apply_change" else READ)
    channel = cast("Channel", None)  # nobody is asked here
    return Call(kind, name, arguments, nature, "postgres:read", by, "memory", "2026-07-28", 1, {}, channel, name)


async def names(w: Writing, name: str, kind: Kind = "tool", **arguments: Any) -> list[str]:
    found = await subjects(w.sources, call(name, kind, **arguments))
    return [subject.name + ("/**" if subject.tree else "") for subject in found]


@pytest.fixture(scope="module")
def place(system_home: Home) -> Home:
    prepare(system_home, 'CREATE VIEW w.cheap AS SELECT id FROM w.item; CREATE TABLE w."a/b" (id int); CREATE TABLE w.log (note text)')  # fmt: skip
    return system_home


ITEM = "default/w.item"


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("run_query", {"sql": "SELECT * FROM w.item"}, [ITEM]),
        ("run_query", {"sql": "SELECT 1"}, ["default"]),
        ("run_query", {"sql": 'TABLE "w" . "item"'}, [ITEM]),
        ("run_query", {"sql": 'SELECT * FROM U&"\\0077".item'}, [ITEM]),
        ("run_query", {"sql": "WITH item AS (SELECT 1) SELECT * FROM item, w.cheap"}, ["default/w.cheap", ITEM]),
        ("run_query", {"sql": "SELECT (SELECT max(id) FROM w.item)"}, [ITEM]),
        ("run_query", {"sql": "SELECT * FROM victim"}, ["default/app.victim"]),
        ("run_query", {"sql": 'SELECT * FROM w."a/b"'}, ["default/w.a%2Fb"]),
        ("run_query", {"sql": "SELECT FROM WHERE"}, ["default/**"]),
        ("run_query", {"sql": "SELECT 1; SELECT * FROM w.item"}, ["default/**"]),
        ("explain_query", {"sql": "SELECT * FROM w.item", "analyze": True}, [ITEM]),
        ("preview_change", {"sql": "DELETE FROM w.item WHERE id = 1"}, [ITEM]),
        ("preview_change", {"sql": "WITH d AS (DELETE FROM w.item RETURNING *) INSERT INTO w.log SELECT 1"}, [ITEM, "default/w.log"]),
        ("preview_change", {"sql": "DROP TABLE w.item"}, [ITEM]),
        ("preview_change", {"sql": "COMMENT ON COLUMN w.item.id IS 'x'"}, [ITEM]),
        ("preview_change", {"sql": "CREATE TABLE w.fresh (a text)"}, ["default/w.fresh", "default/**"]),
        ("preview_change", {"sql": "DROP SCHEMA w CASCADE"}, ["default/**"]),
        ("search_schema", {"start": "w.item", "goal": "app.victim"}, ["default/app.victim", ITEM]),
        ("profile_table", {"table": "w.item"}, [ITEM]),
        ("describe_objects", {"names": ["w.item", "cheap"]}, ["default/w.cheap", ITEM]),
        ("generate_types", {"tables": ["w.item", "w.*"]}, ["default/w.*", ITEM, "default/**"]),
        ("recommend_indexes", {"queries": ["SELECT * FROM w.item", "SELECT * FROM w.log"]}, [ITEM, "default/w.log"]),
        ("list_objects", {}, ["default/**"]),
        ("show_activity", {}, ["default"]),
    ],
)  # fmt: skip
async def test_a_tool_acts_on_the_relations_it_names(place: Home, name: str, arguments: dict[str, Any], expected: list[str]) -> None:  # fmt: skip
    async with writing(place) as w:
        assert await names(w, name, **arguments) == expected


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("pg://default/w/item", [ITEM]),
        ("pg://default/w/item/sample", [ITEM]),
        ("pg://default/w/cheap", ["default/w.cheap", ITEM]),
        ("pg://default/%77/%69tem", [ITEM]),
        ("pg://default/w", ["default/**"]),
        ("pg://default", ["default/**"]),
        ("pg://default/health", ["default"]),
        ("pg://default/%68ealth", ["default/**"]),
        ("pg://nowhere/w/item", ["nowhere"]),
    ],
)
async def test_a_resource_acts_on_its_relation(place: Home, uri: str, expected: list[str]) -> None:
    async with writing(place) as w:
        assert await names(w, uri, "resource") == expected


async def test_a_rule_on_a_table_holds_through_views_and_for_calls_on_everything(place: Home) -> None:
    policy = Policy((PolicyRule(Rule.DENY, subject="default/w.item"), PolicyRule(Rule.CONFIRM, subject="*.log")))
    denied: list[tuple[str, dict[str, Any]]] = [
        ("run_query", {"sql": "SELECT * FROM w.cheap"}),
        ("list_objects", {}),
        ("preview_change", {"sql": "TRUNCATE w.item"}),
    ]
    async with writing(place) as w:

        async def verdict(name: str, **arguments: Any) -> Rule:
            given = call(name, **arguments)
            found = await subjects(w.sources, given)
            return policy.judge(
                server="postgres", tool=name, effect=READ, principal="me", subjects=found, default=Rule.ALLOW
            ).rule

        for name, arguments in denied:
            assert await verdict(name, **arguments) is Rule.DENY
        assert await verdict("run_query", sql="SELECT * FROM w.log") is Rule.CONFIRM
        assert await verdict("run_query", sql="SELECT * FROM app.victim") is Rule.ALLOW


async def test_several_databases_are_told_apart(place: Home) -> None:
    one = DatabaseSettings.model_validate({"url": place.url()})
    async with writing(place, url="", write_url="", databases={"one": one, "two": one}) as w:
        assert await names(w, "run_query", sql="TABLE w.item", connection="two") == ["two/w.item"]
        assert await names(w, "run_query", sql="TABLE w.item") == ["one/**", "two/**"]
        assert await names(w, "compare_schemas", left="one", right="two") == ["one/**", "two/**"]


async def test_an_unreachable_database_could_be_about_anything(place: Home) -> None:
    async with writing(place, url="postgresql://x@127.0.0.1:1/x", connect_seconds=1) as w:
        assert await names(w, "run_query", sql="TABLE w.item") == ["default/**"]


async def test_the_person_sees_numbers_statement_parameters_and_rows(place: Home) -> None:
    async with writing(place) as w:
        sql = "UPDATE w.item SET price = price + $1 WHERE id <= $2"
        token = token_of(await w.preview(sql, ["5", "2"]))
        shown = await effect(w.sources, call("apply_change", change_token=token))
        for part in (
            f"UPDATE of 2 rows on database default ({place.db}) as app_writer", "table: w.item: 2 updated",
            "locks: w.item RowExclusive", sql, '$1 = "5"', '$2 = "2"', '~ id="1": price "10" -> "15"',
        ):  # fmt: skip
            assert part in shown
        assert token not in shown
        assert await names(w, "apply_change", change_token=token) == [ITEM]
        # Looking has not spent it.
        everything = token_of(await w.preview("DELETE FROM w.item", allow_full_table=True))
        assert "every row" in await effect(w.sources, call("apply_change", change_token=everything))
        assert "committed" in await w.apply(token)


async def test_a_token_that_is_nobodys_shows_that_nothing_would_be_done(place: Home) -> None:
    async with writing(place) as w:
        token = token_of(await w.preview("UPDATE w.item SET price = 1 WHERE id = 1"))
        other = call("apply_change", by=Principal("os-user", "2"), change_token=token)
        assert "nothing would be done" in await effect(w.sources, other)
        assert "nothing would be done" in await effect(w.sources, call("apply_change", change_token="x"))
        assert "nothing would be done" in await effect(w.sources, call("apply_change"))
        assert await subjects(w.sources, other) == []
        assert "run_query" in await effect(w.sources, call("run_query", sql="SELECT 1"))


async def test_a_long_statement_is_shown_whole_with_its_numbers_first(place: Home) -> None:
    async with writing(place) as w:
        sql = f"UPDATE w.item SET name = '{'x' * 30_000}' WHERE id = 1 -- end"
        shown = await effect(w.sources, call("apply_change", change_token=token_of(await w.preview(sql, ["p"] * 0))))
    assert shown.startswith("UPDATE of 1 rows")
    assert sql in shown
    assert len(shown) < 32_000
