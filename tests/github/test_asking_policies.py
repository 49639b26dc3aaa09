"""Where a change goes: asked about unless it is the default repository or somebody named it; and what policies forbid."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.guard.call import Subject
from gatelodge_github.asking_subjects import subjects

from tests.github import faults
from tests.github.emulator import PRIVATE, PUBLIC, SITE, WIDGET, Emulator
from tests.github.loopback import as_json
from tests.github.proxy import Proxy
from tests.github.questions import call_of, no, reasons
from tests.github.support import Called, server

pytestmark = pytest.mark.anyio


# Where a change goes


@pytest.mark.parametrize(
    ("repo", "asked"),
    [
        ("", False),
        (PUBLIC, False),
        (PUBLIC.upper(), False),
        (f" {PUBLIC} ", False),
        (SITE, True),
        (SITE.upper(), True),
        (PRIVATE, True),
        ("mallory/trap", True),
    ],
)
async def test_a_change_is_asked_about_when_it_goes_to_another_repository_than_the_default(
    called: Called, repo: str, asked: bool
) -> None:
    found = await reasons(called.hub, "create_issue", repo=repo, title="x")
    assert [bool(re.search("is not the default repository", reason)) for reason in found] == [True] * asked


async def test_without_a_default_every_repository_is_asked_about(
    proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], says=no) as called:
        assert await reasons(called.hub, "create_issue", repo=PUBLIC, title="x") == [
            f"{PUBLIC} is not the default repository."
        ]


async def test_repositories_that_may_be_written_by_name_are_not_asked_about(
    proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"repo": PUBLIC, "write_repos": ["ACME/*"]}
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], **given, says=no) as called:
        assert "opened issue" in await called.text("create_issue", repo=SITE, title="By name")
        assert called.questions == []


async def test_a_renamed_default_is_another_repository(called: Called, proxy: Proxy) -> None:
    moved = {"full_name": SITE, "private": False, "visibility": "public", "default_branch": "main"}
    proxy.fault("GET", f"/repos/{PUBLIC}", faults.says(as_json(moved)))
    assert await reasons(called.hub, "create_issue", title="x") == [f"{SITE} is not the default repository."]


# Policies


def policy(folder: Path, *rules: dict[str, str]) -> str:
    text = "".join(
        "[[rule]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in rule.items()) for rule in rules
    )
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("rule", "settled"),
    [
        ({"subject": SITE, "then": "allow"}, True),
        ({"subject": "Acme/Site", "then": "allow"}, True),
        ({"subject": "ACME/*", "effect": "write", "then": "allow"}, True),
        ({"subject": SITE, "tool": "create_issue", "then": "allow"}, True),
        ({"subject": SITE, "tool": "add_comment", "then": "allow"}, False),
        ({"subject": WIDGET, "then": "allow"}, False),
        # Whoever allows everything has named nothing.
        ({"tool": "*", "then": "allow"}, False),
        ({"subject": SITE, "then": "confirm"}, False),
    ],
)
async def test_a_policy_settles_a_question_by_naming_the_repository_in_any_letter_case(
    proxy: Proxy, emulator: Emulator, tmp_path: Path, rule: dict[str, str], settled: bool
) -> None:
    given: dict[str, Any] = {"repo": PUBLIC, "policy": policy(tmp_path, rule)}
    # The emulator knows letter case.
    proxy.serve("GET", "/repos/acme/SITE", lambda request: proxy.look(request, f"/repos/{SITE}"))
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], **given, says=no) as called:
        failed, told = await called.call("create_issue", repo="acme/SITE", title="By policy")
        assert failed is not settled, told
        assert bool(called.questions) is not settled
        # What was read in private is never settled so.
        await called.text("get_file", repo=PRIVATE, path="vault.txt")
        assert "declined" in await called.error("create_issue", repo=SITE, title="After")


async def test_a_repository_that_is_named_may_be_changed_where_everybody_builds_on_it_but_not_in_what_runs(
    proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"repo": PUBLIC, "policy": policy(tmp_path, {"subject": PUBLIC, "then": "allow"})}
    file = {"path": "docs/policy.md", "content": "x\n"}
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], **given, says=no) as called:
        assert "committed" in await called.text("commit_files", branch="main", message="x", files=[file])
        workflow = {**file, "path": ".github/workflows/x.yml"}
        assert "declined" in await called.error("commit_files", branch="main", message="x", files=[workflow])


@pytest.mark.parametrize(
    "subject", [PRIVATE, "Alice/Private-Repo", "alice/private*", f"{PRIVATE}/**", "*/private-repo"]
)
async def test_a_policy_forbids_a_repository_however_it_is_spelt_or_reached(
    proxy: Proxy, emulator: Emulator, tmp_path: Path, subject: str
) -> None:
    proxy.serve("GET", r"/repos/alice/old-name", lambda request: proxy.look(request, f"/repos/{PRIVATE}"))
    proxy.serve("GET", rf"/repos/{PRIVATE}\.git", lambda request: proxy.look(request, f"/repos/{PRIVATE}"))
    given: dict[str, Any] = {"repo": PUBLIC, "policy": policy(tmp_path, {"subject": subject, "then": "deny"})}
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], **given, says=no) as called:
        for name in (PRIVATE, PRIVATE.upper(), f" {PRIVATE}", "alice/old-name", f"{PRIVATE}.git"):
            for tool in ("list_issues", "get_tree", "list_commits"):
                assert "denied_by_policy" in await called.error(tool, repo=name), (name, tool)
        for uri in (
            f"repo://{PRIVATE}/main/vault.txt",
            f"repo://{PRIVATE.upper()}/HEAD/vault.txt",
            "repo://alice/%70rivate-repo/main/vault.txt",
            "repo://alice/old-name/main/vault.txt",
            f"issue://{PRIVATE}/1",
            f"pull://{PRIVATE}/1/diff",
            f"run://{PRIVATE}/1/jobs/2/log",
        ):
            with pytest.raises(Exception, match=r"denied_by_policy"):
                await called.client.read_resource(uri)
        # A search reaches everything, unless it says where.
        assert "denied_by_policy" in await called.error("search_github", query="vault", kind="code")
        assert "denied_by_policy" in await called.error("search_github", query="vault", kind="code", repo=PRIVATE)
        assert "shown" in await called.text("search_github", query="guide", kind="issues", repo=PUBLIC)
        assert "shown" in await called.text("list_issues")
    assert [one.target for one in proxy.requests if one.path.startswith(f"/repos/{PRIVATE}/")] == []


async def test_a_policy_forbids_a_path_by_every_tool_that_could_show_it(
    proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    given: dict[str, Any] = {
        "repo": PUBLIC,
        "policy": policy(tmp_path, {"subject": f"{PUBLIC}/Docs/**", "then": "deny"}),
    }
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], **given, says=no) as called:
        refused: dict[str, dict[str, Any]] = {
            "get_file": {"path": "/docs/guide.md"}, "get_tree": {}, "get_diff": {"target": "main"},
            "list_commits": {"path": "docs/guide.md"}, "get_pull_diff": {"number": 4},
            "commit_files": {"branch": "feature", "message": "x", "files": [{"path": "docs/x", "content": ""}]},
            "search_github": {"kind": "code", "query": "line", "repo": PUBLIC},
        }  # fmt: skip
        for name, arguments in refused.items():
            assert "denied_by_policy" in await called.error(name, **arguments), name
        for prefix in ("docs", "/Docs/", "docs/guide.md"):
            assert "denied_by_policy" in await called.error("get_tree", prefix=prefix), prefix
        # A file can have come from there.
        assert "denied_by_policy" in await called.error("get_diff", target="main", paths=["src"])
        assert "denied_by_policy" in await called.error("get_pull_diff", number=4, paths=["src"])
        with pytest.raises(Exception, match=r"denied_by_policy"):
            await called.client.read_resource(f"repo://{PUBLIC}/feature/d%6Fcs/guide.md")
        assert "Shapes" in await called.text("get_file", path="src/shapes.py")
        assert "src/shapes.py" in await called.text("get_tree", prefix="src")
        assert "shown" in await called.text("search_github", kind="commits", query="Spell", repo=PUBLIC)


async def test_a_policy_that_denies_leaves_nothing_to_be_asked(
    proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    rules = [
        {"subject": SITE, "then": "allow"},
        {"subject": SITE, "effect": "write", "then": "deny", "reason": "Not there."},
    ]
    given: dict[str, Any] = {"repo": PUBLIC, "policy": policy(tmp_path, *rules)}
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], **given, says=no) as called:
        assert "denied_by_policy: Not there." in await called.error("create_issue", repo=SITE, title="x")
        assert called.questions == []
    assert proxy.writes() == []


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("get_file", {"repo": "Acme/Site", "path": "/A/B.md"}, {"acme/site", "acme/site/a/b.md"}),
        ("get_file", {"path": ""}, {PUBLIC}),
        ("commit_files", {"files": [{"path": "a"}, {"path": "b"}, 7, {}]}, {PUBLIC, f"{PUBLIC}/a", f"{PUBLIC}/b"}),
        ("create_repo", {"name": "New", "org": "Acme"}, {"acme/new"}),
        ("create_repo", {"name": "new"}, {"alice/new"}),
        ("create_repo", {"name": "new", "fork_of": SITE.upper()}, {"alice/new", SITE}),
        ("get_diff", {"target": "main...mallory:evil"}, {PUBLIC, "mallory/public-repo"}),
        ("get_diff", {"target": "main...mallory:trap:evil"}, {PUBLIC, "mallory/trap"}),
        ("search_github", {"query": "x"}, {""}),
        ("list_issues", {"repo": "no/such"}, {"no/such"}),
        ("list_issues", {"repo": "nonsense"}, {"nonsense"}),
        ("get_me", {}, {PUBLIC}),
    ],
)
async def test_what_a_call_acts_on_is_named_in_lower_case(
    called: Called, name: str, arguments: dict[str, Any], expected: set[str]
) -> None:
    assert {subject.name for subject in await subjects(called.hub, call_of(name, arguments))} == expected


async def test_tools_that_show_any_file_act_on_the_whole_tree(called: Called) -> None:
    for name in ("get_tree", "get_diff", "get_pull_diff"):
        assert await subjects(called.hub, call_of(name, {})) == [Subject(PUBLIC, tree=True)]
    below = [Subject(PUBLIC), Subject(f"{PUBLIC}/src/a", tree=True)]
    assert await subjects(called.hub, call_of("get_tree", {"prefix": "/Src/A/"})) == below
    assert await subjects(called.hub, call_of("search_github", {"query": "x"})) == [Subject("", tree=True)]
