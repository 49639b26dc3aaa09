"""Row-level security by the caller: a login without rights of its own takes the caller's role in each transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.auth.principal import CALLER, Principal, local_user
from psycopg import sql

from tests.postgres.seed import Home
from tests.postgres.support import server

pytestmark = pytest.mark.anyio


def served(home: Home, role: str) -> dict[str, Any]:
    return {"databases": {"app": {"url": home.url("authenticator"), "role": role}}}


async def test_each_tenant_sees_its_own_rows(system_home: Home, tmp_path: Path) -> None:
    for tenant, own, foreign in (("tenant1", 1, 2), ("tenant2", 2, 1)):
        async with server(tmp_path, **served(system_home, tenant)) as called:
            assert await called.rows("SELECT id FROM app.notes") == [f'{{"id":{own}}}']
            assert await called.rows(f"SELECT id FROM app.notes WHERE id = {foreign}") == [""]
            assert await called.rows("SELECT current_user AS me") == [f'{{"me":"{tenant}"}}']


async def test_the_role_is_made_from_the_caller(system_home: Home, tmp_path: Path) -> None:
    name = f"caller_{local_user().subject}"
    with system_home.admin() as admin:
        admin.execute(sql.SQL("DROP ROLE IF EXISTS {0}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("CREATE ROLE {0}; GRANT {0} TO authenticator").format(sql.Identifier(name)))
    async with server(tmp_path, **served(system_home, "caller_{principal}")) as called:
        assert await called.rows("SELECT current_user AS me") == [f'{{"me":"{name}"}}']
    with system_home.admin() as admin:
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.mark.parametrize("subject", ["none", "NONE", "", "x" * 64, "é" * 32])
async def test_a_caller_whose_name_is_no_role_is_refused(system_home: Home, tmp_path: Path, subject: str) -> None:
    async with server(tmp_path, **served(system_home, "{principal}")) as called:
        source = called.sources.pick("")
        token = CALLER.set(Principal("test", subject))
        try:
            with pytest.raises(Exception, match="no_role"):
                await source.reader.query("SELECT 1", [], rows=1, size=100)
        finally:
            CALLER.reset(token)


async def test_a_caller_cannot_write_sql_by_its_name(system_home: Home, tmp_path: Path) -> None:
    async with server(tmp_path, **served(system_home, "{principal}")) as called:
        source = called.sources.pick("")
        for subject in ('tenant1"; RESET ROLE; --', 'x"', "tenant1'; SELECT 1; --"):
            token = CALLER.set(Principal("test", subject))
            try:
                with pytest.raises(Exception, match="does not exist"):
                    await source.reader.query("SELECT 1", [], rows=1, size=100)
            finally:
                CALLER.reset(token)


async def test_the_role_cannot_be_left_by_a_query(system_home: Home, tmp_path: Path) -> None:
    async with server(tmp_path, **served(system_home, "tenant1")) as called:
        for text in (
            "SELECT set_config('role', 'tenant2', true)", "SET ROLE tenant2", "RESET ROLE", "SET SESSION AUTHORIZATION postgres",
            "SELECT set_config('app.tenant', 'tenant2', true), (SELECT count(*) FROM app.claims)",
        ):  # fmt: skip
            assert (await called.error("run_query", sql=text)).startswith("refused")
        assert await called.rows("SELECT current_user AS me") == ['{"me":"tenant1"}']


async def test_without_the_verdict_leaving_the_role_leads_to_a_login_without_rights(
    system_home: Home, tmp_path: Path
) -> None:
    async with server(tmp_path, judge="server-only", **served(system_home, "tenant1")) as called:
        text = "SELECT set_config('role', 'none', true) AS r, query_to_xml('SELECT * FROM app.notes', true, true, '')::text AS x"
        found = await called.error("run_query", sql=text)
        assert "gl-secret" not in found
        assert "permission denied" in found
        # The role of one query is not the role of the next.
        assert await called.rows("SELECT current_user AS me") == ['{"me":"tenant1"}']
