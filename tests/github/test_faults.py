"""When GitHub or the way to it fails: reads are repeated within bounds, a change is sent once and never said to be undone."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.errors import CallError
from gatelodge_github.hub import Hub
from gatelodge_github.transport import api as apis
from gatelodge_github.transport.api import Api
from gatelodge_github.transport.request import JSON, RAW

from tests.github import faults
from tests.github.bench import RawServer, answer, busy_workers, hub, raw_server, refusal, target, until
from tests.github.emulator import PUBLIC, Emulator
from tests.github.loopback import Answer
from tests.github.proxy import Act, Proxy
from tests.github.support import server

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"


async def checked(api: Api, verb: str = "POST", path: str = f"{HERE}/issues", body: Any = None) -> CallError:
    """The error of a change that must fail."""
    return await refusal(api.write(verb, path, body or {"title": "Once"}, check="list_issues(state=all)"))


# --- changes


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", f"{HERE}/issues", {"title": "Once"}),
        ("PATCH", f"{HERE}", {"description": "Once"}),
        ("PUT", f"{HERE}/topics", {"names": ["once"]}),
        ("DELETE", f"{HERE}/git/refs/heads/gone", None),
    ],
)
@pytest.mark.parametrize(
    "fault",
    [
        faults.lost_after_commit(502),
        faults.lost_after_commit(500),
        faults.lost_after_commit(503),
        faults.hangs_up_after_commit(),
        faults.cut(5),
    ],
    ids=["502", "500", "503", "hung up", "cut body"],
)
async def test_a_change_whose_answer_is_lost_was_sent_once_and_its_outcome_is_not_known(
    github: Emulator, proxy: Proxy, tmp_path: Path, verb: str, path: str, body: Any, fault: Act
) -> None:
    if verb == "DELETE":
        sha = github.call("GET", f"{HERE}/git/ref/heads/main")["object"]["sha"]
        github.call("POST", f"{HERE}/git/refs", {"ref": "refs/heads/gone", "sha": sha})
        if "cut" in fault.__qualname__:
            pytest.skip("204 has no body to cut")
    proxy.fault(verb, path, fault)
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        error = await checked(made.desk().api, verb, path, body)
    assert error.code == "outcome_unknown"
    assert f"whether {verb} {path} was done. It was not repeated." in error.message
    assert error.hint == "Before you try again, check: list_issues(state=all)."
    assert [one.method for one in proxy.writes()] == [verb]


async def test_a_change_is_done_exactly_once_when_a_gateway_fails_behind_it(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.fault("POST", r".*/issues", faults.lost_after_commit())
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        assert (await checked(made.desk().api)).code == "outcome_unknown"
    assert [one["title"] for one in github.call("GET", f"{HERE}/issues")] == ["Once"]


@pytest.mark.parametrize("body", [b"<html>hello</html>", b'{"number": ', b"\xff\xfe\x00"])
async def test_a_change_that_was_made_is_never_said_to_have_failed_because_its_answer_is_garbage(
    tmp_path: Path, body: bytes
) -> None:
    with raw_server(lambda to, head: to.sendall(answer(body, "201 Created"))) as bad:
        async with hub(tmp_path, bad.url) as made:
            error = await checked(made.desk().api)
            assert (error.code, len(bad.heads)) == ("outcome_unknown", 1)
            assert "GitHub answered with status 201, but the rest can't be read" in error.message
            again = await refusal(made.desk().api.graphql("to_draft", {"pullRequestId": "x"}, check="get_pull(1)"))
            assert (again.code, len(bad.heads)) == ("outcome_unknown", 2)


async def test_a_change_with_an_answer_that_is_too_large_may_have_been_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b" " * (17 * 1024 * 1024)
    with raw_server(lambda to, head: to.sendall(answer(body, "201 Created"))) as bad:
        async with hub(tmp_path, bad.url) as made:
            error = await checked(made.desk().api)
    assert (error.code, len(bad.heads)) == ("outcome_unknown", 1)


async def test_a_graphql_mutation_that_went_through_in_part_says_so(tmp_path: Path, elsewhere: Proxy) -> None:
    partly = {"data": {"convert": {"id": 1}}, "errors": [{"type": "INTERNAL", "message": "oops"}]}
    elsewhere.graphql(lambda document, variables: partly)
    async with hub(tmp_path, elsewhere.url) as made:
        error = await refusal(made.desk().api.graphql("to_draft", {"pullRequestId": "x"}, check="get_pull(1)"))
        assert error.code == "outcome_unknown"
        elsewhere.graphql(lambda document, variables: {"data": {"convert": None}, "errors": partly["errors"]})
        error = await refusal(made.desk().api.graphql("to_draft", {"pullRequestId": "x"}, check="get_pull(1)"))
        assert error.code == "invalid"


async def test_what_could_not_be_sent_was_not_done(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with hub(tmp_path, f"http://127.0.0.1:{port}") as made:
        error = await checked(made.desk().api)
        assert (error.code, "nothing was done" in error.message) == ("unreachable", True)
        assert (await refusal(made.desk().api.get("/x"))).code == "unreachable"


async def test_a_change_that_found_no_free_client_in_time_was_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def talk(to: socket.socket, head: bytes) -> None:
        if b"/slow" in head:
            server.ended.wait(60)
        to.sendall(answer(b"{}"))

    with raw_server(talk) as server:
        async with hub(tmp_path, server.url) as made, anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(refusal, made.desk().api.get("/slow"))
            await until(lambda: len(server.heads) == 4)
            monkeypatch.setattr(apis, "SECONDS", 0.2)
            error = await checked(made.desk().api)
            assert (error.code, error.message) == ("too_slow", "GitHub did not answer in time; nothing was sent.")
            group.cancel_scope.cancel()
    assert not any(head.startswith(b"POST") for head in server.heads)


async def test_a_change_cut_off_while_it_waits_for_its_answer_may_have_been_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raw_server(lambda to, head: none(stalled.ended.wait(60))) as stalled:
        async with hub(tmp_path, stalled.url) as made:
            monkeypatch.setattr(apis, "SECONDS", 0.2)
            error = await checked(made.desk().api)
            assert error.code == "outcome_unknown"
            assert "no answer came in time" in error.message
            await until(lambda: busy_workers() == 0)
        assert len(stalled.heads) == 1


async def test_a_change_on_a_connection_that_github_had_closed_meanwhile_goes_out_on_a_new_one(tmp_path: Path) -> None:
    def talk(to: socket.socket, head: bytes) -> None:
        to.sendall(answer(json.dumps({"asked": target(head)}).encode()))
        if head.startswith(b"GET"):
            to.shutdown(socket.SHUT_RDWR)

    with raw_server(talk) as server:
        async with hub(tmp_path, server.url) as made:
            await made.desk().api.get("/first")
            await until(lambda: not server.live)
            found = await made.desk().api.write("POST", "/second", {}, check="")
    assert found.data == {"asked": "/second"}
    assert len(server.heads) == 2


async def test_a_redirected_change_is_not_followed(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    for status in (301, 302, 307, 308):
        proxy.heal()
        proxy.fault("POST", r".*/issues", faults.moved(f"{proxy.url}/repos/alice/private-repo/issues", status))
        async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
            assert (await checked(made.desk().api)).code == "moved"
    assert len(proxy.requests) == 4


def none(_: object) -> None:
    """For what only waits."""


# --- reads


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
            await until(lambda: busy_workers() == 0 and not server.live)
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
    packed = gzip.compress(gzip.compress(b"\0" * MIB) if "," in coding else b"\0" * MIB)
    if "," not in coding:
        packed = packed * 1024  # members of gzip follow one another
    else:
        packed = gzip.compress(gzip.compress(b"\0" * (256 * MIB), 9), 9)

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


def test_time_in_these_tests_is_not_slept_away() -> None:
    """What this file waits for is an event; the longest pause of the transport's own is told by its constants."""
    assert apis.REPEATS * 0.2 + apis.PATIENCE < apis.SECONDS
    assert threading.active_count() < 100
    assert time.monotonic() > 0
