"""The contract accepts what GitHub really says and hears, and nothing else."""

from __future__ import annotations

import copy
import http.client
import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.github import recordings
from tests.github.contract import JSON_TYPE, Contract, Gap, Gaps, described
from tests.github.exchanges import problems_of
from tests.github.install import OPENAPI, RECORDINGS, lanes
from tests.github.loopback import Answer, Request
from tests.github.needed import need
from tests.github.proxy import Exchange, proxying

REAL = (
    "Artifact.testGetArtifactsFromRepo.txt",
    "CheckRun.testGetCheckRunsForRef.txt",
    "CompletableGithubObjectWithPaginatedProperty.testPullCommitsFiles.txt",
    "DependabotAlert.testMultipleAlerts.txt",
    "Issue.testGetTimeline.txt",
    "PullRequest1375.testCreateReviewCommentReply.txt",
    "Repository.testCreateFile.txt",
    "Search.testSearchCommits.txt",
    "SecretScanAlert.testMultipleAlerts.txt",
    "SubIssue.testAddSubIssue.txt",
    "WorkflowRun.test_jobs.txt",
)
"""Exchanges of the last years, unabridged."""

ISSUES = "/repos/alice/public-repo/issues"


@pytest.fixture(scope="module")
def contract() -> Contract:
    """GitHub's."""
    return described()


def told(contract: Contract, one: recordings.Recording, *, answer: object = None) -> list[str]:
    """What is wrong with a recording, perhaps with another answer."""
    body = one.answer.bytes if answer is None else json.dumps(answer).encode()
    kind = one.answer.header("Content-Type") or JSON_TYPE
    return contract.check_exchange(
        one.request.method, one.request.target, one.request.body, one.answer.status, body, media_type=kind
    )


@pytest.mark.parametrize("name", REAL)
def test_what_github_really_answered_has_no_problem(contract: Contract, name: str) -> None:
    need(RECORDINGS.name)
    exchanges = recordings.recorded(name)
    assert exchanges
    assert [problem for one in exchanges for problem in told(contract, one)] == []


def test_a_required_field_taken_out_of_a_real_answer_is_missed(contract: Contract) -> None:
    need(RECORDINGS.name)
    one = recordings.recorded("WorkflowRun.test_jobs.txt")[-1]
    real: dict[str, Any] = one.answer.json()
    for name in ("id", "run_id", "status", "conclusion", "name", "head_sha"):
        broken = copy.deepcopy(real)
        del broken["jobs"][0][name]
        route = "GET /repos/{owner}/{repo}/actions/runs/{run_id}/jobs"
        assert told(contract, one, answer=broken) == [f"{route} 200 /jobs/0/{name}: is missing"]


def test_a_value_of_another_type_is_told_with_its_place(contract: Contract) -> None:
    need(RECORDINGS.name)
    one = recordings.recorded("WorkflowRun.test_jobs.txt")[-1]
    broken: dict[str, Any] = copy.deepcopy(one.answer.json())
    broken["jobs"][0]["id"] = "1"
    broken["jobs"][0]["steps"][0]["number"] = None
    broken["jobs"][0]["status"] = "resting"
    found = [problem.partition(" 200 ")[2] for problem in told(contract, one, answer=broken)]
    assert sorted(text[:60] for text in found) == [
        "/jobs/0/id: is string, not integer",
        '/jobs/0/status: "resting" is not one of "queued", "in_progre',
        "/jobs/0/steps/0/number: is null, not integer",
    ]


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/repos/o/r/contents/a/b/c.txt?ref=main", "/repos/{owner}/{repo}/contents/{path}"),
        ("GET", "/repos/o/r/contents/", "/repos/{owner}/{repo}/contents/{path}"),
        ("GET", "/repos/o/r/contents", "/repos/{owner}/{repo}/contents/{path}"),
        ("GET", "/repos/o/r/git/ref/heads/feature/one", "/repos/{owner}/{repo}/git/ref/{ref}"),
        ("PATCH", "/repos/o/r/git/refs/heads/main", "/repos/{owner}/{repo}/git/refs/{ref}"),
        ("GET", "/repos/o/r/compare/v1...feature/one", "/repos/{owner}/{repo}/compare/{basehead}"),
        ("GET", "/repos/o/r/pulls/comments", "/repos/{owner}/{repo}/pulls/comments"),
        ("GET", "/gists/public", "/gists/public"),
        ("GET", "/gists/abc", "/gists/{gist_id}"),
        ("GET", "/repos/o/r/pulls/7", "/repos/{owner}/{repo}/pulls/{pull_number}"),
        ("GET", "/repos/o/r/branches/a/b/protection", "/repos/{owner}/{repo}/branches/{branch}/protection"),
        ("GET", "/repos/o/r/commits/main/status", "/repos/{owner}/{repo}/commits/{ref}/status"),
        ("GET", "/repos/o/r/commits/feature/one", "/repos/{owner}/{repo}/commits/{ref}"),
        ("GET", "/repos/o/r/releases/latest", "/repos/{owner}/{repo}/releases/latest"),
        ("HEAD", "/user", "/user"),
        ("GET", "/repositories/631628708/issues?page=2", "/repos/{owner}/{repo}/issues"),
    ],
)  # fmt: skip
def test_a_path_goes_to_its_route(contract: Contract, method: str, path: str, template: str) -> None:
    route = contract.route(method, path)
    assert route is not None
    assert route.template == template
    assert contract.check_request(method, path) in ([], [f"{route} request /: lacks its body"])


def test_every_route_is_found_by_its_own_path_and_all_its_schemas_are_understood(contract: Contract) -> None:
    paths = json.loads((lanes() / OPENAPI.name).read_bytes())["paths"]
    lost: list[str] = []
    for template, operations in paths.items():
        path = re.sub(r"\{[^}]+\}", "7", template)
        for method, operation in operations.items():
            route = contract.route(method.upper(), path)
            if route is None or route.template != template:
                lost.append(template)
            contract.check_request(method.upper(), path, {})
            for status in operation["responses"]:
                contract.check_response(method.upper(), path, int(status), {})
    # The old form of comparing is the same path as the new one.
    assert lost == ["/repos/{owner}/{repo}/compare/{base}...{head}"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/repos/o/r/pulls/seven"),
        ("GET", "/repos/o/r/issue/7"),
        ("DELETE", "/repos/o/r/git/ref/heads/main"),
        ("POST", "/repos/o/r/issues/7"),
        ("GET", "/repos/o"),
        ("POST", "/graphql"),
    ],
)
def test_a_path_without_a_route_is_a_problem(contract: Contract, method: str, path: str) -> None:
    assert contract.route(method, path) is None
    assert contract.check_request(method, path) == [f"{method} {path}: there is no such route"]
    assert contract.check_response(method, path, 200, {}) == [f"{method} {path}: there is no such route"]


@pytest.mark.parametrize(
    "path",
    [
        "/repos/o/r/contents/a b",
        "/repos/o/r/contents/naïve",
        "/repos/o/r/contents/100%",
        "/repos/o/r/contents/../../x/y",
        "/repos/o/r/contents/%2e%2e/x",
        "/repos/o//issues",
        "/repos/o/r/contents/a#b",
    ],
)
def test_a_path_that_is_not_quoted_or_climbs_is_a_problem(contract: Contract, path: str) -> None:
    assert contract.check_request("GET", path) == [f"GET {path}: the path isn't one to send: quote each segment"]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("state=open&labels=a,b&per_page=100&page=2&since=2026-01-01T00:00:00Z", ""),
        ("state=opened", 'query/state: "opened" is not one of "open", "closed" or "all"'),
        ("statte=open", "query/statte: is not described"),
        ("per_page=many", "query/per_page: ['many'] isn't integer"),
        ("per_page=101", "query/per_page: 101 is more than 100"),
        ("since=yesterday", 'query/since: "yesterday" is not a "date-time"'),
        ("state=open&state=closed", "query/state: ['open', 'closed'] isn't string"),
        ("labels=a b", "query: isn't one to send: quote the values"),
        ("labels=naïve", "query: isn't one to send: quote the values"),
    ],
)
def test_a_query_has_described_names_and_values(contract: Contract, query: str, problem: str) -> None:
    wanted = [f"GET /repos/{{owner}}/{{repo}}/issues request {problem}"] if problem else []
    assert contract.check_request("GET", f"{ISSUES}?{query}") == wanted


def test_a_query_lacks_nothing_it_needs(contract: Contract) -> None:
    assert contract.check_request("GET", "/search/code?q=x+repo:o/r") == []
    assert contract.check_request("GET", "/search/code") == ["GET /search/code request query/q: is missing"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"title": "A bug", "labels": ["a", {"name": "b", "color": None}], "milestone": None}, ""),
        ({"title": 7, "body": "x"}, ""),
        ({"body": "x"}, "/title: is missing"),
        ({"title": "A bug", "lables": ["a"]}, "/lables: is not described"),
        ({"title": "A bug", "labels": [{"name": "b", "colour": "red"}]}, "/labels/0/colour: is not described"),
        ({"title": "A bug", "assignees": "bob"}, "/assignees: is string, not array"),
        (["A bug"], "/: is array, not object"),
        (None, "/: lacks its body"),
    ],
)
def test_a_body_has_the_described_fields_and_no_others(contract: Contract, body: object, problem: str) -> None:
    wanted = [f"POST /repos/{{owner}}/{{repo}}/issues request {problem}"] if problem else []
    assert contract.check_request("POST", ISSUES, body) == wanted


def test_null_is_sent_only_where_it_may_be(contract: Contract) -> None:
    edit = f"{ISSUES}/7"
    assert contract.check_request("PATCH", edit, {"milestone": None, "body": None}) == []
    route = "PATCH /repos/{owner}/{repo}/issues/{issue_number}"
    assert contract.check_request("PATCH", edit, {"labels": None}) == [f"{route} request /labels: is null, not array"]


def test_a_body_where_none_is_described_is_a_problem(contract: Contract) -> None:
    assert contract.check_request("PUT", "/user/starred/o/r") == []
    assert contract.check_request("PUT", "/user/starred/o/r", {}) == [
        "PUT /user/starred/{owner}/{repo} request /: has a body, and none is described"
    ]


def test_free_fields_stay_free(contract: Contract) -> None:
    dispatch = "/repos/o/r/actions/workflows/ci.yml/dispatches"
    assert contract.check_request("POST", dispatch, {"ref": "main", "inputs": {"anything": "goes"}}) == []
    assert contract.check_request("POST", dispatch, {"ref": "main", "input": {}}) != []


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (404, {"message": "Not Found", "documentation_url": "u", "status": "404"}, ""),
        (502, {"message": "Server Error"}, ""),
        (403, {"message": ["no"]}, "/message: is array, not string"),
        (304, None, ""),
        (304, {}, "/: has a body, and none is described"),
        (200, None, "/: has no body"),
        (200, {}, "/: is object, not array"),
        (206, [], "status: 206 is not described"),
    ],
)
def test_a_status_has_its_body(contract: Contract, status: int, body: object, problem: str) -> None:
    wanted = [f"GET /repos/{{owner}}/{{repo}}/issues {status} {problem}"] if problem else []
    assert contract.check_response("GET", ISSUES, status, body) == wanted


def test_more_than_is_described_may_be_answered(contract: Contract) -> None:
    assert contract.check_response("GET", "/gitignore/templates/C", 200, {"name": "C", "source": "x", "new": 1}) == []


def test_an_answer_of_another_media_type_is_not_read_as_json(contract: Contract) -> None:
    args = ("GET", "/repos/o/r/pulls/7", None)
    assert (
        contract.check_exchange(*args, 200, b"diff --git", media_type="application/vnd.github.diff; charset=utf-8")
        == []
    )
    assert contract.check_exchange(*args, 206, b"diff --git", media_type="application/vnd.github.diff") != []
    assert "isn't JSON" in contract.check_exchange(*args, 200, b"diff --git")[0]


def test_a_request_body_that_is_not_json_is_a_problem(contract: Contract) -> None:
    found = contract.check_exchange("POST", ISSUES, b"{title", 0, b"")
    assert len(found) == 1
    assert "request /: isn't JSON" in found[0]


def test_a_known_gap_is_passed_over_at_its_place_alone(contract: Contract) -> None:
    template = {"name": 7, "source": 7}
    every = contract.check_response("GET", "/gitignore/templates/C", 200, template)
    here = Gap("GET /gitignore/templates/{name}", "/name", "the emulator numbers them")
    elsewhere = Gap("GET /licenses/{license}", "/source", "another route")
    deeper = Gap("*", "/source/*", "another place")
    gaps = Gaps([here, elsewhere, deeper])
    assert contract.check_response("GET", "/gitignore/templates/C", 200, template, gaps=gaps) == every[1:]
    assert len(every) == 2
    assert gaps.idle() == [elsewhere, deeper]


def test_a_gap_stands_for_every_item_of_a_list(contract: Contract) -> None:
    labels = [{"id": 1, "node_id": "n", "url": "u", "name": "a", "description": None, "color": "f00"}] * 3
    known = Gap("GET /repos/{owner}/{repo}/labels", "/*/default", "the emulator leaves it out")
    assert len(contract.check_response("GET", "/repos/o/r/labels", 200, labels)) == 3
    assert contract.check_response("GET", "/repos/o/r/labels", 200, labels, gaps=Gaps([known])) == []


def test_a_gap_may_be_a_status(contract: Contract) -> None:
    known = Gap("PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge", "status", "the emulator says so")
    path = "/repos/o/r/pulls/7/merge"
    assert contract.check_response("PUT", path, 418, {"message": "no"}) != []
    assert contract.check_response("PUT", path, 418, {"message": "no"}, gaps=Gaps([known])) == []


def test_all_that_went_through_a_proxy_is_checked() -> None:
    with proxying(None) as proxy:
        proxy.serve("GET", "/gitignore/templates/C", lambda request: {"name": "C", "source": "*.o"})
        proxy.serve("GET", "/gitignore/templates/D", lambda request: {"name": "D"})
        proxy.serve("GET", "/repos/o/r/zipball/main", lambda request: Answer(200, iter([b"a", b"b"])))
        proxy.graphql(lambda document, variables: {"data": {}})
        for method, target, body in (
            ("GET", "/gitignore/templates/C", b""),
            ("GET", "/gitignore/templates/D", b""),
            ("GET", "/repos/o/r/zipball/main", b""),
            ("GET", "/nowhere", b""),
            ("POST", "/graphql", b'{"query": "query($n: Int!) {viewer {login} rateLimit(dryRun: $n) {cost}}"}'),
        ):
            send(proxy.url, method, target, body)
        found = problems_of(proxy.exchanges)
    assert found[:2] == [
        "GET /gitignore/templates/{name} 200 /source: is missing",
        "GET /nowhere: there is no such route",
    ]
    assert any(one.startswith("POST /graphql: Variable '$n'") for one in found), found


def test_the_parts_of_an_answer_are_left_to_the_reader(contract: Contract) -> None:
    parts = iter([b"never", b"read"])
    assert problems_of([Exchange(Request("GET", "/user"), Answer(200, parts))]) == []
    assert next(parts) == b"never"


def send(url: str, method: str, target: str, body: bytes) -> None:
    where = urlsplit(url)
    assert where.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    try:
        connection.request(method, target, body or None)
        connection.getresponse().read()
    finally:
        connection.close()
