"""What the tests of pull requests share: an outsider's pull request, generated files, statuses, threads, and a closing check.

What the emulator answers otherwise than GitHub, on the routes of pull requests, is in `GAPS`.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import json
from collections.abc import Generator, Sequence
from typing import Any

from tests.github import graphql
from tests.github.contract import Gap, Gaps
from tests.github.emulator import PUBLIC, Emulator
from tests.github.exchanges import problems_of
from tests.github.furnishing import commit
from tests.github.install import OPENAPI, lanes
from tests.github.needed import need
from tests.github.proxy import Proxy

HERE = f"/repos/{PUBLIC}"
FORK = "mallory/public-repo"
TICKS = "`" * 3

_LACKS = {
    "GET /repos/{owner}/{repo}": ("subscribers_count", "network_count"),
    "GET /repos/{owner}/{repo}/collaborators/{username}/permission": ("user/role_name",),
    "GET /repos/{owner}/{repo}/pulls/{pull_number}/commits": ("*/commit/tree/url",),
    "GET /repos/{owner}/{repo}/commits/{ref}/check-runs": ("check_runs/*/output/annotations_url",),
    "GET /search/issues": (
        "search_type", "items/*/score", "items/*/repository_url", "items/*/labels_url", "items/*/events_url",
    ),
}  # fmt: skip
_OF_AN_ORGANISATION = (
    "gravatar_id", "followers_url", "following_url", "gists_url", "organizations_url", "received_events_url",
    "starred_url", "subscriptions_url",
)  # fmt: skip
_OWNERS = (
    ("GET /repos/{owner}/{repo}", "owner"),
    *(
        ("POST /repos/{owner}/{repo}/pulls", f"{side}/{who}")
        for side in ("base", "head")
        for who in ("user", "repo/owner")
    ),
)
_PULL = "/repos/{owner}/{repo}/pulls/{pull_number}"
GAPS = (
    Gap(f"POST {_PULL}/requested_reviewers", "status", "the emulator says 200 for 201"),
    Gap(f"POST {_PULL}/reviews", "status", "the emulator says 201 for 200"),
    Gap(f"POST {_PULL}/reviews", "/documentation_url", "left out by the proxy's mended refusal"),
    *(
        Gap(route, f"/{owner}/{field}", "the emulator knows less of organisations")
        for route, owner in _OWNERS
        for field in _OF_AN_ORGANISATION
    ),
    *(Gap(route, f"/{field}", "the emulator leaves it out") for route, fields in _LACKS.items() for field in fields),
    *(Gap(f"GET {_PULL}", f"/head/{field}", "GitHub's null once a fork is gone") for field in ("user", "repo")),
)


@contextlib.contextmanager
def as_described(proxy: Proxy) -> Generator[None]:
    """At the end, all requests and all answers but for known gaps are what GitHub describes."""
    yield
    problems = problems_of(proxy.exchanges, gaps=Gaps(GAPS))
    assert not problems, "\n".join(problems)


def foreign(emulator: Emulator, title: str = "From a fork", body: str = "Please merge.", branch: str = "evil") -> int:
    """A pull request by mallory from a fork; its number."""
    emulator.call("POST", f"{HERE}/forks", {}, login="mallory")
    commit(emulator, FORK, branch, {"evil.txt": b"evil\n"}, "Evil\n\nbody", login="mallory")
    wanted = {"title": title, "body": body, "head": f"mallory:{branch}", "base": "main"}
    number: int = emulator.call("POST", f"{HERE}/pulls", wanted, login="mallory")["number"]
    return number


@functools.cache
def _examples() -> dict[str, Any]:
    need(OPENAPI.name)
    found: dict[str, Any] = json.loads((lanes() / OPENAPI.name).read_bytes())["components"]["examples"]
    return {name: found[name]["value"] for name in ("diff-entry-items", "combined-commit-status", "check-run")}


def changed(path: str, patch: str = "@@ -1 +1 @@\n-a\n+b", **more: Any) -> dict[str, Any]:
    """A file of a pull request, from GitHub's example."""
    made = {**_examples()["diff-entry-items"][0], "filename": path, "status": "modified", "patch": patch, **more}
    return {name: value for name, value in made.items() if value is not None}


def status(*contexts: tuple[str, str]) -> dict[str, Any]:
    """The combined status of a commit, of (context, state)."""
    made: dict[str, Any] = copy.deepcopy(_examples()["combined-commit-status"])
    one = made["statuses"][0]
    statuses = [
        {**one, "context": context, "state": state, "description": f"{context}!"} for context, state in contexts
    ]
    return {**made, "statuses": statuses, "total_count": len(statuses), "state": "failure"}


def check_run(name: str, conclusion: str | None, number: int = 1, title: str = "", slug: str = "github-actions") -> dict[str, Any]:  # fmt: skip
    """A check run; one without a conclusion is in progress."""
    made: dict[str, Any] = copy.deepcopy(_examples()["check-run"])
    made["app"]["slug"] = slug
    made["output"]["title"] = title
    return {
        **made,
        "id": number,
        "name": name,
        "status": "completed" if conclusion else "in_progress",
        "conclusion": conclusion,
    }


def thread(path: str, *said: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    """A review thread, of (login, association, text), by the names of GitHub's GraphQL schema."""
    comments = [
        {
            "fullDatabaseId": str(1000 + at),
            "author": {"__typename": "User", "login": login},
            "authorAssociation": association,
            "body": text,
            "createdAt": "2026-01-02T03:04:05Z",
        }
        for at, (login, association, text) in enumerate(said)
    ]
    made: dict[str, Any] = {
        "isResolved": False, "isOutdated": False, "path": path, "line": 7, "startLine": None, "originalLine": 7,
        "diffSide": "RIGHT", "comments": {"totalCount": len(comments), "nodes": comments},
    }  # fmt: skip
    return {**made, **more}


def serve_threads(proxy: Proxy, threads: Sequence[dict[str, Any]]) -> None:
    """GraphQL with these threads, in pages of what is asked for."""

    def connection(_info: object, first: int = 0, after: str | None = None) -> dict[str, Any]:
        begin = int(after) if after else 0
        end = min(begin + first, len(threads))
        return {
            "totalCount": len(threads),
            "pageInfo": {"hasNextPage": end < len(threads), "endCursor": str(end)},
            "nodes": list(threads[begin:end]),
        }

    def pull(_info: object, number: int) -> dict[str, Any]:
        return {"number": number, "reviewThreads": connection}

    def repository(_info: object, **_arguments: Any) -> dict[str, Any]:
        return {"nameWithOwner": PUBLIC, "visibility": "PUBLIC", "pullRequest": pull}

    root: dict[str, Any] = {"repository": repository}
    proxy.graphql(lambda document, variables: graphql.answer(document, variables, root))
