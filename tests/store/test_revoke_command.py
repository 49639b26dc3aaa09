"""``gatelodge revoke``: only what somebody can come with is put on the list, and no secret ever is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.valkey import Valkey

COMMAND = [sys.executable, "-m", "gatelodge_core.cli.__main__", "revoke"]
ISSUER = "https://login.example.com/realms/team"
SECRET = "glk_abcdefghjk_" + "s" * 43


def revoke(server: Valkey, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {"GATELODGE_STORE_URL": server.url}
    return subprocess.run([*COMMAND, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "name",
    [
        "key:alice",
        "key:a.b_c@d-e",
        "key-id:abcdefghjk",
        f"oauth:{ISSUER}|00u1",
        f"oauth:{ISSUER}|auth0%7C7|desk",
        f"oauth:{ISSUER}|00u1|",
        f"oauth:{ISSUER}/|Ann Smith|https://client.example/app.json",
        f"jti:{ISSUER}|token-1",
    ],
)
def test_what_somebody_can_come_with_is_put_on_the_list(server: Valkey, name: str) -> None:
    done = revoke(server, name)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"Revoked: {name}" in done.stderr
    listed = revoke(server)
    assert listed.returncode == 0
    assert listed.stdout.endswith(f"  {name}\n")


@pytest.mark.parametrize(
    "name",
    [
        "alice",
        "key:",
        "key:no such name",
        "key: alice",
        "key-id:alice",
        "keyid:abcdefghjk",
        "oauth:00u1",
        "oauth:00u1|desk",
        f"oauth:{ISSUER}",
        f"oauth:{ISSUER}|",
        f"oauth:{ISSUER}|a|b|c",
        f"jti:{ISSUER}",
        f"jti:{ISSUER}|a|b",
        f"OAuth:{ISSUER}|00u1",
        "os-user:1000",
        f"oauth:{ISSUER}|{'x' * 700}",
        "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
    ],
)
def test_what_nobody_can_come_with_is_refused_instead_of_revoking_nothing(server: Valkey, name: str) -> None:
    done = revoke(server, name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing is revoked" in done.stderr
    for form in ("key:NAME", "key-id:ID", "oauth:ISSUER|SUBJECT", "jti:ISSUER|JTI"):
        assert form in done.stderr
    # It may be a secret.
    assert "eyJ" not in done.stderr
    assert revoke(server).stdout == ""


@pytest.mark.parametrize("given", [SECRET, f"key:{SECRET}", f"Bearer {SECRET}"])
def test_a_whole_key_given_by_mistake_is_answered_with_its_id(server: Valkey, given: str) -> None:
    done = revoke(server, given)
    assert done.returncode == 2
    assert "gatelodge revoke key-id:abcdefghjk" in done.stderr
    assert "ssss" not in done.stderr
    assert revoke(server).stdout == ""
