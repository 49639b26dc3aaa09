"""Claude Code, a host in daily use, connects to the server as it was added by hand."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.clients._hosts import Client, Ended, Island

pytestmark = pytest.mark.clients


def claude(client: Client, *arguments: str) -> Ended:
    # The package's own launcher for installations whose scripts didn't run, as ours.
    ended = client.package("@anthropic-ai/claude-code", "cli-wrapper.cjs", *arguments)
    assert ended.status == 0, ended
    return ended


def states(ended: Ended) -> dict[str, str]:
    """What ``claude mcp list`` says of each server."""
    return dict(re.findall(r"^(\w+): .* - (.+)$", ended.out, re.MULTILINE))


def test_it_connects_over_stdio_and_http_and_says_so(
    client: Client, command: list[str], url: str, tmp_path: Path
) -> None:
    broken = tmp_path / "no-server.py"
    broken.write_text("raise SystemExit(3)\n", encoding="utf-8")
    claude(client, "mcp", "add", "--scope", "user", "files", "--", *command)
    claude(client, "mcp", "add", "--scope", "user", "--transport", "http", "remote", url)
    # The control: a word that were said of any server would prove nothing.
    claude(client, "mcp", "add", "--scope", "user", "broken", "--", sys.executable, str(broken))
    found = states(claude(client, "mcp", "list"))
    assert found.keys() == {"files", "remote", "broken"}
    assert found["files"].endswith(" Connected"), found
    assert found["remote"].endswith(" Connected"), found
    assert not found["broken"].endswith(" Connected"), found


def test_what_it_was_told_is_in_its_own_home_alone(client: Client, command: list[str]) -> None:
    claude(client, "mcp", "add", "--scope", "user", "files", "--", *command)
    config = (client.home / ".claude.json").read_text(encoding="utf-8")
    assert command[-1] in config


def test_where_clients_run_there_is_no_way_out(client: Client, isle: Island) -> None:
    if not isle.isolated:
        pytest.skip("this system can't make a network namespace")
    looked = client.run([sys.executable, "-I", "-c", "print(open('/proc/net/dev', encoding='ascii').read())"])
    assert re.findall(r"^ *(\w+):", looked.out, re.MULTILINE) == ["lo"]
