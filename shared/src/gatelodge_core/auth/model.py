"""What authenticates callers over HTTP: who they are, or why they are not let in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from gatelodge_core.auth.principal import Principal

PRINCIPAL = "gatelodge.principal"
"""Key in an ASGI scope: who calls."""
LACKING = "gatelodge.lacking"
"""Key in an ASGI scope: the scopes that a refused call would need, all at once."""

Revoked = Callable[[str], Awaitable[bool]]
"""Whether something was revoked, by its name on the list of revocations; it raises if the list can't be asked."""


def peer(scope: Mapping[str, Any]) -> str:
    """The address that a request came from, by its ASGI scope; empty if there is none.

    Behind a proxy that is believed, it is the proxy's client.
    """
    client = scope.get("client")
    return str(client[0]) if client else ""


class Unauthenticated(Exception):
    """A caller that is not let in. Nothing here tells whether a key exists, or holds any of it.

    Args:
        description: For the caller, in a few words; printable ASCII without quotes (RFC 6750, section 3).
        error: Of RFC 6750: ``invalid_token``, or empty where no credential came at all.
        unavailable: Seconds after which to try again, where the judge itself can't be reached; 0 otherwise.
        withdrawn: Whether the credential was taken back, or is one that nobody has: streams that it opened end.
        crowded: Whether it isn't judged for the number of others that nobody knows; then there is a time in `unavailable`.
    """

    def __init__(
        self,
        description: str,
        error: str = "invalid_token",
        unavailable: float = 0,
        *,
        withdrawn: bool = False,
        crowded: bool = False,
    ) -> None:
        super().__init__(description)
        self.description, self.error, self.unavailable = description, error, unavailable
        self.withdrawn, self.crowded = withdrawn, crowded


class Authenticator(Protocol):
    """Judges one kind of credential. Used by many requests at once; every look-up is bounded in time and number."""

    def takes(self, token: str) -> bool:
        """Whether a bearer token is of this kind, by its look alone."""
        ...

    async def authenticate(self, token: str, address: str = "") -> Principal:
        """Who presents a token.

        Args:
            token: As it came.
            address: From where; it decides nothing but whose share of the questions to others is used.

        Raises:
            Unauthenticated: Nobody that is let in.
        """
        ...

    def ready(self) -> list[str]:
        """Why nobody can be authenticated now; empty if all is well."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...
