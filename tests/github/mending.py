"""Routes that the emulator answers wrongly, mended from what it answers rightly, as GitHub's documentation has them.

- The list of issues holds pull requests too, and a pull request is found as an issue.
- The files of a pull request, and diffs by media type, come from the comparison of its commits.
- Tags made as references are listed. Draft releases are seen by who may push.
- Nobody approves a pull request of one's own (422). A merge of what is merged or a draft is 405, with an old sha 409.
- Comments of a review may name a line; the emulator wants a position and forgets the line.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.github.loopback import Answer, Request, as_json
from tests.github.manners import refusal
from tests.github.proxy import Proxy
from tests.github.rights import REPO, Rights

_DIFF = re.compile(r"application/vnd\.github(\.v3)?\.diff")
# What a pull request has in common with its issue.
_SHARED = """
    id node_id number title user labels state locked assignee assignees milestone created_at updated_at closed_at
    author_association body html_url draft active_lock_reason
"""


def mend(proxy: Proxy) -> None:
    """Serve the mended routes at `proxy`, in front of an emulator."""
    mended = _Mended(proxy)
    routes: list[tuple[str, str, Callable[[Request], Any]]] = [
        ("GET", r"/issues", mended.issues),
        ("GET", r"/issues/\d+", mended.issue),
        ("GET", r"/pulls/\d+/files", mended.files),
        ("GET", r"/pulls/\d+", mended.pull),
        ("GET", r"/compare/.+", mended.difference),
        ("GET", r"/commits/[^/]+", mended.difference),
        ("GET", r"/tags", mended.tags),
        ("GET", r"/releases", mended.releases),
        ("PUT", r"/pulls/\d+/merge", mended.merge),
        ("POST", r"/pulls/\d+/reviews", mended.review),
    ]
    for method, path, handler in routes:
        proxy.serve(method, REPO + path, handler)
    mended.rights.mend()


class _Mended:
    def __init__(self, proxy: Proxy) -> None:
        self._ask = proxy.ask
        self._look = proxy.look
        self.rights = Rights(proxy)
        self._proxy = proxy

    def _all(self, request: Request) -> list[dict[str, Any]] | None:
        """Of all pages."""
        found: list[dict[str, Any]] = []
        for page in itertools.count(1):
            answer = self._ask(_page(request, page, 100))
            if answer.status != 200:
                return None
            found += answer.json()
            if len(answer.json()) < 100:
                break
        return found

    def issues(self, request: Request) -> Answer:
        asked = {name: values[0] for name, values in request.query.items()}
        # Filters on what a pull request has in common with issues are the emulator's: such lists hold issues alone.
        if {"labels", "milestone", "assignee", "creator", "mentioned", "since"} & set(asked):
            return self._ask(request)
        issues = self._all(request)
        pulls = self._all(replace(request, target=request.target.replace("/issues", "/pulls", 1)))
        if issues is None or pulls is None:
            return self._ask(request)
        found = [*issues, *map(_as_issue, pulls)]
        order = {"updated": "updated_at", "comments": "comments"}.get(asked.get("sort", ""), "created_at")
        found.sort(key=lambda one: (one[order], one["number"]), reverse=asked.get("direction") != "asc")
        return _paged(request, found, self._proxy.url)

    def issue(self, request: Request) -> Answer:
        answer = self._ask(request)
        if answer.status != 404:
            return answer
        pull = self._look(request, request.path.replace("/issues/", "/pulls/"))
        return answer if pull is None else as_json(_as_issue(pull))

    def files(self, request: Request) -> Answer:
        pull = self._look(request, request.path.removesuffix("/files"))
        if pull is None:
            return self._ask(request)
        return _paged(request, self._compared(request, pull)["files"], self._proxy.url)

    def pull(self, request: Request) -> Answer:
        answer = self._ask(request)
        if answer.status != 200:
            return answer
        pull = answer.json()
        files = self._compared(request, pull)["files"]
        if _DIFF.search(request.headers.get("accept", "")):
            return _diff(files)
        counts = {"changed_files": len(files)} | {
            kind: sum(one[kind] for one in files) for kind in ("additions", "deletions")
        }
        return as_json({**pull, **counts})

    def difference(self, request: Request) -> Answer:
        answer = self._ask(request)
        wanted = _DIFF.search(request.headers.get("accept", ""))
        return _diff(answer.json()["files"]) if wanted and answer.status == 200 else answer

    def tags(self, request: Request) -> Answer:
        repo = _repo(request)
        refs = self._look(request, f"{repo}/git/matching-refs/tags/?per_page=100")
        if refs is None:
            return self._ask(request)
        tags: list[dict[str, Any]] = []
        for ref in reversed(refs):
            target = ref["object"]
            if target["type"] == "tag":
                target = self._look(request, f"{repo}/git/tags/{target['sha']}")["object"]
            name, sha = ref["ref"].removeprefix("refs/tags/"), target["sha"]
            url = self._proxy.url + repo
            commit = {"sha": sha, "url": f"{url}/commits/{sha}"}
            urls = {f"{kind}_url": f"{url}/{kind}/refs/tags/{name}" for kind in ("zipball", "tarball")}
            tags.append({"name": name, "commit": commit, **urls, "node_id": ref["node_id"]})
        return _paged(request, tags, self._proxy.url)

    def releases(self, request: Request) -> Answer:
        answer = self._ask(request)
        if answer.status != 200 or self.rights.level(request, _repo(request)) not in {"read", "none"}:
            return answer
        return replace(answer, body=json.dumps([one for one in answer.json() if not one["draft"]]).encode())

    def merge(self, request: Request) -> Answer:
        pull = self._look(request, request.path.removesuffix("/merge"))
        body: dict[str, Any] = request.json() or {}
        if pull is not None and (pull["merged"] or pull["state"] == "closed" or pull["draft"]):
            return refusal(405, "Pull Request is not mergeable")
        if pull is not None and body.get("sha", pull["head"]["sha"]) != pull["head"]["sha"]:
            return refusal(409, "Head branch was modified. Review and try the merge again.")
        return self._ask(request)

    def review(self, request: Request) -> Answer:
        body: dict[str, Any] = request.json() or {}
        pull = self._look(request, request.path.removesuffix("/reviews"))
        me = self._look(request, "/user")
        own = pull is not None and me is not None and pull["user"]["login"] == me["login"]
        if own and body.get("event") in {"APPROVE", "REQUEST_CHANGES"}:
            what = "approve" if body["event"] == "APPROVE" else "request changes on"
            error = f"Review Can not {what} your own pull request"
            return as_json({"message": "Unprocessable Entity", "errors": [error], "status": "422"}, 422)
        given: list[dict[str, Any]] = body.get("comments") or []
        comments = [{"position": one.get("line"), **one} for one in given]
        changed = json.dumps({**body, "comments": comments} if comments else body).encode()
        return self._ask(replace(request, body=changed))

    def _compared(self, request: Request, pull: dict[str, Any]) -> dict[str, Any]:
        """Within the repository of the head, which has the base's commits as well."""
        head = (pull["head"].get("repo") or pull["base"]["repo"])["full_name"]
        got = self._look(request, f"/repos/{head}/compare/{pull['base']['sha']}...{pull['head']['sha']}")
        return got or {"files": []}


def _repo(request: Request) -> str:
    found = re.match(REPO, request.path)
    assert found is not None
    return found[0]


def _page(request: Request, page: int, size: int) -> Request:
    """The same, asking for another page."""
    kept = [
        part for part in request.target.partition("?")[2].split("&") if part and not re.match(r"(per_)?page=", part)
    ]
    return replace(request, target=f"{request.path}?{'&'.join([*kept, f'page={page}', f'per_page={size}'])}")


def _paged(request: Request, found: list[Any], url: str) -> Answer:
    """The page that was asked for, with links to the others."""
    size = min(100, int(request.query.get("per_page", ["30"])[0]))
    page = int(request.query.get("page", ["1"])[0])
    last = max(1, -(-len(found) // size))
    others = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    links = [
        f'<{url}{_page(request, number, size).target}>; rel="{name}"'
        for name, number in others.items()
        if 1 <= number <= last and (name not in {"last", "first"} or number != page)
    ]
    answer = as_json(found[(page - 1) * size : page * size])
    return answer.with_headers({"Link": ", ".join(links)}) if links else answer


def _as_issue(pull: dict[str, Any]) -> dict[str, Any]:
    base = pull["url"].rpartition("/pulls/")[0]
    issue = {name: pull.get(name) for name in _SHARED.split()}
    urls = {
        "url": f"{base}/issues/{pull['number']}",
        "repository_url": base,
        "comments_url": f"{base}/issues/{pull['number']}/comments",
    }
    shown = {name: pull.get(name) for name in ("url", "html_url", "diff_url", "patch_url", "merged_at")}
    return {**issue, **urls, "comments": pull.get("comments", 0), "state_reason": None, "pull_request": shown}


def _diff(files: list[dict[str, Any]]) -> Answer:
    parts: list[str] = []
    for one in files:
        name, old = one["filename"], one.get("previous_filename") or one["filename"]
        before = "/dev/null" if one["status"] == "added" else f"a/{old}"
        after = "/dev/null" if one["status"] == "removed" else f"b/{name}"
        head = f"diff --git a/{old} b/{name}\n"
        if patch := one.get("patch"):
            parts.append(f"{head}--- {before}\n+++ {after}\n{patch.removesuffix(chr(10))}\n")
        else:
            parts.append(head if one["status"] == "removed" else f"{head}Binary files {before} and {after} differ\n")
    return Answer(200, "".join(parts).encode(), {"Content-Type": "application/vnd.github.diff; charset=utf-8"})
