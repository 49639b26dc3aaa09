"""The web search server, put together."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from urllib.parse import urlsplit

from gatelodge_core.declare import Declarations, merged
from gatelodge_core.effects import PRIVATE
from gatelodge_core.keeper import Keeper
from gatelodge_core.numbers import whole
from gatelodge_core.sandbox import profiles
from gatelodge_core.sandbox.profiles import Profile
from gatelodge_core.server import Identity, Lodge

from gatelodge_websearch.folders import real
from gatelodge_websearch.prompts import prompts
from gatelodge_websearch.resources import resources
from gatelodge_websearch.settings import WebsearchSettings
from gatelodge_websearch.subjects import doubts, effect, subjects
from gatelodge_websearch.surface import INSTRUCTIONS
from gatelodge_websearch.tools.reading import reading
from gatelodge_websearch.tools.searching import searching
from gatelodge_websearch.viewing import viewing
from gatelodge_websearch.web import Web, searxng_place

OFFERED: Declarations[Web] = merged([searching, reading, resources, prompts, viewing])
"""Everything there is, whatever the settings."""


def declarations(settings: WebsearchSettings) -> Declarations[Web]:
    """What the server offers under these settings: all of it, since it only reads. Files of folders are private."""
    offered = OFFERED.chosen(lambda _: True)
    if not settings.apps:
        offered = offered.without_views()
    if not settings.folders:
        return offered
    for name in ("search_local", "read_page", "find_in_page"):
        tool = offered.tools[name]
        offered.tools[name] = replace(tool, nature=replace(tool.nature, yields=tool.nature.yields | PRIVATE))
    return offered


def profile(settings: WebsearchSettings) -> Profile:
    """What the process may reach: the ports of pages and services, its state, and certificate authorities."""
    ports = {80, 443, *settings.port_numbers}
    if settings.searxng_url:
        ports.add(searxng_place(settings)[1])
    if settings.proxy and (port := urlsplit(settings.proxy).port):
        ports.add(port)
    for pair in settings.allow_hosts.split(","):
        port = whole(pair.strip().rpartition(":")[2], 5)
        ports |= set[int]() if port is None else {port}
    read = [os.path.abspath(os.path.expanduser(settings.ca_file))] if settings.ca_file else []
    read += real(settings.folders)
    return profiles.websearch(settings.state_path, ports=sorted(ports), read=read)


def build(settings: WebsearchSettings, web: Web | None = None) -> Lodge[Web]:
    """Open the store and the journal, and put the server together.

    Args:
        settings: The settings.
        web: The domain; made from the settings unless given.

    Raises:
        SettingsError: A setting or the state directory can't be used.
        JournalError: No journal can be kept.
    """
    identity = Identity(
        "websearch",
        "Gatelodge Web Search",
        "Searches the web and reads pages as data.",
        INSTRUCTIONS,
        version("gatelodge-websearch"),
    )
    domain = web or Web(settings)
    if web is None:
        # A confined process can start none.
        domain.pdf.start()
    offered = declarations(settings)
    keeper = Keeper(
        settings,
        identity,
        offered,
        subjects=partial(subjects, domain),
        effect=partial(effect, domain),
        doubts=partial(doubts, domain),
    )

    @asynccontextmanager
    async def life() -> AsyncGenerator[None]:
        async with keeper.life(domain.close):
            try:
                yield
            finally:
                await domain.aclose()

    return Lodge(
        identity,
        offered,
        domain,
        keeper.steps,
        ready=keeper.ready,
        states=keeper.states,
        profile=keeper.confined(profile(settings)),
        start=keeper.start,
        hidden=keeper.hidden,
        replicas=keeper.replicas,
        result_bytes=settings.result_bytes,
        turned_away=keeper.turned_away,
        life=life,
    )
