"""With --read-only no request that changes something leaves the process, whatever the code above the transport does."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.egress import EgressSettings, Policy
from gatelodge_github.graphql import NAMES, document
from gatelodge_github.hosts import Hosts
from gatelodge_github.transport.client import Client
from gatelodge_github.transport.reading import only_reads
from gatelodge_github.transport.request import Request
from gatelodge_github.transport.wire import Limits, PinnedConnection

from tests.github.bench import hub, refusal
from tests.github.emulator import PUBLIC, Emulator
from tests.github.proxy import Proxy
from tests.github.support import server

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"


async def test_no_verb_that_changes_something_gets_out(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    async with hub(tmp_path, proxy.url, github.tokens["alice"], read_only=True) as made:
        api = made.desk().api
        for verb in ("POST", "PUT", "PATCH", "DELETE"):
            error = await refusal(api.write(verb, f"{HERE}/issues", {"title": "x"}, check="x"))
            assert (error.code, error.hint) == ("read_only", "Start it without --read-only to change anything.")
        assert (await refusal(api.graphql("to_draft", {"pullRequestId": "x"}, check="x"))).code == "read_only"
        assert (await api.get(HERE)).data["full_name"] == PUBLIC
    assert proxy.writes() == []


MUTATION = {"query": document("to_draft"), "variables": {"pullRequestId": "x"}}


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", "/graphql", body=MUTATION, graphql=True, reading=True),
        Request("POST", f"{HERE}/issues", body={"title": "x"}, reading=True),
        Request("POST", f"{HERE}/issues", body={"query": "{ viewer { login } }"}, reading=True),
        Request("PUT", "/graphql", body={"query": "{ a }"}, graphql=True, reading=True),
        Request("DELETE", HERE, reading=True),
        Request("POST", "/graphql", body={"query": "query A { a } mutation B { b }"}, graphql=True, reading=True),
        Request("POST", "/graphql", body=None, graphql=True, reading=True),
    ],
    ids=["mutation", "rest", "rest with a query", "put", "delete", "a mutation beside", "nothing"],
)
async def test_what_only_claims_to_read_is_not_sent(
    github: Emulator, proxy: Proxy, tmp_path: Path, request_: Request, writable: bool
) -> None:
    """Directly at the client: nobody above is asked."""
    async with hub(tmp_path, proxy.url, github.tokens["alice"], read_only=not writable) as made:

        def send(client: Client) -> Any:
            return client.send(request_, time.monotonic() + 20)

        with pytest.raises(CallError, match="read_only"):
            await made.desk().pool.run(send)
        # And by a tool that forgot to say how to check.
        assert (await refusal(made.desk().api.graphql("convert_draft", {"pullRequestId": "x"}))).code == "read_only"
    assert proxy.requests == []


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE", "post", "Delete", "OPTIONS", ""])
def test_not_even_pygithub_itself_gets_a_change_out(proxy: Proxy, verb: str) -> None:
    hosts = Hosts.of("github.com", proxy.url)
    policy = Policy.of(EgressSettings(ports=frozenset({hosts.port}), allow_hosts=hosts.named))
    connection = PinnedConnection(hosts, policy, verify=True, writable=False)
    connection.limits = Limits(time.monotonic() + 20, 1000)
    connection.request(verb, f"{HERE}/issues", "{}", {})
    with pytest.raises(CallError, match="read_only"):
        connection.getresponse()
    connection.close()
    assert proxy.requests == []


QUERIES = [
    "{ a }", "query { a }", "query Q { a }", "query Q($a: Int = 1, $b: T = {c: 1}) @d(e: {f: 2}) { a(b: {c: $a}) { d } }",
    "# mutation { a }\nquery { a }", "fragment F on T { a } query { ...F }", "query { ...F } fragment F on T { mutation }",
    'query { a(b: "mutation { c } }{") }', 'query { a(b: """mutation " \\""" } {""") }', "\ufeff  ,, query { a }",
    "query mutation { a }", "query Q { mutation: a }",
]  # fmt: skip
CHANGES = [
    "mutation { a }", "mutation M($a: Int) { a }", "subscription { a }", "query { a } mutation { b }", "{ a } mutation M { b }",
    "fragment F on T { a } mutation { ...F }", "# query\nmutation { a }", "\ufeffmutation { a }", ",,mutation{a}",
    '"""query""" mutation { a }', "# a\r mutation { a }", "query { a } # b\nmutation { c }", "extend type A { a: B }", "", "query",
    "{ a", "} { a }", "{ a } }", "mutation", 'query { a(b: "c\n") } mutation { d }', "query { a } query",
]  # fmt: skip


@pytest.mark.parametrize("text", QUERIES)
def test_a_query_is_seen_to_read(text: str) -> None:
    assert only_reads(json.dumps({"query": text}))


@pytest.mark.parametrize("text", CHANGES)
def test_what_changes_something_or_is_not_understood_is_seen_not_to_read(text: str) -> None:
    assert not only_reads(json.dumps({"query": text}))


@pytest.mark.parametrize("body", [None, "", "[]", '"x"', "{}", '{"query": 1}', "[" * 100_000, b"{}", '{"query": null}'])
def test_a_body_that_is_no_document_does_not_read(body: object) -> None:
    assert not only_reads(body)


def test_the_documents_of_this_package_are_told_apart_as_a_real_parser_does() -> None:
    graphql = pytest.importorskip("graphql")
    for name in NAMES:
        operations = {
            one.operation.value for one in graphql.parse(document(name)).definitions if hasattr(one, "operation")
        }
        assert only_reads(json.dumps({"query": document(name)})) == (operations == {"query"}), name


async def test_a_server_that_only_reads_offers_no_change_and_sends_none(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    async with server(tmp_path, proxy.url, github.tokens["alice"], repo=PUBLIC, read_only=True) as called:
        tools = (await called.client.list_tools()).tools
        assert tools
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        assert "off (--read-only)" in await called.text("get_me")
        await called.text("list_issues")
    assert proxy.writes() == []
