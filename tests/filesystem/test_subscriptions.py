"""Subscriptions, through the SDK's own client: both eras, both transports, nothing from outside the roots."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError
from mcp_types import (
    EmptyResult,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)

from tests.support.wire import Server, Transport, python_module

Era = Literal["legacy", "modern"]
DEADLINE = 60
QUIET = 1.0
"""Seconds in which nothing may come; several times the server's window."""


@pytest.fixture(params=["legacy", "modern"])
def era(request: pytest.FixtureRequest) -> Era:
    return request.param


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "notes" / "sub").mkdir(parents=True)
    (tmp_path / "notes" / "a.txt").write_text("first", encoding="utf-8")
    (tmp_path / "notes" / ".env").write_text("secret", encoding="utf-8")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("outside", encoding="utf-8")
    return tmp_path


def command(base: Path, *more: str) -> list[str]:
    return python_module("gatelodge_filesystem", str(base / "notes"), "--state-dir", str(base / "state"), *more)


@contextmanager
def serving(base: Path, transport: Transport, *more: str) -> Generator[StdioServerParameters | str]:
    if transport == "stdio":
        executable, *arguments = command(base, *more)
        yield StdioServerParameters(command=executable, args=arguments, env=dict(os.environ))
        return
    server = Server([*command(base, *more), "--http", "127.0.0.1:0"])
    try:
        yield server.wait_for_stderr(r"listening on (http://\S+)").group(1)
    finally:
        server.signal(signal.SIGTERM)
        server.end()


class Ear:
    """A client that hears of changes, whichever way its era has."""

    def __init__(self, client: Client, era: Era) -> None:
        self.client = client
        self._era = era
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    async def message(self, message: Any) -> None:
        if self._era == "legacy" and isinstance(message, ResourceUpdatedNotification):
            self._heard.put_nowait(str(message.params.uri))

    async def subscribe(self, uri: str) -> None:
        await self.client.session.send_request(SubscribeRequest(params=SubscribeRequestParams(uri=uri)), EmptyResult)

    async def unsubscribe(self, uri: str) -> None:
        request = UnsubscribeRequest(params=UnsubscribeRequestParams(uri=uri))
        await self.client.session.send_request(request, EmptyResult)

    @asynccontextmanager
    async def hearing(self, *uris: str) -> AsyncGenerator[set[str]]:
        """Subscribed inside the block; gives what the server agreed to."""
        if self._era == "legacy":
            for uri in uris:
                await self.subscribe(uri)
            yield set(uris)
            for uri in uris:
                await self.unsubscribe(uri)
            return
        async with self.client.listen(resource_subscriptions=list(uris)) as stream, anyio.create_task_group() as group:

            async def pump() -> None:
                async for event in stream:
                    self._heard.put_nowait(getattr(event, "uri", ""))

            group.start_soon(pump)
            yield set(stream.honored.resource_subscriptions or ())
            group.cancel_scope.cancel()

    async def next(self) -> str:
        return await self._heard.get()

    async def silence(self) -> bool:
        """Whether nothing comes for a while."""
        with anyio.move_on_after(QUIET):
            await self._heard.get()
            return False
        return True

    async def drained(self) -> int:
        """How many come until it is quiet."""
        count = 0
        while True:
            with anyio.move_on_after(QUIET) as scope:
                await self._heard.get()
                count += 1
            if scope.cancelled_caught:
                return count


@asynccontextmanager
async def connected(server: StdioServerParameters | str, era: Era) -> AsyncGenerator[Ear]:
    ears: list[Ear] = []

    async def message(message: Any) -> None:
        await ears[0].message(message)

    mode = "legacy" if era == "legacy" else "2026-07-28"
    client = Client(server, mode=mode, cache=None, message_handler=message)
    ears.append(Ear(client, era))
    with anyio.fail_after(DEADLINE):
        async with client:
            yield ears[0]


def put(path: Path, text: str) -> None:
    """Replace a file in one step, as editors do."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def test_a_subscriber_hears_of_changes_until_it_leaves(base: Path, transport: Transport, era: Era) -> None:
    async def conversation(server: StdioServerParameters | str) -> None:
        async with connected(server, era) as ear:
            by_name, by_path = "fs://notes/a.txt", f"file://{base}/notes/a.txt"
            async with ear.hearing(by_name, by_path) as agreed:
                assert agreed == {by_name, by_path}
                put(base / "notes" / "a.txt", "second")
                assert {await ear.next(), await ear.next()} == {by_name, by_path}
                # The same bytes again: a hint, but no change.
                put(base / "notes" / "a.txt", "second")
                put(base / "notes" / "b.txt", "another file")
                assert await ear.silence()
                (base / "notes" / "a.txt").unlink()
                assert {await ear.next(), await ear.next()} == {by_name, by_path}
            put(base / "notes" / "a.txt", "nobody listens")
            assert await ear.silence()

    with serving(base, transport) as server:
        anyio.run(conversation, server)


def test_a_folder_and_a_file_to_come_can_be_subscribed(base: Path, era: Era) -> None:
    async def conversation(server: StdioServerParameters | str) -> None:
        async with connected(server, era) as ear:
            async with ear.hearing("fs://notes/sub/"):
                put(base / "notes" / "sub" / "x", "1")
                assert await ear.next() == "fs://notes/sub/"
                assert await ear.drained() <= 1
            async with ear.hearing("fs://notes/sub/new%20file"):
                put(base / "notes" / "sub" / "new file", "1")
                assert await ear.next() == "fs://notes/sub/new%20file"

    with serving(base, "stdio") as server:
        anyio.run(conversation, server)


REFUSED = [
    "fs://notes/.env",
    "fs://notes/../outside/secret.txt",
    "fs://notes/%2e%2e/outside/secret.txt",
    "fs://notes/link/secret.txt",
    "fs://outside/secret.txt",
    "file:///etc/passwd",
    "file://elsewhere/etc/passwd",
    "https://example.org/",
    "fs://notes/missing/x",
    "fs://notes/kept/plan.txt",
    "fs://notes/%6bept/plan.txt",
]
NO_RESOURCES = [
    "a.txt",
    "notes/a.txt",
    "to-come.txt",
    "FS://notes/a.txt",
    "fs://notes/a.txt?x=1",
    "file://localhost/etc",
    "",
]
"""Paths that a tool would take, and URIs that are none of ours."""


def test_what_may_not_be_read_is_not_watched(base: Path, era: Era) -> None:
    (base / "notes" / "link").symlink_to(base / "outside")
    (base / "notes" / "kept").mkdir()
    (base / "notes" / "kept" / "plan.txt").write_text("x", encoding="utf-8")
    policy = base / "policy.toml"
    policy.write_text('[[rule]]\nsubject = "notes/kept/**"\nthen = "deny"\n', encoding="utf-8")

    async def conversation(server: StdioServerParameters | str) -> None:
        async with connected(server, era) as ear:
            if era == "legacy":
                for uri in REFUSED:
                    with pytest.raises(MCPError):
                        await ear.subscribe(uri)
                for uri in NO_RESOURCES:
                    with pytest.raises(MCPError) as caught:
                        await ear.subscribe(uri)
                    assert caught.value.error.code == -32002, uri
                return
            async with ear.hearing(*REFUSED, *NO_RESOURCES, "fs://notes/a.txt") as agreed:
                assert agreed == {"fs://notes/a.txt"}
                put(base / "outside" / "secret.txt", "changed")
                put(base / "notes" / ".env", "changed")
                put(base / "notes" / "kept" / "plan.txt", "changed")
                assert await ear.silence()

    with serving(base, "stdio", "--policy", str(policy)) as server:
        anyio.run(conversation, server)


def test_a_session_may_watch_a_bounded_number(base: Path, era: Era) -> None:
    async def conversation(server: StdioServerParameters | str) -> None:
        async with connected(server, era) as ear:
            uris = [f"fs://notes/f{number}" for number in range(65)]
            with pytest.raises(MCPError, match="too_many_subscriptions"):
                async with ear.hearing(*uris):
                    pass
            if era == "legacy":
                for uri in uris[:64]:
                    await ear.unsubscribe(uri)
            async with ear.hearing(*uris[:64]) as agreed:
                assert len(agreed) == 64

    with serving(base, "stdio") as server:
        anyio.run(conversation, server)


def test_many_atomic_writes_are_few_notifications_and_a_right_end(base: Path, era: Era) -> None:
    async def conversation(server: StdioServerParameters | str) -> None:
        async with connected(server, era) as ear, ear.hearing("fs://notes/a.txt"):
            for number in range(2000):
                put(base / "notes" / "a.txt", f"version {number}")
                if number % 4 == 0:
                    await anyio.sleep(0.01)
            count = await ear.drained()
            assert 1 <= count <= 200
            read = await ear.client.read_resource("fs://notes/a.txt")
            assert getattr(read.contents[0], "text", "") == "version 1999"

    with serving(base, "stdio") as server:
        anyio.run(conversation, server)


def test_a_watched_folder_that_is_swapped_for_a_link_tells_nothing_of_the_outside(base: Path, era: Era) -> None:
    async def conversation(server: StdioServerParameters | str) -> None:
        async with connected(server, era) as ear, ear.hearing("fs://notes/sub/", "fs://notes/sub/secret.txt"):
            (base / "notes" / "sub").rename(base / "notes" / "old")
            (base / "notes" / "sub").symlink_to(base / "outside")
            await ear.drained()
            # The folder's own entry went away, which may be told late; what is outside never changes anything.
            await anyio.sleep(6)
            await ear.drained()
            put(base / "outside" / "secret.txt", "changed")
            put(base / "outside" / "new.txt", "changed")
            await anyio.sleep(6)
            assert await ear.silence()

    with serving(base, "stdio") as server:
        anyio.run(conversation, server)


def test_an_open_stream_does_not_hold_up_the_end(base: Path) -> None:
    server = Server([*command(base), "--http", "127.0.0.1:0"])
    url = server.wait_for_stderr(r"listening on (http://\S+)").group(1)

    async def conversation() -> int:
        async with (
            connected(url, "modern") as ear,
            ear.client.listen(resource_subscriptions=["fs://notes/a.txt"]) as stream,
        ):
            server.signal(signal.SIGTERM)
            async for _ in stream:
                pass
            return await anyio.to_thread.run_sync(server.wait, 15)

    try:
        assert anyio.run(conversation) == 0
    finally:
        server.end()
