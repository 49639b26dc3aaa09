"""A server starts only if that is secure; else it says all that is missing, and what to set."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from gatelodge_core.errors import SettingsError
from gatelodge_core.launch.exposure import Exposure, judged
from gatelodge_core.settings import LodgeSettings
from pydantic import SecretStr

from tests.support.wire import Server, python_module

LOCAL, ANY = "127.0.0.1:8000", "0.0.0.0:8000"
PUBLIC = "https://tools.example.com/files"
TLS = {"tls_cert": "chain.pem", "tls_key": "key.pem"}
PROXY = {"behind_proxy": ["10.0.0.2"]}
OAUTH = {"auth": "oauth", "oauth_issuer": "https://issuer.example/tenant", "public_url": PUBLIC}
ASKING = {**OAUTH, "oauth_introspection_url": "https://issuer.example/introspect", "oauth_client_id": "tools", "oauth_client_secret": SecretStr("s")}  # fmt: skip

AUTH = "set --auth"
NAME = "set --public-url"
CLEAR = "set --tls-cert and --tls-key"

REFUSED: dict[str, tuple[dict[str, object], list[str]]] = {
    "anywhere, nothing else": ({"http": ANY}, [AUTH, NAME, CLEAR]),
    "anywhere over IPv6": ({"http": "[::]:8000"}, [AUTH, NAME, CLEAR]),
    "one address of the network": ({"http": "10.1.2.3:8000"}, [AUTH, NAME, CLEAR]),
    "loopback, mapped": ({"http": "[::ffff:10.0.0.1]:8000"}, [AUTH, NAME, CLEAR]),
    "anywhere with keys": ({"http": ANY, "auth": "keys"}, [NAME, CLEAR]),
    "anywhere with keys and a name": ({"http": ANY, "auth": "keys", "public_url": PUBLIC}, [CLEAR]),
    "anywhere with keys and TLS": ({"http": ANY, "auth": "keys", **TLS}, [NAME]),
    "anywhere with a name and TLS": ({"http": ANY, "public_url": PUBLIC, **TLS}, [AUTH]),
    "anywhere behind a proxy": ({"http": ANY, **PROXY}, [AUTH, NAME]),
    "a public name in the clear": ({"http": ANY, "auth": "keys", "public_url": "http://tools.example.com", **TLS}, ["--public-url: write https://"]),
    "loopback, but a public name": ({"http": LOCAL, "public_url": PUBLIC}, [AUTH, CLEAR]),
    "loopback, but behind a proxy": ({"http": LOCAL, "behind_proxy": ["127.0.0.1"]}, [AUTH, NAME]),
    "a certificate without its key": ({"http": ANY, "auth": "keys", "public_url": PUBLIC, "tls_cert": "chain.pem"}, ["belong together"]),
    "a key without its certificate": ({"http": ANY, "auth": "keys", "public_url": PUBLIC, "tls_key": "key.pem"}, [CLEAR, "belong together"]),
    "certificates of callers without TLS": ({"http": LOCAL, "tls_client_ca": "ca.pem"}, ["--tls-client-ca needs --tls-cert"]),
    "a proxy that is a name": ({"http": ANY, "auth": "keys", "public_url": PUBLIC, "behind_proxy": ["proxy"]}, ["no address or network"]),
    "everybody is the proxy": ({"http": ANY, "auth": "keys", "public_url": PUBLIC, "behind_proxy": ["0.0.0.0/0"]}, ["name the proxy"]),
    "everybody is the proxy over IPv6": ({"http": ANY, "auth": "keys", "public_url": PUBLIC, "behind_proxy": ["10.0.0.2", "::/0"]}, ["name the proxy"]),
    "everybody is the proxy, in two halves": ({"http": ANY, "auth": "keys", "public_url": PUBLIC, "behind_proxy": ["0.0.0.0/1", "10.0.0.2", "128.0.0.0/1"]}, ["name the proxy"]),
    "OAuth without an issuer": ({"http": LOCAL, "auth": "oauth"}, ["needs --oauth-issuer", "needs --public-url"]),
    "both without an issuer": ({"http": ANY, "auth": "both", "public_url": PUBLIC, **TLS}, ["needs --oauth-issuer"]),
    "OAuth without a name": ({"http": ANY, **OAUTH, **TLS, "public_url": "", "allowed_hosts": ["tools.example.com"]}, ["needs --public-url"]),
    "OAuth in the clear": ({"http": ANY, **OAUTH}, [CLEAR]),
    "an issuer in the clear": ({"http": ANY, **OAUTH, **TLS, "oauth_issuer": "http://issuer.example"}, ["--oauth-issuer: write https://"]),
    "an issuer with a query": ({"http": ANY, **OAUTH, **TLS, "oauth_issuer": "https://issuer.example/?tenant=1"}, ["no query"]),
    "an issuer with a password": ({"http": ANY, **OAUTH, **TLS, "oauth_issuer": "https://a:b@issuer.example"}, ["exactly as in its tokens"]),
    "an issuer that is a name": ({"http": ANY, **OAUTH, **TLS, "oauth_issuer": "issuer.example"}, ["--oauth-issuer: write https://"]),
    "keys of the issuer in the clear": ({"http": ANY, **OAUTH, **TLS, "oauth_jwks_url": "http://issuer.example/keys"}, ["--oauth-jwks-url: write https://"]),
    "keys of the issuer in a file": ({"http": ANY, **OAUTH, **TLS, "oauth_jwks_url": "file:///etc/keys"}, ["--oauth-jwks-url: write https://"]),
    "questions in the clear": ({"http": ANY, **ASKING, **TLS, "oauth_introspection_url": "http://issuer.example/ask"}, ["--oauth-introspection-url: write https://"]),
    "questions without a client": ({"http": ANY, **ASKING, **TLS, "oauth_client_id": ""}, ["needs --oauth-client-id"]),
    "questions without a secret": ({"http": ANY, **ASKING, **TLS, "oauth_client_secret": SecretStr("")}, ["GATELODGE_OAUTH_CLIENT_SECRET"]),
    "questions, and keys too": ({"http": ANY, **ASKING, **TLS, "oauth_jwks_url": "https://issuer.example/keys"}, ["either checked here or asked about"]),
    "no signature": ({"http": ANY, **OAUTH, **TLS, "oauth_algorithms": "none"}, ["--oauth-algorithms"]),
    "a signature by a shared secret": ({"http": ANY, **OAUTH, **TLS, "oauth_algorithms": "RS256,HS256"}, ["--oauth-algorithms"]),
    "an issuer, but keys alone": ({"http": LOCAL, "auth": "keys", "oauth_issuer": "https://issuer.example"}, ["no effect"]),
    "an issuer, but nobody is asked": ({"http": LOCAL, "oauth_issuer": "https://issuer.example"}, ["no effect"]),
    "a name with a query": ({"http": ANY, "auth": "keys", **TLS, "public_url": "https://tools.example.com/?a=b"}, ["--public-url: write it like"]),
    "a name with a password": ({"http": ANY, "auth": "keys", **TLS, "public_url": "https://a:b@tools.example.com"}, ["--public-url: write it like"]),
    "a name that is none": ({"http": ANY, "auth": "keys", **TLS, "public_url": "tools.example.com"}, ["--public-url: write it like"]),
    "a name with a port that is none": ({"http": ANY, "auth": "keys", **TLS, "public_url": "https://tools.example.com:99999"}, ["--public-url: write it like"]),
    "every name": ({"http": ANY, "auth": "keys", **TLS, "allowed_hosts": ["*"]}, ["--allowed-hosts"]),
    "a host with a scheme": ({"http": ANY, "auth": "keys", **TLS, "allowed_hosts": ["https://tools.example.com"]}, ["--allowed-hosts"]),
    "every page": ({"http": LOCAL, "allowed_origins": ["*"]}, ["--allowed-origins"]),
    "a public name in the clear, in capitals": ({"http": ANY, "auth": "keys", "public_url": "HTTP://tools.example.com", **TLS}, ["--public-url: write https://"]),
    "an origin that is broken": ({"http": LOCAL, "allowed_origins": ["http://[/"]}, ["--allowed-origins"]),
    "pages without an origin": ({"http": LOCAL, "allowed_origins": ["null"]}, ["--allowed-origins"]),
    "an origin with a path": ({"http": LOCAL, "allowed_origins": ["https://app.example/"]}, ["--allowed-origins"]),
    "no port": ({"http": "127.0.0.1"}, ["write HOST:PORT"]),
    "a host name": ({"http": "tools.example.com:8000"}, ["is not an address"]),
    "a port that is none": ({"http": "127.0.0.1:99999"}, ["write HOST:PORT"]),
}  # fmt: skip


def exposure(given: dict[str, object]) -> Exposure:
    return judged(LodgeSettings.model_validate(given), "/mcp")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_secure_does_not_start_and_says_what_to_set(name: str) -> None:
    given, reasons = REFUSED[name]
    with pytest.raises(SettingsError) as caught:
        exposure(given)
    text = str(caught.value)
    for reason in reasons:
        assert reason in text
    # And nothing that isn't missing.
    assert text.count("\n- ") == (0 if "\n" not in text else len(reasons))


STARTS: dict[str, tuple[dict[str, object], str, str]] = {
    "loopback": ({"http": LOCAL}, "none", ""),
    "loopback over IPv6": ({"http": "[::1]:0"}, "none", ""),
    "loopback by name": ({"http": "localhost:8000"}, "none", ""),
    "loopback's other address": ({"http": "127.0.0.2:8000"}, "none", ""),
    "loopback, called by another name": ({"http": LOCAL, "allowed_hosts": ["host.docker.internal"]}, "none", ""),
    "loopback, from a page": ({"http": LOCAL, "allowed_origins": ["http://localhost:6274"]}, "none", ""),
    "loopback with keys": ({"http": LOCAL, "auth": "keys"}, "keys", ""),
    "loopback with OAuth": ({"http": LOCAL, **OAUTH, "oauth_issuer": "http://127.0.0.1:9000", "public_url": "http://localhost:8000"}, "oauth", "http://localhost:8000/mcp"),
    "anywhere with keys, a name and TLS": ({"http": ANY, "auth": "keys", "public_url": PUBLIC, **TLS}, "keys", PUBLIC),
    "anywhere with keys, a host and TLS": ({"http": ANY, "auth": "keys", "allowed_hosts": ["tools.example.com"], **TLS}, "keys", ""),
    "anywhere with keys behind a proxy": ({"http": ANY, "auth": "keys", "public_url": PUBLIC, **PROXY}, "keys", PUBLIC),
    "behind a network of proxies": ({"http": ANY, "auth": "keys", "public_url": PUBLIC, "behind_proxy": ["10.0.0.0/24", "fd00::/64"]}, "keys", PUBLIC),
    "loopback behind a proxy on it": ({"http": LOCAL, "auth": "keys", "public_url": PUBLIC, "behind_proxy": ["127.0.0.1"]}, "keys", PUBLIC),
    "anywhere with OAuth and TLS": ({"http": ANY, **OAUTH, **TLS}, "oauth", PUBLIC),
    "anywhere with OAuth behind a proxy": ({"http": "[::]:8000", **OAUTH, **PROXY}, "oauth", PUBLIC),
    "both": ({"http": ANY, **OAUTH, **TLS, "auth": "both"}, "both", PUBLIC),
    "questions": ({"http": ANY, **ASKING, **TLS}, "oauth", PUBLIC),
    "questions at a place to be found": ({"http": ANY, **ASKING, **TLS, "oauth_introspection_url": "discover"}, "oauth", PUBLIC),
    "certificates of callers": ({"http": ANY, "auth": "keys", "public_url": PUBLIC, **TLS, "tls_client_ca": "ca.pem"}, "keys", PUBLIC),
    "a name without a path": ({"http": ANY, **OAUTH, **TLS, "public_url": "https://tools.example.com"}, "oauth", "https://tools.example.com/mcp"),
    "a name in capitals, with its usual port and a slash": ({"http": ANY, **OAUTH, **TLS, "public_url": "HTTPS://Tools.Example.com:443/Files/"}, "oauth", "https://tools.example.com/Files"),
    "a name with a port": ({"http": ANY, **OAUTH, **TLS, "public_url": "https://tools.example.com:8443/"}, "oauth", "https://tools.example.com:8443/mcp"),
    "a name that is an address": ({"http": ANY, **OAUTH, **TLS, "public_url": "https://[2001:db8::1]:8443"}, "oauth", "https://[2001:db8::1]:8443/mcp"),
}  # fmt: skip


@pytest.mark.parametrize("name", STARTS)
def test_what_is_secure_starts(name: str) -> None:
    given, auth, resource = STARTS[name]
    found = exposure(given)
    assert (found.auth, found.resource) == (auth, resource)


def test_a_server_tells_all_that_is_missing_and_exits_with_2(tmp_path: Path) -> None:
    server = Server(python_module("tests.support.toy", "--http", "0.0.0.0:0", "--state-dir", str(tmp_path)))
    try:
        assert server.wait() == 2
        assert server.nothing_left()
        for reason in (AUTH, NAME, CLEAR, "--http 127.0.0.1:8000"):
            assert reason in server.stderr()
        assert "Traceback" not in server.stderr()
    finally:
        server.end()


def test_a_server_that_may_start_does_and_its_secret_is_gone_from_its_environment(tmp_path: Path) -> None:
    secret = "introspection-s3cret"
    command = python_module(
        "tests.support.toy", "--http", "127.0.0.1:0", "--auth", "oauth", "--public-url", "http://127.0.0.1:9/mcp",
        "--oauth-issuer", "http://127.0.0.1:9", "--oauth-introspection-url", "discover", "--oauth-client-id", "toy",
        "--state-dir", str(tmp_path), "--log-level", "debug",
    )  # fmt: skip
    server = Server(command, {"GATELODGE_OAUTH_CLIENT_SECRET": secret})
    try:
        server.wait_for_stderr(r"listening on http://")
        environment = Path(f"/proc/{server.process.pid}/environ")
        if os.access(environment, os.R_OK):
            assert secret.encode() not in environment.read_bytes()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert secret not in server.stderr()
    finally:
        server.end()
