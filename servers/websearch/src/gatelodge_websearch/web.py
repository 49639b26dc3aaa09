"""The domain of the web search server: the way out, the store, and what reads and searches by them."""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit

import anyio
from gatelodge_core.errors import CallError, SettingsError
from gatelodge_core.keeper import cleanser_of
from gatelodge_core.sandbox.egress import Egress, EgressSettings, Policy
from pydantic import SecretStr

from gatelodge_websearch.engines.desk import Desk
from gatelodge_websearch.engines.gate import Gate
from gatelodge_websearch.engines.model import Engine
from gatelodge_websearch.engines.scraped import Scraped
from gatelodge_websearch.engines.services import Brave, Searxng, Tavily
from gatelodge_websearch.pages import Page, Store
from gatelodge_websearch.reader import Reader
from gatelodge_websearch.settings import WebsearchSettings, words

USER_AGENT = "gatelodge-websearch/0.1 (reads pages for a person's assistant)"
MAX_TOKENS = 20_000


class Web:
    """What tools act on.

    Args:
        settings: The server's settings.
        pages: The way out to pages; made from the settings unless given.
        services: The way out to search services with an API; made from the settings unless given.

    Raises:
        SettingsError: A setting can't be used.
    """

    def __init__(
        self, settings: WebsearchSettings, *, pages: Egress | None = None, services: Egress | None = None
    ) -> None:
        self.settings = settings
        self.cleanser = cleanser_of(settings)
        # Made before the process is confined: they read certificate authorities.
        self.egress = pages or Egress(page_egress(settings), context=_context(settings))
        self.services = services or Egress(service_egress(settings), context=_context(settings))
        path = os.path.join(settings.state_path, "websearch", "pages.db")
        self.store = Store(path, settings.cache_mb * 1024 * 1024)
        self.reader = Reader(
            self.egress,
            Policy.of(page_egress(settings)),
            self.store,
            self.cleanser,
            robots=settings.robots == "on",
            cache_seconds=settings.cache_seconds,
        )

        self.desk = Desk(
            [Gate(engine) for engine in self._engines()],
            self.store,
            combine=settings.combine == "all",
            cache_seconds=settings.cache_seconds,
            denied=words(settings.deny_domains),
        )

    def _engines(self) -> list[Engine]:
        """The engines of the settings, in their order.

        Raises:
            SettingsError: One of them lacks its key or URL.
        """
        given, found = self.settings, list[Engine]()
        threads = anyio.CapacityLimiter(32)
        for name in words(given.engines):
            if name == "searxng":
                searxng_place(given)
                found.append(Searxng(self.services, given.searxng_url))
            elif name == "brave":
                found.append(Brave(self.services, _key("brave_key", given.brave_key)))
            elif name == "tavily":
                found.append(Tavily(self.services, _key("tavily_key", given.tavily_key)))
            else:
                found.append(Scraped(name, proxy=given.proxy, ca_file=given.ca_file, threads=threads))
        return found

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    async def aclose(self) -> None:
        """Close every connection."""
        await self.egress.aclose()
        await self.services.aclose()

    def url(self, page: str) -> str:
        """The URL that a tool's argument means: itself, or what a citation id stands for.

        Raises:
            CallError: `unknown_id`, or it is neither.
        """
        if not page.strip():
            raise CallError("invalid_arguments", "a page is empty.", 'Give a URL or an id, as in pages=["https://…"].')
        if page.lstrip()[0] in '["{':
            raise CallError(
                "invalid_arguments", "a page is JSON in a string.", 'Send an array of plain URLs: ["https://…"].'
            )
        if "/" in page or ":" in page or "." in page:
            return page
        found = self.store.cited(page.strip().lower().lstrip("[").rstrip("]"))
        if not found:
            raise CallError("unknown_id", "No page or result has that id.", "Give its URL, or search again.")
        return found

    async def read(self, page: str, *, include_hidden: bool = False) -> Page:
        """Read a page by URL or citation id; errors as of `Reader.page`."""
        return await self.reader.page(self.url(page), include_hidden=include_hidden)


def _key(name: str, value: SecretStr) -> str:
    if not value.get_secret_value():
        raise SettingsError(f"{name} is empty, but its engine is among engines.")
    return value.get_secret_value()


def page_egress(settings: WebsearchSettings) -> EgressSettings:
    """Where pages may be read from."""
    return EgressSettings(
        ports=settings.port_numbers,
        allow_hosts=tuple(words(settings.allow_hosts)),
        allow_networks=tuple(words(settings.allow_networks)),
        allow_domains=tuple(words(settings.allow_domains)),
        deny_domains=tuple(words(settings.deny_domains)),
        proxy=settings.proxy or None,
        user_agent=USER_AGENT,
    )


def service_egress(settings: WebsearchSettings) -> EgressSettings:
    """Where search services are: public addresses, and the SearXNG that the settings name."""
    hosts: tuple[str, ...] = ()
    ports = frozenset({80, 443})
    if settings.searxng_url:
        host, port = searxng_place(settings)
        hosts, ports = (f"{host}:{port}",), ports | {port}
    return EgressSettings(ports=ports, allow_hosts=hosts, proxy=settings.proxy or None, user_agent=USER_AGENT)


def searxng_place(settings: WebsearchSettings) -> tuple[str, int]:
    """Host and port of the SearXNG in the settings.

    Raises:
        SettingsError: The setting is no URL.
    """
    try:
        parts = urlsplit(settings.searxng_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, None
    if parts is None or not host or parts.scheme not in ("http", "https"):
        raise SettingsError("searxng_url is not a URL, such as https://searx.example.org.")
    return host, port or (443 if parts.scheme == "https" else 80)


def _context(settings: WebsearchSettings) -> ssl.SSLContext | None:
    if not settings.ca_file:
        return None
    try:
        return ssl.create_default_context(cafile=os.path.expanduser(settings.ca_file))
    except (OSError, ssl.SSLError):
        raise SettingsError("ca_file can't be read as certificates in PEM form.") from None
