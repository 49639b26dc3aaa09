"""robots.txt: its size costs no more than that, and it is asked before each request, redirects too."""

from __future__ import annotations

import threading
from pathlib import Path

import anyio
import pytest
from gatelodge_websearch import robots
from gatelodge_websearch.robots import MAX_RULES, Rules, parse

from tests.sandbox.egress.site import Answerer, Asked, Writer, reply, serving
from tests.websearch.support import server

pytestmark = pytest.mark.anyio

HTML = {"Content-Type": "text/html"}
PLAIN = {"Content-Type": "text/plain"}
PAGE = b"<main><p>A page about a fox and its ways in the forest.</p></main>"
SIZE = 512 * 1024


def filled(head: str, unit: str) -> str:
    return head + unit * ((SIZE - len(head)) // len(unit))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        filled(filled("", "user-agent:a\n")[: SIZE // 2] + "\n", "allow:/\n"),
        filled(filled("", "user-agent:*\n")[: SIZE // 2] + "\n", "allow:/\n"),
        filled(filled("", "user-agent:gatelodge\n")[: SIZE // 2] + "\n", "disallow:/x\n"),
        "".join(f"user-agent:a{number}\n" for number in range(15_000)) + "allow:/\n" * 30_000,
        filled("", "user-agent:*\nallow:/\n"),
        filled("user-agent:*\ndisallow:/", "*a"),
        filled("user-agent:*\n", "disallow:/*ab*cd*ef$\n"),
        filled("user-agent:*\ndisallow:/", "%41"),
        filled("", "a"),
        filled("a", " "),
        filled("", " "),
        filled("", ":"),
    ],
    ids=range(12),
)
def test_a_hostile_file_takes_time_in_line_with_its_size(text: str) -> None:
    # The square of its length would be minutes; the limit is the test's own.
    rules = parse(text)
    assert len(rules.rules) <= MAX_RULES
    for path in ("/", "/" + "a" * 4000, "/" + "abcdef" * 600):
        rules.allows(path)


def test_rules_for_others_are_not_kept_and_ours_are_kept_once() -> None:
    names = "user-agent: a\nuser-agent: *\nuser-agent: b\nuser-agent: *\n"
    assert parse(names + "disallow: /x\nallow: /x/y\n") == Rules(((False, "/x"), (True, "/x/y")))
    # A group of our own name counts alone, wherever it stands; one without rules too.
    text = "user-agent: *\ndisallow: /\n\nuser-agent: Gatelodge/1.0\nuser-agent: *\ndisallow: /x\n"
    assert parse(text) == Rules(((False, "/x"),))
    assert parse("user-agent: *\ndisallow: /\nuser-agent: gatelodge\ndisallow:\n") == Rules()
    assert parse("user-agent: gatelodges\ndisallow: /\n") == Rules()


async def test_a_large_file_is_parsed_and_looked_through_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    allows, parses = Rules.allows, robots.parse

    def allowed(rules: Rules, path: str) -> bool:
        threads.append(threading.get_ident())
        return allows(rules, path)

    def parsed(text: str) -> Rules:
        threads.append(threading.get_ident())
        return parses(text)

    monkeypatch.setattr(Rules, "allows", allowed)
    monkeypatch.setattr(robots, "parse", parsed)
    text = filled("user-agent:*\n", "disallow:/private\n").encode()

    async def answer(asked: Asked, writer: Writer) -> None:
        await (reply(200, text, PLAIN) if asked.path == "/robots.txt" else reply(200, PAGE, HTML))(asked, writer)

    async with serving(answer) as site, server(tmp_path, site, robots="on") as called:
        assert "fox" in await called.text("read_page", pages=["http://a.example.net/"])
        assert "robots_disallowed" in await called.error("read_page", pages=["http://a.example.net/private/x"])
    assert len(threads) == 3
    assert threading.get_ident() not in threads


def disallowing(**redirects: str) -> Answerer:
    """A site that redirects by path, and whose robots.txt disallows `/private`."""

    async def answer(asked: Asked, writer: Writer) -> None:
        to = redirects.get(asked.path.strip("/").partition("?")[0])
        if asked.path == "/robots.txt":
            given = reply(200, b"User-agent: *\nDisallow: /private\n", PLAIN)
        else:
            given = reply(302, b"", {"Location": to}) if to else reply(200, PAGE, HTML)
        await given(asked, writer)

    return answer


@pytest.mark.parametrize(
    "path",
    [
        "/private/x",
        "/%70rivate/x",
        "/on",
        "http://b.example.net/private/x",
        "http://b.example.net/on",
        "/a/../private/",
    ],
)
async def test_a_redirect_to_what_robots_txt_disallows_is_not_followed(tmp_path: Path, path: str) -> None:
    async with (
        serving(disallowing(go=path, on="/private/y")) as site,
        server(tmp_path, site, robots="on") as called,
    ):
        refused = await called.error("read_page", pages=["http://a.example.net/go"])
        assert "robots_disallowed" in refused
        assert [asked.path for asked in site.asked if "rivate" in asked.path] == []


async def test_a_redirect_to_what_robots_txt_allows_is_followed_and_it_is_asked_for_once(tmp_path: Path) -> None:
    async with (
        serving(disallowing(go="/on", on="http://b.example.net/open", open="/end")) as site,
        server(tmp_path, site, robots="on") as called,
    ):
        assert "fox" in await called.text("read_page", pages=["http://a.example.net/go"])
        asked = [(asked.headers["host"][0], asked.path) for asked in site.asked]
        assert asked == [
            *(("a", "/robots.txt"), ("a", "/go"), ("a", "/on")),
            *(("b", "/robots.txt"), ("b", "/open"), ("b", "/end")),
        ]


async def test_many_pages_that_redirect_at_once_do_not_wait_for_each_others_connections(tmp_path: Path) -> None:
    async with (
        serving(disallowing(go="http://b.example.net/open")) as site,
        server(tmp_path, site, robots="on") as called,
    ):

        async def one(number: int) -> None:
            assert "fox" in (await called.web.read(f"http://a.example.net/go?{number}")).markdown

        async def two(number: int) -> None:
            with anyio.fail_after(30):
                await one(number)

        async with anyio.create_task_group() as group:
            for number in range(150):
                group.start_soon(two, number)
