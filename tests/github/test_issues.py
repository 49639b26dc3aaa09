"""Issues read: lists, one with all that belongs to it, who is trusted, and what an answer holds."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.github import faults, graphql
from tests.github.bed import Bed, bedded, paths
from tests.github.emulator import PRIVATE, PUBLIC, Emulator
from tests.github.furnishing import SECRET_LINE
from tests.github.install import RECORDINGS
from tests.github.loopback import Request
from tests.github.needed import need
from tests.github.recordings import recorded
from tests.github.support import Called

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"
CURSOR = re.compile(r"cursor[=:] ?([\w-]+)")


@pytest.fixture(scope="module")
def bed(emulator: Emulator) -> Generator[Bed]:
    yield from bedded(emulator)


def opened(bed: Bed, body: str, title: str = "Long", login: str = "alice", repo: str = PUBLIC) -> int:
    number: int = bed.call("POST", f"/repos/{repo}/issues", {"title": title, "body": body}, login=login)["number"]
    return number


async def test_a_list_has_no_pull_requests_and_says_who_wrote_each(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        found = await called.record("list_issues", state="all")
    rows = [(one["number"], one["state"], one["author"], one["trust"], one["labels"]) for one in found["items"]]
    assert rows[-3:] == [
        (3, "closed", "bob", "collaborator", []),
        (2, "open", "mallory", "outsider", []),
        (1, "open", "alice", "self", ["bug"]),
    ]
    assert bed.furniture.pull not in {row[0] for row in rows}
    assert found["items"][-1] | {"updated": ""} == {
        "number": 1, "state": "open", "title": "The guide is wrong", "author": "alice", "trust": "self",
        "labels": ["bug"], "milestone": "1.1", "comments": 3, "updated": "",
    }  # fmt: skip
    # The facts, whose credential it is, whether bob may push; and one for the list.
    assert sorted(paths(bed)) == ["GET ", "GET /collaborators/bob/permission", "GET /issues", "GET /user"]
    assert bed.proxy.writes() == []


async def test_a_cursor_goes_through_the_whole_list_once(bed: Bed, tmp_path: Path) -> None:
    numbers: list[int] = []
    async with bed.server(tmp_path) as called:
        whole = await called.record("list_issues", state="all", limit=100)
        arguments: dict[str, Any] = {"state": "all", "limit": 2}
        for _ in range(20):
            found = await called.record("list_issues", **arguments)
            numbers += [one["number"] for one in found["items"]]
            if not found["cursor"]:
                break
            arguments["cursor"] = found["cursor"]
        stale = await called.error("list_issues", state="open", limit=2, cursor=arguments["cursor"])
    assert numbers == [one["number"] for one in whole["items"]]
    assert whole["total"] == len(numbers) or whole["total"] == -1
    assert stale.startswith("bad_cursor")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"milestone": "next"}, "bad_milestone"),
        ({"milestone": "\u0661"}, "bad_milestone"),
        ({"since": "yesterday"}, "bad_time"),
        ({"labels": ["a,b"]}, "bad_label"),
        ({"author": "a/b"}, "bad_login"),
        ({"assignee": "x y"}, "bad_login"),
        ({"cursor": "AAAA"}, "bad_cursor"),
        ({"limit": 101}, "invalid_arguments"),
    ],
)
async def test_a_filter_that_means_nothing_is_refused_before_the_list_is_asked_for(
    bed: Bed, tmp_path: Path, given: dict[str, Any], code: str
) -> None:
    async with bed.server(tmp_path) as called:
        assert (await called.error("list_issues", **given)).startswith(f"{code}:")
    assert bed.proxy.sent("GET", ".*/issues") == []


async def test_filters_reach_github_as_it_takes_them(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        found = await called.record("list_issues", labels=["bug"], assignee="bob", milestone="1", since="2020-01-31")
        await called.record("list_issues", since="2020-01-31T12:00:00+02:00", author="alice", sort="updated")
        assert [one["number"] for one in found["items"]] == [bed.furniture.issue]
    first, second = (one.query for one in bed.proxy.sent("GET", ".*/issues"))
    assert first | {"per_page": []} == {
        "state": ["open"], "labels": ["bug"], "assignee": ["bob"], "milestone": ["1"], "sort": ["created"],
        "since": ["2020-01-31T00:00:00Z"], "per_page": [], "page": ["1"],
    }  # fmt: skip
    assert (second["since"], second["creator"]) == (["2020-01-31T10:00:00Z"], ["alice"])


async def test_a_list_is_labelled_by_who_wrote_in_it_and_who_can_see_it(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        assert await called.label("list_issues", author="alice") == "trusted/public"
        assert await called.label("list_issues", author="mallory") == "untrusted/public"
        assert await called.label("list_issues", repo=PRIVATE) == "trusted/private"


async def test_lockdown_leaves_out_outsiders_says_so_and_the_list_still_goes_on(bed: Bed, tmp_path: Path) -> None:
    seen: list[int] = []
    async with bed.server(tmp_path, lockdown="filter") as called:
        arguments: dict[str, Any] = {"state": "all", "limit": 1}
        for _ in range(20):
            text = await called.text("list_issues", **arguments)
            assert "It fails" not in text
            found = await called.record("list_issues", **arguments)
            seen += [one["number"] for one in found["items"]]
            if not found["items"]:
                assert "1 withheld: lockdown is filter" in text
            if not found["cursor"]:
                break
            arguments["cursor"] = found["cursor"]
    assert bed.furniture.outside not in seen
    assert {bed.furniture.issue, bed.furniture.closed} <= set(seen)


async def test_an_issue_is_one_request_and_has_its_fields_and_its_text(bed: Bed, tmp_path: Path) -> None:
    number = bed.furniture.closed
    async with bed.server(tmp_path) as called:
        await called.text("get_issue", number=number)
        bed.fresh()
        text = await called.text("get_issue", number=bed.furniture.issue)
        assert paths(bed) == [f"GET /issues/{bed.furniture.issue}"]
        closed = await called.text("get_issue", number=number)
    lines = text.split("\n")
    assert lines[0] == f"issue {bed.furniture.issue} of {PUBLIC} (public)"
    for line in (
        "title: The guide is wrong", "state: open", "author: alice (self)", "labels: bug", "assignees: bob",
        "milestone: 1.1", "comments: 3",
    ):  # fmt: skip
        assert line in lines
    assert text.rstrip().endswith("See line 7.")
    assert "state: closed (not_planned)" in closed
    assert "closed: 20" in closed
    assert "(empty)" in closed


async def test_an_outsiders_text_stands_in_an_envelope_with_its_hidden_parts_shown(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        text = await called.text("get_issue", number=bed.furniture.outside)
        assert await called.label("get_issue", number=bed.furniture.outside) == "untrusted/public"
        assert await called.label("get_issue", number=bed.furniture.issue) == "trusted/public"
        assert await called.label("get_issue", number=1, repo=PRIVATE) == "trusted/private"
        assert SECRET_LINE in await called.text("get_issue", number=1, repo=PRIVATE)
    assert "author: mallory (outsider)" in text
    head, _, inside = text.partition("<untrusted-")
    # The title, which is the outsider's too, is in no heading.
    assert "fails" not in head.split("\n")[0]
    assert "vault" in inside
    assert "`Vec<String>` stays." in inside
    for hidden in ("\u200b", "\u202e", "\U000e0041"):
        assert hidden not in text


async def test_lockdown_withholds_title_and_text_of_an_outsider(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path, lockdown="filter") as called:
        text = await called.text("get_issue", number=bed.furniture.outside)
        comments = await called.text("get_issue", number=bed.furniture.issue, include=["comments"])
    assert text.count("(withheld by lockdown)") == 2
    assert "2 withheld: lockdown is filter" in text
    assert "vault" not in text
    assert "fails" not in text
    assert "mallory" not in comments
    assert "shown 2 of 3" in comments
    assert "1 withheld" in comments


async def test_comments_come_with_author_and_date_and_a_cursor_of_their_own(bed: Bed, tmp_path: Path) -> None:
    number, ids = bed.furniture.issue, bed.furniture.comments
    async with bed.server(tmp_path) as called:
        text = await called.text("get_issue", number=number, include=["comments"])
        first = await called.text("get_issue", number=number, include=["comments"], limit=2)
        cursor = CURSOR.findall(first)[-1]
        bed.fresh()
        rest = await called.text("get_issue", number=number, include=["comments"], limit=2, cursor=cursor)
        assert paths(bed) == [f"GET /issues/{number}/comments"]
        other = await called.error("get_issue", number=bed.furniture.outside, include=["comments"], cursor=cursor)
        both = await called.error("get_issue", number=number, include=["comments", "timeline"], cursor=cursor)
    for one, who in zip(ids, ("alice (self)", "bob (collaborator)", "mallory (outsider)"), strict=True):
        assert re.search(rf"comment {one} by {re.escape(who)}, 20\d\d-", text)
    assert "comments: shown 3 of 3" in text
    assert "comments: shown 2 of 3" in first
    assert f"comment {ids[2]} by mallory" not in first
    assert f"comment {ids[2]} by mallory" in rest
    assert f"comment {ids[1]} by bob" not in rest
    assert "cursor=" not in rest
    assert "See line 7" not in rest
    assert other.startswith("bad_cursor:")
    assert both.startswith("bad_cursor:")


LONG = "".join(f"{number:05} of a long text, naïve\n" for number in range(2300))


async def _whole(called: Called, number: int, include: list[str]) -> tuple[str, int]:
    """A text of ours, put together from as many answers as it takes, and how many that were."""
    arguments: dict[str, Any] = {"number": number, "include": include, "limit": 1}
    found: list[str] = []
    for _ in range(20):
        text = await called.text("get_issue", **arguments)
        assert len(text.encode()) <= 24_000
        found += re.findall(r"^\d{5} of a long text, naïve$", text, re.MULTILINE)
        cut = re.search(r"^\(cut at character \d+ of \d+; .*cursor=([\w-]+)\)$", text, re.MULTILINE)
        if cut is None:
            break
        arguments["cursor"] = cut[1]
    return "\n".join(found) + "\n", len(found)


async def test_a_text_of_any_length_can_be_read_to_its_end(bed: Bed, tmp_path: Path) -> None:
    number = opened(bed, LONG)
    bed.call("POST", f"{HERE}/issues/{number}/comments", {"body": LONG})
    async with bed.server(tmp_path) as called:
        assert await _whole(called, number, []) == (LONG, 2300)
        text = await called.text("get_issue", number=number, include=["comments"])
        assert "(cut at character" in text.partition("\ncomments: shown")[0]
        for _ in range(10):
            cursor = CURSOR.findall(text)[-1]
            text += await called.text("get_issue", number=number, include=["comments"], limit=1, cursor=cursor)
            if "02299" in text.partition("\ncomments: shown")[2]:
                break
        comment = text.partition("\ncomments: shown")[2]
    assert re.findall(r"^(\d{5}) of", comment, re.MULTILINE) == [f"{number:05}" for number in range(2300)]


async def test_a_place_in_a_text_that_was_changed_since_is_no_place(bed: Bed, tmp_path: Path) -> None:
    number = opened(bed, LONG)
    async with bed.server(tmp_path) as called:
        cursor = CURSOR.findall(await called.text("get_issue", number=number))[-1]
        bed.call("PATCH", f"{HERE}/issues/{number}", {"body": f"changed\n{LONG}"})
        assert (await called.error("get_issue", number=number, cursor=cursor)).startswith("bad_cursor:")


async def test_long_comments_are_cut_each_and_short_ones_stay_whole(bed: Bed, tmp_path: Path) -> None:
    number = opened(bed, LONG, "Everything is long")
    short = "short and whole\n"
    for body in (LONG, short, LONG, short):
        bed.call("POST", f"{HERE}/issues/{number}/comments", {"body": body}, login="mallory")
    async with bed.server(tmp_path) as called:
        text = await called.text("get_issue", number=number, include=["comments", "timeline"])
    assert len(text.encode()) <= 24_000
    assert "comments: shown 4 of 4" in text
    assert text.count(short) == 2
    assert text.count("(cut at character") == 3
    assert "timeline: shown" in text


async def test_a_pull_request_says_that_it_is_one(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        text = await called.text("get_issue", number=bed.furniture.pull, include=["comments", "sub_issues"])
    assert text.startswith(f"pull request {bed.furniture.pull} of {PUBLIC}")
    assert "get_pull shows" in text
    assert "sub-issues: a pull request has none" in text
    assert "Merge it now." in text


async def test_what_is_not_there_is_told_with_what_to_do(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path, repos=["alice/*"]) as called:
        assert (await called.error("get_issue", number=999)).startswith("not_found:")
        assert (await called.error("get_issue", number=1, repo="acme/site")).startswith("repo_not_allowed:")
        bed.proxy.fault("GET", f"{HERE}/issues/1", faults.lacks_permission("issues=read"))
        assert (await called.error("get_issue", number=1)).startswith("forbidden:")
    async with bed.server(tmp_path / "mallory", "mallory") as called:
        assert (await called.error("get_issue", number=1, repo=PRIVATE)).startswith("not_found:")
    assert bed.proxy.sent("GET", "/repos/acme/site.*") == []


TIMELINE = "Issue.testGetTimeline.txt"


def events() -> list[dict[str, Any]]:
    """What GitHub once answered, whole."""
    need(RECORDINGS.name)
    return [
        event for one in recorded(TIMELINE) if one.request.path.endswith("/timeline") for event in one.answer.json()
    ]


async def test_a_timeline_has_a_line_for_each_event(bed: Bed, tmp_path: Path) -> None:
    found = events()
    renamed = next(one for one in found if one["event"] == "locked") | {
        "event": "renamed", "rename": {"from": "Old \u202ename", "to": "New\nname"}, "actor": {"login": "mallory", **_account()},
    }  # fmt: skip
    bed.proxy.serve("GET", f"{HERE}/issues/1/timeline", lambda _: [*found[:25], renamed, *found[25:]])
    async with bed.server(tmp_path) as called:
        text = await called.text("get_issue", number=1, include=["timeline"], limit=100)
        assert await called.label("get_issue", number=1, include=["timeline"], limit=100) == "untrusted/public"
    lines = {tuple(line.split("\t")[1:]) for line in text.split("\n") if line.count("\t") == 3}
    named = {line[0] for line in lines}
    assert {"assigned", "closed", "commented", "labeled", "cross-referenced", "locked", "renamed"} <= named
    assert ("renamed", "mallory", "Old ⟦U+202E⟧name -> New name") in lines
    reference = next(one for one in found if one["event"] == "cross-referenced")["source"]["issue"]
    assert any(what == f"PyGithub/PyGithub#{reference['number']}" for _, _, what in lines)
    # What was said is under comments.
    assert "Comment created by PyGithub" not in text


async def test_a_mention_from_outside_the_allow_list_does_not_name_the_place(bed: Bed, tmp_path: Path) -> None:
    mention = next(one for one in events() if one["event"] == "cross-referenced")
    bed.proxy.serve("GET", f"{HERE}/issues/1/timeline", lambda _: [mention])
    async with bed.server(tmp_path, repos=["alice/*"]) as called:
        text = await called.text("get_issue", number=1, include=["timeline"])
    assert "(in a repository outside the allow-list)" in text
    assert "PyGithub/PyGithub" not in text


async def test_a_mention_in_a_private_repository_makes_the_answer_private(bed: Bed, tmp_path: Path) -> None:
    mention = next(one for one in events() if one["event"] == "cross-referenced")
    secret = {**mention["source"]["issue"]["repository"], "full_name": PRIVATE, "private": True}
    hidden = {**mention, "source": {"type": "issue", "issue": {**mention["source"]["issue"], "repository": secret}}}
    bed.proxy.serve("GET", f"{HERE}/issues/1/timeline", lambda _: [hidden])
    async with bed.server(tmp_path) as called:
        assert await called.label("get_issue", number=1, include=["timeline"]) == "trusted/private"
        await called.text("add_comment", number=1, body="As mentioned there.")
    assert len(called.questions) == 1
    assert PRIVATE in called.questions[0]


def _account() -> dict[str, Any]:
    actor: dict[str, Any] = next(one for one in events() if one["event"] == "locked")["actor"]
    return {name: value for name, value in actor.items() if name != "login"}


def node(number: int, repo: str = PUBLIC, visibility: str = "PUBLIC", login: str = "alice") -> dict[str, Any]:
    return {
        "number": number, "title": f"Part {number}", "state": "CLOSED", "stateReason": "COMPLETED",
        "author": {"__typename": "User", "login": login}, "authorAssociation": "OWNER" if login == "alice" else "NONE",
        "repository": {"nameWithOwner": repo, "visibility": visibility},
    }  # fmt: skip


def serve_family(bed: Bed, children: list[dict[str, Any]], parent: dict[str, Any] | None = None) -> None:
    """Sub-issues, paged as GitHub does."""

    def connection(_: object, first: int, after: str | None = None) -> dict[str, Any]:
        start = int(after or 0)
        end = min(start + first, len(children))
        info = {"hasNextPage": end < len(children), "endCursor": str(end)}
        return {"totalCount": len(children), "pageInfo": info, "nodes": children[start:end]}

    issue: dict[str, Any] = {"number": 1, "parent": parent, "subIssues": connection}

    def of_number(_: object, number: int) -> dict[str, Any]:
        return issue | {"number": number}

    data: dict[str, Any] = {"repository": {"nameWithOwner": PUBLIC, "visibility": "PUBLIC", "issue": of_number}}
    bed.proxy.graphql(lambda document, variables: graphql.answer(document, variables, data))


async def test_sub_issues_come_with_the_parent_page_by_page(bed: Bed, tmp_path: Path) -> None:
    serve_family(bed, [node(number) for number in range(10, 15)], parent=node(9, login="mallory"))
    async with bed.server(tmp_path) as called:
        text = await called.text("get_issue", number=1, include=["sub_issues"], limit=2)
        assert "parent: #9\tclosed completed\tmallory (outsider)\tPart 9" in text
        assert "sub-issues: shown 2 of 5" in text
        seen = re.findall(r"^#(\d+)\t", text, re.MULTILINE)
        for _ in range(5):
            cursors = CURSOR.findall(text)
            if not cursors:
                break
            text = await called.text("get_issue", number=1, include=["sub_issues"], limit=2, cursor=cursors[-1])
            assert "parent" not in text
            seen += re.findall(r"^#(\d+)\t", text, re.MULTILINE)
    assert seen == ["10", "11", "12", "13", "14"]
    assert bed.proxy.writes() == []


async def test_many_sub_issues_that_do_not_fit_go_on_inside_their_page(bed: Bed, tmp_path: Path) -> None:
    wide = [{**node(number), "title": f"{number} " + "wide " * 40} for number in range(100, 190)]
    serve_family(bed, wide)
    number = opened(bed, LONG)
    async with bed.server(tmp_path) as called:
        text = await called.text("get_issue", number=number, include=["sub_issues"], limit=100)
        assert len(text.encode()) <= 24_000
        seen = re.findall(r"^#(\d+)\t", text, re.MULTILINE)
        for _ in range(5):
            cursor = CURSOR.findall(text)[-1]
            text = await called.text("get_issue", number=number, include=["sub_issues"], limit=100, cursor=cursor)
            seen += re.findall(r"^#(\d+)\t", text, re.MULTILINE)
            if len(seen) >= 90:
                break
    assert seen == [str(number) for number in range(100, 190)]


async def test_a_private_parent_makes_the_answer_private_and_one_outside_the_list_is_not_shown(
    bed: Bed, tmp_path: Path
) -> None:
    serve_family(bed, [node(3, "acme/widget", "INTERNAL")], parent=node(9, PRIVATE, "PRIVATE"))
    async with bed.server(tmp_path) as called:
        # Untrusted for the name of a repository of strangers.
        assert await called.label("get_issue", number=1, include=["sub_issues"]) == "untrusted/private"
        text = await called.text("get_issue", number=1, include=["sub_issues"])
        assert f"parent: {PRIVATE}#9" in text
        assert "acme/widget#3" in text
    async with bed.server(tmp_path / "narrow", repos=[PUBLIC]) as called:
        text = await called.text("get_issue", number=1, include=["sub_issues"])
        assert await called.label("get_issue", number=1, include=["sub_issues"]) == "trusted/public"
    assert text.count("(in a repository outside the allow-list)") == 2
    for hidden in (PRIVATE, "acme", "Part"):
        assert hidden not in text


async def test_an_answer_of_graphql_from_a_repository_outside_the_list_is_dropped(bed: Bed, tmp_path: Path) -> None:
    empty: dict[str, Any] = {"totalCount": 0, "pageInfo": {"hasNextPage": False, "endCursor": None}, "nodes": []}
    moved = {"nameWithOwner": "acme/site", "visibility": "PUBLIC"}
    data: dict[str, Any] = {"repository": {**moved, "issue": {"number": 1, "parent": None, "subIssues": empty}}}
    bed.proxy.graphql(lambda document, variables: graphql.answer(document, variables, data))
    async with bed.server(tmp_path, repos=["alice/*"]) as called:
        assert (await called.error("get_issue", number=1, include=["sub_issues"])).startswith("repo_not_allowed:")


def test_no_read_of_this_module_changed_anything(bed: Bed) -> None:
    bed.fresh()
    made: list[Request] = [one.request for one in bed.seen if one.request.method not in {"GET", "HEAD"}]
    assert {one.path for one in made} <= {"/graphql", f"{HERE}/issues/1/comments"}
