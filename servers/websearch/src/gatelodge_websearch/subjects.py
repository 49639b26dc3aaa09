"""What policies and people are told of a call: the pages it reads, or the question it asks; and what is odd in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import anyio.to_thread
from gatelodge_core.effects import Rule
from gatelodge_core.errors import CallError
from gatelodge_core.guard.admission import plain_effect
from gatelodge_core.guard.call import Call, Doubt, Subject
from gatelodge_core.sandbox.egress.names import Target, parse

from gatelodge_websearch.carrying import suspicious
from gatelodge_websearch.naming import ADMITTED
from gatelodge_websearch.reader import without_tracking
from gatelodge_websearch.store import Shelf
from gatelodge_websearch.web import Web


async def subjects(web: Web, call: Call) -> list[Subject]:
    """What a call acts on: a page is told as its host and as ``host/path``, whatever its spelling; a search has its query.

    Citation ids are resolved: a rule must hold by whatever name.
    """
    shelf = web.store.of(call.principal)
    given = [*_texts(call, "page", "pages"), *_texts(call, "query", "source", "more_queries")]
    if call.kind == "resource":
        given = [call.name]
    found = [Subject(_named(web, text, shelf)) for text in given]
    for _, target in _targets(web, call, shelf):
        path = target.url.raw_path.decode("ascii").partition("?")[0]
        found += [Subject(target.host), Subject(target.host + path)]
    return found


async def effect(web: Web, call: Call) -> str:
    """What a call would do, for the person who is asked: the addresses in full, whatever they were called by."""
    shelf = web.store.of(call.principal)
    lines = [f"Read {url}" for url, _ in _targets(web, call, shelf)]
    return "\n".join([*lines, await plain_effect(call)])


async def doubts(web: Web, call: Call) -> list[Doubt]:
    """What in a call the person is asked about: an unnamed domain in strict mode; an address that looks like a carrier.

    A page that the tool itself refuses needs no question.
    """
    shelf = web.store.of(call.principal)
    targets = list(_targets(web, call, shelf))
    ADMITTED.set(frozenset(target.host for _, target in targets))
    found: list[Doubt] = []
    for url, target in targets:
        subject = Subject(target.host)
        if web.naming.strict and not await web.naming.named(target.host, shelf):
            reason = (
                f"no search result, setting or policy has named {target.host}; after a yes, its other pages are read "
                "without asking."
            )
            found.append(Doubt(Rule.CONFIRM, reason, subject))
        # Hardly any address needs the long look.
        if suspicious(url, lambda _: False) and (size := await anyio.to_thread.run_sync(suspicious, url, shelf.saw)):
            reason = (
                f"the address sends {size} characters to {target.host} that stand in no page or result read so far, "
                "as data would that is smuggled out."
            )
            found.append(Doubt(Rule.CONFIRM, reason, subject))
    return found


def _texts(call: Call, *names: str) -> list[str]:
    found: list[object] = []
    for name in names:
        value: object = call.arguments.get(name, "")
        found += cast("list[object]", value) if isinstance(value, list) else [value] if value else []
    return [str(item) for item in found]


def _targets(web: Web, call: Call, shelf: Shelf) -> Iterator[tuple[str, Target]]:
    """The pages that a call would fetch, as it would fetch them."""
    if call.kind != "tool":
        return
    for text in _texts(call, "page", "pages"):
        try:
            url = without_tracking(web.url(text, shelf))
            web.leaving.check(url, "URL")
            yield url, parse(url, web.reader.policy)
        except CallError:
            continue


def _named(web: Web, text: str, shelf: Shelf) -> str:
    try:
        return web.url(text, shelf) if len(text) < 12 and " " not in text else text
    except CallError:
        return text
