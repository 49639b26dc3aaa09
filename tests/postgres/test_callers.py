"""Several people on one PostgreSQL server: each has databases, plans, exports, looks and notices of its own."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Generator

import anyio
import pytest
from psycopg import sql

from tests.postgres.bed import Bed
from tests.postgres.told_apart import each_hears_its_own
from tests.support.callers import NAMES, Caller, canary, together
from tests.support.several import Several, several

ROUNDS = 4
QUIET = 1.5
"""Seconds in which nothing may come; several looks at the catalog."""
ROWS = 120
COMMON = "common"
OPEN = "open"


def own(name: str) -> str:
    """The database that one of them alone has."""
    return f"d_{name}"


@pytest.fixture(scope="module")
def furnished(system_bed: Bed) -> Generator[Bed]:
    """A database for each, with a login of its own, one for all with row security, and one for whoever else comes."""
    bed = system_bed
    with bed.admin() as admin:
        admin.execute("CREATE ROLE door LOGIN NOINHERIT")
        for name in NAMES:
            admin.execute(sql.SQL("CREATE ROLE {0} LOGIN; GRANT {0} TO door").format(sql.Identifier(name)))
    for name in [*map(own, NAMES), COMMON, OPEN]:
        bed.create(name)
    for name in NAMES:
        with bed.admin(own(name)) as admin:
            admin.execute(
                sql.SQL(
                    "CREATE TABLE kept (id int PRIMARY KEY, word text); CREATE TABLE {0} (id int);"
                    "INSERT INTO kept SELECT n, {1} || n FROM generate_series(1, {2}) n;"
                    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {3}"
                ).format(
                    sql.Identifier(f"{canary(name)}table"),
                    sql.Literal(canary(name)),
                    sql.Literal(ROWS),
                    sql.Identifier(name),
                )
            )
    with bed.admin(COMMON) as admin:
        admin.execute(
            "CREATE TABLE words (owner text, word text); ALTER TABLE words ENABLE ROW LEVEL SECURITY;"
            "CREATE POLICY mine ON words USING (owner = current_user); CREATE EXTENSION pg_stat_statements"
        )
        for name in NAMES:
            admin.execute("INSERT INTO words VALUES (%s, %s)", [name, f"{canary(name)}word"])
            admin.execute(sql.SQL("GRANT SELECT ON words TO {}").format(sql.Identifier(name)))
            # In one schema for each: what another may not see at all.
            admin.execute(
                sql.SQL(
                    "CREATE SCHEMA {0} AUTHORIZATION {1}; CREATE TABLE {0}.hidden AS SELECT {2} AS word;"
                    "ALTER TABLE {0}.hidden OWNER TO {1}"
                ).format(
                    sql.Identifier(f"{canary(name)}schema"), sql.Identifier(name), sql.Literal(f"{canary(name)}hidden")
                )
            )
    with bed.admin(OPEN) as admin:
        admin.execute("CREATE ROLE anybody LOGIN; CREATE TABLE free AS SELECT 'free for all' AS word; GRANT SELECT ON free TO anybody")  # fmt: skip
    yield bed
    for name in [*map(own, NAMES), COMMON, OPEN]:
        bed.drop(name)
    with bed.admin() as admin:
        for name in ("door", "anybody", *NAMES):
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def config(bed: Bed, **more: str) -> str:
    lines = ["[postgres]", "pool_size = 2", "catalog_seconds = 1", 'privileges = "warn"']
    lines += [f"{key} = {value}" for key, value in more.items()]
    for name in NAMES:
        lines += [
            f"[postgres.databases.{own(name)}]",
            f'url = "{bed.url(own(name), name)}"',
            'description = "Of one alone."',
        ]
    lines += [f"[postgres.databases.{COMMON}]", f'url = "{bed.url(COMMON, "door")}"', 'role = "{principal}"']
    lines += [f"[postgres.databases.{OPEN}]", f'url = "{bed.url(OPEN, "anybody")}"']
    for name in NAMES:
        lines += [f'[postgres.accounts."key:{name}"]', f'connections = ["{own(name)}", "{COMMON}"]']
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def served(furnished: Bed, tmp_path_factory: pytest.TempPathFactory) -> Generator[Several]:
    base = tmp_path_factory.mktemp("callers")
    with several(base, "postgres", config(furnished), NAMES) as found:
        yield found


def completed(
    caller: Caller, value: str = "", uri: str = "pg://{connection}", argument: str = "connection", **chosen: str
) -> list[str]:
    answer = caller.request(
        "completion/complete",
        {
            "ref": {"type": "ref/resource", "uri": uri},
            "argument": {"name": argument, "value": value},
            "context": {"arguments": chosen},
        },
    )
    return answer["result"]["completion"]["values"]


def exported(caller: Caller, name: str) -> str:
    text = caller.text("export_query", sql="SELECT * FROM kept ORDER BY id", max_bytes=100_000, connection=own(name))
    found = re.search(r"pg://results/[\w-]+", text)
    assert found is not None, text
    return found.group()


def work(caller: Caller) -> None:
    """What somebody does in a day, again and again, each answer looked at."""
    name, mine = caller.name, canary(caller.name)
    for _ in range(ROUNDS):
        first = caller.text("run_query", sql="SELECT word FROM kept ORDER BY id", max_rows=50, connection=own(name))
        assert first.count(mine) == 50
        cursor = first.split("MORE: cursor=")[1].split()[0]
        rest = caller.text(
            "run_query", sql="SELECT word FROM kept ORDER BY id", max_rows=100, connection=own(name), cursor=cursor
        )
        assert rest.count(mine) == ROWS - 50
        # The same statement for all: whatever is remembered of it, is remembered of one caller.
        common = caller.text("run_query", sql="SELECT word FROM words", connection=COMMON)
        assert f"{mine}word" in common
        assert "shown 1 of 1" in common
        hidden = caller.text("run_query", sql=f'SELECT word FROM "{mine}schema".hidden', connection=COMMON)
        assert f"{mine}hidden" in hidden
        assert f"{mine}table" in caller.text("list_objects", connection=own(name))
        assert mine in caller.text("describe_objects", names=[f'"{mine}table"'], connection=own(name))
        assert mine in caller.text("profile_table", table="kept", connection=own(name))
        uri = exported(caller, name)
        assert f"{mine}{ROWS}" in json.dumps(caller.request("resources/read", {"uri": uri}))
        assert mine in json.dumps(caller.request("resources/read", {"uri": f"pg://{own(name)}/public/kept/sample"}))
        assert mine in json.dumps(caller.request("resources/list"))
        assert completed(caller) == [own(name), COMMON]
        assert f"{mine}table" in completed(
            caller, "", "pg://{connection}/{schema}/{table}", "table", connection=own(name), schema="public"
        )
        assert "does not exist" in caller.error("run_query", sql="SELECT wrod FROM kept", connection=own(name))


def test_eight_people_at_once_never_see_each_others_rows(served: Several) -> None:
    callers = {name: Caller(served, name) for name in NAMES}
    together({name: lambda caller=caller: work(caller) for name, caller in callers.items()})
    assert sum(len(caller.got) for caller in callers.values()) >= 8 * ROUNDS * 14
    for name, caller in callers.items():
        assert canary(name).encode() in b"".join(caller.got)
        assert caller.foreign() == []


def test_no_name_leads_to_another_persons_database(served: Several) -> None:
    thief, victim = Caller(served, "p0"), own("p1")
    query = "SELECT word FROM kept"
    for tool, arguments in (
        ("run_query", {"sql": query}), ("validate_query", {"sql": query}), ("explain_query", {"sql": query}),
        ("export_query", {"sql": query}), ("list_objects", {}), ("describe_objects", {"names": ["kept"]}),
        ("profile_table", {"table": "kept"}), ("search_schema", {"text": "kept"}), ("show_activity", {}),
        ("check_health", {}), ("list_top_queries", {}), ("recommend_indexes", {}), ("generate_types", {"language": "pydantic"}),
    ):  # fmt: skip
        for given in (victim, OPEN, victim.upper(), f"{victim} ", f"{own('p0')}/../{victim}"):
            text = thief.error(tool, **arguments, connection=given)
            assert text.startswith(("no_connection", "invalid_arguments")), (tool, given, text)
    for left, right in ((f"{victim}/public", f"{own('p0')}/public"), (f"{own('p0')}/public", f"{victim}/public")):
        assert thief.tool("compare_schemas", left=left, right=right, connection=own("p0")).get("isError")
    for uri in (
        f"pg://{victim}", f"pg://{victim}/health", f"pg://{victim}/public", f"pg://{victim}/public/kept",
        f"pg://{victim}/public/kept/sample", "pg://%64_p1/public/kept", f"pg://{OPEN}",
    ):  # fmt: skip
        assert "error" in thief.request("resources/read", {"uri": uri}), uri
    for value in ("", "d", victim, "o"):
        assert victim not in completed(thief, value)
        assert OPEN not in completed(thief, value)
    assert completed(thief, "", "pg://{connection}/{schema}", "schema", connection=victim) == []
    assert "error" in thief.request("prompts/get", {"name": "explore_database", "arguments": {"connection": victim}})
    for name in NAMES[1:]:
        seen = thief.error("run_query", sql=f'SELECT * FROM "{canary(name)}schema".hidden', connection=COMMON)
        assert "permission denied" in seen or "undefined" in seen
        assert f"{canary(name)}hidden" not in seen
    everything = b"".join(thief.got).decode()
    assert "free for all" not in everything
    # The names of others' databases come up nowhere but where the thief's own words are repeated.
    lists = json.dumps([thief.request(method) for method in ("tools/list", "resources/list", "prompts/list")])
    assert own("p0") in lists
    assert not any(own(name) in lists for name in NAMES[1:])
    hint = thief.error("run_query", sql="SELECT 1")
    assert (own("p0") in hint, own("p2") in hint) == (True, False)


def test_no_export_look_or_list_cursor_works_for_another_person(served: Several) -> None:
    owner, thief = Caller(served, "p2"), Caller(served, "p3")
    uri = exported(owner, "p2")
    assert canary("p2") in json.dumps(owner.request("resources/read", {"uri": uri}))
    for guess in (uri, f"{uri}/1", uri.replace("pg://results", f"pg://{COMMON}")):
        assert "error" in thief.request("resources/read", {"uri": guess})
    ids = completed(thief, "", "pg://results/{id}", "id")
    assert uri.rpartition("/")[2] not in ids
    look = owner.text("list_top_queries", connection=COMMON)
    token = look.split("since=")[1].split()[0]
    assert thief.error("list_top_queries", connection=COMMON, since=token).startswith("no_earlier_look")
    assert "in the" in owner.text("list_top_queries", connection=COMMON, since=token)
    cursor = base64.urlsafe_b64encode(json.dumps([own("p2"), "public", ""]).encode()).decode().rstrip("=")
    assert "error" in thief.request("resources/list", {"cursor": cursor})
    assert thief.foreign() == []


def test_one_person_is_told_of_its_own_catalog_alone(served: Several, furnished: Bed) -> None:
    def change(name: str) -> None:
        with furnished.admin(own(name)) as admin:
            admin.execute(
                sql.SQL("CREATE TABLE fresh (id int); GRANT SELECT ON fresh TO {}").format(sql.Identifier(name))
            )

    anyio.run(lambda: each_hears_its_own(served, ("p5", "p4"), change, quiet=QUIET))


def test_connections_are_each_persons_own(served: Several, furnished: Bed) -> None:
    for name in ("p6", "p7"):
        Caller(served, name).text("run_query", sql="SELECT 1", connection=COMMON)
    lock = "SELECT pg_backend_pid() AS pid"
    pids = {
        name: {Caller(served, name).text("run_query", sql=lock, connection=COMMON).split()[-1] for _ in range(8)}
        for name in ("p6", "p7")
    }
    assert pids["p6"]
    assert not pids["p6"] & pids["p7"]
