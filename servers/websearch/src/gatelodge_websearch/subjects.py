"""What policies are told of a call: the URLs it reads, or the question it asks."""

from __future__ import annotations

from typing import cast

from gatelodge_core.errors import CallError
from gatelodge_core.guard.call import Call, Subject

from gatelodge_websearch.web import Web


async def subjects(web: Web, call: Call) -> list[Subject]:
    """URLs, with citation ids resolved: a rule must hold by whatever name. A search has its query."""
    given: list[object] = []
    for name in ("page", "query", "source"):
        value: object = call.arguments.get(name, "")
        given += [value] if value else []
    for name in ("pages", "more_queries"):
        several: object = call.arguments.get(name)
        if isinstance(several, list):
            given += cast("list[object]", several)
    if call.kind == "resource":
        given = [call.name]
    return [Subject(_named(web, str(item))) for item in given]


def _named(web: Web, text: str) -> str:
    try:
        return web.url(text) if len(text) < 12 and " " not in text else text
    except CallError:
        return text
