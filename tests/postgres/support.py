"""The PostgreSQL server in this process, with a client on it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from gatelodge_postgres.server import build
from gatelodge_postgres.settings import PostgresSettings
from gatelodge_postgres.sources import Sources
from mcp import Client
from mcp_types import TextContent


class Called:
    """A client on the server, and the server's domain."""

    def __init__(self, client: Client, sources: Sources) -> None:
        self.client = client
        self.sources = sources

    async def call(self, name: str, /, **arguments: Any) -> tuple[bool, str]:
        """Whether a tool failed, and its text."""
        found = await self.client.call_tool(name, arguments)
        text = "\n".join(block.text for block in found.content if isinstance(block, TextContent))
        return bool(found.is_error), text

    async def text(self, name: str, /, **arguments: Any) -> str:
        failed, text = await self.call(name, **arguments)
        assert not failed, text
        return text

    async def error(self, name: str, /, **arguments: Any) -> str:
        failed, text = await self.call(name, **arguments)
        assert failed, text
        return text

    async def record(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        found = await self.client.call_tool(name, arguments)
        assert not found.is_error, found.content
        assert found.structured_content is not None
        return dict(found.structured_content)

    async def rows(self, sql: str, **arguments: Any) -> list[str]:
        """The lines of rows that a query gives, without header and envelope."""
        text = await self.text("run_query", sql=sql, **{"format": "jsonl", **arguments})
        return text.partition("\n\n")[2].split("\n")[:-1]


@contextlib.asynccontextmanager
async def server(folder: Path, url: str = "", **given: Any) -> AsyncGenerator[Called]:
    """The server on one database, or on those that the settings name."""
    urls = {"url": url} if url else {}
    settings = PostgresSettings.model_validate({"state_dir": str(folder / "state"), **urls, **given})
    lodge = build(settings)
    assert lodge.life is not None
    async with lodge.life(), Client(lodge.mcp, cache=None) as client:
        yield Called(client, lodge.domain)
