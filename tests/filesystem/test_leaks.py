"""Secrets planted in files, names, errors and the environment: every byte that leaves the process is searched for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.filesystem.test_tools import command, furnish
from tests.support.planted import KIND_NAMES, planted
from tests.support.wire import MODERN, StdioWire, Transport, Wire, connected, python_module


class Everything:
    """All that a client got."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def add(self, value: object) -> None:
        self.parts.append(json.dumps(value, ensure_ascii=False))

    def text(self) -> str:
        return "\n".join(self.parts)


def forms(secret: str) -> list[str]:
    return [secret, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret)[1:-1])[1:-1]]


def test_no_planted_secret_leaves(transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "g"
    arguments = furnish(base)
    (base / "policy.toml").write_text('[[rule]]\ntool = "edit_file"\nthen = "confirm"\n', encoding="utf-8")
    secrets: list[str] = []
    texts: list[str] = []
    for number, name in enumerate(KIND_NAMES):
        _, secret, text = planted(name)
        secrets.append(secret)
        texts.append(text)
        (base / "notes" / f"{number}.txt").write_text(f"before\n{text}\nafter {number}\n", encoding="utf-8")
    inner = {secret: text for secret, text in zip(secrets, texts, strict=True) if "/" not in text and len(text) < 200}
    assert len(inner) > 30
    for number, text in enumerate(inner.values()):
        (base / "notes" / f"named {number} {text}").write_text("x\n", encoding="utf-8")
    monkeypatch.setenv("SOME_TOKEN", texts[0])
    got = Everything()
    everywhere = [*arguments, "--policy", str(base / "policy.toml"), "--log-level", "debug"]
    with connected(command(*everywhere), transport, MODERN) as wire:
        got.add(wire.tool("list_directory", path="notes"))
        got.add(wire.tool("find_files", path="notes", globs=["*"]))
        for number, text in enumerate(texts):
            path = f"notes/{number}.txt"
            got.add(wire.tool("read_file", path=path))
            got.add(wire.tool("search_text", path="notes", pattern=f"after {number}", context=2))
            got.add(wire.request("resources/read", {"uri": f"fs://{path}"}))
            found = wire.text("read_file", path=path)
            tag = found.split("etag=")[1].split(",")[0]
            edits = [{"old": f"after {number}", "new": "changed"}]
            # Parked: what it would do is kept for the person, and the answer has the code.
            got.add(wire.tool("edit_file", path=path, edits=edits, if_match=tag))
            got.add(wire.tool("edit_file", path=path, edits=edits, if_match=tag, dry_run=True))
            # What a caller sends comes back in errors; a slash would be read as a path.
            if "\n" not in text and "/" not in text:
                got.add(wire.tool("read_file", path=f"notes/no such {text}"))
                got.add(wire.tool("search_text", path="notes", pattern=f"({text}", regex=True))
                got.add(wire.request("prompts/get", {"name": "explain_folder", "arguments": {"path": f"no/{text}"}}))
                got.add(wire.request("resources/read", {"uri": f"fs://notes/{text}"}))
        for text in inner.values():
            got.add(wire.tool("get_file_info", path=f"notes/{text}"))
        got.add(
            wire.request(
                "completion/complete",
                {"ref": {"type": "ref/resource", "uri": "fs://{root}/{+path}"}, "argument": {"name": "path", "value": "named"}},
            )
        )  # fmt: skip
        stderr = wire.server.stderr() if isinstance(wire, StdioWire) else ""
    shown = subprocess.run(
        [sys.executable, "-m", "gatelodge_core.cli.__main__", "audit", "tail", "-n", "9999", "--state-dir", f"{base}/state"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    state = b"".join(path.read_bytes() for path in (base / "state").rglob("*") if path.is_file())
    said = got.text()
    assert said.count("[redacted: ") > 5 * len(secrets)
    for name, secret in zip(KIND_NAMES, secrets, strict=True):
        for form in forms(secret):
            assert form not in said, name
            assert form not in stderr, name
            assert form not in shown, name
            assert os.fsencode(form) not in state, name


@pytest.mark.parametrize("name", KIND_NAMES)
def test_no_secret_of_an_exception_leaves_or_is_logged(name: str, toy_wire: StdioWire) -> None:
    _, secret, text = planted(name)
    answer = json.dumps(toy_wire.tool("fail_badly", secret=text))
    assert "eference" in answer
    for form in forms(secret):
        assert form not in answer
        assert form not in toy_wire.server.stderr()


@pytest.fixture(scope="module")
def toy_wire() -> Generator[Wire]:
    with connected(python_module("tests.support.toy"), "stdio", MODERN) as wire:
        yield wire
