"""A token in a file: who may read it, and when it is read again."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from gatelodge_core.errors import CallError, SettingsError
from gatelodge_github.credentials import FileCredential

from tests.github.credential_support import private_file, token

OLD, NEW = token(letter="o"), token("github_pat", "n")


def test_a_token_is_read_without_the_space_around_it_and_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = private_file(tmp_path / "t", f"\ufeff  {OLD}\r\n\n")
    found = FileCredential(path)
    assert (found.token(1), found.kind, found.app) == (OLD, "classic", False)


def test_a_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    private_file(tmp_path / "t", OLD)
    assert FileCredential("~/t").token(1) == OLD


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o601, 0o644, 0o777])
def test_a_file_that_others_may_touch_is_refused_with_the_command_that_helps(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "my token"
    private_file(path, OLD)
    path.chmod(mode)
    with pytest.raises(SettingsError, match=r"chmod 600 '.*my token'"):
        FileCredential(str(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_is_refused_even_to_root(tmp_path: Path) -> None:
    path = private_file(tmp_path / "t", OLD)
    os.chown(path, 12345, -1)
    with pytest.raises(SettingsError, match="belongs to user 12345"):
        FileCredential(path)


def test_a_link_is_judged_by_the_file_that_it_leads_to(tmp_path: Path) -> None:
    private_file(tmp_path / "t", OLD)
    (tmp_path / "link").symlink_to(tmp_path / "t")
    assert FileCredential(str(tmp_path / "link")).token(1) == OLD
    (tmp_path / "t").chmod(0o644)
    with pytest.raises(SettingsError, match="open to others"):
        FileCredential(str(tmp_path / "link"))


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name in ("pipe", "folder"):
        with pytest.raises(SettingsError, match="no regular file"):
            FileCredential(str(tmp_path / name))
    for name in ("absent", "nul\0"):
        with pytest.raises(SettingsError, match=r"token_file: .*can't be read: "):
            FileCredential(str(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        (f"{OLD}\n{OLD}", "as one word"),
        ("x" * 600, "longer than 512"),
        ("x" * 5000, "more than 4096 bytes"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = private_file(tmp_path / "t", text)
    with pytest.raises(SettingsError, match=said):
        FileCredential(path)


def test_a_file_of_utf16_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.touch(mode=0o600)
    path.write_bytes(OLD.encode("utf-16"))
    with pytest.raises(SettingsError, match="printable ASCII"):
        FileCredential(str(path))


@pytest.mark.parametrize("atomic", [True, False])
def test_a_new_token_in_the_file_is_taken_and_kind_and_digest_follow(tmp_path: Path, atomic: bool) -> None:
    path = private_file(tmp_path / "t", OLD)
    found = FileCredential(path)
    before = found.digest
    if atomic:
        os.replace(private_file(tmp_path / "next", NEW), path)
    else:
        private_file(Path(path), NEW)
    assert (found.token(1), found.kind) == (NEW, "fine-grained")
    assert found.digest not in ("", before)


def test_a_file_that_did_not_change_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = FileCredential(private_file(tmp_path / "t", OLD))

    def forbidden(*_: object) -> None:
        raise AssertionError("it was opened again")

    monkeypatch.setattr("gatelodge_github.credentials.files.read_private", forbidden)
    assert {found.token(1) for _ in range(5)} == {OLD}


def test_a_refused_token_is_read_again_though_the_file_looks_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write within one tick of the clock leaves size and times as they were; here all files look alike."""

    def alike(_: os.stat_result) -> tuple[int, ...]:
        return (0,)

    monkeypatch.setattr("gatelodge_github.credentials.files._stamp", alike)
    path = private_file(tmp_path / "t", OLD)
    found = FileCredential(path)
    private_file(Path(path), NEW)
    found.refused("another")
    assert found.token(1) == OLD
    found.refused(OLD)
    assert found.token(1) == NEW


@pytest.mark.parametrize("how", ["gone", "empty", "open"])
def test_a_file_that_was_taken_away_is_an_error_that_names_no_path_until_it_is_back(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(private_file(tmp_path / "t", OLD))
    found = FileCredential(str(path))
    if how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_text("")
    else:
        path.chmod(0o644)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            with pytest.raises(CallError) as caught:
                found.token(1)
            assert caught.value.code == "token_unreadable"
            assert str(tmp_path) not in str(caught.value)
            assert caught.value.__context__ is None
    assert len(caplog.records) == 1
    assert str(path) in caplog.text
    path.unlink(missing_ok=True)
    private_file(path, NEW)
    assert found.token(1) == NEW
