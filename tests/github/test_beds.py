"""The beds do what the other tests take for granted."""

from __future__ import annotations

import base64
import time
from typing import Any
from urllib.parse import quote

import jwt
import pytest

from tests.github.asking import get
from tests.github.conftest import had
from tests.github.emulator import (
    APP_ID,
    INSTALLATION_ID,
    PRIVATE,
    PUBLIC,
    WIDGET,
    CallFailed,
    Emulator,
    Unavailable,
    running,
)
from tests.github.furnishing import FILES, HIDDEN, SECRET_LINE, Furniture, blob_sha, commit
from tests.github.proxy import Proxy

HERE = f"/repos/{PUBLIC}"


def test_the_seed_gives_each_user_what_is_theirs(github: Emulator) -> None:
    assert {one["full_name"] for one in github.call("GET", "/user/repos")} == {PUBLIC, PRIVATE}
    assert github.call("GET", f"/repos/{PRIVATE}")["private"] is True
    for login in github.tokens:
        assert github.call("GET", "/user", login=login)["login"] == login
    assert {one["login"] for one in github.call("GET", "/orgs/acme/members")} == {"alice", "carol"}
    assert github.call("GET", f"/repos/{WIDGET}", login="carol")["full_name"] == WIDGET
    with pytest.raises(CallFailed):
        github.call("GET", f"/repos/{WIDGET}", login="mallory")


def test_tokens_have_the_shape_of_real_ones_and_stand_in_no_file(github: Emulator) -> None:
    for token in github.tokens.values():
        prefix, rest = token[:4], token[4:]
        assert (prefix, len(rest), rest.isalnum()) == ("gh" + "p_", 36, True)


def test_a_reset_takes_everything_back_but_the_address_and_the_key(github: Emulator, proxy: Proxy) -> None:
    url, key = github.url, github.app_key
    github.call("POST", f"{HERE}/issues", {"title": "Gone"})
    left = min(int(get(url, "/user", github.tokens["alice"]).headers["x-ratelimit-remaining"]) for _ in range(5))
    github.reset()
    assert github.call("GET", f"{HERE}/issues") == []
    # Renewed, or a long run of tests would use up the emulator's 5,000.
    assert int(get(url, "/user", github.tokens["alice"]).headers["x-ratelimit-remaining"]) > left
    now = int(time.time())
    claims = {"iat": now - 10, "exp": now + 300, "iss": str(APP_ID)}
    signed = jwt.encode(claims, key, algorithm="RS256")
    made = get(proxy.url, f"/app/installations/{INSTALLATION_ID}/access_tokens", signed, "POST")
    assert made.status == 201
    # The proxy knows a token that was made through it.
    assert get(proxy.url, f"/repos/{WIDGET}", made.json["token"]).json["full_name"] == WIDGET


def test_the_content_is_there_byte_by_byte(github: Emulator, furnished: Furniture) -> None:
    tree = github.call("GET", f"{HERE}/git/trees/{furnished.before}?recursive=1")["tree"]
    shas = {one["path"]: one["sha"] for one in tree if one["type"] == "blob"}
    assert {path: blob_sha(data) for path, data in FILES.items()}.items() <= shas.items()
    for path, data in FILES.items():
        got = github.call("GET", f"{HERE}/contents/{quote(path)}?ref={furnished.before}")
        assert base64.b64decode(got["content"] or "") == data, path


def test_issues_have_authors_of_every_kind_and_their_text_unchanged(github: Emulator, furnished: Furniture) -> None:
    comments = github.call("GET", f"{HERE}/issues/{furnished.issue}/comments")
    assert [(one["user"]["login"], one["author_association"]) for one in comments] == [
        ("alice", "OWNER"),
        ("bob", "COLLABORATOR"),
        ("mallory", "NONE"),
    ]
    assert [one["id"] for one in comments] == list(furnished.comments)
    assert github.call("GET", f"{HERE}/issues/{furnished.outside}")["body"] == HIDDEN
    assert github.call("GET", f"{HERE}/issues/{furnished.closed}")["state_reason"] == "not_planned"
    private = github.call("GET", f"/repos/{PRIVATE}/issues/{furnished.private_issue}")
    assert private["body"] == SECRET_LINE


def test_a_pull_request_has_reviews_comments_and_checks(github: Emulator, furnished: Furniture) -> None:
    pull = github.call("GET", f"{HERE}/pulls/{furnished.pull}")
    assert (pull["user"]["login"], pull["head"]["sha"], pull["base"]["sha"]) == (
        "bob",
        furnished.feature,
        furnished.head,
    )
    assert [one["state"] for one in github.call("GET", f"{HERE}/pulls/{furnished.pull}/reviews")] == [
        "CHANGES_REQUESTED"
    ]
    comments = github.call("GET", f"{HERE}/pulls/{furnished.pull}/comments")
    assert {one["path"] for one in comments} == {"src/new.py", "docs/guide.md"}
    runs = github.call("GET", f"{HERE}/commits/{furnished.feature}/check-runs")["check_runs"]
    assert {one["name"]: one["conclusion"] for one in runs} == {"build": "success", "test": "failure"}


def test_a_commit_of_files_keeps_what_it_does_not_name(github: Emulator) -> None:
    first = commit(github, PUBLIC, "new/branch", {"a.txt": b"a\n", "b.txt": b"b\n"}, "Two")
    second = commit(github, PUBLIC, "new/branch", {"a.txt": None}, "One less")
    paths = {one["path"] for one in github.call("GET", f"{HERE}/git/trees/{second}?recursive=1")["tree"]}
    assert paths == {"README.md", "b.txt"}
    assert github.call("GET", f"{HERE}/git/commits/{second}")["parents"][0]["sha"] == first


def test_without_the_lanes_tests_are_skipped_and_fail_in_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("TESTS_GITHUB_LANES", str(tmp_path))
    with (
        pytest.raises(Unavailable, match=r"emulate not installed in .*: run `python tests/github/install\.py`"),
        running(),
    ):
        pass
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception):
        next(had(running()))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception):
        next(had(running()))
