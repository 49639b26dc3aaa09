"""A GitHub in which an outsider has written wherever an outsider can, always with the same word; and how to read each place.

What the emulator doesn't have (runs, logs, threads, discussions, alerts) is served by the proxy.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatelodge_github import uris

from tests.github import faults, graphql
from tests.github.emulator import PUBLIC, Emulator
from tests.github.examples import by_cursor, example, paged
from tests.github.furnishing import Furniture, commit
from tests.github.loopback import Answer
from tests.github.proxy import Proxy
from tests.github.pulling import FORK, HERE, changed, check_run, thread
from tests.github.test_discussions import CATEGORIES, comment, connection, discussion

CANARY = "canary7f3a"
"""The outsider's word."""
TRAP = "mallory/trap"
RUN, JOB = 71, 72
LOG_PATH = "/results/72"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an outsider's text is read.

    Args:
        tool: By which tool.
        arguments: With which arguments.
        filtered: Whether lockdown withholds it already where it only filters.
    """

    tool: str
    arguments: Mapping[str, Any]
    filtered: bool


@dataclass(frozen=True, slots=True)
class Planted:
    """What an outsider has written.

    Args:
        furniture: What was there before.
        pull: A pull request from a fork.
        head: Its commit.
        issue: An issue.
        commit: In `TRAP`.
    """

    furniture: Furniture
    pull: int
    head: str
    issue: int
    commit: str

    @property
    def places(self) -> dict[str, Place]:
        """Every place, by a name for it."""
        pull: dict[str, Any] = {"number": self.pull}
        trap = {"repo": TRAP}
        filtered: dict[str, tuple[str, dict[str, Any]]] = {
            "issues": ("list_issues", {}),
            "issue": ("get_issue", {"number": self.issue}),
            "comments": ("get_issue", {"number": self.furniture.issue, "include": ["comments"]}),
            "sub-issues": ("get_issue", {"number": self.furniture.issue, "include": ["sub_issues"]}),
            "pulls": ("list_pulls", {}),
            "pull": ("get_pull", pull),
            "pull reviews": ("get_pull", {**pull, "include": ["reviews"]}),
            "pull threads": ("get_pull", {**pull, "include": ["threads"]}),
            "pull comments": ("get_pull", {**pull, "include": ["comments"]}),
            "pull commits": ("get_pull", {**pull, "include": ["commits"]}),
            "pull checks": ("get_pull", {**pull, "include": ["checks"]}),
            "pull diff": ("get_pull_diff", pull),
            "fork": ("get_diff", {"target": f"main...mallory:{CANARY}-branch"}),
            "file": ("get_file", {**trap, "path": f"{CANARY}.txt"}),
            "directory": ("get_file", trap),
            "tree": ("get_tree", trap),
            "search code": ("search_github", {"query": CANARY, "kind": "code"}),
            "search issues": ("search_github", {"query": CANARY, "kind": "issues"}),
            "search pulls": ("search_github", {"query": CANARY, "kind": "pulls"}),
        }
        strict: dict[str, tuple[str, dict[str, Any]]] = {
            "commits": ("list_commits", trap),
            "commit": ("get_diff", {**trap, "target": self.commit}),
            "branches": ("list_refs", trap),
            "tags": ("list_refs", {**trap, "kind": "tags"}),
            "releases": ("list_refs", {**trap, "kind": "releases"}),
            "description": ("get_repo", trap),
            "search repositories": ("search_github", {"query": "trap", "kind": "repos"}),
            "search commits": ("search_github", {"query": CANARY, "kind": "commits"}),
            "runs": ("list_runs", {}),
            "run": ("get_run", {"run_id": RUN}),
            "log": ("get_job_log", {"job_id": JOB}),
            "discussions": ("read_discussions", {}),
            "discussion": ("read_discussions", {"number": 7}),
            "alerts": ("list_alerts", {}),
            "code alerts": ("list_alerts", {"kind": "code"}),
            "secret alerts": ("list_alerts", {"kind": "secret"}),
        }
        found = {name: Place(*place, filtered=True) for name, place in filtered.items()}
        return found | {name: Place(*place, filtered=False) for name, place in strict.items()}

    @property
    def uris(self) -> list[str]:
        """The resources in which it can be read."""
        return [
            uris.file(TRAP, "", f"{CANARY}.txt"),
            uris.file(TRAP, "", ""),
            f"issue://{PUBLIC}/{self.issue}",
            f"issue://{PUBLIC}/{self.furniture.issue}",
            f"pull://{PUBLIC}/{self.pull}",
            f"pull://{PUBLIC}/{self.pull}/diff",
            f"run://{PUBLIC}/{RUN}",
            f"run://{PUBLIC}/{RUN}/jobs/{JOB}/log",
        ]


def plant(emulator: Emulator, furniture: Furniture) -> Planted:
    """Let mallory write wherever she can."""

    def mallory(method: str, path: str, body: Any = None) -> Any:
        return emulator.call(method, path, body, login="mallory")

    issue: int = mallory("POST", f"{HERE}/issues", {"title": f"Title {CANARY}", "body": f"Body {CANARY}"})["number"]
    mallory("POST", f"{HERE}/issues/{furniture.issue}/comments", {"body": f"Comment {CANARY}"})
    mallory("POST", f"{HERE}/forks", {})
    branch, file = f"{CANARY}-branch", {f"{CANARY}.txt": f"file {CANARY}\n".encode()}
    head = commit(emulator, FORK, branch, {**file}, f"Message {CANARY}", login="mallory")
    wanted = {"title": f"Pull {CANARY}", "body": f"Text {CANARY}", "head": f"mallory:{branch}", "base": "main"}
    pull: int = mallory("POST", f"{HERE}/pulls", wanted)["number"]
    mallory("POST", f"{HERE}/pulls/{pull}/reviews", {"event": "COMMENT", "body": f"Review {CANARY}"})
    mallory("POST", f"{HERE}/issues/{pull}/comments", {"body": f"Comment {CANARY}"})
    mallory("PATCH", f"/repos/{TRAP}", {"description": f"Description {CANARY}"})
    made = commit(emulator, TRAP, "main", {**file}, f"Message {CANARY}", login="mallory")
    commit(emulator, TRAP, branch, {"other.txt": b"x\n"}, f"Other {CANARY}", login="mallory")
    release = {"tag_name": f"v{CANARY}", "name": f"Release {CANARY}", "body": f"Notes {CANARY}"}
    mallory("POST", f"/repos/{TRAP}/git/refs", {"ref": f"refs/tags/v{CANARY}", "sha": made})
    mallory("POST", f"/repos/{TRAP}/releases", release)
    return Planted(furniture, pull, head, issue, made)


def serve(proxy: Proxy, elsewhere: Proxy, planted: Planted) -> None:
    """What the emulator doesn't have, by the same hand."""
    run = example(
        "run", id=RUN, name=f"Workflow {CANARY}", display_title=f"Title {CANARY}", head_branch=f"{CANARY}-branch"
    )
    run["head_repository"]["full_name"] = FORK
    job = example("job", id=JOB, run_id=RUN, name=f"job {CANARY}", conclusion="failure")
    job["steps"][0] |= {"name": f"step {CANARY}", "conclusion": "failure"}
    artifact = example("artifact", name=f"artifact {CANARY}")
    actions = f"{HERE}/actions"
    proxy.serve("GET", f"{actions}/runs", paged(lambda _: [run], "workflow_runs"))
    proxy.serve("GET", f"{actions}/runs/{RUN}", lambda _: run)
    proxy.serve("GET", f"{actions}/runs/{RUN}/jobs", paged(lambda _: [job], "jobs"))
    proxy.serve("GET", f"{actions}/runs/{RUN}/artifacts", paged(lambda _: [artifact], "artifacts"))
    proxy.serve("GET", f"{actions}/jobs/{JOB}", lambda _: job)
    proxy.fault("GET", f"{actions}/jobs/{JOB}/logs", faults.moved(elsewhere.url + LOG_PATH, 302))
    log = f"2026-01-01T00:00:00.0000000Z ##[error]log {CANARY}\n".encode()
    elsewhere.serve("GET", LOG_PATH, lambda _: Answer(200, log, {"Content-Type": "text/plain"}))
    check = check_run(f"check {CANARY}", "failure", title="It failed", slug="other")
    checks = {"total_count": 1, "check_runs": [check]}
    proxy.serve("GET", rf"{HERE}/commits/{planted.head}/check-runs", lambda _: checks)
    proxy.serve("GET", "/search/(code|commits)", lambda request: _found(proxy.ask(request)))
    _differences(proxy, planted)
    _alerts(proxy)
    _graphql(proxy)


def _found(answer: Answer) -> Any:
    """Code and commits as GitHub finds them: of a repository it tells neither the default branch nor what one may do there."""
    found = answer.json()
    for item in found["items"]:
        for name in ("permissions", "default_branch"):
            item["repository"].pop(name, None)
    return found


def _differences(proxy: Proxy, planted: Planted) -> None:
    """The emulator's forks have not the commits of what they were made of, and so there is no difference."""
    files = [changed(f"{CANARY}.txt", f"@@ -0,0 +1 @@\n+file {CANARY}", status="added")]
    counts = {"changed_files": 1, "additions": 1, "deletions": 0}
    pull, compare = f"{HERE}/pulls/{planted.pull}", f"{HERE}/compare/"
    proxy.serve("GET", pull, lambda request: proxy.look(request, pull) | counts)
    proxy.serve("GET", f"{pull}/files", paged(lambda _: files))
    proxy.serve(
        "GET",
        f"{compare}.*mallory.*",
        lambda request: proxy.look(request, f"{compare}main...feature") | {"files": files},
    )


def _alerts(proxy: Proxy) -> None:
    dependency, code, secret = (example(kind, number=1, state="open") for kind in ("dependabot", "code", "secret"))
    dependency["security_advisory"]["summary"] = f"Summary {CANARY}"
    code["most_recent_instance"]["message"] = {"text": f"Message {CANARY}"}
    secret["first_location_detected"] = {**(secret.get("first_location_detected") or {}), "path": f"{CANARY}.env"}
    proxy.serve("GET", f"{HERE}/dependabot/alerts", by_cursor(lambda _: [dependency]))
    proxy.serve("GET", f"{HERE}/code-scanning/alerts", paged(lambda _: [code]))
    proxy.serve("GET", f"{HERE}/secret-scanning/alerts", paged(lambda _: [secret]))


def _graphql(proxy: Proxy) -> None:
    said = comment(12, "mallory", f"Comment {CANARY}", replies=1)
    said["replies"]["nodes"][0]["body"] = f"Reply {CANARY}"
    one = discussion(7, "mallory", [said], title=f"Title {CANARY}", body=f"Body {CANARY}")
    threads = [thread(f"{CANARY}.txt", ("mallory", "NONE", f"Thread {CANARY}"))]
    child = {
        "number": 99, "title": f"Child {CANARY}", "state": "OPEN", "stateReason": None,
        "author": {"__typename": "User", "login": "mallory"}, "authorAssociation": "NONE",
        "repository": {"nameWithOwner": PUBLIC, "visibility": "PUBLIC"},
    }  # fmt: skip

    def issue(_info: object, number: int) -> dict[str, Any]:
        return {"number": number, "parent": child, "subIssues": functools.partial(connection, [child])}

    def pull(_info: object, number: int) -> dict[str, Any]:
        return {"number": number, "reviewThreads": functools.partial(connection, threads)}

    def found(_info: object, number: int) -> object:
        return {**one, "number": number}

    def repository(_info: object, owner: str, name: str, **_: Any) -> dict[str, Any]:
        return {
            "nameWithOwner": f"{owner}/{name}", "visibility": "PUBLIC", "hasDiscussionsEnabled": True,
            "discussions": functools.partial(connection, [one]), "discussion": found,
            "discussionCategories": functools.partial(connection, CATEGORIES), "pullRequest": pull, "issue": issue,
        }  # fmt: skip

    proxy.graphql(lambda document, variables: graphql.answer(document, variables, {"repository": repository}))
