"""A real authorization server, a real client, and between them nothing but our 401: discovery, registration, PKCE, a token
for this server, a call, a step up, a refresh; for signed tokens and for such as only the issuer can read.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp_types import TextContent
from pydantic import AnyUrl

from tests.auth.install import folder, lacking
from tests.auth.served import BearerWire
from tests.clients.install import find_node
from tests.support.wire import MODERN, Server, python_module

HERE = Path(__file__).resolve().parent
CALLBACK = "http://127.0.0.1:1/callback"
SCOPES = "toy:read toy:write toy:destroy"
SECRET = "of the server & more"
Kind = Literal["jwt", "opaque"]
ERAS = {"2025": "legacy", "2026": MODERN}


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if reason := lacking():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@dataclass(frozen=True)
class House:
    """The authorization server, and two servers that take its tokens: one reads them, one asks about them."""

    issuer: str
    urls: dict[Kind, str]
    servers: dict[Kind, Server]


@contextmanager
def running(server: Server) -> Generator[Server]:
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.signal(signal.SIGTERM)
        server.end()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, _installed: None) -> Generator[House]:
    urls: dict[Kind, str] = {"jwt": f"http://127.0.0.1:{free_port()}/mcp", "opaque": f"http://127.0.0.1:{free_port()}/mcp"}  # fmt: skip
    given = json.dumps({**{kind: [url] for kind, url in urls.items()}, "scopes": SCOPES})
    command = [str(find_node().binary), str(HERE / "authorization_server.mjs"), str(folder()), given]
    with running(Server(command)) as authorization:
        issuer = authorization.line().decode().removeprefix("listening on ").strip()
        base = tmp_path_factory.mktemp("house")

        def serve(kind: Kind, *more: str) -> Server:
            arguments = ["--http", urls[kind].removeprefix("http://").removesuffix("/mcp"), "--auth", "oauth"]
            arguments += ["--public-url", urls[kind], "--oauth-issuer", issuer, "--state-dir", str(base / kind), *more]
            return Server(python_module("tests.support.kept", *arguments), {"GATELODGE_OAUTH_CLIENT_SECRET": SECRET})

        asking = ("--oauth-introspection-url", "discover", "--oauth-client-id", "server")
        with running(serve("jwt")) as reads, running(serve("opaque", *asking)) as asks:
            for server in (reads, asks):
                server.wait_for_stderr("listening on")
            yield House(issuer, urls, {"jwt": reads, "opaque": asks})


@dataclass
class Person:
    """Somebody with a browser and a client that keeps tokens."""

    name: str
    asked: list[dict[str, list[str]]] = field(default_factory=list[dict[str, list[str]]])
    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None
    redirected: str = ""

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info

    async def browse(self, url: str) -> None:
        """Follow the authorization server through its pages, back to the client."""
        self.asked.append(parse_qs(urlsplit(url).query))
        async with httpx2.AsyncClient(headers={"x-person": self.name}, trust_env=False) as browser:
            for _ in range(10):
                answer = await browser.get(url)
                assert answer.is_redirect, answer.text
                url = str(answer.url.join(answer.headers["location"]))
                if url.startswith(CALLBACK):
                    self.redirected = url
                    return
        raise AssertionError(url)

    async def come_back(self) -> AuthorizationCodeResult:
        found = {name: values[0] for name, values in parse_qs(urlsplit(self.redirected).query).items()}
        assert "code" in found, found
        return AuthorizationCodeResult(code=found["code"], state=found.get("state"), iss=found.get("iss"))

    def provider(self, url: str) -> OAuthClientProvider:
        metadata = OAuthClientMetadata(
            redirect_uris=[AnyUrl(CALLBACK)],
            client_name="a client of tests",
            grant_types=["authorization_code", "refresh_token"],
            token_endpoint_auth_method="none",
        )
        return OAuthClientProvider(url, metadata, self, self.browse, self.come_back)

    @asynccontextmanager
    async def connected(self, url: str, era: str) -> AsyncGenerator[Client]:
        async with (
            httpx2.AsyncClient(auth=self.provider(url), trust_env=False, timeout=30) as http,
            Client(streamable_http_client(url, http_client=http), mode=era, cache=None) as client,
        ):
            yield client


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        with anyio.fail_after(90):
            await work()

    anyio.run(within)


async def text(client: Client, name: str, **arguments: Any) -> str:
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kind", ["jwt", "opaque"])
def test_a_client_gets_from_our_401_to_an_answer_and_steps_up_when_it_must(house: House, kind: Kind, era: str) -> None:
    alice = Person("alice")

    async def work() -> None:
        async with alice.connected(house.urls[kind], ERAS[era]) as client:
            assert "hello" in await text(client, "echo_text", text="hello")
            # Registered by itself, with PKCE, for this server, and for the least that is of use.
            (first,) = alice.asked
            assert (first["resource"], first["code_challenge_method"]) == ([house.urls[kind]], ["S256"])
            assert first["scope"][0].split()[0] == "toy:read"
            assert "toy:write" not in first["scope"][0]
            assert {tool.name for tool in (await client.list_tools()).tools}.isdisjoint({"put_item", "drop_item"})
            # One step up is enough, and loses nothing.
            await text(client, "put_item", key=f"from-{era}", value="v")
            assert len(alice.asked) == 2
            assert {"toy:read", "toy:write"} <= set(alice.asked[1]["scope"][0].split())
            assert "hello" in await text(client, "echo_text", text="hello")
            assert len(alice.asked) == 2

    run(work)
    assert alice.tokens is not None
    assert (alice.tokens.access_token.count(".") == 2) is (kind == "jwt")
    assert alice.tokens.access_token not in house.servers[kind].stderr()


@pytest.mark.parametrize("kind", ["jwt", "opaque"])
def test_a_refreshed_token_goes_on_without_the_person(house: House, kind: Kind) -> None:
    carol = Person("carol")

    async def work() -> None:
        async with carol.connected(house.urls[kind], MODERN) as client:
            await text(client, "echo_text", text="one")
        assert carol.tokens is not None
        before = carol.tokens.access_token
        assert carol.tokens.refresh_token
        carol.tokens = carol.tokens.model_copy(update={"access_token": "spent", "expires_in": -1})
        async with carol.connected(house.urls[kind], MODERN) as client:
            assert "two" in await text(client, "echo_text", text="two")
        assert carol.tokens.access_token not in (before, "spent")

    run(work)


def test_a_token_for_one_server_opens_no_other(house: House) -> None:
    """The same issuer, the same person, the same scopes: the audience alone tells them apart (RFC 8707)."""
    tokens: dict[Kind, str] = {}

    async def work() -> None:
        for kind, url in house.urls.items():
            dave = Person("dave")
            async with dave.connected(url, MODERN) as client:
                await text(client, "echo_text", text="hi")
            assert dave.tokens is not None
            tokens[kind] = dave.tokens.access_token

    run(work)
    for kind, url in house.urls.items():
        statuses = {name: BearerWire(url, MODERN, token).call("echo_text", text="hi")[0] for name, token in tokens.items()}  # fmt: skip
        assert statuses == {name: 200 if name == kind else 401 for name in tokens}


def test_what_the_issuer_takes_back_is_refused_once_the_memory_of_it_is_over(house: House) -> None:
    """A token that was never seen here: there is no memory of it, so the issuer's word counts at once."""
    eve = Person("eve")

    async def work() -> None:
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
            provider = eve.provider(house.urls["opaque"])
            # The whole dance on a request that needs no more than a token; the token is then taken back.
            async with httpx2.AsyncClient(auth=provider, trust_env=False, timeout=30) as client:
                assert (await client.get(house.urls["opaque"].replace("/mcp", "/nothing"))).status_code == 404
            assert eve.tokens is not None
            assert eve.client is not None
            fresh = await http.post(
                f"{house.issuer}/token",
                data={"grant_type": "refresh_token", "refresh_token": eve.tokens.refresh_token or "", "client_id": eve.client.client_id or ""},
            )  # fmt: skip
            token = fresh.json()["access_token"]
            done = await http.post(
                f"{house.issuer}/token/revocation", data={"token": token, "client_id": eve.client.client_id or ""}
            )
            assert done.status_code == 200
            eve.tokens = OAuthToken(access_token=token)

    run(work)
    assert eve.tokens is not None
    assert BearerWire(house.urls["opaque"], MODERN, eve.tokens.access_token).call("echo_text", text="hi")[0] == 401


def test_its_id_token_is_no_key(house: House) -> None:
    frank = Person("frank")

    async def work() -> None:
        provider = frank.provider(house.urls["jwt"])
        async with httpx2.AsyncClient(auth=provider, trust_env=False, timeout=30) as client:
            await client.get(house.urls["jwt"].replace("/mcp", "/nothing"))
        assert frank.client is not None
        # An ordinary login with the same client, which brings an ID token.
        await frank.browse(
            f"{house.issuer}/auth?client_id={frank.client.client_id}&response_type=code&scope=openid&state=s&nonce=n"
            f"&redirect_uri={CALLBACK}&code_challenge={CHALLENGE}&code_challenge_method=S256"
        )
        code = (await frank.come_back()).code
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "client_id": frank.client.client_id or "", "code_verifier": VERIFIER}  # fmt: skip
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
            answer = await http.post(f"{house.issuer}/token", data=form)
        tokens = answer.json()
        for kind in ("id_token", "access_token"):
            assert BearerWire(house.urls["jwt"], MODERN, tokens[kind]).call("echo_text", text="hi")[0] == 401

    run(work)


VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""The pair of RFC 7636, appendix B."""
