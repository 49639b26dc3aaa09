"""Redirects: each is judged anew, none weakens the first request, and nothing secret follows it elsewhere."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.egress import Egress, EgressError, EgressLimits, EgressSettings
from gatelodge_core.sandbox.egress.names import Target

from tests.sandbox.egress.corpus import ANSWERS, REFUSED
from tests.sandbox.egress.site import OTHER, PUBLIC, Names, Network, paths, reply, serving

SECRETS = {"Authorization": "Bearer s3cret", "Cookie": "sid=s3cret", "X-Api-Key": "s3cret", "Accept": "text/html"}


def to(location: str, status: int = 302):
    return reply(status, headers={"Location": location})


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://169.254.169.254/latest/", "blocked_address"),
        ("//127.0.0.1/", "blocked_address"),
        ("//127.1/x", "blocked_address"),
        ("http://0x7f.1/", "blocked_address"),
        ("http://[::1]/", "blocked_address"),
        ("http://loop.example.com/", "blocked_address"),
        ("http://mixed.example.com/", "blocked_address"),
        ("http://localhost/", "blocked_address"),
        ("http://user:pw@example.com/", "bad_url"),
        ("//user@example.com/", "bad_url"),
        ("/\\127.0.0.1/", "bad_url"),
        ("\\\\127.0.0.1/", "bad_url"),
        ("http:\\\\127.0.0.1/", "bad_url"),
        ("http:/127.0.0.1/", "bad_url"),
        ("http:next", "bad_url"),
        ("file:///etc/passwd", "bad_url"),
        ("gopher://127.0.0.1/", "bad_url"),
        ("http://example.com:22/", "bad_port"),
        ("/self", "too_many_redirects"),
    ],
)
def test_a_redirect_to_a_bad_place_is_refused_before_anything_is_sent(location: str, code: str) -> None:
    async def main() -> None:
        async with serving(paths(index=to(location), self=to("/self"))) as site:
            network = Network(site)
            async with Egress(resolver=Names(ANSWERS), backend=network) as egress:
                with pytest.raises(EgressError) as caught:
                    await egress.get("http://example.com/")
            assert caught.value.code == code
            assert set(network.tried) == {PUBLIC}
            assert len(site.asked) == (6 if code == "too_many_redirects" else 1)

    anyio.run(main)


def test_a_caller_may_refuse_where_a_redirect_leads_before_anything_is_sent_there() -> None:
    told: list[str] = []

    async def check(target: Target) -> None:
        told.append(str(target.url))
        if target.host == "other.example.com":
            raise CallError("unwanted", "Not there.")

    async def main() -> None:
        away = paths(index=to("/next"), next=to("http://other.example.com/last"), last=reply(200, b"x"))
        async with serving(away) as site:
            names = Names()
            async with Egress(resolver=names, backend=Network(site)) as egress:
                with pytest.raises(CallError, match="unwanted"):
                    await egress.get("http://example.com/", check=check)
                assert told == ["http://example.com/next", "http://other.example.com/last"]
                assert "other.example.com" not in names.asked
                assert [asked.path for asked in site.asked] == ["/", "/next"]
                assert (await egress.get("http://example.com/")).body == b"x"

    anyio.run(main)


def test_no_url_of_the_corpus_gets_through_as_a_redirect() -> None:
    urls = [url for url, code in REFUSED if url.startswith("http") and code != "bad_url" and url.isprintable()]
    assert len(urls) > 80

    async def main() -> None:
        place = [""]

        async def answer(asked: object, writer: object) -> None:
            await to(place[0])(asked, writer)  # type: ignore[arg-type]

        async with serving(answer) as site:
            network = Network(site)
            async with Egress(resolver=Names(ANSWERS), backend=network) as egress:
                for url in urls:
                    place[0] = url
                    with pytest.raises(EgressError) as caught:
                        await egress.get("http://example.com/")
                    assert caught.value.code in ("blocked_address", "bad_port", "unreachable"), url
            assert set(network.tried) == {PUBLIC}

    anyio.run(main)


def test_five_redirects_are_followed_and_the_chain_is_told() -> None:
    async def main() -> None:
        hops = {f"p{n}": to(f"/p{n + 1}") for n in range(5)}
        async with serving(paths(**hops, p5=reply(body=b"there"))) as site:
            async with Egress(resolver=Names(), backend=Network(site)) as egress:
                page = await egress.get("http://example.com/p0")
            assert page.body == b"there"
            assert page.url == "http://example.com/p5"
            assert page.chain == tuple(f"http://example.com/p{n}" for n in range(5))
            assert site.opened == 1  # the short bodies were read, so the connection was kept

    anyio.run(main)


def test_a_redirect_that_comes_with_an_endless_body_costs_no_more_than_a_piece() -> None:
    async def main() -> None:
        async def endless(_: object, writer: object) -> None:
            assert isinstance(writer, asyncio.StreamWriter)
            writer.write(b"HTTP/1.1 302 X\r\nLocation: /there\r\n\r\n")
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()

        async with (
            serving(paths(index=endless, there=reply(body=b"there"))) as site,
            Egress(resolver=Names(), backend=Network(site)) as egress,
        ):
            assert (await egress.get("http://example.com/")).body == b"there"

    anyio.run(main)


@pytest.mark.parametrize(
    ("location", "kept"),
    [
        ("/there", True),
        ("http://example.com/there", True),
        ("http://other.example.com/there", False),
        ("http://example.com:443/there", False),
        ("//example.net/there", False),
    ],
)
def test_what_may_be_a_credential_never_goes_to_another_host(location: str, *, kept: bool) -> None:
    async def main() -> None:
        answers = paths(index=to(location), there=to("http://example.com/back"), back=reply())
        async with serving(answers) as site, Egress(resolver=Names(), backend=Network(site)) as egress:
            await egress.get("http://example.com/", headers=SECRETS)
            first, second, back = site.asked
            assert "s3cret" in str(first.headers)
            assert ("s3cret" in str(second.headers)) is kept
            assert second.headers["accept"] == "text/html"
            assert ("s3cret" in str(back.headers)) is kept, "left behind once, left behind for good"

    anyio.run(main)


def test_no_cookie_is_ever_kept() -> None:
    async def main() -> None:
        answers = paths(index=reply(302, headers={"Location": "/there", "Set-Cookie": "a=b; Path=/"}), there=reply())
        async with serving(answers) as site, Egress(resolver=Names(), backend=Network(site)) as egress:
            await egress.get("http://example.com/")
            await egress.get("http://example.com/there")
            assert all("cookie" not in asked.headers for asked in site.asked)

    anyio.run(main)


@pytest.mark.parametrize(("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
def test_a_post_keeps_its_body_only_where_the_status_says_so(status: int, method: str) -> None:
    async def main() -> None:
        async with serving(paths(index=to("/there", status), there=reply())) as site:
            async with Egress(resolver=Names(), backend=Network(site)) as egress:
                await egress.post("http://example.com/", b"token=x", headers={"Content-Type": "text/x"})
            asked = site.asked[1]
            assert asked.method == method
            assert asked.body == (b"token=x" if method == "POST" else b"")
            assert ("content-type" in asked.headers) is (method == "POST")

    anyio.run(main)


def test_a_body_is_not_sent_on_to_another_host() -> None:
    async def main() -> None:
        async with serving(paths(index=to("http://other.example.com/there", 307), there=reply())) as site:
            async with Egress(resolver=Names(), backend=Network(site)) as egress:
                with pytest.raises(EgressError) as caught:
                    await egress.post("http://example.com/", b"token=x")
            assert caught.value.code == "unsafe_redirect"
            assert len(site.asked) == 1

    anyio.run(main)


def test_a_public_page_never_leads_to_what_the_settings_allow_by_exception() -> None:
    async def main() -> None:
        async with serving(paths(index=to("http://ghe.corp/admin"), admin=reply(body=b"inside"))) as site:
            settings = EgressSettings(allow_hosts=("ghe.corp:80",))
            network = Network(site)
            names = Names({"ghe.corp": [[OTHER]]})
            async with Egress(settings, resolver=names, backend=network) as egress:
                assert (await egress.get("http://ghe.corp/admin")).body == b"inside"
                with pytest.raises(EgressError) as caught:
                    await egress.get("http://example.com/")
            assert caught.value.code == "blocked_address"

    anyio.run(main)


def test_one_exception_may_lead_to_another() -> None:
    async def main() -> None:
        async with serving(paths(index=reply(), there=reply(body=b"there"))) as site:
            settings = EgressSettings(ports=frozenset({site.port}), allow_networks=("127.0.0.0/8",))
            async with serving(to(f"http://127.0.0.2:{site.port}/there")) as first:
                assert first.port
                both = EgressSettings(ports=frozenset({site.port, first.port}), allow_networks=("127.0.0.0/8",))
                async with Egress(both) as egress:
                    with pytest.raises(EgressError) as caught:  # the site listens on 127.0.0.1 alone
                        await egress.get(f"http://127.0.0.1:{first.port}/")
                    assert caught.value.code == "unreachable"
            async with Egress(settings) as egress:
                assert (await egress.get(f"http://localhost:{site.port}/there")).body == b"there"

    anyio.run(main)


def test_fewer_redirects_may_be_allowed() -> None:
    async def main() -> None:
        settings = EgressSettings(limits=EgressLimits(redirects=0))
        async with serving(to("/there")) as site, Egress(settings, resolver=Names(), backend=Network(site)) as egress:
            with pytest.raises(EgressError) as caught:
                await egress.get("http://example.com/")
        assert caught.value.code == "too_many_redirects"

    anyio.run(main)
