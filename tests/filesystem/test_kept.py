"""What belongs to the server itself is out of reach where a root has it below: records, rules, keys and settings."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Generator
from pathlib import Path

import pytest
from gatelodge_core.audit.verify import verify
from gatelodge_core.errors import SettingsError
from gatelodge_filesystem.kept import Kept
from gatelodge_filesystem.server import build
from gatelodge_filesystem.settings import FilesystemSettings

from tests.support.wire import MODERN, Wire, connected, python_module

ADMIT = '[[rule]]\ntool = "*"\nthen = "allow"\n'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Wire, Path]]:
    """A server whose root has everything of its own below."""
    root = (tmp_path_factory.mktemp("kept") / "root").resolve()
    (root / "own" / "rules").mkdir(parents=True)
    (root / "free.txt").write_text("free\n")
    (root / "own" / "rules" / "config.toml").write_text('log_level = "info"\n')
    (root / "own" / "rules" / "policy.toml").write_text(
        '# canary-of-the-policy\n[[rule]]\ntool = "delete_path"\nthen = "allow"\n'
    )
    (root / "own" / "rules" / "config.toml").chmod(0o600)
    (root / "way").symlink_to(root / "own" / "state")
    with tarfile.open(root / "evil.tar", "w") as tar:
        info = tarfile.TarInfo("rules/policy.toml")
        info.size = len(ADMIT)
        tar.addfile(info, io.BytesIO(ADMIT.encode()))
    arguments = [
        str(root), "--state-dir", str(root / "own" / "state"), "--config", str(root / "own" / "rules" / "config.toml"),
        "--policy", str(root / "own" / "rules" / "policy.toml"), "--tools", "archive", "--tools", "apply_patch",
    ]  # fmt: skip
    with connected(python_module("gatelodge_filesystem", *arguments), "stdio", MODERN) as wire:
        wire.text("list_roots")
        yield wire, root


def journal(root: Path) -> Path:
    (found,) = (root / "own" / "state" / "journal").glob("*.jsonl")
    return found


def test_no_tool_reads_it(served: tuple[Wire, Path]) -> None:
    wire, root = served
    record = str(journal(root).relative_to(root))
    for path in (record, record.replace("own/state", "way"), "own/rules/policy.toml", "own/rules/../rules/config.toml"):
        assert "protected" in wire.error("read_file", path=path)
        assert "error" in wire.request("resources/read", {"uri": f"file://{root}/{path}"})
        assert "protected" in wire.error("copy_path", source=path, destination="copy")
    assert "shown 0 of 0 lines" in wire.text(
        "search_text", path="", pattern="canary-of-the-policy", hidden=True, gitignore=False
    )
    found = wire.record("find_files", path="own", globs=["**/*.jsonl", "**/policy.toml/**"], hidden=True)
    assert found["paths"] == []


def test_no_tool_changes_moves_or_removes_it(served: tuple[Wire, Path]) -> None:
    wire, root = served
    before = (root / "own" / "rules" / "policy.toml").read_bytes()
    inode = (root / "own" / "state").stat().st_ino
    refused = [
        wire.error("write_file", path="own/rules/policy.toml", content=ADMIT, mode="overwrite", if_match="x"),
        wire.error("write_file", path="own/state/new.txt", content="x"),
        wire.error("write_file", path="way/new.txt", content="x"),
        wire.error("edit_file", path="own/rules/policy.toml", edits=[{"old": "delete_path", "new": "*"}]),
        wire.error("move_path", source="own/state", destination="elsewhere"),
        wire.error("move_path", source="own", destination="elsewhere"),
        wire.error("move_path", source="free.txt", destination="own/state/free.txt"),
        wire.error("move_path", source="free.txt", destination="own/rules/policy.toml", overwrite=True),
        wire.error("delete_path", paths=["own/state"], permanent=True, recursive=True),
        wire.error("delete_path", paths=["own"], recursive=True),
        wire.error("copy_path", source="free.txt", destination="own/rules/policy.toml", overwrite=True),
    ]
    assert all("protected" in said or "approval_required" in said for said in refused), refused
    wire.request("tools/call", {"name": "extract_archive", "arguments": {"path": "evil.tar", "folder": "own"}})
    wide = {"pattern": "delete_path", "replacement": "*", "hidden": True, "gitignore": False}
    for dry_run in (True, False):
        said = wire.text("replace_in_files", path="own", dry_run=dry_run, **wide)
        assert "credential files not searched" in said
        assert "canary" not in said
        assert "policy.toml" not in said
    for path in ("own/rules/policy.toml", "own/state", "way"):
        assert "protected" in wire.error("replace_in_files", path=path, dry_run=False, **wide)
    assert (root / "own" / "rules" / "policy.toml").read_bytes() == before
    assert (root / "own" / "state").stat().st_ino == inode
    assert not (root / "own" / "state" / "new.txt").exists()
    assert verify(str(root / "own" / "state" / "journal")).ok


def test_what_lies_beside_it_is_as_free_as_anything(served: tuple[Wire, Path]) -> None:
    wire, root = served
    wire.text("write_file", path="own/beside.txt", content="beside\n")
    wire.text("move_path", source="own/beside.txt", destination="own/other.txt")
    assert (root / "own" / "other.txt").read_text() == "beside\n"
    assert "state" in wire.text("list_directory", path="own")


@pytest.mark.parametrize("root", ["state", "state/journal", "state/deep/er"])
def test_a_root_inside_of_it_is_refused_at_the_start(tmp_path: Path, root: str) -> None:
    (tmp_path / root).mkdir(parents=True)
    settings = FilesystemSettings.model_validate(
        {"roots": [str(tmp_path / root)], "state_dir": str(tmp_path / "state")}
    )
    with pytest.raises(SettingsError, match="holds this server's own records and rules"):
        build(settings)


def test_it_is_known_by_any_case_and_form_of_its_name_and_by_no_beginning_alone(tmp_path: Path) -> None:
    kept = Kept(str(tmp_path), [str(tmp_path / "own" / "state"), "/elsewhere"])
    for rel in ("own/state", "OWN/State/x", "own/st\u200bate", "own/state/a/b"):
        assert kept.holds(rel), rel
    for rel in ("own", "own/states", "own/stat", "", "state", "x/own/state"):
        assert not kept.holds(rel), rel
    assert [rel for rel in ("own", "OWN", "own/state", "own/state/a", "ow", "") if kept.below(rel)] == [
        "own",
        "OWN",
        "own/state",
    ]
