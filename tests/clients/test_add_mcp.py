"""`gatelodge install` and add-mcp, an installer by others, write the same thing for the hosts that both know."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.cli.__main__ import main
from gatelodge_core.cli.hosts import HOSTS, Entry, Machine, entries
from gatelodge_core.cli.hosts.apply import installed, uninstalled
from gatelodge_core.cli.hosts.made import Made
from gatelodge_core.cli.hosts.shapes import Wanted
from gatelodge_core.cli.hosts.table import files, target

from tests.clients._hosts import Client

pytestmark = pytest.mark.clients

AGENTS = {
    "claude-desktop": "claude-desktop", "claude-code": "claude-code", "cursor": "cursor", "vscode": "vscode",
    "codex": "codex", "gemini": "gemini-cli", "zed": "zed", "devin": "windsurf", "goose": "goose",
    "opencode": "opencode", "copilot-cli": "github-copilot-cli",
}  # fmt: skip
ARGS = ("gatelodge-filesystem", "/a", "--read-only")
OURS: dict[str, dict[str, Any]] = {
    # What hosts take for granted if it is missing, and their own commands write.
    "claude-code": {"type": "stdio"},
    "vscode": {"type": "stdio"},
    "goose": {"env_keys": []},
}


@pytest.fixture
def theirs(client: Client) -> Path:
    """A home in which add-mcp has added a server to every host that both know."""
    chosen = [part for agent in AGENTS.values() for part in ("-a", agent)]
    ended = client.package("add-mcp", "dist/index.js", f"uvx {' '.join(ARGS)}", *chosen, "-g", "-y", "-n", "fs")
    assert ended.status == 0, ended
    return client.home


def machine(home: Path) -> Machine:
    return Machine(str(home), "linux", {})


def meaning(entry: Entry) -> tuple[object, ...]:
    return entry.key, entry.command, entry.args, dict(entry.env), entry.passed, entry.cwd, entry.url, entry.enabled


def test_every_host_means_the_same_by_both(theirs: Path, tmp_path: Path) -> None:
    assert set(AGENTS) == set(HOSTS)
    for name, host in HOSTS.items():
        (their,) = entries(host, machine(theirs)).entries
        assert their.file in [file.path for file in files(host, machine(theirs))]
        mine = tmp_path / name
        path = Path(target(host, machine(mine)).path)
        path.parent.mkdir(parents=True)
        path.write_text(installed(host, "", Wanted("fs", "uvx", ARGS), Made()), encoding="utf-8")
        (our,) = entries(host, machine(mine)).entries
        assert meaning(our) == meaning(their), name
        # And every key is the same, but for those that are named here.
        assert dict(our.raw) == {**their.raw, **OURS.get(name, {})}, name
        assert {key: value for key, value in their.raw.items() if our.raw.get(key) != value} == {}, name


def test_what_add_mcp_wrote_is_changed_in_place_and_taken_out(theirs: Path) -> None:
    for name, host in HOSTS.items():
        place = Path(target(host, machine(theirs)).path)
        before = place.read_text(encoding="utf-8")
        made = Made()
        longer = installed(host, before, Wanted("gatelodge-github", "/abs/gatelodge-github", ()), made)
        assert uninstalled(host, longer, "gatelodge-github", made) == before, name
        changed = installed(host, before, Wanted("fs", "uvx", (*ARGS, "--x")), Made())
        place.write_text(changed, encoding="utf-8")
        assert entries(host, machine(theirs)).entries[0].args == (*ARGS, "--x"), name


def test_what_we_wrote_survives_add_mcp(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    root = client.home / "notes"
    root.mkdir()
    for name in AGENTS:
        assert main(["install", name, "filesystem", "--root", str(root), "--home", str(client.home), "--no-check"]) == 0
    ended = client.package(
        "add-mcp", "dist/index.js", "uvx other", "-a", "cursor", "-a", "codex", "-a", "goose", "-g", "-y", "-n", "o"
    )
    assert ended.status == 0, ended
    for name in ("cursor", "codex", "goose"):
        found = {entry.key: entry for entry in entries(HOSTS[name], machine(client.home)).entries}
        assert found["gatelodge-filesystem"].args == (str(root),)
        assert found["o"].command == "uvx"
        assert main(["uninstall", name, "--home", str(client.home)]) == 0
        assert [entry.key for entry in entries(HOSTS[name], machine(client.home)).entries] == ["o"]
    capsys.readouterr()


def test_claude_code_connects_to_what_install_wrote(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    root = client.home / "notes"
    root.mkdir()
    (client.home / ".claude.json").write_text('{"numStartups": 1}', encoding="utf-8")
    assert (
        main(["install", "claude-code", "filesystem", "--root", str(root), "--home", str(client.home), "--no-check"])
        == 0
    )
    ended = client.package("@anthropic-ai/claude-code", "cli-wrapper.cjs", "mcp", "list")
    (line,) = [line for line in ended.out.splitlines() if line.startswith("gatelodge-filesystem:")]
    assert line.endswith("Connected"), ended
    # It has written to its file meanwhile; taking ours out leaves what it wrote.
    assert main(["uninstall", "claude-code", "--home", str(client.home)]) == 0
    table = json.loads((client.home / ".claude.json").read_text(encoding="utf-8"))
    assert table["numStartups"] >= 1
    assert not table.get("mcpServers")
    capsys.readouterr()


def test_the_console_script_is_the_one_beside_this_python() -> None:
    assert shutil.which("gatelodge-filesystem", path=str(Path(sys.executable).parent))
