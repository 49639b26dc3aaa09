"""The label of every answer: who could read it where it was, and whether somebody wrote it who can't push."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.auth.principal import local_user
from gatelodge_github.server import OFFERED
from gatelodge_github.trust.repositories import Facts
from gatelodge_github.trust.taint import Taint

from tests.github import faults
from tests.github.behind import before
from tests.github.emulator import PRIVATE, PUBLIC, WIDGET, Emulator
from tests.github.loopback import Answer, Request, Respond, as_json
from tests.github.outsiders import TRAP, Planted, serve
from tests.github.proxy import Proxy, proxying
from tests.github.support import server

pytestmark = pytest.mark.anyio

VISIBILITY: dict[str, tuple[dict[str, Any], bool]] = {
    "public": ({"private": False, "visibility": "public"}, True),
    "private": ({"private": True, "visibility": "private"}, False),
    "internal": ({"private": True, "visibility": "internal"}, False),
    "not told": ({}, False),
    "public by half": ({"visibility": "public"}, False),
    "contradicting": ({"private": True, "visibility": "public"}, False),
    "the other way round": ({"private": False, "visibility": "private"}, False),
    "no such word": ({"private": False, "visibility": "everybody"}, False),
    "no text": ({"private": False, "visibility": ["public"]}, True),
    "an older Enterprise Server": ({"private": False}, True),
}
"""What GitHub says of a repository, and whether that makes it public."""


@pytest.fixture
def elsewhere() -> Generator[Proxy]:
    with proxying(None) as made:
        yield made


@pytest.fixture
def proxy(emulator: Emulator, planted: Planted, elsewhere: Proxy) -> Generator[Proxy]:
    with before(emulator) as made:
        serve(made, elsewhere, planted)
        yield made


def shown_as(proxy: Proxy, told: dict[str, Any], *repos: str) -> None:
    """Let GitHub say that of repositories."""

    def act(request: Request, proper: Respond) -> Answer:
        found = {name: value for name, value in proper(request).json().items() if name not in ("private", "visibility")}
        return as_json({**found, **told})

    for repo in repos:
        proxy.fault("GET", f"/repos/{repo}", act)


def trusted(planted: Planted) -> dict[str, tuple[str, dict[str, Any]]]:
    """What alice reads that she or bob wrote, or who else can push."""
    furniture = planted.furniture
    return {
        "repository": ("get_repo", {}),
        "branches": ("list_refs", {}),
        "tags": ("list_refs", {"kind": "tags"}),
        "file": ("get_file", {"path": "docs/guide.md"}),
        "directory": ("get_file", {"path": "docs"}),
        "tree": ("get_tree", {"prefix": "docs"}),
        "commits": ("list_commits", {}),
        "commit": ("get_diff", {"target": furniture.head}),
        "own issues": ("list_issues", {"author": "alice", "state": "all"}),
        "a collaborator's issues": ("list_issues", {"author": "bob", "state": "all"}),
        "own issue": ("get_issue", {"number": furniture.issue}),
        "a collaborator's issue": ("get_issue", {"number": furniture.closed}),
        "a collaborator's pull requests": ("list_pulls", {"head": "feature"}),
        "a collaborator's pull request": ("get_pull", {"number": furniture.pull}),
        "its reviews": ("get_pull", {"number": furniture.pull, "include": ["reviews"]}),
        "its diff": ("get_pull_diff", {"number": furniture.pull}),
        "a search": ("search_github", {"kind": "issues", "query": "guide author:alice", "repo": PUBLIC}),
        "a search of code": ("search_github", {"kind": "code", "query": "guide", "repo": PUBLIC}),
    }


@pytest.mark.parametrize("visibility", VISIBILITY)
async def test_every_answer_has_the_label_of_its_repository_and_of_its_authors(
    proxy: Proxy, elsewhere: Proxy, emulator: Emulator, planted: Planted, tmp_path: Path, visibility: str
) -> None:
    told, public = VISIBILITY[visibility]
    shown_as(proxy, told, PUBLIC, TRAP)
    expected: dict[str, tuple[str, dict[str, Any], str]] = {
        name: (tool, arguments, "trusted") for name, (tool, arguments) in trusted(planted).items()
    }
    for name, place in planted.places.items():
        if name not in ("search code", "search repositories", "search commits"):
            expected[f"outsider: {name}"] = (place.tool, dict(place.arguments), "untrusted")
    if visibility != "public":
        # What a search says of repositories by itself isn't what is said here.
        del expected["a search of code"]
    assert {tool for tool, _, _ in expected.values()} == {
        name for name, tool in OFFERED.tools.items() if tool.nature.effect == "read"
    } - {"get_me"}
    given: dict[str, Any] = {"repo": PUBLIC, "download_hosts": [elsewhere.url.removeprefix("http://")]}
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], **given) as called:
        for name, (tool, arguments, integrity) in expected.items():
            called.hub.taint = taint = Taint()
            secrecy = "public" if public and tool != "list_alerts" else "private"
            assert await called.label(tool, **arguments) == f"{integrity}/{secrecy}", name
            # What is labelled private is what writes are asked about afterwards, and nothing else is.
            assert bool(taint.elsewhere(local_user(), None)) is (secrecy == "private"), name
            assert taint.untrusted(local_user()) is (integrity == "untrusted"), name


REFS = {
    "": "trusted",
    "main": "trusted",
    "refs/heads/main": "trusted",
    "feature": "depends",
    "release/1.x": "depends",
    "v1.0.0": "depends",
    "HEAD": "trusted",
    "{head}": "untrusted",
    "{short}": "untrusted",
    "{feature}": "untrusted",
    "refs/pull/4/head": "untrusted",
    "pull/4/head": "untrusted",
}
"""Refs, and how far their files are trusted where alice can push; in private repositories only her own people push."""


@pytest.mark.parametrize("ref", REFS)
@pytest.mark.parametrize(
    ("visibility", "push", "fork", "branch"),
    [
        ("public", True, False, "main"),
        ("private", True, False, "main"),
        ("internal", True, False, "main"),
        ("public", False, False, "main"),
        ("private", False, False, "main"),
        ("public", True, True, "main"),
        ("private", True, True, "main"),
        ("public", True, False, ""),
    ],
)
def test_files_are_trusted_at_refs_that_only_those_move_who_can_push(
    planted: Planted, ref: str, visibility: str, push: bool, fork: bool, branch: str
) -> None:
    furniture = planted.furniture
    at = ref.format(head=furniture.head, short=furniture.head[:7], feature=furniture.feature)
    facts = Facts(PUBLIC, visibility, branch, push=push, fork=fork)
    expected = REFS[ref] if REFS[ref] != "depends" else "untrusted" if visibility == "public" else "trusted"
    if not push or fork or (not branch and (at in ("", "HEAD", "main", "refs/heads/main"))):
        expected = "untrusted"
    assert facts.file_trust(at).trusted is (expected == "trusted")


async def test_files_at_other_refs_and_of_strangers_are_untrusted_end_to_end(
    proxy: Proxy, emulator: Emulator, planted: Planted, tmp_path: Path
) -> None:
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        for ref, label in (
            ("main", "trusted"), ("feature", "untrusted"), (planted.furniture.head, "untrusted"), ("v1.0.0", "untrusted"),
        ):  # fmt: skip
            assert await called.label("get_file", path="docs/guide.md", ref=ref) == f"{label}/public", ref
            assert await called.label("get_tree", ref=ref) == f"{label}/public", ref
        assert await called.label("get_file", repo=TRAP, path="README.md") == "untrusted/public"
    # bob can push to it; mallory can't.
    for login, label in (("bob", "trusted"), ("mallory", "untrusted")):
        async with server(tmp_path / login, proxy.url, emulator.tokens[login], repo=PUBLIC) as called:
            assert await called.label("get_file", path="docs/guide.md") == f"{label}/public"


async def test_a_mixed_answer_has_the_strictest_label_of_its_parts(
    proxy: Proxy, emulator: Emulator, planted: Planted, tmp_path: Path
) -> None:
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        assert await called.label("get_issue", number=planted.furniture.issue) == "trusted/public"
        mixed = {"number": planted.furniture.issue, "include": ["comments"]}
        assert await called.label("get_issue", **mixed) == "untrusted/public"
        assert await called.label("search_github", kind="issues", query="plan author:alice") == "trusted/private"
        assert await called.label("search_github", kind="issues", query="is:open") == "untrusted/private"
        assert set(called.hub.taint.elsewhere(local_user(), None)) == {PRIVATE, WIDGET}
        # And none of it stays for the next answer.
        assert await called.label("get_issue", number=planted.furniture.issue) == "trusted/public"


async def test_a_draft_release_is_private_in_a_public_repository(
    proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        assert await called.label("list_refs", kind="releases") == "trusted/private"
        assert called.hub.taint.elsewhere(local_user(), Facts(PUBLIC, "public", "main", push=True)) == [PUBLIC]
    async with server(tmp_path / "m", proxy.url, emulator.tokens["mallory"], repo=PUBLIC) as called:
        assert (await called.label("list_refs", kind="releases")).endswith("/public")


async def test_a_repository_of_which_nothing_can_be_found_out_is_a_strangers_and_private(
    proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    async with server(tmp_path, proxy.url, emulator.tokens["alice"]) as called:
        proxy.fault("GET", f"/repos/{PUBLIC}", faults.refuses(500))
        query = f"guide author:alice repo:{PUBLIC}"
        assert await called.label("search_github", kind="issues", query=query) == "trusted/private"
        assert called.hub.taint.elsewhere(local_user(), None) == [PUBLIC]


async def test_an_error_that_comes_after_something_was_read_has_its_label_too(
    proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], repo=PRIVATE) as called:
        found = await called.result("get_file", path="nothing.txt")
        assert found.is_error
        assert found.meta is not None
        assert found.meta["ifc"]["confidentiality"] == "private"


async def test_ones_own_account_is_neither_private_nor_untrusted(
    proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], repo=PRIVATE) as called:
        assert await called.label("get_me") == "trusted/public"
