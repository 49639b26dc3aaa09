"""Search results as cards: what leads where is told by the address, and the host alone opens it."""

from __future__ import annotations

import pytest

from tests.apps.fixtures import content, host
from tests.apps.hostile import ADDRESSES, BIDI, MARKUP
from tests.apps.hosting import Host, result_with
from tests.browser.finding import needs_chromium
from tests.browser.fixtures import browser, page
from tests.support.wire import Message

__all__ = ["browser", "host", "page"]
pytestmark = needs_chromium


def found(*results: Message, total: int = 0, engines: list[Message] | None = None) -> Message:
    record = {"search": "s", "results": list(results), "shown": len(results), "total": total or len(results), "engines": engines or []}  # fmt: skip
    return {"content": [{"type": "text", "text": "x"}], "structuredContent": record}


def hit(
    url: str = "https://a.example/page", title: str = "A page", snippet: str = "Some words.", **more: object
) -> Message:
    return {
        "id": "cabcdefgh",
        "title": title,
        "url": url,
        "snippet": snippet,
        "published": "",
        "engines": ["e"],
        **more,
    }


@pytest.fixture
def shown(host: Host) -> Host:
    host.mount(content("results_view"))
    return host


def test_a_card_has_title_site_snippet_and_what_to_cite(shown: Host) -> None:
    shown.give(found(hit(published="2026-05-01"), total=12), {"query": "some words"})
    assert shown.text("h1") == "1 result for “some words”"
    told = shown.text(".card")
    for words in ("A page", "a.example", "/page", "2026-05-01", "cabcdefgh", "by e", "Some words."):
        assert words in told
    assert "11 more results not shown." in shown.text()


def test_a_link_is_opened_by_the_host_and_by_nobody_else(shown: Host) -> None:
    address = "https://a.example/page?x=1#y"
    shown.give(found(hit(address)))
    assert shown.inside("document.querySelectorAll('a, [href]').length") == 0
    shown.click(".card button")
    shown.page.wait("host.links.length === 1")
    assert shown.links == [address]
    assert ("link", "A page") in shown.accessible()


def test_a_link_that_the_host_refuses_is_told(shown: Host) -> None:
    shown.give(found(hit()))
    shown.page.evaluate("host.refusal = 'not allowed here'")
    shown.click(".card button")
    shown.see("document.getElementById('said').role === 'alert'")
    assert shown.text("#said") == "The host did not open a.example: not allowed here"


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_is_no_address_of_a_web_page_is_no_link(shown: Host, address: str) -> None:
    shown.give(found(hit(address)))
    assert shown.inside("document.querySelectorAll('.card button').length") == 0
    assert "not a web address" in shown.text(".card")
    # Even where a script in the page would ask for it, it does not go out.
    assert shown.links == []


def test_the_name_of_a_site_is_the_browsers_reading_of_the_address(shown: Host) -> None:
    shown.give(
        found(hit("https://www.p\u0430ypal.example/", title="www.paypal.example"), hit("https://EXAMPLE.org:8443/a"))
    )
    sites = shown.texts(".site > span:first-child")
    assert sites[0].startswith("www.xn--")
    assert sites[1] == "example.org"


def test_titles_and_snippets_are_text_whatever_they_say(shown: Host) -> None:
    shown.give(found(*(hit(title=f"{words}{BIDI}", snippet=words) for words in MARKUP)), {"query": MARKUP[0]})
    assert shown.texts(".card h2") == [f"{words}⟦U+202E⟧" for words in MARKUP]
    assert shown.texts(".card .words") == list(MARKUP)
    assert shown.inside("document.querySelectorAll('#view img, #view script, #view svg, #view iframe').length") == 0


def test_engines_that_gave_nothing_are_named_since_blocked_is_not_empty(shown: Host) -> None:
    engines: list[Message] = [
        {"engine": "one", "status": "ok"},
        {"engine": "two", "status": "rate_limited", "retry_after": 30},
    ]
    shown.give(found(engines=engines))
    assert shown.text("h1") == "Nothing found"
    assert shown.texts(".states li") == ["two: rate limited, again in 30 s"]


def test_pages_that_were_read_are_cards_with_their_number_and_passages(shown: Host) -> None:
    pages: list[Message] = [
        {"id": "c1", "title": "One", "url": "https://one.example/", "published": "", "trouble": "", "passages": [["Top > Part", "First."], ["", "Second."]]},
        {"id": "c2", "title": "Two", "url": "https://two.example/", "published": "", "trouble": "not_found: gone.", "passages": []},
        {"id": "c3", "title": "Three", "url": "https://three.example/", "published": "", "trouble": "", "passages": []},
    ]  # fmt: skip
    shown.give(result_with({"kind": "pages", "query": "q", "pages": pages}), {"query": "q"})
    cited = shown.inside("[...document.querySelectorAll('.cited')].map(one => one.textContent)")
    assert cited == ["Cited as [1]", "Cited as [2]", "Cited as [3]"]
    cards = shown.texts(".card")
    assert "First." in cards[0]
    assert "1 more passage" in cards[0]
    assert "Not read: not_found: gone." in cards[1]
    assert "nothing in it fits the question" in cards[2]


def test_a_host_that_opens_no_links_gets_plain_titles(host: Host) -> None:
    host.mount(content("results_view"), able={})
    host.give(found(hit()))
    assert host.inside("document.querySelectorAll('.card button').length") == 0
    assert host.text(".card h2") == "A page"


def test_on_a_phone_no_card_is_wider_than_the_screen(shown: Host) -> None:
    shown.page.viewport(320, 700, touch=True)
    shown.give(found(hit(f"https://{'a' * 60}.example/{'b' * 300}", title="t" * 200, snippet="s" * 1000)))
    assert shown.inside("document.documentElement.scrollWidth") == 320
