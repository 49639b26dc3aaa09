"""Nothing that a credential holds can be seen from outside: attacks on reprs, pickles, tracebacks and logs."""

from __future__ import annotations

import copy
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from gatelodge_core.errors import CallError, SettingsError
from gatelodge_github.credentials import (
    AppCredential,
    Credential,
    FileCredential,
    NoCredential,
    Sealed,
    StaticCredential,
    find,
)
from gatelodge_github.credentials.signing import Signer

from tests.github.credential_support import Wanted, error_of, key, private_file, public, token

PASTED = f"{token('ghs', 's')} and {token()}"


def body(pem: str) -> list[str]:
    """The lines of a key that are the key; any one of them gives part of it away."""
    return [line for line in pem.splitlines() if line and not line.startswith("-----")]


def shows(text: str, *secrets: str) -> bool:
    return any(secret in text for secret in secrets)


@pytest.fixture
def all_kinds(tmp_path: Path) -> dict[str, Credential]:
    made = AppCredential("12345", 100, key(), good)
    assert made.token(20) == token("ghs")
    return {
        "static": StaticCredential(token()),
        "file": FileCredential(private_file(tmp_path / "t", token())),
        "app": made,
        "none": NoCredential(),
    }


def good(statement: str, installation: int, seconds: float) -> Mapping[str, Any]:
    return {"token": token("ghs"), "expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}


def test_no_repr_shows_a_secret_not_even_inside_another_object(all_kinds: dict[str, Credential]) -> None:
    for found in all_kinds.values():
        parts = [getattr(found, name) for cls in type(found).__mro__ for name in getattr(cls, "__slots__", ())]
        for text in (repr(found), str(found), f"{found}", repr([found]), repr(parts), f"{parts}"):
            assert not shows(text, token(), token("ghs"), *body(key()))
        assert not hasattr(found, "__dict__")
    assert all_kinds["static"].digest in repr(all_kinds["static"])
    sealed = Sealed("s3cret")
    assert [f"{sealed}", str(sealed), repr(sealed), "%s %r" % (sealed, [sealed]), f"{sealed!s:>10}"] == [  # noqa: UP031 - as logging does
        "<sealed>", "<sealed>", "<sealed>", "<sealed> [<sealed>]", "  <sealed>",
    ]  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_can_be_pickled(all_kinds: dict[str, Credential], protocol: int) -> None:
    for found in (*all_kinds.values(), Sealed("x"), Signer("1", Sealed(key()), "k")):
        with pytest.raises(TypeError, match="never pickled"):
            pickle.dumps(found, protocol)
        with pytest.raises(TypeError, match="never pickled"):
            pickle.dumps({"state": [found]}, protocol)


def test_nothing_can_be_copied(all_kinds: dict[str, Credential]) -> None:
    for found in (*all_kinds.values(), Sealed("x")):
        for copier in (copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="never pickled or copied"):
                copier(found)


def refusal(text: str) -> CallError:
    return CallError("refused", f"GitHub refused it ({len(text)}).")


def failing(fault: Callable[[str], Exception]) -> AppCredential:
    def exchange(statement: str, installation: int, seconds: float) -> Mapping[str, Any]:
        answer = {"token": token("ghs"), "sent": statement}
        raise fault(f"{statement} {answer}")

    return AppCredential("12345", 100, key(), exchange)


@pytest.mark.parametrize("fault", [ConnectionError, KeyError, refusal])
def test_the_traceback_of_a_failing_exchange_shows_with_all_variables_no_key_statement_or_token(
    fault: Callable[[str], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    credential = failing(fault)
    with caplog.at_level(logging.DEBUG):
        shown = error_of(lambda: credential.token(20), CallError) + caplog.text
    assert "credential = AppCredential(" in shown
    assert not shows(shown, token("ghs"), *body(key()))
    # Every statement begins so: the header of a JWT in base64.
    assert "eyJ" not in shown


def test_the_traceback_of_a_bad_token_shows_with_all_variables_no_token(tmp_path: Path) -> None:
    path = private_file(tmp_path / "t", PASTED)
    for step in (
        lambda: FileCredential(path),
        lambda: StaticCredential(PASTED),
        lambda: find(Wanted(token_file=path), environ={}),
        lambda: find(Wanted(), environ={"GITHUB_TOKEN": PASTED, "GH_TOKEN": token()}),
    ):
        assert not shows(error_of(step, SettingsError), token(), token("ghs", "s"))


def test_the_traceback_of_a_file_that_went_bad_shows_neither_the_old_token_nor_the_new(tmp_path: Path) -> None:
    path = private_file(tmp_path / "t", token())
    credential = FileCredential(path)
    private_file(Path(path), PASTED)
    assert not shows(error_of(lambda: credential.token(1), CallError), token(), token("ghs", "s"))


def bad_keys() -> dict[str, str]:
    loaded = load_pem_private_key(key().encode(), password=None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    other = ed25519.Ed25519PrivateKey.generate()
    lines = key().splitlines()
    return {
        "small": key(1024),
        "encrypted": loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode(),
        "of another kind": other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "public": public(key()).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "cut": "\n".join([*lines[:10], lines[-1]]),
        "on one line": key().replace("\n", "\\n"),
        "not ASCII": "\n".join([*lines[:5], "é\udce9", *lines[6:]]),
        "a token": token(),
        "empty": "",
    }


@pytest.mark.parametrize("kind", bad_keys())
def test_a_key_that_is_none_is_refused_and_not_shown(kind: str) -> None:
    shown = error_of(lambda: AppCredential("12345", 100, Sealed(bad_keys()[kind])), SettingsError)
    assert "app_key_file: this is no private key of an App" in shown
    assert not shows(shown, token(), *body(key()), *body(key(1024)), *body(bad_keys()["encrypted"]))


@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_both_forms_of_a_key_are_taken(form: PrivateFormat) -> None:
    loaded = load_pem_private_key(key().encode(), password=None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    pem = loaded.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    assert AppCredential("12345", 100, pem, good).token(20) == token("ghs")


OPTIMISED = """
import os, pickle, sys
from gatelodge_core.errors import SettingsError
from gatelodge_github.credentials import AppCredential, FileCredential, StaticCredential
path = sys.argv[1]
def refused(step, kind):
    try:
        step()
    except kind:
        return True
    return False
assert False, "this is not -O"
print(
    refused(lambda: pickle.dumps(StaticCredential("x")), TypeError),
    refused(lambda: StaticCredential("x y"), SettingsError),
    FileCredential(path).token(1),
    refused(lambda: os.chmod(path, 0o644) or FileCredential(path), SettingsError),
    refused(lambda: AppCredential("1", 1, "no key"), SettingsError),
)
"""


def test_all_of_it_holds_when_assertions_are_off(tmp_path: Path) -> None:
    command = [sys.executable, "-O", "-c", OPTIMISED, private_file(tmp_path / "t", "tok")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout == "True True tok True True\n", found.stderr
