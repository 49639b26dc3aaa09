"""Where settings come from, which one wins, and what a wrong one is told."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from gatelodge_core.errors import SettingsError
from gatelodge_core.guard.policy import load as load_policy

from tests.support.toy import ToySettings
from tests.support.wire import python_module


def test_flags_win_over_environment_and_environment_over_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('max_sessions = 5\nlog_level = "info"\nstate_dir = "/file"\n', encoding="utf-8")
    monkeypatch.setenv("GATELODGE_TOY_MAX_SESSIONS", "6")
    monkeypatch.setenv("GATELODGE_LOG_LEVEL", "error")
    settings = ToySettings.load(["--config", str(config), "--max-sessions", "7"])
    assert (settings.max_sessions, settings.log_level, settings.state_dir) == (7, "error", "/file")


def test_a_servers_own_variable_wins_over_the_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_STATE_DIR", "/all")
    monkeypatch.setenv("GATELODGE_TOY_STATE_DIR", "/toy")
    assert ToySettings.load([]).state_dir == "/toy"


def test_lists_are_joined_by_the_path_separator_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_TOY_THINGS", os.pathsep.join(["a", "b c"]))
    assert ToySettings.load([]).things == ["a", "b c"]
    assert ToySettings.load(["x"]).things == ["x"]


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_TOY_MAX_SESSIONS", "")
    assert ToySettings.load([]).max_sessions == 64


@pytest.mark.parametrize("name", ["GATELODGE_TOY_REED_ONLY", "GATELODGE_NONSENSE", "GATELODGE_THINGS"])
def test_a_variable_nobody_knows_is_an_error_that_names_the_known(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"{name}: there is no such setting. Known: .*READ_ONLY"):
        ToySettings.load([])


def test_the_variables_of_the_other_servers_are_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_GITHUB_ANYTHING", "1")
    ToySettings.load([])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("reed_only = true", "'reed_only' is no setting for all servers"),
        ("things = ['a']", "'things' is no setting for all servers"),
        ("max_sessions = 'many'", "max_sessions: "),
        ("max_sessions = [", "Unclosed array|Invalid value|Expected"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_key(tmp_path: Path, text: str, expected: str) -> None:
    config = tmp_path / "c.toml"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=expected):
        ToySettings.load(["--config", str(config)])


def test_a_named_file_must_exist_and_an_unnamed_one_need_not() -> None:
    ToySettings.load([])
    with pytest.raises(SettingsError, match="there is no such file"):
        ToySettings.load(["--config", "/nowhere/at/all.toml"])


def test_a_placeholder_the_host_left_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_TOY_STATE_DIR", "${HOME}/state")
    with pytest.raises(SettingsError, match=r"state_dir: still has the placeholder \$\{HOME\}.*Set HOME where"):
        ToySettings.load([])
    monkeypatch.delenv("GATELODGE_TOY_STATE_DIR")
    with pytest.raises(SettingsError, match=r"things: .*\$\{workspaceFolder\}"):
        ToySettings.load(["${workspaceFolder}"])


def test_an_optional_placeholder_of_a_bundle_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_TOY_STATE_DIR", "${user_config.state}")
    assert ToySettings.load([]).state_dir == ""


def test_a_secret_is_never_a_flag_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_TOY_TOKEN", "s3cr3t-canary")
    settings = ToySettings.load([])
    assert settings.token.get_secret_value() == "s3cr3t-canary"
    assert "s3cr3t-canary" not in repr(settings)
    assert "--token" not in ToySettings.parser().format_help()
    with pytest.raises(SettingsError, match="unrecognized arguments"):
        ToySettings.load(["--token", "x"])


def test_a_wrong_value_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_TOY_MAX_SESSIONS", "s3cr3t-canary")
    with pytest.raises(SettingsError) as caught:
        ToySettings.load([])
    assert "s3cr3t-canary" not in str(caught.value)
    assert "--max-sessions, GATELODGE_TOY_MAX_SESSIONS, or max_sessions in the settings file" in str(caught.value)


def test_a_boolean_flag_can_be_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_READ_ONLY", "true")
    assert ToySettings.load([]).read_only is True
    assert ToySettings.load(["--no-read-only"]).read_only is False


def test_a_bad_setting_ends_the_command_with_status_two_and_one_line() -> None:
    done = subprocess.run(
        python_module("tests.support.toy", "--max-sessions", "0"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "greater than or equal to 1" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_does_not_import_the_sdk() -> None:
    code = (
        "import sys; from gatelodge_filesystem.__main__ import main\ntry: main()\nfinally: print('mcp' in sys.modules)"
    )
    done = subprocess.run(
        [*python_module("x")[:1], "-c", code, "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines()[-1] == "False"
    assert "--read-only" in done.stdout


@pytest.mark.parametrize("text", [f"x = {'9' * 5000}", f"x = {'[' * 5000}", "x = '\\ud800'"])
def test_a_file_that_python_can_not_read_is_an_error_like_any_other(tmp_path: Path, text: str) -> None:
    config = tmp_path / "c.toml"
    config.write_text(text, encoding="utf-8")
    for load in (lambda: ToySettings.load(["--config", str(config)]), lambda: load_policy(str(config))):
        with pytest.raises(SettingsError, match=re.escape(str(config))):
            load()


def test_a_file_of_another_encoding_and_a_folder_are_told_without_python_s_words(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_bytes(b"x = '\xff'")
    for path, expected in ((config, "save it as UTF-8"), (tmp_path, "Is a directory")):
        for load in (lambda: ToySettings.load(["--config", str(path)]), lambda: load_policy(str(path))):  # noqa: B023 - called at once
            with pytest.raises(SettingsError, match=expected) as caught:
                load()
            assert "Errno" not in str(caught.value)
            assert "codec" not in str(caught.value)


def test_each_load_has_its_own_file_and_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    first = tmp_path / "first.toml"
    first.write_text("max_sessions = 5\n", encoding="utf-8")
    loaded = ToySettings.load(["--config", str(first)])
    with pytest.raises(SettingsError):
        ToySettings.load(["--config", str(tmp_path / "missing.toml")])
    plain = ToySettings()
    assert str(first) in loaded.own_paths
    assert not [place for place in plain.own_paths if place.startswith(str(tmp_path))]
