"""Sessions of the 2025 revisions whose clients left without a word: they make way for new ones of the same caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import httpx2
import pytest
from gatelodge_core.launch import sessions as module
from gatelodge_core.launch.sessions import Sessions
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel.server import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import Receive, Scope, Send

HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
OPENING = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}},
}  # fmt: skip


class Place:
    """The sessions of a server, of which each caller may have two, and a client; nobody waits for anybody to be idle."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def opened(self, caller: str) -> tuple[int, str]:
        """Status and id of a new session of a caller's."""
        answer = await self._client.post("/mcp", json=OPENING, headers={**HEADERS, "x-caller": caller})
        return answer.status_code, answer.headers.get("mcp-session-id", "")

    async def status(self, caller: str, session: str) -> int:
        """Of a request in a session."""
        named = {"x-caller": caller, "mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        return (await self._client.post("/mcp", json=ping, headers={**HEADERS, **named})).status_code


async def place(work: Callable[[Place], Awaitable[None]]) -> None:
    made: Sessions = Sessions(
        Server("t"), most=8, stateless=False, idle_seconds=300,
        security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )  # fmt: skip

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        caller = dict(scope["headers"]).get(b"x-caller", b"").decode()
        if caller:
            token = AccessToken(token="-", client_id="key", subject=caller, scopes=[])
            scope["user"] = AuthenticatedUser(token)
        await made.handle_request(scope, receive, send)

    with anyio.fail_after(30):
        async with (
            made.run(),
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost") as client,
        ):
            await work(Place(client))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEFT_SECONDS", 0.0)


@pytest.mark.parametrize("caller", ["alice", ""])
def test_the_session_that_nobody_has_used_for_longest_makes_way(caller: str) -> None:
    async def work(at: Place) -> None:
        most = 2 if caller else 8
        ids = [(await at.opened(caller))[1] for _ in range(most)]
        assert await at.status(caller, ids[0]) == 200
        status, new = await at.opened(caller)
        assert status == 200
        gone = [item for item in [*ids, new] if await at.status(caller, item) == 404]
        assert gone == [ids[1]]

    anyio.run(place, work)


def test_nobodys_session_makes_way_for_another_caller() -> None:
    async def work(at: Place) -> None:
        held = {caller: [(await at.opened(caller))[1] for _ in range(2)] for caller in ("a", "b", "c", "d")}
        assert (await at.opened("e"))[0] == 503
        assert [await at.status(caller, item) for caller, ids in held.items() for item in ids] == [200] * 8

    anyio.run(place, work)


def test_a_session_that_was_used_just_now_makes_no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEFT_SECONDS", 30.0)

    async def work(at: Place) -> None:
        assert [(await at.opened("alice"))[0] for _ in range(3)] == [200, 200, 503]

    anyio.run(place, work)
