"""``--compat reference``: the reference server's names and arguments over our engine."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.wire import MODERN, Message, Revision, Transport, Wire, connected, python_module

NAMES = {
    "read_file", "read_text_file", "read_media_file", "read_multiple_files", "write_file", "edit_file",
    "create_directory", "list_directory", "list_directory_with_sizes", "directory_tree", "move_file", "search_files",
    "get_file_info", "list_allowed_directories",
}  # fmt: skip
ARGUMENTS = {
    "read_text_file": {"path", "head", "tail"},
    "read_multiple_files": {"paths"},
    "edit_file": {"path", "edits", "dryRun"},
    "list_directory_with_sizes": {"path", "sortBy"},
    "directory_tree": {"path", "excludePatterns"},
    "move_file": {"source", "destination"},
    "search_files": {"path", "pattern", "excludePatterns"},
}
CANARY = "canary-outside"


def furnish(base: Path) -> list[str]:
    home = base / "home"
    (home / "src").mkdir(parents=True)
    (home / "src" / "a.py").write_text("one\ntwo\nthree\n", encoding="utf-8")
    (home / "src" / "b.txt").write_text("x" * 5000, encoding="utf-8")
    (home / ".env").write_text(CANARY, encoding="utf-8")
    (base / "secret").write_text(CANARY, encoding="utf-8")
    return [str(home), "--compat", "reference", "--state-dir", str(base / "state")]


@pytest.fixture(scope="module")
def served(
    transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory
) -> Generator[tuple[Wire, Path]]:
    base = tmp_path_factory.mktemp("compat")
    with connected(python_module("gatelodge_filesystem", *furnish(base)), transport, revision) as wire:
        yield wire, base / "home"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Wire, Path]]:
    base = tmp_path_factory.mktemp("one")
    with connected(python_module("gatelodge_filesystem", *furnish(base)), "stdio", MODERN) as wire:
        yield wire, base / "home"


def test_the_tools_have_the_names_and_arguments_of_the_reference(served: tuple[Wire, Path]) -> None:
    tools: list[Message] = served[0].request("tools/list")["result"]["tools"]
    assert {tool["name"] for tool in tools} == NAMES
    found = {tool["name"]: set(tool["inputSchema"].get("properties", {})) for tool in tools}
    for name, expected in ARGUMENTS.items():
        assert found[name] == expected
    assert served[0].request("prompts/list")["result"]["prompts"] == []


def test_files_are_read_written_edited_and_moved(served: tuple[Wire, Path]) -> None:
    wire, home = served
    path = str(home / "new" / "deep")
    wire.text("create_directory", path=path)
    wire.text("create_directory", path=path)
    file = f"{path}/a.txt"
    wire.text("write_file", path=file, content="one\ntwo\nthree\n")
    wire.text("write_file", path=file, content="one\ntwo\nthree\nfour\n")
    assert wire.text("read_text_file", path=file, head=2) == "one\ntwo\n"
    assert wire.text("read_file", path=file, tail=1) == "four\n"
    edits = [{"oldText": "two", "newText": "2"}]
    assert "-two\n+2\n" in wire.text("edit_file", path=file, edits=edits, dryRun=True)
    assert "two" in wire.text("read_text_file", path=file)
    assert wire.text("edit_file", path=file, edits=edits).startswith("```diff\n")
    assert wire.text("read_text_file", path=file) == "one\n2\nthree\nfour\n"
    wire.text("write_file", path=f"{path}/taken", content="")
    assert "exists" in wire.error("move_file", source=file, destination=f"{path}/taken")
    wire.text("move_file", source=file, destination=f"{path}/b.txt")
    assert (home / "new" / "deep" / "b.txt").read_text(encoding="utf-8") == "one\n2\nthree\nfour\n"
    assert not Path(file).exists()
    wire.text("move_file", source=str(home / "new"), destination=str(home / "renamed"))
    assert (home / "renamed" / "deep" / "b.txt").exists()
    wire.text("move_file", source=str(home / "renamed"), destination=str(home / "new"))
    (home / "new" / "deep" / "b.txt").unlink()
    (home / "new" / "deep" / "taken").unlink()


def test_folders_are_listed_in_the_form_of_the_reference(one: tuple[Wire, Path]) -> None:
    wire, home = one
    assert wire.text("list_directory", path=str(home)) == "[FILE] .env\n[DIR] src"
    sizes = wire.text("list_directory_with_sizes", path=str(home / "src"), sortBy="size")
    assert re.search(r"\[FILE\] b.txt +4.88 KB\n\[FILE\] a.py +14 B\n\nTotal: 2 files, 0 directories", sizes)
    tree = json.loads(wire.text("directory_tree", path=str(home), excludePatterns=["**/*.txt"]))
    assert tree == [
        {"name": ".env", "type": "file"},
        {"name": "src", "type": "directory", "children": [{"name": "a.py", "type": "file"}]},
    ]
    assert wire.text("search_files", path=str(home), pattern="**/*.py") == str(home / "src" / "a.py")
    assert wire.text("search_files", path=str(home), pattern="**/*.rs") == "No matches found"
    assert wire.text("list_allowed_directories") == f"Allowed directories:\n{home}"
    assert "isFile: true" in wire.text("get_file_info", path=str(home / "src" / "a.py"))
    both = wire.text("read_multiple_files", paths=[str(home / "src" / "a.py"), str(home / "missing")])
    assert f"{home}/src/a.py:\none\ntwo\nthree\n" in both
    assert "Error - not_found" in both


def test_answers_stay_in_the_budget_and_say_what_is_cut(one: tuple[Wire, Path]) -> None:
    wire, home = one
    (home / "src" / "wide").mkdir()
    for number in range(1500):
        (home / "src" / "wide" / f"{number}-{'n' * 60}").write_bytes(b"")
    (home / "long.txt").write_text("a line of text\n" * 10_000, encoding="utf-8")
    for tool, arguments in (
        ("list_directory", {"path": str(home / "src" / "wide")}),
        ("list_directory_with_sizes", {"path": str(home / "src" / "wide")}),
        ("search_files", {"path": str(home), "pattern": "**/*-n*"}),
        ("read_text_file", {"path": str(home / "long.txt")}),
        ("read_multiple_files", {"paths": [str(home / "long.txt")] * 3}),
    ):
        text = wire.text(tool, **arguments)
        assert "[CUT" in text, tool
        assert len(text) <= 48_000, tool
    tree = wire.text("directory_tree", path=str(home))
    assert "1500 entries, large" in tree


@pytest.mark.parametrize("path", ["{base}/secret", "{home}/../secret", "{home}/.env", "{home}/link", "/etc/passwd"])
def test_no_compatible_tool_reaches_outside_or_into_credentials(one: tuple[Wire, Path], path: str) -> None:
    wire, home = one
    link = home / "link"
    if not link.is_symlink():
        link.symlink_to(home.parent / "secret")
    asked = path.format(base=home.parent, home=home)
    for tool, arguments in (
        ("read_file", {"path": asked}),
        ("read_text_file", {"path": asked, "head": 1}),
        ("read_media_file", {"path": asked}),
        ("edit_file", {"path": asked, "edits": [{"oldText": CANARY, "newText": "x"}]}),
        ("list_directory", {"path": asked}),
        ("list_directory_with_sizes", {"path": asked}),
        ("directory_tree", {"path": asked}),
        ("search_files", {"path": asked, "pattern": "*"}),
    ):
        assert CANARY not in wire.error(tool, **arguments)
    assert CANARY not in wire.text("read_multiple_files", paths=[asked])
    if not asked.endswith("link"):
        wire.error("write_file", path=asked, content="x")
        wire.error("create_directory", path=asked)
        wire.error("move_file", source=asked, destination=str(home / "stolen"))
        wire.error("move_file", source=str(home / "src" / "a.py"), destination=asked)
    assert (home / ".env").read_text(encoding="utf-8") == CANARY
    assert (home.parent / "secret").read_text(encoding="utf-8") == CANARY
    assert (home / "src" / "a.py").exists()


def test_a_read_only_root_offers_no_changing_tool(tmp_path: Path) -> None:
    with connected(python_module("gatelodge_filesystem", *furnish(tmp_path), "--read-only"), "stdio", MODERN) as wire:
        names = {tool["name"] for tool in wire.request("tools/list")["result"]["tools"]}
    assert names == NAMES - {"write_file", "edit_file", "create_directory", "move_file"}


def test_a_person_who_is_asked_sees_what_a_compatible_tool_would_do(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\neffect = "write"\nthen = "confirm"\n', encoding="utf-8")
    arguments = [*furnish(tmp_path), "--policy", str(policy)]
    file = str(tmp_path / "home" / "src" / "a.py")
    with connected(python_module("gatelodge_filesystem", *arguments), "stdio", MODERN) as wire:
        for tool, given in (
            ("write_file", {"path": file, "content": "one\n2\nthree\n"}),
            ("write_file", {"path": f"{file}.new", "content": "fresh"}),
            ("edit_file", {"path": file, "edits": [{"oldText": "two", "newText": "zwei"}]}),
            ("move_file", {"source": file, "destination": f"{file}.moved"}),
        ):
            assert wire.error(tool, **given).startswith("approval_required")
    approvals = (tmp_path / "state").rglob("approvals*")
    shown = b"".join(path.read_bytes() for path in approvals if path.is_file()).decode(errors="replace")
    assert "would be overwritten: 12 bytes in place of 14" in shown
    assert "-two\n+2\n" in shown
    assert "a.py.new] would be created with 5 bytes\nfresh" in shown
    assert "-two\n+zwei\n" in shown
    assert "a.py.moved], a file of 14 bytes" in shown


@pytest.fixture
def fresh(tmp_path: Path) -> Generator[tuple[Wire, Path]]:
    with connected(python_module("gatelodge_filesystem", *furnish(tmp_path)), "stdio", MODERN) as wire:
        yield wire, tmp_path / "home"


def edited(wire: Wire, file: Path, before: str, *edits: tuple[str, str]) -> str:
    file.write_text(before, encoding="utf-8")
    wire.text("edit_file", path=str(file), edits=[{"oldText": old, "newText": new} for old, new in edits])
    return file.read_text(encoding="utf-8")


def test_each_edit_is_looked_for_in_what_the_one_before_it_made(fresh: tuple[Wire, Path]) -> None:
    wire, home = fresh
    file = home / "f.txt"
    assert edited(wire, file, "x\na\n", ("a", "b"), ("b", "c")) == "x\nc\n"
    assert edited(wire, file, "l1\nl2\n", ("l1\n", "l1\nnew\n"), ("new\nl2", "newer\nL2")) == "l1\nnewer\nL2\n"
    edits = [{"oldText": "l1", "newText": "1"}, {"oldText": "zzz", "newText": "2"}]
    assert wire.error("edit_file", path=str(file), edits=edits).startswith(
        "no_match: edit 2: oldText is not in the file"
    )
    assert file.read_text(encoding="utf-8") == "l1\nnewer\nL2\n"


def test_lines_are_found_whatever_white_space_is_around_them(fresh: tuple[Wire, Path]) -> None:
    wire, home = fresh
    old, new = "if x:\n    return 1", "if y:\n    return 2"
    before = "def f():\n    if x:\n        return 1\n"
    assert edited(wire, home / "f.py", before, (old, new)) == "def f():\n    if y:\n        return 2\n"
    assert edited(wire, home / "f.py", "if a:\n    x = 1\n", ("\tx = 1", "\tx = 2")) == "if a:\n    x = 2\n"


def test_nothing_in_a_diff_closes_its_fence(fresh: tuple[Wire, Path]) -> None:
    wire, home = fresh
    (home / "a.md").write_text("```js\nx\n```\n", encoding="utf-8")
    edits = [{"oldText": "x", "newText": "````y"}]
    diff = wire.text("edit_file", path=str(home / "a.md"), edits=edits, dryRun=True)
    assert diff.startswith("`````diff\n")
    assert diff.endswith("\n`````\n")


def test_hints_name_tools_and_arguments_that_the_reference_has(fresh: tuple[Wire, Path]) -> None:
    wire, home = fresh
    (home / "twice").write_text("a\nb\na\n", encoding="utf-8")
    edits = [{"oldText": "a", "newText": "c"}]
    errors = (
        wire.error("read_file", path="/elsewhere"),
        wire.error("edit_file", path=str(home / "twice"), edits=edits),
        wire.error("move_file", source=str(home / "twice"), destination=str(home / "src" / "a.py")),
        wire.text("read_multiple_files", paths=["/elsewhere"]),
    )
    for error in errors:
        assert not re.search(r"list_roots|near_line|replace_all|overwrite=|form=", error), error
    assert "Call list_allowed_directories" in errors[0]
    assert "Include more of the text around it." in errors[1]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.py", []),
        ("*", [".env", "link", "src"]),
        ("**/*.py", ["src/a.py"]),
        ("src/*.py", ["src/a.py"]),
        ("src", ["src"]),
    ],
)
def test_a_pattern_is_matched_with_the_whole_path_from_the_folder(
    fresh: tuple[Wire, Path], pattern: str, expected: list[str]
) -> None:
    wire, home = fresh
    (home / "link").symlink_to("src")
    found = wire.text("search_files", path=str(home), pattern=pattern)
    assert sorted(found.splitlines()) == ([f"{home}/{name}" for name in expected] or ["No matches found"])


def test_what_a_tree_leaves_out_is_matched_as_there(fresh: tuple[Wire, Path]) -> None:
    wire, home = fresh

    def names(*patterns: str) -> list[str]:
        tree = json.loads(wire.text("directory_tree", path=str(home), excludePatterns=list(patterns)))
        return [entry["name"] for top in tree for entry in [top, *top.get("children", [])]]

    assert names("*.py") == [".env", "src", "a.py", "b.txt"]
    assert names("**/*.py") == [".env", "src", "b.txt"]
    assert names("a.py", ".env") == ["src", "b.txt"]
    assert names(*(f"no-{number}" for number in range(60)), "src") == [".env"]
    assert wire.text("search_files", path=str(home), pattern="**/*.py", excludePatterns=["*.py"]).endswith("src/a.py")


def test_every_folder_of_a_tree_has_children_also_a_collapsed_one(fresh: tuple[Wire, Path]) -> None:
    wire, home = fresh
    (home / ".git").mkdir()
    (home / ".git" / "HEAD").write_text("x", encoding="utf-8")
    tree = json.loads(wire.text("directory_tree", path=str(home)))
    assert tree[1] == {"name": ".git", "type": "directory", "children": [], "collapsed": "1 entries, ignored"}


def test_a_file_that_is_no_image_or_sound_is_embedded(fresh: tuple[Wire, Path]) -> None:
    wire, home = fresh
    (home / "b c.bin").write_bytes(bytes(range(256)))
    result = wire.tool("read_media_file", path=str(home / "b c.bin"))
    (block,) = result["content"]
    assert block["type"] == "resource"
    assert block["resource"]["uri"] == f"{home.as_uri()}/b%20c.bin"
    assert base64.b64decode(block["resource"]["blob"]) == bytes(range(256))
    assert wire.error("read_media_file", path=str(home / ".env")).startswith("protected")


def test_the_facts_of_a_file_are_those_of_what_a_link_leads_to(fresh: tuple[Wire, Path]) -> None:
    wire, home = fresh
    (home / "src" / "a.py").chmod(0o640)
    (home / "link").symlink_to("src/a.py")
    for name in ("link", "src/a.py"):
        facts = dict(line.split(": ", 1) for line in wire.text("get_file_info", path=str(home / name)).splitlines())
        assert facts["size"] == "14"
        assert facts["isFile"] == "true"
        assert facts["permissions"] == "640"
        assert facts["accessed"].endswith("Z")
    (home / "gone").symlink_to("nowhere")
    assert wire.error("get_file_info", path=str(home / "gone")).startswith("not_found")


def test_a_long_file_is_read_to_its_end_by_what_each_part_says(fresh: tuple[Wire, Path]) -> None:
    wire, home = fresh
    whole = "".join(f"line {number} {'y' * 60}\n" for number in range(2000))
    (home / "long.txt").write_text(whole, encoding="utf-8")
    read, more = "", {}
    for _ in range(10):
        text, cut, note = wire.text("read_text_file", path=str(home / "long.txt"), **more).partition("\n[CUT: ")
        read += text
        if not cut:
            break
        more = {"tail": int(note.rpartition("tail=")[2].rstrip("]"))}
    assert read == whole


def test_a_path_of_windows_makes_no_file_of_that_name(fresh: tuple[Wire, Path]) -> None:
    wire, home = fresh
    for path in ("C:\\Users\\me\\a.txt", "c:/Users/me/a.txt"):
        assert wire.error("write_file", path=path, content="x").startswith("outside_roots: this is a path of Windows")
    assert sorted(item.name for item in home.iterdir()) == [".env", "src"]
