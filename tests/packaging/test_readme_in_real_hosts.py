"""What the READMEs say to type or to write into a host's file, a real host understands as it is meant."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from links import entry, hosts
from products import PRODUCTS, Product

from tests.clients._driving_hosts import opencode_program
from tests.clients._hosts import REQUIRED, Client, absence, island

pytestmark = pytest.mark.clients
each = pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.key)


@pytest.fixture
def client(tmp_path: Path) -> Any:
    """A runner of real hosts, at home in an empty folder."""
    if reason := absence():
        (pytest.fail if REQUIRED else pytest.skip)(reason)
    with island() as isle:
        yield Client(tmp_path, isle)


def told(product: Product, host: str) -> str:
    """The block of code that the README has for a host."""
    readme = (product.folder / "README.md").read_text(encoding="utf-8")
    words = hosts(product)[host]
    assert words in readme
    (block,) = re.findall(r"^```\w+\n(.+?)\n```$", words, re.MULTILINE | re.DOTALL)
    return block


def expected(product: Product, secret: str) -> dict[str, Any]:
    return entry(product, lambda asked: secret if asked.variable else asked.example)


@each
def test_claude_code_takes_the_command_line(client: Client, product: Product) -> None:
    program, *arguments = shlex.split(told(product, "Claude Code"))
    assert program == "claude"
    ended = client.package("@anthropic-ai/claude-code", "cli-wrapper.cjs", *arguments)
    assert ended.status == 0, ended
    written = json.loads((client.home / ".claude.json").read_text(encoding="utf-8"))["mcpServers"][product.package]
    assert written == {
        "type": "stdio",
        **entry(product, lambda asked: f"${{{asked.variable}}}" if asked.variable else asked.example),
    }


@each
def test_codex_takes_the_table(client: Client, product: Product) -> None:
    config = client.home / ".codex" / "config.toml"
    config.parent.mkdir()
    config.write_text(told(product, "Codex"), encoding="utf-8")
    ended = client.package("@openai/codex", "bin/codex.js", "mcp", "list", "--json")
    assert ended.status == 0, ended
    (listed,) = json.loads(ended.out)
    wanted = expected(product, "")
    assert listed["name"] == product.package
    assert (listed["transport"]["command"], listed["transport"]["args"]) == (wanted["command"], wanted["args"])
    assert listed["transport"]["env_vars"] == list(wanted["env"])
    assert not listed["transport"]["env"], "no value of a secret stands in the file"


@each
def test_opencode_takes_the_entry(client: Client, product: Product) -> None:
    config = client.home / ".config" / "opencode" / "opencode.json"
    config.parent.mkdir(parents=True)
    config.write_text(told(product, "opencode"), encoding="utf-8")
    client.environment |= {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"}
    ended = client.run([opencode_program(), "debug", "config", "--pure"])
    assert ended.status == 0, ended
    wanted = entry(product, lambda asked: asked.example)
    taken = json.loads(ended.out)["mcp"][product.package]
    assert (taken["type"], taken["enabled"]) == ("local", True)
    assert taken["command"] == [wanted["command"], *wanted["args"]]
    # Names alone: it masks what it takes for a secret.
    assert list(taken["environment"]) == list(wanted["env"])
