"""What a person types is completed by their shell: run by the shells themselves, where they are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from gatelodge_core.cli.__main__ import COMMANDS, main
from gatelodge_core.cli.completion import SHELLS, words
from gatelodge_core.cli.hosts import HOSTS

BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_gatelodge
printf '%s\\n' "${COMPREPLY[@]}"
"""
# The parts of zsh's own system that print are put in by hand: without a terminal it has none.
ZSH = """
compdef() { }
source "$1"; shift
_describe() { local -a found; found=("${(@P)2}"); print -rl -- "${(@)found%%:*}" }
compadd() { print -rl -- "${@:2}" }
_files() { print FILES }
words=("$@"); CURRENT=$#
_gatelodge
"""
FISH = 'source $argv[1]; complete -C "$argv[2]"'


def completed(shell: str, script: Path, *typed: str) -> set[str]:
    """What the shell offers for the last word."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell}")
    if shell == "fish":
        command = [program, "--no-config", "-c", FISH, str(script), " ".join(typed)]
    else:
        options = ["-f"] if shell == "zsh" else ["--norc"]
        command = [program, *options, "-c", BASH if shell == "bash" else ZSH, shell, str(script), *typed]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=script.parent)
    assert done.stderr == "", done.stderr
    found = {line.split("\t")[0] for line in done.stdout.splitlines() if line}
    # bash and fish leave out what doesn't begin as typed; zsh's own system would, too.
    return {word for word in found if word.startswith(typed[-1]) or word == "FILES"}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def script(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["--completion", shell]) == 0
    path = tmp_path / "script"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    return path


def test_commands_hosts_servers_and_options_are_offered(shell: str, script: Path) -> None:
    assert set(COMMANDS) <= completed(shell, script, "gatelodge", "")
    assert completed(shell, script, "gatelodge", "uni") == {"uninstall"}
    assert {"claude-desktop", "claude-code"} == completed(shell, script, "gatelodge", "install", "cl")
    assert completed(shell, script, "gatelodge", "install", "cursor", "fi") == {"filesystem"}
    assert completed(shell, script, "gatelodge", "install", "cursor", "--dry") == {"--dry-run"}
    assert completed(shell, script, "gatelodge", "--completion", "z") == {"zsh"}


def test_subcommands_and_the_values_of_options_are_offered(shell: str, script: Path) -> None:
    assert {"add", "list", "rotate", "revoke"} <= completed(shell, script, "gatelodge", "keys", "")
    assert completed(shell, script, "gatelodge", "keys", "add", "--sco") == {"--scope"}
    assert "deny" in completed(shell, script, "gatelodge", "audit", "show", "--decision", "d")
    assert completed(shell, script, "gatelodge", "doctor", "--host", "cu") == {"cursor"}
    # A word that names a command elsewhere is none here.
    assert completed(shell, script, "gatelodge", "install", "keys", "--dry") == {"--dry-run"}


def test_files_are_offered_where_a_file_is_wanted(shell: str, script: Path) -> None:
    found = completed(shell, script, "gatelodge", "keys", "list", "--keys-file", "no")
    assert found in ({"notes.txt"}, {"FILES"})
    (script.parent / "my notes").mkdir()
    found = completed(shell, script, "gatelodge", "install", "cursor", "--root", "my")
    assert found in ({"my notes"}, {"my notes/"}, {"FILES"})


def test_every_command_tells_its_words() -> None:
    table = words(COMMANDS)
    assert set(COMMANDS) <= set(table)
    for path, item in table.items():
        assert "--help" in item.options, path
    assert set(HOSTS) <= set(table["install"].arguments)


def test_an_unknown_shell_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion", "powershell"]) == 2
    assert "bash, zsh, fish" in capsys.readouterr().err


def test_no_sdk_is_imported_for_it() -> None:
    code = "import sys; from gatelodge_core.cli.__main__ import main; main(['--completion', 'bash']); sys.exit('mcp.server' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 0
