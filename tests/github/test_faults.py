"""When GitHub or the way to it fails, a change was sent once, and is never said to be undone if it may have been made."""

from __future__ import annotations

import json
import socket
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.errors import CallError
from gatelodge_github.transport import api as apis
from gatelodge_github.transport.api import Api

from tests.github import faults
from tests.github.bench import answer, busy, hub, raw_server, refusal, target, until
from tests.github.emulator import PUBLIC, Emulator
from tests.github.proxy import Act, Proxy

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


@pytest.mark.parametrize("later", [0, 5], ids=["the task gives up", "the thread's own time is over"])
async def test_a_change_cut_off_while_it_waits_for_its_answer_may_have_been_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: float
) -> None:
    fail_after = anyio.fail_after

    def patient(seconds: float) -> AbstractContextManager[anyio.CancelScope]:
        return fail_after(seconds + later)

    monkeypatch.setattr(anyio, "fail_after", patient)

    def talk(to: socket.socket, head: bytes) -> None:
        if head.startswith(b"GET"):
            to.sendall(answer(b"{}"))
        else:
            server.ended.wait(60)

    with raw_server(talk) as server:
        async with hub(tmp_path, server.url) as made:
            # What is loaded with the first request takes longer than the time that is left to the second.
            await made.desk().api.get("/warm")
            monkeypatch.setattr(apis, "SECONDS", 0.5)
            error = await checked(made.desk().api)
            assert error.code == "outcome_unknown"
            assert "no answer came in time" in error.message
            await until(lambda: busy(made) == 0)
        assert len(server.heads) == 2


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
