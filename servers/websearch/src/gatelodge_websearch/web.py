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
from gatelodge_websearch.folders import Folders
from gatelodge_websearch.leaving import Leaving
from gatelodge_websearch.naming import Naming
from gatelodge_websearch.pages import Page
from gatelodge_websearch.pdf.reading import PdfReader
from gatelodge_websearch.reader import Reader
from gatelodge_websearch.settings import WebsearchSettings, words
from gatelodge_websearch.store import Shelf, Store

USER_AGENT = "gatelodge-websearch/0.1 (reads pages for a person's assistant)"


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
        self.leaving = Leaving(self.cleanser)
        # Made before the process is confined: they read certificate authorities.
        self.egress = pages or Egress(page_egress(settings), context=_context(settings))
        self.services = services or Egress(service_egress(settings), context=_context(settings))
        path = os.path.join(settings.state_path, "websearch", "pages.db")
        self.store = Store(path, settings.cache_mb * 1024 * 1024)
        self.folders = Folders(settings.folders, os.path.join(settings.state_path, "websearch", "folders.db"))
        # With a list of domains in the settings, those on it are named, and the others are not read in any case.
        self.naming = Naming(self.store, strict=settings.strict and not settings.allow_domains)
        self.pdf = PdfReader(confined=settings.sandbox != "off")
        self.reader = Reader(
            self.egress,
            Policy.of(page_egress(settings)),
            self.store,
            self.naming,
            self.leaving,
            self.pdf,
            robots=settings.robots == "on",
            cache_seconds=settings.cache_seconds,
        )

        self.desk = Desk(
            [Gate(engine) for engine in self._engines()],
            self.store,
            self.leaving,
            combine=settings.combine == "all",
            cache_seconds=settings.cache_seconds,
            denied=words(settings.deny_domains),
            hedge=settings.hedge_seconds,
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
        """Close the store, and end what parses PDF files."""
        self.store.close()
        self.folders.close()
        self.pdf.close()

    async def aclose(self) -> None:
        """Close every connection."""
        await self.egress.aclose()
        await self.services.aclose()

    def url(self, page: str, shelf: Shelf | None = None) -> str:
        """The URL that a tool's argument means: itself, or what a citation id stands for.

        Args:
            page: The argument.
            shelf: Of the caller whose id it is; of the call that is being served unless given.

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
        name = page.strip().lower().lstrip("[").rstrip("]")
        found = (shelf or self.store.mine()).cited(name) or self.folders.path(name)
        if not found:
            raise CallError("unknown_id", "No page or result has that id.", "Give its URL, or search again.")
        return found

    async def read(self, page: str, *, include_hidden: bool = False) -> Page:
        """Read a page by URL or citation id, or a file of a folder by path or id; errors as of `Reader.page`."""
        url = self.url(page)
        if self.folders and "://" not in url:
            found = await anyio.to_thread.run_sync(self.folders.page, url)
            if found is not None:
                return found
        return await self.reader.page(url, include_hidden=include_hidden)

    def kept(self, version: str) -> Page | None:
        """A page that the caller read, or a file of a folder, by the beginning of its version."""
        return self.store.mine().by_version(version) or self.folders.by_version(version)


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
