"""Files come whole, by lines and in bounded memory; trees by prefix and glob; each with the trust of its branch."""

from __future__ import annotations

import base64
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gatelodge_github.view import BUDGET

from tests.github import faults
from tests.github.emulator import PRIVATE, PUBLIC
from tests.github.furnishing import FILES, LARGE, SECRET_LINE, TEXT, UNICODE_PATH
from tests.github.loopback import Answer, Request, as_json
from tests.github.reading import Bed
from tests.github.recordings import recorded, replaying
from tests.github.support import server

pytestmark = pytest.mark.anyio
HERE = f"/repos/{PUBLIC}"
MB = 1024 * 1024


def shown(text: str) -> str:
    """The file's text in an answer by somebody trusted."""
    return text.split("\n\n", 1)[1]


async def test_a_file_is_told_in_one_request_and_costs_none_the_second_time(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        text = await called.text("get_file", path="src/shapes.py")
        assert text.startswith(f"src/shapes.py of {PUBLIC} (public) at main: lines 1-5 of 5, 84 bytes, blob ")
        assert shown(text) == FILES["src/shapes.py"].decode()
        assert bed.targets() == [HERE, f"{HERE}/contents/src/shapes.py"]
        bed.forget()
        assert await called.text("get_file", path="src/shapes.py") == text
        assert (len(bed.targets()), bed.proxy.counted()) == (1, 0)


async def test_lines_are_those_asked_for_and_a_cut_says_where_to_go_on(bed: Bed, tmp_path: Path) -> None:
    lines = FILES["assets/large.txt"].decode().splitlines(keepends=True)
    async with bed.server(tmp_path) as called:
        part = await called.text("get_file", path="docs/guide.md", start_line=299, end_line=900)
        assert "lines 299-300 of 300" in part
        assert shown(part) == "line 299 of the guide\nline 300 of the guide\n"
        at, got = 1, ""
        for _ in range(3):
            text = await called.text("get_file", path="assets/large.txt", start_line=at)
            assert len(text.encode()) <= BUDGET
            body, note = shown(text).rsplit("\n\n", 1)
            got += body
            at = int(note.removeprefix("cut: go on with start_line="))
        assert got == "".join(lines[: at - 1])
        assert at > 3000
        assert "The file has 300 lines" in await called.error("get_file", path="docs/guide.md", start_line=301)
        assert "end_line is before" in await called.error("get_file", path="docs/guide.md", start_line=9, end_line=8)


async def test_odd_names_and_odd_bytes_come_through(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        for path in ("odd/a?ref=evil#x & 100%.txt", UNICODE_PATH, "odd/crlf.txt"):
            text = await called.text("get_file", path=path)
            # Line ends are the guard's to show.
            assert shown(text).encode().replace(b"\r", b"") == FILES[path].replace(b"\r", b""), path
        latin = await called.text("get_file", path="odd/latin1.txt")
        assert "not UTF-8, read as Latin-1" in latin
        assert shown(latin) == "café\n"
        assert "at main: empty, 0 bytes" in await called.text("get_file", path="odd/empty.txt")
        binary = await called.text("get_file", path="assets/logo.bin")
        assert "binary, of unknown type, 1,024 bytes" in binary
        assert binary.endswith("not shown.")


@pytest.mark.parametrize("path", ["../secret", "a/../../x", "a//b", "./a", "src/\0x"])
async def test_a_path_that_leaves_the_repository_is_never_sent(bed: Bed, tmp_path: Path, path: str) -> None:
    async with bed.server(tmp_path) as called:
        await called.text("get_repo")
        bed.forget()
        assert "bad_path" in await called.error("get_file", path=path)
        assert "bad_path" in await called.error("get_tree", prefix=path)
        assert "bad_path" in await called.error("list_commits", path=path)
        assert bed.targets() == []


@pytest.mark.parametrize("ref", ["main?x=1", "a..b", "-x", "main ", "x~1", "a/.b", "x.lock"])
async def test_a_ref_that_is_none_is_never_sent(bed: Bed, tmp_path: Path, ref: str) -> None:
    async with bed.server(tmp_path) as called:
        await called.text("get_repo")
        bed.forget()
        assert "bad_ref" in await called.error("get_file", path="a", ref=ref)
        assert "bad_ref" in await called.error("get_tree", ref=ref)
        assert bed.targets() == []


async def test_a_directory_is_a_list_of_its_entries_with_the_odd_kinds_named(bed: Bed, tmp_path: Path) -> None:
    def strange(request: Request) -> Answer:
        entries: list[dict[str, Any]] = bed.proxy.ask(request).json()
        return as_json([*entries, {**entries[0], "name": "vendored", "type": "file", "size": 0, "download_url": None}])

    async with bed.server(tmp_path) as called:
        root = await called.text("get_file")
        assert f"/ of {PUBLIC} (public) at main: directory, entries 1-7 of 7 (type, bytes, name)" in root
        assert "\nfile\t9\tCODEOWNERS\n" in root
        assert "\ndir\t0\tsrc\n" in root
        bed.proxy.serve("GET", f"{HERE}/contents/odd", strange)
        assert "\nsubmodule\t0\tvendored\n" in await called.text("get_file", path="odd")
        part = await called.text("get_file", path="", start_line=2, end_line=2)
        assert "entries 2-2 of 7" in part
        assert shown(part) == "dir\t0\tassets\n"


async def test_a_long_directory_is_cut_and_says_how_to_have_all(bed: Bed, tmp_path: Path) -> None:
    def long(request: Request) -> Answer:
        entry: dict[str, Any] = bed.proxy.ask(request).json()[0]
        return as_json([{**entry, "name": f"a-rather-long-name-of-a-file-{number:04}.txt"} for number in range(1000)])

    bed.proxy.serve("GET", f"{HERE}/contents/odd", long)
    async with bed.server(tmp_path) as called:
        text = await called.text("get_file", path="odd")
        assert len(text.encode()) <= BUDGET
        assert "cut: go on with start_line=" in text
        assert "GitHub lists at most 1000 entries: get_tree with this prefix has all." in text


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"type": "symlink", "target": "../elsewhere"}, ": symlink, to ../elsewhere"),
        (
            {"type": "submodule", "submodule_git_url": "git://example.org/x.git", "sha": "1" * 40},
            f": submodule, to git://example.org/x.git (commit {'1' * 40})",
        ),
    ],
)
async def test_links_and_submodules_are_named(bed: Bed, tmp_path: Path, told: dict[str, Any], wanted: str) -> None:
    def link(request: Request) -> Answer:
        return as_json({**bed.proxy.ask(request).json(), **told})

    bed.proxy.serve("GET", f"{HERE}/contents/docs/guide.md", link)
    async with bed.server(tmp_path) as called:
        assert (await called.text("get_file", path="docs/guide.md")).endswith(wanted)


def _large(bed: Bed, size: int, body: Any) -> None:
    """Serve docs/guide.md as GitHub does a file above 1 MB: no content, and the bytes of the blob where raw is asked for."""

    def described(request: Request) -> Answer:
        return as_json({**bed.proxy.ask(request).json(), "size": size, "encoding": "none", "content": ""})

    def raw(request: Request) -> Answer:
        assert request.headers["accept"] == "application/vnd.github.raw+json"
        made: Answer = body()
        return made

    bed.proxy.serve("GET", f"{HERE}/contents/docs/guide.md", described)
    bed.proxy.serve("GET", f"{HERE}/git/blobs/[0-9a-f]+", raw)


async def test_a_file_above_a_megabyte_is_streamed(bed: Bed, tmp_path: Path) -> None:
    data = FILES["assets/large.txt"]
    octets = {"Content-Type": "application/octet-stream"}
    _large(bed, LARGE, lambda: Answer(200, data, octets))
    async with bed.server(tmp_path) as called:
        last = data.count(b"\n") + 1
        text = await called.text("get_file", path="docs/guide.md", start_line=last - 1)
        assert f"lines {last - 1}-{last} of {last}, 2,097,152 bytes" in text
        assert shown(text) == data.decode().rsplit("\n", 2)[1] + "\n" + data.decode().rsplit("\n", 1)[1]
        assert len(bed.targets()) == 3
        some = await called.text("get_file", path="docs/guide.md", start_line=70_001, end_line=70_002)
        assert "lines 70001-70002 of more" in some
        assert shown(some) == "0070000 large line\n0070001 large line\n"
        assert f"has {last} lines" in await called.error("get_file", path="docs/guide.md", start_line=last + 1)


async def test_a_hundred_megabytes_pass_through_little_memory(bed: Bed, tmp_path: Path) -> None:
    # Made anew for each block, so that nothing but the reader can hold them.
    line = b"%07d" + b" all work and no play" * 48 + b"\n"
    count = 100 * MB // len(line % 1)
    blocks = range(0, count, 1024)
    _large(
        bed,
        count * len(line % 1),
        lambda: Answer(
            200,
            (b"".join(line % number for number in range(first, min(first + 1024, count))) for first in blocks),
            {"Content-Type": "application/octet-stream"},
        ),
    )
    async with bed.server(tmp_path) as called:
        await called.text("get_file", path="docs/guide.md", start_line=1, end_line=1)
        tracemalloc.start()
        try:
            text = await called.text("get_file", path="docs/guide.md", start_line=count)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert shown(text).encode() == line % (count - 1)
        assert peak < 30 * MB, peak


async def test_one_endless_line_is_cut_and_a_huge_binary_is_not_fetched(bed: Bed, tmp_path: Path) -> None:
    sent: list[int] = []

    def counted(block: bytes) -> Answer:
        sent.clear()
        parts = (sent.append(len(block)) or block for _ in range(90))
        return Answer(200, parts, {"Content-Type": "application/octet-stream"})

    _large(bed, 90 * MB, lambda: counted(b"x" * MB))
    async with bed.server(tmp_path) as called:
        text = await called.text("get_file", path="docs/guide.md")
        assert len(text.encode()) <= BUDGET
        assert "cut inside line 1, which is longer than an answer: go on with cursor=" in text
        assert sum(sent) < 20 * MB
        _large(bed, 90 * MB, lambda: counted(b"\x89PNG\r\n\x1a\n\0" + b"x" * MB))
        assert "binary, PNG image, 94,371,840 bytes" in await called.text("get_file", path="docs/guide.md")
        assert sum(sent) < 20 * MB
        _large(bed, 101 * MB, lambda: counted(b"x"))
        assert "too_large" in await called.error("get_file", path="docs/guide.md")


async def test_a_stream_that_breaks_is_an_error_and_never_a_text_with_parts_twice(bed: Bed, tmp_path: Path) -> None:
    _large(bed, LARGE, lambda: Answer(200, FILES["assets/large.txt"], {"Content-Type": "application/octet-stream"}))
    # Far behind the first pieces, which are taken by then.
    bed.proxy.fault("GET", f"{HERE}/git/blobs/.*", faults.cut(1_000_000), times=1)
    async with bed.server(tmp_path) as called:
        assert "unreachable" in await called.error("get_file", path="docs/guide.md", start_line=100_000)
        assert len(bed.targets(f"{HERE}/git/blobs/.*")) == 1
        text = await called.text("get_file", path="docs/guide.md", start_line=100_000, end_line=100_000)
        assert shown(text) == "0099999 large line\n"


async def test_a_pointer_of_git_lfs_is_told_as_one(bed: Bed, tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"

    def lfs(request: Request) -> Answer:
        data = base64.b64encode(pointer).decode()
        return as_json({**bed.proxy.ask(request).json(), "content": data, "size": len(pointer)})

    bed.proxy.serve("GET", f"{HERE}/contents/docs/guide.md", lfs)
    async with bed.server(tmp_path) as called:
        assert "This is a Git LFS pointer" in await called.text("get_file", path="docs/guide.md")


async def test_labels_follow_who_can_push_and_who_can_read(bed: Bed, tmp_path: Path) -> None:
    sha = bed.content.head
    async with bed.server(tmp_path / "a") as called:
        assert await called.label("get_file", path="CODEOWNERS") == "trusted/public"
        assert await called.label("get_tree", glob="*.md") == "trusted/public"
        assert await called.label("get_file", path="vault.txt", repo=PRIVATE) == "trusted/private"
        assert await called.label("get_tree", repo=PRIVATE) == "trusted/private"
        # A hash can be a commit of any fork.
        text = await called.text("get_file", path="docs/guide.md", ref=sha)
        assert text.split("\n\n")[1].startswith("<untrusted-")
        assert await called.label("get_file", path="docs/guide.md", ref=sha) == "untrusted/public"
        assert await called.label("get_tree", ref=sha, glob="*.md") == "untrusted/public"
    async with bed.server(tmp_path / "m", "mallory") as called:
        assert await called.label("get_file", path="docs/guide.md") == "untrusted/public"
        assert await called.label("get_tree") == "untrusted/public"
        hidden = await called.error("get_file", path="vault.txt", repo=PRIVATE)
        assert "not_found" in hidden
        assert SECRET_LINE not in hidden
    async with bed.server(tmp_path / "f", "mallory", lockdown="filter") as called:
        text = await called.text("get_file", path="docs/guide.md")
        assert "line 7" not in text
        assert "withheld" in text
        tree = await called.record("get_tree")
        assert tree["items"] == []
        assert "withheld" in tree["notes"][0]


async def test_errors_say_what_to_do(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path, repos=["alice/public-repo"]) as called:
        assert "get_tree finds paths" in await called.error("get_file", path="nope.txt")
        assert "list_refs shows" in await called.error("get_tree", ref="nope")
        assert "repo_not_allowed" in await called.error("get_file", repo=PRIVATE, path="vault.txt")
        bed.proxy.fault("GET", f"{HERE}/contents/.*", faults.lacks_permission("contents=read"))
        assert "forbidden" in await called.error("get_file", path="docs/guide.md")
        bed.proxy.fault("GET", f"{HERE}/git/trees/.*", faults.refuses(409, "Git Repository is empty."))
        assert "may have no commits yet" in await called.error("get_tree")
    assert [target for target in bed.targets() if "private" in target] == []


async def test_a_tree_is_found_by_prefix_and_glob_and_told_in_parts(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        every = await called.record("get_tree")
        told = {item["path"]: item["bytes"] for item in every["items"] if item["path"] != "README.md"}
        assert told == {**{path: len(data) for path, data in FILES.items()}, "docs/guide.md": len(TEXT) + 4}
        for asked, wanted in (
            ({"prefix": "src"}, {"src/shapes.py", "src/deep/er/est/note.txt"}),
            ({"prefix": "src", "glob": "*.py"}, {"src/shapes.py"}),
            ({"prefix": "src/", "glob": "deep/**"}, {"src/deep/er/est/note.txt"}),
            ({"prefix": "sr"}, set[str]()),
            ({"glob": "src/**/*.{py,txt}"}, {"src/shapes.py", "src/deep/er/est/note.txt"}),
            ({"prefix": "src/shapes.py"}, {"src/shapes.py"}),
        ):
            found = await called.record("get_tree", **asked)
            assert {item["path"] for item in found["items"]} == wanted, asked
        paths: list[str] = []
        cursor = ""
        bed.forget()
        for _ in range(10):
            part = await called.record("get_tree", limit=5, cursor=cursor)
            assert part["total"] == len(FILES) + 1
            paths += [item["path"] for item in part["items"]]
            cursor = part["cursor"]
            if not cursor:
                break
        assert paths == [item["path"] for item in every["items"]]
        # What comes later is of the same tree, whatever the branch has become.
        assert [target for target in bed.targets() if "/trees/main" in target] == [f"{HERE}/git/trees/main?recursive=1"]
        assert "bad_cursor" in await called.error("get_tree", prefix="src", cursor=(await called.record("get_tree", limit=1))["cursor"])  # fmt: skip


async def test_a_tree_that_github_cuts_is_asked_for_below_the_prefix(bed: Bed, tmp_path: Path) -> None:
    def cut(request: Request) -> Answer:
        tree: dict[str, Any] = bed.proxy.ask(request).json()
        root = "recursive" in request.query and any(item["path"] == "CODEOWNERS" for item in tree["tree"])
        return as_json({**tree, "tree": tree["tree"][:3], "truncated": True} if root else tree)

    bed.proxy.serve("GET", f"{HERE}/git/trees/[^/]+", cut)
    async with bed.server(tmp_path) as called:
        whole = await called.text("get_tree")
        assert "GitHub cut this tree" in whole
        assert "name a deeper prefix" in whole
        part = await called.record("get_tree", prefix="src/deep", limit=1)
        assert [item["path"] for item in part["items"]] == ["src/deep/er/est/note.txt"]
        assert "notes" not in part
        two = await called.record("get_tree", prefix="src", limit=1)
        rest = await called.record("get_tree", prefix="src", limit=1, cursor=two["cursor"])
        assert {two["items"][0]["path"], rest["items"][0]["path"]} == {"src/shapes.py", "src/deep/er/est/note.txt"}


async def test_githubs_own_recorded_answers_are_read(recordings: None, tmp_path: Path) -> None:
    (root,) = recorded("Repository.testGetContentsDir.txt")
    told = [
        # Asked for with a slash at the end then.
        replace(root, request=replace(root.request, target=root.request.target.rstrip("/"))),
        *recorded("Repository.setUp.txt"),
        *recorded("Repository.testGetContents.txt"),
        *recorded("Repository.testGetGitTreeWithRecursive.txt"),
    ]
    sha = "f492784d8ca837779650d1fb406a1a3587a764ad"
    with replaying(told) as replay:
        async with server(tmp_path, replay.url, "x" * 20, repo="PyGithub/PyGithub") as called:
            text = await called.text("get_file", path="doc/ReferenceOfClasses.md")
            assert "at main: lines 1-1130 of 1394, 28,122 bytes, blob " in text
            assert "Class `AuthenticatedUser`" in text
            assert "directory, entries 1-" in await called.text("get_file", path="/")
            tree = await called.record("get_tree", ref=sha, glob="*.py", limit=1000)
            assert "github/GithubObjects/AuthenticatedUser.py" in {item["path"] for item in tree["items"]}
