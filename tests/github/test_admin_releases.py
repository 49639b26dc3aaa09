"""Repositories and releases: made only after a person's yes, where they may be, and as visible as was said."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.github import faults
from tests.github.bed import Bed, bedded, paths
from tests.github.emulator import PRIVATE, PUBLIC, SITE, CallFailed, Emulator, token_of

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"


def refusing(_: str) -> bool:
    return False


@pytest.fixture(scope="module")
def bed(emulator: Emulator) -> Generator[Bed]:
    yield from bedded(emulator)


async def test_a_repository_is_private_and_has_a_commit_unless_said_otherwise(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        found = await called.record("create_repo", name="fresh", description="Of alice")
        assert bed.proxy.writes()[0].json() == {
            "name": "fresh", "description": "Of alice", "private": True, "auto_init": True,
        }  # fmt: skip
        assert paths(bed) == ["GET /user", "POST /user/repos"]
        made = bed.call("GET", "/repos/alice/fresh")
        assert (made["private"], made["description"]) == (True, "Of alice")
        assert found["repo"] == "alice/fresh"
        assert (found["visibility"], found["default_branch"]) == ("private", "main")
        # It can be built on at once; a person is asked, since it isn't the default repository.
        files = [{"path": "a.txt", "content": "a\n"}]
        await called.record("commit_files", repo="alice/fresh", branch="main", message="First", files=files)
    assert len(called.questions) == 2
    assert "In a new private repository." in called.questions[0]
    assert "it makes a repository" in called.questions[0]


async def test_a_public_repository_of_an_organisation_is_asked_for_as_such(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        found = await called.record("create_repo", name="tool", org="acme", private=False)
        assert await called.label("create_repo", name="tool2", org="acme", private=False) == "trusted/public"
        assert await called.label("create_repo", name="tool3", org="acme") == "trusted/private"
    assert found["visibility"] == "public"
    assert bed.call("GET", "/repos/acme/tool")["private"] is False
    assert "In a new public repository." in called.questions[0]
    assert "private: false" in called.questions[0]


async def test_a_fork_is_as_visible_as_what_it_is_made_of(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        found = await called.record("create_repo", name="site-of-alice", fork_of=SITE)
    assert (found["repo"], found["visibility"], found["fork_of"]) == ("alice/site-of-alice", "public", SITE)
    assert bed.proxy.writes()[0].json() == {"name": "site-of-alice"}
    assert f"In a new fork of {SITE} (public)" in called.questions[0]


async def test_a_no_makes_no_repository(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path, says=refusing) as called:
        assert (await called.error("create_repo", name="unwanted")).startswith("declined:")
    async with bed.server(tmp_path / "cannot", says=None) as called:
        assert "gatelodge approve" in await called.error("create_repo", name="unwanted")
    assert bed.proxy.writes() == []


async def test_what_was_read_in_private_is_named_when_a_repository_is_made(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path, says=refusing) as called:
        await called.text("get_issue", number=1, repo=PRIVATE)
        await called.error("create_repo", name="leak", private=False, description="the vault")
    assert f"private text was read ({PRIVATE})" in called.questions[0]
    assert "the vault" in called.questions[0]
    assert bed.proxy.writes() == []


@pytest.mark.parametrize(
    ("given", "settings", "code"),
    [
        ({"name": "x"}, {"repos": ["acme/*"], "repo": ""}, "repo_not_allowed"),
        ({"name": "x"}, {"write_repos": ["acme/*"]}, "repo_not_writable"),
        ({"name": "x", "fork_of": SITE}, {"repos": ["alice/*"]}, "repo_not_allowed"),
        ({"name": "x", "org": "mallory"}, {"write_repos": ["alice/*"]}, "repo_not_writable"),
        ({"name": "a/b"}, {}, "bad_name"),
        ({"name": ".."}, {}, "bad_name"),
        ({"name": ""}, {}, "bad_name"),
        ({"name": "x.git"}, {}, "bad_name"),
        ({"name": "x y"}, {}, "bad_name"),
        ({"name": "x", "org": "a/../b"}, {}, "bad_login"),
        ({"name": "x", "fork_of": "acme"}, {}, "bad_repo"),
    ],
)
async def test_a_repository_is_made_only_where_it_may_be(
    bed: Bed, tmp_path: Path, given: dict[str, Any], settings: dict[str, Any], code: str
) -> None:
    async with bed.server(tmp_path, **settings) as called:
        assert (await called.error("create_repo", **given)).startswith(f"{code}:")
    assert bed.proxy.writes() == []


async def test_a_policy_is_held_to_the_repository_that_is_made(bed: Bed, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\ntool = "create_repo"\nsubject = "acme/*"\nthen = "deny"\n', "utf-8")
    async with bed.server(tmp_path, policy=str(policy)) as called:
        assert (await called.error("create_repo", name="x", org="acme")).startswith("denied_by_policy:")
        assert bed.proxy.writes() == []
        await called.record("create_repo", name="elsewhere")


async def test_failures_of_a_new_repository_say_what_to_do(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        assert (await called.error("create_repo", name="public-repo")).startswith("exists: alice/public-repo")
        bed.proxy.fault("POST", "/user/repos", faults.lost_after_commit(), times=1)
        lost = await called.error("create_repo", name="lost")
        bed.proxy.fault("POST", "/user/repos", faults.lacks_permission("administration=write"), times=1)
        refused = await called.error("create_repo", name="never")
    assert lost.startswith("outcome_unknown:")
    assert 'get_repo(repo="alice/lost")' in lost
    assert bed.call("GET", "/repos/alice/lost")["name"] == "lost"
    assert refused.startswith("forbidden:")
    with pytest.raises(CallFailed):
        bed.call("GET", "/repos/alice/never")


async def test_a_release_is_a_draft_unless_said_otherwise_and_has_what_was_given(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        draft = await called.record("create_release", tag="v3.0.0", name="Three", body="Notes of three.\n")
        published = await called.record("create_release", tag="v3.1.0", target="stale", draft=False, prerelease=True)
        await called.record("create_release", tag="v3.2.0", generate_notes=True)
        assert await called.label("create_release", tag="v3.3.0") == "trusted/private"
        assert await called.label("create_release", tag="v3.4.0", draft=False) == "trusted/public"
    sent = [one.json() for one in bed.proxy.writes()]
    assert sent[:3] == [
        {"tag_name": "v3.0.0", "draft": True, "name": "Three", "body": "Notes of three.\n"},
        {"tag_name": "v3.1.0", "draft": False, "prerelease": True, "target_commitish": "stale"},
        {"tag_name": "v3.2.0", "draft": True, "generate_release_notes": True},
    ]
    made = {one["tag_name"]: one for one in bed.call("GET", f"{HERE}/releases")}
    assert (made["v3.0.0"]["draft"], made["v3.0.0"]["body"]) == (True, "Notes of three.\n")
    assert (made["v3.1.0"]["draft"], made["v3.1.0"]["prerelease"]) == (False, True)
    assert draft["id"] == made["v3.0.0"]["id"]
    assert (published["draft"], published["prerelease"]) == (False, True)
    assert "it drafts a release" in called.questions[0]
    assert "Notes of three." in called.questions[0]
    assert "it publishes a release" in called.questions[1]
    assert len(called.questions) == 5
    assert paths(bed) == ["GET ", *["POST /releases"] * 5]


async def test_a_no_makes_no_release_and_neither_does_a_gate(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path, says=refusing) as called:
        assert (await called.error("create_release", tag="v4", body="canary")).startswith("declined:")
        assert f"In {PUBLIC} (everybody can read it)." in called.questions[0]
        assert "canary" in called.questions[0]
        await called.text("get_issue", number=1, repo=PRIVATE)
        await called.error("create_release", tag="v4")
        assert PRIVATE in called.questions[1]
    async with bed.server(tmp_path / "no", write_repos=["acme/*"]) as called:
        assert (await called.error("create_release", tag="v4")).startswith("repo_not_writable:")
    async with bed.server(tmp_path / "secret") as called:
        error = await called.error("create_release", tag="v4", body=f"key {token_of('bob')}")
        assert error.startswith("denied_by_policy:")
        for given in ({"tag": "a b"}, {"tag": ""}, {"tag": "v4", "target": "a..b"}):
            assert (await called.error("create_release", **given)).startswith("bad_ref:")
    assert bed.proxy.writes() == []


async def test_failures_of_a_release_say_what_to_do(bed: Bed, tmp_path: Path) -> None:
    taken = faults.invalid({"resource": "Release", "code": "already_exists", "field": "tag_name"})
    async with bed.server(tmp_path) as called:
        bed.proxy.fault("POST", ".*/releases", taken, times=1)
        assert (await called.error("create_release", tag="v1.0.0")).startswith("exists: v1.0.0 has a release already")
        bed.proxy.fault("POST", ".*/releases", faults.hangs_up_after_commit(), times=1)
        lost = await called.error("create_release", tag="v5.0.0")
    assert lost.startswith("outcome_unknown:")
    assert "list_refs(" in lost
    assert [one["tag_name"] for one in bed.call("GET", f"{HERE}/releases")].count("v5.0.0") == 1


async def test_neither_tool_is_offered_unless_it_is_chosen_and_both_only_add(bed: Bed, tmp_path: Path) -> None:
    both = {"create_repo", "create_release"}
    async with bed.server(tmp_path) as called:
        hints = {one.name: one.annotations for one in (await called.client.list_tools()).tools if one.name in both}
    assert hints.keys() == both
    for hint in hints.values():
        assert hint is not None
        assert (hint.read_only_hint, hint.destructive_hint) == (False, False)
        # Unsaid, it is true by the specification.
        assert hint.open_world_hint is not False
    narrow: list[dict[str, Any]] = [{"read_only": True}, {"toolsets": "context,repos,issues,pulls,actions"}]
    for number, settings in enumerate(narrow):
        async with bed.server(tmp_path / str(number), **settings) as called:
            assert not both & {one.name for one in (await called.client.list_tools()).tools}
