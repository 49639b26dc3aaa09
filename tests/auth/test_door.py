"""The door alone, driven as an ASGI server drives it: what it lets in, what it says, and what it keeps to itself."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import pytest
from gatelodge_core.auth.door import WELL_KNOWN, Door, metadata_paths
from gatelodge_core.auth.model import LACKING, PRINCIPAL, Unauthenticated
from gatelodge_core.auth.principal import Principal
from gatelodge_core.auth.turned import TurnedAway
from mcp.server.auth.middleware.auth_context import get_access_token
from starlette.types import ASGIApp, Message, Receive, Scope, Send

RESOURCE = "https://tools.example.com/files"
ISSUER = "https://issuer.example"
ALICE = Principal("oauth", f"{ISSUER}|alice|desk", frozenset({"files:read", "other:write"}))


class Judge:
    """Knows one token."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.addresses: list[str] = []
        self.open = True

    def takes(self, token: str) -> bool:
        return token.startswith("t")

    async def authenticate(self, token: str, address: str = "") -> Principal:
        self.seen.append(token)
        self.addresses.append(address)
        if token == "t-crowd":
            raise Unauthenticated("too many", unavailable=0.2, crowded=True)
        if token == "t-later":
            raise Unauthenticated("not now", unavailable=3.4)
        if token != "t-alice":
            raise Unauthenticated("the token has expired")
        return ALICE

    def ready(self) -> list[str]:
        return ["not yet"]

    async def aclose(self) -> None:
        self.open = False


@dataclass
class Seen:
    """What lies behind the door, and what it saw."""

    scopes: list[Scope] = field(default_factory=list[Scope])
    tokens: list[object] = field(default_factory=list[object])
    status: int = 200
    lacking: str = ""
    after: str = "start"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.tokens.append(get_access_token())
        if self.lacking and self.after != "body":
            scope[LACKING] = self.lacking
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"x-kept", b"1")]})
        if self.lacking and self.after == "body":
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            scope[LACKING] = self.lacking
        await send({"type": "http.response.body", "body": b"done"})


def door(app: ASGIApp, judge: Judge | None = None, **more: Any) -> Door:
    given: dict[str, Any] = {"resource": RESOURCE, "issuers": [ISSUER], "scopes": ["files:read", "files:destroy", "files:write"]}  # fmt: skip
    return Door(app, [judge or Judge()], **{**given, **more})


@dataclass
class Got:
    """A response."""

    messages: list[Message]

    @property
    def status(self) -> int:
        return self.messages[0]["status"]

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def challenge(self) -> dict[str, str]:
        """The parameters of a WWW-Authenticate that is well-formed."""
        text = self.headers["www-authenticate"]
        assert re.fullmatch(r'Bearer( [a-z_]+="[\x20\x21\x23-\x5b\x5d-\x7e]*"(, [a-z_]+="[\x20\x21\x23-\x5b\x5d-\x7e]*")*)?', text)  # fmt: skip
        return dict(re.findall(r'([a-z_]+)="([^"]*)"', text))


def request(
    through: Door,
    *,
    headers: Sequence[tuple[bytes, bytes]] = ((b"authorization", b"Bearer t-alice"),),
    path: str = "/mcp",
    method: str = "POST",
    query: bytes = b"",
) -> Got:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers)}
    anyio.run(through, {**scope, "client": ("203.0.113.7", 4711)}, receive, send)
    return Got(messages)


def test_a_caller_who_is_known_gets_through_and_the_token_does_not() -> None:
    seen = Seen()
    given = [(b"authorization", b"Bearer t-alice"), (b"cookie", b"c=t-alice"), (b"proxy-authorization", b"x"), (b"accept", b"*/*")]  # fmt: skip
    assert request(door(seen), headers=given).body == b"done"
    (scope,), (token,) = seen.scopes, seen.tokens
    assert scope[PRINCIPAL] is ALICE
    assert scope["headers"] == [(b"accept", b"*/*")]
    assert token is not None
    assert "t-alice" not in repr(scope) + repr(token) + repr(vars(cast("object", scope["user"])))
    # What the SDK binds sessions and sealed questions to.
    access = scope["user"].access_token
    assert (access.client_id, access.subject) == ("oauth", ALICE.subject)


def test_nobody_is_known_outside_of_a_request() -> None:
    seen = Seen()

    async def run() -> None:
        async def nothing(message: Message) -> None:
            del message

        async def receive() -> Message:
            return {"type": "http.request"}

        headers = [(b"authorization", b"Bearer t-alice")]
        await door(seen)({"type": "http", "method": "GET", "path": "/mcp", "headers": headers}, receive, nothing)
        assert get_access_token() is None

    anyio.run(run)


NOT_LET_IN: dict[str, tuple[list[bytes], int, str]] = {
    "nothing": ([], 401, ""),
    "empty": ([b""], 401, "invalid_token"),
    "the scheme alone": ([b"Bearer"], 401, "invalid_token"),
    "another scheme": ([b"Basic dC1hbGljZTo="], 401, "invalid_token"),
    "no scheme": ([b"t-alice"], 401, "invalid_token"),
    "two tokens in one": ([b"Bearer t-alice t-alice"], 401, "invalid_token"),
    "two tokens by comma": ([b"Bearer t-alice, Bearer t-alice"], 401, "invalid_token"),
    "quotes": ([b'Bearer "t-alice"'], 401, "invalid_token"),
    "a letter beyond ASCII": ([b"Bearer t-alic\xe9"], 401, "invalid_token"),
    "a token that is far too long": ([b"Bearer t" + b"a" * 17_000], 401, "invalid_token"),
    "a token of no kind": ([b"Bearer x-alice"], 401, "invalid_token"),
    "a bad token": ([b"Bearer t-eve"], 401, "invalid_token"),
    "two headers": ([b"Bearer t-alice", b"Bearer t-eve"], 400, ""),
    "the same header twice": ([b"Bearer t-alice", b"Bearer t-alice"], 400, ""),
    "nobody who could judge": ([b"Bearer t-later"], 503, ""),
}


@pytest.mark.parametrize("name", NOT_LET_IN)
@pytest.mark.parametrize(("method", "path"), [("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp"), ("OPTIONS", "/mcp"), ("GET", "/metrics"), ("GET", "/")])  # fmt: skip
def test_whoever_is_not_known_gets_nowhere(name: str, method: str, path: str) -> None:
    values, status, error = NOT_LET_IN[name]
    seen = Seen()
    got = request(door(seen), headers=[(b"authorization", value) for value in values], method=method, path=path)
    assert (got.status, seen.scopes) == (status, [])
    assert json.loads(got.body)["error"]
    if status == 401:
        assert got.challenge.get("error", "") == error
        assert got.challenge["resource_metadata"] == f"https://tools.example.com{WELL_KNOWN}/files"
        # The least: a client steps up from there.
        assert got.challenge["scope"] == "files:read"
    assert ("retry-after" in got.headers) == (status == 503)


def test_a_token_that_is_too_long_is_told_so() -> None:
    got = request(door(Seen()), headers=[(b"authorization", b"Bearer t" + b"a" * 16_384)])
    assert got.challenge["error_description"] == "the token is too long"


def test_a_token_that_is_one_too_many_is_told_so_and_judged_by_where_it_came_from() -> None:
    judge, noted = Judge(), list[str]()
    turned = TurnedAway(lambda reason, address, count, who: noted.append(f"{reason} {address}"))
    got = request(door(Seen(), judge, turned=turned), headers=[(b"authorization", b"Bearer t-crowd")])
    assert (got.status, got.headers["retry-after"], got.body) == (429, "1", b'{"error": "too many"}')
    assert judge.addresses == ["203.0.113.7"]
    assert noted == ["too_many_tokens 203.0.113.7"]


def test_a_judge_that_cannot_be_asked_says_when_to_come_again() -> None:
    got = request(door(Seen()), headers=[(b"authorization", b"Bearer t-later")])
    assert (got.status, got.headers["retry-after"]) == (503, "4")


@pytest.mark.parametrize("query", [b"access_token=t-alice", b"a=1&ACCESS_TOKEN=", b"api_key=x", b"token=x", b"%61ccess_token=x", b"access_token"])  # fmt: skip
def test_a_credential_in_the_address_is_refused_even_beside_a_good_one(query: bytes) -> None:
    judge, seen = Judge(), Seen()
    assert request(door(seen, judge), query=query).status == 400
    assert (judge.seen, seen.scopes) == ([], [])


def test_the_scheme_is_read_in_any_case() -> None:
    assert request(door(Seen()), headers=[(b"authorization", b"bEARER  t-alice ")]).status == 200


def test_the_first_judge_that_takes_a_token_judges_it_alone() -> None:
    first, second = Judge(), Judge()
    through = Door(Seen(), [first, second])
    assert request(through, headers=[(b"authorization", b"Bearer t-eve")]).status == 401
    assert (first.seen, second.seen) == (["t-eve"], [])


@pytest.mark.parametrize(
    ("resource", "endpoint", "paths"),
    [
        ("https://a.example/mcp", "/mcp", ["", "/mcp"]),
        ("https://a.example/files", "/mcp", ["", "/mcp", "/files"]),
        ("https://a.example/team/files/mcp", "/mcp", ["", "/mcp", "/team/files/mcp"]),
    ],
)
def test_metadata_are_where_clients_ask_and_proxies_send(resource: str, endpoint: str, paths: list[str]) -> None:
    seen = Seen()
    through = door(seen, resource=resource, endpoint=endpoint)
    asked = [WELL_KNOWN + path for path in paths] + [resource.removeprefix("https://a.example") + WELL_KNOWN]
    assert metadata_paths(resource.removeprefix("https://a.example"), endpoint) == set(asked)
    for path in asked:
        got = request(through, path=path, method="GET", headers=[])
        assert (got.status, got.headers["content-type"]) == (200, "application/json")
        assert json.loads(got.body) == {
            "resource": resource,
            "authorization_servers": [ISSUER],
            "scopes_supported": ["files:read"],
            "bearer_methods_supported": ["header"],
        }
        assert request(through, path=path, method="POST", headers=[]).status == 405
    for path in (WELL_KNOWN + "/other", WELL_KNOWN + "/mcp/more", WELL_KNOWN + "/..", "/.well-known/oauth-authorization-server"):  # fmt: skip
        assert request(through, path=path, method="GET", headers=[]).status == 401
    assert seen.scopes == []


def test_without_oauth_there_are_no_metadata_and_no_word_of_them() -> None:
    through = Door(Seen(), [Judge()], scopes=["files:read"])
    got = request(through, path=WELL_KNOWN, method="GET", headers=[])
    assert got.status == 401
    assert got.challenge == {"scope": "files:read"}


@pytest.mark.parametrize("status", [200, 400, 404])
def test_a_call_that_lacks_a_scope_is_403_and_told_all_it_needs(status: int) -> None:
    got = request(door(Seen(status=status, lacking="files:destroy")))
    assert got.status == 403
    assert (got.challenge["error"], got.headers["x-kept"], got.body) == ("insufficient_scope", "1", b"done")
    # With what it has of ours, so that it doesn't lose that; what it has elsewhere is none of our business.
    assert got.challenge["scope"] == "files:destroy files:read"
    assert got.challenge["resource_metadata"].endswith("/files")


def test_a_failure_of_ours_stays_one() -> None:
    assert request(door(Seen(status=500, lacking="files:destroy"))).status == 500


def test_what_is_lacking_after_the_answer_began_changes_nothing() -> None:
    got = request(door(Seen(lacking="files:destroy", after="body")))
    assert (got.status, got.body) == (200, b"firstdone")


def test_the_head_of_an_answer_waits_for_its_first_part_and_no_longer() -> None:
    order: list[str] = []
    go = anyio.Event

    async def run() -> None:
        gone = go()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            order.append("began")
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            await gone.wait()
            await send({"type": "http.response.body", "body": b"two"})

        async def send(message: Message) -> None:
            order.append(str(message.get("body", message["type"])))
            if message.get("body") == b"one":
                gone.set()

        with anyio.fail_after(10):
            await door(app)(scope("POST"), receive, send)

    async def receive() -> Message:
        return {"type": "http.request"}

    anyio.run(run)
    assert order == ["began", "http.response.start", "b'one'", "b'two'"]


def test_the_head_of_a_stream_that_is_only_listened_to_waits_for_nothing() -> None:
    order: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        order.append("began")
        await send({"type": "http.response.body", "body": b"one"})

    async def send(message: Message) -> None:
        order.append(message["type"])

    async def receive() -> Message:
        return {"type": "http.request"}

    anyio.run(door(app), scope("GET"), receive, send)
    assert order[0] == "http.response.start"


def scope(method: str) -> Scope:
    headers = [(b"authorization", b"Bearer t-alice")]
    return {"type": "http", "method": method, "path": "/mcp", "query_string": b"", "headers": headers}


def test_it_tells_why_nobody_can_be_judged_and_closes_its_judges() -> None:
    judge = Judge()
    through = door(Seen(), judge)
    assert through.ready() == ["not yet"]
    close: Callable[[], Awaitable[None]] = through.aclose
    anyio.run(close)
    assert not judge.open
