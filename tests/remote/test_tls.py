"""The server's own TLS, by real handshakes: what it takes, whom it refuses, and what it says when a file can't be used."""

from __future__ import annotations

import datetime
import os
import ssl
import warnings
from collections.abc import Generator
from pathlib import Path

import httpx2
import pytest
import trustme
from gatelodge_core.errors import SettingsError
from gatelodge_core.launch.exposure import Tls
from gatelodge_core.launch.tls import context

from tests.support.remote import Remote, remote


class Authority:
    """A certificate authority, and the files of one certificate by it."""

    def __init__(self, folder: Path, *names: str, expires: datetime.datetime | None = None) -> None:
        folder.mkdir(parents=True)
        self.made = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self.made.cert_pem.write_to_path(self.ca)
        issued = self.made.issue_cert(*names, not_after=expires)
        self.cert, self.key = str(folder / "cert.pem"), str(folder / "key.pem")
        for place, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(self.cert, append=place > 0)
        issued.private_key_pem.write_to_path(self.key)
        os.chmod(self.key, 0o600)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca") / "ours", "127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca") / "callers", "alice@callers.example")


@pytest.fixture(scope="module")
def place(ours: Authority, callers: Authority, tmp_path_factory: pytest.TempPathFactory) -> Generator[Remote]:
    """A confined server that wants certificates of its callers."""
    files = ("--tls-cert", ours.cert, "--tls-key", ours.key, "--tls-client-ca", callers.ca)
    with remote(tmp_path_factory.mktemp("mtls"), *files) as made:
        yield made


def trusting(ca: str, own: Authority | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=ca)
    if own is not None:
        made.load_cert_chain(own.cert, own.key)
    return made


def test_a_call_over_tls_with_a_certificate_and_a_key_is_answered(
    place: Remote, ours: Authority, callers: Authority
) -> None:
    with httpx2.Client(verify=trusting(ours.ca, callers)) as client:
        answer = client.post(place.url, **place.call("echo_text", {"text": "hi"}))
    assert place.base.startswith("https://")
    assert "hi" in answer.json()["result"]["content"][0]["text"].splitlines()
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_a_caller_without_a_certificate_is_refused(place: Remote, ours: Authority) -> None:
    with httpx2.Client(verify=trusting(ours.ca)) as client, pytest.raises(httpx2.TransportError):
        client.post(place.url, **place.call("echo_text", {"text": "hi"}))


def test_a_certificate_of_another_authority_is_refused(place: Remote, ours: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "alice@callers.example")
    with httpx2.Client(verify=trusting(ours.ca, other)) as client, pytest.raises(httpx2.TransportError):
        client.post(place.url, **place.call("echo_text", {"text": "hi"}))


def test_a_certificate_is_not_enough_without_a_key(place: Remote, ours: Authority, callers: Authority) -> None:
    with httpx2.Client(verify=trusting(ours.ca, callers)) as client:
        answer = client.post(place.url, json={}, headers={"accept": "application/json"})
    assert answer.status_code == 401
    assert "strict-transport-security" in answer.headers


def test_plain_http_is_not_spoken_on_a_tls_port(place: Remote) -> None:
    with httpx2.Client() as client, pytest.raises(httpx2.TransportError):
        client.get(f"http://127.0.0.1:{place.port}/livez")


def test_old_tls_is_not_spoken(place: Remote, ours: Authority, callers: Authority) -> None:
    old = trusting(ours.ca, callers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with httpx2.Client(verify=old) as client, pytest.raises(httpx2.TransportError):
        client.get(f"{place.base}/livez")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_key_that_others_can_read_is_refused(mode: int, tmp_path: Path) -> None:
    open_key = Authority(tmp_path / "open", "localhost")
    os.chmod(open_key.key, mode)
    with pytest.raises(SettingsError, match="open to others"):
        context(Tls(open_key.cert, open_key.key))


def test_what_is_wrong_with_a_file_is_said_with_its_setting(
    ours: Authority, callers: Authority, tmp_path: Path
) -> None:
    nothing = str(tmp_path / "nothing.pem")
    for tls, said in (
        (Tls(nothing, ours.key), "--tls-cert"),
        (Tls(ours.cert, nothing), "--tls-key .*no such file"),
        (Tls(ours.key, ours.key), "--tls-cert"),
        (Tls(ours.cert, callers.key), "--tls-cert .*MISMATCH"),
        (Tls(ours.cert, ours.key, nothing), "--tls-client-ca"),
        (Tls(ours.cert, ours.key, ours.key), "--tls-client-ca"),
    ):
        with pytest.raises(SettingsError, match=said):
            context(tls)


def test_an_encrypted_key_is_refused_and_nothing_is_asked_on_the_terminal(ours: Authority, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(Path(ours.key).read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    locked.chmod(0o600)
    with pytest.raises(SettingsError, match="encrypted"):
        context(Tls(ours.cert, str(locked)))


@pytest.mark.parametrize(
    ("days", "said"), [(-1, "expired on"), (3, "expires on"), (300, "")], ids=["expired", "soon", "long"]
)
def test_the_log_says_when_a_certificate_ends(
    days: int, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    made = Authority(tmp_path / "dated", "localhost", expires=ends)
    context(Tls(made.cert, made.key))
    assert said in caplog.text
    assert bool(caplog.text) == bool(said)
