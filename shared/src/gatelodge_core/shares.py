"""Several people on one server: what each caller acts on is a domain of its own, and nothing of it is another's.

Accounts are named in the settings by principal. Where there are any, whoever has none is refused; what the server was started
with belongs to the person who started it, and is never lent. Without accounts all callers act on the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

from gatelodge_core.auth.principal import CALLER, Principal, local_user
from gatelodge_core.errors import CallError
from gatelodge_core.lists import ListPage, Lists, Stop

D = TypeVar("D")
E = TypeVar("E")


class Shares(Generic[D]):
    """The domains of a server with accounts.

    Args:
        own: Of the person who started it.
        accounts: Of principals, by their names, such as ``key:alice``.
        lent: Whether there is anything in `own`.
        what: What an account has, for errors, such as ``folder``.
        apart: Whether a domain is another one for each caller, even where several have it.
    """

    def __init__(self, own: D, accounts: Mapping[str, D], *, lent: bool, what: str, apart: bool = False) -> None:
        self._own, self._accounts = own, dict(accounts)
        self._lent, self._what, self._apart = lent, what, apart

    def __iter__(self) -> Iterator[D]:
        """All of them, each once."""
        yield self._own
        yield from self._accounts.values()

    def each(self, make: Callable[[D], E]) -> Shares[E]:
        """Something made for each of them, shared in the same way."""
        accounts = {name: make(domain) for name, domain in self._accounts.items()}
        return Shares(make(self._own), accounts, lent=self._lent, what=self._what, apart=self._apart)

    def owner(self, principal: Principal | None = None) -> str:
        """Whose the domain of the caller, or of a principal, is: the name of an account, or empty for all without one."""
        name = str(principal or _caller())
        return name if self._apart or name in self._accounts else ""

    def refusal(self, principal: Principal) -> CallError | None:
        """Why a principal has no domain; None if it has one."""
        if not self._accounts or str(principal) in self._accounts or (principal.method == "os-user" and self._lent):
            return None
        return CallError(
            "no_account", f"no {self._what} of this server belongs to this caller.", "The operator sets accounts."
        )

    def of(self, principal: Principal | None = None) -> D:
        """The domain of the caller, or of a principal.

        Raises:
            CallError: `no_account`.
        """
        found = principal or _caller()
        if refused := self.refusal(found):
            raise refused
        return self._accounts.get(str(found), self._own)


class SharedLists:
    """A list of resources for each caller; see `lists.Lists`.

    Args:
        lists: The callers'.
    """

    def __init__(self, lists: Shares[Any]) -> None:
        self._lists = lists

    async def page(self, cursor: str) -> ListPage:
        """A page of the caller's; see `Lists.page`."""
        return await cast("Lists", self._lists.of()).page(cursor)

    async def watch(self, changed: Callable[[], None]) -> Stop:
        """Be told of changes of the caller's; see `Lists.watch`."""
        return await cast("Lists", self._lists.of()).watch(changed)


def mine(domain: D | Shares[D]) -> D:
    """The caller's part of a domain that may be shared.

    Raises:
        CallError: `no_account`.
    """
    return cast("Shares[D]", domain).of() if isinstance(domain, Shares) else domain


def _caller() -> Principal:
    return CALLER.get() or local_user()
