"""Several people on one database, told apart by a role of each: what is known of one role is not believed of another."""

from __future__ import annotations

import json
from collections.abc import Generator

import anyio
import pytest
from psycopg import sql

from tests.postgres.bed import Bed
from tests.postgres.told_apart import each_hears_its_own
from tests.support.callers import Caller
from tests.support.several import Several, several

PEOPLE = ("reads-a", "reads-b", "writes", "rules")
DATABASE = "by_role"
QUIET = 1.5
"""Seconds in which nothing may come; several looks at the catalog."""


@pytest.fixture(scope="module")
def furnished(system_bed: Bed) -> Generator[Bed]:
    """One database, in which each role has a schema of its own name, as the default search path has it."""
    bed = system_bed
    bed.create(DATABASE)
    with bed.admin(DATABASE) as admin:
        admin.execute("CREATE ROLE gate LOGIN NOINHERIT")
        for name in PEOPLE:
            admin.execute(
                sql.SQL(
                    "CREATE ROLE {0}; GRANT {0} TO gate; CREATE SCHEMA {0}; GRANT USAGE ON SCHEMA {0} TO {0};"
                    "CREATE TABLE {0}.kept AS SELECT {1}::text AS word; GRANT SELECT ON {0}.kept TO {0}"
                ).format(sql.Identifier(name), sql.Literal(f"word of {name}"))
            )
        admin.execute('GRANT INSERT ON "writes".kept TO "writes"; ALTER ROLE "rules" SUPERUSER')
    yield bed
    bed.drop(DATABASE)
    with bed.admin() as admin:
        for name in ("gate", *PEOPLE):
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def served(furnished: Bed, tmp_path_factory: pytest.TempPathFactory) -> Generator[Several]:
    """A server that has seen nobody yet."""
    url = json.dumps(furnished.url(DATABASE, "gate"))
    settings = (
        '[postgres]\ncatalog_seconds = 1\nprivileges = "enforce"\nmask_columns = ["reads-b.kept.word"]\n'
        f'[postgres.databases.app]\nurl = {url}\nrole = "{{principal}}"\n'
    )
    with several(tmp_path_factory.mktemp("roles"), "postgres", settings, PEOPLE) as found:
        yield found


def test_each_callers_role_is_looked_at_before_its_own_first_query(served: Several) -> None:
    first = Caller(served, "reads-a")
    assert "word of reads-a" in first.text("run_query", sql="SELECT word FROM kept")
    for name, code in (("writes", "privileges_refused"), ("rules", "superuser_refused")):
        assert Caller(served, name).error("run_query", sql="SELECT word FROM kept").startswith(code)
    assert "word of reads-a" in first.text("run_query", sql="SELECT word FROM kept")


def test_a_query_that_means_another_table_for_another_caller_is_judged_anew(served: Several) -> None:
    query = "SELECT word || '' AS word FROM kept"
    assert "word of reads-a" in Caller(served, "reads-a").text("run_query", sql=query)
    other = Caller(served, "reads-b")
    # For this one the column is masked, which an expression would get around.
    assert other.error("run_query", sql=query).startswith("masked_columns")
    assert b"word of reads-b" not in b"".join(other.got)


def test_what_a_role_could_do_is_told_to_its_own_caller_alone(served: Several) -> None:
    for name in ("reads-a", "reads-b"):
        caller = Caller(served, name)
        caller.text("run_query", sql="SELECT 1")
        overview = json.dumps(caller.request("resources/read", {"uri": "pg://app"}))
        assert [other for other in PEOPLE if f"role: {other}" in overview] == [name]


def test_a_caller_is_told_of_what_its_own_role_may_read_alone(served: Several, furnished: Bed) -> None:
    def change(name: str) -> None:
        with furnished.admin(DATABASE) as admin:
            admin.execute(
                sql.SQL("CREATE TABLE {0}.fresh (id int); GRANT SELECT ON {0}.fresh TO {0}").format(
                    sql.Identifier(name)
                )
            )

    anyio.run(lambda: each_hears_its_own(served, ("reads-a", "reads-b"), change, quiet=QUIET))
