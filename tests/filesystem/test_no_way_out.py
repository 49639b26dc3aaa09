"""Every tool, prompt, resource and completion is tried on what is never opened, with every argument that widens.

What the server offers is asked of the server: a tool, prompt or template that is not in the tables here fails a test, and a
new switch or choice of a known tool is tried without being named.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import secrets
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.sandbox.credentials import is_credential
from gatelodge_filesystem.settings import OPTIONAL_TOOLS

from tests.support.wire import MODERN, StdioWire, Wire, connected, python_module

Arguments = dict[str, Any]
STALE = "0000000000000000-1"
CANARY = "canary-of-"
"""What every secret begins with; only the random rest of it tells."""
SHUT = (
    ".env", "deep/.env.local", "server.key", "deep/tls.pem", "ignored/server.key", ".ssh/config", "own/state/other.txt",
    "own/policy.toml",
)  # fmt: skip
TARGETS = (
    "", "deep", ".env", "deep/.env.local", "server.key", ".ssh", ".ssh/config", "own", "own/state", "own/state/other.txt",
    "own/policy.toml", "innocent.txt", "folder/config", "way/other.txt", "deep/../.env", "{home}/.env",
    "file://{home}/server.key",
)  # fmt: skip


class World:
    """A server, what it must not show, and how one tells that it did."""

    def __init__(self, wire: Wire, home: Path) -> None:
        self.wire, self.home = wire, home
        self.free = secrets.token_hex(8)
        self.contents = {name: f"{CANARY}{secrets.token_hex(8)}\n".encode() for name in SHUT[:-1]}
        self.named = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self.furnish()
        self.contents["own/policy.toml"] = (home / "own" / "policy.toml").read_bytes()
        found = [content.decode().split(CANARY)[1][:16] for content in self.contents.values()]
        self.needles = {
            self.named,
            *found,
            *(form for text in found for form in in_base64(text.encode())),
            # An etag would tell whether a guess is right.
            *(hashlib.sha256(content).hexdigest()[:16] for content in self.contents.values()),
        }

    def furnish(self) -> None:
        """Everything as it was at first; the policy and the state are the server's."""
        for name, content in self.contents.items():
            if not name.startswith("own/"):
                write(self.home / name, content)
        write(self.home / "own" / "state" / "other.txt", self.contents["own/state/other.txt"])
        write(self.home / ".ssh" / f"{self.named}.txt", b"x\n")
        write(self.home / ".gitignore", b"ignored/\n")
        write(self.home / "open.txt", f"{CANARY}{self.free}\n".encode())
        write(self.home / "deep" / "open.txt", b"one\ntwo\n")
        for name, target in (("innocent.txt", ".env"), ("folder", ".ssh"), ("way", "own/state")):
            if not (self.home / name).is_symlink():
                (self.home / name).symlink_to(target)

    def new(self) -> str:
        """A name that was not used yet."""
        return f"out-{next(self._numbers)}"

    def told(self, answer: object) -> set[str]:
        """Which of what must not leave is in an answer."""
        text = json.dumps(answer, ensure_ascii=False)
        return {needle for needle in self.needles if needle in text}

    def descriptors(self) -> int:
        """How many the server has open; 0 where the system doesn't tell."""
        assert isinstance(self.wire, StdioWire)
        opened = Path(f"/proc/{self.wire.server.process.pid}/fd")
        return len(list(opened.iterdir())) if opened.is_dir() else 0

    def changes(self) -> list[str]:
        """The ids of the latest changes."""
        lines = self.wire.text("list_changes", limit=500).splitlines()[1:]
        return [line.split(" ")[0] for line in lines]

    def spilled(self) -> Iterator[str]:
        """Files that may be opened, and hold what must not leave."""
        for folder, _, files in os.walk(self.home):
            for name in files:
                path = Path(folder, name)
                rel = str(path.relative_to(self.home))
                if path.is_symlink() or rel.startswith(("own/state/", "own/policy.toml")) or is_credential(rel):
                    continue
                parts = [path.read_bytes()]
                if zipfile.is_zipfile(path):
                    with zipfile.ZipFile(path) as archive:
                        parts += [archive.read(item) for item in archive.infolist() if not is_credential(item.filename)]
                if any(self.told(part.decode("latin-1")) for part in parts):
                    yield rel


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)


def in_base64(text: bytes) -> Iterator[str]:
    """What of a text is in every base64 of it, wherever in a group of three bytes it begins."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + text).decode()
        yield encoded[4:20]


@dataclass(frozen=True, slots=True)
class Probe:
    """How a tool is tried.

    Args:
        cases: Its arguments, for a path.
        shows: Whether it shows the text of an ordinary file: the proof that it was asked rightly.
    """

    cases: Callable[[World, str], Sequence[Arguments]]
    shows: bool = False


def patch(path: str, line: str) -> str:
    return f"--- a/{path}\n+++ b/{path}\n@@ -1,1 +1,1 @@\n-{line}\n+new\n"


def edits(path: str) -> list[Arguments]:
    return [
        {"path": path, "edits": [{"old": CANARY, "new": f"{CANARY}x"}], "dry_run": True},
        {"path": path, "edits": [{"old": CANARY, "new": "x", "expected_count": 7}]},
        {"path": path, "edits": [{"old": "canary-off-", "new": "x"}], "if_match": STALE},
        {"path": path, "edits": [{"old": "canary", "new": "x", "start_line": 1}]},
    ]


OWN: dict[str, Probe] = {
    "list_roots": Probe(lambda w, p: [{}]),
    "read_file": Probe(
        lambda w, p: [{"path": p}, {"path": p, "start_line": -1}, {"path": p, "skip_characters": 3}], shows=True
    ),
    "read_files": Probe(lambda w, p: [{"paths": [p, "open.txt"]}], shows=True),
    "read_media": Probe(lambda w, p: [{"path": p}]),
    "list_directory": Probe(lambda w, p: [{"path": p, "depth": 20}]),
    "get_file_info": Probe(lambda w, p: [{"paths": [p]}]),
    "diff_files": Probe(
        lambda w, p: [{"old": p, "new": "deep/open.txt"}, {"old": "deep/open.txt", "new": p}, {"old": p, "new": p}],
        shows=True,
    ),
    "find_files": Probe(lambda w, p: [{"path": p}, {"path": p, "globs": ["**/*"]}]),
    "search_text": Probe(
        lambda w, p: [{"path": p, "pattern": CANARY}, {"path": p, "pattern": ".*", "regex": True, "context": 10}], shows=True
    ),
    "replace_in_files": Probe(
        lambda w, p: [
            {"path": p, "pattern": "canary.of.", "replacement": r"x\g<0>", "regex": True},
            {"path": p, "pattern": CANARY, "replacement": CANARY, "expected_count": 999},
        ],
        shows=True,
    ),
    "wait_for_changes": Probe(lambda w, p: [{"paths": [p], "timeout": 0}]),
    "write_file": Probe(
        lambda w, p: [
            {"path": p, "content": "x"},
            {"path": p, "content": "x", "mode": "append", "dry_run": True},
            {"path": p, "content": "x", "mode": "overwrite", "if_match": STALE},
        ]
    ),
    "edit_file": Probe(lambda w, p: edits(p), shows=True),
    "create_directory": Probe(lambda w, p: [{"path": f"{p}/{w.new()}"}]),
    "move_path": Probe(
        lambda w, p: [
            {"source": p, "destination": w.new()},
            {"source": p, "destination": w.new(), "if_match": STALE},
            {"source": "deep/open.txt", "destination": p, "if_match": STALE},
        ]
    ),
    "copy_path": Probe(
        lambda w, p: [{"source": p, "destination": w.new()}, {"source": "open.txt", "destination": p, "if_match": STALE}]
    ),
    "delete_path": Probe(lambda w, p: [{"paths": [p]}, {"paths": [p], "if_match": STALE}]),
    "list_changes": Probe(lambda w, p: [{"path": p}]),
    "undo_change": Probe(lambda w, p: [{"change": change} for change in w.changes()[:2]]),
    "list_archive": Probe(lambda w, p: [{"path": p}]),
    "create_archive": Probe(lambda w, p: [{"folder": p, "path": f"{w.new()}.zip"}]),
    "extract_archive": Probe(lambda w, p: [{"path": p, "folder": w.new()}]),
    "apply_patch": Probe(
        lambda w, p: [{"patch": patch(p, CANARY)}, {"patch": patch(p, ""), "path": ""}, {"patch": patch("config", "x"), "path": p}]
    ),
}  # fmt: skip

REFERENCE: dict[str, Probe] = {
    "read_text_file": Probe(lambda w, p: [{"path": p}, {"path": p, "tail": 1}], shows=True),
    "read_file": Probe(lambda w, p: [{"path": p}, {"path": p, "head": 1}], shows=True),
    "read_media_file": Probe(lambda w, p: [{"path": p}]),
    "read_multiple_files": Probe(lambda w, p: [{"paths": [p, "deep/open.txt"]}], shows=True),
    "write_file": Probe(lambda w, p: [{"path": f"{p}/new.txt", "content": "x"}]),
    "edit_file": Probe(
        lambda w, p: [
            {"path": p, "edits": [{"oldText": old, "newText": f"{CANARY}x"}], "dryRun": True}
            for old in (CANARY, "canaries")
        ],
        shows=True,
    ),
    "create_directory": Probe(lambda w, p: [{"path": f"{p}/{w.new()}"}]),
    "list_directory": Probe(lambda w, p: [{"path": p}]),
    "list_directory_with_sizes": Probe(lambda w, p: [{"path": p}]),
    "directory_tree": Probe(lambda w, p: [{"path": p}]),
    "move_file": Probe(lambda w, p: [{"source": p, "destination": w.new()}]),
    "search_files": Probe(lambda w, p: [{"path": p, "pattern": "**"}]),
    "get_file_info": Probe(lambda w, p: [{"path": p}]),
    "list_allowed_directories": Probe(lambda w, p: [{}]),
}

PROMPTS = {"explain_folder", "find_in_project", "review_changes", "safe_rename", "tidy_folder"}
TEMPLATES: dict[str, Callable[[World, str], list[str]]] = {
    "fs://{root}/{+path}": lambda w, p: [f"fs://home/{p}"],
    "file:///{+path}": lambda w, p: [p if p.startswith("file:") else f"file://{w.home}/{p}"],
    "fs-journal://{change}": lambda w, p: [f"fs-journal://{change}" for change in (*w.changes(), p or "x")],
}


def started(base: Path, *arguments: str) -> Generator[World]:
    home = base / "home"
    (home / "own").mkdir(parents=True)
    policy = home / "own" / "policy.toml"
    policy.write_text(f'# {CANARY}{secrets.token_hex(8)}\n[[rule]]\ntool = "*"\nthen = "allow"\n', encoding="utf-8")
    places = ["--state-dir", str(home / "own" / "state"), "--policy", str(policy)]
    with connected(python_module("gatelodge_filesystem", str(home), *places, *arguments), "stdio", MODERN) as wire:
        yield World(wire, home)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    """Our tools, all of them."""
    optional = [part for group in OPTIONAL_TOOLS for part in ("--tools", group)]
    yield from started(tmp_path_factory.mktemp("own"), *optional)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    """The reference server's names."""
    yield from started(tmp_path_factory.mktemp("reference"), "--compat", "reference")


def schemas(world: World) -> dict[str, Any]:
    return {tool["name"]: tool["inputSchema"] for tool in world.wire.request("tools/list")["result"]["tools"]}


def widened(schema: Any, given: Arguments) -> Iterator[Arguments]:
    """A call as it is and as wide as can be, and that with each switch and choice of the tool in turn."""
    properties: dict[str, Any] = schema["properties"]
    wide = {name: value for name, value in (("hidden", True), ("gitignore", False)) if name in properties}
    wide |= given
    yield given
    yield wide
    choices = {name: item["enum"] for name, item in properties.items() if "enum" in item}
    choices |= {name: [True, False] for name, item in properties.items() if item.get("type") == "boolean"}
    for name, values in choices.items():
        for value in values:
            if wide.get(name, properties[name].get("default")) != value:
                yield {**wide, name: value}


def attacked(world: World, tool: str, probe: Probe) -> None:
    schema = schemas(world)[tool]
    held = world.descriptors()
    before = {name: (world.home / name).read_bytes() for name in SHUT if name.startswith("own/")}
    for target in TARGETS:
        path = target.format(home=world.home)
        for given in probe.cases(world, path):
            for arguments in widened(schema, given):
                answer = world.wire.request("tools/call", {"name": tool, "arguments": arguments})
                assert not world.told(answer), (arguments, answer)
                world.furnish()
    assert {name: (world.home / name).read_bytes() for name in before} == before
    assert list(world.spilled()) == []
    # One lost per call would be dozens; threads and watches keep some.
    assert world.descriptors() < held + 12
    answers = [
        world.wire.request("tools/call", {"name": tool, "arguments": arguments})
        for given in probe.cases(world, "open.txt")
        for arguments in widened(schema, given)
    ]
    if probe.shows:
        world.furnish()
        folders = [
            world.wire.request("tools/call", {"name": tool, "arguments": given}) for given in probe.cases(world, "")
        ]
        assert world.free in json.dumps([answers, folders])
    world.furnish()


@pytest.mark.parametrize("tool", sorted(OWN))
def test_no_tool_of_ours_gives_it_away(own: World, tool: str) -> None:
    attacked(own, tool, OWN[tool])


@pytest.mark.parametrize("tool", sorted(REFERENCE))
def test_no_tool_of_the_reference_gives_it_away(reference: World, tool: str) -> None:
    attacked(reference, tool, REFERENCE[tool])


def test_every_tool_prompt_and_template_is_tried_here(own: World, reference: World) -> None:
    assert set(schemas(own)) == set(OWN)
    assert set(schemas(reference)) == set(REFERENCE)
    prompts = own.wire.request("prompts/list")["result"]["prompts"]
    assert {prompt["name"] for prompt in prompts} == PROMPTS
    templates = own.wire.request("resources/templates/list")["result"]["resourceTemplates"]
    assert {template["uriTemplate"] for template in templates} == set(TEMPLATES)


def test_no_resource_gives_it_away(own: World) -> None:
    wire = own.wire
    wire.text("edit_file", path="open.txt", edits=[{"old": own.free, "new": f"{own.free}!"}])
    wire.text("delete_path", paths=["deep"], recursive=True)
    own.furnish()
    uris = [item["uri"] for item in wire.request("resources/list")["result"]["resources"]]
    for target in TARGETS:
        uris += [uri for make in TEMPLATES.values() for uri in make(own, target.format(home=own.home))]
    answers = [wire.request("resources/read", {"uri": uri}) for uri in dict.fromkeys(uris)]
    for answer in answers:
        assert not own.told(answer), answer
    assert own.free in json.dumps(answers)


def test_no_prompt_and_no_completion_gives_it_away(own: World) -> None:
    wire = own.wire
    prompts = wire.request("prompts/list")["result"]["prompts"]
    completed = 0
    for target in TARGETS:
        path = target.format(home=own.home)
        for prompt in prompts:
            names = [argument["name"] for argument in prompt.get("arguments", [])]
            for value in (path, f"home/{path}"):
                answer = wire.request("prompts/get", {"name": prompt["name"], "arguments": dict.fromkeys(names, value)})
                assert not own.told(answer), answer
        references = [
            ({"type": "ref/prompt", "name": prompt["name"]}, argument["name"])
            for prompt in prompts
            for argument in prompt.get("arguments", [])
        ]
        references += [
            ({"type": "ref/resource", "uri": template}, name)
            for template in TEMPLATES
            for name in ("root", "path", "change")
            if f"{name}}}" in template
        ]
        for reference, name in references:
            for value in (path, f"{path}/", f"home/{path}/", f"{str(own.home).lstrip('/')}/{path}/"):
                answer = wire.request(
                    "completion/complete",
                    {
                        "ref": reference,
                        "argument": {"name": name, "value": value},
                        "context": {"arguments": {"root": "home"}},
                    },
                )
                assert not own.told(answer), answer
                completed += len(answer.get("result", {}).get("completion", {}).get("values", []))
    assert completed > 0
