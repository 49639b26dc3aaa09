"""Pages, searches and the policy as resources, with completions."""

from __future__ import annotations

import json

import anyio.to_thread
from gatelodge_core.declare import Declarations
from gatelodge_core.effects import UNTRUSTED
from gatelodge_core.errors import CallError

from gatelodge_websearch import showing
from gatelodge_websearch.web import Web

resources = Declarations[Web]()


@resources.resource("web://page/{sha}", name="page", mime_type="text/markdown", yields=UNTRUSTED)
async def page(web: Web, sha: str) -> str:
    """A page that was read, whole, as Markdown."""
    found = await anyio.to_thread.run_sync(web.kept, sha)
    if found is None:
        raise CallError("not_found", "That version of a page is not kept.", "Read it with read_page.")
    return f"{showing.header(found)}\n\n{found.markdown}"


@resources.resource("web://search/{id}", name="search", mime_type="application/json", yields=UNTRUSTED)
async def search(web: Web, id: str) -> str:  # noqa: A002 - the template's word
    """What a search found."""
    found = await anyio.to_thread.run_sync(web.store.mine().search, id)
    if found is None:
        raise CallError("not_found", "No search with that id is kept.", "Search again.")
    return json.dumps(found[1], ensure_ascii=False)


@resources.resource("web://policy", name="policy", mime_type="application/json")
async def policy(web: Web) -> str:
    """Who may see queries, and which pages may be read."""
    given = web.settings
    return json.dumps(
        {
            "engines": [gate.engine.name for gate in web.desk.gates],
            "allow_domains": given.allow_domains,
            "deny_domains": given.deny_domains,
            "ports": sorted(given.port_numbers),
            "strict": given.strict,
            "robots": given.robots,
            "proxy": bool(given.proxy),
        }
    )


@resources.completer("page", "sha")
async def complete_sha(web: Web, value: str, chosen: dict[str, str]) -> list[str]:
    """Versions of kept pages, newest first."""
    del chosen
    return await anyio.to_thread.run_sync(web.store.mine().versions, value)


@resources.completer("search", "id")
async def complete_search(web: Web, value: str, chosen: dict[str, str]) -> list[str]:
    """Ids of kept searches, newest first."""
    del chosen
    return await anyio.to_thread.run_sync(web.store.mine().search_ids, value)
