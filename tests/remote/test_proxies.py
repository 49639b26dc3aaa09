"""Behind a reverse proxy: whose word is taken, and who may come at all."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import anyio
import httpx2
import pytest
from gatelodge_core.launch.proxies import Proxied, address
from starlette.types import Receive, Scope, Send

from tests.support.remote import Remote, remote

PROXY = "10.9.0.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "seen"),
    [
        (PROXY, "198.51.100.4", "198.51.100.4"),
        # A client that invents an address puts it before what the proxy adds.
        (PROXY, "127.0.0.1, 198.51.100.4", "198.51.100.4"),
        (PROXY, "10.9.0.7, 198.51.100.4", "198.51.100.4"),
        # Two proxies of ours in a row.
        (PROXY, "203.0.113.9, 198.51.100.4, 10.9.0.8", "198.51.100.4"),
        (f"::ffff:{PROXY}", "198.51.100.4", "198.51.100.4"),
        (PROXY, "", PROXY),
        # With ports, in brackets, mapped: as proxies write addresses.
        (PROXY, "198.51.100.4:5123", "198.51.100.4"),
        (PROXY, "[2001:db8::9]:5123, [2001:db8::7]", "2001:db8::9"),
        (PROXY, "::ffff:198.51.100.4", "198.51.100.4"),
        (PROXY, "198.51.100.4, ::ffff:10.9.0.8", "198.51.100.4"),
        # What is no address is nobody's: the last proxy that said it is all that is known.
        (PROXY, "unknown", PROXY),
        (PROXY, "x" * 5000, PROXY),
        (PROXY, "203.0.113.9, \t\x1b[31m, 10.9.0.8", "10.9.0.8"),
        (PROXY, "198.51.100.4,, 10.9.0.8", "10.9.0.8"),
        # Proxies all the way.
        (PROXY, "10.9.0.9, 10.9.0.8", "10.9.0.9"),
        ("127.0.0.1", "198.51.100.4", "127.0.0.1"),
        ("::1", "198.51.100.4", "::1"),
    ],
)
def test_a_forwarded_address_is_believed_from_proxies_alone(peer: str, forwarded: str, seen: str) -> None:
    assert told(peer, forwarded) == (200, seen)


@pytest.mark.parametrize("peer", ["10.9.1.7", "198.51.100.4", "::ffff:10.9.1.7", "fe80::1", "", "unix:"])
def test_whoever_goes_round_the_proxy_is_refused_and_health_is_not(peer: str) -> None:
    assert told(peer, PROXY)[0] == 403
    assert told(peer, PROXY, path="/readyz")[0] == 200
    assert told(peer, PROXY, path="/livez/../mcp")[0] == 403


def test_what_each_proxy_adds_in_a_line_of_its_own_is_one_list() -> None:
    assert told(PROXY, "203.0.113.9", "198.51.100.4", "10.9.0.8") == (200, "198.51.100.4")


def test_whoever_goes_round_the_proxy_over_our_own_tls_may_come_but_is_not_believed() -> None:
    assert told("198.51.100.4", "127.0.0.1", direct=True) == (200, "198.51.100.4")


@pytest.mark.parametrize("text", ["", "unix:", "10.0.0", "localhost"])
def test_what_is_no_address_belongs_to_no_network(text: str) -> None:
    assert address(text) is None


def told(peer: str, *forwarded: str, path: str = "/mcp", direct: bool = False) -> tuple[int, str]:
    """The status of a request from a peer, and which client the application behind sees."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["client"][0])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def probe() -> int:
        proxied = Proxied(app, ["10.9.0.0/24", "2001:db8::7"], direct=direct)
        transport = httpx2.ASGITransport(app=proxied, client=(peer, 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://tools.example.com") as client:
            request = client.build_request(
                "GET", path, headers=[("x-forwarded-for", line) for line in forwarded if line]
            )
            request = httpx2.Request("GET", request.url.copy_with(raw_path=path.encode()), headers=request.headers)
            return (await client.send(request)).status_code

    status = anyio.run(probe)
    return status, seen[0] if seen else ""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[Remote]:
    """A server whose proxy is this process."""
    arguments = ("--behind-proxy", "127.0.0.1", "--public-url", "https://tools.example.com/toy/mcp", "--legacy-sse")
    with remote(tmp_path_factory.mktemp("proxied"), *arguments) as made:
        yield made


def test_through_the_proxy_the_public_name_is_let_in_and_no_other(place: Remote) -> None:
    call = place.call("echo_text", {"text": "hi"})
    statuses: dict[str, int] = {}
    with httpx2.Client() as client:
        for host in ("tools.example.com", "tools.example.com:443", "evil.example", "tools.example.com.evil.example"):
            answer = client.post(place.url, json=call["json"], headers={**call["headers"], "host": host})
            statuses[host] = answer.status_code
            assert "strict-transport-security" in answer.headers
    assert list(statuses.values()) == [200, 200, 421, 421]


def test_a_forwarded_host_changes_nothing(place: Remote) -> None:
    call = place.call("echo_text", {"text": "hi"})
    with httpx2.Client() as client:
        for host, status in (("evil.example", 421), ("tools.example.com", 200)):
            headers = {**call["headers"], "host": host, "x-forwarded-host": "tools.example.com", "forwarded": "host=a"}
            assert client.post(place.url, json=call["json"], headers=headers).status_code == status


def test_a_web_page_of_another_origin_may_not_call_through_the_proxy(place: Remote) -> None:
    call = place.call("echo_text", {"text": "hi"})
    with httpx2.Client() as client:
        headers = {**call["headers"], "host": "tools.example.com", "origin": "https://evil.example"}
        assert client.post(place.url, json=call["json"], headers=headers).status_code == 403


def test_an_old_client_is_told_the_address_that_the_proxy_has_for_messages(place: Remote) -> None:
    headers = {**place.headers(), "host": "tools.example.com"}
    with httpx2.Client() as client, client.stream("GET", f"{place.base}/sse", headers=headers) as stream:
        lines = stream.iter_lines()
        found = next(line for line in lines if line.startswith("data:"))
    assert found.removeprefix("data:").strip().startswith("/toy/messages?session_id=")


def test_the_server_starts_behind_a_network_of_proxies(tmp_path: Path) -> None:
    arguments = ("--behind-proxy", "10.9.0.0/24", "--public-url", "https://tools.example.com")
    with remote(tmp_path, *arguments) as made, httpx2.Client() as client:
        # From loopback, which is no proxy here: let in, but its word isn't taken.
        answer = client.post(made.url, **made.call("echo_text", {"text": "hi"}))
        assert answer.status_code == 200
