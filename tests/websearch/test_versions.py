"""A cursor and a resource stand for exactly the version of a page that they were given for."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp_types import TextResourceContents

from tests.sandbox.egress.site import Asked, Writer, reply, serving
from tests.websearch.support import Called, server

pytestmark = pytest.mark.anyio

HTML = {"Content-Type": "text/html"}
HIDDEN = "canary of the hidden text"
URL = "http://a.example.net/"


def page(count: int = 200) -> bytes:
    """A page with a hidden part at its beginning and at its end."""
    shown = "".join(
        f"<p>Paragraph {number} tells of matter <a href='m/{number}'>number {number}</a> at length.</p>"
        for number in range(count)
    )
    hidden = f"<p style='display:none'>{f'{HIDDEN}. ' * 60}</p>"
    return f"<main><h1>Matters</h1>{hidden}{shown}{hidden}</main>".encode()


def cursor_of(text: str) -> str:
    return text.partition("MORE: cursor=")[2].split()[0]


def resource_of(text: str) -> str:
    return "web://page/" + text.partition("web://page/")[2].split()[0].rstrip(",")


def first(text: str) -> int:
    """The number of the first paragraph that is shown."""
    return int(text.partition("Paragraph ")[2].split()[0])


async def resource(called: Called, uri: str) -> str:
    content = (await called.client.read_resource(uri)).contents[0]
    assert isinstance(content, TextResourceContents)
    return content.text


async def test_a_cursor_goes_on_in_the_version_it_is_of_and_says_which(tmp_path: Path) -> None:
    async with serving(reply(200, page(), HTML)) as site, server(tmp_path, site) as called:
        shown = await called.text("read_page", pages=[URL], max_tokens=1000)
        hidden = await called.text("read_page", pages=[URL], max_tokens=1200, include_hidden=True)
        assert "hidden text included" in hidden
        assert "hidden text included" not in shown
        read = shown.count("Paragraph")
        # Whatever was read last, and whatever the call says of hidden text.
        for said in ({}, {"include_hidden": True}):
            text = await called.text("read_page", pages=[URL], cursor=cursor_of(shown), max_tokens=20_000, **said)
            assert HIDDEN not in text
            assert "hidden text included" not in text
            assert first(text) == read
            text = await called.text("read_page", pages=[URL], cursor=cursor_of(hidden), max_tokens=20_000, **said)
            assert HIDDEN in text
            assert "hidden text included" in text


async def test_a_resource_is_the_version_it_was_named_for(tmp_path: Path) -> None:
    async with serving(reply(200, page(), HTML)) as site, server(tmp_path, site) as called:
        shown = resource_of(await called.text("read_page", pages=[URL]))
        hidden = resource_of(await called.text("read_page", pages=[URL], include_hidden=True))
        assert shown != hidden
        text = await resource(called, shown)
        assert HIDDEN not in text
        assert "hidden text included" not in text
        text = await resource(called, hidden)
        assert HIDDEN in text
        assert "hidden text included" in text


async def test_equal_bytes_at_two_addresses_are_two_pages(tmp_path: Path) -> None:
    async with serving(reply(200, page(), HTML)) as site, server(tmp_path, site) as called:
        one = await called.text("read_page", pages=["http://a.example.net/one/"], max_tokens=1000)
        other = await called.text("read_page", pages=["http://b.example.net/two/"], max_tokens=1000)
        for text, base in ((one, "http://a.example.net/one/"), (other, "http://b.example.net/two/")):
            for found in (
                await called.text("read_page", pages=[base], cursor=cursor_of(text)),
                await resource(called, resource_of(text)),
            ):
                assert f"url: {base}\n" in found
                assert f"({base}m/50)" in found


async def test_a_cursor_in_a_text_without_links_goes_on_in_that_text(tmp_path: Path) -> None:
    async with serving(reply(200, page(), HTML)) as site, server(tmp_path, site) as called:
        plain = await called.text("read_page", pages=[URL], max_tokens=1000, links=False)
        linked = await called.text("read_page", pages=[URL], max_tokens=1000)
        for links in (True, False):
            text = await called.text("read_page", pages=[URL], cursor=cursor_of(plain), links=links)
            assert first(text) == plain.count("Paragraph")
            assert "](http" not in text
            text = await called.text("read_page", pages=[URL], cursor=cursor_of(linked), links=links)
            assert first(text) == linked.count("Paragraph")
            assert "](http" in text


async def test_a_cursor_of_a_page_that_has_changed_since_is_stale(tmp_path: Path) -> None:
    async def answer(asked: Asked, writer: Writer) -> None:
        await reply(200, page(200 + len(site.asked)), HTML)(asked, writer)

    async with serving(answer) as site, server(tmp_path, site, cache_seconds=0) as called:
        before = await called.text("read_page", pages=[URL], max_tokens=1000)
        after = await called.text("read_page", pages=[URL], max_tokens=1000)
        assert "stale_cursor" in await called.error("read_page", pages=[URL], cursor=cursor_of(before))
        assert "Paragraph" in await called.text("read_page", pages=[URL], cursor=cursor_of(after))


async def test_two_equal_files_of_folders_are_two_pages(tmp_path: Path) -> None:
    text = "\n\n".join(f"Paragraph {number} tells of foxes at some length." for number in range(300))
    for name in ("one", "two"):
        (tmp_path / "notes" / name).mkdir(parents=True)
        (tmp_path / "notes" / name / "fox.md").write_text(text)
    async with server(tmp_path, folders=[str(tmp_path / "notes")]) as called:
        assert (await called.record("search_local", query="foxes"))["total"] == 2
        for path in ("notes/one/fox.md", "notes/two/fox.md"):
            read = await called.text("read_page", pages=[path], max_tokens=500)
            assert f"url: {path}\n" in await called.text("read_page", pages=[path], cursor=cursor_of(read))
            assert f"url: {path}\n" in await resource(called, resource_of(read))
