"""Every URL of the corpus, with its verdict; nothing but the site is ever tried."""

from __future__ import annotations

import ipaddress

import anyio
import pytest
from gatelodge_core.errors import SettingsError
from gatelodge_core.sandbox.egress import Egress, EgressError, EgressSettings
from gatelodge_core.sandbox.egress.addresses import Reach, reach
from gatelodge_core.sandbox.egress.connect import interleaved

from tests.sandbox.egress.corpus import ANSWERS, REFUSED, SENT
from tests.sandbox.egress.site import PUBLIC, Names, Network, reply, serving


def test_the_corpus_is_large_and_has_no_doubles() -> None:
    urls = [url for url, _ in REFUSED]
    assert len(set(urls)) == len(urls)
    assert len(urls) + len(SENT) >= 80


def test_every_url_of_the_corpus_is_refused_for_its_reason_and_nothing_is_tried() -> None:
    async def main() -> None:
        network = Network()
        wrong: list[str] = []
        async with Egress(resolver=Names(ANSWERS), backend=network) as egress:
            for url, code in REFUSED:
                try:
                    await egress.get(url)
                except EgressError as error:
                    if error.code != code:
                        wrong.append(f"{url!r}: {error.code}, not {code}")
                else:
                    wrong.append(f"{url!r}: sent")
        assert wrong == []
        assert network.tried == []

    anyio.run(main)


def test_a_refusal_tells_no_resolved_address_and_says_what_to_do() -> None:
    async def main() -> None:
        async with Egress(resolver=Names(ANSWERS), backend=Network()) as egress:
            for url, _ in REFUSED:
                with pytest.raises(EgressError) as caught:
                    await egress.get(url)
                assert caught.value.hint
                text = str(caught.value)
                assert not any(answer in text for answers in ANSWERS.values() for found in answers for answer in found)

    anyio.run(main)


@pytest.mark.parametrize(("url", "host", "path"), SENT)
def test_what_is_public_is_sent_with_its_own_host_and_path(url: str, host: str, path: str) -> None:
    async def main() -> None:
        async with serving(reply()) as site:
            network = Network(site)
            async with Egress(resolver=Names(ANSWERS), backend=network) as egress:
                assert (await egress.get(url)).status == 200
            assert [(asked.headers["host"], asked.path) for asked in site.asked] == [(host, path)]
            assert network.tried == [PUBLIC]

    anyio.run(main)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("8.8.8.8", Reach.PUBLIC),
        ("192.0.0.9", Reach.PUBLIC),
        ("192.0.0.10", Reach.PUBLIC),
        ("172.15.255.255", Reach.PUBLIC),
        ("172.32.0.0", Reach.PUBLIC),
        ("100.63.255.255", Reach.PUBLIC),
        ("100.128.0.0", Reach.PUBLIC),
        ("198.17.255.255", Reach.PUBLIC),
        ("223.255.255.255", Reach.PUBLIC),
        ("64:ff9b::808:808", Reach.PUBLIC),
        ("::ffff:8.8.8.8", Reach.PUBLIC),
        ("2606:4700::1111", Reach.PUBLIC),
        ("2001:4860:4860::8888", Reach.PUBLIC),
        ("2001:3::1", Reach.PUBLIC),
        ("2001:4:112::1", Reach.PUBLIC),
        ("127.0.0.1", Reach.PRIVATE),
        ("::1", Reach.PRIVATE),
        ("64:ff9b::a00:1", Reach.PRIVATE),
        ("fd12::1", Reach.PRIVATE),
        ("fe80::1%eth0", Reach.NEVER),
        ("2606:4700::1%eth0", Reach.NEVER),
        ("2001::1", Reach.NEVER),
        ("2002:808:808::", Reach.NEVER),
        ("2620:4f:8000::1", Reach.NEVER),
        ("224.0.1.1", Reach.NEVER),
        ("ff0e::1", Reach.NEVER),
        ("169.254.169.254", Reach.METADATA),
        ("::ffff:169.254.169.254", Reach.METADATA),
        ("64:ff9b::a83f:8110", Reach.METADATA),
        ("fd00:ec2::254", Reach.METADATA),
    ],
)
def test_each_address_leads_where_the_registries_say(text: str, verdict: Reach) -> None:
    assert reach(ipaddress.ip_address(text)) is verdict


@pytest.mark.parametrize(
    ("settings", "url", "code"),
    [
        (EgressSettings(allow_hosts=("ghe.corp:8443",)), "https://ghe.corp:8443/", "unreachable"),
        (EgressSettings(allow_hosts=("ghe.corp:8443",)), "https://ghe.corp/", "blocked_address"),
        (EgressSettings(allow_hosts=("ghe.corp:8443",)), "https://other.corp:8443/", "bad_port"),
        (EgressSettings(allow_hosts=("ghe.corp:443",)), "https://10.0.0.5/", "blocked_address"),
        (EgressSettings(allow_hosts=("meta.example.com:80",)), "http://meta.example.com/", "blocked_address"),
        (EgressSettings(allow_hosts=("[fd12::5]:8080",)), "http://[fd12:0::5]:8080/", "unreachable"),
        (EgressSettings(allow_networks=("10.0.0.0/8",)), "http://ten.example.com/", "unreachable"),
        (EgressSettings(allow_networks=("10.0.0.0/8",)), "http://[::ffff:10.0.0.1]/", "unreachable"),
        (EgressSettings(allow_networks=("10.0.0.0/8",)), "http://loop.example.com/", "blocked_address"),
        (EgressSettings(allow_networks=("0.0.0.0/0",)), "http://169.254.169.254/", "blocked_address"),
        (EgressSettings(allow_networks=("169.254.169.254/32",)), "http://169.254.169.254/", "unreachable"),
        (EgressSettings(ports=frozenset({8080})), "http://example.com/", "bad_port"),
    ],
)
def test_an_exception_reaches_as_far_as_it_says(settings: EgressSettings, url: str, code: str) -> None:
    async def main() -> None:
        names = Names({**ANSWERS, "ghe.corp": [["10.9.9.9"]]})
        async with Egress(settings, resolver=names, backend=Network()) as egress:
            with pytest.raises(EgressError) as caught:
                await egress.get(url)
        assert caught.value.code == code  # `unreachable` means that it was let through: the network leads nowhere

    anyio.run(main)


@pytest.mark.parametrize(
    "settings",
    [
        EgressSettings(allow_hosts=("ghe.corp",)),
        EgressSettings(allow_hosts=("ghe.corp:0",)),
        EgressSettings(allow_networks=("10.0.0.1/8",)),
        EgressSettings(proxy="socks5://127.0.0.1:1080"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_at_the_start(settings: EgressSettings) -> None:
    with pytest.raises(SettingsError):
        Egress(settings)


def test_families_take_turns() -> None:
    texts = ["2606::1", "2606::2", "2606::3", "8.8.8.8"]
    mixed = interleaved([ipaddress.ip_address(text) for text in texts])
    assert [str(address) for address in mixed] == ["2606::1", "8.8.8.8", "2606::2", "2606::3"]
