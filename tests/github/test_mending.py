"""What the emulator gets wrong is right behind the proxy."""

from __future__ import annotations

from tests.github.asking import get
from tests.github.emulator import (
    PUBLIC,
    WIDGET,
    Emulator,
)
from tests.github.furnishing import Furniture
from tests.github.proxy import Proxy

HERE = f"/repos/{PUBLIC}"


def test_issue_lists_hold_pull_requests_as_githubs_do(github: Emulator, furnished: Furniture, proxy: Proxy) -> None:
    token = github.tokens["alice"]
    seen: list[int] = []
    page: int | None = 1
    while page is not None:
        got = get(proxy.url, f"{HERE}/issues?state=all&per_page=1&page={page}", token)
        seen += [
            one["number"] for one in got.json if bool(one.get("pull_request")) == (one["number"] == furnished.pull)
        ]
        page = page + 1 if 'rel="next"' in got.headers.get("link", "") else None
    assert sorted(seen) == sorted([furnished.issue, furnished.outside, furnished.closed, furnished.pull])
    assert get(proxy.url, f"{HERE}/issues/{furnished.pull}", token).json["pull_request"]["url"].startswith(proxy.url)
    assert get(proxy.url, f"{HERE}/issues/999", token).status == 404


def test_files_and_diffs_of_a_pull_request_are_its_own_changes(
    github: Emulator, furnished: Furniture, proxy: Proxy
) -> None:
    token, pull = github.tokens["alice"], f"{HERE}/pulls/{furnished.pull}"
    files = get(proxy.url, f"{pull}/files", token).json
    assert [(one["filename"], one["status"], one["additions"], one["deletions"]) for one in files] == [
        ("docs/guide.md", "modified", 1, 1),
        ("odd/empty.txt", "removed", 0, 0),
        ("src/new.py", "added", 1, 0),
    ]
    shown = get(proxy.url, pull, token).json
    assert (shown["changed_files"], shown["additions"], shown["deletions"]) == (3, 2, 1)
    diff = get(proxy.url, pull, token, Accept="application/vnd.github.diff").body.decode()
    assert "diff --git a/src/new.py b/src/new.py\n--- /dev/null\n+++ b/src/new.py\n@@ " in diff
    assert "\n-line 200 of the guide\n+line 2e2 of the guide\n" in diff
    of_commit = get(
        proxy.url, f"{HERE}/commits/{furnished.head}", token, Accept="application/vnd.github.v3.diff"
    ).body.decode()
    assert "+line seven of the guide\n" in of_commit


def test_tags_and_drafts_are_shown_to_whom_github_shows_them(
    github: Emulator, furnished: Furniture, proxy: Proxy
) -> None:
    tags = get(proxy.url, f"{HERE}/tags", github.tokens["mallory"]).json
    assert [(one["name"], one["commit"]["sha"]) for one in tags] == [
        ("v1.1.0", furnished.head),
        ("v1.0.0", furnished.before),
    ]
    shown = {login: get(proxy.url, f"{HERE}/releases", github.tokens[login]).json for login in ("bob", "mallory")}
    assert {login: {one["id"] for one in got} for login, got in shown.items()} == {
        "bob": {furnished.release, furnished.draft},
        "mallory": {furnished.release},
    }


def test_merges_and_reviews_are_refused_as_github_refuses_them(
    github: Emulator, furnished: Furniture, proxy: Proxy
) -> None:
    pull = f"{HERE}/pulls/{furnished.pull}"
    alice, bob = github.tokens["alice"], github.tokens["bob"]
    own = get(proxy.url, f"{pull}/reviews", bob, "POST", {"event": "APPROVE"})
    assert (own.status, own.json["errors"]) == (422, ["Review Can not approve your own pull request"])
    line = {"path": "src/new.py", "line": 1, "side": "RIGHT", "body": "Here"}
    review = {"event": "APPROVE", "body": "Fine", "comments": [line]}
    assert get(proxy.url, f"{pull}/reviews", alice, "POST", review).json["state"] == "APPROVED"
    # As it was sent, not as the emulator wants it.
    assert proxy.sent("POST", r".*/reviews")[-1].json() == review
    assert get(proxy.url, f"{pull}/merge", alice, "PUT", {"sha": furnished.before}).status == 409
    assert get(proxy.url, f"{pull}/merge", alice, "PUT", {"sha": furnished.feature}).json["merged"] is True
    assert get(proxy.url, f"{pull}/merge", alice, "PUT", {"sha": furnished.feature}).status == 405


def test_permissions_are_what_one_really_has(github: Emulator, furnished: Furniture, proxy: Proxy) -> None:
    def push(login: str) -> tuple[bool, bool]:
        whole = get(proxy.url, HERE, github.tokens[login]).json["permissions"]
        found = get(proxy.url, "/search/repositories?q=public-repo", github.tokens[login]).json["items"]
        listed = next(one for one in found if one["full_name"] == PUBLIC)["permissions"]
        return whole["push"], listed["push"]

    assert {login: push(login) for login in github.tokens} == {
        "alice": (True, True),
        "bob": (True, True),
        "carol": (False, False),
        "mallory": (False, False),
    }
    assert "permissions" not in get(proxy.url, HERE).json

    def permission(asker: str, of: str) -> str | int:
        got = get(proxy.url, f"{HERE}/collaborators/{of}/permission", github.tokens[asker])
        return got.json["permission"] if got.status == 200 else got.status

    of = {login: permission("alice", login) for login in (*github.tokens, "nowhere")}
    assert of == {"alice": "admin", "bob": "write", "carol": "read", "mallory": "read", "nowhere": 404}
    assert permission("mallory", "alice") == 403
    widget = f"/repos/{WIDGET}"
    assert get(proxy.url, widget, github.tokens["alice"]).json["permissions"]["admin"] is True
    assert get(proxy.url, widget, github.tokens["carol"]).json["permissions"]["push"] is False
