"""Files that hold what nobody expects: refused or changed with care, and told so that a person knows what to do."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest
from gatelodge_core.cli.hosts import HOSTS

from tests.hosts.support import Home

DIGITS = "9" * 5000


@pytest.fixture
def home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Home:
    """An empty home folder."""
    return Home(tmp_path / "home", capsys)


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("cursor", f'{{"a": {DIGITS}}}'),
        ("codex", f"x = {DIGITS}\n"),
        ("codex", f"x = {'[' * 5000}{']' * 5000}\n"),
        ("codex", f"[{'.'.join(['a'] * 5000)}]\n"),
    ],
)
def test_what_is_too_long_or_deep_to_be_read_is_refused_as_a_whole(host: str, text: str, home: Home) -> None:
    path = home.write(host, text)
    ran = home.install(host)
    assert (ran.status, path.read_text(encoding="utf-8")) == (2, text)
    assert str(path) in ran.err
    assert "it is as it was" in ran.err
    told = home.run("doctor", "--no-start", "--host", host, "--home", str(home.path))
    assert told.status == 1


@pytest.mark.parametrize("text", [f"a: {DIGITS}\n", f"a: [{DIGITS}]\n"])
def test_a_number_of_any_length_stays_in_yaml(text: str, home: Home) -> None:
    path = home.write("goose", text)
    assert home.install("goose").status == 0
    assert path.read_text(encoding="utf-8").startswith(text)
    assert home.uninstall("goose").status == 0
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("text", ["x = nan\n", "x = [nan, -inf, {y = nan}]\n"])
def test_a_toml_number_that_equals_nothing_keeps_nobody_out(text: str, home: Home) -> None:
    path = home.write("codex", text)
    assert home.install("codex").status == 0
    assert home.uninstall("codex").status == 0
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("text", ["mcp_servers = {}\n", 'mcp_servers = {a = {command = "x"}}\n'])
def test_an_inline_table_of_servers_is_told_how_to_be_written(text: str, home: Home) -> None:
    path = home.write("codex", text)
    ran = home.install("codex")
    assert (ran.status, path.read_text(encoding="utf-8")) == (2, text)
    assert "[mcp_servers.NAME]" in ran.err
    assert "no TOML" not in ran.err


@pytest.mark.parametrize(
    ("host", "text", "expected"),
    [
        ("cursor", "null", "the file holds no table"),
        ("cursor", '{\n"mcpServers": null}', "line 2: mcpServers is no object"),
        ("goose", "a: \"x\n  y\"\n", "line 1: a quote"),
        ("codex", 'a = "x', "line 1"),
    ],
)  # fmt: skip
def test_the_place_that_is_told_is_one_that_there_is(host: str, text: str, expected: str, home: Home) -> None:
    home.write(host, text)
    ran = home.install(host)
    assert ran.status == 2
    assert expected in ran.err
    assert "column 0" not in ran.err


def test_a_pipe_or_device_in_a_files_place_keeps_nobody_waiting(home: Home) -> None:
    path = home.file("cursor")
    path.parent.mkdir(parents=True)
    for make in (lambda: os.mkfifo(path), lambda: path.symlink_to("/dev/zero"), path.mkdir):
        make()
        told: list[int] = []

        def look(into: list[int]) -> None:
            into.append(home.run("doctor", "--no-start", "--host", "cursor", "--home", str(home.path)).status)

        doctor = threading.Thread(target=look, args=(told,), daemon=True)
        doctor.start()
        doctor.join(20)
        assert told == [1]
        assert home.install("cursor", "websearch").status == 2
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_token_among_the_arguments_is_refused_whatever_it_looks_like(home: Home) -> None:
    for words in (["--token", "hunter2"], ["--token=hunter2"], ["--password", "x"], ["--api-key", "x"], ["--pat=x"]):
        ran = home.install("cursor", "github", "--", *words)
        assert ran.status == 2
        assert "secret" in ran.err
        assert "hunter2" not in ran.err + ran.out
        assert not home.file("cursor").exists()
    assert home.install("cursor", "github", "--", "--token-file", "/x/token").status == 0


def test_only_what_is_missing_is_said_to_be_missing(home: Home) -> None:
    for command in ("install", "uninstall"):
        assert home.run(command).err.endswith("the following arguments are required: HOST\n")
        ran = home.run(command, "cursor", "frob")
        assert "filesystem, postgres, github, websearch" in ran.err
        assert "[]" not in ran.err
        ran = home.run(command, "frob")
        assert "claude-desktop, claude-code" in ran.err
        assert ran.status == 2
    assert "the following arguments are required: tool\n" in home.run("policy", "test").err


def test_a_home_that_is_not_there_is_no_healthy_one(home: Home) -> None:
    for command in (["doctor", "--no-start"], ["install", "cursor", "websearch"], ["uninstall", "cursor"]):
        ran = home.run(*command, "--home", str(home.path / "nowhere"))
        assert ran.status == 2
        assert "nowhere" in ran.err


@pytest.mark.parametrize("level", ["--json", ""])
def test_what_a_file_calls_its_servers_cant_act_on_the_terminal(level: str, home: Home) -> None:
    home.write(
        "cursor", '{"mcpServers": {"a\\u001b[2J\\r\\nok  all well\\u202e": {"command": "x\\u001b]0;t\\u0007"}, "b": 1}}'
    )
    ran = home.run("doctor", "--no-start", "--home", str(home.path), *([level] if level else []))
    assert "\x1b" not in ran.out
    assert "\nok  all well" not in ran.out
    assert level or "\u202e" not in ran.out


@pytest.mark.parametrize("host", ["cursor", "codex", "claude-desktop"])
def test_taking_out_does_not_tell_how_to_switch_on(host: str, home: Home) -> None:
    home.install(host)
    told = home.uninstall(host).out
    assert "runs until its session ends" in told
    assert HOSTS[host].restart not in told


def test_a_secret_is_never_typed_into_a_shell_by_the_readmes() -> None:
    root = Path(__file__).resolve().parents[2]
    pages = [root / "README.md", *root.glob("servers/*/README.md"), *root.glob("docs/*.md")]
    typed = re.compile(r"""(?:--env|-e)\s+['"]?(\w*(?:TOKEN|URL|KEY|PASSWORD)\w*)=(?!\$\{)""")
    assert [(page.name, found[0]) for page in pages for found in typed.finditer(page.read_text(encoding="utf-8"))] == []


def test_before_the_first_server_has_run_the_journal_is_said_to_be_missing_and_what_makes_one(home: Home) -> None:
    for verb in ("verify", "show", "tail", "export"):
        ran = home.run("audit", verb, "--state-dir", str(home.path / "state"))
        assert ran.status == 2
        assert "there is no journal yet" in ran.err
