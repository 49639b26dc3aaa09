"""From the settings to the judge of OAuth tokens."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from gatelodge_core.auth.claims import Rules
from gatelodge_core.auth.discovery import Issuer, IssuerError, address, is_secure, way_out
from gatelodge_core.auth.introspection import Introspection, asking
from gatelodge_core.auth.jwks import KeyRing
from gatelodge_core.auth.model import Authenticator, Revoked
from gatelodge_core.auth.principal import Principal
from gatelodge_core.auth.tokens import SignedTokens, algorithms
from gatelodge_core.errors import SettingsError
from gatelodge_core.settings import LodgeSettings

DISCOVER = "discover"
"""In place of an introspection URL: the one that the issuer's metadata name."""


class OAuth:
    """The judge of tokens, with the way to their issuer; an `Authenticator`.

    Args:
        judge: Decides.
        issuer: Closed with it.
        connect: TCP ports that it asks.
    """

    def __init__(self, judge: Authenticator, issuer: Issuer, connect: tuple[int, ...]) -> None:
        self._judge = judge
        self._issuer = issuer
        self.connect = connect

    def takes(self, token: str) -> bool:
        """Whether a bearer token may be one of the issuer's."""
        return self._judge.takes(token)

    async def authenticate(self, token: str, address: str = "") -> Principal:
        """Who presents a token; see `Authenticator`."""
        return await self._judge.authenticate(token, address)

    def ready(self) -> list[str]:
        """Why nobody can be authenticated now."""
        return self._judge.ready()

    async def aclose(self) -> None:
        """Close what is open."""
        await self._judge.aclose()
        await self._issuer.aclose()


def build(settings: LodgeSettings, resource: str, revoked: Revoked | None = None) -> OAuth:
    """The judge that the settings ask for. Nothing is fetched yet, and nothing read later: the process may be confined.

    Args:
        settings: Of the server; those of OAuth are complete (see `lacking`).
        resource: Its canonical URL.
        revoked: The list of revocations, where there is one.

    Raises:
        SettingsError: One of them can't be used.
    """
    urls = tuple(
        url for url in (settings.oauth_issuer, settings.oauth_jwks_url, settings.oauth_introspection_url)
        if url and url != DISCOVER
    )  # fmt: skip
    issuer = Issuer(settings.oauth_issuer, way_out(urls, _context(settings.oauth_ca_file)))
    rules = Rules(settings.oauth_issuer, resource)
    connect = tuple(sorted({address(url)[1] for url in urls}))
    if settings.oauth_introspection_url:
        url = "" if settings.oauth_introspection_url == DISCOVER else settings.oauth_introspection_url
        ask = asking(issuer, url, settings.oauth_client_id, settings.oauth_client_secret.get_secret_value())
        return OAuth(Introspection(ask, rules, revoked=revoked), issuer, connect)

    async def fetch() -> bytes:
        try:
            return await issuer.document(settings.oauth_jwks_url or await issuer.endpoint("jwks_uri"))
        except IssuerError:
            issuer.forget()
            raise

    judge = SignedTokens(KeyRing(fetch), rules, algorithms(settings.oauth_algorithms), revoked=revoked)
    return OAuth(judge, issuer, connect)


def lacking(settings: LodgeSettings) -> list[str]:
    """What the settings of OAuth lack, or say that can't be: a line for each."""
    found: list[str] = []
    if not settings.oauth_issuer:
        found.append("--auth oauth needs --oauth-issuer: the authorization server whose tokens are taken")
    elif not is_secure(settings.oauth_issuer):
        found.append("--oauth-issuer: write https://")
    elif not _plain(settings.oauth_issuer):
        found.append("--oauth-issuer: write it exactly as in its tokens; an issuer has no query and no fragment")
    if settings.oauth_jwks_url and not _usable(settings.oauth_jwks_url):
        found.append("--oauth-jwks-url: write https://")
    asks = settings.oauth_introspection_url
    if asks and asks != DISCOVER and not _usable(asks):
        found.append(f"--oauth-introspection-url: write https://, or {DISCOVER}")
    if asks and not (settings.oauth_client_id and settings.oauth_client_secret.get_secret_value()):
        found.append(
            "--oauth-introspection-url needs --oauth-client-id, and the secret in GATELODGE_OAUTH_CLIENT_SECRET"
        )
    if asks and settings.oauth_jwks_url:
        found.append("--oauth-jwks-url and --oauth-introspection-url: tokens are either checked here or asked about")
    try:
        algorithms(settings.oauth_algorithms)
    except SettingsError as error:
        found.append(str(error))
    return found


def _usable(url: str) -> bool:
    return is_secure(url) and _plain(url, query=True)


def _plain(url: str, *, query: bool = False) -> bool:
    """Whether a URL has no user name, no fragment, a port that is one, and nothing that can't be seen."""
    try:
        parts = urlsplit(url)
        address(url)
    except ValueError:
        return False
    return (
        url.isascii()
        and url.isprintable()
        and " " not in url
        and "@" not in parts.netloc
        and "#" not in url
        and (query or "?" not in url)
    )


def _context(ca_file: str) -> ssl.SSLContext | None:
    if not ca_file:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise SettingsError(f"--oauth-ca-file {ca_file}: it holds no certificate in PEM form") from None
    except OSError as error:
        raise SettingsError(f"--oauth-ca-file {ca_file}: can't be read: {error.strerror}") from None
