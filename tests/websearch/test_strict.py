"""Strict mode: a domain that nobody named is read only after the person's yes, by whatever way it comes up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.auth.principal import Principal
from gatelodge_core.guard.chain import Guard
from gatelodge_core.places import approvals_file
from gatelodge_core.store.approvals import Approvals
from gatelodge_websearch.engines.gate import Gate
from gatelodge_websearch.engines.model import Answer, Ask, Hit

from tests.sandbox.egress.site import Answerer, Asked, Writer, reply, serving
from tests.support.wire import MODERN, Message, Revision, StdioWire, connected, python_module
from tests.websearch.proxy import Proxy, Reply, Request, proxying
from tests.websearch.support import Called, server

pytestmark = pytest.mark.anyio

PAGE = b"<html><head><title>Fox</title></head><main><h1>Fox</h1><p>Foxes are small mammals that live in the forest.</p></main></html>"
HTML = {"Content-Type": "text/html"}
FORM: dict[str, Any] = {"elicitation": {"form": {}}}


def page(_: Request) -> Reply:
    return Reply(body=PAGE)


def command(folder: Path, proxy: Proxy, *more: str) -> list[str]:
    state = str(folder / "state")
    given = ["--strict", "--state-dir", state, "--proxy", proxy.url, "--ca-file", proxy.ca_file, "--robots", "off"]
    return python_module("gatelodge_websearch", *given, *more)


def ask(wire: StdioWire, urls: Sequence[str], **more: Any) -> Message:
    return wire.request("tools/call", {"name": "read_page", "arguments": {"pages": list(urls)}, **more})


def approve(folder: Path, refusal: str) -> None:
    code = refusal.partition("gatelodge approve ")[2].partition(" ")[0]
    assert Approvals(approvals_file(str(folder / "state"))).decide(code, approved=True)


def test_a_host_of_2026_puts_the_question_with_url_and_reason_and_the_answer_is_for_that_page_alone(
    tmp_path: Path,
) -> None:
    url = "https://evil.example.com/a?x=1"
    with (
        proxying(page, tmp_path) as proxy,
        connected(command(tmp_path, proxy), "stdio", MODERN, capabilities=FORM) as wire,
    ):
        assert isinstance(wire, StdioWire)
        asked = ask(wire, [url])["result"]
        (key,) = asked["inputRequests"]
        message = asked["inputRequests"][key]["params"]["message"]
        assert f"Read {url}\n" in message
        assert "no search result, setting or policy has named evil.example.com" in message
        yes: Message = {
            "requestState": asked["requestState"],
            "inputResponses": {key: {"action": "accept", "content": {}}},
        }
        assert ask(wire, ["https://worse.example.com/"], **yes)["error"]["code"] == -32602
        assert proxy.seen == []
        no: Message = {**yes, "inputResponses": {key: {"action": "decline"}}}
        assert "declined" in ask(wire, [url], **no)["result"]["content"][0]["text"]
        asked = ask(wire, [url])["result"]
        done = ask(wire, [url], requestState=asked["requestState"], inputResponses=yes["inputResponses"])["result"]
        assert "Foxes are small mammals" in done["content"][0]["text"]
        # The person named the domain: its other pages are read, others not.
        assert "Foxes" in wire.text("read_page", pages=["https://evil.example.com/b"])
        assert ask(wire, ["https://sub.evil.example.com/"])["result"]["resultType"] == "input_required"
        assert proxy.hosts() == ["evil.example.com"] * 2


@pytest.mark.parametrize("legacy", ["2025-06-18", "2025-11-25"])
@pytest.mark.parametrize("action", ["accept", "decline"])
def test_a_host_of_2025_is_asked_while_the_call_waits(tmp_path: Path, legacy: Revision, action: str) -> None:
    with (
        proxying(page, tmp_path) as proxy,
        connected(command(tmp_path, proxy), "stdio", legacy, capabilities={"elicitation": {}}) as wire,
    ):
        assert isinstance(wire, StdioWire)
        wire.send_call("read", "find_in_page", page="https://evil.example.com/", text="forest")
        question = json.loads(wire.server.line())
        assert question["method"] == "elicitation/create"
        assert "Read https://evil.example.com/\n" in question["params"]["message"]
        assert proxy.seen == []
        result: Message = {"action": action, **({"content": {}} if action == "accept" else {})}
        wire.server.write(json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": result}).encode() + b"\n")
        answer = wire.response("read")["result"]
        assert bool(answer.get("isError")) is (action == "decline")
        assert len(proxy.seen) == (action == "accept")


def test_a_host_that_cannot_ask_gets_a_code_for_exactly_this_call(tmp_path: Path) -> None:
    with proxying(page, tmp_path) as proxy, connected(command(tmp_path, proxy), "stdio", MODERN) as wire:
        given = {"pages": ["https://evil.example.com/"], "max_tokens": 500}
        approve(tmp_path, wire.error("read_page", **given))
        assert "approval_required" in wire.error("read_page", **{**given, "max_tokens": 501})
        assert "approval_required" in wire.error("list_links", page="https://evil.example.com/")
        assert proxy.seen == []
        assert "Foxes" in wire.text("read_page", **given)


class Scripted:
    """An engine that finds the same pages whatever it is asked."""

    name, provider, per_second = "scripted", "scripted", 1000.0
    honours = frozenset[str]()
    kinds = frozenset({"web"})

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls

    async def search(self, ask: Ask) -> Answer:
        del ask
        return Answer([Hit(url, "A page") for url in self._urls])


async def results(called: Called, *urls: str) -> None:
    """Let a search find these pages."""
    called.web.desk.gates[:] = [Gate(Scripted(urls=urls))]
    assert len((await called.record("search_web", query=" ".join(urls)[:400]))["results"]) == len(urls)


async def test_what_a_search_found_or_the_settings_name_is_read_without_asking(tmp_path: Path) -> None:
    async with serving(reply(200, PAGE, HTML)) as site, server(tmp_path, site, strict=True) as called:
        await results(called, "http://found.example.net/x", "http://www.other.example.net/")
        for url in (
            "http://found.example.net/y",
            "http://FOUND.example.net:80/z",
            "http://www.found.example.net/",
            "http://other.example.net/",
        ):
            assert "Foxes" in await called.text("read_page", pages=[url])
        for url in ("http://example.net/", "http://a.found.example.net/", "http://found.example.net.evil.org/"):
            assert "approval_required" in await called.error("read_page", pages=[url])
        # One that was named takes no other along.
        both = ["http://found.example.net/y", "http://evil.example.org/"]
        assert "named evil.example.org" in await called.error("read_page", pages=both)
        assert len(site.asked) == 4
    async with (
        serving(reply(200, PAGE, HTML)) as site,
        server(tmp_path / "b", site, strict=True, allow_domains="example.org") as called,
    ):
        assert "Foxes" in await called.text("read_page", pages=["http://a.example.org/"])


async def test_research_reads_what_its_own_search_found(tmp_path: Path) -> None:
    async with serving(reply(200, PAGE, HTML)) as site, server(tmp_path, site, strict=True) as called:
        called.web.desk.gates[:] = [Gate(Scripted(urls=["http://found.example.net/x"]))]
        assert "Foxes are small" in await called.text("research_web", query="small foxes")
        assert "approval_required" in await called.error("read_page", pages=["http://linked.example.net/"])


async def test_a_link_on_a_page_names_no_domain(tmp_path: Path) -> None:
    body = PAGE.replace(b"Foxes are", b"<a href='http://linked.example.net/'>Foxes</a> are")
    async with serving(reply(200, body, HTML)) as site, server(tmp_path, site, strict=True) as called:
        await results(called, "http://found.example.net/x")
        assert "linked.example.net" in await called.text("read_page", pages=["http://found.example.net/x"])
        assert "approval_required" in await called.error("read_page", pages=["http://linked.example.net/"])


def redirecting(to: str) -> Answerer:
    async def answer(asked: Asked, writer: Writer) -> None:
        here = asked.headers["host"].startswith("found") and asked.path != "/plain"
        await (reply(302, b"", {"Location": to}) if here else reply(200, PAGE, HTML))(asked, writer)

    return answer


async def test_a_redirect_to_an_unnamed_domain_is_refused_with_its_name_and_then_asked_for(tmp_path: Path) -> None:
    secret = "http://evil.example.org/?data=canary"
    async with serving(redirecting(secret)) as site, server(tmp_path, site, strict=True) as called:
        await results(called, "http://found.example.net/go")
        refused = await called.error("read_page", pages=["http://found.example.net/go"])
        assert refused.startswith("unnamed_domain: The way leads to evil.example.org,")
        assert "canary" not in refused
        assert [asked.path for asked in site.asked] == ["/go"]
        approve(tmp_path, await called.error("read_page", pages=["http://evil.example.org/"]))
        assert "Foxes" in await called.text("read_page", pages=["http://evil.example.org/"])
        assert "Foxes" in await called.text("read_page", pages=["http://found.example.net/go"])


async def test_a_redirect_within_the_domain_or_to_its_www_is_followed(tmp_path: Path) -> None:
    for to in ("/plain", "http://www.found.example.net/plain"):
        async with serving(redirecting(to)) as site, server(tmp_path / to[-30:-6], site, strict=True) as called:
            await results(called, "http://found.example.net/go")
            assert "Foxes" in await called.text("read_page", pages=["http://found.example.net/go"])


async def test_robots_txt_leads_to_no_unnamed_domain_either(tmp_path: Path) -> None:
    async def answer(asked: Asked, writer: Writer) -> None:
        away = asked.path == "/robots.txt" and asked.headers["host"].startswith("found")
        given = reply(302, b"", {"Location": "http://evil.example.org/robots"}) if away else reply(200, PAGE, HTML)
        await given(asked, writer)

    async with serving(answer) as site, server(tmp_path, site, strict=True, robots="on") as called:
        await results(called, "http://found.example.net/x")
        assert "Foxes" in await called.text("read_page", pages=["http://found.example.net/x"])
        assert {asked.headers["host"] for asked in site.asked} == {"found.example.net"}


POLICY = """
[[rule]]
subject = "{subject}"
then = "allow"
"""


@pytest.mark.parametrize(
    ("subject", "url", "asked"),
    [
        ("evil.example.org", "http://evil.example.org/x", False),
        ("evil.example.org/**", "http://EVIL.example.org/x", False),
        ("*.example.org", "http://evil.example.org/", False),
        ("evil.example.org", "http://worse.example.org/evil.example.org", True),
        ("evil.example.org/**", "http://worse.example.org/evil.example.org/x", True),
        ("evil.example.org", "http://evil.example.org.worse.org/", True),
    ],
)
async def test_the_policy_names_a_domain_by_a_rule_that_allows_it(
    tmp_path: Path, subject: str, url: str, asked: bool
) -> None:
    (tmp_path / "policy.toml").write_text(POLICY.format(subject=subject), encoding="utf-8")
    async with (
        serving(reply(200, PAGE, HTML)) as site,
        server(tmp_path, site, strict=True, policy=str(tmp_path / "policy.toml")) as called,
    ):
        failed, text = await called.call("read_page", pages=[url])
        assert failed is asked, text
        assert "approval_required" in text if asked else "Foxes" in text


@pytest.mark.parametrize(
    "url", ["HTTP://Evil.example.org./a", "http://evil.example.org:80/a", "http://evil.example.org"]
)
async def test_a_rule_against_a_domain_holds_in_every_spelling(tmp_path: Path, url: str) -> None:
    rule = POLICY.format(subject="evil.example.org/**").replace("allow", "deny")
    (tmp_path / "policy.toml").write_text(rule, encoding="utf-8")
    async with (
        serving(reply(200, PAGE, HTML)) as site,
        server(tmp_path, site, policy=str(tmp_path / "policy.toml")) as called,
    ):
        assert "denied_by_policy" in await called.error("read_page", pages=[url])
        assert "Foxes" in await called.text("read_page", pages=["http://good.example.org/"])


async def test_one_callers_yes_or_search_names_nothing_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = "alice"

    def principal(*_: object) -> Principal:
        return Principal("key", caller)

    monkeypatch.setattr(Guard, "_principal", principal)
    async with serving(reply(200, PAGE, HTML)) as site, server(tmp_path, site, strict=True) as called:
        await results(called, "http://found.example.net/x")
        approve(tmp_path, await called.error("read_page", pages=["http://yes.example.net/"]))
        for url in ("http://yes.example.net/", "http://found.example.net/x"):
            assert "Foxes" in await called.text("read_page", pages=[url])
        caller = "bob"
        for url in ("http://yes.example.net/", "http://found.example.net/x"):
            assert "approval_required" in await called.error("read_page", pages=[url])


async def test_what_is_refused_anyway_is_not_asked_about(tmp_path: Path) -> None:
    async with server(tmp_path, strict=True) as called:
        for url, code in (("http://127.0.0.1/", "blocked_address"), ("ftp://evil.example.org/", "bad_url")):
            assert (await called.error("read_page", pages=[url])).startswith(code)
        assert called.network.tried == []


async def test_a_fetch_that_nobody_asked_about_is_refused_where_it_leaves(tmp_path: Path) -> None:
    async with serving(reply(200, PAGE, HTML)) as site, server(tmp_path, site, strict=True) as called:
        # As by a tool whose argument the question doesn't know.
        with pytest.raises(Exception, match="unnamed_domain"):
            await called.web.read("http://evil.example.org/")
        assert site.asked == []


async def test_without_strict_no_domain_is_asked_about(tmp_path: Path) -> None:
    async with serving(reply(200, PAGE, HTML)) as site, server(tmp_path, site) as called:
        assert "Foxes" in await called.text("read_page", pages=["http://evil.example.org/"])
