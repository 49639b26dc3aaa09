"""Asking the issuer about each token (RFC 7662), for tokens that can't be read or must be revocable at once.

What it said is remembered for a minute at most, a no for ten seconds. If it can't be asked, nobody is let in whom it
didn't speak for within that minute. Tokens that it never spoke for have their own, smaller share of the questions, so that
made-up ones reach neither the issuer in numbers nor those whose tokens are good.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import quote_plus, urlencode

from gatelodge_core.auth.claims import Grant, Rules, grant
from gatelodge_core.auth.discovery import Issuer, IssuerError
from gatelodge_core.auth.documents import JsonObject
from gatelodge_core.auth.model import Revoked, Unauthenticated
from gatelodge_core.auth.principal import Principal
from gatelodge_core.auth.recent import Recent, fingerprint
from gatelodge_core.auth.revoking import check_revoked
from gatelodge_core.auth.strangers import Strangers

logger = logging.getLogger(__name__)

GOOD_SECONDS = 60
BAD_SECONDS = 10
CACHED = 4096
"""Tokens that are remembered as good, and as many as bad: made-up ones must not push out the others."""
ENDED_SECONDS = 3600
"""How long it is remembered that a token had an end, which has passed: longer than a call may take."""
AT_ONCE = 16
"""Questions to the issuer at once."""
STRANGERS_AT_ONCE = 12
"""Of these, about tokens that it has not spoken for."""
MAX_PENDING = 256
"""Such tokens that may wait for an answer; with more, those beyond are told to come back."""
DOWN_SECONDS = 1
"""How long nothing is asked after a question that failed."""

_NOT_THERE = frozenset({0, 404, 410})

Ask = Callable[[str], Awaitable[JsonObject]]


def asking(issuer: Issuer, url: str, client: str, secret: str) -> Ask:
    """The question to an issuer about a token.

    Args:
        issuer: Whom to ask.
        url: Where; empty for where its metadata say.
        client: Who we are there.
        secret: Our secret there. It goes by HTTP Basic, form-encoded first (RFC 6749, section 2.3.1).
    """
    pair = f"{quote_plus(client)}:{quote_plus(secret)}"
    headers = {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    async def ask(token: str) -> JsonObject:
        content = urlencode({"token": token, "token_type_hint": "access_token"}).encode()
        try:
            return await issuer.post(url or await issuer.endpoint("introspection_endpoint"), content, headers)
        except IssuerError as error:
            if error.status in _NOT_THERE:
                issuer.forget()
            raise

    return ask


class Introspection:
    """Judges tokens by what their issuer says of them; an `Authenticator`.

    Args:
        ask: The question; it ends within its own deadline.
        rules: What must be said of a token.
        revoked: Whether a token, or whoever it is about, was revoked here.
        now: Seconds since 1970.
    """

    def __init__(
        self, ask: Ask, rules: Rules, *, revoked: Revoked | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._ask = ask
        self._rules = rules
        self._revoked = revoked
        self._now = now
        self._good = Recent[Grant](CACHED)
        self._bad = Recent[Unauthenticated](CACHED)
        self._ends = Recent[float](CACHED)
        self._free = asyncio.Semaphore(AT_ONCE)
        self._free_for_strangers = asyncio.Semaphore(STRANGERS_AT_ONCE)
        self._strangers = Strangers()
        self._waiting = 0
        self._pending: dict[bytes, asyncio.Task[Grant | Unauthenticated]] = {}
        self._failed = 0.0
        self._answered: bool | None = None
        self._doubted = False
        self._probe = b""
        self._logged = 0.0

    def takes(self, token: str) -> bool:
        """Every token: what the issuer gives out may look like anything."""
        del token
        return True

    async def authenticate(self, token: str, address: str = "") -> Principal:
        """Who presents a token.

        Args:
            token: As it came.
            address: From where; whose share of the questions it is, if nobody knows the token.

        Raises:
            Unauthenticated: Nobody that is let in, or the issuer can't be asked.
        """
        known = fingerprint(token)
        found = self._good.get(known, self._now()) or self._bad.get(known, self._now())
        if found is None:
            found = await self._answer(known, token, address)
        if isinstance(found, Unauthenticated):
            # A new one each time: raising one again would make its traceback longer and longer.
            raise Unauthenticated(
                found.description, found.error, found.unavailable, withdrawn=found.withdrawn, crowded=found.crowded
            )
        await check_revoked(self._revoked, found)
        return found.principal

    def ready(self) -> list[str]:
        """Why no token can be judged now.

        While that is so or in doubt, and before the first question, the issuer is asked about a token that never was: a
        server that nobody is sent to must find out when that is over.
        """
        if (self._doubted or not self._answered) and self._probe not in self._pending and not self._resting():
            probe = secrets.token_urlsafe(32)
            self._probe = fingerprint(probe)
            self._begin(self._probe, self._judged(self._probe, probe))
        return [] if self._answered else ["the authorization server doesn't answer questions about tokens"]

    async def aclose(self) -> None:
        """End the questions that run."""
        for task in list(self._pending.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _resting(self) -> bool:
        return self._answered is False and abs(self._now() - self._failed) < DOWN_SECONDS

    async def _answer(self, known: bytes, token: str, address: str) -> Grant | Unauthenticated:
        task = self._pending.get(known)
        if task is None:
            if self._resting():
                return Unauthenticated("the issuer can't be asked now", unavailable=DOWN_SECONDS)
            if self._ends.get(known, self._now()) is not None:
                # The issuer spoke for it before: those are as many as callers, and no flood.
                task = self._begin(known, self._judged(known, token))
            elif self._waiting >= MAX_PENDING:
                return _crowded(DOWN_SECONDS)
            elif wait := self._strangers.take(address, self._now()):
                return _crowded(wait)
            else:
                self._waiting += 1
                task = self._begin(known, self._judged_strange(known, token, address))
        # Whoever gives up leaves the others their answer.
        return await asyncio.shield(task)

    def _begin(
        self, known: bytes, judged: Coroutine[Any, Any, Grant | Unauthenticated]
    ) -> asyncio.Task[Grant | Unauthenticated]:
        task = asyncio.get_running_loop().create_task(judged, name="introspection")
        self._pending[known] = task
        task.add_done_callback(lambda _: self._pending.pop(known, None))
        return task

    async def _judged_strange(self, known: bytes, token: str, address: str) -> Grant | Unauthenticated:
        try:
            async with self._free_for_strangers:
                found = await self._judged(known, token)
        finally:
            self._waiting -= 1
        if not isinstance(found, Unauthenticated):
            self._strangers.give_back(address)
        return found

    async def _judged(self, known: bytes, token: str) -> Grant | Unauthenticated:
        async with self._free:
            if self._resting():
                return Unauthenticated("the issuer can't be asked now", unavailable=DOWN_SECONDS)
            try:
                answer = await self._ask(token)
                active = answer.get("active")
                if not isinstance(active, bool):
                    raise IssuerError("its answer doesn't say whether the token is active", 200)
            except IssuerError as error:
                return self._unanswered(known, error)
            except Exception as error:
                # Whoever waits is told that the issuer can't be asked, whatever went wrong.
                logger.exception("introspection")
                return self._unanswered(known, IssuerError(type(error).__name__))
        self._answered, self._doubted = True, False
        now = self._now()
        try:
            if not active:
                # The issuer doesn't say why; it was taken back, unless its time is simply over.
                over = self._ends.get(known, now)
                raise Unauthenticated("the token is not, or no more, valid", withdrawn=over is None or now < over)
            found = grant(answer, self._rules, now, asked=True)
        except Unauthenticated as refused:
            self._bad.put(known, refused, now + BAD_SECONDS)
            return refused
        self._good.put(known, found, min(found.expires, now + GOOD_SECONDS))
        self._ends.put(known, found.expires, found.expires + ENDED_SECONDS)
        return found

    def _unanswered(self, known: bytes, error: IssuerError) -> Unauthenticated:
        """What a question that failed means for its token, and for the others.

        Callers choose what is asked about, so an answer that is none says nothing about the next question; but we look.
        """
        if self._now() - self._logged >= DOWN_SECONDS:
            self._logged = self._now()
            logger.error("introspection: %s", error)
        if error.status == 400 and error.code not in ("invalid_client", "unauthorized_client"):
            # Some issuers refuse so what they didn't make, or what is no matter of this endpoint.
            self._answered, self._doubted = True, False
            refused = Unauthenticated("the issuer does not know that token")
            self._bad.put(known, refused, self._now() + BAD_SECONDS)
            return refused
        if error.status and known != self._probe:
            self._doubted = True
        else:
            self._failed, self._answered = self._now(), False
        return Unauthenticated("the issuer can't be asked now", unavailable=DOWN_SECONDS)


def _crowded(wait: float) -> Unauthenticated:
    return Unauthenticated("too many tokens that nobody knows are asked about", unavailable=wait, crowded=True)
