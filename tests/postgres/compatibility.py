"""The whole server, tried on one version of PostgreSQL; each test module that has a server of some version runs it there."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from gatelodge_postgres.connect.privileges import grant_sql
from gatelodge_postgres.server import OFFERED
from gatelodge_postgres.tools.admin import cancel_backend
from mcp_types import PromptReference, ResourceTemplateReference, TextResourceContents

from tests.postgres.asked import ASKED, NEWER, SEED, Asked
from tests.postgres.bed import Bed
from tests.postgres.dba import behind, database, until
from tests.postgres.ordinary import ORDINARY
from tests.postgres.seed import READER, Home, home
from tests.postgres.support import Called, server
from tests.postgres.writing import ask, do, writing

LONG = "SELECT count(*) FROM generate_series(1, 3000000000)"
TRAPPED = "range functions"
"""Refused on the seeded database alone, which has a function public.lower that writes."""
ELSEWHERE = {"list_top_queries", "preview_change", "apply_change", "cancel_backend"}
"""Tools that have a test of their own below."""


@contextmanager
def place(bed: Bed) -> Generator[Home]:
    """A database with one of each kind."""
    newer = [sql for version, sql in NEWER.items() if version <= bed.version]
    extensions = [f"CREATE EXTENSION {name}" for name in ("pg_stat_statements", "hypopg") if name in bed.extensions()]
    with database(bed, *extensions, SEED, *newer) as db:
        try:
            yield Home(bed, db)
        finally:
            with bed.admin() as admin:
                admin.execute(f"REVOKE pg_read_all_stats FROM {READER}".encode())


async def wrong(called: Called, asked: Asked) -> str:
    """What is wrong with an answer; empty if nothing is."""
    found = await called.client.call_tool(asked.tool, asked.arguments)
    text = "\n".join(getattr(block, "text", "") for block in found.content)
    missing = [word for word in asked.words if re.search(word, text) is None]
    if found.is_error or missing or "could not be checked" in text or "gl-secret" in text:
        return f"{asked.tool} {asked.arguments}: lacks {missing}: {text[:1500]}"
    return ""


class Compatibility:
    """What a server does on every version. A subclass has the fixture `shop`: `place` on its server."""

    @pytest.fixture(autouse=True)
    def informed(self, shop: Home) -> None:
        """The role sees everybody's statistics: for each test anew, since a seeded database puts memberships back."""
        with shop.bed.admin() as admin:
            admin.execute(f"GRANT pg_read_all_stats TO {READER}".encode())

    async def test_every_tool_that_reads_answers(self, shop: Home, tmp_path: Path) -> None:
        async with server(tmp_path, shop.url()) as called:
            found = [await wrong(called, asked) for asked in ASKED if asked.since <= shop.bed.version]
        assert not any(found), "\n\n".join(filter(None, found))

    def test_no_tool_is_left_out(self) -> None:
        assert {asked.tool for asked in ASKED} | ELSEWHERE == set(OFFERED.tools)

    async def test_the_role_is_audited_and_the_answers_are_those_of_the_version(
        self, shop: Home, tmp_path: Path
    ) -> None:
        async with server(tmp_path, shop.url()) as called:
            assert f"\n{shop.bed.version}\n" in await called.text(
                "run_query", sql="SELECT current_setting('server_version_num')::int / 10000 AS major"
            )
            audit = called.sources.pick().audit
            assert audit is not None
            # Up to 14 a new database lets everybody make tables in public.
            findings = () if shop.bed.version >= 15 else ("it can create objects in public",)
            assert (audit.role, audit.superuser, audit.findings) == (READER, False, findings), audit
            # Settings that came with a version, set where they are.
            for name, since, value in (
                ("client_connection_check_interval", 14, "1s"),
                ("transaction_timeout", 17, "20s"),
            ):
                (line,) = await called.rows(f"SELECT current_setting('{name}', true) AS value")
                assert json.loads(line)["value"] == (value if shop.bed.version >= since else None), name

    async def test_ordinary_questions_are_answered(self, bed: Bed, tmp_path: Path) -> None:
        if bed.version < 14:
            pytest.skip("the seeded database has multiranges, which are new in 14")
        with home(bed) as made:
            found: list[str] = []
            extensions = {name for (name,) in ask(made, "SELECT extname FROM pg_extension")}
            do(made, f"ALTER ROLE {READER} IN DATABASE {made.db} SET search_path = public, app")
            async with server(tmp_path, made.url()) as called:
                for one in ORDINARY:
                    if (
                        bed.version < one.min_version
                        or not extensions.issuperset(one.extensions)
                        or one.name == TRAPPED
                    ):
                        continue
                    failed, text = await called.call("run_query", sql=one.sql, params=list(one.params))
                    count = f"rows: shown {one.rows} of {one.rows};"
                    if failed or (one.rows is not None and one.rows <= 200 and count not in text):
                        found.append(f"{one.name}: {text[:300]}")
            assert not found, "\n".join(found)

    async def test_the_workload_is_listed_where_it_is_recorded(self, shop: Home, tmp_path: Path) -> None:
        async with server(tmp_path, shop.url()) as called:
            await called.rows("SELECT count(*) FROM shop.orders WHERE total = 8")
            for by in ("total", "mean", "io", "wal", "temp", "calls"):
                failed, text = await called.call("list_top_queries", by=by)
                if not shop.has("pg_stat_statements"):
                    assert failed
                    assert "no_statistics: the extension pg_stat_statements is not in this database" in text
                    return
                assert not failed, text
                assert f"by {by}: shown" in text
            since = re.search(r"since=(\S+)", await called.text("list_top_queries"))
            assert since is not None
            ask(shop, "SELECT 'later', count(*) FROM shop.note")
            assert "shop.note" in await called.text("list_top_queries", since=since[1], limit=50)

    async def test_resources_completions_and_prompts_answer(self, shop: Home, tmp_path: Path) -> None:
        async with server(tmp_path, shop.url()) as called:
            client = called.client

            async def read(uri: str) -> str:
                (content,) = (await client.read_resource(uri)).contents
                assert isinstance(content, TextResourceContents)
                return content.text

            assert f"PostgreSQL {shop.bed.version}" in await read("pg://default")
            assert "checks: " in await read("pg://default/health")
            assert "Who buys" in await read("pg://default/shop")
            assert "CREATE TABLE shop.customer" in await read("pg://default/shop/customer")
            assert "Customer 1" in await read("pg://default/shop/customer/sample")
            made = re.search(r"pg://results/\S+", await called.text("export_query", sql="SELECT 1 AS one"))
            assert made is not None
            assert await read(made[0].rstrip(":")) == "one\n1\n"
            assert "pg://default/shop/customer" in [str(one.uri) for one in (await client.list_resources()).resources]
            table = ResourceTemplateReference(uri="pg://{connection}/{schema}/{table}")
            chosen = {"connection": "default", "schema": "shop"}
            found = await client.complete(table, {"name": "table", "value": "cust"}, context_arguments=chosen)
            assert found.completion.values == ["customer"]
            found = await client.complete(table, {"name": "schema", "value": "sh"}, context_arguments=chosen)
            assert found.completion.values == ["shop"]
            plan = PromptReference(name="plan_migration")
            found = await client.complete(
                plan, {"name": "column", "value": "ma"}, context_arguments={"table": "shop.customer"}
            )
            assert found.completion.values == ["mail"]
            prompt = await client.get_prompt("least_privilege_setup", {"schema": "shop"})
            assert "GRANT USAGE ON SCHEMA" in str(prompt.messages[0].content)

    async def test_changes_are_previewed_and_made(self, shop: Home) -> None:
        async with writing(shop) as w:
            text = await w.preview("UPDATE shop.customer SET name = $1 WHERE id <= 2", [" New "])
            assert "UPDATE of 2 rows" in text
            assert '~ id="1": name "Customer 1" -> "New"' in text
            assert "shop.customer: 2 updated" in text
            assert ask(shop, "SELECT count(*) FROM shop.customer WHERE name = 'New'") == [(0,)]
            assert "committed: UPDATE of 2 rows" in await w.apply(text)
            assert ask(shop, "SELECT count(*) FROM shop.customer WHERE name = 'New'") == [(2,)]
            text = await w.preview("INSERT INTO shop.event VALUES (900, '2024-05-05', 'late') RETURNING id")
            assert 'what="late"' in text
            assert "committed: INSERT of 1 row" in await w.apply(text)
            text = await w.preview("DELETE FROM shop.orders WHERE id = 3")
            assert "committed: DELETE of 1 row" in await w.apply(text)
            text = await w.preview("CREATE TABLE own.made (id int PRIMARY KEY, name text)")
            assert "committed" in await w.apply(text)
            assert "AccessExclusive" in (
                text := await w.preview("ALTER TABLE own.made ADD COLUMN at date DEFAULT now()")
            )
            assert "committed" in await w.apply(text)
            text = await w.preview("DROP TABLE own.made")
            assert "own.made" in text
            assert "committed" in await w.apply(text)
            if shop.bed.version >= 15:
                text = await w.preview(
                    "MERGE INTO shop.event AS e USING (VALUES (901, 'm')) s(id, what) ON e.id = s.id "
                    "WHEN NOT MATCHED THEN INSERT (id, at, what) VALUES (s.id, '2024-06-06', s.what)"
                )
                assert ('what="m"' in text) is (shop.bed.version >= 17)
                assert "committed: MERGE of 1 row" in await w.apply(text)

    async def test_ending_sessions_waits_for_the_person_and_then_works(self, shop: Home, tmp_path: Path) -> None:
        async with server(tmp_path, shop.url(), allow_admin=True) as called:
            with shop.bed.connect(shop.db, READER) as other:
                pid = other.info.backend_pid
                assert "approval_required" in await called.error("cancel_backend", pid=pid)
                other.execute("SET statement_timeout = 0")

                def runs() -> bool:
                    return bool(ask(shop, f"SELECT FROM pg_stat_activity WHERE pid = {pid} AND state = 'active'"))

                with behind(other, LONG):
                    until(runs)
                    assert str(pid) in await called.text("show_activity")
                    assert "its statement has ended" in await cancel_backend(called.sources, pid)
                assert "is gone" in await cancel_backend(called.sources, pid, terminate=True)
                with pytest.raises(psycopg.OperationalError):
                    other.execute("SELECT 1")

    async def test_errors_are_those_of_the_statement(self, shop: Home, tmp_path: Path) -> None:
        async with server(tmp_path, shop.url(), query_seconds=2, max_cost=0) as called:
            assert "undefined_column: [42703]" in await called.error("run_query", sql="SELECT nme FROM shop.customer")
            assert "timeout: the statement took more than 2 s" in await called.error("run_query", sql=LONG)
            assert "volatile" in (await called.error("run_query", sql="SELECT shop.acts()")).lower()
            assert "\n7\n" in await called.text("run_query", sql="SELECT 7 AS n")

    def test_the_role_s_recipe_runs(self, shop: Home) -> None:
        with shop.admin() as admin, admin.transaction(force_rollback=True):
            admin.execute(grant_sql(shop.db, ["shop"], "recipe").encode())
            admin.execute("SET LOCAL ROLE recipe")
            assert admin.execute("SELECT count(*) FROM shop.customer").fetchone() == (500,)
            sql = "SELECT has_schema_privilege('public', 'CREATE'), has_function_privilege('pg_notify(text, text)', 'EXECUTE')"
            assert admin.execute(sql).fetchone() == (False, False)
