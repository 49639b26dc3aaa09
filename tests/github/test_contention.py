"""Many calls at once: each gets its own answer, whatever is cancelled among them, and nothing is left behind."""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.sandbox.egress import EgressSettings, Policy
from gatelodge_github.hosts import Hosts
from gatelodge_github.hub import Hub
from gatelodge_github.transport.client import Client
from gatelodge_github.transport.request import Request

from tests.github.bench import (
    RawServer,
    answer,
    busy,
    caller,
    field,
    hub,
    raw_server,
    refusal,
    sockets,
    static,
    target,
    token,
    until,
)

pytestmark = pytest.mark.anyio

CALLS = 6000
WORKERS = 8


def echo(connection: socket.socket, head: bytes) -> None:
    """Says what was asked, by whom, and how."""
    where = target(head)
    said: dict[str, Any] = {
        "asked": where,
        "verb": head.split(b" ", 1)[0].decode(),
        "by": field(head, b"authorization").decode(),
    }
    if where.startswith("/repos/") and where.count("/") == 3:
        name = where.removeprefix("/repos/")
        said |= {"full_name": name, "private": len(name) % 2 == 0, "default_branch": name[::-1]}
    elif where == "/graphql":
        said = {"data": {"echo": said}}
    tag = f'ETag: "{where}-{said.get("by", "")[-6:]}"'
    connection.sendall(answer(json.dumps(said).encode(), "200 OK", "application/json", tag))


@pytest.fixture
def often() -> Generator[None]:
    """Threads take turns a hundred times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def echoes() -> Generator[RawServer]:
    with raw_server(echo) as server:
        yield server


async def one_call(made: Hub, who: str, letter: str, number: int, dice: random.Random) -> None:
    """A call of some kind, its answer held to what was asked."""
    signed = f"token {token(letter)}"
    with caller(who):
        api = made.desk().api
        kind = dice.randrange(5)
        if kind == 0:
            repo = f"{who}/r{number}" + "x" * dice.randrange(3)
            facts = (await made.open(repo)).facts
            assert (facts.name, facts.default_branch, facts.public) == (repo, repo[::-1], len(repo) % 2 == 1)
        elif kind == 1:
            found = (await api.write("POST", f"/user/{who}/{number}", {"n": number}, check="")).data
            assert (found["asked"], found["verb"], found["by"]) == (f"/user/{who}/{number}", "POST", signed)
        elif kind == 2:
            found = (await api.graphql("discussions", {"owner": who, "name": f"n{number}", "first": 1}))["echo"]
            assert (found["verb"], found["by"]) == ("POST", signed)
        else:
            # Some of these twice, so that kept answers are asked for again.
            number = number % 500 if kind == 3 else number
            found = (await api.get(f"/repos/{who}/name/issues/{number}", {"page": number})).data
            assert (found["asked"], found["by"]) == (f"/repos/{who}/name/issues/{number}?page={number}", signed)


def fast() -> float:
    """A clock by which our own limit on changes is no limit."""
    return time.time() * 1e5


async def run(made: Hub, calls: int, cancels: float = 0.0) -> int:
    """So many calls by two principals on eight workers; how many of them were given up."""
    given_up = 0
    numbers = iter(range(calls))

    async def work(worker: int) -> None:
        nonlocal given_up
        dice = random.Random(worker)
        who, letter = (("ann", "a"), ("ben", "b"))[worker % 2]
        for number in numbers:
            patience = dice.uniform(0, 0.004) if dice.random() < cancels else 60.0
            with anyio.move_on_after(patience) as scope:
                await one_call(made, who, letter, number, dice)
            given_up += scope.cancelled_caught

    async with anyio.create_task_group() as group:
        for worker in range(WORKERS):
            group.start_soon(work, worker)
    return given_up


def accounts() -> dict[str, Any]:
    return {"api-key:ann": static(token("a")), "api-key:ben": static(token("b"))}


@pytest.mark.slow
async def test_of_6000_mixed_calls_on_8_workers_each_gets_its_own_answer(
    echoes: RawServer, often: None, tmp_path: Path
) -> None:
    before = sockets()
    async with hub(tmp_path, echoes.url, "", accounts(), fast, writes_per_minute=80) as made:
        assert await run(made, CALLS) == 0
        assert 4 <= len(echoes.live) <= WORKERS
    await until(lambda: not echoes.live and sockets() <= before)


@pytest.mark.slow
async def test_calls_given_up_at_random_leave_nothing_and_disturb_nobody(
    echoes: RawServer, often: None, tmp_path: Path
) -> None:
    before = sockets()
    async with hub(tmp_path, echoes.url, "", accounts(), fast, writes_per_minute=80) as made:
        assert await run(made, 3000, cancels=0.3) > 100
        await until(lambda: busy(made) == 0)
        for who in ("ann", "ben"):
            with caller(who):
                pool = made.desk().pool
                # The pool is whole: all of its places are free, and it holds no more clients than places.
                assert pool.idle <= 4
                assert pool.free == 4
        assert await run(made, 200) == 0
    await until(lambda: not echoes.live and sockets() <= before)


def test_one_client_shared_by_threads_would_mix_answers_up(echoes: RawServer, often: None) -> None:
    """The load above can see what the pool is for."""
    hosts = Hosts.of("github.com", echoes.url)
    policy = Policy.of(EgressSettings(ports=frozenset({hosts.port}), allow_hosts=(f"{hosts.host}:{hosts.port}",)))
    client = Client(hosts, static(token()), policy, True, list[str]().append, writable=False)
    crossed, done = threading.Event(), threading.Event()

    def ask(worker: int) -> None:
        for number in range(2000):
            if crossed.is_set():
                return
            path = f"/repos/o/{worker}/{number}"
            try:
                found = client.send(Request("GET", path), time.monotonic() + 20).json()
            except Exception:  # noqa: BLE001 - whatever it comes to when threads share one
                continue
            if found["asked"] != path:
                crossed.set()

    threads = [threading.Thread(target=ask, args=(worker,)) for worker in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    done.set()
    client.close()
    assert crossed.is_set()


async def test_a_call_that_is_given_up_cuts_its_connection_and_its_client_is_never_used_again(tmp_path: Path) -> None:
    silent = threading.Event()

    def talk(connection: socket.socket, head: bytes) -> None:
        if "silent" in target(head):
            silent.set()
            connection.recv(1)
            return
        echo(connection, head)

    with raw_server(talk) as server:
        async with hub(tmp_path, server.url, token()) as made:
            api = made.desk().api
            await api.get("/first")
            assert made.desk().pool.idle == 1
            with anyio.move_on_after(60) as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(api.get, "/silent")
                    await until(silent.is_set)
                    scope.cancel()
            await until(lambda: busy(made) == 0)
            assert made.desk().pool.idle == 0
            assert (await api.get("/after")).data["asked"] == "/after"
            # The connection of the one that was given up is gone, and another was opened.
            await until(lambda: len(server.live) == 1)


async def test_a_call_given_up_before_it_began_closes_the_client_it_would_have_had(
    echoes: RawServer, tmp_path: Path
) -> None:
    async with hub(tmp_path, echoes.url, token()) as made:
        api = made.desk().api
        await api.get("/first")
        assert len(echoes.live) == 1
        threads = made.desk().pool.threads
        # No thread is free.
        threads.limiter.total_tokens = 1
        await threads.limiter.acquire_on_behalf_of("another")
        with anyio.move_on_after(0.05) as scope:
            await api.get("/waits")
        assert scope.cancelled_caught
        threads.limiter.release_on_behalf_of("another")
        assert made.desk().pool.idle == 0
        await until(lambda: not echoes.live)
        assert [target(head) for head in echoes.heads] == ["/first"]


class Slow:
    """A credential whose token comes when it is let."""

    kind, app, digest = "classic", False, "slow"

    def __init__(self) -> None:
        self.let = threading.Event()

    def token(self, seconds: float) -> str:
        self.let.wait(seconds)
        return token()

    def current(self) -> str:
        return ""

    def refused(self, token: str) -> None:
        """Nothing."""


async def test_threads_that_do_not_end_are_counted_and_at_last_nothing_new_begins(
    echoes: RawServer, tmp_path: Path
) -> None:
    slow = Slow()
    async with hub(tmp_path, echoes.url, slow) as made:
        api = made.desk().api
        threads = made.desk().pool.threads
        codes: list[str] = []

        async def ask() -> None:
            codes.append((await refusal(api.get("/x"))).code)

        try:
            for _ in range(40):
                with anyio.move_on_after(0.02):
                    await ask()
            assert set(codes) == {"busy"}
            assert threads.left == 16
        finally:
            slow.let.set()
        await until(lambda: threads.left == 0)
        # Nothing of what was given up was sent after all.
        assert echoes.heads == []
        assert (await api.get("/x")).data["asked"] == "/x"


async def test_a_client_that_comes_back_to_a_closed_pool_is_closed(echoes: RawServer, tmp_path: Path) -> None:
    async with hub(tmp_path, echoes.url, token()) as made:
        pool = made.desk().pool
        entered, leave = threading.Event(), threading.Event()

        def work(client: Client) -> None:
            client.send(Request("GET", "/x"), time.monotonic() + 20)
            entered.set()
            leave.wait(20)

        async with anyio.create_task_group() as group:
            group.start_soon(pool.run, work)
            await until(entered.is_set)
            pool.close()
            leave.set()
        assert pool.idle == 0
        await until(lambda: not echoes.live)
