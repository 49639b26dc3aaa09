"""The filesystem server's tools as a host calls them, over each transport and protocol revision."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import stat
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.wire import MODERN, HttpWire, Message, Revision, StdioWire, Transport, Wire, connected

SECRET = "canary-outside-the-roots"


def command(*arguments: str) -> list[str]:
    import sys

    return [sys.executable, "-m", "gatelodge_filesystem", *arguments]


class Ground:
    """A client on a server with a writable root, a read-only one, and a secret beside them."""

    def __init__(self, wire: Wire, base: Path) -> None:
        self.wire = wire
        self.base = base
        self.notes = base / "notes"
        self.src = base / "src"

    def put(self, name: str, data: bytes) -> Path:
        path = self.notes / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def etag(self, path: str) -> str:
        found = re.search(r"etag=([0-9a-f]+-[0-9a-f]+)", self.wire.text("read_file", path=path))
        assert found is not None
        return found.group(1)


def furnish(base: Path) -> list[str]:
    (base / "notes").mkdir(parents=True)
    (base / "src").mkdir()
    (base / "src" / "main.py").write_bytes(b"print('hello')\n")
    (base / "secret").write_text(SECRET, encoding="utf-8")
    (base / "notes-sibling").mkdir()
    (base / "notes-sibling" / "secret").write_text(SECRET, encoding="utf-8")
    return [str(base / "notes"), f"{base / 'src'}:ro", "--state-dir", str(base / "state")]


@pytest.fixture(scope="module")
def ground(transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory) -> Generator[Ground]:
    base = tmp_path_factory.mktemp("ground")
    with connected(command(*furnish(base)), transport, revision) as wire:
        yield Ground(wire, base)
    journal = "".join(path.read_text(encoding="utf-8") for path in (base / "state" / "journal").glob("*.jsonl"))
    assert SECRET not in journal
    assert '"type":"intent"' in journal


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Generator[Ground]:
    """One connection, for what does not depend on transport or revision."""
    base = tmp_path_factory.mktemp("one")
    with connected(command(*furnish(base)), "stdio", MODERN) as wire:
        yield Ground(wire, base)


def test_roots_are_listed_with_their_mode(ground: Ground) -> None:
    record = ground.wire.record("list_roots")
    assert [(root["name"], root["mode"]) for root in record["roots"]] == [("notes", "rw"), ("src", "ro")]
    assert "path jail" in record["confinement"]


def test_a_file_is_read_by_every_spelling_of_its_path(ground: Ground) -> None:
    ground.put("spelt.txt", b"here\n")
    for path in (
        "notes/spelt.txt",
        str(ground.notes / "spelt.txt"),
        f"file://{ground.notes}/spelt.txt",
        "notes/./x/../spelt.txt",
    ):
        if "x/.." in path:
            (ground.notes / "x").mkdir(exist_ok=True)
        assert ground.wire.text("read_file", path=path).endswith("\nhere\n")


@pytest.mark.parametrize(
    "path",
    [
        "notes/../secret",
        "notes/../../secret",
        "notes/../notes-sibling/secret",
        "{base}/secret",
        "{base}/notes/../secret",
        "{base}/notes-sibling/secret",
        "file://{base}/secret",
        "file://{base}/notes/%2e%2e/secret",
        "file://evil.example/etc/passwd",
        "/etc/passwd",
        "/proc/self/environ",
        "~/x",
        "notes/link",
        "notes/door/secret",
        "notes/deep/link",
        "notes/\x00",
        "elsewhere/secret",
    ],
)
def test_no_tool_or_resource_reaches_outside(ground: Ground, path: str) -> None:
    for name, target in (("link", "../secret"), ("door", ".."), ("deep/link", str(ground.base / "secret"))):
        (ground.notes / name).parent.mkdir(exist_ok=True)
        if not (ground.notes / name).is_symlink():
            (ground.notes / name).symlink_to(target)
    asked = path.replace("{base}", str(ground.base))
    answers = [
        ground.wire.tool("read_file", path=asked),
        ground.wire.tool("list_directory", path=asked),
        ground.wire.tool("find_files", path=asked),
        ground.wire.tool("search_text", path=asked, pattern="canary"),
        ground.wire.tool("write_file", path=asked, content="x"),
        ground.wire.tool("write_file", path=asked, content="x", mode="overwrite", if_match="0-0"),
        ground.wire.tool("edit_file", path=asked, edits=[{"old": "canary", "new": "x"}]),
    ]
    assert all(answer.get("isError") for answer in answers), answers
    info = ground.wire.tool("get_file_info", paths=[asked])
    # A URI with a NUL can't even be said in the Mcp-Name header.
    uris = [] if "\0" in asked else [f"fs://{asked}", f"file://{asked}"]
    resources = [ground.wire.request("resources/read", {"uri": uri}) for uri in uris]
    assert all("error" in answer for answer in resources), resources
    assert SECRET not in json.dumps([answers, info, resources])
    assert (ground.base / "secret").read_text(encoding="utf-8") == SECRET
    assert sorted(os.listdir(ground.base / "notes-sibling")) == ["secret"]


def test_a_link_out_looks_like_a_missing_file(one: Ground) -> None:
    (one.notes / "out").symlink_to("../secret")
    linked, missing = one.wire.error("read_file", path="notes/out"), one.wire.error("read_file", path="notes/gone")
    assert linked.replace("notes/out", "X").split(" Did")[0] == missing.replace("notes/gone", "X").split(" Did")[0]


def test_reading_goes_on_where_it_was_cut(one: Ground) -> None:
    one.put("long.txt", b"".join(b"line %d %s\n" % (n, b"x" * 90) for n in range(2000)))
    shown, start = "", 1
    while True:
        text = one.wire.text("read_file", path="notes/long.txt", start_line=start)
        head, _, body = text.partition("\n")
        assert len(text) <= 48_000
        shown += body
        more = re.search(r"start_line=(\d+)", head)
        if not more:
            break
        start = int(more.group(1))
    assert shown.encode() == (one.notes / "long.txt").read_bytes()


def test_reading_is_conditional_and_numbered(one: Ground) -> None:
    one.put("n.txt", b"a\r\nb\r\n")
    etag = one.etag("notes/n.txt")
    assert "not modified" in one.wire.text("read_file", path="notes/n.txt", if_none_match=etag)
    assert one.wire.text("read_file", path="notes/n.txt", line_numbers=True).endswith("     1\ta\n     2\tb\n")
    assert "eol=crlf" in one.wire.text("read_file", path="notes/n.txt")


def test_special_files_are_refused_at_once(one: Ground) -> None:
    os.mkfifo(one.notes / "fifo")
    for tool, arguments in (
        ("read_file", {}),
        ("edit_file", {"edits": [{"old": "a", "new": "b"}]}),
        ("write_file", {"content": "x", "mode": "overwrite", "if_match": "0-0"}),
    ):
        assert "is_special_file" in one.wire.error(tool, path="notes/fifo", **arguments)
    assert "FIFO" not in one.wire.text("search_text", path="notes", pattern="fifo")
    (one.notes / "fifo").unlink()


def test_odd_names_are_shown_escaped_and_taken_back(one: Ground) -> None:
    raw = b"odd\n\x1b[31m\x80\xe2\x80\xae.txt"
    with open(os.fsencode(one.notes) + b"/" + raw, "wb") as target:
        target.write(b"odd content\n")
    paths = one.wire.record("find_files", path="notes", globs=["odd*"])["paths"]
    assert paths == ["odd\\x0a\\x1b[31m\\x80\\xe2\\x80\\xae.txt"]
    assert one.wire.text("read_file", path=f"notes/{paths[0]}").endswith("odd content\n")
    entries = one.wire.record("list_directory", path="notes")["entries"]
    assert paths[0] in [entry["path"] for entry in entries]
    assert paths[0] in one.wire.text("search_text", path="notes", pattern="odd content")


def test_a_file_is_created_edited_and_overwritten(ground: Ground) -> None:
    wire = ground.wire
    assert "created" in wire.text("write_file", path="notes/new.txt", content="one\ntwo\n")
    assert "exists" in wire.error("write_file", path="notes/new.txt", content="x")
    shown = wire.text("edit_file", path="notes/new.txt", edits=[{"old": "two", "new": "TWO"}], dry_run=True)
    assert "-two\n+TWO\n" in shown
    assert (ground.notes / "new.txt").read_bytes() == b"one\ntwo\n"
    wire.text("edit_file", path="notes/new.txt", edits=[{"old": "two", "new": "TWO"}, {"old": "one", "new": "ONE"}])
    assert (ground.notes / "new.txt").read_bytes() == b"ONE\nTWO\n"
    assert "if_match_required" in wire.error("write_file", path="notes/new.txt", content="x", mode="overwrite")
    wire.text(
        "write_file", path="notes/new.txt", content="x\n", mode="overwrite", if_match=ground.etag("notes/new.txt")
    )
    assert (ground.notes / "new.txt").read_bytes() == b"x\n"
    (ground.notes / "new.txt").unlink()


def test_a_stale_etag_is_refused_with_the_present_text(one: Ground) -> None:
    path = one.put("stale.txt", b"first\n")
    etag = one.etag("notes/stale.txt")
    path.write_bytes(b"changed by another\n")
    for tool, arguments in (
        ("edit_file", {"edits": [{"old": "changed", "new": "x"}]}),
        ("write_file", {"content": "x", "mode": "overwrite"}),
    ):
        text = one.wire.error(tool, path="notes/stale.txt", if_match=etag, **arguments)
        assert text.startswith("stale_etag")
        assert "changed by another" in text
    assert path.read_bytes() == b"changed by another\n"


def test_overwriting_keeps_mode_encoding_mark_and_line_ends(one: Ground) -> None:
    path = one.put("win.txt", b"\xef\xbb\xbfa\r\nb\r\n")
    path.chmod(0o640)
    one.wire.text(
        "write_file", path="notes/win.txt", content="c\nd\n", mode="overwrite", if_match=one.etag("notes/win.txt")
    )
    assert path.read_bytes() == b"\xef\xbb\xbfc\r\nd\r\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_writing_through_a_link_inside_changes_its_target_and_keeps_the_link(one: Ground) -> None:
    target = one.put("target.txt", b"old\n")
    (one.notes / "alias").symlink_to("target.txt")
    one.wire.text("edit_file", path="notes/alias", edits=[{"old": "old", "new": "new"}])
    assert target.read_bytes() == b"new\n"
    assert (one.notes / "alias").is_symlink()


def test_a_read_only_root_is_not_changed(ground: Ground) -> None:
    assert "read_only_root" in ground.wire.error("write_file", path="src/new.py", content="x")
    assert "read_only_root" in ground.wire.error("edit_file", path="src/main.py", edits=[{"old": "hello", "new": "x"}])
    assert "read_only_root" in ground.wire.error(
        "edit_file", path="src/main.py", edits=[{"old": "hello", "new": "x"}], dry_run=True
    )
    assert (ground.src / "main.py").read_bytes() == b"print('hello')\n"
    assert os.listdir(ground.src) == ["main.py"]


def test_read_only_offers_no_tool_that_changes_anything(tmp_path: Path) -> None:
    with connected(command(*furnish(tmp_path / "g"), "--read-only"), "stdio", MODERN) as wire:
        tools = {
            tool["name"]: tool["annotations"]["readOnlyHint"] for tool in wire.request("tools/list")["result"]["tools"]
        }
        assert "read_file" in tools
        assert all(tools.values())
        response = wire.request("tools/call", {"name": "write_file", "arguments": {"path": "notes/x", "content": ""}})
        assert response["error"]["code"] == -32602


def test_fifty_edits_at_once_all_survive(ground: Ground) -> None:
    path = ground.put("parallel.txt", b"".join(b"line %02d\n" % n for n in range(50)))

    def call(number: int) -> Message:
        edits = [{"old": f"line {number:02}", "new": f"LINE {number:02}"}]
        return {"name": "edit_file", "arguments": {"path": "notes/parallel.txt", "edits": edits}}

    wire = ground.wire
    if isinstance(wire, StdioWire):
        for number in range(50):
            params = call(number)
            wire.send_call(f"p{number}", "edit_file", **params["arguments"])
        answers = [json.loads(wire.server.line()) for _ in range(50)]
    else:
        assert isinstance(wire, HttpWire)
        asked: list[Message] = [call(number) for number in range(50)]
        with ThreadPoolExecutor(10) as pool:
            answers = [future.result() for future in [pool.submit(wire.request, "tools/call", item) for item in asked]]
    assert not [answer for answer in answers if answer.get("result", {}).get("isError", True)]
    assert path.read_bytes() == b"".join(b"LINE %02d\n" % n for n in range(50))
    assert [name for name in os.listdir(ground.notes) if name.startswith(".gatelodge")] == []


def test_listing_is_paged_sorted_and_deep(one: Ground) -> None:
    folder = one.notes / "list"
    folder.mkdir()
    for number in range(25):
        (folder / f"f{number:02}").write_bytes(b"x" * number)
    (folder / "sub").mkdir()
    (folder / "sub" / "inner").write_bytes(b"")
    (folder / "link").symlink_to("f01")
    seen: list[str] = []
    cursor = ""
    while True:
        page = one.wire.record("list_directory", path="notes/list", limit=10, cursor=cursor)
        seen += [entry["path"] for entry in page["entries"]]
        cursor = page["next_cursor"]
        assert page["total"] == 27
        if not cursor:
            break
    assert seen == [*(f"f{n:02}" for n in range(25)), "link", "sub"]
    largest = one.wire.record("list_directory", path="notes/list", sort="size", limit=1)["entries"][0]
    assert (largest["path"], largest["size"]) == ("f24", 24)
    deep = one.wire.record("list_directory", path="notes/list", depth=2, limit=100)["entries"]
    assert {"sub/inner", "sub"} <= {entry["path"] for entry in deep}
    assert {entry["type"] for entry in deep} == {"file", "folder", "link"}


def test_a_cursor_of_another_question_is_refused(one: Ground) -> None:
    folder = one.notes / "cur"
    folder.mkdir()
    for number in range(5):
        (folder / str(number)).write_bytes(b"needle\n")
    cursor = one.wire.record("list_directory", path="notes/cur", limit=2)["next_cursor"]
    assert cursor
    forged = base64.urlsafe_b64encode(b'["x",0,"Li4vLi4="]').decode()
    for tool, arguments in (
        ("find_files", {}),
        ("list_directory", {"depth": 2}),
        ("search_text", {"pattern": "needle"}),
    ):
        for bad in (cursor, forged, "%%%", "AAAA"):
            assert "bad_cursor" in one.wire.error(tool, path="notes/cur", cursor=bad, **arguments)


def test_finding_and_searching_over_the_wire(ground: Ground) -> None:
    ground.put("project/app/main.py", b"def start():\n    return 'needle here'\n")
    ground.put("project/app/.hidden.py", b"needle hidden\n")
    ground.put("project/node_modules/x/index.py", b"needle ignored\n")
    ground.put("project/.gitignore", b"node_modules/\n")
    wire = ground.wire
    assert wire.record("find_files", path="notes/project", globs=["**/*.py"])["paths"] == ["app/main.py"]
    text = wire.text("search_text", path="notes/project", pattern="needle")
    assert "shown 1 of 1 lines in 1 of 1 files" in text
    assert "notes/project/app/main.py (1 lines, etag=" in text
    assert "2:     return 'needle here'" in text
    assert "1 of 1 files" in wire.text("search_text", path="notes/project", pattern=r"ne{2}dle\s\w+", regex=True)
    everything = wire.text(
        "search_text", path="notes/project", pattern="needle", gitignore=False, hidden=True, mode="files"
    )
    assert everything.count("\n") == 4
    assert "bad_pattern" in wire.error("search_text", path="notes", pattern="(", regex=True)


def test_search_pages_lead_to_every_hit_once(one: Ground) -> None:
    for number in range(23):
        one.put(f"pages/f{number:02}", b"needle\n" * 3)
    seen: list[str] = []
    cursor = ""
    while True:
        text = one.wire.text("search_text", path="notes/pages", pattern="needle", limit=12, cursor=cursor)
        seen += re.findall(r"^notes/pages/(f\d\d) ", text, re.MULTILINE)
        found = re.search(r"cursor=(\S+)", text)
        if not found:
            break
        cursor = found.group(1)
    assert seen == [f"f{n:02}" for n in range(23)]


def test_one_file_is_searched_by_its_path(one: Ground) -> None:
    one.put("single/.gitignore", b"*.log\n")
    one.put("single/f.log", b"".join(b"needle %d\n" % number for number in range(10)))
    one.put("single/other.txt", b"needle\n")
    (one.notes / "single" / "link.txt").symlink_to("f.log")
    for path in ("notes/single/f.log", "notes/single/link.txt"):
        text = one.wire.text("search_text", path=path, pattern="needle", per_file=3)
        assert "shown 3 of 10 lines in 1 of 1 files" in text
        assert "notes/single/f.log (10 lines, etag=" in text
        assert "other" not in text
    first = one.wire.text("search_text", path="notes/single/f.log", pattern="needle", limit=6)
    cursor = re.search(r"cursor=(\S+)", first)
    assert cursor is not None
    second = one.wire.text("search_text", path="notes/single/f.log", pattern="needle", limit=6, cursor=cursor.group(1))
    assert [int(line) for line in re.findall(r"^(\d+): needle", first + second, re.MULTILINE)] == list(range(1, 11))
    assert "in 0 of 0 files" in one.wire.text(
        "search_text", path="notes/single/f.log", pattern="needle", globs=["*.py"]
    )
    assert "not_found" in one.wire.error("search_text", path="notes/single/none", pattern="needle")


def test_a_secret_is_not_searched_by_its_path_either(one: Ground) -> None:
    one.put("single/.env", b"needle canary\n")
    os.mkfifo(one.notes / "single" / "pipe")
    (one.notes / "single" / "env.txt").symlink_to(".env")
    (one.notes.parent / "beside.txt").write_text(SECRET, encoding="utf-8")
    (one.notes / "single" / "out.txt").symlink_to("../../beside.txt")
    for name, code in (
        (".env", "protected"),
        ("env.txt", "protected"),
        ("pipe", "special"),
        ("out.txt", "not_found"),
    ):
        read = one.wire.error("read_file", path=f"notes/single/{name}")
        said = one.wire.error("search_text", path=f"notes/single/{name}", pattern="canary")
        assert code in said
        assert said.partition(":")[0] == read.partition(":")[0]
        assert SECRET not in said


def test_resources_are_read_as_text_bytes_and_folders(ground: Ground) -> None:
    ground.put("r/text.txt", "gr\u00fcn\n".encode())
    ground.put("r/blob.bin", bytes(range(256)))
    read = [
        ground.wire.request("resources/read", {"uri": uri})["result"]["contents"][0]
        for uri in (
            "fs://notes/r/text.txt",
            f"file://{ground.notes}/r/text.txt",
            "fs://notes/r/blob.bin",
            "fs://notes/r",
        )
    ]
    assert read[0]["text"] == read[1]["text"] == "gr\u00fcn\n"
    assert base64.b64decode(read[2]["blob"]) == bytes(range(256))
    assert json.loads(read[3]["text"])["entries"] == ["blob.bin", "text.txt"]
    templates = ground.wire.request("resources/templates/list")["result"]["resourceTemplates"]
    assert [item["uriTemplate"] for item in templates] == [
        "fs://{root}/{+path}",
        "file:///{+path}",
        "fs-journal://{change}",
    ]
    assert not any("mimeType" in item for item in templates[:2])


def test_each_resource_has_its_own_type(ground: Ground) -> None:
    ground.put("t/plan.md", b"# plan\n")
    ground.put("t/noext", b"text\n")
    ground.put("t/lying.txt", bytes(range(256)))
    ground.put("t/dot.png", b"\x89PNG\r\n\x1a\n" + bytes(20))
    for name, kind in (
        ("t/plan.md", "text/markdown"),
        ("t/noext", "text/plain"),
        ("t/lying.txt", "application/octet-stream"),
        ("t/dot.png", "image/png"),
        ("t", "application/json"),
    ):
        answer = ground.wire.request("resources/read", {"uri": f"fs://notes/{name}"})
        assert answer["result"]["contents"][0]["mimeType"] == kind


def test_the_index_leads_to_the_roots(ground: Ground) -> None:
    (listed,) = ground.wire.request("resources/list")["result"]["resources"]
    assert (listed["uri"], listed["mimeType"]) == ("fs://", "application/json")
    read = ground.wire.request("resources/read", {"uri": "fs://"})["result"]["contents"][0]
    roots = json.loads(read["text"])["roots"]
    assert [(root["name"], root["mode"]) for root in roots] == [("notes", "rw"), ("src", "ro")]
    inside = ground.wire.request("resources/read", {"uri": roots[1]["uri"]})["result"]["contents"][0]
    assert json.loads(inside["text"])["entries"] == ["main.py"]


def test_an_escaped_uri_is_judged_by_what_it_names(tmp_path: Path) -> None:
    arguments = furnish(tmp_path / "g")
    (tmp_path / "g" / "notes" / "kept").mkdir()
    (tmp_path / "g" / "notes" / "kept" / "plan.txt").write_text(SECRET, encoding="utf-8")
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\nsubject = "notes/kept/**"\nthen = "deny"\n', encoding="utf-8")
    with connected(command(*arguments, "--policy", str(policy)), "stdio", MODERN) as wire:
        for uri in ("fs://notes/kept/plan.txt", "fs://notes/%6bept/plan.txt", "fs://n%6ftes/kept%2Fplan.txt"):
            answer = json.dumps(wire.request("resources/read", {"uri": uri}))
            assert "denied_by_policy" in answer
            assert SECRET not in answer


def test_completions_lead_from_the_root_to_the_file(ground: Ground) -> None:
    ground.put("c/one.txt", b"")
    ground.put("c/oval/x", b"")

    def complete(name: str, value: str, uri: str = "fs://{root}/{+path}", **chosen: str) -> list[str]:
        params: Message = {"ref": {"type": "ref/resource", "uri": uri}, "argument": {"name": name, "value": value}}
        if chosen:
            params["context"] = {"arguments": chosen}
        return ground.wire.request("completion/complete", params)["result"]["completion"]["values"]

    assert complete("root", "n") == ["notes"]
    assert complete("path", "c/o", root="notes") == ["c/oval/", "c/one.txt"]
    assert complete("path", "../", root="notes") == []
    base = str(ground.notes).lstrip("/")
    assert complete("path", f"{base}/c/on", "file:///{+path}") == [f"{base}/c/one.txt"]


def test_prompts_name_the_folder_and_the_question(ground: Ground) -> None:
    ask = ground.wire.request("prompts/get", {"name": "find_in_project", "arguments": {"question": "the tides"}})
    assert "the tides" in ask["result"]["messages"][0]["content"]["text"]
    explain = ground.wire.request("prompts/get", {"name": "explain_folder", "arguments": {"path": "notes/c"}})
    assert "notes/c" in explain["result"]["messages"][0]["content"]["text"]
    for name in ("explain_folder", "review_changes", "tidy_folder"):
        refused = ground.wire.request("prompts/get", {"name": name, "arguments": {"path": "/etc"}})
        assert refused["error"]["code"] == -32602


def test_prompts_ask_for_tools_that_exist(ground: Ground) -> None:
    tools = {tool["name"] for tool in ground.wire.request("tools/list")["result"]["tools"]}
    listed = ground.wire.request("prompts/list")["result"]["prompts"]
    assert {item["name"] for item in listed} == {
        "explain_folder", "find_in_project", "review_changes", "safe_rename", "tidy_folder",
    }  # fmt: skip
    for item in listed:
        arguments = {argument["name"]: "notes/x" for argument in item.get("arguments", [])}
        answer = ground.wire.request("prompts/get", {"name": item["name"], "arguments": arguments})
        text = answer["result"]["messages"][0]["content"]["text"]
        assert "notes" in text
        named = set(re.findall(r"\b(?:read|list|find|search|edit|write|diff|get|move|copy|delete)_[a-z_]+\b", text))
        assert named
        assert named <= tools


def test_folders_are_completed_for_each_prompt_that_takes_one(ground: Ground) -> None:
    ground.put("c/oval/x", b"")
    for name in ("explain_folder", "review_changes", "tidy_folder"):
        params = {"ref": {"type": "ref/prompt", "name": name}, "argument": {"name": "path", "value": "notes/c/o"}}
        answer = ground.wire.request("completion/complete", params)
        assert answer["result"]["completion"]["values"] == ["notes/c/oval/"]


def test_every_call_has_an_intent_before_and_an_outcome_after(tmp_path: Path) -> None:
    with connected(command(*furnish(tmp_path / "g")), "stdio", MODERN) as wire:
        wire.tool("read_file", path="src/main.py")
        wire.tool("read_file", path="notes/../secret")
        wire.request("resources/read", {"uri": "fs://src/main.py"})
        wire.request("prompts/get", {"name": "explain_folder"})
    (name,) = (tmp_path / "g" / "state" / "journal").glob("*.jsonl")
    assert stat.S_IMODE(name.stat().st_mode) == 0o600
    records = [json.loads(line) for line in name.read_text(encoding="utf-8").splitlines()]
    assert [record["type"] for record in records] == ["header", *(["intent", "outcome"] * 4), "close"]
    assert [record["status"] for record in records if record["type"] == "outcome"] == ["ok", "error", "ok", "ok"]
    assert [record["kind"] for record in records if record["type"] == "intent"] == [
        "tool",
        "tool",
        "resource",
        "prompt",
    ]
    assert "main.py" not in json.dumps([record for record in records if record.get("kind") == "tool"])


def cut_off(journal: Path, pid: int) -> int:
    """Let no file of a process grow beyond its journal: the kernel refuses the journal's next byte."""
    import resource

    import psutil

    size = journal.stat().st_size
    process = psutil.Process(pid)
    process.rlimit(resource.RLIMIT_FSIZE, (size, process.rlimit(resource.RLIMIT_FSIZE)[1]))
    return size


@pytest.mark.parametrize("reads", ["durable", "best-effort"])
def test_a_call_that_cannot_be_recorded_is_not_made(tmp_path: Path, reads: str) -> None:
    with connected(command(*furnish(tmp_path / "g"), "--audit-reads", reads), "stdio", MODERN) as wire:
        assert isinstance(wire, StdioWire)
        wire.record("list_roots")
        journal = next((tmp_path / "g" / "state" / "journal").glob("*.jsonl"))
        size = cut_off(journal, wire.server.process.pid)
        response = wire.request(
            "tools/call", {"name": "write_file", "arguments": {"path": "notes/never", "content": ""}}
        )
        assert response["error"]["message"].startswith(
            "audit_unavailable: The journal can't be written (File too large)"
        )
        assert not (tmp_path / "g" / "notes" / "never").exists()
        answer = wire.request("tools/call", {"name": "list_roots", "arguments": {}})
        assert ("error" in answer) is (reads == "durable")
        assert journal.stat().st_size == size


def test_a_server_whose_journal_fails_is_not_ready_until_it_can_write_again(tmp_path: Path) -> None:
    import resource

    import psutil

    before = {child.pid for child in psutil.Process().children()}
    with connected(command(*furnish(tmp_path / "g")), "http", MODERN) as wire:
        assert isinstance(wire, HttpWire)
        (pid,) = {child.pid for child in psutil.Process().children()} - before

        def ready() -> int:
            with contextlib.closing(http.client.HTTPConnection(wire.host, wire.port, timeout=20)) as connection:
                connection.request("GET", "/readyz")
                return connection.getresponse().status

        assert ready() == 200
        usual = psutil.Process(pid).rlimit(resource.RLIMIT_FSIZE)
        cut_off(next((tmp_path / "g" / "state" / "journal").glob("*.jsonl")), pid)
        assert "error" in wire.request("tools/call", {"name": "list_roots", "arguments": {}})
        assert ready() == 503
        # And without a call it is ready again, or a balancer would never send one.
        psutil.Process(pid).rlimit(resource.RLIMIT_FSIZE, usual)
        until = time.monotonic() + 20
        while ready() != 200 and time.monotonic() < until:
            time.sleep(0.1)
        assert ready() == 200
        assert "result" in wire.request("tools/call", {"name": "list_roots", "arguments": {}})


def test_no_page_of_a_list_is_over_the_budget(one: Ground) -> None:
    for number in range(3000):
        one.put(f"wide/{number:04}-{'n' * 60}.txt", b"")
    seen: list[str] = []
    cursor = ""
    while True:
        text = one.wire.text("list_directory", path="notes/wide", limit=2000, cursor=cursor)
        assert len(text) <= 48_000
        record = json.loads(text)
        seen += [entry["path"] for entry in record["entries"]]
        cursor = record["next_cursor"]
        if not cursor:
            break
    assert seen == sorted(os.listdir(one.notes / "wide"))
    found: list[str] = []
    while True:
        text = one.wire.text("find_files", path="notes/wide", limit=2000, sort="path", cursor=cursor)
        assert len(text) <= 48_000
        record = json.loads(text)
        found += record["paths"]
        cursor = record["next_cursor"]
        if not cursor:
            break
    assert found == seen


def test_a_tree_counts_large_and_ignored_folders_instead_of_showing_them(one: Ground) -> None:
    one.put("tree/.gitignore", b"build/\n")
    one.put("tree/build/deep/out.o", b"")
    one.put("tree/.git/HEAD", b"")
    one.put("tree/src/main.py", b"")
    for number in range(201):
        one.put(f"tree/data/{number}", b"")
    record = one.wire.record("list_directory", path="notes/tree", depth=5)
    paths = [entry["path"] for entry in record["entries"]]
    assert paths == [".git", ".gitignore", "build", "data", "src", "src/main.py"]
    assert record["collapsed"] == [
        {"path": ".git", "entries": 1, "reason": "ignored"},
        {"path": "build", "entries": 1, "reason": "ignored"},
        {"path": "data", "entries": 201, "reason": "large"},
    ]
    # By itself such a folder is listed like any other.
    assert one.wire.record("list_directory", path="notes/tree/data")["total"] == 201
    assert one.wire.record("list_directory", path="notes/tree/build", depth=2)["collapsed"] == []


def test_a_dry_run_of_a_write_refuses_what_the_write_would_refuse(one: Ground) -> None:
    one.put("dry/taken", b"old\n")
    refused = {
        "notes/dry/taken": "exists",
        "notes/dry/missing/new": "not_found",
        "notes/dry/.gatelodge-x": "reserved",
        "src/new": "read_only_root",
        "notes/dry/.env": "protected",
    }
    for path, code in refused.items():
        for dry_run in (True, False):
            assert one.wire.error("write_file", path=path, content="x", dry_run=dry_run).startswith(code), path
    assert "would be created with 1 bytes" in one.wire.text(
        "write_file", path="notes/dry/new", content="x", dry_run=True
    )
    assert sorted(os.listdir(one.notes / "dry")) == ["taken"]


def test_nobody_is_asked_about_a_call_whose_arguments_are_wrong(one: Ground) -> None:
    one.put("asked", b"x")
    calls: list[dict[str, object]] = [
        {},
        {"paths": "notes/asked"},
        {"paths": []},
        {"paths": [7]},
        {"paths": ["notes/asked"], "recursive": "yes"},
        {"paths": ["notes/asked"], "content": "x"},
        {"paths": ["notes/asked"], "dry_run": None},
    ]
    for wrong in calls:
        assert one.wire.error("delete_path", **wrong).startswith("invalid_arguments: ")
    assert one.wire.error("delete_path", paths=["notes/asked"]).startswith("approval_required")


def test_a_decomposed_name_is_searched_and_edited_by_its_composed_one(one: Ground) -> None:
    path = one.put("nfd/cafe\u0301.txt", b"one needle\n")
    asked = "notes/nfd/caf\xe9.txt"
    assert "one needle" in one.wire.text("search_text", pattern="needle", path=asked)
    edits = [{"old": "one", "new": "two"}]
    for dry_run in (True, False):
        assert "+two needle" in one.wire.text("edit_file", path=asked, edits=edits, dry_run=dry_run)
    assert os.listdir(path.parent) == ["cafe\u0301.txt"]
    assert path.read_bytes() == b"two needle\n"
    assert one.wire.error("search_text", pattern="needle", path="notes/nfd/missing").startswith("not_found")
