"""Finding the issuer's keys by its own metadata, over real HTTP and TLS, and not finding anybody else's."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest
import trustme
from gatelodge_core.auth.discovery import metadata_urls
from gatelodge_core.auth.model import Unauthenticated
from gatelodge_core.auth.oauth import build
from gatelodge_core.auth.principal import Principal
from gatelodge_core.errors import SettingsError
from gatelodge_core.settings import LodgeSettings

from tests.auth.issuer import Answer, FakeIssuer, issuing
from tests.auth.mint import RESOURCE, jwk, key_set, rsa_key


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def context(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # It takes pyOpenSSL's contexts too, whose types are not here.
    authority.issue_cert("127.0.0.1").configure_cert(made)  # pyright: ignore[reportUnknownMemberType] - trustme gives no type
    return made


@pytest.fixture
def issuer() -> Generator[FakeIssuer]:
    with issuing("/tenant") as made:
        yield made


def presented(issuer: FakeIssuer, *, token: str = "", **more: str) -> Principal:
    async def run() -> Principal:
        judge = build(LodgeSettings.model_validate({"oauth_issuer": issuer.name, **more}), RESOURCE)
        try:
            with anyio.fail_after(30):
                return await judge.authenticate(token or issuer.token(RESOURCE))
        finally:
            await judge.aclose()

    return anyio.run(run)


def unavailable(issuer: FakeIssuer, **more: str) -> bool:
    with pytest.raises(Unauthenticated) as caught:
        presented(issuer, **more)
    return caught.value.unavailable > 0


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        ("https://as.example", ["https://as.example/.well-known/oauth-authorization-server", "https://as.example/.well-known/openid-configuration"]),
        ("https://as.example/", ["https://as.example/.well-known/oauth-authorization-server", "https://as.example/.well-known/openid-configuration"]),
        (
            "https://as.example:8443/a/b",
            [
                "https://as.example:8443/.well-known/oauth-authorization-server/a/b",
                "https://as.example:8443/.well-known/openid-configuration/a/b",
                "https://as.example:8443/a/b/.well-known/openid-configuration",
            ],
        ),
    ],
)  # fmt: skip
def test_metadata_are_looked_for_where_the_standards_put_them(issuer: str, urls: list[str]) -> None:
    assert metadata_urls(issuer) == urls


@pytest.mark.parametrize(
    "place", ["/.well-known/openid-configuration/tenant", "/tenant/.well-known/openid-configuration"]
)
def test_keys_are_found_by_metadata_in_each_place(issuer: FakeIssuer, place: str) -> None:
    issuer.answers[place] = issuer.answers.pop("/.well-known/oauth-authorization-server/tenant")
    assert presented(issuer).subject == f"{issuer.name}|alice|desk"
    # One look at the metadata, one at the keys.
    assert (issuer.times(place), issuer.times("/keys")) == (1, 1)


def test_keys_at_a_place_that_the_settings_name_need_no_metadata(issuer: FakeIssuer) -> None:
    issuer.answers["/elsewhere"] = Answer(key_set(jwk(rsa_key("one"), kid="one")))
    presented(issuer, oauth_jwks_url=f"{issuer.origin}/elsewhere")
    assert [asked.path for asked in issuer.asked] == ["/elsewhere"]


@pytest.mark.parametrize("named", ["", "/", "/other", "/tenant/", "/TENANT"])
def test_metadata_of_another_issuer_on_the_same_host_bring_no_keys(issuer: FakeIssuer, named: str) -> None:
    issuer.metadata["issuer"] = issuer.origin + named
    assert unavailable(issuer)
    assert issuer.times("/keys") == 0


@pytest.mark.parametrize(
    "uri",
    [
        "http://10.0.0.1/keys",
        "http://evil.example/keys",
        "file:///etc/passwd",
        "https://127.0.0.1:22/keys",
        "https://169.254.169.254/keys",
        "",
        None,
        ["https://issuer.example"],
        "https://user:secret@127.0.0.1/keys",
    ],
)
def test_metadata_lead_to_no_place_inside_that_nobody_named(issuer: FakeIssuer, uri: object) -> None:
    issuer.metadata["jwks_uri"] = uri
    assert unavailable(issuer)


def test_a_redirect_is_not_followed(issuer: FakeIssuer) -> None:
    issuer.answers["/real"] = Answer(key_set(jwk(rsa_key("one"), kid="one")))
    issuer.answers["/keys"] = Answer(b"", 302, {"location": f"{issuer.origin}/real"})
    assert unavailable(issuer)
    assert issuer.times("/real") == 0


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"", 500),
        Answer(b"<html>"),
        Answer(b"{}"),
        Answer(b'{"issuer": "x", "issuer": "y"}'),
        Answer(b"[" * 100_000),
        Answer(b" " * 600_000 + b"{}"),
    ],
)
def test_metadata_that_are_none_let_nobody_in(issuer: FakeIssuer, answer: Answer) -> None:
    issuer.answers["/.well-known/oauth-authorization-server/tenant"] = answer
    assert unavailable(issuer)


def test_keys_that_moved_are_found_again(issuer: FakeIssuer) -> None:
    async def run() -> None:
        judge = build(LodgeSettings.model_validate({"oauth_issuer": issuer.name}), RESOURCE)
        issuer.metadata["jwks_uri"] = f"{issuer.origin}/moved"
        with pytest.raises(Unauthenticated):
            await judge.authenticate(issuer.token(RESOURCE))
        issuer.metadata["jwks_uri"] = f"{issuer.origin}/keys"
        with anyio.fail_after(30):
            while judge.ready():  # noqa: ASYNC110 - as a balancer does
                await anyio.sleep(0.05)
        await judge.authenticate(issuer.token(RESOURCE))
        await judge.aclose()

    anyio.run(run)


def test_an_issuer_over_tls_is_believed_by_the_named_authority_alone(
    authority: trustme.CA, context: ssl.SSLContext, tmp_path: Path
) -> None:
    ours, other = tmp_path / "ours.pem", tmp_path / "other.pem"
    authority.cert_pem.write_to_path(str(ours))
    trustme.CA().cert_pem.write_to_path(str(other))
    with issuing("/tenant", context) as issuer:
        assert issuer.name.startswith("https://")
        presented(issuer, oauth_ca_file=str(ours))
        assert unavailable(issuer, oauth_ca_file=str(other))
        assert unavailable(issuer)


def test_a_file_that_holds_no_authority_is_told_of_at_the_start(issuer: FakeIssuer, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for path in (empty, tmp_path / "absent.pem"):
        with pytest.raises(SettingsError, match="--oauth-ca-file"):
            presented(issuer, oauth_ca_file=str(path))
