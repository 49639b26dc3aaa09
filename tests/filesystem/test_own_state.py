"""What the server keeps itself, and credentials, lie inside of a root: no tool reads, changes, moves or renames them."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from gatelodge_core.audit.verify import verify

from tests.support.wire import MODERN, Wire, connected, python_module

CANARY = "canary-of-what-is-kept"


def furnish(home: Path) -> None:
    for name in ("deep/er/notes.txt", "deep/er/state/other.txt", "etc/plain.txt", ".config/gh/hosts.yml", ".env"):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{CANARY}\n", encoding="utf-8")
    (home / "etc" / "policy.toml").write_text('[[rule]]\ntool = "zzz"\nthen = "deny"\n', encoding="utf-8")
    (home / "etc" / "config.toml").write_text(f'key_pepper = "{CANARY}-of-the-pepper-0123456789"\n', encoding="utf-8")
    (home / "shortcut").symlink_to("deep/er/state")
    (home / "around").symlink_to("deep")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Wire, Path]]:
    home = tmp_path_factory.mktemp("own") / "home"
    furnish(home)
    arguments = [
        str(home), "--state-dir", str(home / "deep" / "er" / "state"), "--policy", str(home / "etc" / "policy.toml"),
        "--config", str(home / "etc" / "config.toml"), "--tools", "archive", "--tools", "apply_patch",
    ]  # fmt: skip
    with connected(python_module("gatelodge_filesystem", *arguments), "stdio", MODERN) as wire:
        # Something to keep: a change, with the version before it.
        wire.text("edit_file", path="deep/er/notes.txt", edits=[{"old": CANARY, "new": "new"}])
        yield wire, home


def journal(home: Path) -> list[Path]:
    found = list((home / "deep" / "er" / "state" / "journal").glob("*.jsonl"))
    assert found
    return found


def kept(home: Path) -> list[str]:
    """Paths, from the root, of what must not be opened."""
    state = home / "deep" / "er" / "state"
    versions = [path for path in (state / "filesystem" / "changes" / "versions").iterdir() if path.is_file()]
    assert versions
    found = [journal(home)[0], versions[0], state / "other.txt", state, home / "etc" / "policy.toml"]
    return [*(str(path.relative_to(home)) for path in found), "etc/config.toml", "shortcut", "shortcut/other.txt"]


def test_no_tool_opens_or_changes_what_the_server_keeps(served: tuple[Wire, Path]) -> None:
    wire, home = served
    for path in kept(home):
        for tool, arguments in (
            ("read_file", {"path": path}),
            ("read_file", {"path": f"{home}/{path}"}),
            ("edit_file", {"path": path, "edits": [{"old": CANARY, "new": "x"}]}),
            ("write_file", {"path": path, "content": "x", "mode": "overwrite", "if_match": "0-0"}),
            ("write_file", {"path": f"{path}/new.txt", "content": "x"}),
            ("create_directory", {"path": f"{path}/new"}),
            ("list_directory", {"path": path}),
            ("search_text", {"path": path, "pattern": "a"}),
            ("replace_in_files", {"path": path, "pattern": "a", "replacement": "x", "dry_run": False}),
            ("find_files", {"path": path}),
            ("move_path", {"source": "deep/er/notes.txt", "destination": f"{path}/notes.txt"}),
            ("copy_path", {"source": path.replace("shortcut", "deep/er/state"), "destination": "brought-out"}),
            ("move_path", {"source": path.replace("shortcut", "deep/er/state"), "destination": "brought-out"}),
        ):
            text = wire.error(tool, **arguments)
            assert CANARY not in text
            assert text.startswith(("protected: ", "not_a_directory: ")), (tool, path, text)
        resource = wire.request("resources/read", {"uri": f"fs://home/{path}"})
        assert "error" in resource
        assert CANARY not in json.dumps(resource)
    assert not (home / "brought-out").exists()
    assert not (home / "deep" / "er" / "state" / "new").exists()


@pytest.mark.parametrize("folder", ["deep", "deep/er", "around/er", "etc"])
def test_a_folder_above_it_stays_where_it_is(served: tuple[Wire, Path], folder: str) -> None:
    wire, home = served
    (home / "other").mkdir(exist_ok=True)
    for tool, arguments in (
        ("move_path", {"source": folder, "destination": "elsewhere"}),
        ("copy_path", {"source": folder, "destination": "elsewhere"}),
        ("move_path", {"source": "other", "destination": folder, "overwrite": True}),
        ("delete_path", {"paths": [folder], "recursive": True}),
    ):
        text = wire.error(tool, **arguments)
        assert text.startswith(("protected: ", "exists: ", "approval_required: ")), (tool, text)
    assert not (home / "elsewhere").exists()
    assert (home / folder).exists()
    assert journal(home)


def test_it_is_neither_found_nor_searched_nor_packed(served: tuple[Wire, Path]) -> None:
    wire, home = served
    text = wire.text("search_text", pattern=CANARY, hidden=True, gitignore=False, mode="files")
    assert "deep/er/state" not in text
    assert "etc/plain.txt" in text
    assert "config.toml" not in text
    text = wire.text("replace_in_files", pattern=CANARY, replacement="x", hidden=True, gitignore=False)
    assert "deep/er/state" not in text
    assert "config.toml" not in text
    assert "credential files not searched" in text
    found = wire.record("find_files", globs=["**/*"], hidden=True, gitignore=False)["paths"]
    assert not any(path.startswith("deep/er/state/") for path in found)
    wire.text("create_archive", path="packed.zip", folder="deep")
    listed = wire.text("list_archive", path="packed.zip")
    assert "notes.txt" in listed
    assert "other.txt" not in listed
    patch = "--- a/etc/policy.toml\n+++ b/etc/policy.toml\n@@ -1,1 +1,1 @@\n-[[rule]]\n+#\n"
    assert wire.error("apply_patch", patch=patch).startswith("protected: ")
    assert "tool" in (home / "etc" / "policy.toml").read_text()


def test_what_lies_beside_it_is_used_as_ever(served: tuple[Wire, Path]) -> None:
    wire, home = served
    wire.text("create_directory", path="deep/er/new")
    wire.text("write_file", path="deep/er/new/a.txt", content="a")
    wire.text("move_path", source="deep/er/new", destination="deep/newer")
    assert (home / "deep" / "newer" / "a.txt").read_text() == "a"


def test_a_credential_gets_no_name_under_which_it_could_be_opened(served: tuple[Wire, Path]) -> None:
    wire, home = served
    for tool, source in (
        ("copy_path", ".env"), ("move_path", ".env"), ("copy_path", ".config/gh"), ("copy_path", ".config/gh/hosts.yml"),
        ("copy_path", ".config"), ("move_path", ".config"),
    ):  # fmt: skip
        text = wire.error(tool, source=source, destination="plain")
        assert text.startswith("protected: "), (tool, source, text)
    assert not (home / "plain").exists()
    # Under a name that says as much it stays shut.
    wire.text("create_directory", path="backup")
    wire.text("copy_path", source=".config", destination="backup/.config")
    assert wire.error("read_file", path="backup/.config/gh/hosts.yml").startswith("protected: ")


def test_the_journal_verifies_after_all_that(served: tuple[Wire, Path]) -> None:
    _, home = served
    assert verify(str(home / "deep" / "er" / "state" / "journal")).ok
