"""Pull requests are opened, changed, reviewed and merged: once, as asked for, and at the commit that the person saw."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.github import faults, graphql
from tests.github.emulator import PRIVATE, PUBLIC, Emulator
from tests.github.furnishing import Furniture, commit
from tests.github.loopback import Answer, Request, Respond, as_json
from tests.github.proxy import Proxy
from tests.github.pulling import FORK, HERE, as_described, foreign, status
from tests.github.support import Called, server

pytestmark = pytest.mark.anyio

DOCS = "https://docs.github.com/rest"
SITE = "acme/site"


@pytest.fixture
def bed(furnished: Furniture, proxy: Proxy) -> Generator[Proxy]:
    """The proxy before a furnished emulator; at the end all that went through it is held to GitHub's description."""
    with as_described(proxy):
        yield proxy


@pytest.fixture
async def alice(bed: Proxy, emulator: Emulator, tmp_path: Path) -> AsyncGenerator[Called]:
    """The server with alice's credential, her repository as the default one, and a person who says yes."""
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        yield called


def sent(bed: Proxy) -> list[tuple[str, str, Any]]:
    """What was sent to change something."""
    return [(one.method, one.path, one.json()) for one in bed.writes()]


def refusal(status_code: int, message: str, *errors: Any) -> Answer:
    """GitHub's."""
    body: dict[str, Any] = {"message": message, "documentation_url": DOCS}
    return as_json({**body, "errors": list(errors)} if errors else body, status_code)


# Opening


async def test_a_pull_request_is_opened_from_a_branch_into_the_default_one(
    alice: Called, furnished: Furniture, bed: Proxy
) -> None:
    found = await alice.record("create_pull", title="Stale", head="stale", draft=True)
    assert sent(bed) == [("POST", f"{HERE}/pulls", {"title": "Stale", "head": "stale", "base": "main", "draft": True})]
    assert found == {
        "number": furnished.pull + 1,
        "url": f"{bed.url}/{PUBLIC}/pull/{furnished.pull + 1}",
        "state": "draft",
        "base": "main",
        "sha": furnished.before,
        "head": "stale",
    }
    assert alice.questions == []


async def test_reviewers_are_asked_for_with_a_second_request(alice: Called, furnished: Furniture, bed: Proxy) -> None:
    found = await alice.record("create_pull", title="S", head="stale", base="release/1.x", body="B", reviewers=["bob"])
    number = found["number"]
    assert sent(bed) == [
        ("POST", f"{HERE}/pulls", {"title": "S", "head": "stale", "base": "release/1.x", "body": "B"}),
        ("POST", f"{HERE}/pulls/{number}/requested_reviewers", {"reviewers": ["bob"]}),
    ]
    assert found["reviewers"] == ["bob"]


async def test_a_team_is_named_with_its_organisation(
    bed: Proxy, furnished: Furniture, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.call("POST", "/orgs/acme/teams", {"name": "Core"})
    commit(emulator, SITE, "new", {"a.txt": b"a\n"}, "A")
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=SITE) as called:
        assert (await called.error("create_pull", title="T", head="new", reviewers=["other/core"])).startswith(
            "bad_reviewer"
        )
        assert bed.writes() == []
        found = await called.record("create_pull", title="T", head="new", reviewers=["acme/core", "carol"])
    assert sent(bed)[-1][2] == {"reviewers": ["carol"], "team_reviewers": ["core"]}
    assert found["reviewers"] == ["carol", "acme/core"]


async def test_when_the_reviewers_fail_the_pull_request_stands_and_that_is_said(
    alice: Called, furnished: Furniture, bed: Proxy
) -> None:
    error = "Reviews may only be requested from collaborators."
    bed.fault("POST", r".*/requested_reviewers", faults.says(refusal(422, error)))
    found = await alice.record("create_pull", title="S", head="stale", reviewers=["mallory"])
    assert found["number"] == furnished.pull + 1
    assert error in found["problem"]
    assert f"Don't open it again: update_pull({found['number']}, add_reviewers=...)." in found["problem"]


async def test_one_that_exists_is_pointed_to(alice: Called, furnished: Furniture, bed: Proxy) -> None:
    said = {"resource": "PullRequest", "code": "custom", "message": "A pull request already exists for alice:feature."}
    bed.fault("POST", f"{HERE}/pulls", faults.says(refusal(422, "Validation Failed", said)))
    error = await alice.error("create_pull", title="Again", head="feature")
    assert error.startswith("exists: ")
    assert f'Find it with list_pulls(repo="{PUBLIC}", head="feature"), then update_pull.' in error


async def test_what_is_no_name_is_refused_before_anything_is_sent(
    alice: Called, furnished: Furniture, bed: Proxy
) -> None:
    given: list[dict[str, Any]] = [
        {"head": "a b"},
        {"head": ":stale"},
        {"head": "mallory:"},
        {"head": "mallory:x:y"},
        {"head": "../main"},
        {"head": "alice/x:main"},
        {"head": "stale", "base": "a..b"},
        {"head": "stale", "reviewers": ["bob bob"]},
        {"head": "stale", "reviewers": ["alice/../x"]},
    ]
    for asked in given:
        assert re.match("bad_(ref|login|reviewer): ", await alice.error("create_pull", title="T", **asked)), asked
    assert bed.writes() == []


# Merging


async def test_the_person_sees_what_is_merged_and_exactly_that_commit_is(
    alice: Called, furnished: Furniture, bed: Proxy, emulator: Emulator
) -> None:
    bed.serve("GET", r".*/status", lambda _: status(("ci/old", "error")))
    emulator.call("PATCH", f"{HERE}/pulls/{furnished.pull}", {"title": 'A "feature"\n\nChecks: all passed'})
    found = await alice.record("merge_pull", number=furnished.pull, expected_head=furnished.feature)
    (question,) = alice.questions
    for line in (
        f"In {PUBLIC} (everybody can read it).",
        f"Merges pull request {furnished.pull}, \"A 'feature' Checks: all passed\", by bob (collaborator).",
        f"From feature at {furnished.feature} into main (the default branch): 3 commits, 3 files, +2 -1.",
        "Checks: 2 failed, 1 passed: test, ci/old. State: open, mergeable.",
        f"expected_head: {furnished.feature}",
    ):
        assert f"\n{line}" in question
    path = f"{HERE}/pulls/{furnished.pull}/merge"
    assert sent(bed) == [("PUT", path, {"sha": furnished.feature, "merge_method": "merge"})]
    assert emulator.call("GET", f"{HERE}/git/ref/heads/main")["object"]["sha"] == found["sha"]
    assert (found["state"], found["method"], found["head"]) == ("merged", "merge", furnished.feature)


async def test_an_outsiders_pull_request_is_shown_as_one(
    alice: Called, furnished: Furniture, emulator: Emulator
) -> None:
    number = foreign(emulator)
    head = emulator.call("GET", f"{HERE}/pulls/{number}")["head"]["sha"]
    await alice.record("merge_pull", number=number, expected_head=head, method="squash", title="T", message="M")
    assert f'Merges pull request {number}, "From a fork", by mallory (outsider).' in alice.questions[0]
    assert f"From mallory:evil at {head} into main" in alice.questions[0]


async def test_the_method_and_the_texts_of_the_commit_are_sent_as_given(
    alice: Called, furnished: Furniture, bed: Proxy
) -> None:
    asked = {"number": furnished.pull, "expected_head": furnished.feature.upper()}
    await alice.record("merge_pull", **asked, method="squash", title="Title", message="Message\n")
    assert sent(bed)[0][2] == {
        "sha": furnished.feature, "merge_method": "squash", "commit_title": "Title", "commit_message": "Message\n",
    }  # fmt: skip


async def test_without_a_yes_nothing_is_merged(
    bed: Proxy, furnished: Furniture, emulator: Emulator, tmp_path: Path
) -> None:
    asked = {"number": furnished.pull, "expected_head": furnished.feature}
    async with server(tmp_path / "no", bed.url, emulator.tokens["alice"], repo=PUBLIC, says=lambda _: False) as called:
        assert (await called.error("merge_pull", **asked)).startswith("declined: ")
        assert len(called.questions) == 1
    async with server(tmp_path / "mute", bed.url, emulator.tokens["alice"], repo=PUBLIC, says=None) as called:
        assert (await called.error("merge_pull", **asked)).startswith("approval_required: ")
    assert bed.writes() == []


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_head_that_moves_after_the_yes_is_not_merged(
    bed: Proxy, furnished: Furniture, emulator: Emulator, tmp_path: Path, mode: Literal["auto", "legacy"]
) -> None:
    def pushes_and_says_yes(_: str) -> bool:
        _push(emulator, bed, furnished)
        return True

    async with server(
        tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC, says=pushes_and_says_yes, mode=mode
    ) as called:
        error = await called.error("merge_pull", number=furnished.pull, expected_head=furnished.feature)
    assert "head_moved: " in error
    assert bed.writes() == []


def _push(emulator: Emulator, bed: Proxy, furnished: Furniture) -> str:
    """A push to the branch, which the emulator's pull request doesn't see by itself."""
    sha = commit(emulator, PUBLIC, "feature", {"src/new.py": b"evil = 1\n"}, "Slipped in", login="bob")
    pull = emulator.call("GET", f"{HERE}/pulls/{furnished.pull}")
    pull["head"]["sha"] = sha
    bed.serve("GET", f"{HERE}/pulls/{furnished.pull}", lambda _: pull)
    return sha


async def test_a_head_that_moves_just_before_the_merge_is_refused_by_github(
    alice: Called, furnished: Furniture, bed: Proxy
) -> None:
    def pushed_meanwhile(request: Request, proper: Respond) -> Answer:
        return refusal(409, "Head branch was modified. Review and try the merge again.")

    bed.fault("PUT", r".*/merge", pushed_meanwhile)
    error = await alice.error("merge_pull", number=furnished.pull, expected_head=furnished.feature)
    assert error.startswith("conflict: ")
    assert "Head branch was modified" in error
    assert len(bed.writes()) == 1


async def test_no_other_commit_than_the_whole_head_is_taken_and_nobody_is_asked(
    alice: Called, furnished: Furniture, bed: Proxy
) -> None:
    # A few digits of a hash can be met on purpose.
    for given in ("0" * 40, furnished.feature[:12], furnished.feature[:39], f"{furnished.feature}0", furnished.before):
        error = await alice.error("merge_pull", number=furnished.pull, expected_head=given)
        assert "head_moved: " in error
        assert furnished.feature in error
    assert "head_needed: " in await alice.error("merge_pull", number=furnished.pull, expected_head="")
    assert "expected_head is required" in await alice.error("merge_pull", number=furnished.pull)
    assert (alice.questions, bed.writes()) == ([], [])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"draft": True}, 'draft: pull request 4 is a draft. update_pull(4, draft="no")'),
        ({"state": "closed"}, "closed: "),
        ({"state": "closed", "merged": True}, "already_merged: "),
        ({"mergeable": False, "mergeable_state": "dirty"}, "conflicts: pull request 4 conflicts with main."),
    ],
)
async def test_what_can_not_be_merged_is_refused_with_its_reason_before_anybody_is_asked(
    alice: Called, furnished: Furniture, emulator: Emulator, bed: Proxy, changes: dict[str, Any], code: str
) -> None:
    pull = {**emulator.call("GET", f"{HERE}/pulls/{furnished.pull}"), **changes}
    bed.serve("GET", f"{HERE}/pulls/{furnished.pull}", lambda _: pull)
    assert code in await alice.error("merge_pull", number=furnished.pull, expected_head=furnished.feature)
    assert (alice.questions, bed.writes()) == ([], [])


async def test_what_github_alone_knows_comes_from_github(alice: Called, furnished: Furniture, bed: Proxy) -> None:
    bed.fault("PUT", r".*/merge", faults.says(refusal(405, "At least 1 approving review is required.")))
    error = await alice.error("merge_pull", number=furnished.pull, expected_head=furnished.feature)
    assert error.startswith("conflict: ")
    assert "At least 1 approving review is required." in error
    assert "not_found" in await alice.error("merge_pull", number=999, expected_head=furnished.feature)


@pytest.mark.parametrize("lost", [faults.lost_after_commit(), faults.hangs_up_after_commit()])
async def test_a_lost_answer_is_an_unknown_outcome_and_the_merge_is_sent_once(
    alice: Called, furnished: Furniture, proxy: Proxy, emulator: Emulator, lost: Callable[[Request, Respond], Answer]
) -> None:
    proxy.fault("PUT", r".*/merge", lost)
    error = await alice.error("merge_pull", number=furnished.pull, expected_head=furnished.feature)
    assert error.startswith("outcome_unknown: ")
    assert f'get_pull({furnished.pull}, repo="{PUBLIC}")' in error
    assert len(proxy.writes()) == 1
    assert emulator.call("GET", f"{HERE}/pulls/{furnished.pull}")["merged"] is True
    again = await alice.error("merge_pull", number=furnished.pull, expected_head=furnished.feature)
    assert "already_merged" in again
    assert len(proxy.writes()) == 1


async def test_a_policy_that_allows_merging_leaves_the_commit_bound(
    bed: Proxy, furnished: Furniture, emulator: Emulator, tmp_path: Path
) -> None:
    # DESTROY asks by its default: only a rule can settle that.
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\ntool = "merge_pull"\nthen = "allow"\n')
    settings: dict[str, Any] = {"repo": PUBLIC, "policy": str(policy), "says": None}
    async with server(tmp_path, bed.url, emulator.tokens["alice"], **settings) as called:
        assert "head_moved" in await called.error("merge_pull", number=furnished.pull, expected_head="0" * 40)
        assert bed.writes() == []
        found = await called.record("merge_pull", number=furnished.pull, expected_head=furnished.feature)
    assert found["state"] == "merged"


# Changing


async def test_only_what_is_given_is_sent(alice: Called, furnished: Furniture, bed: Proxy, emulator: Emulator) -> None:
    path = f"{HERE}/pulls/{furnished.pull}"
    await alice.text("get_pull", number=furnished.pull)
    for asked, wanted in (
        ({"title": "New"}, {"title": "New"}),
        ({"body": "New"}, {"body": "New"}),
        ({"clear_body": True}, {"body": ""}),
        ({"state": "closed"}, {"state": "closed"}),
        ({"state": "open", "base": "release/1.x"}, {"state": "open", "base": "release/1.x"}),
    ):
        bed.forget()
        await alice.record("update_pull", number=furnished.pull, **asked)
        assert sent(bed) == [("PATCH", path, wanted)]
        assert len(bed.requests) == 1
    pull = emulator.call("GET", path)
    assert [pull["title"], pull["body"], pull["state"], pull["base"]["ref"]] == ["New", "", "open", "release/1.x"]


async def test_reviewers_alone_leave_a_draft_a_draft(
    alice: Called, furnished: Furniture, bed: Proxy, emulator: Emulator
) -> None:
    # A tool that sent the fields it wasn't given made drafts ready, which then were merged (objectstack 12200).
    wanted = {"title": "Later", "head": "stale", "base": "main", "draft": True}
    number = emulator.call("POST", f"{HERE}/pulls", wanted)["number"]
    found = await alice.record("update_pull", number=number, add_reviewers=["bob"])
    assert sent(bed) == [("POST", f"{HERE}/pulls/{number}/requested_reviewers", {"reviewers": ["bob"]})]
    assert (found["state"], found["reviewers"], found["done"]) == ("draft", ["bob"], ["reviewers"])
    assert emulator.call("GET", f"{HERE}/pulls/{number}")["draft"] is True


async def test_nothing_to_change_is_an_error_without_a_request(alice: Called, furnished: Furniture, bed: Proxy) -> None:
    await alice.text("get_pull", number=furnished.pull)
    bed.forget()
    assert (await alice.error("update_pull", number=furnished.pull)).startswith("nothing_given: ")
    assert (await alice.error("update_pull", number=furnished.pull, body="x", clear_body=True)).startswith("invalid: ")
    assert bed.requests == []


async def test_a_draft_is_made_ready_and_a_draft_again_by_graphql(
    alice: Called, furnished: Furniture, proxy: Proxy, emulator: Emulator
) -> None:
    pull = emulator.call("GET", f"{HERE}/pulls/{furnished.pull}")
    answered = {"pullRequest": {"number": furnished.pull, "isDraft": True, "state": "OPEN"}}

    def done(_info: object, **_arguments: Any) -> dict[str, Any]:
        return answered

    root: dict[str, Any] = {"convertPullRequestToDraft": done, "markPullRequestReadyForReview": done}
    proxy.graphql(lambda document, variables: graphql.answer(document, variables, root))
    found = await alice.record("update_pull", number=furnished.pull, draft="yes")
    (asked,) = proxy.writes()
    assert "convertPullRequestToDraft" in asked.json()["query"]
    assert asked.json()["variables"] == {"pullRequestId": pull["node_id"]}
    assert (found["state"], found["done"]) == ("draft", ["draft"])
    proxy.forget()
    # It is ready already: nothing is sent.
    await alice.record("update_pull", number=furnished.pull, draft="no")
    assert proxy.writes() == []
    proxy.serve("GET", f"{HERE}/pulls/{furnished.pull}", lambda _: {**pull, "draft": True})
    await alice.record("update_pull", number=furnished.pull, draft="no")
    assert "markPullRequestReadyForReview" in proxy.writes()[0].json()["query"]


async def test_of_several_steps_the_one_that_failed_and_those_before_are_named(
    alice: Called, furnished: Furniture, bed: Proxy, emulator: Emulator
) -> None:
    bed.fault("POST", r".*/requested_reviewers", faults.lost_after_commit())
    asked: dict[str, Any] = {"title": "New", "add_reviewers": ["alice"], "update_branch": True}
    error = await alice.error("update_pull", number=furnished.pull, **asked)
    assert error.startswith("outcome_unknown: Done before: title. Failed: reviewers. ")
    assert [path.rpartition("/")[2] for _, path, _ in sent(bed)] == [str(furnished.pull), "requested_reviewers"]
    assert emulator.call("GET", f"{HERE}/pulls/{furnished.pull}")["title"] == "New"


async def test_the_branch_is_updated_from_the_head_that_was_read(
    alice: Called, furnished: Furniture, bed: Proxy
) -> None:
    found = await alice.record("update_pull", number=furnished.pull, update_branch=True)
    path = f"{HERE}/pulls/{furnished.pull}/update-branch"
    assert sent(bed) == [("PUT", path, {"expected_head_sha": furnished.feature})]
    assert found["done"] == ["branch is being updated"]
    assert alice.questions == []


async def test_updating_the_branch_of_a_fork_is_asked_about_and_held_to_the_allow_list(
    bed: Proxy, furnished: Furniture, emulator: Emulator, tmp_path: Path
) -> None:
    number = foreign(emulator)
    token = emulator.tokens["alice"]
    async with server(tmp_path / "ask", bed.url, token, repo=PUBLIC, says=lambda _: False) as called:
        assert (await called.error("update_pull", number=number, update_branch=True)).startswith("declined: ")
        assert f"it pushes to another repository, {FORK}." in called.questions[0]
        assert "by mallory (outsider)" in called.questions[0]
    settings: dict[str, Any] = {"repo": PUBLIC, "write_repos": [PUBLIC]}
    async with server(tmp_path / "gate", bed.url, token, **settings) as called:
        assert (await called.error("update_pull", number=number, update_branch=True)).startswith("repo_not_writable: ")
        assert called.questions == []
    assert bed.writes() == []


async def test_updating_a_branch_that_is_the_default_one_is_asked_about(
    bed: Proxy, furnished: Furniture, emulator: Emulator, tmp_path: Path
) -> None:
    wanted = {"title": "Down", "head": "main", "base": "release/1.x"}
    number = emulator.call("POST", f"{HERE}/pulls", wanted)["number"]
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC, says=lambda _: False) as called:
        assert (await called.error("update_pull", number=number, update_branch=True)).startswith("declined: ")
        assert "it pushes to the default branch, main." in called.questions[0]
    assert bed.writes() == []


# Reviewing


async def test_a_review_is_one_request_at_the_head_that_was_read(
    alice: Called, furnished: Furniture, bed: Proxy, emulator: Emulator
) -> None:
    comments = [
        {"path": "src/new.py", "line": 1, "body": "Why?"},
        {"path": "docs/guide.md", "line": 201, "start_line": 200, "side": "LEFT", "body": "Here."},
    ]
    found = await alice.record("review_pull", number=furnished.pull, body="Some notes.", comments=comments)
    assert sent(bed) == [
        ("POST", f"{HERE}/pulls/{furnished.pull}/reviews", {
            "commit_id": furnished.feature,
            "event": "COMMENT",
            "body": "Some notes.",
            "comments": [
                {"path": "src/new.py", "line": 1, "side": "RIGHT", "body": "Why?"},
                {"path": "docs/guide.md", "line": 201, "side": "LEFT", "body": "Here.", "start_line": 200, "start_side": "LEFT"},
            ],
        })
    ]  # fmt: skip
    assert (found["state"], found["sha"], found["comments"]) == ("commented", furnished.feature, 2)
    reviews = emulator.call("GET", f"{HERE}/pulls/{furnished.pull}/reviews")
    assert [one["body"] for one in reviews] == ["Not quite.", "Some notes."]
    assert alice.questions == []


async def test_a_review_that_github_would_refuse_is_not_sent(alice: Called, furnished: Furniture, bed: Proxy) -> None:
    given: list[dict[str, Any]] = [
        {},
        {"event": "request_changes"},
        {"event": "request_changes", "comments": [{"path": "a", "line": 1, "body": "x"}]},
        {"comments": [{"path": "a", "line": 0, "body": "x"}]},
        {"comments": [{"path": "a", "line": 1, "start_line": 2, "body": "x"}]},
        {"comments": [{"path": "a", "line": 1, "body": ""}]},
        {"comments": [{"path": "", "line": 1, "body": "x"}]},
    ]
    for asked in given:
        assert (await alice.error("review_pull", number=furnished.pull, **asked)).startswith("invalid: "), asked
    assert bed.writes() == []


async def test_a_line_outside_of_the_diff_is_explained(alice: Called, furnished: Furniture, bed: Proxy) -> None:
    said = "pull_request_review_thread.line must be part of the diff"
    bed.fault("POST", r".*/reviews", faults.says(refusal(422, "Unprocessable Entity", said)))
    comments = [{"path": "src/new.py", "line": 900, "body": "Here."}]
    error = await alice.error("review_pull", number=furnished.pull, comments=comments)
    assert error.startswith("bad_line: ")
    assert said in error
    assert "Nothing was posted. A comment must stand on a line that get_pull_diff shows" in error


async def test_an_approval_is_asked_about_and_bound_to_the_commit_that_was_seen(
    alice: Called, furnished: Furniture, bed: Proxy
) -> None:
    error = await alice.error("review_pull", number=furnished.pull, event="approve")
    assert "head_needed" in error
    assert alice.questions == []
    asked = {"number": furnished.pull, "event": "approve", "expected_head": furnished.feature}
    found = await alice.record("review_pull", **asked)
    assert found["state"] == "approved"
    (question,) = alice.questions
    assert "an approval can let it be merged." in question
    assert f'Reviews pull request {furnished.pull}, "A feature", by bob (collaborator).' in question
    assert sent(bed)[0][2] == {"commit_id": furnished.feature, "event": "APPROVE"}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_approval_of_a_head_that_moves_after_the_yes_is_not_given(
    bed: Proxy, furnished: Furniture, emulator: Emulator, tmp_path: Path, mode: Literal["auto", "legacy"]
) -> None:
    def pushes_and_says_yes(_: str) -> bool:
        _push(emulator, bed, furnished)
        return True

    asked = {"number": furnished.pull, "event": "approve", "expected_head": furnished.feature}
    async with server(
        tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC, says=pushes_and_says_yes, mode=mode
    ) as called:
        assert "head_moved" in await called.error("review_pull", **asked)
    assert bed.writes() == []


async def test_nobody_approves_ones_own(bed: Proxy, furnished: Furniture, emulator: Emulator, tmp_path: Path) -> None:
    asked = {"number": furnished.pull, "event": "approve", "expected_head": furnished.feature}
    async with server(tmp_path, bed.url, emulator.tokens["bob"], repo=PUBLIC) as called:
        error = await called.error("review_pull", **asked)
    assert error.startswith("invalid: ")
    assert "approve your own pull request" in error


# Every tool that writes

WRITES: list[tuple[str, dict[str, Any]]] = [
    ("create_pull", {"title": "T", "head": "stale"}),
    ("merge_pull", {"number": 4, "expected_head": "{feature}"}),
    ("update_pull", {"number": 4, "title": "T"}),
    ("review_pull", {"number": 4, "body": "B"}),
]


def filled(asked: dict[str, Any], furnished: Furniture) -> dict[str, Any]:
    assert furnished.pull == 4
    return {name: furnished.feature if value == "{feature}" else value for name, value in asked.items()}


@pytest.mark.parametrize(("name", "asked"), WRITES)
async def test_elsewhere_than_in_the_default_repository_and_after_a_private_read_the_person_is_asked(
    bed: Proxy, furnished: Furniture, emulator: Emulator, tmp_path: Path, name: str, asked: dict[str, Any]
) -> None:
    asked, token = filled(asked, furnished), emulator.tokens["alice"]
    async with server(tmp_path / "a", bed.url, token, repo=SITE, says=lambda _: False) as called:
        assert (await called.error(name, repo=PUBLIC, **asked)).startswith("declined: ")
        assert f"{PUBLIC} is not the default repository." in called.questions[0]
    async with server(tmp_path / "b", bed.url, token, repo=PUBLIC, says=lambda _: False) as called:
        await called.text("list_pulls", repo=PRIVATE)
        assert (await called.error(name, **asked)).startswith("declined: ")
        assert f"private text was read ({PRIVATE}), and others can read {PUBLIC}" in called.questions[0]
    assert bed.writes() == []


@pytest.mark.parametrize(("name", "asked"), WRITES)
async def test_what_may_not_be_written_is_refused_and_a_lack_of_rights_named(
    bed: Proxy, furnished: Furniture, emulator: Emulator, tmp_path: Path, name: str, asked: dict[str, Any]
) -> None:
    asked, token = filled(asked, furnished), emulator.tokens["alice"]
    async with server(tmp_path / "a", bed.url, token, write_repos=["acme/*"]) as called:
        assert (await called.error(name, repo=PUBLIC, **asked)).startswith("repo_not_writable: ")
    assert bed.writes() == []
    bed.fault("POST", ".*", faults.says(refusal(403, "Must have push access")))
    bed.fault("PUT", ".*", faults.says(refusal(403, "Must have push access")))
    bed.fault("PATCH", ".*", faults.says(refusal(403, "Must have push access")))
    async with server(tmp_path / "b", bed.url, token, repo=PUBLIC) as called:
        error = await called.error(name, **asked)
    assert "forbidden: " in error
    assert "Must have push access" in error
    assert len(bed.writes()) == 1


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("create_pull", {"title": "T", "head": "stale", "body": "{secret}"}),
        ("create_pull", {"title": "T", "head": "{secret}"}),
        ("merge_pull", {"number": 4, "expected_head": "{feature}", "message": "{secret}"}),
        ("update_pull", {"number": 4, "title": "{secret}"}),
        ("review_pull", {"number": 4, "comments": [{"path": "a", "line": 1, "body": "{secret}"}]}),
    ],
)
async def test_a_secret_does_not_leave_in_any_argument(
    alice: Called, furnished: Furniture, emulator: Emulator, bed: Proxy, name: str, asked: dict[str, Any]
) -> None:
    secret = emulator.tokens["alice"]
    text = {"{secret}": f"x {secret} y", "{feature}": furnished.feature}

    def replaced(value: Any) -> Any:
        if isinstance(value, list):
            return [{**value[0], "body": f"x {secret}"}]
        return text.get(value, value)

    given = {key: replaced(value) for key, value in asked.items()}
    error = await alice.error(name, **given)
    assert error.startswith("denied_by_policy: a secret would leave")
    assert secret not in error
    assert (alice.questions, bed.writes()) == ([], [])


async def test_annotations_tell_what_only_adds_and_what_can_not_be_taken_back(alice: Called) -> None:
    tools = {tool.name: tool.annotations for tool in (await alice.client.list_tools()).tools}
    # A hint that is left out has the specification's default: writes, destroys, is open to the world.
    for name, destroys in (("create_pull", False), ("merge_pull", True), ("update_pull", True), ("review_pull", False)):
        hints = tools[name]
        assert hints is not None
        assert (not hints.read_only_hint, hints.destructive_hint is not False) == (True, destroys), name
        assert hints.open_world_hint is not False
