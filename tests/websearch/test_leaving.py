"""What leaves: a secret is in no request, by whichever tool and argument it came."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from gatelodge_core.sandbox.egress import Egress

from tests.sandbox.egress.site import Asked, Names, Network, Site, Writer, reply, serving
from tests.support.planted import ALNUM, some
from tests.websearch.support import Called, server
from tests.websearch.test_searching import api

pytestmark = pytest.mark.anyio

CANARY = "gh" + "p_" + some(ALNUM, 36)
CONFIGURED = "ConfiguredSecretValue"
FULLWIDTH = "".join(chr(ord(char) + 0xFEE0) for char in CANARY)
PERCENT = "".join(f"%{ord(char):02x}" for char in CANARY)
USUAL: dict[str, dict[str, Any]] = {
    "search_web": {"query": "fox"},
    "research_web": {"query": "fox", "read_top": 1},
    "read_page": {"pages": ["http://a.example.net/"]},
    "find_in_page": {"page": "http://a.example.net/", "text": "fox"},
    "list_links": {"page": "http://a.example.net/"},
    "search_local": {"query": "fox"},
    "show_engines": {},
}
FORMS = [
    *(CANARY, f"{CANARY}.org", f"www.{CANARY}.org", f"*.{CANARY}.org", FULLWIDTH, f"{FULLWIDTH}.org"),
    *(PERCENT, PERCENT.replace("%", "%25"), PERCENT.replace("%", "%252525")),
    *(f"http://a.example.net/{CANARY}", f"http://{CANARY}.example.net/", f"http://a.example.net/?utm_source=x&{CANARY}=1"),
    *(f"http://{FULLWIDTH}.example.net/", f"http://a.example.net/{PERCENT}", f"http://a.example.net/#{CANARY}"),
    *(f"2026-01-01..{CANARY}", f"us-{CANARY}", CONFIGURED, f"{CONFIGURED}.org", f"http://a.example.net/{CONFIGURED}"),
]  # fmt: skip


def sent(site: Site) -> str:
    """All that arrived, in the plainest spelling."""
    text = "\n".join(f"{asked.path} {asked.headers} {asked.body.decode()}" for asked in site.asked)
    for _ in range(4):
        text = unquote_plus(text)
    return unicodedata.normalize("NFKC", text).lower()


async def answer(asked: Asked, writer: Writer) -> None:
    # A search of any of the three engines, or a page.
    if "search" in asked.path:
        hit = {"url": "http://b.example.net/", "title": "Fox", "content": "fox"}
        await api({"results": [hit], "web": {"results": [hit]}})(asked, writer)
    else:
        await reply(200, b"<main><p>A page about a fox and its ways.</p></main>", {"Content-Type": "text/html"})(
            asked, writer
        )


@asynccontextmanager
async def asked_engines(folder: Path) -> AsyncGenerator[tuple[Site, Called]]:
    """A server whose engines and pages are one site."""
    async with serving(answer) as site:
        services = Egress(resolver=Names(), backend=Network(site))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gatelodge_websearch.engines.services.BRAVE", "http://api.brave.example.net")
            patch.setattr("gatelodge_websearch.engines.services.TAVILY", "http://api.tavily.example.net")
            given: dict[str, Any] = {
                "searxng_url": "http://searx.example.net/",
                "brave_key": CONFIGURED + "2",
                "tavily_key": CONFIGURED,
            }
            async with server(
                folder, site, services=services, engines="searxng,brave,tavily", combine="all", robots="on", **given
            ) as called:
                for gate in called.web.desk.gates:
                    # No test waits for a plan's rate.
                    gate.engine.__dict__["per_second"] = 10_000.0
                yield site, called


def words_of(schema: dict[str, Any]) -> dict[str, bool]:
    """Names of the arguments that take text, and whether it is a list of texts."""
    found: dict[str, bool] = {}
    for name, given in schema.get("properties", {}).items():
        if given.get("type") == "array" and given["items"].get("type") == "string":
            found[name] = True
        elif given.get("type") == "string":
            found[name] = False
    return found


async def test_a_secret_leaves_by_no_tool_and_no_argument(tmp_path: Path) -> None:
    async with asked_engines(tmp_path) as (site, called):
        tools = (await called.client.list_tools()).tools
        assert {tool.name for tool in tools} == set(USUAL)
        tried = 0
        for tool in tools:
            usual = USUAL[tool.name]
            assert not (await called.call(tool.name, **usual))[0]
            for name, many in words_of(tool.input_schema).items():
                for form in FORMS:
                    await called.call(tool.name, **{**usual, name: [form] if many else form})
                    tried += 1
                    if many:
                        await called.call(tool.name, **{**usual, name: ["fox.example.org", form]})
        assert tried > 300
        arrived = sent(site).replace(f"bearer {CONFIGURED.lower()}", "").replace(f"{CONFIGURED.lower()}2", "")
        assert "fox" in arrived
        assert CANARY.lower() not in arrived
        assert CONFIGURED.lower() not in arrived


@pytest.mark.parametrize("name", ["include_domains", "exclude_domains", "more_queries"])
async def test_a_secret_in_an_argument_is_refused_by_the_arguments_name(tmp_path: Path, name: str) -> None:
    async with asked_engines(tmp_path) as (site, called):
        for tool in ("search_web", "research_web"):
            refused = await called.error(tool, query="fox", **{name: [f"{CANARY}.org"]})
            assert "secret_in_request" in refused
            assert name in refused
            assert CANARY not in refused
        assert site.asked == []


@pytest.mark.parametrize(
    "domain",
    ["a." * 125 + "example.org", f"{'a' * 64}.org", "a..org", ".org", "a b.org", "org", f"{'ü' * 60}.org", "-a.org"],
)
async def test_a_domain_that_can_be_none_is_refused(tmp_path: Path, domain: str) -> None:
    async with asked_engines(tmp_path) as (site, called):
        assert "invalid_arguments" in await called.error("search_web", query="fox", include_domains=[domain])
        assert site.asked == []


@pytest.mark.parametrize("domain", [f"{'a' * 63}.org", "a." * 120 + "example.org", "bücher.example", "*.example.org"])
async def test_a_domain_that_is_as_long_as_may_be_is_asked_for(tmp_path: Path, domain: str) -> None:
    async with asked_engines(tmp_path) as (site, called):
        await called.record("search_web", query="fox", include_domains=[domain])
        assert domain.removeprefix("*.") in sent(site)
