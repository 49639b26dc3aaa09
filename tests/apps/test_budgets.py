"""What views cost a model: nothing where they are not shown, and next to nothing where they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.apps.words import EXTENSION, MIME_TYPE
from gatelodge_core.server import Lodge
from gatelodge_filesystem.server import build as filesystem
from gatelodge_filesystem.settings import FilesystemSettings
from gatelodge_postgres.server import build as postgres
from gatelodge_postgres.settings import PostgresSettings
from gatelodge_websearch.server import build as websearch
from gatelodge_websearch.settings import WebsearchSettings
from mcp import Client
from mcp.client import advertise

from tests.surface.test_surface import CORE_OF_POSTGRES, TOKENS

SHOWS = advertise(EXTENSION, {"mimeTypes": [MIME_TYPE]})


def lodge(server: str, base: Path) -> Lodge[Any]:
    state = str(base / "state")
    if server == "filesystem":
        (base / "root").mkdir()
        return filesystem(FilesystemSettings(roots=[str(base / "root")], state_dir=state))
    if server == "websearch":
        return websearch(WebsearchSettings(state_dir=state))
    return postgres(PostgresSettings.model_validate({"state_dir": state, **CORE_OF_POSTGRES}))


@pytest.mark.parametrize("server", ["filesystem", "postgres core", "websearch"])
def test_what_a_model_is_shown_of_the_tools_is_the_same_with_views(tmp_path: Path, server: str) -> None:
    built = lodge(server, tmp_path)

    async def listed(*extensions: Any) -> list[dict[str, Any]]:
        async with Client(built.mcp, cache=None, extensions=list(extensions)) as client:
            found = (await client.list_tools()).tools
            return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in found]

    try:
        plain, shown = anyio.run(listed), anyio.run(listed, SHOWS)
    finally:
        if server != "postgres core":
            built.domain.close()
    # Hosts keep _meta to themselves; it is the one thing that differs.
    added = [meta for tool in shown if (meta := tool.pop("_meta", None)) is not None]
    assert shown == plain
    assert len(json.dumps(plain, separators=(",", ":"))) / 4 <= TOKENS[server]
    assert 1 <= len(added) <= 2
    assert all(len(json.dumps(meta, separators=(",", ":"))) / 4 <= 30 for meta in added)
