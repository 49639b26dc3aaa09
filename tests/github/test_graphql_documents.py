"""The documents we ship are what GitHub's schema allows, and the bed that answers them is as strict as GitHub."""

from __future__ import annotations

import copy
import importlib.resources
import re
from typing import Any, cast

import gatelodge_github.graphql
import pytest
from gatelodge_github.graphql import NAMES, Name, document

from tests.github.graphql import CannedDataError, Refusal, answer, check

ALICE = {"__typename": "User", "login": "alice"}
BOT = {"__typename": "Bot", "login": "dependabot"}
GHOST = None
REPOSITORY = {"nameWithOwner": "alice/public-repo", "visibility": "PUBLIC"}
PLACE = {"owner": "alice", "name": "public-repo"}


def page(*nodes: dict[str, Any], total: int | None = None, cursor: str | None = None) -> dict[str, Any]:
    """A connection."""
    return {
        "totalCount": len(nodes) if total is None else total,
        "pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor},
        "nodes": list(nodes),
    }


def counted(*nodes: dict[str, Any]) -> dict[str, Any]:
    """A connection that isn't paged through."""
    return {"totalCount": len(nodes), "nodes": list(nodes)}


def issue(number: int, repository: str = "alice/public-repo", visibility: str = "PUBLIC") -> dict[str, Any]:
    return {
        "number": number,
        "title": f"Issue {number}",
        "state": "CLOSED",
        "stateReason": "NOT_PLANNED",
        "author": ALICE,
        "authorAssociation": "OWNER",
        "repository": {"nameWithOwner": repository, "visibility": visibility},
    }


def said(number: int, author: dict[str, Any] | None = ALICE) -> dict[str, Any]:
    return {
        "databaseId": number,
        "author": author,
        "authorAssociation": "NONE",
        "body": f"Comment {number}",
        "createdAt": "2026-09-01T10:00:00Z",
    }


DISCUSSION = {
    "number": 3,
    "title": "How do I?",
    "category": {"name": "Q&A"},
    "author": BOT,
    "authorAssociation": "NONE",
    "createdAt": "2026-09-01T10:00:00Z",
    "updatedAt": "2026-09-02T10:00:00Z",
    "closed": False,
    "isAnswered": True,
}
THREAD = {
    "isResolved": False,
    "isOutdated": True,
    "path": "src/shapes.py",
    "line": None,
    "startLine": None,
    "originalLine": 5,
    "diffSide": "RIGHT",
    "comments": counted(
        {
            "fullDatabaseId": "9007199254740993",
            "author": GHOST,
            "authorAssociation": "FIRST_TIMER",
            "body": "Why?",
            "createdAt": "2026-09-01T10:00:00Z",
        }
    ),
}
CATEGORY = {"id": "DIC_1", "slug": "q-a", "name": "Q&A", "description": None, "isAnswerable": True}
PULL = {"number": 7, "isDraft": True, "state": "OPEN"}

SERVED: dict[Name, tuple[dict[str, Any], dict[str, Any]]] = {
    "pull_threads": (
        {**PLACE, "number": 7, "first": 50},
        {"repository": {**REPOSITORY, "pullRequest": {"number": 7, "reviewThreads": page(THREAD, total=80, cursor="Y3")}}},
    ),
    "sub_issues": (
        {**PLACE, "number": 1, "first": 100, "after": "Y3"},
        {
            "repository": {
                **REPOSITORY,
                "issue": {
                    "number": 1,
                    "parent": issue(9, "alice/private-repo", "PRIVATE"),
                    "subIssues": page(issue(2), issue(3, "acme/widget", "INTERNAL")),
                },
            }
        },
    ),
    "discussions": (
        {**PLACE, "first": 20, "after": None, "categoryId": "DIC_1"},
        {
            "repository": {
                **REPOSITORY,
                "hasDiscussionsEnabled": True,
                "discussions": page({**DISCUSSION, "comments": {"totalCount": 2}}),
            }
        },
    ),
    "discussion": (
        {**PLACE, "number": 3, "first": 30},
        {
            "repository": {
                **REPOSITORY,
                "discussion": {
                    **DISCUSSION,
                    "body": "Please tell.",
                    "answer": said(11),
                    "comments": page(
                        {**said(11), "isAnswer": True, "replies": counted(said(13, BOT))},
                        {**said(12, GHOST), "isAnswer": False, "replies": counted()},
                    ),
                },
            }
        },
    ),
    "discussion_categories": (
        {**PLACE, "first": 100},
        {"repository": {**REPOSITORY, "hasDiscussionsEnabled": True, "discussionCategories": page(CATEGORY)}},
    ),
    "convert_draft": ({"pullRequestId": "PR_1"}, {"markPullRequestReadyForReview": {"pullRequest": PULL}}),
    "to_draft": ({"pullRequestId": "PR_1"}, {"convertPullRequestToDraft": {"pullRequest": PULL}}),
}  # fmt: skip
"""For each document variables, and what GitHub would have: exactly what is asked for."""


def test_every_file_is_a_document_and_every_document_is_served_here() -> None:
    files = importlib.resources.files(gatelodge_github.graphql).iterdir()
    names = sorted(file.name for file in files if file.name.endswith(".graphql"))
    assert names == [f"{name}.graphql" for name in sorted(NAMES)]
    assert sorted(SERVED) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_document_is_valid_by_githubs_schema_and_uses_nothing_that_will_go(name: Name) -> None:
    variables, _ = SERVED[name]
    assert check(document(name), variables, deprecated=True) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_document_fetches_all_it_asks_for_in_one_answer(name: Name) -> None:
    variables, root = SERVED[name]
    assert answer(document(name), variables, root) == {"data": root}


@pytest.mark.parametrize("name", NAMES)
def test_a_document_with_a_field_that_github_lacks_is_refused(name: Name) -> None:
    variables, root = SERVED[name]
    broken = re.sub("nameWithOwner|isDraft", "nonesuch", document(name), count=1)
    assert broken != document(name)
    result = answer(broken, variables, root)
    assert "data" not in result
    assert "Cannot query field 'nonesuch'" in result["errors"][0]["message"]
    assert result["errors"][0]["locations"]


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_of_another_type_is_refused(name: Name) -> None:
    variables, root = SERVED[name]
    for variable in variables:
        result = answer(document(name), {**variables, variable: {"an": "object"}}, root)
        assert "data" not in result
        assert f"${variable}" in result["errors"][0]["message"]


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_that_must_be_there_is_missed(name: Name) -> None:
    variables, root = SERVED[name]
    for variable in variables.keys() - {"after", "categoryId", "answered"}:
        rest = {key: value for key, value in variables.items() if key != variable}
        result = answer(document(name), rest, root)
        assert "data" not in result
        assert f"${variable}" in result["errors"][0]["message"]


@pytest.mark.parametrize("name", [name for name in NAMES if "first" in SERVED[name][0]])
def test_a_page_is_at_most_a_hundred_and_a_hundred_are_not_too_many_nodes(name: Name) -> None:
    variables, _ = SERVED[name]
    assert check(document(name), {**variables, "first": 100}) == []
    for wrong in (0, 101):
        assert f"asked for {wrong} items" in check(document(name), {**variables, "first": wrong})[0]


def test_a_connection_without_a_size_or_with_too_many_nodes_is_refused() -> None:
    head = 'query { repository(owner: "o", name: "r") '
    assert check(head + "{ issues { totalCount } } }", {}) == []
    assert "needs `first` or `last`" in check(head + "{ issues { nodes { number } } }}", {})[0]
    deep = "{ issues(first: 100) { nodes { comments(first: 100) { nodes { reactions(%s) { nodes { id } } } } } } }}"
    assert check(head + deep % "first: 48", {}) == []
    assert "510,100 nodes" in check(head + deep % "last: 50", {})[0]


def test_a_slip_in_the_syntax_or_an_undeclared_variable_is_refused() -> None:
    assert "Syntax Error" in answer("query {", {}, {})["errors"][0]["message"]
    assert answer("{ viewer { login } }", {"x": 1}, {})["errors"] == [{"message": "variable $x is not declared"}]


def test_a_deprecated_field_passes_at_github_but_not_in_what_we_ship() -> None:
    old = 'query { node(id: "x") { ... on PullRequestReviewComment { databaseId } } }'
    assert check(old, {}) == []
    assert "fullDatabaseId" in check(old, {}, deprecated=True)[0]


def test_a_refusal_stands_in_the_place_of_its_field() -> None:
    variables, root = SERVED["pull_threads"]
    refused = {"repository": Refusal("NOT_FOUND", "Could not resolve to a Repository with the name 'o/r'.")}
    result = answer(document("pull_threads"), variables, refused)
    (error,) = result["errors"]
    assert result["data"] == {"repository": None}
    assert (error["type"], error["path"]) == ("NOT_FOUND", ["repository"])
    part = {"repository": {**root["repository"], "pullRequest": Refusal("FORBIDDEN", "Resource not accessible")}}
    result = answer(document("pull_threads"), variables, part)
    assert result["data"]["repository"] == {**REPOSITORY, "pullRequest": None}
    assert result["errors"][0]["path"] == ["repository", "pullRequest"]


def test_data_may_depend_on_the_arguments() -> None:
    variables, root = SERVED["pull_threads"]
    asked: list[dict[str, Any]] = []

    def pull(_info: object, **arguments: Any) -> Any:
        asked.append(arguments)
        return root["repository"]["pullRequest"]

    result = answer(document("pull_threads"), variables, {"repository": {**REPOSITORY, "pullRequest": pull}})
    assert result == {"data": root}
    assert asked == [{"number": 7}]


def test_canned_data_that_lack_or_invent_something_are_the_tests_own_fault() -> None:
    variables, root = SERVED["discussion"]

    def changed(**fields: Any) -> dict[str, Any]:
        made = copy.deepcopy(root)
        cast("dict[str, Any]", made["repository"]["discussion"]).update(fields)
        return made

    lacking = copy.deepcopy(root)
    del lacking["repository"]["discussion"]["body"]
    with pytest.raises(CannedDataError, match=r"repository\.discussion\.body: the canned data lack it"):
        answer(document("discussion"), variables, lacking)
    with pytest.raises(CannedDataError, match="Discussion has no boddy"):
        answer(document("discussion"), variables, changed(boddy="x"))
    with pytest.raises(CannedDataError, match="non-nullable"):
        answer(document("discussion"), variables, changed(title=None))
    with pytest.raises(CannedDataError, match="Int cannot represent"):
        answer(document("discussion"), variables, changed(number="three"))
    with pytest.raises(CannedDataError, match="CommentAuthorAssociation"):
        answer(document("discussion"), variables, changed(authorAssociation="FRIEND"))
    with pytest.raises(CannedDataError, match="Actor"):
        answer(document("discussion"), variables, changed(author={"login": "alice"}))
