"""Engines that are slow, dead or wrong: others answer in time, each is asked once, and nobody waits for all of them."""

from __future__ import annotations

import datetime
import email.utils
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
from gatelodge_core.sandbox.egress import Egress
from gatelodge_websearch.engines.fusion import fuse
from gatelodge_websearch.engines.gate import Gate
from gatelodge_websearch.engines.model import Answer, Ask, Engine, EngineError, Hit, Report
from gatelodge_websearch.engines.race import Race
from gatelodge_websearch.engines.services import Brave, Searxng, Tavily

from tests.sandbox.egress.site import Answerer, Asked, Names, Network, Writer, reply, serving
from tests.websearch.proxy import Reply, Request, proxying
from tests.websearch.support import server
from tests.websearch.test_searching import BRAVE, FORM, SEARXNG, TAVILY, api, results, settings

pytestmark = pytest.mark.anyio


class Acting:
    """An engine that hangs, fails, finds nothing or finds something, as it is told."""

    honours = frozenset[str]()
    kinds = frozenset({"web"})
    per_second = 1000.0

    def __init__(self, name: str, does: str | EngineError = "ok") -> None:
        self.name = self.provider = name
        self.does = does
        self.asked = 0
        self.cancelled = 0
        self.begun = anyio.Event()
        self.release = anyio.Event()

    async def search(self, ask: Ask) -> Answer:
        self.asked += 1
        self.begun.set()
        if isinstance(self.does, EngineError):
            raise self.does
        if self.does in ("hang", "wait"):
            try:
                await self.release.wait()
            except anyio.get_cancelled_exc_class():
                self.cancelled += 1
                raise
        return Answer([] if self.does == "empty" else [Hit(f"https://{self.name}.example.com/", ask.query)])


async def raced(engines: Sequence[Acting], hedge: float = 0.05, seconds: float = 10) -> list[Report]:
    gates = [Gate(engine) for engine in engines]
    return await Race(Ask("fox"), gates, anyio.current_time() + seconds, hedge).run()


def told(reports: Sequence[Report]) -> list[tuple[str, str]]:
    return [(report.engine, report.status) for report in reports]


async def test_a_slow_engine_is_overtaken_by_the_next_and_its_call_is_cancelled() -> None:
    slow, quick, never = Acting("slow", "hang"), Acting("quick"), Acting("never")
    with anyio.fail_after(5):
        reports = await raced([slow, quick, never])
    assert told(reports) == [("slow", "timeout"), ("quick", "ok")]
    assert "quicker" in reports[0].message
    assert (slow.cancelled, never.asked) == (1, 0)


async def test_a_slow_engine_that_answers_first_after_all_is_taken() -> None:
    slow, slower = Acting("slow", "wait"), Acting("slower", "hang")

    async with anyio.create_task_group() as group:

        async def free() -> None:
            await slower.begun.wait()
            slow.release.set()

        group.start_soon(free)
        with anyio.fail_after(5):
            assert told(await raced([slow, slower])) == [("slow", "ok"), ("slower", "timeout")]


async def test_no_engine_is_asked_too_while_one_answers_in_time_or_where_hedging_is_off() -> None:
    first, second = Acting("first"), Acting("second")
    assert told(await raced([first, second], hedge=30)) == [("first", "ok")]
    slow = Acting("slow", "hang")
    assert told(await raced([slow, second], hedge=0, seconds=0.2)) == [("slow", "timeout"), ("second", "ok")]
    assert slow.cancelled == 1


async def test_a_failure_calls_the_next_at_once_and_every_engine_once() -> None:
    engines = [Acting("a", EngineError("blocked", "no")), Acting("b", EngineError("error", "no")), Acting("c")]
    with anyio.fail_after(5):
        assert told(await raced(engines, hedge=60)) == [("a", "blocked"), ("b", "error"), ("c", "ok")]
    with anyio.fail_after(5):
        dead = [Acting("x", "hang"), Acting("y", EngineError("error", "no"))]
        assert told(await raced(dead, seconds=0.3)) == [("x", "timeout"), ("y", "error")]
    assert [engine.asked for engine in (*engines, *dead)] == [1] * 5


async def test_nothing_found_is_believed_only_when_no_other_engine_is_still_asked() -> None:
    assert told(await raced([Acting("a", "empty"), Acting("b")])) == [("a", "empty")]
    slow, narrow, third = Acting("slow", "wait"), Acting("narrow", "empty"), Acting("third")

    async with anyio.create_task_group() as group:

        async def free() -> None:
            await narrow.begun.wait()
            slow.release.set()

        group.start_soon(free)
        with anyio.fail_after(5):
            assert told(await raced([slow, narrow, third])) == [("slow", "ok"), ("narrow", "empty")]
    assert third.asked == 0


async def test_an_engine_that_is_always_overtaken_is_left_alone_and_tried_again_later() -> None:
    now = 1000.0
    slow, quick = Acting("slow", "hang"), Acting("quick")
    gates = [Gate(slow, clock=lambda: now), Gate(quick)]
    for _ in range(5):
        await Race(Ask("fox"), gates, anyio.current_time() + 10, 0.02).run()
    assert slow.asked == 3
    assert gates[0].state()[0] == "open"
    now += 61
    slow.does = "ok"
    assert told(await Race(Ask("fox"), gates, anyio.current_time() + 10, 5).run()) == [("slow", "ok")]
    assert gates[0].state()[0] == "closed"


async def test_a_call_that_is_given_up_counts_against_no_engine() -> None:
    slow = Acting("slow", "hang")
    gate = Gate(slow)
    for _ in range(5):
        with anyio.move_on_after(0.02):
            await Race(Ask("fox"), [gate], anyio.current_time() + 10, 1).run()
    assert slow.cancelled == 5
    assert gate.state()[0] == "closed"


async def test_the_usual_time_of_an_engine_is_learnt() -> None:
    now = 0.0
    gate = Gate(Acting("a"), clock=lambda: now)

    class Timed(Acting):
        async def search(self, ask: Ask) -> Answer:
            nonlocal now
            now += 8 if self.asked == 19 else 0.5
            return await super().search(ask)

    gate.engine = Timed("a")
    for number in range(20):
        assert (gate.usual() is None) is (number < 10)
        now += 1
        await gate.ask(Ask("fox"), now + 60)
    assert gate.usual() == pytest.approx(0.5)


async def test_two_hundred_searches_with_three_dead_engines_end_in_time_and_do_not_storm(tmp_path: Path) -> None:
    async with server(tmp_path) as called:
        dead = [Acting("a", "hang"), Acting("b", EngineError("error", "no")), Acting("c", "hang")]
        alive = Acting("alive")
        called.web.desk.gates[:] = [Gate(engine) for engine in (*dead, alive)]
        done: list[int] = []

        async def one(number: int) -> None:
            found = await called.web.desk.search(Ask(f"q{number}"), [], [], seconds=8)
            done.append(len(found.results))

        with anyio.fail_after(40):
            async with anyio.create_task_group() as group:
                for number in range(200):
                    group.start_soon(one, number)
            assert done == [1] * 200
            assert all(engine.asked <= 200 for engine in dead)
            asked = [engine.asked for engine in dead]
            later = await called.web.desk.search(Ask("later"), [], [], seconds=8)
            assert told(later.reports) == [("a", "open"), ("b", "open"), ("c", "open"), ("alive", "ok")]
            assert [engine.asked for engine in dead] == asked


async def test_two_hundred_searches_of_which_no_engine_answers_fail_in_time_and_say_so(tmp_path: Path) -> None:
    async with server(tmp_path) as called:
        called.web.desk.gates[:] = [Gate(Acting(name, "hang")) for name in "abc"]
        failed: list[str] = []

        async def one(number: int) -> None:
            try:
                await called.web.desk.search(Ask(f"q{number}"), [], [], seconds=1)
            except Exception as error:  # noqa: BLE001 - the text is what is tested
                failed.append(str(error))

        with anyio.fail_after(40):
            async with anyio.create_task_group() as group:
                for number in range(200):
                    group.start_soon(one, number)
        assert len(failed) == 200
        assert all(text.startswith("search_failed: No engine answered") for text in failed)


async def test_hedging_over_the_wire_gives_the_next_engines_answer(tmp_path: Path) -> None:
    mojeek = f"<html><body>{FORM}<ul class='results-standard'><li><h2><a href='https://m.example.com/'>M</a></h2><p class='s'>x</p></li></ul></body></html>"

    def answer(request: Request) -> Reply:
        return Reply(hang=4) if "duckduckgo" in request.host else Reply(body=mojeek.encode())

    with proxying(answer, tmp_path) as proxy:
        given = settings(proxy, engines="duckduckgo,mojeek", hedge_seconds=0.3)
        async with server(tmp_path, **given) as called:
            found = await called.record("search_web", query="fox")
            assert [(item["engine"], item["status"]) for item in found["engines"]] == [
                ("duckduckgo", "timeout"),
                ("mojeek", "ok"),
            ]
            assert found["engines"][0]["ms"] < 4000


def half(table: object) -> Answerer:
    """An answer that ends in its middle."""

    async def answer(_: Asked, writer: Writer) -> None:
        body = json.dumps(table).encode()
        writer.write(
            f"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        writer.write(body[: len(body) // 2])
        await writer.drain()
        writer.close()

    return answer


API = "http://api.example.net"
ENGINES: dict[str, tuple[Callable[[Egress], Engine], object]] = {
    "brave": (lambda egress: Brave(egress, "k", API), BRAVE),
    "tavily": (lambda egress: Tavily(egress, "k", API), TAVILY),
    "searxng": (lambda egress: Searxng(egress, API), SEARXNG),
}


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("way", ["half", "202", "429", "429 by date", "500", "not JSON", "nothing"])
async def test_a_service_that_fails_in_any_way_is_told_as_it_failed(name: str, way: str) -> None:
    made, table = ENGINES[name]
    later = email.utils.format_datetime(
        datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=500), usegmt=True
    )
    answers: dict[str, tuple[Answerer, str, range]] = {
        "half": (half(table), "error", range(1)),
        "202": (api({}, 202), "blocked", range(595, 601)),
        "429": (api({}, 429, Retry_After="70"), "rate_limited", range(65, 71)),
        "429 by date": (api({}, 429, Retry_After=later), "rate_limited", range(480, 502)),
        "500": (api({}, 500), "error", range(1)),
        "not JSON": (reply(200, b"{", {"Content-Type": "application/json"}), "error", range(1)),
        "nothing": (api({"results": []}), "empty", range(1)),
    }
    answer, status, wait = answers[way]
    async with serving(answer) as site, Egress(resolver=Names(), backend=Network(site)) as egress:
        gate = Gate(made(egress))
        report = await gate.ask(Ask("fox"), anyio.current_time() + 5)
        assert report.status == status, report
        assert report.retry_after in wait
        # An open breaker asks nobody.
        again = await gate.ask(Ask("fox"), anyio.current_time() + 5)
        assert (again.status == "open") is (status in ("blocked", "rate_limited"))


RANGE = "2026-01-01..2026-02-01"


@pytest.mark.parametrize(
    ("engine", "sent"),
    [
        ("brave", {"freshness": ["2026-01-01to2026-02-01"]}),
        ("tavily", {"start_date": "2026-01-01", "end_date": "2026-02-01"}),
    ],
)
async def test_a_range_of_dates_is_sent_as_the_service_wants_it(engine: str, sent: dict[str, Any]) -> None:
    made, table = ENGINES[engine]
    async with serving(api(table)) as site, Egress(resolver=Names(), backend=Network(site)) as egress:
        gate = Gate(made(egress))
        report = await gate.ask(Ask("fox", time=RANGE), anyio.current_time() + 5)
        assert report.ignored == []
        asked = site.asked[0]
        given: dict[str, Any] = parse_qs(urlsplit(asked.path).query) if engine == "brave" else json.loads(asked.body)
        assert {key: given[key] for key in sent} == sent


async def test_a_range_of_dates_reaches_duckduckgo_and_is_filtered_or_owned_up_to_elsewhere(tmp_path: Path) -> None:
    dated = {"results": [
        {"url": "https://old.example.com/", "title": "o", "content": "", "publishedDate": "2025-12-31T23:00:00"},
        {"url": "https://in.example.com/", "title": "i", "content": "", "publishedDate": "2026-01-15"},
        {"url": "https://undated.example.com/", "title": "u", "content": "", "publishedDate": None},
    ]}  # fmt: skip
    with proxying(lambda _: results("https://a.example.com/"), tmp_path) as proxy:
        async with server(tmp_path, **settings(proxy)) as called:
            found = await called.record("search_web", query="fox", time=RANGE)
            assert found["engines"][0]["filters_ignored"] == []
            assert parse_qs(proxy.seen[0].body.decode())["df"] == [RANGE]
            for kind in ("news", "images"):
                text = json.dumps(await called.call("search_web", query="fox", time=RANGE, kind=kind))
                assert RANGE not in "".join(request.target for request in proxy.seen)
                assert '\\"time\\"' in text or "search_failed" in text
    async with serving(api(dated)) as site:
        services = Egress(resolver=Names(), backend=Network(site))
        given: dict[str, Any] = {"engines": "searxng", "searxng_url": "http://searx.example.net/"}
        async with server(tmp_path / "b", site, services=services, **given) as called:
            found = await called.record("search_web", query="fox", time=RANGE)
            assert [item["url"] for item in found["results"]] == [
                "https://in.example.com/",
                "https://undated.example.com/",
            ]
            assert found["engines"][0]["filters_ignored"] == ["time"]
            assert ".." not in site.asked[0].path


def test_a_range_is_told_as_the_shortest_time_that_holds_it() -> None:
    today = datetime.date(2026, 11, 25)
    for first, word in (
        ("2026-11-25", "d"),
        ("2026-11-20", "w"),
        ("2026-11-01", "m"),
        ("2026-01-01", "y"),
        ("2020-01-01", ""),
    ):
        assert Ask("x", time=f"{first}..2026-11-25").recent(today) == word
    assert Ask("x", time="w").recent(today) == "w"


def test_dates_are_filtered_only_where_the_engine_did_not() -> None:
    hits = [Hit("https://a.org/", published="2020-01-01"), Hit("https://b.org/", published="yesterday")]
    for ignored, urls in ((["time"], ["https://b.org/"]), ([], ["https://a.org/", "https://b.org/"])):
        report = Report("e", "ok", hits=hits, ignored=ignored)
        assert [item.hit.url for item in fuse([[report]], Ask("x", time=RANGE), [])] == urls


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"time": "last week"}, "Send d, w, m, y, or days such as 2026-01-01..2026-02-01"),
        ({"time": ".."}, "Send d, w, m, y"),
        ({"time": "2026-13-01.."}, "Send d, w, m, y"),
        ({"time": "2026-02-01..2026-01-01"}, "Send d, w, m, y"),
        ({"include_domains": ""}, 'for example ["a","b"]'),
        ({"exclude_domains": '["a.org"]'}, 'for example ["a","b"]'),
        ({"more_queries": "other words"}, 'for example ["a","b"]'),
        ({"more_queries": '["other words"]'}, 'for example ["a","b"]'),
        ({"engines": "duckduckgo"}, 'for example ["a","b"]'),
        ({"engines": ["duckduckgo,mojeek"]}, "There are: duckduckgo"),
        ({"include_domains": ['["a.org"]']}, 'For example ["example.org"]'),
        ({"max_results": "10"}, "max_results"),
        ({"query": ["fox"]}, "query"),
        ({"q": "fox"}, "search_web takes: query"),
    ],
)
async def test_arguments_of_the_wrong_shape_are_answered_with_the_right_one(
    tmp_path: Path, arguments: dict[str, Any], says: str
) -> None:
    with proxying(lambda _: Reply(500), tmp_path) as proxy:
        async with server(tmp_path, **settings(proxy)) as called:
            text = await called.error("search_web", **{"query": "fox", **arguments})
            assert says in text
            assert "invalid_arguments" in text or "unknown_engine" in text
            assert proxy.seen == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"include_domains": []},
        {"include_domains": [""]},
        {"region": ""},
        {"time": ""},
        {"engines": [""]},
        {"more_queries": [""]},
    ],
)
async def test_empty_lists_and_strings_mean_unset(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with proxying(lambda _: results("https://a.example.com/"), tmp_path) as proxy:
        async with server(tmp_path, **settings(proxy)) as called:
            assert len((await called.record("search_web", query="fox", **arguments))["results"]) == 1
            assert parse_qs(proxy.seen[0].body.decode())["q"] == ["fox"]
