"""The web search server in this process, on a network whose public addresses lead to a site on loopback."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from gatelodge_core.sandbox.egress import Egress
from gatelodge_websearch.server import build
from gatelodge_websearch.settings import WebsearchSettings
from gatelodge_websearch.web import Web, page_egress
from mcp import Client
from mcp.client import ClientExtension
from mcp_types import TextContent

from tests.sandbox.egress.site import Names, Network, Site


class Called:
    """A client on the server, and what the server's network saw."""

    def __init__(self, client: Client, web: Web, network: Network) -> None:
        self.client = client
        self.web = web
        self.network = network

    async def call(self, name: str, **arguments: Any) -> tuple[bool, str]:
        """Whether a tool failed, and its text."""
        found = await self.client.call_tool(name, arguments)
        text = "\n".join(block.text for block in found.content if isinstance(block, TextContent))
        return bool(found.is_error), text

    async def text(self, name: str, **arguments: Any) -> str:
        failed, text = await self.call(name, **arguments)
        assert not failed, text
        return text

    async def error(self, name: str, **arguments: Any) -> str:
        failed, text = await self.call(name, **arguments)
        assert failed, text
        return text

    async def record(self, name: str, **arguments: Any) -> dict[str, Any]:
        found = await self.client.call_tool(name, arguments)
        assert not found.is_error, found.content
        assert found.structured_content is not None
        return dict(found.structured_content)


@contextlib.asynccontextmanager
async def server(
    folder: Path,
    site: Site | None = None,
    names: Names | None = None,
    services: Egress | None = None,
    *,
    proxied: bool = False,
    extensions: Sequence[ClientExtension] = (),
    **given: Any,
) -> AsyncGenerator[Called]:
    """The server with settings, `robots` off unless given."""
    settings = WebsearchSettings.model_validate({"state_dir": str(folder / "state"), "robots": "off", **given})
    network = Network(site)
    # Through a proxy, pages go out by the settings alone.
    egress = None if proxied else Egress(page_egress(settings), resolver=names or Names(), backend=network)
    web = Web(settings, pages=egress, services=services)
    lodge = build(settings, web)
    assert lodge.life is not None
    async with lodge.life(), Client(lodge.mcp, cache=None, extensions=list(extensions)) as client:
        yield Called(client, web, network)
