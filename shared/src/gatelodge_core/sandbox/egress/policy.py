"""Where requests may go: the settings, and the one judge of names, ports and addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import idna

from gatelodge_core.errors import SettingsError
from gatelodge_core.sandbox.egress.addresses import IPAddress, IPNetwork, Reach, reach, within
from gatelodge_core.sandbox.egress.errors import EgressError
from gatelodge_core.sandbox.egress.limits import EgressLimits

MAX_ADDRESSES = 32
"""Answers of one look-up that are judged; more are refused, since nobody needs them."""
_RESERVED = (
    *("localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "private", "home.arpa"),
    *("onion", "alt", "invalid", "test", "example"),
)
"""Endings of names that the public DNS doesn't serve (RFC 6761, RFC 6762, RFC 8375, RFC 9476, and custom)."""


@dataclass(frozen=True, slots=True)
class EgressSettings:
    """Where requests may go, and how much may come back.

    Args:
        ports: Ports of any host.
        allow_hosts: Named exceptions, ``host:port``: this host may have a private address, on this port. Metadata,
            link-local, multicast and reserved addresses stay refused.
        allow_networks: Networks in CIDR form that may be reached under any name, whatever they are, on `ports`.
            Meant for tests and for intranets; the narrower `allow_hosts` is nearly always enough. A redirect from a
            public page never uses either exception.
        allow_domains: Only these domains and what is below them may be asked, redirects included; all if empty.
        deny_domains: Domains that are never asked, nor what is below them; stronger than `allow_domains`.
        proxy: URL of an HTTP proxy, with its user name and password if it wants them. The environment is never read.
            A proxy resolves names itself, so with one only names and literal addresses are judged here.
        user_agent: What we call ourselves.
        limits: The bounds of each request.
    """

    ports: frozenset[int] = frozenset({80, 443})
    allow_hosts: tuple[str, ...] = ()
    allow_networks: tuple[str, ...] = ()
    allow_domains: tuple[str, ...] = ()
    deny_domains: tuple[str, ...] = ()
    proxy: str | None = field(default=None, repr=False)
    user_agent: str = "gatelodge"
    limits: EgressLimits = field(default_factory=EgressLimits)


class Policy:
    """Judges names, ports and addresses. It is immutable.

    Args:
        ports: Ports of any host.
        hosts: Hosts that may have a private address, each with its port; names in lower case.
        networks: Networks that may be reached whatever they are.
        allowed: Domains beyond which no name is asked, in lower case; all names if empty.
        denied: Domains in which no name is asked.
    """

    def __init__(
        self,
        ports: frozenset[int] = frozenset({80, 443}),
        hosts: frozenset[tuple[str, int]] = frozenset(),
        networks: tuple[IPNetwork, ...] = (),
        allowed: tuple[str, ...] = (),
        denied: tuple[str, ...] = (),
    ) -> None:
        self._ports = ports
        self._hosts = hosts
        self._networks = networks
        self._allowed = allowed
        self._denied = denied

    @classmethod
    def of(cls, settings: EgressSettings) -> Self:
        """The policy of the settings.

        Raises:
            SettingsError: A host or network is not one.
        """
        return cls(
            settings.ports,
            frozenset(_host_and_port(text) for text in settings.allow_hosts),
            tuple(_network(text) for text in settings.allow_networks),
            tuple(_domain("allow_domains", text) for text in settings.allow_domains),
            tuple(_domain("deny_domains", text) for text in settings.deny_domains),
        )

    @property
    def has_exceptions(self) -> bool:
        """Whether anything that isn't public may be reached."""
        return bool(self._hosts or self._networks)

    def outside(self) -> Policy:
        """The same without the exceptions: what a public page may send us to."""
        return Policy(self._ports, allowed=self._allowed, denied=self._denied)

    def check_domain(self, host: str) -> None:
        """Refuse a host that the lists of domains leave out; an address counts as a name of its own.

        Raises:
            EgressError: `blocked_domain`.
        """
        if _below(host, self._denied) or (self._allowed and not _below(host, self._allowed)):
            raise EgressError("blocked_domain", "The settings keep requests from that domain.")

    def check_port(self, host: str, port: int) -> None:
        """Refuse a port that is neither allowed to all nor to this host.

        Raises:
            EgressError: `bad_port`.
        """
        if port not in self._ports and (host, port) not in self._hosts:
            raise EgressError("bad_port", "That port is not one that requests may go to.")

    def check_name(self, name: str, port: int) -> None:
        """Refuse a name that can't be public: one without a dot, or under a reserved ending.

        The addresses decide in any case; this spares the look-up, whose question would itself leave the machine.

        Raises:
            EgressError: `blocked_address`.
        """
        if self._networks or (name, port) in self._hosts:
            return
        if "." not in name or any(name == ending or name.endswith("." + ending) for ending in _RESERVED):
            raise EgressError("blocked_address", "That name belongs to an internal network.")

    def check_addresses(self, host: str, port: int, addresses: Sequence[IPAddress]) -> None:
        """Refuse all, if one of the addresses may not be reached.

        A mixed answer isn't sorted: a public name with a private address beside a public one is misconfigured or
        hostile, and which of the two a retry would use is the answerer's choice.

        Raises:
            EgressError: `blocked_address`; `unreachable` if there are none, or far too many.
        """
        if not addresses or len(addresses) > MAX_ADDRESSES:
            raise EgressError("unreachable", "The host name has no usable address.")
        named = (host, port) in self._hosts
        for address in addresses:
            found = reach(address)
            if found is Reach.PUBLIC or (named and found is Reach.PRIVATE) or within(address, self._networks):
                continue
            raise EgressError("blocked_address", "The host has an address that requests may not go to.")


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]").lower()
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise SettingsError(f"allow_hosts: {text!r} is not host:port, such as ghe.corp:443.")
    return host, int(port)


def _domain(setting: str, text: str) -> str:
    try:
        name = text.strip().removeprefix("*.").strip(".").lower()
        name = name if name.isascii() else idna.encode(name).decode("ascii")
    except idna.IDNAError:
        name = ""
    if not name or any(char in name for char in "/:@* "):
        raise SettingsError(f"{setting}: {text!r} is not a domain, such as example.org.")
    return name


def _below(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith("." + domain) for domain in domains)


def _network(text: str) -> IPNetwork:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise SettingsError(f"allow_networks: {text!r} is not a network, such as 10.1.0.0/16.") from None
