"""Where the token comes from: the order, each source, and what is left in the environment."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import keyring
import keyring.backends.fail
import keyring.core
import pytest
from gatelodge_core.errors import SettingsError
from gatelodge_github.credentials import (
    VARIABLES,
    AppCredential,
    FileCredential,
    NoCredential,
    StaticCredential,
    find,
    of_account,
)
from gatelodge_github.settings import Account, GithubSettings
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked
from pydantic import SecretStr

from tests.github.credential_support import Wanted, error_of, key, private_file, token

A, B, C, D = (token(letter=letter) for letter in "abcd")


class Ring(KeyringBackend):
    """A keyring in memory."""

    priority = -1.0  # pyright: ignore[reportAssignmentType] - the base computes it; never chosen by itself

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.fault: Exception | None = None
        self.opened: threading.Event | None = None

    def get_password(self, service: str, username: str) -> str | None:
        if self.opened is not None:
            self.opened.wait(60)
        if self.fault is not None:
            raise self.fault
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    made = Ring()
    monkeypatch.setattr(keyring.core, "_keyring_backend", made)
    return made


@pytest.fixture
def gh(tmp_path: Path) -> Path:
    """A gh that notes how it was called, and prints a token."""
    folder = tmp_path / "bin"
    folder.mkdir()
    write_gh(folder, f"echo '{D}'")
    return folder


def write_gh(folder: Path, then: str) -> None:
    program = folder / "gh"
    program.write_text(
        f'#!/bin/sh\necho "$@" > "{folder}/arguments"\nenv > "{folder}/environment"\npwd > "{folder}/pwd"\n{then}\n'
    )
    program.chmod(0o700)


def path_of(gh: Path) -> str:
    return f"{gh}:{os.environ['PATH']}"


def test_the_first_source_that_is_given_wins(tmp_path: Path, ring: Ring, gh: Path) -> None:
    ring.entries["gatelodge-github", "github.com"] = C
    environ = {
        "GITHUB_TOKEN_FILE": private_file(tmp_path / "two", B),
        **{name: token(letter=str(number)) for number, name in enumerate(VARIABLES)},
        "PATH": path_of(gh),
    }
    settings = Wanted(SecretStr(A), private_file(tmp_path / "one", token(letter="f")), "on", gh_cli=True)
    assert find(settings, environ=dict(environ)).token(1) == A
    settings.token = SecretStr("")
    assert find(settings, environ=dict(environ)).token(1) == token(letter="f")
    settings.token_file = ""
    assert find(settings, environ=dict(environ)).token(1) == B
    del environ["GITHUB_TOKEN_FILE"]
    assert find(settings, environ=dict(environ)).token(1) == C
    settings.keyring = ""
    for name in ("GITHUB_PERSONAL_ACCESS_TOKEN", "GITHUB_TOKEN", "GH_TOKEN"):
        assert find(settings, environ=dict(environ)).token(1) == environ[name]
        environ[name] = " "
    assert find(settings, environ=dict(environ)).token(1) == D
    settings.gh_cli = False
    assert find(settings, environ=dict(environ)).token(1) == ""


def test_without_any_there_is_a_credential_that_sends_nothing() -> None:
    found = find(Wanted(), environ={})
    assert isinstance(found, NoCredential)
    assert (found.kind, found.token(1), found.app) == ("none", "", False)
    found.refused("")


@pytest.mark.parametrize(
    ("prefix", "kind", "app"),
    [
        ("ghp", "classic", False),
        ("github_pat", "fine-grained", False),
        ("gho", "oauth", False),
        ("ghu", "oauth", False),
        ("ghs", "app", True),
        ("v1", "token", False),
    ],
)
def test_the_kind_is_told_by_the_prefix(prefix: str, kind: str, app: bool) -> None:
    found = StaticCredential(token(prefix))
    assert (found.kind, found.app) == (kind, app)
    assert len(found.digest) == 16
    assert found.digest == StaticCredential(f" {token(prefix)}\n").digest != StaticCredential(token("x", "y")).digest


def test_a_field_left_empty_in_a_desktop_bundles_form_counts_as_no_token() -> None:
    environ = {"GITHUB_PERSONAL_ACCESS_TOKEN": "${user_config.token}"}
    assert isinstance(find(Wanted(), environ=environ), NoCredential)
    assert environ == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  ", "is empty"),
        ("${GITHUB_TOKEN}", "still a placeholder"),
        ("Bearer ${input:token}", "still a placeholder"),
        (f"Bearer {A}", "as one word"),
        (f"{A}\r\nX-Evil: 1", "as one word"),
        (f"{A}\0", "as one word"),
        (f"{A[:-1]}é", "as one word"),
        (f"{A}\udce9", "as one word"),
        (f'"{A}"', "without quotes"),
        ("x" * 513, "longer than 512"),
    ],
)
def test_what_is_no_token_is_refused_without_repeating_it(text: str, said: str) -> None:
    for settings, environ in (
        (Wanted(SecretStr(text)), {}),
        *(((Wanted(), {"GITHUB_TOKEN": text}),) if text.strip() else ()),
    ):
        # Out of these frames as well: what is looked for must not stand in a variable of the test.
        shown = error_of(lambda settings=settings, environ=environ: find(settings, environ=environ), SettingsError)
        assert said in shown
        assert A[:-1] not in shown


def test_the_longest_token_is_taken() -> None:
    assert StaticCredential("x" * 512).token(1) == "x" * 512


def test_a_wrong_variable_that_is_not_used_does_no_harm() -> None:
    assert find(Wanted(SecretStr(A)), environ={"GITHUB_TOKEN": "two words"}).token(1) == A


def test_on_an_enterprise_server_its_own_variables_come_first_and_the_clouds_is_never_sent() -> None:
    environ = {name: token(letter=str(number)) for number, name in enumerate(VARIABLES)}
    for host in ("github.example.com", "https://GitHub.example.com/", "github.com.evil.example"):
        left = dict(environ)
        for name in ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GITHUB_PERSONAL_ACCESS_TOKEN", "GITHUB_TOKEN"):
            assert find(Wanted(host=host), environ=dict(left)).token(1) == environ[name]
            del left[name]
        assert set(left) == {"GH_TOKEN"}
        assert find(Wanted(host=host), environ=left).token(1) == ""
    for host in ("github.com", "acme.ghe.com"):
        only = {name: environ[name] for name in ("GH_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")}
        assert find(Wanted(host=host), environ=only).token(1) == environ["GH_TOKEN"]


def test_the_real_settings_and_accounts_can_be_asked(tmp_path: Path) -> None:
    assert find(GithubSettings.model_validate({"token": A}), environ={}).token(1) == A
    account = Account(token_file=private_file(tmp_path / "t", B))
    found = of_account(account, "accounts.ci")
    assert isinstance(found, FileCredential)
    assert (found.token(1), found.source) == (B, "accounts.ci.token_file")


def test_an_account_uses_nothing_but_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", A)
    monkeypatch.setenv("GITHUB_TOKEN_FILE", private_file(tmp_path / "t", B))
    with pytest.raises(SettingsError, match=r"accounts\.ci: give it token_file"):
        of_account(Account(), "accounts.ci")
    with pytest.raises(SettingsError, match=r"accounts\.ci\.app_key_file: an App needs"):
        of_account(Account(app_id="1", app_installation_id="2"), "accounts.ci")


# What is left in the environment

CHILD = """
import os, sys
from gatelodge_github.credentials import find
from tests.github.credential_support import Wanted
try:
    kind = find(Wanted(gh_cli=True, keyring=sys.argv[1]), environ=os.environ).kind
except Exception as error:
    kind = type(error).__name__
left = open("/proc/self/environ", "rb").read().decode()
print(kind, [name for name in sys.argv[2:] if name in os.environ or name + "=" in left], "secret" in left, "KEPT=1" in left)
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("optimised", [False, True])
@pytest.mark.parametrize(("entry", "kind"), [("", "token"), ("broken", "SettingsError")])
def test_no_variable_stays_in_the_environment_nor_in_what_the_kernel_shows(
    entry: str, kind: str, optimised: bool
) -> None:
    environ = {**os.environ, **{name: f"secret-{name}" for name in VARIABLES}, "KEPT": "1"}
    command = [sys.executable, *(["-O"] if optimised else []), "-c", CHILD, entry, *VARIABLES]
    found = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout.split("\n") == [f"{kind} [] False True", "1", ""], found.stderr


def test_a_mapping_that_is_not_the_environment_loses_them_too() -> None:
    environ = {"GITHUB_TOKEN": A, "GH_TOKEN": B, "PATH": "/bin"}
    find(Wanted(), environ=environ)
    assert environ == {"PATH": "/bin"}


# The keyring


@pytest.mark.parametrize(
    ("entry", "host", "where"),
    [
        ("on", "GitHub.com", ("gatelodge-github", "github.com")),
        ("on", "ghe.example.com", ("gatelodge-github", "ghe.example.com")),
        ("tokens:alice", "github.com", ("tokens", "alice")),
        ("gh:github.com:alice", "github.com", ("gh:github.com", "alice")),
    ],
)
def test_the_keyrings_entry_is_the_one_that_was_named(
    ring: Ring, entry: str, host: str, where: tuple[str, str]
) -> None:
    ring.entries[where] = f"{A}\n"
    found = find(Wanted(keyring=entry, host=host), environ={})
    assert (found.token(1), found.kind) == (A, "classic")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_asking_the_keyring_leaves_no_thread_behind(ring: Ring) -> None:
    ring.entries["s", "u"] = A
    before = set(os.listdir("/proc/self/task"))
    for _ in range(20):
        find(Wanted(keyring="s:u"), environ={})
        assert set(os.listdir("/proc/self/task")) <= before


def test_an_entry_that_is_not_there_is_told_with_the_command_that_makes_it(ring: Ring) -> None:
    with pytest.raises(SettingsError, match="Run: keyring set 'my service' alice"):
        find(Wanted(keyring="my service:alice"), environ={"GITHUB_TOKEN": A})


@pytest.mark.parametrize("entry", ["yes", ":", "a:", ":b"])
def test_an_entry_that_names_nothing_is_refused(ring: Ring, entry: str) -> None:
    with pytest.raises(SettingsError, match="keyring: write on, or SERVICE:USER"):
        find(Wanted(keyring=entry), environ={})


def test_a_keyring_that_fails_says_so_without_its_text(ring: Ring) -> None:
    ring.fault = OSError(f"the backend dumps {A}")
    shown = error_of(lambda: find(Wanted(keyring="a:b"), environ={}), SettingsError)
    assert "keyring: the keyring failed (OSError); use token_file" in shown
    assert A not in shown
    ring.fault = KeyringLocked("locked")
    with pytest.raises(SettingsError, match="keyring: the keyring is locked"):
        find(Wanted(keyring="a:b"), environ={})


def test_a_keyring_that_waits_for_somebody_is_given_up(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatelodge_github.credentials.system_keyring.SECONDS", 0.05)
    ring.opened = threading.Event()
    try:
        with pytest.raises(SettingsError, match=r"keyring: no answer within 0\.05 s"):
            find(Wanted(keyring="a:b"), environ={})
    finally:
        ring.opened.set()


def test_a_system_without_a_keyring_is_told_what_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", keyring.backends.fail.Keyring())
    with pytest.raises(SettingsError, match=r"this system has no keyring.*token_file"):
        find(Wanted(keyring="on"), environ={})


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(SettingsError, match=r"Install gatelodge-github\[keyring\]"):
        find(Wanted(keyring="on"), environ={})


# gh


def test_gh_is_asked_for_the_host_with_the_little_environment_that_it_needs(gh: Path) -> None:
    environ = {
        **dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "GH_CONFIG_DIR", "DBUS_SESSION_BUS_ADDRESS"), "kept"),
        **dict.fromkeys(("AWS_SECRET_ACCESS_KEY", "GH_DEBUG", "LD_PRELOAD", "GATELODGE_GITHUB_TOKEN"), "secret"),
        "PATH": path_of(gh),
    }
    found = find(Wanted(gh_cli=True, host="ghe.example.com"), environ={**environ, "GH_TOKEN": "secret"})
    assert found.token(1) == D
    assert (gh / "arguments").read_text() == "auth token --hostname ghe.example.com\n"
    assert (gh / "pwd").read_text() == "/\n"
    seen = dict(line.split("=", 1) for line in (gh / "environment").read_text().splitlines())
    assert set(seen) - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        "PATH", "HOME", "XDG_CONFIG_HOME", "GH_CONFIG_DIR", "DBUS_SESSION_BUS_ADDRESS",
    }  # fmt: skip


def test_gh_is_never_run_unasked(gh: Path) -> None:
    assert find(Wanted(), environ={"PATH": path_of(gh)}).token(1) == ""
    assert not (gh / "arguments").exists()


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("echo oops >&2; exit 4", "exit status 4. Run: gh auth login --hostname github.com"),
        ("true", "it printed nothing"),
        ("echo two words", "gh_cli: the token has spaces"),
        ("head -c 100000 /dev/zero | tr '\\0' a", "longer than 512"),
    ],
)
def test_a_gh_that_gives_no_token_is_told_with_what_to_do(gh: Path, then: str, said: str) -> None:
    write_gh(gh, then)
    with pytest.raises(SettingsError) as caught:
        find(Wanted(gh_cli=True), environ={"PATH": path_of(gh)})
    assert said in str(caught.value)
    assert "oops" not in str(caught.value)


def test_a_gh_that_hangs_is_ended_with_its_children(gh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatelodge_github.credentials.gh_cli.SECONDS", 1.0)
    (gh / "gh").write_text(f'#!/bin/sh\nsleep 300 &\necho $! > "{gh}/child"\necho {A}\nwait\n')
    shown = error_of(lambda: find(Wanted(gh_cli=True), environ={"PATH": path_of(gh)}), SettingsError)
    assert "no answer within 1 s" in shown
    assert A not in shown
    child = Path(f"/proc/{int((gh / 'child').read_text())}/stat")
    limit = time.monotonic() + 20
    # Killed, it may wait for its new parent to notice.
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}:
        assert time.monotonic() < limit
        threading.Event().wait(0.01)


@pytest.mark.parametrize(
    ("path", "said"), [(".", "by a relative entry"), ("../bin", "by a relative entry"), ("", "no gh command")]
)
def test_a_gh_that_a_checkout_brought_along_is_not_run(
    gh: Path, monkeypatch: pytest.MonkeyPatch, path: str, said: str
) -> None:
    monkeypatch.chdir(gh)
    with pytest.raises(SettingsError, match=said):
        find(Wanted(gh_cli=True), environ={"PATH": path})
    assert not (gh / "arguments").exists()


@pytest.mark.parametrize("host", ["--help", "-h", "a b", "$(id)", "", "host/../x", "ghe.example.com:x"])
def test_a_host_that_is_none_never_reaches_ghs_arguments(gh: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="is no host name"):
        find(Wanted(gh_cli=True, host=host), environ={"PATH": path_of(gh)})
    assert not (gh / "arguments").exists()


def test_without_gh_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no gh command on PATH"):
        find(Wanted(gh_cli=True), environ={"PATH": str(tmp_path)})


# The App


def app(tmp_path: Path, **changed: str) -> Wanted:
    file = private_file(tmp_path / "app.pem", key())
    return replace(Wanted(app_id="12345", app_installation_id="100", app_key_file=file), **changed)


def test_an_app_is_found_by_its_three_settings(tmp_path: Path) -> None:
    found = find(app(tmp_path), environ={})
    assert isinstance(found, AppCredential)
    assert (found.kind, found.app, found.app_id, found.installation_id) == ("app", True, "12345", 100)
    assert find(app(tmp_path, app_id="Iv23liABCDEFGHIJKLMN"), environ={}).digest != found.digest
    assert find(app(tmp_path, app_installation_id="101"), environ={}).digest != found.digest


@pytest.mark.parametrize("name", ["app_id", "app_installation_id", "app_key_file"])
def test_an_app_by_halves_is_refused_by_the_name_of_what_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: an App needs"):
        find(app(tmp_path, **{name: ""}), environ={})


def test_an_app_and_a_token_are_ambiguous_whatever_the_token_comes_from(tmp_path: Path, ring: Ring, gh: Path) -> None:
    path = private_file(tmp_path / "t", A)
    for settings, environ, name in (
        (app(tmp_path, token_file=path), {}, "token_file"),
        (app(tmp_path), {"GITHUB_TOKEN_FILE": path}, "GITHUB_TOKEN_FILE"),
        (app(tmp_path, keyring="a:b"), {}, "keyring"),
        (app(tmp_path), {"GITHUB_TOKEN": A}, "GITHUB_TOKEN"),
        (replace(app(tmp_path), gh_cli=True), {"PATH": path_of(gh)}, "gh_cli"),
        (replace(app(tmp_path), token=SecretStr(A)), {}, "token"),
    ):
        with pytest.raises(SettingsError, match=rf"a token \({name}\) are both given"):
            find(settings, environ=environ)
    assert not (gh / "arguments").exists()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    settings = app(tmp_path)
    os.chmod(settings.app_key_file, stat.S_IRUSR | stat.S_IRGRP)
    with pytest.raises(SettingsError, match=r"app_key_file: .*chmod 600"):
        find(settings, environ={})


@pytest.mark.parametrize(("name", "text"), [("app_id", "my app"), ("app_id", "1\n2"), ("app_installation_id", "acme")])
def test_an_id_that_is_none_is_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: write "):
        find(app(tmp_path, **{name: text}), environ={})
