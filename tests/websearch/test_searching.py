"""Searching: the real ddgs through a loopback proxy, APIs as recorded, and engines that fail in every way."""

from __future__ import annotations

import html
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
from gatelodge_core.sandbox.egress import Egress
from gatelodge_websearch.engines.fusion import canonical, fuse
from gatelodge_websearch.engines.gate import Gate
from gatelodge_websearch.engines.model import Answer, Ask, EngineError, Hit, Report
from gatelodge_websearch.engines.services import Brave

from tests.sandbox.egress.site import Answerer, Asked, Names, Network, Writer, reply, serving
from tests.support.planted import ALNUM, some
from tests.support.wire import MODERN, connected, python_module
from tests.websearch.proxy import Answer as Answering
from tests.websearch.proxy import Proxy, Reply, Request, proxying
from tests.websearch.support import server

EXACT = "https://example.org/a%2Fb?q=x%26y%3D1&z=%E4"
FORM = '<form action="/html/"><input name="q"></form>'
NOTHING = f'<html><body>{FORM}<div class="no-results">No results.</div></body></html>'
CHALLENGE = f'<html><body>{FORM}<div class="anomaly-modal__title">Select all ducks</div></body></html>'


def results(*urls: str) -> Reply:
    items = "".join(
        f'<div class="links_main result__body"><h2><a href="{html.escape(url)}">Title of {number}</a></h2>'
        f'<a class="result__snippet" href="{html.escape(url)}">Snippet <b>of</b> {number}</a></div>'
        for number, url in enumerate(urls)
    )
    return Reply(body=f"<html><body>{FORM}{items}</body></html>".encode())


def always(answer: Reply) -> Answering:
    return lambda _: answer


def settings(proxy: Proxy, **given: Any) -> dict[str, Any]:
    return {"proxy": proxy.url, "ca_file": proxy.ca_file, **given}


def test_duckduckgo_gives_urls_exactly_and_alone_sees_the_query(tmp_path: Path) -> None:
    async def main() -> None:
        urls = [EXACT, *(f"https://site{number}.example.com/" for number in range(11))]
        with proxying(always(results(*urls)), tmp_path) as proxy:
            async with server(tmp_path, **settings(proxy)) as called:
                found = await called.record(
                    "search_web",
                    query="is this an anomaly",
                    time="w",
                    region="de-de",
                    safe_search="off",
                    max_results=20,
                )
                assert [item["url"] for item in found["results"]] == urls
                assert found["results"][0]["title"] == "Title of 0"
                assert found["results"][0]["snippet"] == "Snippet of 0"
                assert [(engine["engine"], engine["status"], engine["found"]) for engine in found["engines"]] == [
                    ("duckduckgo", "ok", 12)
                ]
                assert proxy.hosts() == ["html.duckduckgo.com"]
                sent = parse_qs(proxy.seen[0].body.decode())
                assert sent["q"] == ["is this an anomaly"]
                assert (sent["kl"], sent["kp"], sent["df"]) == (["de-de"], ["-2"], ["w"])
                # Asked again it comes from the store.
                again = await called.record(
                    "search_web",
                    query="is this an anomaly",
                    time="w",
                    region="de-de",
                    safe_search="off",
                    max_results=20,
                )
                assert again["results"] == found["results"]
                assert again["cached_seconds"] >= 1
                assert len(proxy.seen) == 1

    anyio.run(main)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Reply(202, CHALLENGE.encode()), "blocked"),
        (Reply(200, CHALLENGE.encode()), "blocked"),
        (Reply(403), "blocked"),
        (Reply(429, headers={"Retry-After": "77"}), "rate_limited"),
        (Reply(500), "error"),
        (Reply(503), "error"),
        (Reply(200, b"\x00\xff garbage"), "error"),
        (Reply(200, b""), "error"),
        (Reply(200, results(EXACT).body, part=90), "error"),
        (Reply(200, NOTHING.encode(), hang=11), "timeout"),
    ],
    ids=["202", "challenge", "403", "429", "500", "503", "garbage", "empty body", "half", "hang"],
)
def test_an_engine_that_fails_is_told_as_it_failed_and_the_next_one_answers(
    tmp_path: Path, answer: Reply, status: str
) -> None:
    mojeek = f"<html><body>{FORM}<ul class='results-standard'><li><h2><a href='https://m.example.com/'>M</a></h2><p class='s'>from mojeek</p></li></ul></body></html>"

    def by_host(request: Request) -> Reply:
        return answer if "duckduckgo" in request.host else Reply(body=mojeek.encode())

    async def main() -> None:
        with proxying(by_host, tmp_path) as proxy:
            async with server(tmp_path, **settings(proxy, engines="duckduckgo,mojeek")) as called:
                found = await called.record("search_web", query="fox")
                assert [(engine["engine"], engine["status"]) for engine in found["engines"]] == [
                    ("duckduckgo", status),
                    ("mojeek", "ok"),
                ]
                assert [item["url"] for item in found["results"]] == ["https://m.example.com/"]
                text = await called.error("search_web", query="fox", engines=["duckduckgo"], page=2)
                assert "search_failed: No engine answered, which does not mean that there is nothing" in text
                assert ("again in 77 s" in text or "again in 76 s" in text) == (status == "rate_limited")
                if status in ("blocked", "rate_limited"):
                    # Its breaker is open: no retry storm.
                    assert "duckduckgo open" in text
                    assert [host for host in proxy.hosts() if "duck" in host] == ["html.duckduckgo.com"]
                    state = await called.text("show_engines")
                    assert f"duckduckgo: open, {status}, again in" in state
                    assert "mojeek: ready" in state

    anyio.run(main)


def test_nothing_found_is_an_answer_and_not_a_failure(tmp_path: Path) -> None:
    async def main() -> None:
        with proxying(always(Reply(body=NOTHING.encode())), tmp_path) as proxy:
            async with server(tmp_path, **settings(proxy, engines="duckduckgo,mojeek")) as called:
                found = await called.record("search_web", query="qwxyz")
                assert found["results"] == []
                assert [(engine["engine"], engine["status"]) for engine in found["engines"]] == [
                    ("duckduckgo", "empty")
                ]
                assert "mojeek" not in str(proxy.hosts())

    anyio.run(main)


def test_domains_are_asked_for_and_filtered_and_denied_ones_never_shown(tmp_path: Path) -> None:
    urls = ["https://a.good.org/1", "https://bad.com/2", "https://notgood.org/3", "https://evil.good.org/4"]

    async def main() -> None:
        with proxying(always(results(*urls)), tmp_path) as proxy:
            async with server(tmp_path, **settings(proxy, deny_domains="evil.good.org")) as called:
                found = await called.record(
                    "search_web", query="fox", include_domains=["good.org", ""], exclude_domains=[]
                )
                assert [item["url"] for item in found["results"]] == ["https://a.good.org/1"]
                assert parse_qs(proxy.seen[0].body.decode())["q"] == ["fox site:good.org"]

    anyio.run(main)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"query": ""}, "query"),
        ({"query": "x", "region": "german"}, "region is not country-language"),
        ({"query": "x", "include_domains": '["a.org"]'}, "Send JSON arrays"),
        ({"query": "x", "include_domains": ["https://a.org/"]}, "a domain is not a plain one"),
        ({"query": "x", "engines": ["google"]}, "unknown_engine"),
        ({"query": "key gh" + "p_" + some(ALNUM, 36)}, "secret_in_request"),
    ],
)
def test_a_search_of_the_wrong_shape_says_the_right_one(tmp_path: Path, arguments: dict[str, Any], says: str) -> None:
    async def main() -> None:
        with proxying(always(Reply(500)), tmp_path) as proxy:
            async with server(tmp_path, **settings(proxy)) as called:
                assert says in await called.error("search_web", **arguments)
                assert proxy.seen == []

    anyio.run(main)


def test_research_reads_the_best_pages_and_gives_passages_to_cite(tmp_path: Path) -> None:
    filler = "<p>Something else entirely stands in this paragraph, which no question is about at all.</p>" * 30

    def answer(request: Request) -> Reply:
        if "duckduckgo" in request.host:
            return results("https://one.example.com/", "https://two.example.com/", "https://three.example.com/")
        if request.host.startswith("three"):
            return Reply(404)
        return Reply(
            body=f"<html><title>{request.host}</title><main><h1>Foxes</h1>{filler}<h2>Diet</h2><p>Foxes eat berries and mice, says {request.host} after long study of foxes.</p>{filler}</main></html>".encode()
        )

    async def main() -> None:
        with proxying(answer, tmp_path) as proxy:
            async with server(tmp_path, proxied=True, **settings(proxy)) as called:
                text = await called.text("research_web", query="what do foxes eat", max_tokens=800)
                assert "[1] c" in text
                assert "[3] c" in text
                assert "(not read: http_status: The site answered with status 404." in text
                assert "(Foxes > Diet)\n" in text
                assert "Foxes eat berries and mice, says one.example.com" in text
                assert len(text) < 800 * 4 + 300
                found = await called.record("search_local", query='berries "study')
                assert found["total"] == 2

    anyio.run(main)


BRAVE = {
    "type": "search",
    "web": {
        "type": "search",
        "results": [{"title": "B", "url": EXACT, "description": "d", "page_age": "2026-01-02T00:00:00"}],
    },
}
TAVILY = {
    "query": "fox",
    "results": [{"title": "T", "url": EXACT, "content": "c", "score": 0.9, "raw_content": None}],
    "response_time": 1.2,
}
SEARXNG = {
    "query": "fox",
    "number_of_results": 0,
    "results": [
        {
            "url": EXACT,
            "title": "S",
            "content": "c",
            "publishedDate": None,
            "engine": "x",
            "engines": ["x", "y"],
            "score": 2.0,
        }
    ],
    "suggestions": [],
    "unresponsive_engines": [["qwant", "too many requests"]],
}


def api(table: object, status: int = 200, **headers: str) -> Answerer:
    given = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return reply(status, json.dumps(table).encode(), given)


@pytest.mark.parametrize(
    ("engine", "table", "given"),
    [
        ("brave", BRAVE, {"brave_key": "brave-key-value"}),
        ("tavily", TAVILY, {"tavily_key": "tavily-key-value"}),
        ("searxng", SEARXNG, {"searxng_url": "http://searx.example.net/"}),
    ],
)
def test_an_api_is_asked_as_its_documentation_says(
    tmp_path: Path, engine: str, table: object, given: dict[str, Any]
) -> None:
    async def main() -> None:
        async with serving(api(table)) as site:
            with pytest.MonkeyPatch.context() as patch:
                # Over plain HTTP on loopback: the site has no certificate for these names.
                patch.setattr("gatelodge_websearch.engines.services.BRAVE", "http://api.brave.example.net")
                patch.setattr("gatelodge_websearch.engines.services.TAVILY", "http://api.tavily.example.net")
                services = Egress(resolver=Names(), backend=Network(site))
                async with server(tmp_path, site, services=services, engines=engine, **given) as called:
                    found = await called.record("search_web", query="fox", time="w")
                    assert [item["url"] for item in found["results"]] == [EXACT]
                    assert found["engines"][0]["status"] == "ok"
                    assert found["engines"][0]["filters_ignored"] == []
                    asked = site.asked[0]
                    query = parse_qs(urlsplit(asked.path).query)
                    if engine == "brave":
                        assert asked.headers["x-subscription-token"] == "brave-key-value"
                        assert query["freshness"] == ["pw"]
                    elif engine == "tavily":
                        assert asked.headers["authorization"] == "Bearer tavily-key-value"
                        assert json.loads(asked.body)["time_range"] == "week"
                    else:
                        assert (query["format"], query["time_range"]) == (["json"], ["week"])
                        assert "qwant" in found["engines"][0]["message"]
                    assert "key-value" not in json.dumps(found)

    anyio.run(main)


def test_the_pages_of_a_search_give_each_result_once_whatever_the_engine_gives_at_once(tmp_path: Path) -> None:
    every = [f"https://example.org/{number}" for number in range(47)]

    async def by_offset(asked: Asked, writer: Writer) -> None:
        offset = int(parse_qs(urlsplit(asked.path).query).get("offset", ["0"])[0])
        # Each page begins with the last two of the one before.
        urls = every[max(0, 20 * offset - 2) : 20 * offset + 20]
        table = {"web": {"results": [{"title": url, "url": url, "description": "d"} for url in urls]}}
        await api(table, X_RateLimit_Limit="50, 2000")(asked, writer)

    async def main() -> None:
        async with serving(by_offset) as site:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("gatelodge_websearch.engines.services.BRAVE", "http://api.brave.example.net")
                services = Egress(resolver=Names(), backend=Network(site))
                given: dict[str, Any] = {"engines": "brave", "brave_key": "brave-key-value"}
                async with server(tmp_path, site, services=services, **given) as called:
                    pages: list[list[str]] = []
                    for page in range(1, 11):
                        found = await called.record("search_web", query="fox", page=page, max_results=8)
                        pages.append([item["url"] for item in found["results"]])
                        assert found["shown"] == len(pages[-1]) <= found["total"]
                        if not pages[-1]:
                            break
                    assert [url for page in pages for url in page] == every
                    assert pages[1][:2] == every[8:10]
                    # What was fetched is not fetched again: three pages with results, and one that is empty.
                    assert len(site.asked) == 4

    anyio.run(main)


def test_an_engine_without_pages_is_not_asked_for_the_second_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(api(TAVILY)) as site:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("gatelodge_websearch.engines.services.TAVILY", "http://api.tavily.example.net")
                services = Egress(resolver=Names(), backend=Network(site))
                given: dict[str, Any] = {"engines": "tavily", "tavily_key": "tavily-key-value"}
                async with server(tmp_path, site, services=services, **given) as called:
                    await called.record("search_web", query="fox")
                    told = await called.error("search_web", query="fox", page=2)
                    assert "tavily error (It has no further pages)" in told
                    assert len(site.asked) == 1

    anyio.run(main)


def test_an_answer_of_a_service_is_bounded_in_bytes_and_in_results() -> None:
    async def asked(table: object) -> Report:
        async with serving(api(table)) as site, Egress(resolver=Names(), backend=Network(site)) as egress:
            gate = Gate(Brave(egress, "k", "http://api.example.net"))
            return await gate.ask(Ask("fox"), anyio.current_time() + 5)

    many = anyio.run(asked, {"web": {"results": [{"url": f"https://e.org/{number}"} for number in range(20_000)]}})
    assert (many.status, many.found) == ("ok", 200)
    large = anyio.run(asked, {"web": {"results": [{"url": "https://e.org/", "description": "x" * 1_100_000}]}})
    assert large.status == "error"
    assert "could not be asked" in large.message


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (api({}, 401), "error", "key"),
        (api({}, 429, Retry_After="9"), "rate_limited", "too many"),
        (api({}, 500), "error", "status 500"),
        (reply(200, b"{nope", {"Content-Type": "application/json"}), "error", "not JSON"),
        (reply(200, b"[1]", {"Content-Type": "application/json"}), "error", "not JSON"),
        (reply(200, b"<p>", {"Content-Type": "text/html"}), "error", "could not be asked"),
        (api({"web": {"results": [1, {"url": 5}, {"url": "javascript:x"}]}}), "empty", ""),
        (api({"web": [], "x": None}), "empty", ""),
    ],
)
def test_an_api_that_fails_is_told_as_it_failed(answer: Answerer, status: str, says: str) -> None:
    async def main() -> None:
        async with serving(answer) as site, Egress(resolver=Names(), backend=Network(site)) as egress:
            gate = Gate(Brave(egress, "k", "http://api.example.net"))
            report = await gate.ask(Ask("fox"), anyio.current_time() + 5)
            assert report.status == status
            assert says in report.message

    anyio.run(main)


def test_parallel_searches_queue_for_a_plan_of_a_few_a_second() -> None:
    times: list[float] = []

    async def strict(asked: Asked, writer: Writer) -> None:
        now = anyio.current_time()
        early = bool(times) and now - times[-1] < 0.15
        times.append(now)
        await api({} if early else BRAVE, 429 if early else 200, X_RateLimit_Limit="2, 2000")(asked, writer)

    async def main() -> None:
        async with serving(strict) as site, Egress(resolver=Names(), backend=Network(site)) as egress:
            engine = Brave(egress, "k", "http://api.example.net")
            engine.per_second = 2
            gate = Gate(engine)
            reports: list[Report] = []

            async def one(number: int) -> None:
                reports.append(await gate.ask(Ask(f"fox {number}"), anyio.current_time() + 10))

            async with anyio.create_task_group() as group:
                for number in range(5):
                    group.start_soon(one, number)
            assert [report.status for report in reports] == ["ok"] * 5

    anyio.run(main)


class Scripted:
    """An engine that does what it is told; the gate before it is what is tested."""

    name, provider, per_second = "scripted", "scripted", 1000.0
    honours = frozenset[str]()
    kinds = frozenset({"web"})

    def __init__(self, *steps: EngineError | None) -> None:
        self.steps = list(steps)
        self.asked = 0

    async def search(self, ask: Ask) -> Answer:
        self.asked += 1
        step = self.steps.pop(0) if self.steps else None
        if step is not None:
            raise step
        return Answer([Hit("https://e.example.com/", ask.query)])


@pytest.mark.parametrize(
    ("status", "count", "seconds"), [("blocked", 1, 600), ("rate_limited", 1, 60), ("timeout", 3, 60), ("error", 5, 30)]
)
def test_a_breaker_opens_is_tried_once_and_closes(status: Any, count: int, seconds: int) -> None:
    now = 1000.0

    async def main() -> None:
        nonlocal now
        engine = Scripted(*[EngineError(status, "no")] * (count + 1))
        gate = Gate(engine, clock=lambda: now)

        async def ask() -> str:
            nonlocal now
            now += 1
            return (await gate.ask(Ask("x"), now + 5)).status

        assert [await ask() for _ in range(count)] == [status] * count
        assert [await ask() for _ in range(5)] == ["open"] * 5
        assert engine.asked == count
        now += seconds
        assert gate.state()[0] == "half-open"
        assert await ask() == status
        assert await ask() == "open"
        now += seconds
        assert await ask() == "ok"
        assert gate.state()[0] == "closed"
        assert engine.asked == count + 2

    anyio.run(main)


def test_two_hundred_searches_with_a_dead_engine_end_in_time_and_do_not_storm(tmp_path: Path) -> None:
    class Dead(Scripted):
        async def search(self, ask: Ask) -> Answer:
            self.asked += 1
            await anyio.sleep(600)
            return Answer([])

    async def main() -> None:
        async with server(tmp_path) as called:
            dead, alive = Dead(), Scripted()
            dead.name, alive.name = "dead", "alive"
            called.web.desk.gates[:] = [Gate(dead), Gate(alive)]
            done: list[int] = []

            async def one(number: int) -> None:
                found = await called.web.desk.search(Ask(f"q{number}"), [], [], seconds=8)
                done.append(len(found.results))

            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    for number in range(200):
                        group.start_soon(one, number)
            assert done == [1] * 200
            assert (await called.web.desk.search(Ask("later"), [], [], seconds=8)).reports[0].status == "open"
            assert dead.asked <= 200

    anyio.run(main)


def test_equal_pages_are_one_result_and_one_provider_has_one_vote() -> None:
    first = Report(
        "duckduckgo", "ok", hits=[Hit("https://x.org/a?utm_source=d"), Hit("https://y.org/")], provider="bing"
    )
    second = Report("yahoo", "ok", hits=[Hit("https://x.org/a")], provider="bing")
    third = Report("mojeek", "ok", hits=[Hit("https://www.y.org/#top"), Hit("http://z.org/")], provider="mojeek")
    found = fuse([[first, second, third]], Ask("x"), [])
    assert [item.hit.url for item in found] == ["https://y.org/", "https://x.org/a?utm_source=d", "http://z.org/"]
    assert found[1].engines == ["duckduckgo", "yahoo"]
    assert found[1].score == pytest.approx(1 / 61)
    assert canonical("https://www.x.org:443/a/amp/?b=1&fbclid=2#c") == canonical("http://x.org/a?b=1")
    assert canonical("https://x.org/a?b=1") != canonical("https://x.org/a?b=2")


def test_the_confined_server_searches_and_reads_through_the_proxy(tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        if "duckduckgo" in request.host:
            return results("https://docs.example.com/fox")
        return Reply(
            body=b"<html><head><title>Fox</title></head><main><h1>Fox</h1><p>Foxes are small mammals that live in the forest and eat berries.</p></main></html>"
        )

    with proxying(answer, tmp_path) as proxy:
        command = python_module(
            "gatelodge_websearch",
            "--state-dir",
            str(tmp_path / "state"),
            "--proxy",
            proxy.url,
            "--ca-file",
            proxy.ca_file,
            "--robots",
            "off",
        )
        with connected(command, "stdio", MODERN) as wire:
            found = wire.record("search_web", query="fox")
            assert [item["url"] for item in found["results"]] == ["https://docs.example.com/fox"]
            text = wire.text("read_page", pages=[found["results"][0]["id"]])
            assert "Foxes are small mammals" in text
            sha = text.partition("web://page/")[2].split()[0]
            read = wire.request("resources/read", {"uri": f"web://page/{sha}"})
            assert "Foxes are small mammals" in read["result"]["contents"][0]["text"]
            assert "blocked_address" in wire.error("read_page", pages=["http://127.0.0.1/"])
            assert (
                "duckduckgo" in wire.request("resources/read", {"uri": "web://policy"})["result"]["contents"][0]["text"]
            )
        journal = "".join(
            path.read_text(encoding="utf-8") for path in (tmp_path / "state" / "journal").rglob("*.jsonl")
        )
        assert journal.count('"search_web"') >= 1
        if sys.platform == "linux":
            assert '"sandbox":"off"' not in journal
