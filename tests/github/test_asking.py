"""What people are asked about a change whatever was read before, and what they are shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from gatelodge_github.asking import doubts

from tests.github import faults
from tests.github.emulator import PRIVATE, PUBLIC, Emulator
from tests.github.furnishing import SECRET_LINE, Furniture
from tests.github.loopback import Answer, as_json
from tests.github.proxy import Proxy
from tests.github.pulling import foreign
from tests.github.questions import call_of, no, reasons
from tests.github.support import Called, server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def outside(emulator: Emulator, content: Furniture) -> str:
    """The commit of a pull request from an outsider's fork."""
    number = foreign(emulator)
    head: str = emulator.call("GET", f"/repos/{PUBLIC}/pulls/{number}")["head"]["sha"]
    assert content.head != head
    return head


# What everybody builds on


@pytest.mark.parametrize(
    ("branch", "asked"),
    [
        ("main", True),
        ("refs/heads/main", True),
        ("feature", False),
        ("refs/heads/feature", False),
        ("mainline", False),
        ("Main", False),
        ("feature/main", False),
        ("heads/main", False),
    ],
)
async def test_a_commit_to_the_default_branch_is_asked_about_however_it_is_named(
    called: Called, branch: str, asked: bool
) -> None:
    arguments = {"branch": branch, "message": "x", "files": [{"path": "x", "content": "x"}]}
    found = await reasons(called.hub, "commit_files", **arguments)
    assert found == (["it changes the default branch, main."] if asked else [])


@pytest.mark.parametrize(
    "branch",
    [" main", "main ", "main\n", "main\0", "refs/heads/refs/heads/main", "main~0", "main^{}", "HEAD", "./main"],
)
async def test_no_other_spelling_of_the_default_branch_reaches_it(
    called: Called, proxy: Proxy, branch: str, content: Furniture
) -> None:
    file = {"path": "spelt.txt", "content": "x"}
    failed, told = await called.call("commit_files", branch=branch, message="x", files=[file])
    assert failed, told
    assert [one for one in proxy.writes() if one.method == "PATCH"] == []


@pytest.mark.parametrize("unknown", [{"default_branch": ""}, {"default_branch": None}, None])
async def test_where_the_default_branch_is_not_known_every_branch_could_be_it(
    called: Called, proxy: Proxy, unknown: dict[str, Any] | None
) -> None:
    def told(request: Any, proper: Any) -> Answer:
        return as_json({**proper(request).json(), **unknown}) if unknown else Answer(502)

    proxy.fault("GET", f"/repos/{PUBLIC}", told)
    arguments = {"branch": "feature", "message": "x", "files": [{"path": "x", "content": "x"}]}
    assert await reasons(called.hub, "commit_files", **arguments) == ["it changes the default branch, feature."]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (".github/workflows/x.yml", True), (".GITHUB/workflows/x.yml", True), ("./.github/workflows/x.yml", True),
        ("/.github/workflows/x.yml", True), (".github//workflows/x.yml", True), (".github\\workflows\\x.yml", True),
        (".github", True), (".github/copilot-instructions.md", True), (".github/actions/a/action.yml", True),
        ("CODEOWNERS", True), ("docs/CODEOWNERS", True), (".github/CODEOWNERS", True), ("codeowners", True),
        (".gitmodules", True), (".circleci/config.yml", True), (".gitlab-ci.yml", True), (".travis.yml", True),
        ("azure-pipelines.yml", True), ("Jenkinsfile", True), (".buildkite/pipeline.yml", True), (".drone.yml", True),
        ("github/workflows/x.yml", False), ("docs/.github/x.yml", False), (".githubx/y", False), ("src/CODEOWNERS", False),
        ("README.md", False), ("src/main.py", False),
    ],
)  # fmt: skip
async def test_a_change_of_what_runs_or_who_reviews_is_asked_about_on_any_branch(
    called: Called, path: str, asked: bool
) -> None:
    for change in ({"content": "x"}, {"delete": True}):
        arguments = {"branch": "feature", "message": "x", "files": [{"path": "a.txt"}, {"path": path, **change}]}
        found = await reasons(called.hub, "commit_files", **arguments)
        assert len(found) == asked
        assert not asked or found[0].startswith("it changes what runs or who reviews: ")


async def test_a_branch_from_a_strangers_commit_is_asked_about_since_its_workflows_would_run(
    called: Called, content: Furniture, outside: str, proxy: Proxy
) -> None:
    for start in (
        "",
        "main",
        "feature",
        "v1.0.0",
        "refs/heads/main",
        content.head,
        content.head[:8],
        content.before,
    ):
        assert await reasons(called.hub, "create_branch", branch="x", from_ref=start) == [], start
    for start in (outside, outside[:7], outside.upper(), "refs/pull/5/head", "pull/5/head", "0" * 40):
        (reason,) = await reasons(called.hub, "create_branch", branch="x", from_ref=start)
        assert "workflows would run" in reason
    # Named by a rule or not: nobody can know in advance whose commit it is.
    found = await doubts(called.hub, call_of("create_branch", {"branch": "x", "from_ref": outside}))
    assert [doubt.subject for doubt in found] == [None]
    assert "declined" in await called.error("create_branch", branch="x", from_ref=outside)
    assert proxy.writes() == []


# What is always asked


async def always(content: Furniture) -> dict[str, dict[str, Any]]:
    return {
        "merge_pull": {"number": content.pull, "expected_head": content.feature},
        "run_workflow": {"action": "dispatch", "workflow": "ci.yml"},
        "create_release": {"tag": "v9"},
        "create_repo": {"name": "new"},
        "review_pull": {"number": content.pull, "event": "approve", "expected_head": content.feature},
    }


async def test_merging_starting_releasing_making_and_approving_are_asked_about_even_where_one_may_write(
    proxy: Proxy, emulator: Emulator, tmp_path: Path, content: Furniture
) -> None:
    given: dict[str, Any] = {"repo": PUBLIC, "write_repos": ["*/*"]}
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], **given, says=no) as called:
        for count, (name, arguments) in enumerate((await always(content)).items(), 1):
            assert "declined" in await called.error(name, **arguments), name
            assert len(called.questions) == count, name
        for draft in (True, False):
            await called.error("create_release", tag="v9", draft=draft)
            assert ("drafts" if draft else "publishes") in called.questions[-1]
        for action in ("rerun", "rerun_failed", "cancel"):
            assert "declined" in await called.error("run_workflow", action=action, run_id=1)
    assert proxy.writes() == []


async def test_the_question_shows_the_target_who_can_read_it_what_was_read_before_and_everything_that_goes_out(
    called: Called, content: Furniture
) -> None:
    body = "First line\nrepo: alice/private-repo\nIn alice/private-repo (private).\ntitle: harmless\n"
    await called.text("get_file", repo=PRIVATE, path="vault.txt")
    await called.text("get_issue", number=content.outside)
    assert "declined" in await called.error(
        "create_issue", title="A title", body=body, labels=["bug"], assignees=["bob"]
    )
    (question,) = called.questions
    assert question.startswith(f"Gatelodge github: create_issue asks to do this (private text was read ({PRIVATE})")
    assert f"In {PUBLIC} (everybody can read it)." in question
    assert f"Private text was read before: {PRIVATE}." in question
    assert "Text by people who can't push was read before." in question
    for part in ("title: A title", '"bug"', '"bob"', "| First line", "| title: harmless", "| repo: alice/private-repo"):
        assert part in question
    # Nothing in an argument can look like another argument, or like what we say.
    lines = question.splitlines()
    assert [line for line in lines if line.startswith(("title:", "repo:", "In "))] == [
        f"In {PUBLIC} (everybody can read it).", "title: A title"
    ]  # fmt: skip
    assert SECRET_LINE not in question


async def test_what_is_long_comes_last_so_that_a_short_argument_is_never_cut_off(called: Called) -> None:
    files = [{"path": "a.txt", "content": "x" * 9000}, {"path": "CODEOWNERS", "content": "* @mallory\n"}]
    assert "declined" in await called.error("commit_files", branch="feature", message="The message", files=files)
    (question,) = called.questions
    assert "Files: a.txt, CODEOWNERS." in question
    assert "message: The message" in question
    assert "branch: feature" in question
    assert re.search(r"cut; the whole is \d{4,} characters, sha256:[0-9a-f]{64}", question)


async def test_hidden_characters_and_huge_arguments_can_not_bend_a_reason(called: Called) -> None:
    path = ".github/x\u202e).yml\n\nGatelodge: nothing to see" + "y" * 3000
    (reason,) = await reasons(called.hub, "commit_files", branch="b", message="m", files=[{"path": path}])
    assert len(reason) < 300
    assert "\n" not in reason
    assert "\u202e" not in reason
    await called.error("commit_files", branch="feature\u200b" * 50, message="\x1b[2Jm\u202e", files=[{"path": path}])
    assert not re.search("[\x1b\u202e\u200b]", called.questions[-1])


async def test_the_question_is_still_put_when_more_about_a_pull_request_can_not_be_had(
    called: Called, proxy: Proxy, content: Furniture
) -> None:
    proxy.fault("GET", r".*/(check-runs|status)", faults.refuses(500))
    arguments = (await always(content))["merge_pull"]
    assert "declined" in await called.error("merge_pull", **arguments)
    assert f"In {PUBLIC}" in called.questions[0]
    assert content.feature in called.questions[0]
