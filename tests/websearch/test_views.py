"""The view of a search: what it gets is what the answer's text says, and only a client that shows views gets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.apps.words import EXTENSION, MIME_TYPE, SHOWN
from mcp.client import advertise
from mcp_types import CallToolResult, TextContent

from tests.apps.fixtures import content, host
from tests.apps.hosting import Host
from tests.browser.finding import needs_chromium
from tests.browser.fixtures import browser, page
from tests.websearch.proxy import Reply, Request, proxying
from tests.websearch.support import server
from tests.websearch.test_searching import results, settings

__all__ = ["browser", "host", "page"]

QUESTION = "what do foxes eat"
HOSTILE = "<img src=x onerror=hacked=1>"


def answer(request: Request) -> Reply:
    if "duckduckgo" in request.host:
        return results("https://one.example.com/", "https://two.example.com/")
    if request.host.startswith("two"):
        return Reply(404)
    body = "<title>Foxes</title><main><h1>Foxes</h1><p>Foxes eat berries and mice. &lt;img src=x onerror=hacked=1&gt;</p></main>"
    return Reply(body=body.encode())


def called(folder: Path, tool: str, *, shows: bool = True) -> CallToolResult:
    folder.mkdir(exist_ok=True)
    extensions = [advertise(EXTENSION, {"mimeTypes": [MIME_TYPE]})] if shows else []

    async def main() -> CallToolResult:
        with proxying(answer, folder) as proxy:
            async with server(folder, proxied=True, extensions=extensions, **settings(proxy)) as client:
                return await client.client.call_tool(tool, {"query": QUESTION})

    return anyio.run(main)


def wire(result: CallToolResult) -> dict[str, Any]:
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_the_view_gets_each_page_with_the_passages_that_the_text_cites(tmp_path: Path) -> None:
    result = called(tmp_path, "research_web")
    (block,) = result.content
    assert isinstance(block, TextContent)
    data = wire(result)["_meta"][SHOWN]
    assert (data["kind"], data["query"], len(data["pages"])) == ("pages", QUESTION, 2)
    first, second = data["pages"]
    assert first["title"] == "Foxes"
    assert [words for _, words in first["passages"]]
    assert all(words in block.text for one in data["pages"] for _, words in one["passages"])
    assert second["trouble"].startswith("http_status")
    for one in data["pages"]:
        assert f"{one['id']} " in block.text


@pytest.mark.parametrize("tool", ["research_web", "search_web"])
def test_a_client_that_shows_no_views_gets_none_of_it(tmp_path: Path, tool: str) -> None:
    assert SHOWN not in wire(called(tmp_path, tool, shows=False)).get("_meta", {})


@needs_chromium
def test_real_answers_are_drawn_as_cards(host: Host, tmp_path: Path) -> None:
    host.mount(content("results_view"))
    host.give(wire(called(tmp_path / "a", "search_web")), {"query": QUESTION})
    assert host.text("h1") == f"2 results for \u201c{QUESTION}\u201d"
    assert host.texts(".site > span:first-child") == ["one.example.com", "two.example.com"]
    host.give(wire(called(tmp_path / "b", "research_web")), {"query": QUESTION})
    assert host.inside("[...document.querySelectorAll('.cited')].map(one => one.textContent)") == [
        "Cited as [1]",
        "Cited as [2]",
    ]
    assert HOSTILE in host.text(".card")
