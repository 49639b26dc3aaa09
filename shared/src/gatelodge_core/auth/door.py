"""The door of an authenticated server: an ASGI application around the rest that lets no request in without a principal.

A request brings ``Authorization: Bearer``, once, and nothing in its query. The principal goes into the scope, for the guard;
the SDK gets an identity without the token, to which it binds sessions and sealed questions; and the header ends here, so
that nothing behind can send it on. Sources: RFC 6750, RFC 9728.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatelodge_core.answering import say
from gatelodge_core.auth.model import LACKING, PRINCIPAL, Authenticator, Unauthenticated, peer
from gatelodge_core.auth.principal import Principal
from gatelodge_core.auth.standing import standing
from gatelodge_core.auth.turned import TurnedAway

WELL_KNOWN = "/.well-known/oauth-protected-resource"
MAX_TOKEN = 16 * 1024
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_CREDENTIALS = frozenset({"access_token", "api_key", "apikey", "key", "token", "authorization"})
_SECRET_HEADERS = frozenset({b"authorization", b"proxy-authorization", b"cookie"})


class Door:
    """Authenticates, and answers for what it refuses.

    Args:
        app: What lies behind.
        authenticators: Asked in order; the first that takes a token judges it alone.
        resource: The canonical URL of this server, to which tokens are issued (RFC 8707); empty without OAuth.
        issuers: Authorization servers, for the metadata.
        scopes: All scopes of this server, the least of them first: whoever has none is told to ask for it, and steps up
            from there.
        endpoint: Where MCP is served here; a proxy may show it under another path.
        turned: Told of those who were turned away.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticators: Sequence[Authenticator],
        *,
        resource: str = "",
        issuers: Sequence[str] = (),
        scopes: Sequence[str] = (),
        endpoint: str = "/mcp",
        turned: TurnedAway | None = None,
    ) -> None:
        self._turned, self._endpoint = turned, endpoint
        self._app = app
        self._authenticators = tuple(authenticators)
        self._resource, self._issuers, self._scopes = resource, tuple(issuers), tuple(scopes)
        parts = urlsplit(resource)
        self._metadata_url = f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path}" if issuers else ""
        self._metadata_paths = metadata_paths(parts.path, endpoint) if issuers else frozenset[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] in self._metadata_paths:
            await self._metadata(scope, send)
            return
        try:
            principal = await self._judge(scope)
        except Unauthenticated as error:
            reason = "unavailable" if error.unavailable else error.error or "no_credential"
            self._note(scope, "too_many_tokens" if error.crowded else reason)
            await self._refuse(send, error)
            return
        except _Malformed as error:
            self._note(scope, "invalid_request")
            await say(send, 400, {"error": "invalid_request", "error_description": str(error)})
            return
        # As it came, with the header, to judge it again while its answer lasts.
        asked = {**scope}
        scope[PRINCIPAL] = principal
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in _SECRET_HEADERS]
        identity = AccessToken(
            token="-",  # noqa: S106 - in place of the token
            client_id=principal.method,
            subject=principal.subject,
            scopes=sorted(principal.scopes or ()),
        )
        user = scope["user"] = AuthenticatedUser(identity)
        known = auth_context_var.set(user)
        try:
            lasting = standing(send, lambda: self._judge(asked), news=self._is_news(scope))
            await self._app(scope, receive, self._stepping_up(scope, lasting))
        finally:
            auth_context_var.reset(known)

    def _is_news(self, scope: Scope) -> bool:
        """Whether no answer comes on a stream; in the newest revision the header is held to the body before it begins."""
        listens = (b"mcp-method", b"subscriptions/listen") in scope["headers"]
        return scope["path"] == self._endpoint and (listens if scope["method"] == "POST" else scope["method"] == "GET")

    async def _judge(self, scope: Scope) -> Principal:
        query = scope.get("query_string", b"").decode("latin-1")
        if any(name.lower() in _CREDENTIALS for name, _ in parse_qsl(query, keep_blank_values=True)):
            raise _Malformed("credentials in the address are not taken: send them in the Authorization header")
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        if not given:
            raise Unauthenticated("no credential", error="")
        kind, _, token = given[0].partition(" ")
        # Of spaces alone: others, such as one that doesn't break, are none in HTTP.
        token = token.strip(" ")
        if len(given) > 1:
            raise _Malformed("more than one Authorization header")
        if kind.lower() != "bearer":
            raise Unauthenticated("not a bearer token")
        if len(token) > MAX_TOKEN:
            raise Unauthenticated("the token is too long")
        if not _TOKEN.fullmatch(token):
            raise Unauthenticated("not a bearer token")
        for authenticator in self._authenticators:
            if authenticator.takes(token):
                return await authenticator.authenticate(token, peer(scope))
        raise Unauthenticated("not a credential that is taken here")

    def _note(self, scope: Scope, reason: str) -> None:
        if self._turned is not None:
            self._turned.note(reason, peer(scope))

    def ready(self) -> list[str]:
        """Why nobody can be authenticated now."""
        return [reason for authenticator in self._authenticators for reason in authenticator.ready()]

    async def aclose(self) -> None:
        """Close what the authenticators have open."""
        if self._turned is not None:
            self._turned.settle()
        for authenticator in self._authenticators:
            await authenticator.aclose()

    def _challenge(self, error: str = "", description: str = "", scope: str = "") -> bytes:
        parts = [f'{name}="{value}"' for name, value in (
            ("error", error), ("error_description", description), ("scope", scope), ("resource_metadata", self._metadata_url),
        ) if value]  # fmt: skip
        return ("Bearer " + ", ".join(parts)).strip().encode("latin-1", "replace")

    async def _refuse(self, send: Send, error: Unauthenticated) -> None:
        if error.unavailable:
            wait = str(math.ceil(error.unavailable)).encode()
            status, text = (429, error.description) if error.crowded else (503, "authentication is not available now")
            await say(send, status, {"error": text}, [(b"retry-after", wait)])
            return
        challenge = self._challenge(error.error, error.description if error.error else "", " ".join(self._scopes[:1]))
        body = {"error": error.error or "unauthorized", "error_description": error.description}
        await say(send, 401, body, [(b"www-authenticate", challenge)])

    async def _metadata(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await say(send, 405, {"error": "read it with GET"}, [(b"allow", b"GET, HEAD")])
            return
        body: dict[str, object] = {
            "resource": self._resource,
            "authorization_servers": list(self._issuers),
            # The least that is of use (MCP, authorization, scope selection); the rest is asked for when it is needed.
            "scopes_supported": list(self._scopes[:1]),
            "bearer_methods_supported": ["header"],
        }
        await say(send, 200, body, [(b"cache-control", b"public, max-age=3600"), (b"vary", b"Origin")])

    def _stepping_up(self, scope: Scope, send: Send) -> Send:
        """`send`, with 403 and a challenge for a call that lacks scopes (RFC 6750, section 3.1)."""
        held: Message | None = None

        async def wrapped(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and scope["method"] == "POST":
                # An event stream begins before its call is judged; its first event, or a sign of life, comes after.
                held = message
                return
            if held is not None:
                start, held = held, None
                lacking = scope.get(LACKING)
                if lacking and start["status"] < 500:
                    wanted = self._wanted(scope[PRINCIPAL], str(lacking))
                    challenge = self._challenge("insufficient_scope", "the call needs more scopes", wanted)
                    headers = [*start.get("headers", []), (b"www-authenticate", challenge)]
                    start = {**start, "status": 403, "headers": headers}
                await send(start)
            await send(message)

        return wrapped

    def _wanted(self, principal: Principal, lacking: str) -> str:
        """What a caller should ask for: what the call needs, and what it has of ours, so that it doesn't lose that."""
        held = {scope for scope in principal.scopes or () if scope in self._scopes}
        return " ".join(sorted({*held, *lacking.split()}))


def metadata_paths(path: str, endpoint: str) -> frozenset[str]:
    """Where requests for the metadata arrive.

    Clients ask for the well-known name before the path of the resource (RFC 9728, section 3.1), and then for it alone. A
    proxy may send on what it gets, put our path in the place of the public one, or ask below the public path.

    Args:
        path: Of the resource, as callers see it.
        endpoint: Where it is here.
    """
    return frozenset({WELL_KNOWN, f"{WELL_KNOWN}{path}", f"{WELL_KNOWN}{endpoint}", f"{path}{WELL_KNOWN}"})


class _Malformed(Exception):
    """A request that no credential could mend."""
