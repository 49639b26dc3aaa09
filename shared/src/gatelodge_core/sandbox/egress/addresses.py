"""Which addresses are public: a table of our own.

`ipaddress.is_global` alone won't do: it differs between Python releases, calls multicast and several translation
prefixes global, and knows nothing of the cloud hosts' own channels. It is the second opinion here, never the first.
Sources: the IANA special-purpose registries (RFC 6890 and its updates) and the documents named beside the entries.
"""

from __future__ import annotations

import enum
import functools
import ipaddress
from collections.abc import Iterable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Reach(enum.Enum):
    """Where an address leads."""

    PUBLIC = "public"
    """The internet."""
    PRIVATE = "private"
    """This machine or its own network: may be allowed, by host name or by network."""
    NEVER = "never"
    """Nothing to talk HTTP to (multicast, reserved, documentation, tunnels): only by naming the network."""
    METADATA = "metadata"
    """A cloud's own channel, which hands out credentials: only by naming the very address."""


def _v4(*texts: str) -> tuple[ipaddress.IPv4Network, ...]:
    return tuple(ipaddress.IPv4Network(text) for text in texts)


def _v6(*texts: str) -> tuple[ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.IPv6Network(text) for text in texts)


_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, Google, OpenStack and others
        "169.254.170.2",  # AWS ECS task credentials
        "169.254.170.23",  # AWS EKS pod identity
        "168.63.129.16",  # Azure host channel, a public-looking address
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # AWS over IPv6
        "fd00:ec2::23",  # AWS EKS pod identity over IPv6
        "fd20:ce::254",  # Google over IPv6
    )
)
_V4_PRIVATE = _v4(
    "10.0.0.0/8",
    "100.64.0.0/10",  # carrier-grade NAT, RFC 6598; also private overlay networks
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
)
_V4_NEVER = _v4(
    "0.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",  # IETF protocol assignments, with the exceptions below
    "192.0.2.0/24",
    "192.31.196.0/24",  # AS112, RFC 7535
    "192.52.193.0/24",  # AMT, RFC 7450
    "192.88.99.0/24",  # 6to4 relay, RFC 7526
    "192.175.48.0/24",  # AS112, RFC 7534
    "198.18.0.0/15",  # benchmarks, RFC 2544
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",  # reserved, and the broadcast address
)
_V4_PUBLIC = frozenset({ipaddress.IPv4Address("192.0.0.9"), ipaddress.IPv4Address("192.0.0.10")})  # RFC 7723, RFC 8155
_V6_PRIVATE = _v6("::1/128", "fc00::/7")
_V6_PUBLIC = _v6("2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:3::/32", "2001:4:112::/48")
_V6_NEVER = _v6(
    "::/96",  # unspecified, and IPv4-compatible (RFC 4291, deprecated)
    "::ffff:0:0:0/96",  # IPv4-translated, RFC 2765
    "64:ff9b:1::/48",  # local NAT64, RFC 8215: where it leads is the network's own affair
    "100::/63",  # discard-only, RFC 6666 and RFC 9780
    "2001::/23",  # Teredo 2001::/32, ORCHID, benchmarks and other protocol assignments
    "2001:db8::/32",
    "2002::/16",  # 6to4, RFC 7526
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation, RFC 9637
    "5f00::/16",  # segment routing, RFC 9602
    "fe80::/10",
    "fec0::/10",  # site-local, RFC 3879
    "ff00::/8",
)
_V6_UNICAST = ipaddress.IPv6Network("2000::/3")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
"""Third word of an address that carries IPv4 in its interface identifier (RFC 5214)."""


def embedded(address: IPAddress) -> IPAddress:
    """The IPv4 address that a mapped (RFC 4291) or NAT64 (RFC 6052) address is another spelling of, or itself.

    NAT64 is looked into, not refused: on networks with IPv6 alone it is the way to every IPv4 host.
    """
    if isinstance(address, ipaddress.IPv6Address) and (address in _MAPPED or address in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


@functools.lru_cache(maxsize=1024)
def reach(address: IPAddress) -> Reach:
    """Where an address leads. An IPv6 address with a zone (``fe80::1%eth0``) is never public."""
    address = embedded(address)
    if address in _METADATA:
        return Reach.METADATA
    return _reach4(address) if isinstance(address, ipaddress.IPv4Address) else _reach6(address)


def _reach4(address: ipaddress.IPv4Address) -> Reach:
    if address in _V4_PUBLIC:
        return Reach.PUBLIC
    if any(address in network for network in _V4_PRIVATE):
        return Reach.PRIVATE
    if any(address in network for network in _V4_NEVER) or not address.is_global:
        return Reach.NEVER
    return Reach.PUBLIC


def _reach6(address: ipaddress.IPv6Address) -> Reach:
    if address.scope_id is not None:
        return Reach.NEVER
    if any(address in network for network in _V6_PUBLIC):
        return Reach.PUBLIC
    if any(address in network for network in _V6_PRIVATE):
        return Reach.PRIVATE
    if any(address in network for network in _V6_NEVER) or address not in _V6_UNICAST or not address.is_global:
        return Reach.NEVER
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        inner = reach(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        return inner if inner is Reach.PUBLIC else Reach.NEVER
    return Reach.PUBLIC


def within(address: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    """Whether one of the networks names the address, in its own spelling or as the IPv4 address inside it.

    A metadata address is named only by a network of that one address: ``0.0.0.0/0`` doesn't hand out credentials.
    """
    inner = embedded(address)
    if inner in _METADATA:
        return any(network.num_addresses == 1 and inner in network for network in networks)
    return any(inner in network or address in network for network in networks)
