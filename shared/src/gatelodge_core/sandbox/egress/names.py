"""From the text of a URL to a scheme, host and port that everyone reads alike.

Parsers differ: over backslashes, user names, Unicode dots, short and octal addresses. What two of them could read
differently is refused, not repaired. The rest is written anew in its canonical form, and `httpx2` must agree.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass

import httpx2
import idna

from gatelodge_core.sandbox.egress.addresses import IPAddress
from gatelodge_core.sandbox.egress.errors import EgressError
from gatelodge_core.sandbox.egress.policy import Policy

MAX_URL = 4096
_SHAPE = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:@]+)(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
_DOTS = frozenset("\u3002\uff0e\uff61")
"""Full stops that IDNA (UTS 46) maps to a dot."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads.

    Args:
        url: In canonical form, without fragment.
        scheme: ``http`` or ``https``.
        host: ASCII, lower case, no final dot, no brackets.
        port: Never absent.
        address: The host, if it is an address.
    """

    url: httpx2.URL
    scheme: str
    host: str
    port: int
    address: IPAddress | None

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port (RFC 6454)."""
        return self.scheme, self.host, self.port


def parse(url: str, policy: Policy) -> Target:
    """Read a URL and judge all that can be judged without a look-up.

    Args:
        url: Absolute.
        policy: Which ports and hosts are allowed.

    Returns:
        The target; a literal address has been judged, a name only by its spelling.

    Raises:
        EgressError: `bad_url`, `blocked_domain`, `bad_port` or `blocked_address`.
    """
    if len(url) > MAX_URL:
        raise EgressError("bad_url", f"The URL is longer than {MAX_URL} characters.")
    check_text(url)
    shape = _SHAPE.fullmatch(url)
    if shape is None:
        raise EgressError("bad_url", "The URL doesn't start with http:// or https://.")
    scheme, authority, rest = shape[1].lower(), shape[2], shape[3]
    if "@" in authority:
        raise EgressError("bad_url", "The URL has a user name or password.")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise EgressError("bad_url", "The URL has no valid host and port.")
    host, address = read_host(parts[1])
    port = int(parts[2]) if parts[2] else _DEFAULT_PORTS[scheme]
    policy.check_domain(host)
    policy.check_port(host, port)
    if address is None:
        policy.check_name(host, port)
    else:
        policy.check_addresses(host, port, (address,))
    return Target(_written(scheme, host, port, rest), scheme, host, port, address)


def check_text(url: str) -> None:
    """Refuse what different readers see differently anywhere in a URL, absolute or relative.

    Raises:
        EgressError: `bad_url`.
    """
    if not (url.isascii() and url.isprintable() and " " not in url) and any(
        unicodedata.category(char) in _UNSEEN for char in url
    ):
        raise EgressError("bad_url", "The URL has a space, a control character or an invisible one.")
    if "\\" in re.split("[?#]", url, maxsplit=1)[0]:
        raise EgressError("bad_url", "The URL has a backslash, which browsers read as a slash.")


def _written(scheme: str, host: str, port: int, rest: str) -> httpx2.URL:
    netloc = f"[{host}]" if ":" in host else host
    if port != _DEFAULT_PORTS[scheme]:
        netloc += f":{port}"
    try:
        url = httpx2.URL(f"{scheme}://{netloc}{'' if rest.startswith('/') else '/'}{rest}")
    except httpx2.InvalidURL:
        raise EgressError("bad_url", "The URL is not valid.") from None
    if url.raw_host != host.encode() or url.scheme != scheme or (url.port or _DEFAULT_PORTS[scheme]) != port:
        raise EgressError("bad_url", "The URL can be read in two ways.")
    return url


def read_host(text: str) -> tuple[str, IPAddress | None]:
    """The host of a URL, an IPv6 address in brackets, in canonical form, and the address that it is, if it is one.

    Raises:
        EgressError: `bad_url`; `blocked_address` for an unusual spelling of an address that isn't public.
    """
    if text.startswith("["):
        try:
            six = ipaddress.IPv6Address(text[1:-1])
        except ValueError:
            raise EgressError("bad_url", "The URL has no valid IPv6 address in its brackets.") from None
        return str(six), six
    name = ascii_name(text)
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        four = parse_ipv4(name)
        if str(four) != name:
            # Judged as a browser reads it, so that the refusal names the true reason; then refused for its spelling.
            Policy().check_addresses(name, 80, (four,))
            raise EgressError("bad_url", "The URL has an address in an unusual spelling; write it as four numbers.")
        return name, four
    return name, None


def ascii_name(text: str) -> str:
    """A host name in the form that is looked up: lower case, IDNA 2008, without a final dot.

    Full-width and circled letters or digits, and full stops other than ``.``, are refused: UTS 46 would map them to
    the plain ones, and only some readers do.

    Raises:
        EgressError: `bad_url`.
    """
    if any(char in _DOTS for char in text):
        raise EgressError("bad_url", "The host name has a full stop that is not a plain dot.")
    try:
        name = text.lower() if text.isascii() else idna.encode(text.lower()).decode("ascii").lower()
        name = name.removesuffix(".")
        labels = name.split(".")
        for label in labels:
            if label.startswith("xn--"):
                idna.ulabel(label)
    except (idna.IDNAError, UnicodeError):
        raise EgressError("bad_url", "The host name is not a valid international name.") from None
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise EgressError("bad_url", "The host name is not valid.")
    return name


def parse_ipv4(text: str) -> ipaddress.IPv4Address:
    """Read an address as browsers do: decimal, octal and hexadecimal, one to four numbers.

    Source: the WHATWG URL standard, "IPv4 parser".

    Raises:
        EgressError: `bad_url`, if they couldn't read it either.
    """
    try:
        numbers = [_number(part) for part in text.split(".")]
    except ValueError:
        raise EgressError("bad_url", "The host ends in a number and is no address.") from None
    *heads, last = numbers
    if len(numbers) > 4 or any(number > 255 for number in heads) or last >= 256 ** (5 - len(numbers)):
        raise EgressError("bad_url", "The host ends in a number and is no address.")
    value = last + sum(number << 8 * (3 - place) for place, number in enumerate(heads))
    return ipaddress.IPv4Address(value)


def _number(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    if len(part) > 1 and part.startswith("0"):
        return int(part, 8)
    return int(part)
