"""Branches and commits: one atomic commit of exactly the files given, never over somebody else's, never unasked where it counts."""

from __future__ import annotations

import base64
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.errors import CallError
from gatelodge_github.changes import MOST_BYTES, FileChange, checked

from tests.github import faults
from tests.github.bed import Bed, bedded, paths
from tests.github.emulator import PRIVATE, PUBLIC, SITE, Emulator, token_of
from tests.github.furnishing import BINARY, FILES, TEXT, commit
from tests.github.loopback import Request, as_json

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"
ODD = "odd/a?ref=evil#x & 100%.txt"


def refusing(_: str) -> bool:
    return False


@pytest.fixture(scope="module")
def bed(emulator: Emulator) -> Generator[Bed]:
    yield from bedded(emulator)


@pytest.fixture
def branch(bed: Bed, request: pytest.FixtureRequest) -> str:
    """A branch for this test, at the head of main."""
    name = f"work/{abs(hash(request.node.nodeid))}"
    bed.call("POST", f"{HERE}/git/refs", {"ref": f"refs/heads/{name}", "sha": bed.furniture.head})
    return name


def head(bed: Bed, branch: str) -> str:
    found: str = bed.call("GET", f"{HERE}/git/ref/heads/{branch}")["object"]["sha"]
    return found


def tree(bed: Bed, sha: str) -> dict[str, tuple[str, str]]:
    """Mode and blob of each file."""
    found = bed.call("GET", f"{HERE}/git/trees/{sha}?recursive=1")["tree"]
    return {one["path"]: (one["mode"], one["sha"]) for one in found if one["type"] != "tree"}


def content(bed: Bed, sha: str, path: str) -> bytes:
    blob = bed.call("GET", f"{HERE}/git/blobs/{tree(bed, sha)[path][1]}")
    return base64.b64decode(blob["content"])


def file(path: str, content: str = "x\n", **more: Any) -> dict[str, Any]:
    return {"path": path, "content": content, **more}


async def test_a_branch_begins_at_the_default_branch_or_at_what_is_named(bed: Bed, tmp_path: Path) -> None:
    f = bed.furniture
    async with bed.server(tmp_path) as called:
        first = await called.record("create_branch", branch="new/one")
        assert paths(bed) == ["GET ", "GET /git/ref/heads/main", "POST /git/refs"]
        assert bed.proxy.writes()[0].json() == {"ref": "refs/heads/new/one", "sha": f.head}
        for number, start in enumerate(("release/1.x", "v1.0.0", f.before)):
            found = await called.record("create_branch", branch=f"refs/heads/new/{number}", from_ref=start)
            assert found == {"branch": f"new/{number}", "sha": f.before}
            assert head(bed, f"new/{number}") == f.before
        assert await called.label("create_branch", branch="new/labelled") == "trusted/public"
        assert called.questions == []
        # It is in no default branch, so it could be of any fork.
        assert (await called.record("create_branch", branch="new/x", from_ref=f.feature))["sha"] == f.feature
        assert len(called.questions) == 1
    assert first == {"branch": "new/one", "sha": f.head}


async def test_a_branch_that_can_not_be_made_is_told_with_the_reason(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        assert (await called.error("create_branch", branch="stale")).startswith("exists: The branch stale")
        for name in ("a b", "a..b", "-a", "a.lock", "refs/heads/", "x~1", "a\\b"):
            assert (await called.error("create_branch", branch=name)).startswith("bad_ref:")
        assert (await called.error("create_branch", branch="n", from_ref="nowhere")).startswith("not_found:")
        bed.proxy.fault("POST", ".*/git/refs", faults.lost_after_commit(), times=1)
        lost = await called.error("create_branch", branch="lost")
    assert lost.startswith("outcome_unknown:")
    assert "list_refs(" in lost
    assert head(bed, "lost") == bed.furniture.head


async def test_files_are_written_deleted_and_kept_in_one_commit(bed: Bed, tmp_path: Path, branch: str) -> None:
    before = tree(bed, bed.furniture.head)
    files = [
        file("docs/guide.md", "short\r\nnow"),
        file("new/deep/naïve 日本.txt", "über\n"),
        file("assets/logo.bin", base64.b64encode(BINARY[::-1]).decode(), encoding="base64"),
        file("bin/run", "#!/bin/sh\n", executable=True),
        file("plain.txt", base64.b64encode(b"text all the same\n").decode(), encoding="base64"),
        file("odd/empty.txt", ""),
        {"path": ODD, "delete": True},
    ]
    async with bed.server(tmp_path) as called:
        found = await called.record(
            "commit_files", branch=branch, message="One\n\nfor all", files=files, expected_head=bed.furniture.head[:10]
        )
        again = await called.error(
            "commit_files", branch=branch, message="x", files=[file("plain.txt", "text all the same\n")]
        )
    sha = head(bed, branch)
    assert found == {
        "branch": branch, "sha": sha, "parent": bed.furniture.head, "files": 7,
        "url": f"{bed.proxy.url}/{PUBLIC}/commit/{sha}",
    }  # fmt: skip
    made = bed.call("GET", f"{HERE}/git/commits/{sha}")
    assert (made["message"], [one["sha"] for one in made["parents"]]) == ("One\n\nfor all", [bed.furniture.head])
    after = tree(bed, sha)
    assert before.keys() - after.keys() == {ODD}
    assert after.keys() - before.keys() == {"new/deep/naïve 日本.txt", "bin/run", "plain.txt"}
    assert {path for path in before.keys() & after.keys() if before[path] != after[path]} == {
        "docs/guide.md", "assets/logo.bin",
    }  # fmt: skip
    assert content(bed, sha, "docs/guide.md") == b"short\r\nnow"
    assert content(bed, sha, "assets/logo.bin") == BINARY[::-1]
    assert content(bed, sha, "new/deep/naïve 日本.txt") == "über\n".encode()
    assert content(bed, sha, "plain.txt") == b"text all the same\n"
    assert after["bin/run"][0] == "100755"
    assert again.startswith("no_change:")


async def test_a_commit_of_texts_is_three_changes_and_reads_only_the_folders_on_the_way(
    bed: Bed, tmp_path: Path, branch: str
) -> None:
    async with bed.server(tmp_path) as called:
        await called.record(
            "commit_files", branch=branch, message="m", files=[file("src/deep/one.py"), file("top.txt")]
        )
    asked = [one.split("/")[1:3] for one in paths(bed)]
    assert asked == [
        [], ["git", "ref"], ["git", "commits"], ["git", "trees"], ["git", "trees"], ["git", "trees"],
        ["git", "trees"], ["git", "commits"], ["git", "refs"],
    ]  # fmt: skip
    writes = bed.proxy.writes()
    assert [one.method for one in writes] == ["POST", "POST", "PATCH"]
    assert writes[-1].json() == {"sha": head(bed, branch), "force": False}
    assert writes[0].json()["tree"][0] == {
        "path": "src/deep/one.py",
        "mode": "100644",
        "type": "blob",
        "content": "x\n",
    }


async def test_an_executable_file_stays_one(bed: Bed, tmp_path: Path, branch: str) -> None:
    async with bed.server(tmp_path) as called:
        await called.record("commit_files", branch=branch, message="m", files=[file("go.sh", "1\n", executable=True)])
        await called.record("commit_files", branch=branch, message="m", files=[file("go.sh", "2\n")])
    assert tree(bed, head(bed, branch))["go.sh"][0] == "100755"


async def test_of_two_commits_at_once_one_wins_and_the_other_is_told_where_the_branch_is(
    bed: Bed, tmp_path: Path, branch: str
) -> None:
    # Both have made their commits before either moves the branch.
    barrier = threading.Barrier(2, timeout=20)

    def together(request: Request, proper: Any) -> Any:
        barrier.wait()
        return proper(request)

    said: list[tuple[bool, str]] = []
    async with bed.server(tmp_path) as called:
        bed.proxy.fault("PATCH", ".*/git/refs/heads/.*", together, times=2)

        async def one(name: str) -> None:
            said.append(
                await called.call("commit_files", branch=branch, message=name, files=[file("shared.txt", f"{name}\n")])
            )

        async with anyio.create_task_group() as group:
            group.start_soon(one, "first")
            group.start_soon(one, "second")
        assert sorted(failed for failed, _ in said) == [False, True]
        lost = next(text for failed, text in said if failed)
        sha = head(bed, branch)
        assert lost.startswith("conflict:")
        assert f"expected_head={sha}" in lost
        stale = await called.error(
            "commit_files", branch=branch, message="m", files=[file("a")], expected_head=bed.furniture.head
        )
        assert stale.startswith("conflict:")
        assert f"is at {sha[:12]}, not at {bed.furniture.head[:12]}" in stale
    winner = bed.call("GET", f"{HERE}/git/commits/{sha}")
    assert content(bed, sha, "shared.txt").decode().strip() == winner["message"]
    assert [one["sha"] for one in winner["parents"]] == [bed.furniture.head]
    assert len(bed.proxy.sent("PATCH")) == 2


@pytest.mark.parametrize("step", ["blobs", "trees", "commits"])
async def test_before_the_branch_is_moved_a_failure_leaves_nothing_and_says_so(
    bed: Bed, tmp_path: Path, branch: str, step: str
) -> None:
    files = [file("image.bin", base64.b64encode(b"\xff\0").decode(), encoding="base64")]
    async with bed.server(tmp_path) as called:
        bed.proxy.fault("POST", f".*/git/{step}", faults.lost_after_commit(), times=1)
        lost = await called.error("commit_files", branch=branch, message="m", files=files)
        bed.proxy.fault("POST", f".*/git/{step}", faults.lacks_permission("contents=write"), times=1)
        refused = await called.error("commit_files", branch=branch, message="m", files=files)
        assert head(bed, branch) == bed.furniture.head
        await called.record("commit_files", branch=branch, message="m", files=files)
    assert lost.startswith("not_committed: The branch is as it was")
    assert "may be repeated" in lost
    assert refused.startswith("forbidden: The branch is as it was")
    assert content(bed, head(bed, branch), "image.bin") == b"\xff\0"


async def test_a_lost_answer_at_the_last_step_is_unknown_and_sent_once(bed: Bed, tmp_path: Path, branch: str) -> None:
    async with bed.server(tmp_path) as called:
        bed.proxy.fault("PATCH", ".*/git/refs/.*", faults.hangs_up_after_commit(), times=1)
        error = await called.error("commit_files", branch=branch, message="m", files=[file("lost.txt")])
    sha = head(bed, branch)
    assert error.startswith("outcome_unknown:")
    assert f'list_commits(repo="{PUBLIC}", ref="{branch}", limit=1): whether it is {sha}' in error
    assert len(bed.proxy.sent("PATCH")) == 1
    assert "lost.txt" in tree(bed, sha)


async def test_a_protected_branch_points_to_a_pull_request(bed: Bed, tmp_path: Path, branch: str) -> None:
    message = "Repository rule violations found\n\nChanges must be made through a pull request."
    async with bed.server(tmp_path) as called:
        bed.proxy.fault("PATCH", ".*/git/refs/.*", faults.invalid(message=message))
        error = await called.error("commit_files", branch=branch, message="m", files=[file("a.txt")])
    assert error.startswith("protected:")
    assert "create_pull" in error
    assert head(bed, branch) == bed.furniture.head


async def test_an_empty_repository_and_a_branch_that_is_not_there_are_explained(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        missing = await called.error("commit_files", branch="nowhere", message="m", files=[file("a.txt")])
        bed.proxy.fault("GET", ".*/git/ref/.*", faults.refuses(409, "Git Repository is empty."))
        empty = await called.error("commit_files", branch="main", message="m", files=[file("a.txt")])
        branched = await called.error("create_branch", branch="b")
    assert missing.startswith("not_found: There is no branch nowhere")
    assert "create_branch" in missing
    for error in (empty, branched):
        assert error.startswith("empty_repository: The repository has no commit yet")
    assert bed.proxy.writes() == []


LEADING_OUT = [
    "", "/", "/etc/passwd", "a//b", "a/", "../a", "a/../b", "./a", "a/.", "a\\b", "a\nb", "a\0b", "\x7f", "x" * 4097,
    ".git/config", "a/.GIT/hooks/pre-commit", ".git", ".git ", ".git.", "git~1/config", ".g\u200cit/config",
    ".git::$INDEX_ALLOCATION/config", "\ufeff.git/config",
]  # fmt: skip


@pytest.mark.parametrize("path", LEADING_OUT)
def test_a_path_that_git_or_a_file_system_would_take_for_another_is_refused(path: str) -> None:
    with pytest.raises(CallError) as caught:
        checked([FileChange(path=path)])
    assert caught.value.code == "bad_path"


@pytest.mark.parametrize("path", [".gitignore", ".github/workflows/ci.yml", "a.git/b", "git/x", ODD, *FILES])
def test_an_odd_path_that_is_none_of_these_may_be_written(path: str) -> None:
    assert checked([FileChange(path=path)])[0].path == path


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ([file("a"), file("a")], "bad_path"),
        ([file("Read.me"), file("read.ME")], "bad_path"),
        ([file("a"), file("a/b")], "bad_path"),
        ([file("a", "AAA", encoding="base64")], "bad_content"),
        ([file("a", "not base64!", encoding="base64")], "bad_content"),
        ([file("a", delete=True)], "bad_content"),
        ([file("a", "", delete=True, executable=True)], "bad_content"),
        ([file("a", "x" * (MOST_BYTES // 2)), file("b", "y" * (MOST_BYTES // 2 + 1))], "too_large"),
    ],
)
def test_files_that_contradict_each_other_or_are_no_files_are_refused(files: list[dict[str, Any]], code: str) -> None:
    with pytest.raises(CallError) as caught:
        checked([FileChange.model_validate(one) for one in files])
    assert caught.value.code == code


def test_a_file_can_change_the_letter_case_of_its_name() -> None:
    assert len(checked([FileChange(path="Read.me", delete=True), FileChange(path="read.me")])) == 2


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"files": [{"path": "gone.txt", "delete": True}]}, "not_found", "gone.txt is not in the branch"),
        ({"files": [{"path": "docs/none/gone.txt", "delete": True}]}, "not_found", "is not in the branch"),
        ({"files": [{"path": "docs", "delete": True}]}, "bad_path", "docs is a folder"),
        ({"files": [file("docs")]}, "bad_path", "docs is a folder"),
        ({"files": [file("CODEOWNERS/x")]}, "bad_path", "CODEOWNERS is a file, no folder"),
        ({"files": [file("readme.MD")]}, "bad_path", "README.md is there already, in other letter case"),
        ({"files": [file("Docs/more.md")]}, "bad_path", "docs is there already, in other letter case"),
        ({"files": []}, "invalid_arguments", "files"),
        ({"files": [file(f"f{number}") for number in range(201)]}, "invalid_arguments", "files"),
        ({"files": [{**file("a"), "mode": "120000"}]}, "invalid_arguments", "mode"),
        ({"files": [file("a")], "message": " "}, "no_message", "message"),
        ({"files": [file("a")], "expected_head": "main"}, "bad_ref", "expected_head"),
        ({"files": [file("a")], "branch": "a..b"}, "bad_ref", "branch"),
        ({"files": [file("a", "[redacted: github token]\n")]}, "masked_text", "mask"),
    ],
)
async def test_what_would_lose_something_or_mean_nothing_is_refused_before_any_change(
    bed: Bed, tmp_path: Path, given: dict[str, Any], code: str, said: str
) -> None:
    async with bed.server(tmp_path) as called:
        error = await called.error("commit_files", **{"branch": "stale", "message": "m", **given})
    assert error.startswith(f"{code}:")
    assert said in error
    assert bed.proxy.writes() == []


@pytest.mark.parametrize(("mode", "said"), [("120000", "a symbolic link"), ("160000", "a submodule")])
async def test_a_link_or_a_submodule_is_not_written_over(bed: Bed, tmp_path: Path, mode: str, said: str) -> None:
    kind = "commit" if mode == "160000" else "blob"

    def listed(request: Request) -> Any:
        answer = bed.proxy.ask(request).json()
        return {**answer, "tree": [*answer["tree"], {"path": "odd.lnk", "mode": mode, "type": kind, "sha": "0" * 40}]}

    async with bed.server(tmp_path) as called:
        bed.proxy.fault("GET", ".*/git/trees/.*", lambda request, _: as_json(listed(request)))
        error = await called.error("commit_files", branch="stale", message="m", files=[file("odd.lnk")])
    assert f"odd.lnk is {said}" in error
    assert bed.proxy.writes() == []


async def test_a_file_becomes_another_letter_case_in_one_commit(bed: Bed, tmp_path: Path, branch: str) -> None:
    async with bed.server(tmp_path) as called:
        files = [{"path": "README.md", "delete": True}, file("readme.md")]
        await called.record("commit_files", branch=branch, message="m", files=files)
    names = tree(bed, head(bed, branch)).keys()
    assert "readme.md" in names
    assert "README.md" not in names


ASKED: list[tuple[str, dict[str, Any], str]] = [
    ("the default branch", {"branch": "main", "files": [file("a.txt", "for all")]}, "it changes the default branch, main."),
    ("the default branch by its full name", {"branch": "refs/heads/main", "files": [file("a.txt", "for all")]}, "the default branch, main."),
    ("a workflow", {"branch": "stale", "files": [file(".github/workflows/x.yml", "for all")]}, "what runs or who reviews: .github/workflows/x.yml"),
    ("a workflow in another case", {"branch": "stale", "files": [file(".GitHub/workflows/x.yml", "for all")]}, "what runs or who reviews"),
    ("the owners", {"branch": "stale", "files": [{"path": "CODEOWNERS", "delete": True}]}, "what runs or who reviews: CODEOWNERS"),
    ("the owners in docs", {"branch": "stale", "files": [file("docs/CODEOWNERS", "for all")]}, "who reviews: docs/CODEOWNERS"),
    ("another repository", {"branch": "stale", "repo": SITE, "files": [file("a.txt", "for all")]}, f"{SITE} is not the default repository"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "reason"), [one[1:] for one in ASKED], ids=[one[0] for one in ASKED])
async def test_the_person_is_asked_and_a_no_means_that_nothing_was_sent(
    bed: Bed, tmp_path: Path, given: dict[str, Any], reason: str
) -> None:
    async with bed.server(tmp_path, says=refusing) as called:
        assert (await called.error("commit_files", message="Of the person's", **given)).startswith("declined:")
        question = called.questions[0]
    assert bed.proxy.writes() == []
    assert reason in question
    assert f"In {given.get('repo', PUBLIC)} (everybody can read it)." in question
    assert f"Files: {given['files'][0]['path']}." in question
    assert "Of the person's" in question
    assert given["files"][0].get("content", "") in question
    async with bed.server(tmp_path / "cannot", says=None) as called:
        assert "gatelodge approve" in await called.error("commit_files", message="m", **given)
    assert bed.proxy.writes() == []


async def test_a_yes_lets_exactly_that_commit_through(bed: Bed, tmp_path: Path) -> None:
    commit(bed.emulator, PUBLIC, "main", {"moved.txt": b"by somebody\n"}, "Meanwhile")
    async with bed.server(tmp_path) as called:
        found = await called.record("commit_files", branch="main", message="Yes", files=[file("yes.txt", "yes\n")])
    assert len(called.questions) == 1
    assert head(bed, "main") == found["sha"]
    assert content(bed, found["sha"], "docs/guide.md") == TEXT.replace("line 7 ", "line seven ").encode()


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("create_branch", {"branch": "canary-of-alice"}),
        ("commit_files", {"branch": "stale", "message": "m", "files": [file("a.txt", "canary")]}),
    ],
)
async def test_what_was_read_in_private_goes_into_no_public_branch_unasked(
    bed: Bed, tmp_path: Path, tool: str, given: dict[str, Any]
) -> None:
    async with bed.server(tmp_path, says=refusing) as called:
        await called.text("get_issue", number=1, repo=PRIVATE)
        assert (await called.error(tool, **given)).startswith("declined:")
    assert PRIVATE in called.questions[0]
    assert "canary" in called.questions[0]
    assert bed.proxy.writes() == []
    async with bed.server(tmp_path / "no", write_repos=["acme/*"]) as called:
        assert (await called.error(tool, **given)).startswith("repo_not_writable:")
    async with bed.server(tmp_path / "read", read_only=True) as called:
        assert tool not in {one.name for one in (await called.client.list_tools()).tools}
    assert bed.proxy.requests == []


@pytest.mark.parametrize(
    "given",
    [
        {"files": [file("a.txt", f"token = {token_of('bob')}\n")]},
        {"files": [file("a.bin", base64.b64encode(f"x {token_of('bob')}\n".encode()).decode(), encoding="base64")]},
        {"message": f"use {token_of('bob')}"},
        {"files": [file(f"{token_of('bob')}.txt")]},
    ],
    ids=["text", "base64", "message", "path"],
)
async def test_a_secret_in_any_argument_is_refused(bed: Bed, tmp_path: Path, given: dict[str, Any]) -> None:
    async with bed.server(tmp_path) as called:
        error = await called.error("commit_files", **{"branch": "stale", "message": "m", "files": [file("a")], **given})
    assert error.startswith("denied_by_policy:")
    assert token_of("bob") not in error
    assert bed.proxy.writes() == []


async def test_who_may_not_push_is_told_so_and_the_branch_stays(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path, "mallory") as called:
        error = await called.error("commit_files", branch="stale", message="m", files=[file("a.txt")])
    assert error.startswith("forbidden:")
    assert head(bed, "stale") == bed.furniture.before


async def test_more_binary_files_than_a_minute_allows_are_refused_at_once(bed: Bed, tmp_path: Path) -> None:
    many = [file(f"{number}.bin", "/w==", encoding="base64") for number in range(4)]
    async with bed.server(tmp_path, writes_per_minute=5) as called:
        error = await called.error("commit_files", branch="stale", message="m", files=many)
    assert error.startswith("write_limit: this takes 7 changes, and 5 may be made in a minute")
    assert bed.proxy.writes() == []
