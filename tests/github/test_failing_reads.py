"""When GitHub or the way to it fails, a read is repeated within bounds, ends at its deadline, and never turns into nothing."""

from __future__ import annotations

import gzip
import json
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.errors import CallError
from gatelodge_github.hub import Hub
from gatelodge_github.transport.api import Api
from gatelodge_github.transport.request import JSON, RAW

from tests.github import faults
from tests.github.bench import RawServer, answer, busy, hub, raw_server, refusal, target, until
from tests.github.emulator import PUBLIC, Emulator
from tests.github.loopback import Answer
from tests.github.proxy import Act, Proxy
from tests.github.support import server

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"


async def checked(api: Api, verb: str = "POST", path: str = f"{HERE}/issues", body: Any = None) -> CallError:
    """The error of a change that must fail."""
    return await refusal(api.write(verb, path, body or {"title": "Once"}, check="list_issues(state=all)"))


@pytest.mark.parametrize(
    "fault", [faults.lost_after_commit(502), faults.refuses(500), faults.refuses(503), faults.hangs_up(), faults.cut(9)]
)
async def test_a_read_is_recovered_by_one_or_two_repetitions(
    github: Emulator, proxy: Proxy, tmp_path: Path, fault: Act
) -> None:
    for times in (1, 2):
        proxy.forget()
        proxy.fault("GET", HERE, fault, times=times)
        async with hub(tmp_path, proxy.url, github.tokens["alice"], cache_mb=0) as made:
            assert (await made.desk().api.get(HERE)).data["full_name"] == PUBLIC
        assert len(proxy.requests) == times + 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [(faults.refuses(502), "github_failed"), (faults.hangs_up(), "unreachable"), (faults.refuses(404), "not_found")],
)
async def test_a_read_is_repeated_twice_at_most_and_only_after_a_failure(
    github: Emulator, proxy: Proxy, tmp_path: Path, fault: Act, code: str
) -> None:
    proxy.fault("GET", HERE, fault)
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        assert (await refusal(made.desk().api.get(HERE))).code == code
    assert len(proxy.requests) == (1 if code == "not_found" else 3)


async def test_a_graphql_query_is_repeated_like_a_read(elsewhere: Proxy, tmp_path: Path) -> None:
    elsewhere.graphql(lambda document, variables: {"data": {"repository": {"nameWithOwner": "o/n"}}})
    elsewhere.fault("POST", "/graphql", faults.refuses(502), times=2)
    async with hub(tmp_path, elsewhere.url) as made:
        await made.desk().api.graphql("discussions", {"owner": "o", "name": "n", "first": 1})
    assert len(elsewhere.requests) == 3


def stall(server: RawServer, to: socket.socket) -> None:
    to.recv(1)


def drip_body(server: RawServer, to: socket.socket) -> None:
    to.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n[")
    while not server.ended.wait(0.02):
        to.sendall(b" ")


def drip_and_close(server: RawServer, to: socket.socket) -> None:
    to.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n[")
    while not server.ended.wait(0.02):
        to.sendall(b" ")


def drip_head(server: RawServer, to: socket.socket) -> None:
    to.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not server.ended.wait(0.02):
        to.sendall(b"a")


def endless_chunks(server: RawServer, to: socket.socket) -> None:
    to.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not server.ended.wait(0.02):
        to.sendall(b"1\r\n \r\n")


def informational(server: RawServer, to: socket.socket) -> None:
    while not server.ended.wait(0.02):
        to.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize("bad", [stall, drip_body, drip_and_close, drip_head, endless_chunks, informational])
async def test_an_answer_that_never_ends_ends_at_the_deadline_and_so_does_its_thread(
    tmp_path: Path, bad: Callable[[RawServer, socket.socket], None]
) -> None:
    with raw_server(lambda to, head: bad(server, to)) as server:
        async with hub(tmp_path, server.url) as made:
            error = await refusal(made.desk().api.get("/x", seconds=0.3))
            assert error.code == "too_slow"
            await until(lambda: busy(made) == 0 and not server.live)
            assert made.desk().pool.idle == 0
        assert len(server.heads) == 1


async def peak(made: Hub, **arguments: Any) -> tuple[str, int]:
    """The error of a read, or nothing, and the most bytes that Python held meanwhile."""
    await made.desk().api.get("/warm")
    tracemalloc.start()
    try:
        try:
            found = await made.desk().api.get("/x", **arguments)
            code = f"{len(found.data)} {found.cut}"
        except CallError as error:
            code = error.code
        return code, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


MIB = 1024 * 1024


@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip"])
async def test_a_body_that_unpacks_to_a_gigabyte_takes_little_memory(tmp_path: Path, coding: str) -> None:
    # Members of gzip follow one another.
    packed = gzip.compress(b"\0" * MIB) * 1024
    packed = gzip.compress(packed) if "," in coding else packed

    def talk(to: socket.socket, head: bytes) -> None:
        warm = b"/warm" in head
        to.sendall(
            answer(b"[]") if warm else answer(packed, "200 OK", "application/json", f"Content-Encoding: {coding}")
        )

    with raw_server(talk) as server:
        async with hub(tmp_path, server.url, cache_mb=0) as made:
            code, most = await peak(made, max_bytes=2 * MIB)
            assert code == "too_large"
            assert most < 8 * MIB
            code, most = await peak(made, max_bytes=2 * MIB, cut=True, accept=RAW)
            assert code == f"{2 * MIB} True"
            assert most < 16 * MIB


async def test_an_endless_body_is_refused_or_cut_at_the_bound(tmp_path: Path, elsewhere: Proxy) -> None:
    elsewhere.serve("GET", "/warm", lambda request: [])
    elsewhere.fault("GET", "/x", faults.endless(b"[1, 2, 3],\n"))
    async with hub(tmp_path, elsewhere.url, cache_mb=0) as made:
        code, most = await peak(made, max_bytes=MIB)
        assert code == "too_large"
        assert most < 8 * MIB
        code, _ = await peak(made, max_bytes=MIB, cut=True, accept=RAW)
        assert code == f"{MIB} True"


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 1000 + b"\r\n{}",
        b"HTTP/1.1 99999 OK\r\n\r\n{}",
        b"ICY 200 OK\r\n\r\n{}",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    ],
    ids=["short", "bad chunk", "long header", "many headers", "status", "no http", "tls", "bad gzip"],
)
async def test_an_answer_that_is_no_http_is_an_error_that_says_what_to_do(tmp_path: Path, sent: bytes) -> None:
    def talk(to: socket.socket, head: bytes) -> None:
        to.sendall(sent)
        to.shutdown(socket.SHUT_RDWR)

    with raw_server(talk) as server:
        async with hub(tmp_path, server.url) as made:
            error = await refusal(made.desk().api.get("/x"))
            assert (error.code, bool(error.hint)) == ("unreachable", True)
            assert len(server.heads) == 3
            assert (await checked(made.desk().api)).code == "outcome_unknown"
            assert len(server.heads) == 4
            assert made.desk().pool.idle == 0


async def test_what_follows_a_body_that_says_to_be_shorter_never_answers_the_next_request(tmp_path: Path) -> None:
    planted = answer(b'{"planted": true}')

    def talk(to: socket.socket, head: bytes) -> None:
        to.sendall(answer(json.dumps({"asked": target(head)}).encode()) + planted)

    with raw_server(talk) as server:
        async with hub(tmp_path, server.url) as made:
            for number in range(20):
                assert (await made.desk().api.get(f"/{number}")).data == {"asked": f"/{number}"}


@pytest.mark.parametrize("body", [b"<html>Sign in to the network</html>", b"{", b"[" * 200_000, b'"\xff"', b"NaN,"])
async def test_garbage_instead_of_json_is_an_error_and_no_empty_result(tmp_path: Path, body: bytes) -> None:
    for kind in ("application/json", "text/html"):
        with raw_server(lambda to, head, kind=kind: to.sendall(answer(body, "200 OK", kind))) as server:
            async with hub(tmp_path, server.url) as made:
                assert (await refusal(made.desk().api.get("/x"))).code == "bad_answer"
                found = await made.desk().api.get("/x", accept=RAW)
                assert found.data == body.decode("utf-8", "replace")


@pytest.mark.parametrize("body", [{}, [], {"data": None}, {"data": {}}, {"errors": "x"}, "text"])
async def test_a_graphql_answer_without_data_is_an_error(elsewhere: Proxy, tmp_path: Path, body: Any) -> None:
    elsewhere.serve("POST", "/graphql", lambda request: body)
    async with hub(tmp_path, elsewhere.url) as made:
        error = await refusal(made.desk().api.graphql("discussions", {"owner": "o", "name": "n", "first": 1}))
        assert error.code in ("bad_answer", "invalid")


async def test_an_answer_without_a_body_is_nothing(elsewhere: Proxy, tmp_path: Path) -> None:
    elsewhere.serve("GET", "/x", lambda request: Answer(204))
    elsewhere.serve("PUT", "/x", lambda request: Answer(204))
    async with hub(tmp_path, elsewhere.url) as made:
        assert (await made.desk().api.get("/x")).data is None
        assert (await made.desk().api.write("PUT", "/x", check="")).data is None
        elsewhere.serve("GET", "/x", lambda request: Answer(304))
        assert (await refusal(made.desk().api.get("/x"))).code == "bad_answer"


# --- streams


async def test_a_sink_that_has_taken_a_part_is_never_given_the_beginning_again(tmp_path: Path) -> None:
    def talk(to: socket.socket, head: bytes) -> None:
        to.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 70_000)
        to.shutdown(socket.SHUT_RDWR)

    with raw_server(talk) as server:
        taken: list[bytes] = []
        async with hub(tmp_path, server.url) as made:
            error = await refusal(made.desk().api.stream("/x", {}, RAW, lambda part: not taken.append(part), 10 * MIB))
        assert error.code == "unreachable"
        assert (len(server.heads), len(b"".join(taken)) <= 70_000) == (1, True)


async def test_a_stream_is_repeated_while_nothing_was_taken_and_ends_when_its_sink_has_enough(
    elsewhere: Proxy, tmp_path: Path
) -> None:
    elsewhere.fault("GET", "/x", faults.endless(b"line\n"))
    elsewhere.fault("GET", "/x", faults.refuses(502), times=1)
    taken: list[bytes] = []

    def sink(part: bytes) -> bool:
        taken.append(part)
        return len(taken) < 3

    async with hub(tmp_path, elsewhere.url) as made:
        raw = await made.desk().api.stream("/x", {}, RAW, sink, 10 * MIB)
        assert (raw.cut, raw.body, len(taken)) == (True, b"", 3)
        # An error's text is no part of what was asked for.
        elsewhere.heal()
        assert (await refusal(made.desk().api.stream("/x", {}, RAW, sink, 10 * MIB))).code == "not_found"
        assert len(taken) == 3


# --- waiting for GitHub


async def test_what_github_still_computes_is_asked_for_a_few_times(elsewhere: Proxy, tmp_path: Path) -> None:
    elsewhere.serve("GET", "/x", lambda request: [1])
    elsewhere.fault("GET", "/x", faults.pending(), times=1)
    async with hub(tmp_path, elsewhere.url) as made:
        assert (await made.desk().api.get("/x")).data == [1]
        assert len(elsewhere.requests) == 2
        elsewhere.forget()
        elsewhere.fault("GET", "/x", faults.pending())
        error = await refusal(made.desk().api.get("/x"))
        assert (error.code, error.hint) == ("not_ready", "Ask again in a minute.")
        assert len(elsewhere.requests) <= 5
        assert (await refusal(made.desk().api.get("/x", seconds=0.4))).code == "not_ready"


# --- through a tool


async def test_a_tool_tells_of_each_failure_and_goes_on(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    async with server(tmp_path, proxy.url, github.tokens["alice"], repo=PUBLIC, cache_mb=0) as called:
        for fault, word in [
            (faults.refuses(502), "github_failed"), (faults.hangs_up(), "unreachable"), (faults.cut(1), "unreachable"),
            (faults.says(Answer(200, b"<html>", {"Content-Type": "text/html"})), "bad_answer"),
        ]:  # fmt: skip
            proxy.fault("GET", r"/repos/.*/issues", fault)
            text = await called.error("list_issues")
            assert text.startswith(word), text
            assert "Traceback" not in text
            proxy.heal()
            assert "issues of alice/public-repo" in await called.text("list_issues")


async def test_a_lone_surrogate_from_github_breaks_nothing(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    body = rb'[{"number": 1, "title": "a\ud800b", "state": "open", "user": {"login": "eve"}, "author_association": "NONE"}]'
    proxy.serve("GET", r"/repos/.*/issues", lambda request: Answer(200, body, {"Content-Type": JSON}))
    async with server(tmp_path, proxy.url, github.tokens["alice"], repo=PUBLIC) as called:
        assert "1\topen\ta" in await called.text("list_issues")
