"""What a change does to relations that nothing may tell of: the model isn't told, the person is."""

from __future__ import annotations

import re
from typing import Any

import pytest
from gatelodge_postgres.changing.shown import effect_text

from tests.postgres.seed import Home
from tests.postgres.writing import ME, do, prepare, token_of, writing

pytestmark = pytest.mark.anyio

SETUP = """
CREATE TABLE w.zqlog (note text);
CREATE TABLE w.zqkid (id int PRIMARY KEY, item int CONSTRAINT zqkid_to_item REFERENCES w.item ON DELETE CASCADE);
CREATE TABLE w.zqfirm (id int PRIMARY KEY, item int CONSTRAINT zqfirm_to_item REFERENCES w.item);
INSERT INTO w.zqkid VALUES (1, 1), (2, 2); INSERT INTO w.zqfirm VALUES (1, 3);
CREATE FUNCTION w.noting() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
  $$ BEGIN INSERT INTO w.zqlog VALUES ('x'); RAISE NOTICE 'written to zqlog'; RETURN NEW; END $$;
CREATE TRIGGER noted AFTER UPDATE ON w.item FOR EACH ROW EXECUTE FUNCTION w.noting();
CREATE TRIGGER zqguard AFTER DELETE ON w.zqkid FOR EACH ROW EXECUTE FUNCTION w.noting();
CREATE TABLE w.split (id int, note text) PARTITION BY RANGE (id);
CREATE TABLE w.zqpart PARTITION OF w.split FOR VALUES FROM (0) TO (10);
CREATE VIEW w.over AS SELECT id FROM w.zqkid;
CREATE TABLE w.other (id int);
CREATE VIEW w.zqboth AS SELECT o.id FROM w.other o JOIN w.zqkid USING (id);
"""
CANARY = re.compile("|".join(sorted(set(re.findall(r"zq[a-z]+", SETUP)))), re.IGNORECASE)
"""Names of what is closed; zq alone stands in many a random token, too."""
DENIED = ["w.zqlog", "w.zqkid", "w.zqfirm"]
NOT_ALLOWED = {"allow_relations": ["w.item", "w.other"]}


@pytest.fixture(scope="module")
def place(system_home: Home) -> Home:
    prepare(system_home, SETUP)
    return system_home


@pytest.fixture(params=[{"deny_relations": DENIED}, NOT_ALLOWED], ids=["denied", "not allowed"])
def rules(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


CHANGES = (
    ("UPDATE w.item SET name = 'new' WHERE id = 5", "w.zqlog"),
    ("DELETE FROM w.item WHERE id = 1", "w.zqkid"),
)


@pytest.mark.parametrize(("sql", "touched"), CHANGES)
async def test_a_preview_tells_the_person_alone_of_closed_relations(
    place: Home, rules: dict[str, Any], sql: str, touched: str
) -> None:
    async with writing(place, **rules) as w:
        answer = await w.preview(sql)
        assert CANARY.search(answer) is None, answer
        assert "it also acts on relations that are not told of here" in answer
        assert f"table: {touched}" in effect_text(w.tokens.look(token_of(answer), str(ME)))
        assert f"{sql.split(maxsplit=1)[0]} of 1 rows" in answer


@pytest.mark.parametrize(("sql", "touched"), CHANGES)
async def test_without_rules_a_preview_tells_all(place: Home, sql: str, touched: str) -> None:
    async with writing(place) as w:
        assert f"table: {touched}" in await w.preview(sql)


async def test_what_was_applied_tells_of_no_closed_relation(place: Home, rules: dict[str, Any]) -> None:
    async with writing(place, **rules) as w:
        done = await w.apply(await w.preview("UPDATE w.item SET name = 'once' WHERE id = 6"))
        assert done.startswith("committed")
        assert CANARY.search(done) is None, done


async def test_a_change_that_became_another_one_tells_of_no_closed_relation(place: Home, rules: dict[str, Any]) -> None:
    async with writing(place, **rules) as w:
        previewed = await w.preview("DELETE FROM w.item WHERE id = 2")
        do(place, "INSERT INTO w.zqkid SELECT 10 + g, 2 FROM generate_series(1, 3) g")
        try:
            error = await w.declined(previewed)
        finally:
            do(place, "DELETE FROM w.zqkid WHERE id > 10")
        assert error.code == "changed_since_preview"
        assert CANARY.search(str(error)) is None, error


async def test_an_error_of_the_server_tells_of_no_closed_relation(place: Home, rules: dict[str, Any]) -> None:
    sql = "DELETE FROM w.item WHERE id = 3"
    async with writing(place) as w:
        assert "zqfirm" in str(await w.refusal(sql))
    async with writing(place, **rules) as w:
        error = await w.refusal(sql)
        assert error.code == "foreign_key_violation"
        assert CANARY.search(f"{error.message} {error.hint}") is None, error


async def test_a_definition_reaches_nothing_that_shares_rows_with_a_denied_relation(place: Home) -> None:
    async with writing(place, role="app_maker", deny_relations=["w.zqpart", "w.zqkid"]) as w:
        for sql in ("DROP TABLE w.other CASCADE", "ALTER TABLE w.split ADD extra int"):
            error = await w.refusal(sql)
            assert error.code == "refused", (sql, error)
            assert CANARY.search(f"{error.message} {error.hint}") is None, error
