"""The example configuration works, as a host would read it: launched by exactly what it says."""

from __future__ import annotations

import json
import shutil
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.support.wire import MODERN, REVISIONS, connected

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = json.loads((ROOT / "claude_desktop_config.example.json").read_text(encoding="utf-8"))


def test_there_is_an_entry_for_each_server_that_exists() -> None:
    assert set(CONFIG) == {"mcpServers"}
    # By the names that `gatelodge install` gives them, so that nobody has one of them twice.
    assert set(CONFIG["mcpServers"]) == {
        f"gatelodge-{path.parent.name}" for path in ROOT.glob("servers/*/pyproject.toml")
    }


@pytest.mark.parametrize("name", sorted(CONFIG["mcpServers"]))
def test_each_entry_is_launched_and_answers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry: dict[str, Any] = CONFIG["mcpServers"][name]
    # `uvx NAME ARGS` runs the package's script of that name; here it is the one of this environment, unpublished as it is.
    assert entry["command"] == "uvx"
    script: str | None = shutil.which(str(entry["args"][0]), path=sysconfig.get_path("scripts"))
    assert script is not None
    monkeypatch.setenv("GATELODGE_STATE_DIR", str(tmp_path / "state"))
    # The folders of the example are placeholders: they are made below a scratch folder, the rest stays as it is written.
    arguments: list[str] = [argument.replace("/path/to", str(tmp_path)) for argument in entry["args"][1:]]
    for argument in arguments:
        if argument.startswith(str(tmp_path)):
            Path(argument.removesuffix(":ro")).mkdir(parents=True, exist_ok=True)
    for revision in REVISIONS:
        with connected([script, *arguments], "stdio", revision, env=entry["env"]) as wire:
            assert wire.request("tools/list")["result"]["tools"]
    with connected([script, *arguments], "stdio", MODERN, env=entry["env"]) as wire:
        if name == "gatelodge-filesystem":
            assert [root["mode"] for root in wire.record("list_roots")["roots"]] == ["rw", "ro"]
        elif name == "gatelodge-postgres":
            # Nobody listens at the example's address, or it isn't the reader's: that is said, and nothing hangs.
            assert wire.error("list_objects").startswith("unreachable: database default can't be reached")
        elif name == "gatelodge-github":
            # What can be seen without asking GitHub: the default repository, and that a wrong name goes no further.
            prompt = wire.request("prompts/get", {"name": "triage_issue", "arguments": {"number": "12"}})
            assert "octocat/hello-world" in json.dumps(prompt["result"])
            assert wire.error("get_repo", repo="no-name").startswith("bad_repo:")
        else:
            assert "duckduckgo: ready" in wire.text("show_engines")
