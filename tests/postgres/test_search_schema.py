"""Searching a schema by words, and ways between tables."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from tests.postgres.bed import Bed
from tests.postgres.seed import Home
from tests.postgres.support import Called, server

MANY = 2000


@pytest.fixture(params=["system", "newest"])
def any_home(request: pytest.FixtureRequest) -> Home:
    return request.getfixturevalue(f"{request.param}_home")


@pytest.fixture(scope="module", params=["system", "newest"])
def web(request: pytest.FixtureRequest) -> Generator[str]:
    """The URL of a database with 2,000 tables and keys of every kind between some of them."""
    bed: Bed = request.getfixturevalue(f"{request.param}_bed")
    db = bed.create("searched", "template0")
    with bed.admin(db) as admin:
        filling = (
            f"DO $$ BEGIN FOR n IN 1..{MANY} LOOP EXECUTE format('CREATE TABLE filler_%s (id int PRIMARY KEY, "
            "warehouse_code text, a1 int, a2 int, a3 int, a4 text, a5 text, a6 date, up int)', n); "
            "IF n > 1 THEN EXECUTE format('ALTER TABLE filler_%s ADD FOREIGN KEY (up) REFERENCES filler_%s', n, n / 2); "
            "END IF; END LOOP; END $$"
        )
        admin.execute(filling.encode())
        admin.execute("""
            CREATE TABLE region (country text, code text, PRIMARY KEY (country, code));
            CREATE TABLE depot (id int PRIMARY KEY, country text NOT NULL, code text NOT NULL,
                FOREIGN KEY (code, country) REFERENCES region (code, country));
            CREATE TABLE employee (id int PRIMARY KEY, boss int REFERENCES employee, depot int NOT NULL REFERENCES depot);
            CREATE TABLE trip (id int PRIMARY KEY, origin int NOT NULL REFERENCES depot, target int REFERENCES depot,
                driver int NOT NULL UNIQUE REFERENCES employee);
            CREATE TABLE "Log Book" (id int PRIMARY KEY, "Trip" int NOT NULL REFERENCES trip);
            CREATE TABLE alone (id int PRIMARY KEY, code text);
            CREATE TABLE parts (id int, depot int REFERENCES depot) PARTITION BY RANGE (id);
            CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (9);
            CREATE TYPE trip_state AS ENUM ('planned', 'rolling');
            CREATE FUNCTION trip_cost(trip) RETURNS int LANGUAGE sql AS 'SELECT 1';
            COMMENT ON COLUMN trip.target IS 'Where the lorry unloads';
            CREATE ROLE part_reader LOGIN;
            GRANT SELECT ON depot, region TO part_reader;
            GRANT SELECT (id, origin) ON trip TO part_reader;
        """)
    yield bed.url(db)
    bed.drop(db)
    with bed.admin() as admin:
        admin.execute("DROP ROLE part_reader")


async def search(called: Called, text: str, **arguments: object) -> list[str]:
    """The lines of what was found."""
    found = await called.text("search_schema", text=text, **arguments)
    return found.splitlines()[2:-1]


def test_names_comments_and_values_are_found_and_ranked(web: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, web, allow_superuser=True) as called:
            found = await search(called, "trip")
            assert found[0].startswith("table public.trip")
            kinds = {line.split(" public")[0] for line in found}
            assert kinds == {"table", "column", "function", "enum value"}
            # Its own name before its comment, and plurals and capitals don't matter.
            assert (await search(called, "TRIPS"))[0].startswith("table public.trip")
            assert (await search(called, "lorries unload"))[0].startswith(
                "column public.trip.target integer -- Where the"
            )
            assert (await search(called, "trip origin"))[0] == "column public.trip.origin integer"
            assert (await search(called, "rolling"))[0] == "enum value public.trip_state: rolling"
            assert (await search(called, "log book"))[0].startswith("table public.Log Book")
            assert not [line for line in await search(called, "parts") if "parts_1" in line]

    anyio.run(main)


def test_a_mistyped_word_finds_what_was_meant_and_says_so(web: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, web, allow_superuser=True) as called:
            found = await search(called, "emploie")
            assert found[0] == "searched for employee instead of emploie"
            assert found[1].startswith("table public.employee")
            assert await search(called, "zzzyyyxxx") == []

    anyio.run(main)


def test_two_thousand_tables_are_searched_at_once_and_shown_in_part(web: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, web, allow_superuser=True) as called:
            await search(called, "warm up")
            begun = time.perf_counter()
            found = await called.text("search_schema", text="warehouse code")
            taken = time.perf_counter() - begun
            begun = time.perf_counter()
            await called.text("search_schema", text="warehuose")
            mistyped = time.perf_counter() - begun
            begun = time.perf_counter()
            joined = await called.text("search_schema", start="filler_1999", goal="filler_124")
            way = time.perf_counter() - begun
            print(f"search {taken * 1000:.0f} ms, mistyped {mistyped * 1000:.0f} ms, join path {way * 1000:.0f} ms")  # noqa: T201
            assert f"shown 20 of {MANY}" in found
            assert len(found) < 4000
            assert joined.count("JOIN") == 4

    anyio.run(main)


def test_a_join_path_is_sql_that_runs(web: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, web, allow_superuser=True) as called:
            for start, goal in [
                ("Log Book", "region"), ("employee", "employee"), ("trip", "depot"), ("region", "public.trip"),
                ('public."Log Book"', "EMPLOYEE"), ("parts", "trip"),
            ]:  # fmt: skip
                text = await called.text("search_schema", start=start, goal=goal, limit=20)
                ways = [part.rpartition("\n</")[0] or part for part in text.split("\n\n")[1:]]
                assert ways
                for way in ways:
                    assert await called.rows(f"SELECT count(*) AS n {way}") == ['{"n":0}'], way

    anyio.run(main)


def test_paths_say_how_keys_are_followed(web: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, web, allow_superuser=True) as called:
            text = await called.text("search_schema", start="trip", goal="depot")
            ways = [part.splitlines()[1] for part in text.split("\n\n")[1:4]]
            # The key that is always there comes first; then the other; then the way round.
            assert ways[0] == "JOIN public.depot t2 ON t2.id = t1.origin  -- one"
            assert ways[1] == "JOIN public.depot t2 ON t2.id = t1.target  -- one, or none"
            assert ways[2] == "JOIN public.employee t2 ON t2.id = t1.driver  -- one"
            # Several columns, in the order of the key.
            text = await called.text("search_schema", start="depot", goal="region")
            assert "JOIN public.region t2 ON t2.code = t1.code AND t2.country = t1.country  -- one" in text
            # To itself, and backwards; a unique key meets one row at most.
            text = await called.text("search_schema", start="employee", goal="employee")
            assert "JOIN public.employee t2 ON t2.id = t1.boss  -- one, or none" in text
            text = await called.text("search_schema", start="employee", goal="trip")
            assert "JOIN public.trip t2 ON t2.driver = t1.id  -- one, or none" in text
            text = await called.text("search_schema", start="region", goal="depot")
            assert "JOIN public.depot t2 ON t2.code = t1.code AND t2.country = t1.country  -- many, or none" in text

    anyio.run(main)


def test_no_path_is_said_with_what_the_tables_share(web: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, web, allow_superuser=True) as called:
            text = await called.text("search_schema", start="alone", goal="region")
            assert "no path" in text
            assert "code text" in text
            # Five keys are too many.
            assert "no path" in await called.text("search_schema", start="filler_1999", goal="filler_62")

    anyio.run(main)


def test_only_what_the_role_may_see_is_found(web: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, web.replace("postgres:", "part_reader:")) as called:
            assert [line.split(",")[0] for line in await search(called, "trip") if line.startswith("table")] == [
                "table public.trip"
            ]
            found = await search(called, "origin target driver id", limit=100)
            columns = sorted(line for line in found if line.startswith("column public.trip."))
            assert columns == ["column public.trip.id integer", "column public.trip.origin integer"]
            assert await search(called, "employee") == []
            error = await called.error("search_schema", start="trip", goal="employee")
            assert "no_table" in error

    anyio.run(main)


def test_closed_tables_are_neither_found_nor_crossed(any_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, any_home.url(), deny_relations=["app.order*"]) as called:
            assert not [line for line in await search(called, "order") if "app.order" in line]
            assert "no path" in await called.text("search_schema", start="customers", goal="products")
            assert "no_table" in await called.error("search_schema", start="customers", goal="orders")
        async with server(tmp_path, any_home.url()) as called:
            text = await called.text("search_schema", start="customers", goal="products")
            assert "t3.order_id = t2.id" in text

    anyio.run(main)


def test_odd_names_and_injection_are_data(any_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, any_home.url()) as called:
            for text in ("'; DROP TABLE app.victim; --", "%", "_", "\\", '"', "$1", "ünï"):
                found = await called.text("search_schema", text=text)
                assert "shown" in found
            for name in ('app."we""ird.table %s"', '"odd.schema"."select"', "odd.schema.select", "app.UPPER", "upper"):
                assert "no path" in await called.text("search_schema", start=name, goal="customers")
            assert "app.customers" in await called.error("search_schema", start="custmers", goal="orders")

    anyio.run(main)


def test_arguments_that_say_nothing_are_refused(system_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, system_home.url()) as called:
            for arguments in ({}, {"start": "orders"}, {"text": "a", "start": "orders", "goal": "customers"}):
                assert "invalid_arguments" in await called.error("search_schema", **arguments)

    anyio.run(main)
