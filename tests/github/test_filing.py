"""Issues and comments written: exactly what was asked for, once, where it may be, and what is said if it fails midway."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.github import faults
from tests.github.bed import Bed, bedded, paths
from tests.github.emulator import PRIVATE, PUBLIC, SITE, Emulator, token_of
from tests.github.install import RECORDINGS
from tests.github.loopback import Answer, Request, as_json
from tests.github.needed import need
from tests.github.recordings import recorded

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"


@pytest.fixture(scope="module")
def bed(emulator: Emulator) -> Generator[Bed]:
    yield from bedded(emulator)


def refusing(_: str) -> bool:
    return False


def issue(bed: Bed, number: int, repo: str = PUBLIC) -> dict[str, Any]:
    found: dict[str, Any] = bed.call("GET", f"/repos/{repo}/issues/{number}")
    return found


def opened(bed: Bed, **fields: Any) -> int:
    number: int = bed.call("POST", f"{HERE}/issues", {"title": "To be changed", "body": "As it was.", **fields})[
        "number"
    ]
    return number


def bodies(bed: Bed) -> list[tuple[str, Any]]:
    """The changes that were sent, in short."""
    return [(f"{one.method} {one.path.removeprefix(HERE)}", one.json()) for one in bed.proxy.writes()]


async def test_an_issue_is_opened_with_what_was_given_and_nothing_else(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        bare = await called.record("create_issue", title="Bare")
        full = await called.record(
            "create_issue", title="Full", body="`Vec<String>`\n", labels=["bug"], assignees=["bob"], milestone=1
        )
        assert await called.label("create_issue", title="Labelled") == "trusted/public"
    sent = [body for _, body in bodies(bed)]
    assert sent[0] == {"title": "Bare"}
    assert sent[1] == {
        "title": "Full",
        "body": "`Vec<String>`\n",
        "labels": ["bug"],
        "assignees": ["bob"],
        "milestone": 1,
    }
    made = issue(bed, full["number"])
    assert (made["body"], made["user"]["login"]) == ("`Vec<String>`\n", "alice")
    assert full == {
        "number": bare["number"] + 1, "url": f"{bed.proxy.url}/{PUBLIC}/issues/{full['number']}", "state": "open", "labels": ["bug"],
        "assignees": ["bob"], "milestone": 1,
    }  # fmt: skip
    # The facts, once; and one for each issue.
    assert paths(bed) == ["GET ", *["POST /issues"] * 3]
    assert called.questions == []


async def test_what_github_leaves_out_without_a_word_is_told(bed: Bed, tmp_path: Path) -> None:
    def without(request: Request) -> Answer:
        asked = {name: value for name, value in request.json().items() if name in {"title", "body"}}
        return bed.proxy.ask(Request("POST", request.target, request.headers, json.dumps(asked).encode()))

    async with bed.server(tmp_path, "mallory", repo=PUBLIC) as called:
        # As the documentation of the route has it: without push access they are dropped silently.
        bed.proxy.fault("POST", f"{HERE}/issues", lambda request, _: without(request))
        found = await called.record("create_issue", title="By an outsider", labels=["bug"], assignees=["bob"])
    assert found["not_set"].startswith("labels, assignees:")


def serve_family(bed: Bed) -> list[Any]:
    """The route that makes sub-issues, which the emulator lacks, with what GitHub answered once."""
    need(RECORDINGS.name)
    answer = next(one.answer for one in recorded("SubIssue.testAddSubIssue.txt") if one.request.method == "POST")
    asked: list[Any] = []
    bed.proxy.serve("POST", rf"{HERE}/issues/\d+/sub_issues", lambda request: asked.append(request.json()) or answer)
    return asked


async def test_an_issue_can_be_opened_under_another(bed: Bed, tmp_path: Path) -> None:
    asked = serve_family(bed)
    async with bed.server(tmp_path) as called:
        found = await called.record("create_issue", title="A part", parent=bed.furniture.issue)
    assert found["parent"] == bed.furniture.issue
    assert asked == [{"sub_issue_id": issue(bed, found["number"])["id"]}]
    assert paths(bed)[1:] == ["GET /issues/1", "POST /issues", "POST /issues/1/sub_issues"]


@pytest.mark.parametrize(("parent", "code"), [(999, "not_found"), (4, "bad_parent")])
async def test_nothing_is_opened_under_what_can_have_no_parts(bed: Bed, tmp_path: Path, parent: int, code: str) -> None:
    assert bed.furniture.pull == 4
    async with bed.server(tmp_path) as called:
        assert (await called.error("create_issue", title="A part", parent=parent)).startswith(f"{code}:")
    assert bed.proxy.writes() == []


async def test_if_the_second_step_fails_the_error_says_what_stands(bed: Bed, tmp_path: Path) -> None:
    serve_family(bed)
    async with bed.server(tmp_path) as called:
        bed.proxy.fault("POST", r".*/sub_issues", faults.refuses(403, "Sub-issues are off"), times=1)
        refused = await called.error("create_issue", title="A part", parent=1)
        bed.proxy.fault("POST", r".*/sub_issues", faults.hangs_up_after_commit(), times=1)
        lost = await called.error("create_issue", title="A part", parent=1)
    number = bed.call("GET", f"{HERE}/issues?per_page=1")[0]["number"]
    assert refused.startswith("forbidden:")
    assert f"issue {number - 1} was opened" in refused
    assert "is no sub-issue of 1 yet" in refused
    assert lost.startswith("outcome_unknown:")
    assert f"issue {number} was opened" in lost
    assert "get_issue(number=1" in lost
    assert len(bed.proxy.sent("POST", r".*/sub_issues")) == 2


async def test_an_issue_whose_answer_is_lost_is_opened_once_and_the_error_says_how_to_see_it(
    bed: Bed, tmp_path: Path
) -> None:
    async with bed.server(tmp_path) as called:
        bed.proxy.fault("POST", f"{HERE}/issues", faults.lost_after_commit(), times=1)
        error = await called.error("create_issue", title="Lost on the way")
    assert error.startswith("outcome_unknown:")
    assert "list_issues(" in error
    assert [path for path, _ in bodies(bed)] == ["POST /issues"]
    named = [one for one in bed.call("GET", f"{HERE}/issues?per_page=100") if one["title"] == "Lost on the way"]
    assert len(named) == 1


async def test_a_comment_is_added_to_issues_and_pull_requests(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        found = await called.record("add_comment", number=bed.furniture.pull, body="Looks right.")
        assert (await called.error("add_comment", number=999, body="x")).startswith("not_found:")
        bed.proxy.fault(
            "POST",
            ".*/comments",
            faults.invalid({"resource": "IssueComment", "code": "missing_field", "field": "body"}),
        )
        refused = await called.error("add_comment", number=1, body=" ")
    assert refused.startswith("invalid:")
    assert "missing_field" in refused
    comments = bed.call("GET", f"{HERE}/issues/{bed.furniture.pull}/comments")
    assert {one["id"]: one["body"] for one in comments}[found["id"]] == "Looks right."
    assert found["url"].endswith(f"#issuecomment-{found['id']}")


async def test_a_reply_goes_below_the_review_comment(bed: Bed, tmp_path: Path) -> None:
    need(RECORDINGS.name)
    answer = next(
        one.answer
        for one in recorded("PullRequest1375.testCreateReviewCommentReply.txt")
        if one.request.path.endswith("/replies")
    )
    bed.proxy.serve("POST", rf"{HERE}/pulls/4/comments/\d+/replies", lambda _: answer)
    async with bed.server(tmp_path) as called:
        found = await called.record("add_comment", number=4, body="Because.", in_reply_to=17)
    assert bodies(bed) == [("POST /pulls/4/comments/17/replies", {"body": "Because."})]
    assert found["id"] == answer.json()["id"]


async def test_only_what_is_given_is_changed(bed: Bed, tmp_path: Path) -> None:
    number = opened(bed, labels=["bug"], assignees=["bob"], milestone=1)
    async with bed.server(tmp_path) as called:
        await called.record("update_issue", number=number, title="Another title")
        assert bodies(bed) == [(f"PATCH /issues/{number}", {"title": "Another title"})]
        found = await called.record("update_issue", number=number, state="closed", state_reason="not_planned")
    now = issue(bed, number)
    assert (now["title"], now["body"], now["state"], now["state_reason"]) == (
        "Another title", "As it was.", "closed", "not_planned",
    )  # fmt: skip
    assert [one["name"] for one in now["labels"]] == ["bug"]
    assert [one["login"] for one in now["assignees"]] == ["bob"]
    assert now["milestone"]["number"] == 1
    assert (found["state"], found["state_reason"], found["done"]) == (
        "closed",
        "not_planned",
        ["changed state, state_reason"],
    )


async def test_empty_is_said_with_clear_and_sent_as_github_takes_it(bed: Bed, tmp_path: Path) -> None:
    number = opened(bed, assignees=["bob"], milestone=1)
    async with bed.server(tmp_path) as called:
        await called.record("update_issue", number=number, clear=["body", "assignees", "milestone"])
    assert bodies(bed) == [(f"PATCH /issues/{number}", {"body": "", "assignees": [], "milestone": None})]
    now = issue(bed, number)
    assert (now["body"] or "", now["assignees"], now["milestone"]) == ("", [], None)


async def test_labels_come_and_go_one_by_one_and_others_stay(bed: Bed, tmp_path: Path) -> None:
    number = opened(bed, labels=["bug", "good first issue"])
    async with bed.server(tmp_path) as called:
        found = await called.record(
            "update_issue", number=number, add_labels=["über/wide"], remove_labels=["bug", "not on it"]
        )
    assert [path for path, _ in bodies(bed)] == [
        f"POST /issues/{number}/labels",
        f"DELETE /issues/{number}/labels/bug",
        f"DELETE /issues/{number}/labels/not%20on%20it",
    ]
    assert sorted(one["name"] for one in issue(bed, number)["labels"]) == ["good first issue", "über/wide"]
    assert found["done"] == ["added labels über/wide", "took off label bug"]
    assert found["was_not_on"] == ["not on it"]
    assert sorted(found["labels"]) == ["good first issue", "über/wide"]


@pytest.fixture(autouse=True)
def missing_label(bed: Bed) -> None:
    """GitHub's words for a label that isn't on (the documentation of the route: 404); the emulator has none."""

    def removed(request: Request) -> Answer:
        answer = bed.proxy.ask(request)
        return as_json({"message": "Label does not exist", "status": "404"}, 404) if answer.status == 404 else answer

    bed.proxy.serve("DELETE", rf"{HERE}/issues/\d+/labels/.+", removed)


async def test_a_step_that_fails_says_what_was_done_before_it(bed: Bed, tmp_path: Path) -> None:
    number = opened(bed, labels=["bug"])
    given: dict[str, Any] = {"number": number, "title": "Half", "add_labels": ["über/wide"], "remove_labels": ["bug"]}
    async with bed.server(tmp_path) as called:
        bed.proxy.fault("DELETE", ".*/labels/bug", faults.lost_after_commit(), times=1)
        lost = await called.error("update_issue", **given)
        bed.proxy.fault("POST", ".*/labels", faults.refuses(403, "No labels for you"), times=1)
        refused = await called.error("update_issue", **given)
        bed.proxy.fault("POST", ".*/labels", faults.refuses(403, "No labels for you"), times=1)
        first = await called.error("update_issue", number=number, add_labels=["bug"])
    assert lost.startswith("outcome_unknown: changed title; added labels über/wide; but label bug was not taken off")
    assert f"get_issue(number={number}" in lost
    assert refused.startswith("forbidden: changed title; but the labels were not added")
    assert first.startswith("forbidden: nothing was changed; the labels were not added")
    assert len(bed.proxy.sent("DELETE")) == 1


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "nothing_given"),
        ({"title": ""}, "nothing_given"),
        ({"body": "x", "clear": ["body"]}, "contradiction"),
        ({"milestone": 1, "clear": ["milestone"]}, "contradiction"),
        ({"add_labels": ["Bug"], "remove_labels": ["bug"]}, "contradiction"),
        ({"state_reason": "completed"}, "contradiction"),
        ({"state_reason": "reopened", "state": "closed"}, "contradiction"),
        ({"assignees": ["no/login"]}, "bad_login"),
        ({"remove_labels": [".."]}, "bad_name"),
        ({"clear": ["title"]}, "invalid_arguments"),
        ({"title": None}, "invalid_arguments"),
    ],
)
async def test_what_says_nothing_or_two_things_at_once_is_refused_without_a_request(
    bed: Bed, tmp_path: Path, given: dict[str, Any], code: str
) -> None:
    async with bed.server(tmp_path) as called:
        assert (await called.error("update_issue", number=1, **given)).startswith(f"{code}:")
    assert bed.proxy.writes() == []
    assert len(bed.proxy.requests) <= 1


async def test_a_change_of_many_steps_is_not_begun_if_it_can_not_be_finished(bed: Bed, tmp_path: Path) -> None:
    number = opened(bed)
    async with bed.server(tmp_path, writes_per_minute=3) as called:
        many = {"number": number, "title": "Never", "remove_labels": ["a", "b", "c"]}
        assert (await called.error("update_issue", **many)).startswith("write_limit: this takes 4 changes, and 3")
        await called.record("update_issue", number=number, title="Once")
        await called.record("update_issue", number=number, title="Twice")
        error = await called.error("update_issue", number=number, title="Half", add_labels=["bug"])
    assert error.startswith("write_limit:")
    assert "Try again in" in error
    assert [body for _, body in bodies(bed)] == [{"title": "Once"}, {"title": "Twice"}]


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("create_issue", {"title": "Hello"}),
    ("add_comment", {"number": 1, "body": "Hello"}),
    ("update_issue", {"number": 1, "body": "Hello"}),
]


@pytest.mark.parametrize(("tool", "given"), WRITES)
async def test_a_change_elsewhere_waits_for_the_person_who_sees_where_it_goes_and_what(
    bed: Bed, tmp_path: Path, tool: str, given: dict[str, Any]
) -> None:
    async with bed.server(tmp_path, says=refusing) as called:
        assert (await called.error(tool, **given, repo=SITE)).startswith("declined:")
    assert bed.proxy.writes() == []
    assert f"{SITE} (everybody can read it)" in called.questions[0]
    assert "Hello" in called.questions[0]
    async with bed.server(tmp_path / "yes") as called:
        assert not (await called.call(tool, **given, repo=SITE))[0]
    assert len(called.questions) == len(bed.proxy.writes()) == 1


@pytest.mark.parametrize(("tool", "given"), WRITES)
async def test_what_was_read_in_private_goes_nowhere_public_unasked(
    bed: Bed, tmp_path: Path, tool: str, given: dict[str, Any]
) -> None:
    async with bed.server(tmp_path, says=refusing) as called:
        await called.text("get_issue", number=1, repo=PRIVATE)
        assert (await called.error(tool, **given)).startswith("declined:")
        assert PRIVATE in called.questions[0]
    assert bed.proxy.writes() == []
    async with bed.server(tmp_path / "cannot", says=None) as called:
        await called.text("get_issue", number=1, repo=PRIVATE)
        assert "gatelodge approve" in await called.error(tool, **given)
    assert bed.proxy.writes() == []


@pytest.mark.parametrize(("tool", "given"), WRITES)
async def test_no_change_leaves_where_none_may(bed: Bed, tmp_path: Path, tool: str, given: dict[str, Any]) -> None:
    async with bed.server(tmp_path, write_repos=["acme/*"]) as called:
        assert (await called.error(tool, **given)).startswith("repo_not_writable:")
    async with bed.server(tmp_path / "none", repos=["acme/*"], repo="") as called:
        assert (await called.error(tool, **given, repo=PUBLIC)).startswith("repo_not_allowed:")
    assert bed.proxy.requests == []
    async with bed.server(tmp_path / "read", read_only=True) as called:
        assert tool not in {one.name for one in (await called.client.list_tools()).tools}


@pytest.mark.parametrize(("tool", "given"), WRITES)
async def test_a_secret_is_refused_and_not_even_shown_to_the_person(
    bed: Bed, tmp_path: Path, tool: str, given: dict[str, Any]
) -> None:
    secret = token_of("bob")
    field = "title" if tool == "create_issue" else "body"
    async with bed.server(tmp_path) as called:
        error = await called.error(tool, **{**given, field: f"use {secret} for it"})
    assert error.startswith("denied_by_policy:")
    assert secret not in error
    assert called.questions == []
    assert bed.proxy.writes() == []


async def test_the_annotations_say_what_the_tools_do(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        hints = {tool.name: tool.annotations for tool in (await called.client.list_tools()).tools}
    found = {name: hints[name] for name, _ in WRITES}
    assert all(one and one.read_only_hint is False and one.open_world_hint is not False for one in found.values())
    assert {name: one and one.destructive_hint for name, one in found.items()} == {
        "create_issue": False, "add_comment": False, "update_issue": True,
    }  # fmt: skip
