"""Commands show their output anywhere, or end without a traceback where they can't."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from gatelodge_core import outlet
from gatelodge_core.audit import cli as audit
from gatelodge_core.audit.journal import JournalSettings
from gatelodge_core.cli.__main__ import main

from tests.audit.support import closed_journal
from tests.hosts.support import SCRIPTS

COMMANDS = [
    ["--help"], ["doctor", "--help"], ["doctor", "--no-start", "--json"], ["install", "cursor", "websearch", "--dry-run"],
    ["approve"], ["--completion", "bash"],
]  # fmt: skip


SPOKEN = [
    *([name, option] for name in ("filesystem", "postgres", "github", "websearch") for option in ("--version", "--help", "--describe")),
    ["postgres", "grant-sql"], ["postgres", "grant-sql", "--help"], ["postgres", "remove-demo", "--help"],
]  # fmt: skip


def ran(
    home: Path, tail: str, *command: str, program: str = "gatelodge", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """A command in a shell, with something behind it."""
    words = " ".join(f"'{word}'" for word in (str(SCRIPTS / program), *command))
    variables: Mapping[str, str] = {"HOME": str(home), "PATH": os.environ["PATH"], **environment}
    return subprocess.run(["/bin/bash", "-c", f"{words} {tail}"], capture_output=True, env=variables, timeout=30, check=False)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("tail", ["> /dev/full", ">&- 2>&-", "| true; exit ${PIPESTATUS[0]}"])
def test_an_output_that_cant_be_written_is_no_accident(tail: str, command: list[str], tmp_path: Path) -> None:
    done = ran(tmp_path, tail, *command)
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    assert done.returncode in ((0, 1, 2, outlet.UNWRITTEN) if "full" in tail else (0, 1, 2))


def test_a_full_disk_is_told_and_counts(tmp_path: Path) -> None:
    done = ran(tmp_path, "> /dev/full", "--help")
    assert done.returncode == outlet.UNWRITTEN
    assert done.stderr == b"gatelodge: No space left on device\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", SPOKEN, ids=" ".join)
def test_a_server_whose_words_cant_be_written_says_so_in_a_line(
    command: list[str], unbuffered: str, tmp_path: Path
) -> None:
    program = f"gatelodge-{command[0]}"
    full = ran(tmp_path, "> /dev/full", *command[1:], program=program, PYTHONUNBUFFERED=unbuffered)
    said = " ".join(word for word in (program, *command[1:]) if not word.startswith("-"))
    assert (full.returncode, full.stderr.decode()) == (outlet.UNWRITTEN, f"{said}: No space left on device\n")
    closed = ran(tmp_path, ">&-", *command[1:], program=program, PYTHONUNBUFFERED=unbuffered)
    assert (closed.returncode, closed.stderr) == (0, b"")


@pytest.mark.parametrize("command", ["doctor", "install", "audit", "keys", "link", "approve", "policy", "uninstall"])
def test_help_that_cant_be_written_is_told_also_without_a_buffer(command: str, tmp_path: Path) -> None:
    done = ran(tmp_path, "> /dev/full", command, "--help", PYTHONUNBUFFERED="1")
    assert done.returncode == outlet.UNWRITTEN
    assert done.stderr == f"gatelodge {command}: No space left on device\n".encode()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("host", ["cursor", "goose", "codex"])
def test_names_that_the_terminal_has_no_characters_for_are_shown_escaped(
    encoding: str, host: str, tmp_path: Path
) -> None:
    home = tmp_path / "h\u00e9 \u732b '"
    (home / "r\u00fc \u732b").mkdir(parents=True)
    path = home / {"cursor": ".cursor/mcp.json", "goose": ".config/goose/config.yaml", "codex": ".codex/config.toml"}[host]  # fmt: skip
    # What is somebody else's is shown as an ellipsis, which those encodings mostly lack too.
    path.parent.mkdir(parents=True)
    path.write_text({"cursor": '{"a": "b"}', "goose": "a: b\n", "codex": 'a = "b"\n'}[host])
    root = str(home / "r\u00fc \u732b")
    done = subprocess.run(
        [str(SCRIPTS / "gatelodge"), "install", host, "filesystem", "--root", root, "--no-check"],
        capture_output=True,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONIOENCODING": encoding},
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u732b" in done.stdout
    assert "r\u00fc \u732b" in path.read_text(encoding="utf-8") or "\\u732b" in path.read_text(encoding="utf-8")


def test_ctrl_c_is_told_with_the_status_that_shells_expect(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> int:
        raise KeyboardInterrupt

    assert outlet.run("gatelodge x", stopped) == 130
    assert capsys.readouterr().err == "\ngatelodge x: stopped\n"


@pytest.mark.parametrize("verb", ["verify", "show", "export", "report", "tail"])
def test_what_the_journal_couldnt_tell_on_a_full_disk_counts(verb: str, tmp_path: Path) -> None:
    closed_journal(tmp_path / "j", 3, JournalSettings(sync=False, reserve=0))
    out = ["--out", "-"] if verb == "report" else []
    done = ran(tmp_path, "> /dev/full", "audit", verb, "--directory", str(tmp_path / "j"), *out)
    assert (done.returncode, done.stderr) == (outlet.UNWRITTEN, b"gatelodge audit: No space left on device\n")


def test_a_verification_that_was_stopped_is_not_one_that_found_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "verify", stopped)
    assert main(["audit", "verify", "--directory", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "\ngatelodge audit: stopped\n"


def test_a_closed_standard_input_asks_nobody(tmp_path: Path) -> None:
    for command in (["approve", "--watch"], ["install", "claude-desktop", "github", "--no-check"], ["approve", "X"]):
        done = ran(tmp_path, "<&-", *command)
        assert b"Traceback" not in done.stderr
        assert done.returncode in (0, 1, 2)


@pytest.mark.parametrize("home", ["", "relative/home"])
def test_a_home_that_names_no_folder_is_the_one_of_the_user_database(home: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(SCRIPTS / "gatelodge"), "install", "cursor", "websearch", "--dry-run"],
        capture_output=True,
        env={"HOME": home, "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert f"{pwd.getpwuid(os.getuid()).pw_dir}/.cursor/mcp.json" in done.stdout.decode()
    assert not list(tmp_path.iterdir())
