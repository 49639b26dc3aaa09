"""Write mode in this process: the tools called as the lodge calls them once the person has agreed."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from gatelodge_core.auth.principal import CALLER, Principal
from gatelodge_core.errors import CallError
from gatelodge_postgres.changing.changer import changes_of
from gatelodge_postgres.changing.tokens import Tokens
from gatelodge_postgres.server import places, sources_of
from gatelodge_postgres.settings import PostgresSettings
from gatelodge_postgres.sources import Sources
from gatelodge_postgres.tools.changing import apply_change, preview_change

from tests.postgres.seed import Home

ME = Principal("os-user", "1000")
WRITER = "app_writer"


async def silent(done: float, total: float | None = None, message: str = "") -> None:
    """Nobody wants to know how far it is."""


class Writing:
    """The tools of write mode on some databases."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources

    @property
    def tokens(self) -> Tokens:
        return changes_of(self.sources).tokens

    async def preview(self, sql: str, params: Sequence[object] = (), *, by: Principal = ME, **given: Any) -> str:
        """The answer of a preview that works."""
        token = CALLER.set(by)
        try:
            return await preview_change(self.sources, sql, silent, list(params), **given)
        finally:
            CALLER.reset(token)

    async def refusal(self, sql: str, params: Sequence[object] = (), **given: Any) -> CallError:
        """The error of a preview that must not work."""
        try:
            answer = await self.preview(sql, params, **given)
        except CallError as error:
            return error
        raise AssertionError(answer)

    async def apply(self, token: str, *, by: Principal = ME, **given: Any) -> str:
        before = CALLER.set(by)
        try:
            return await apply_change(self.sources, token_of(token), silent, **given)
        finally:
            CALLER.reset(before)

    async def declined(self, token: str, **given: Any) -> CallError:
        """The error of an application that must not work."""
        try:
            answer = await self.apply(token, **given)
        except CallError as error:
            return error
        raise AssertionError(answer)


def token_of(answer: str) -> str:
    """The token in a preview's answer; a text that is none is taken as it is."""
    found = re.search(r"^change_token: (\w+)$", answer, re.MULTILINE)
    return found[1] if found else answer


def settings_of(home: Home, *, role: str = WRITER, **given: Any) -> PostgresSettings:
    urls: dict[str, Any] = {"url": home.url(), "write_url": home.url(role), "allow_write": True}
    return PostgresSettings.model_validate({**urls, **given})


@contextlib.asynccontextmanager
async def writing(home: Home, *, role: str = WRITER, **given: Any) -> AsyncGenerator[Writing]:
    """Write mode on a seeded database, with a role of one's choice."""
    settings = settings_of(home, role=role, **given)
    with tempfile.TemporaryDirectory() as state:
        settings = settings.model_copy(update={"state_dir": state})
        sources = sources_of(settings, places(settings))
        async with sources.life():
            yield Writing(sources)


MAKER = "app_maker"
SETUP = f"""
DO $$ BEGIN CREATE ROLE {MAKER} LOGIN PASSWORD 'only-for-tests'; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DROP SCHEMA IF EXISTS w CASCADE;
CREATE SCHEMA w AUTHORIZATION {MAKER};
GRANT USAGE ON SCHEMA w TO {WRITER}, gatelodge_ro;
ALTER DEFAULT PRIVILEGES FOR ROLE {MAKER} IN SCHEMA w GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {WRITER};
ALTER DEFAULT PRIVILEGES FOR ROLE {MAKER} IN SCHEMA w GRANT SELECT ON TABLES TO gatelodge_ro;
SET ROLE {MAKER};
CREATE TABLE w.item (id int PRIMARY KEY, name text NOT NULL, price numeric CHECK (price >= 0), secret text);
INSERT INTO w.item SELECT g, 'item ' || g, g * 10, 'gl-secret-ssn-' || g FROM generate_series(1, 20) g;
"""


def prepare(home: Home, more: str = "") -> None:
    """A schema ``w`` with a table of 20 rows and what else a test needs; the maker owns it, the writer may change rows."""
    with home.admin() as admin:
        admin.execute(SETUP.encode())
        admin.execute(b"RESET ROLE")
        admin.execute(f'GRANT CONNECT, CREATE ON DATABASE "{home.db}" TO {MAKER}'.encode())
        admin.execute(f"SET ROLE {MAKER}".encode())
        admin.execute(more.encode())


def ask(home: Home, query: str) -> list[tuple[Any, ...]]:
    """Rows, as the superuser sees them."""
    with home.admin() as admin:
        return admin.execute(query.encode()).fetchall()


def do(home: Home, statement: str) -> None:
    """Somebody else's change, committed."""
    with home.admin() as admin:
        admin.execute(statement.encode())


ITEMS = "SELECT count(*), sum(price)::int, md5(string_agg(i::text, ',' ORDER BY id)) FROM w.item i"
