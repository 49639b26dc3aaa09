"""The driver itself: it must see what it is there to see, or the tests that use it prove nothing."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Generator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.browser.finding import Browser, needs_chromium
from tests.browser.fixtures import browser, page
from tests.browser.page import Page, Scheme
from tests.browser.pipe import BrowserError

__all__ = ["browser", "page"]
pytestmark = needs_chromium

HTML = """<!doctype html><meta charset="utf-8"><title>Bench</title>
<meta name="viewport" content="width=device-width">
<style>body{margin:0;background:#fff} @media (prefers-color-scheme: dark) {body{background:#000}}</style>
<label>Name <input id="name"></label> <button id="go" onclick="document.title = 'clicked'">Go</button>
<iframe id="inner" sandbox="allow-scripts" srcdoc="<p id=p>inside</p><script>window.kept = 42</script>"></iframe>"""


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    file = tmp_path / "bench.html"
    file.write_text(HTML, encoding="utf-8")
    return file


def test_a_page_is_opened_clicked_and_typed_into(page: Page, bench: Path) -> None:
    page.open(bench)
    page.click("#name")
    page.type("Ann\u202e")
    page.press("Tab")
    assert page.evaluate("[document.querySelector('#name').value, document.activeElement.id]") == ["Ann\u202e", "go"]
    page.press("Enter")
    page.wait("document.title === 'clicked'")
    assert page.errors == []
    assert page.requests == []
    assert {"role": "button", "name": "Go", "description": ""} in page.accessible()


def test_a_script_is_run_inside_a_sandboxed_frame(page: Page, bench: Path) -> None:
    page.open(bench)
    (frame,) = page.frames()
    assert page.evaluate("window.kept", frame=frame) == 42
    assert page.text("#p", frame=frame) == "inside"


@pytest.mark.parametrize(
    "condition", ["document.getElementById('late').innerText === 'here'", "document.title === 'late'"]
)
def test_what_is_waited_for_may_come_with_a_later_document(page: Page, bench: Path, condition: str) -> None:
    page.open(bench)
    (frame,) = page.frames()
    later = "<title>late</title><p id=late>here</p>"
    page.evaluate(f"void setTimeout(() => document.getElementById('inner').srcdoc = '{later}', 300)")
    page.wait(condition, frame=frame)
    assert page.text("#late", frame=frame) == "here"


def test_what_never_comes_is_told_with_what_it_threw(page: Page, bench: Path) -> None:
    page.open(bench)
    with pytest.raises(BrowserError, match=r"never so: nowhere\.x.*ReferenceError"):
        page.wait("nowhere.x", seconds=0.3)


def test_the_colour_scheme_and_the_size_are_what_a_picture_shows(page: Page, bench: Path, tmp_path: Path) -> None:
    page.open(bench)
    page.viewport(390, 844, scale=2, touch=True)
    pictures: list[bytes] = []
    schemes: tuple[Scheme, Scheme] = ("light", "dark")
    for scheme in schemes:
        page.media(scheme)
        pictures.append(page.screenshot(tmp_path / f"{scheme}.png"))
    assert page.evaluate("[innerWidth, innerHeight, devicePixelRatio]") == [390, 844, 2]
    assert pictures[0][:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(pictures[0][at : at + 4], "big") for at in (16, 20)] == [780, 1688]
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize(
    "bad",
    [
        "<script>throw new Error('canary')</script>",
        "<script>console.error('canary')</script>",
        "<script>Promise.reject(new Error('canary'))</script>",
        "<script>alert('canary')</script>",
        "<meta http-equiv=Content-Security-Policy content=\"script-src 'none'\"><script>1 /* canary */</script>",
    ],
)
def test_a_page_that_misbehaves_is_seen_to(page: Page, tmp_path: Path, bad: str) -> None:
    file = tmp_path / "canary.html"
    file.write_text(f"<!doctype html><title>t</title>{bad}", encoding="utf-8")
    page.open(file)
    assert any("canary" in error or "Content Security Policy" in error for error in page.errors), page.errors


class _Count(http.server.BaseHTTPRequestHandler):
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base
        """Be quiet."""


@pytest.fixture
def listener() -> Generator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Count) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_request_is_seen(page: Page, tmp_path: Path, listener: str) -> None:
    file = tmp_path / "beacon.html"
    file.write_text(f"<!doctype html><title>t</title><img src='{listener}/canary'>", encoding="utf-8")
    page.open(file)
    assert page.requests == [f"{listener}/canary"]
    assert "/canary" in _Count.seen


def test_no_other_address_can_be_reached(page: Page) -> None:
    # Names of RFC 6761 and an address of RFC 5737, none of which can exist.
    for url in ("http://gatelodge.invalid/", "http://192.0.2.1/"):
        with pytest.raises(BrowserError, match=r"ERR_(NAME_NOT_RESOLVED|PROXY_CONNECTION_FAILED)"):
            page.open(url)


def test_scripts_can_be_switched_off(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "quiet.html"
    file.write_text("<!doctype html><title>before</title><script>document.title = 'after'</script>", encoding="utf-8")
    with browser.page(javascript=False) as quiet:
        quiet.open(file)
        info = quiet.command("Page.getNavigationHistory")
        assert info["entries"][-1]["title"] == "before"
