"""No tool answers more than it promises, whatever a page or an engine puts in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.sandbox.egress import Egress
from gatelodge_websearch.budget import MAX_TOKENS
from gatelodge_websearch.showing import fitting, tokens

from tests.sandbox.egress.site import Asked, Names, Network, Writer, reply, serving
from tests.websearch.support import server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

HTML = {"Content-Type": "text/html; charset=utf-8"}
A = "http://a.example.net/"
UNITS = {
    "letters": "fox ",
    "four bytes": "fox \U0001f98a",
    "hidden characters": "fox \u202e\u2066\u202d\u2067",
    "secrets": "fox password=hunter12 ",
    "one word": "fox",
}
LONG = [f"{A}{'x' * 3900}{number}" for number in range(9)]


def page(unit: str, repeat: int = 150_000) -> bytes:
    """A page that is too long in every part of it: title, headings, links and text."""
    text = unit * (repeat // len(unit))
    links = "".join(
        f"<p><a href='/{number}{'(' * 1900}'>{unit * (150 // len(unit))} {number}</a></p>" for number in range(150)
    )
    parts = "".join(f"<h2>{unit * 300}</h2><p>{text[:2000]}</p>" for _ in range(100))
    return f"<title>{text}</title><main><h1>{text[:9000]}</h1><p>A fox. {text}</p>{parts}{links}</main>".encode()


@pytest.mark.parametrize("kind", UNITS)
async def test_a_page_of_any_size_is_told_within_the_promised_tokens(tmp_path: Path, kind: str) -> None:
    body = page(UNITS[kind])

    async def answer(asked: Asked, writer: Writer) -> None:
        number = int(asked.path[-1]) if asked.path[-1].isdigit() else 9
        # Four redirects, all long, before the page.
        await (reply(302, b"", {"Location": LONG[number + 1]}) if number < 4 else reply(200, body, HTML))(asked, writer)

    async with serving(answer) as site, server(tmp_path, site) as called:
        calls: list[tuple[str, dict[str, Any]]] = [
            ("read_page", {"pages": [A], "max_tokens": MAX_TOKENS}),
            ("read_page", {"pages": [A], "max_tokens": MAX_TOKENS, "format": "outline"}),
            ("read_page", {"pages": [A], "max_tokens": MAX_TOKENS, "query": "fox"}),
            ("read_page", {"pages": [A], "max_tokens": MAX_TOKENS, "section": "2", "format": "text"}),
            ("read_page", {"pages": [f"{A}{number}" for number in range(5)], "max_tokens": MAX_TOKENS}),
            ("find_in_page", {"page": A, "text": "fox", "limit": 100}),
            ("list_links", {"page": A, "limit": 500}),
            ("search_local", {"query": "fox", "max_results": 50}),
        ]
        for name, arguments in calls:
            text = await called.text(name, **arguments)
            assert tokens(text) <= MAX_TOKENS, (name, arguments)
            assert "fox" in text.lower()


async def test_links_and_places_come_in_parts_that_join_to_the_whole(tmp_path: Path) -> None:
    async with serving(reply(200, page("fox \U0001f98a"), HTML)) as site, server(tmp_path, site) as called:
        urls: list[str] = []
        while True:
            found = await called.record("list_links", page=A, limit=500, offset=len(urls))
            assert found["shown"] == len(found["links"]) > 0
            urls += [link["url"] for link in found["links"]]
            if len(urls) >= found["total"]:
                break
        assert found["total"] == len(set(urls)) == 150
        assert (await called.record("list_links", page=A, offset=150))["links"] == []
        cursors: list[str] = []
        for _ in range(3):
            text = await called.text("find_in_page", page=A, text="fox", limit=100, offset=len(cursors))
            lines = [line for line in text.splitlines() if re.match(r"[0-9a-f]{12}-[0-9]+ ", line)]
            assert f"shown {len(lines)} of " in text
            cursors += [line.split()[0] for line in lines]
        places = [int(cursor.rpartition("-")[2]) for cursor in cursors]
        assert len(places) > 50
        assert places == sorted(places)


@pytest.mark.parametrize("kind", UNITS)
async def test_an_engines_answer_of_any_size_is_told_within_the_promised_tokens(tmp_path: Path, kind: str) -> None:
    unit = UNITS[kind]
    hits = [
        {"url": f"{A}{number}/{'x' * (3900 if number % 2 else 9000)}", "title": unit * 250, "content": unit * 400}
        for number in range(44)
    ]
    silent = [[unit * 400, "x"] for _ in range(9)]
    table = json.dumps({"results": hits, "unresponsive_engines": silent}, ensure_ascii=False).encode()
    assert len(table) < 1024 * 1024, "as much as is taken of a service"

    async def answer(asked: Asked, writer: Writer) -> None:
        search = "/search?" in asked.path
        await reply(200, table if search else b"<p>A fox.", {"Content-Type": "application/json"} if search else HTML)(
            asked, writer
        )

    async with serving(answer) as site:
        services = Egress(resolver=Names(), backend=Network(site))
        given: dict[str, Any] = {"engines": "searxng", "searxng_url": "http://searx.example.net/"}
        async with server(tmp_path, site, services=services, **given) as called:
            found = await called.record("search_web", query="fox", max_results=50, detail="full")
            assert 0 < found["shown"] == len(found["results"]) < found["total"] == len(hits) // 2
            for name, arguments in (
                ("search_web", {"query": "fox", "max_results": 50, "detail": "full"}),
                ("research_web", {"query": "fox", "read_top": 10, "max_tokens": MAX_TOKENS}),
            ):
                text = await called.text(name, **arguments)
                assert tokens(text) <= MAX_TOKENS, name


@pytest.mark.parametrize(
    "text", ["\U0001f98a" * 500 + "a" * 5000, "a" * 500 + "\U0001f98a" * 5000, "é" * 3000, "a" * 9000, "日"]
)
@pytest.mark.parametrize("budget", [0, 1, 100, 999, 20_000])
def test_what_fits_a_budget_is_within_it_and_nearly_fills_it(text: str, budget: int) -> None:
    size = fitting(text, budget)
    assert tokens(text[:size]) <= budget
    assert size == len(text) or tokens(text[: size + 1]) > budget
