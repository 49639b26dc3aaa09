"""A real SearXNG, where a checkout is given; its engines are stand-ins on loopback.

GATELODGE_TEST_SEARXNG is the checkout's folder; GATELODGE_TEST_SEARXNG_PYTHON the Python that its requirements.txt is
installed for, by default the one in the checkout's local/py3, .venv or venv. SearXNG is AGPL: it is never part of this.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from tests.sandbox.egress.site import Asked, Site, Writer, reply, serving
from tests.websearch.support import server

pytestmark = pytest.mark.anyio

# Taken now: while a test runs, no setting of the environment holds.
CHECKOUT = os.environ.get("GATELODGE_TEST_SEARXNG", "")
PYTHON = os.environ.get("GATELODGE_TEST_SEARXNG_PYTHON", "")
SECONDS = 60.0
EXACT = "https://docs.example.org/a%2Fb?q=x%26y%3D1&l=(1)"
HITS = {"hits": [
    {"link": EXACT, "name": "The fox", "text": "Foxes eat berries."},
    {"link": "https://other.example.org/", "name": "Another fox", "text": "It sleeps."},
]}  # fmt: skip


def place() -> tuple[Path, Path]:
    """The checkout and its Python; skips where there are none."""
    if not CHECKOUT:
        pytest.skip("no SearXNG checkout is given (GATELODGE_TEST_SEARXNG)")
    folder = Path(CHECKOUT).resolve()
    if not (folder / "searx" / "webapp.py").is_file():
        pytest.fail(f"GATELODGE_TEST_SEARXNG={CHECKOUT} is no checkout of SearXNG")
    pythons = (
        [Path(PYTHON)] if PYTHON else [folder / name / "bin" / "python" for name in ("local/py3", ".venv", "venv")]
    )
    found = next((python for python in pythons if python.is_file()), None)
    if found is None:
        pytest.skip("SearXNG's checkout has no Python environment (GATELODGE_TEST_SEARXNG_PYTHON)")
    return folder, found


async def stub(asked: Asked, writer: Writer) -> None:
    """What its engines ask: one answers, one is at its limit."""
    kind = {"Content-Type": "application/json"}
    if asked.path.startswith("/limited"):
        await reply(429, b"{}", kind)(asked, writer)
    else:
        await reply(200, json.dumps(HITS).encode(), kind)(asked, writer)


def settings(port: int, stub_port: int, formats: str) -> str:
    engines = "".join(
        f"""
  - name: {name}
    engine: json_engine
    shortcut: {name[:2]}
    categories: [general]
    enable_http: true
    paging: true
    time_range_support: true
    safesearch: true
    search_url: http://127.0.0.1:{stub_port}/{name}?q={{query}}&page={{pageno}}{{time_range}}{{safe_search}}
    results_query: hits
    url_query: link
    title_query: name
    content_query: text
    disabled: false"""
        for name in ("answering", "limited")
    )
    return f"""
use_default_settings:
  engines:
    keep_only: []
server:
  port: {port}
  bind_address: "127.0.0.1"
  secret_key: "a-key-of-a-test-which-guards-nothing"
  limiter: false
  image_proxy: false
search:
  formats: [{formats}]
outgoing:
  enable_http2: false
  request_timeout: 5.0
engines:{engines}
"""


@contextlib.asynccontextmanager
async def searxng(folder: Path, site: Site, formats: str) -> AsyncGenerator[str]:
    """Run it until the block ends; its URL."""
    checkout, python = place()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "settings.yml").write_text(settings(port, site.port, formats), encoding="utf-8")
    # Without PATH it asks no git for its version; caches go to the test's folder.
    environment = {
        "PATH": "",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "SEARXNG_SETTINGS_PATH": str(folder / "settings.yml"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    log = (folder / "searxng.log").open("wb")
    process = subprocess.Popen(  # noqa: ASYNC220 - it goes on running
        [str(python), "-m", "searx.webapp"],
        cwd=checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    try:
        with anyio.fail_after(SECONDS):
            while True:
                with contextlib.suppress(OSError):
                    async with await anyio.connect_tcp("127.0.0.1", port):
                        break
                if process.poll() is not None:
                    pytest.fail((folder / "searxng.log").read_text(errors="replace")[-3000:])
                await anyio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await anyio.to_thread.run_sync(process.wait)
        log.close()


async def test_a_real_searxng_is_searched_and_its_silent_engines_are_named(tmp_path: Path) -> None:
    place()
    async with (
        serving(stub) as site,
        searxng(tmp_path, site, "html, json") as url,
        server(tmp_path, engines="searxng", searxng_url=url) as called,
    ):
        found = await called.record("search_web", query="fox & berries", time="w", safe_search="on")
        assert [item["url"] for item in found["results"]] == [EXACT, "https://other.example.org/"]
        assert [item["title"] for item in found["results"]] == ["The fox", "Another fox"]
        assert found["results"][0]["snippet"] == "Foxes eat berries."
        [engine] = found["engines"]
        assert (engine["engine"], engine["status"], engine["filters_ignored"]) == ("searxng", "ok", [])
        assert "limited" in engine["message"]
        # The second page has nothing else.
        found = await called.record("search_web", query="fox & berries", time="w", safe_search="on", page=2)
        assert found["results"] == []
        asked = [one for one in site.asked if one.path.startswith("/answering")][-1]
        query = parse_qs(urlsplit(asked.path).query)
        assert query["q"] == ["fox & berries"]
        assert query["page"] == ["2"]
        assert query["hours"] == ["168"]
        assert query["filter"] == ["strict"]


async def test_a_real_searxng_that_gives_no_json_is_told_apart_from_one_that_finds_nothing(tmp_path: Path) -> None:
    place()
    async with (
        serving(stub) as site,
        searxng(tmp_path, site, "html") as url,
        server(tmp_path, engines="searxng", searxng_url=url) as called,
    ):
        said = await called.error("search_web", query="fox")
        assert "add json to search.formats" in said
        assert site.asked == []
