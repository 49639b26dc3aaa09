"""Connections: to the judged address, shared with nobody, closed when nobody waits, and blind to the environment."""

from __future__ import annotations

import datetime
import gzip
import ipaddress
import socket
import ssl
import threading
from pathlib import Path

import anyio
import anyio.abc
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gatelodge_core.sandbox.egress import Egress, EgressError, EgressLimits, EgressRefused, EgressSettings, Policy
from gatelodge_core.sandbox.egress.connect import vetted_connect
from gatelodge_core.sandbox.egress.resolve import ThreadResolver

from tests.sandbox.egress.site import PUBLIC, Asked, Names, Network, Site, Writer, paths, reply, serving
from tests.sandbox.egress.test_bounds import endless, packed


def certified(folder: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a server with a certificate for the names, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(text) for text in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "site.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(cafile=str(pem))
    return server, client


def test_an_answer_that_changes_is_judged_each_time_and_never_looked_up_in_between() -> None:
    async def main() -> None:
        async def closing(_: Asked, writer: Writer) -> None:
            writer.write(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")
            writer.close()

        async with serving(closing) as site:
            network, names = Network(site), Names({"re.example.com": [[PUBLIC], ["127.0.0.1"]]})
            async with Egress(resolver=names, backend=network) as egress:
                assert (await egress.get("http://re.example.com/")).status == 200
                assert names.asked == ["re.example.com"]
                with pytest.raises(EgressError) as caught:
                    await egress.get("http://re.example.com/")
            assert caught.value.code == "blocked_address"
            assert network.tried == [PUBLIC]

    anyio.run(main)


def test_a_connection_that_leads_elsewhere_than_judged_is_refused() -> None:
    async def main() -> None:
        async with serving(reply()) as site:
            async with Egress(resolver=Names(), backend=Network(site, lie="10.0.0.1")) as egress:
                with pytest.raises(EgressError) as caught:
                    await egress.get("http://example.com/")
            assert caught.value.code == "blocked_address"
            assert site.asked == []

    anyio.run(main)


def test_the_next_address_is_tried_when_the_first_is_out_of_reach() -> None:
    async def main() -> None:
        async with serving(reply()) as site:
            network, names = Network(site), Names({"two.example.com": [["8.8.8.8", PUBLIC]]})
            async with Egress(resolver=names, backend=network) as egress:
                assert (await egress.get("http://two.example.com/")).status == 200
            assert network.tried == ["8.8.8.8", PUBLIC]

    anyio.run(main)


def test_hosts_with_one_address_share_no_connection_and_keep_their_names(tmp_path: Path) -> None:
    async def main() -> None:
        server, client = certified(tmp_path, "a.example.com", "b.example.com")

        def note(_: object, name: str | None, __: object) -> None:
            site.names.append(name)

        server.sni_callback = note
        async with serving(reply(), server) as site:
            async with Egress(resolver=Names(), context=client, backend=Network(site)) as egress:
                for host in ("a", "b", "a", "b"):
                    await egress.get(f"https://{host}.example.com/")
                with pytest.raises(EgressError) as caught:
                    await egress.get("https://c.example.com/")
            assert "certificate" in caught.value.message
            assert site.names[:2] == ["a.example.com", "b.example.com"]
            assert [(asked.headers["host"], asked.connection) for asked in site.asked] == [
                ("a.example.com", 1),
                ("b.example.com", 2),
                ("a.example.com", 1),
                ("b.example.com", 2),
            ]

    anyio.run(main)


def test_a_redirect_from_https_to_http_is_refused_and_the_way_up_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        server, client = certified(tmp_path, "a.example.com")
        down = paths(index=reply(302, headers={"Location": "http://a.example.com/x"}), up=reply(body=b"up"))
        async with serving(down, server) as site:
            async with Egress(resolver=Names(), context=client, backend=Network(site)) as egress:
                with pytest.raises(EgressError) as caught:
                    await egress.get("https://a.example.com/")
            assert caught.value.code == "downgrade"
            assert len(site.asked) == 1

    anyio.run(main)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nx"])
@pytest.mark.parametrize("tls", [False, True])
def test_cancelling_closes_the_socket(head: bytes, *, tls: bool) -> None:
    """Before the answer, in its midst, and (without a head, with TLS asked for) in a handshake that gets no reply."""

    async def main() -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            site = Site(listener.extra(anyio.abc.SocketAttribute.local_port))
            asked, closed = anyio.Event(), anyio.Event()

            async def handle(stream: anyio.abc.SocketStream) -> None:
                async with stream:
                    await stream.receive()
                    if head:
                        await stream.send(head)
                    asked.set()
                    with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                        await stream.receive()
                    closed.set()

            async with Egress(resolver=Names(), backend=Network(site)) as egress, anyio.create_task_group() as group:
                group.start_soon(listener.serve, handle)
                async with anyio.create_task_group() as fetch:
                    fetch.start_soon(egress.get, f"http{'s' if tls and not head else ''}://example.com/")
                    await asked.wait()
                    fetch.cancel_scope.cancel()
                with anyio.fail_after(10):
                    await closed.wait()
                group.cancel_scope.cancel()

    anyio.run(main)


def test_leaving_a_stream_early_closes_the_socket() -> None:
    async def main() -> None:
        async with serving(endless) as site, Egress(resolver=Names(), backend=Network(site)) as egress:
            async with egress.stream("GET", "http://example.com/") as answer:
                assert await anext(answer.body)
            with anyio.fail_after(10):
                await site.saw_end.wait()
            assert site.closed == [1]

    anyio.run(main)


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving(reply(body=b"direct")) as site, serving(reply(body=b"proxy")) as proxy:
            for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            async with Egress(resolver=Names(), backend=Network(site)) as egress:
                assert (await egress.get("http://example.com/")).body == b"direct"
            assert proxy.opened == 0

    anyio.run(main)


def test_a_proxy_of_the_settings_is_used_and_internal_names_and_addresses_stay_refused() -> None:
    async def main() -> None:
        async with serving(reply(body=b"proxy")) as proxy:
            names = Names()
            async with Egress(EgressSettings(proxy=f"http://me:pw@127.0.0.1:{proxy.port}"), resolver=names) as egress:
                assert (await egress.get("http://example.com/x")).body == b"proxy"
                for url in ("http://127.0.0.1/", "http://wiki.corp/", "http://[fd00:ec2::254]/"):
                    with pytest.raises(EgressError) as caught:
                        await egress.get(url)
                    assert caught.value.code == "blocked_address"
            assert [asked.path for asked in proxy.asked] == ["http://example.com/x"]
            assert "proxy-authorization" in proxy.asked[0].headers
            assert names.asked == []

    anyio.run(main)


def test_sixty_four_fetches_at_once_each_get_their_own_answer() -> None:
    async def main() -> None:
        async def echo(asked: Asked, writer: Writer) -> None:
            await anyio.sleep(0.001)
            await reply(body=f"{asked.headers['host']}{asked.path}".encode())(asked, writer)

        async with serving(echo) as site, Egress(resolver=Names(), backend=Network(site)) as egress:
            got: dict[int, bytes] = {}

            async def fetch(number: int) -> None:
                got[number] = (await egress.get(f"http://h{number % 8}.example.com/{number}")).body

            async with anyio.create_task_group() as group:
                for number in range(64):
                    group.start_soon(fetch, number)
            assert got == {number: f"h{number % 8}.example.com/{number}".encode() for number in range(64)}

    anyio.run(main)


def test_other_clients_go_through_the_transport_and_get_errors_of_their_own_kind() -> None:
    async def main() -> None:
        body = gzip.compress(b"hello")
        answers = paths(
            index=reply(body=body, headers={"Content-Encoding": "gzip"}),
            away=reply(302, headers={"Location": "http://169.254.169.254/"}),
            bomb=reply(body=packed("gzip", 50 * 1024 * 1024), headers={"Content-Encoding": "gzip"}),
        )
        async with (
            serving(answers) as site,
            Egress(resolver=Names(), backend=Network(site)) as egress,
            httpx2.AsyncClient(transport=egress.transport, trust_env=False, follow_redirects=True) as client,
        ):
            assert (await client.get("http://example.com/", headers={"Host": "evil"})).text == "hello"
            assert site.asked[0].headers["host"] == "example.com"
            for path, code in (("away", "blocked_address"), ("bomb", "too_large")):
                with pytest.raises(EgressRefused) as caught:
                    await client.get(f"http://example.com/{path}")
                assert caught.value.reason.code == code
            assert (await client.post("http://example.com/", content=b"body")).text == "hello"
            assert site.asked[-1].body == b"body"

    anyio.run(main)


def test_a_look_up_that_hangs_ends_at_the_deadline_and_hung_ones_are_few() -> None:
    release = threading.Event()

    def hang(_: str, __: int) -> list[str]:
        release.wait()
        return []

    async def main() -> None:
        settings = EgressSettings(limits=EgressLimits(connect_seconds=0.1))
        async with Egress(settings, resolver=ThreadResolver(2, hang), backend=Network()) as egress:
            messages: list[str] = []
            for _ in range(3):
                with pytest.raises(EgressError) as caught:
                    await egress.get("http://example.com/")
                assert caught.value.code == "too_slow"
                messages.append(caught.value.message)
            assert "look-ups" in messages[2]
            assert "look-ups" not in messages[1]

    try:
        anyio.run(main)
    finally:
        release.set()


def test_a_blocking_client_gets_a_socket_to_a_judged_address_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        policy = Policy(frozenset({port}), networks=(ipaddress.ip_network("127.0.0.0/8"),))
        with vetted_connect("site.example.com", port, 5, policy=policy, ask=lambda _, __: ["127.0.0.1"]) as made:
            assert made.getpeername() == ("127.0.0.1", port)
        for host, code in (("127.1", "blocked_address"), ("site.example.com", "blocked_address"), ("a b", "bad_url")):
            with pytest.raises(EgressError) as caught:
                vetted_connect(host, 80, 5, ask=lambda _, __: ["127.0.0.1"])
            assert caught.value.code == code
    with pytest.raises(EgressError) as caught:
        vetted_connect("site.example.com", port, 5, policy=policy, ask=lambda _, __: ["127.0.0.1"])
    assert caught.value.code == "unreachable"
