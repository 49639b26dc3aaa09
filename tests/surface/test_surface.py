"""The exact wire form of every tool, kept as canonical JSON: a change to what models see is seen in the diff.

``GATELODGE_UPDATE_SURFACE=1 pytest tests/surface`` writes the files anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from gatelodge_core.declare import Declarations
from gatelodge_filesystem.server import build, declarations
from gatelodge_filesystem.settings import FilesystemSettings
from gatelodge_github.credentials import NoCredential
from gatelodge_github.server import build as build_github
from gatelodge_github.server import declarations as declare_github
from gatelodge_github.settings import GithubSettings
from gatelodge_postgres.server import build as build_postgres
from gatelodge_postgres.server import declarations as declare_postgres
from gatelodge_postgres.settings import PostgresSettings
from gatelodge_websearch.server import build as build_websearch
from gatelodge_websearch.server import declarations as declare_websearch
from gatelodge_websearch.settings import WebsearchSettings
from mcp import Client
from mcp.server.mcpserver import MCPServer

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
UPDATE = os.environ.get("GATELODGE_UPDATE_SURFACE") == "1"

TOKENS = {
    "filesystem": 4500,
    "github": 3600,
    "github default": 3000,
    "postgres": 6000,
    "postgres core": 2000,
    "websearch": 1800,
}
"""The most that a server's tools/list may cost, in tokens of about four characters."""
HINTS = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
"""What a client assumes where a tool doesn't say (specification, ToolAnnotations)."""
BRIEF = ("github",)
"""Servers whose list leaves out what a client may take for granted."""
PARTS = ("github default", "postgres core")
"""Lists whose tools are in another list too."""


ALL_OF_POSTGRES: dict[str, Any] = {
    "databases": {"one": {"url": "postgresql://127.0.0.1:1/one"}, "two": {"url": "postgresql://127.0.0.1:1/two"}},
    "allow_write": True,
    "allow_admin": True,
}
"""Every tool, each with its argument for several databases."""
ALL_OF_GITHUB: dict[str, Any] = {"toolsets": "all"}
CORE_OF_POSTGRES: dict[str, Any] = {"url": "postgresql://127.0.0.1:1/one", "tools": ["core"]}


def surface(base: Path) -> dict[str, list[dict[str, Any]]]:
    """What each server lists, by the SDK's own client."""
    (base / "root").mkdir()
    filesystem = build(FilesystemSettings(roots=[str(base / "root")], state_dir=str(base / "state")))
    websearch = build_websearch(WebsearchSettings(state_dir=str(base / "state")))
    postgres = [
        build_postgres(PostgresSettings.model_validate({"state_dir": str(base / "state"), **given}))
        for given in (ALL_OF_POSTGRES, CORE_OF_POSTGRES)
    ]

    github = [
        build_github(GithubSettings.model_validate({"state_dir": str(base / "state"), **given}), NoCredential())
        for given in (ALL_OF_GITHUB, {})
    ]

    async def listed(mcp: MCPServer[Any]) -> list[dict[str, Any]]:
        async with Client(mcp, cache=None) as client:
            found = await client.list_tools()
            return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in found.tools]

    found = {
        "filesystem": anyio.run(listed, filesystem.mcp),
        "github": anyio.run(listed, github[0].mcp),
        "github default": anyio.run(listed, github[1].mcp),
        "postgres": anyio.run(listed, postgres[0].mcp),
        "postgres core": anyio.run(listed, postgres[1].mcp),
        "websearch": anyio.run(listed, websearch.mcp),
    }
    for lodge in github:
        lodge.domain.close()
    filesystem.domain.close()
    websearch.domain.close()
    return found


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    return surface(tmp_path_factory.mktemp("surface"))


def test_every_tool_looks_as_it_was_agreed(listed: dict[str, list[dict[str, Any]]]) -> None:
    for server, tools in listed.items():
        if server in PARTS:
            continue  # kept already
        folder = HERE / server
        folder.mkdir(exist_ok=True)
        expected = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
        found = {tool["name"]: json.dumps(tool, indent=2, sort_keys=True, ensure_ascii=False) + "\n" for tool in tools}
        if UPDATE:
            for name in expected.keys() - found.keys():
                (folder / f"{name}.json").unlink()
            for name, text in found.items():
                (folder / f"{name}.json").write_text(text, encoding="utf-8")
            continue
        assert found == expected, "changed? GATELODGE_UPDATE_SURFACE=1 pytest tests/surface, and look at the diff"


def test_the_lists_are_small(listed: dict[str, list[dict[str, Any]]]) -> None:
    for server, tools in listed.items():
        assert len(json.dumps(tools, separators=(",", ":"))) / 4 <= TOKENS[server]


def walk(value: Any, path: str = "") -> list[str]:
    """What is wrong with a schema for hosts that accept little."""
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [problem for number, item in enumerate(items) for problem in walk(item, f"{path}[{number}]")]
    if not isinstance(value, dict):
        return []
    schema = cast("dict[str, Any]", value)
    problems = [f"{path}: {word}" for word in ("$ref", "$defs", "anyOf", "oneOf", "allOf", "not") if word in schema]
    if isinstance(schema.get("type"), list):
        problems.append(f"{path}: several types")
    return problems + [problem for key, item in schema.items() for problem in walk(item, f"{path}.{key}")]


def test_every_tool_keeps_the_rules_that_all_tools_keep(listed: dict[str, list[dict[str, Any]]]) -> None:
    names: set[str] = set()
    offered: dict[str, Declarations[Any]] = {
        "filesystem": declarations(FilesystemSettings(roots=["/x"])),
        "github": declare_github(GithubSettings.model_validate(ALL_OF_GITHUB)),
        "postgres": declare_postgres(PostgresSettings.model_validate(ALL_OF_POSTGRES)),
        "websearch": declare_websearch(WebsearchSettings()),
    }
    for server, tools in listed.items():
        if server not in offered:
            continue
        for tool in tools:
            name = tool["name"]
            assert name not in names
            names.add(name)
            assert len(name) <= 30
            assert name.islower()
            assert "_" in name, f"{name} is verb_noun"
            assert 20 <= len(tool["description"]) <= 200, name
            assert tool["title"]
            hints = offered[server].tools[name].nature.hints
            said = HINTS | tool["annotations"]
            assert (said["readOnlyHint"], said["openWorldHint"]) == (hints.read_only, hints.open_world)
            # Of what only reads, the others say nothing (specification, ToolAnnotations).
            assert hints.read_only or (said["destructiveHint"], said["idempotentHint"]) == (
                hints.destructive,
                hints.idempotent,
            )
            assert walk(tool["inputSchema"]) + walk(tool.get("outputSchema", {})) == [], name
            if server not in BRIEF:
                assert tool["annotations"].keys() == HINTS.keys()
                assert tool["inputSchema"]["additionalProperties"] is False
            scope = offered[server].tools[name].nature.scope(server)
            assert scope in {f"{server}:read", f"{server}:write", f"{server}:destroy"}


def test_bulk_has_no_output_schema_and_records_have_one(listed: dict[str, list[dict[str, Any]]]) -> None:
    with_schema = {tool["name"] for tool in listed["filesystem"] if "outputSchema" in tool}
    assert with_schema == {"list_roots", "list_directory", "get_file_info", "find_files", "wait_for_changes"}
    # Records and lists of GitHub are text and structure from one table each; schemas of those would cost half of the list.
    assert not [tool["name"] for tool in listed["github"] if "outputSchema" in tool]
    with_schema = {tool["name"] for tool in listed["websearch"] if "outputSchema" in tool}
    assert with_schema == {"search_web", "list_links", "search_local"}


def test_the_generated_documentation_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/generate_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
