"""Desktop bundles: validated, packed and unpacked by the official tool, then started as Claude Desktop starts them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from manifests import write_bundle
from products import PRODUCTS, Product, version

from tests.clients._hosts import PACKAGES, REQUIRED, absence
from tests.clients.install import find_node
from tests.packaging.test_wheels import DEADLINE, dist, environment, outside_the_checkout
from tests.support.wire import MODERN, connected

Json = dict[str, Any]
__all__ = ["dist"]  # the fixture is taken over
pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(DEADLINE)]
each = pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.key)


@pytest.fixture(scope="module", autouse=True)
def tool() -> None:
    """Goes no further without the official tool."""
    if reason := absence():
        (pytest.fail if REQUIRED else pytest.skip)(reason)


def mcpb(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(find_node().binary), str(PACKAGES / "node_modules/@anthropic-ai/mcpb/dist/cli/cli.js")]
    return subprocess.run(
        [*command, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def packed(product: Product, folder: Path) -> Path:
    """The bundle, packed and unpacked again: what a host has on its disk."""
    write_bundle(product, folder / "in")
    done = mcpb("pack", folder / "in", folder / "out.mcpb")
    assert done.returncode == 0, done.stdout + done.stderr
    done = mcpb("unpack", folder / "out.mcpb", folder / "unpacked")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "unpacked"


def filled(manifest: Json, folder: Path, given: dict[str, list[str]]) -> tuple[list[str], dict[str, str]]:
    """The command and environment that a host makes of a manifest, as the manifest's specification says.

    A placeholder alone becomes as many arguments as there are values; one without a value stays as it is written.
    """

    def values(text: str) -> list[str]:
        found = re.fullmatch(r"\$\{user_config\.(\w+)\}", text)
        return given.get(found[1], [text]) if found else [text.replace("${__dirname}", str(folder))]

    run = manifest["server"]["mcp_config"]
    arguments = [value for text in run["args"] for value in values(text)]
    return [run["command"], *arguments], {name: values(text)[0] for name, text in run["env"].items()}


@each
def test_the_manifest_is_valid(product: Product) -> None:
    done = mcpb("validate", product.folder / "manifest.json")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tool_would_find_a_fault(tmp_path: Path) -> None:
    manifest = json.loads((PRODUCTS[0].folder / "manifest.json").read_text(encoding="utf-8"))
    del manifest["server"]["entry_point"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert mcpb("validate", tmp_path / "manifest.json").returncode != 0


@each
def test_the_bundle_pins_the_version_it_has(product: Product, tmp_path: Path) -> None:
    folder = packed(product, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["version"] == version()
    assert f'"{product.package}=={version()}"' in (folder / "pyproject.toml").read_text(encoding="utf-8")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "LICENSE", "manifest.json", "pyproject.toml", "src/server.py",
    ]  # fmt: skip


@each
def test_the_host_starts_it_and_it_answers(product: Product, dist: Path, tmp_path: Path) -> None:
    folder = packed(product, tmp_path)
    served = tmp_path / "served folder"
    served.mkdir()
    (served / "notes.txt").write_text("the needle is here\n", encoding="utf-8")
    given = {"roots": [str(served), f"{tmp_path}:ro"], "url": ["postgresql://nobody@127.0.0.1:1/none"], "repo": ["a/b"]}
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    command, variables = filled(manifest, folder, given)
    # The wheels are ours and unpublished; the rest comes as it would on the person's machine.
    ours = {"UV_FIND_LINKS": str(dist), "UV_NO_SYNC": "false", **outside_the_checkout()}
    state = {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": environment()["HOME"]}
    ready = subprocess.run(
        ["uv", "sync", "--quiet", "--directory", str(folder)], env={**environment(), **ours},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert ready.returncode == 0, ready.stderr
    with connected(command, "stdio", MODERN, env={**ours, **state, **variables}) as wire:
        tools = {tool["name"] for tool in wire.request("tools/list")["result"]["tools"]}
        assert tools == {tool["name"] for tool in manifest["tools"]}
        if product.key == "filesystem":
            assert [root["mode"] for root in wire.record("list_roots")["roots"]] == ["rw", "ro"]
            assert "the needle is here" in wire.text("read_file", path=str(served / "notes.txt"))
        elif product.key == "postgres":
            assert wire.error("list_objects").startswith("unreachable:")
        elif product.key == "github":
            prompt = wire.request("prompts/get", {"name": "triage_issue", "arguments": {"number": "12"}})
            assert "a/b" in json.dumps(prompt["result"])
        else:
            assert "duckduckgo: ready" in wire.text("show_engines")
