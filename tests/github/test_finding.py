"""Search stays inside the allow-list whatever the query says; repositories and refs are told in one request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.errors import CallError
from gatelodge_github.gate import Gate
from gatelodge_github.searching import KINDS, scoped

from tests.github import faults
from tests.github.emulator import OWNER, PRIVATE, PUBLIC, SITE
from tests.github.loopback import Answer, Request, as_json
from tests.github.proxy import Proxy
from tests.github.reading import Bed
from tests.github.recordings import recorded, replaying
from tests.github.support import server

pytestmark = pytest.mark.anyio
HERE = f"/repos/{PUBLIC}"
CODE = "Search.testSearchHighlightingCode.txt"


def queries(proxy: Proxy) -> list[str]:
    """What was searched for."""
    return [request.query["q"][0] for request in proxy.sent("GET", r"/search/.*")]


async def test_each_kind_is_searched_in_one_request_with_small_rows(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        await called.text("get_repo")
        await called.text("list_refs", kind="releases")
        bed.forget()
        repos = await called.record("search_github", query="repo")
        assert [(item["repo"], item["visibility"]) for item in repos["items"]] == [
            (PUBLIC, "public"),
            (PRIVATE, "private"),
        ]
        assert (repos["total"], repos["shown"], repos["cursor"]) == (2, 2, "")
        issues = await called.text("search_github", kind="issues", query="guide")
        assert issues.startswith("issues for guide is:issue: shown 1 of 1\nrepo\tnumber\tstate\ttitle\tauthor\ttrust\t")
        assert f"\n{PUBLIC}\t1\topen\tThe guide is wrong\talice\tself\t3\t" in issues
        pulls = await called.record("search_github", kind="pulls", query="feature")
        assert [(item["number"], item["title"]) for item in pulls["items"]] == [(bed.content.pull, "A feature")]
        commits = await called.record("search_github", kind="commits", query="spell", sort="author-date")
        assert commits["items"][0]["sha"] == bed.content.head[:10]
        code = await called.record("search_github", kind="code", query="guide", repo=PUBLIC)
        assert [(item["path"], item["trust"]) for item in code["items"]] == [("docs/guide.md", "collaborator")]
        users = await called.record("search_github", kind="users", query="alice")
        assert users["items"] == [{"login": "alice", "type": "User"}]
        assert queries(bed.proxy) == ["repo", "guide is:issue", "feature is:pr", "spell", f"guide repo:{PUBLIC}", "alice"]  # fmt: skip
        # Beside the searches: whether bob can push, once.
        assert len(bed.targets()) == 7


async def test_results_go_on_with_a_cursor(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        first = await called.record("search_github", query="repo", limit=1)
        second = await called.record("search_github", query="repo", limit=1, cursor=first["cursor"])
        assert (first["total"], second["total"], second["cursor"]) == (2, 2, "")
        assert {first["items"][0]["repo"], second["items"][0]["repo"]} == {PUBLIC, PRIVATE}
        assert "bad_cursor" in await called.error("search_github", query="other", cursor=first["cursor"])
        assert "bad_sort" in await called.error("search_github", query="x", kind="code", sort="stars")
        assert "bad_query" in await called.error("search_github", query="  ")
        assert "bad_kind" in await called.error("search_github", query="x", kind="users", repo=PUBLIC)


@pytest.mark.parametrize(
    "query",
    [
        f"vault repo:{PRIVATE}",
        f'vault repo:"{PRIVATE}"',
        f"vault REPO:{PRIVATE.upper()}",
        f"(repo:{PUBLIC} OR repo:{PRIVATE}) vault",
        f"vault repo:{PUBLIC},{PRIVATE}",
        "vault user:alice",
        "vault org:acme",
        "vault owner:alice",
        "vault repo:",
        f"vault repo : {PRIVATE}",
    ],
)
async def test_a_query_that_names_what_may_not_be_read_is_not_sent(bed: Bed, tmp_path: Path, query: str) -> None:
    async with bed.server(tmp_path, repos=[PUBLIC]) as called:
        for kind in ("code", "issues", "repos", "commits", "pulls"):
            assert "repo_not_allowed" in await called.error("search_github", kind=kind, query=query)
        assert "repo_not_allowed" in await called.error("search_github", kind="code", query="x", repo=PRIVATE)
    assert bed.targets() == []


async def test_what_is_outside_the_allow_list_is_dropped_and_counted_and_never_totalled(
    bed: Bed, tmp_path: Path
) -> None:
    # A glob over owners can't be said in a query, so GitHub gives more than may be read.
    async with bed.server(tmp_path / "a", repos=["*/public-repo"]) as called:
        found = await called.record("search_github", query="repo")
        assert [item["repo"] for item in found["items"]] == [PUBLIC]
        assert (found["total"], found["notes"]) == (-1, ["1 outside the allow-list left out."])
        text = await called.text("search_github", kind="code", query="vault")
        assert "vault.txt" not in text
        assert "1 outside the allow-list left out." in text
        # The private repository was not shown, so it has not been read either.
        assert await called.label("search_github", query="repo") == "trusted/public"
    bed.forget()
    async with bed.server(tmp_path / "b", repos=[PUBLIC, "acme/*"]) as called:
        assert (await called.record("search_github", kind="code", query="canary"))["items"] == []
        await called.text("search_github", query="site OR vault")
        assert queries(bed.proxy) == [f"canary repo:{PUBLIC} user:acme", f"site OR vault repo:{PUBLIC} user:acme"]


@pytest.mark.parametrize(
    ("query", "narrow"),
    [
        ("words", True),
        (f"words repo:{PUBLIC}", True),
        ('"two words"', True),
        ("words user:acme", True),
        ("a OR b", False),
        ("NOT a", False),
        ("(a)", False),
        (f'"repo:{PUBLIC}" words', False),
        ('words "', False),
    ],
)
def test_the_number_of_results_is_told_only_where_all_of_them_may_be_read(query: str, narrow: bool) -> None:
    gate = Gate([PUBLIC, "acme/*"], [], "")
    assert scoped(gate, KINDS["code"], query, "").narrow is narrow
    assert scoped(Gate([], [], ""), KINDS["code"], query, "").narrow
    assert not scoped(Gate(["*/x"], [], ""), KINDS["code"], "words", "").narrow


def test_an_owner_may_be_named_only_if_all_of_the_owners_is_allowed() -> None:
    assert scoped(Gate(["acme/*"], [], ""), KINDS["issues"], "x org:ACME", "").query == "x org:ACME is:issue"
    with pytest.raises(CallError, match="repo_not_allowed"):
        scoped(Gate(["acme/widget"], [], ""), KINDS["issues"], "x org:acme", "")
    with pytest.raises(CallError, match="repo_not_allowed"):
        scoped(Gate(["*/widget"], [], ""), KINDS["issues"], "x org:acme", "")
    # What only takes away needs no leave.
    assert scoped(Gate(["acme/*"], [], ""), KINDS["code"], "x -repo:eve/x", "").query == "x -repo:eve/x user:acme"
    assert scoped(Gate(["acme/*"], [], ""), KINDS["users"], "x org:eve", "").query == "x org:eve"


async def test_labels_follow_the_repositories_among_the_results(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path / "a") as called:
        assert await called.label("search_github", query="repo") == "trusted/private"
        assert await called.label("search_github", kind="issues", query="guide") == "trusted/public"
        assert await called.label("search_github", kind="issues", query="plan") == "trusted/private"
        assert await called.label("search_github", kind="issues", query="fails") == "untrusted/public"
        assert await called.label("search_github", kind="code", query="guide", repo=PUBLIC) == "trusted/public"
        outside = await called.text("search_github", kind="issues", query="fails")
        assert "\tmallory\toutsider\t" in outside
    async with bed.server(tmp_path / "m", "mallory") as called:
        # Its owner is as much a stranger to her as anybody; and that bob can push is not for her to know.
        assert await called.label("search_github", kind="issues", query="guide") == "untrusted/public"
        assert await called.label("search_github", kind="issues", query="Old") == "untrusted/public"
        assert await called.label("search_github", query="repo") == "untrusted/public"
    async with bed.server(tmp_path / "f", lockdown="filter") as called:
        found = await called.record("search_github", kind="issues", query="fails")
        assert found["items"] == []
        assert "1 withheld" in found["notes"][0]


async def test_code_matches_are_lines_of_strangers_and_teach_nothing_wrong(recordings: None, tmp_path: Path) -> None:
    told = [*recorded(CODE), *recorded("Repository.setUp.txt")]
    with replaying(told) as replay:
        async with server(tmp_path, replay.url, "x" * 20) as called:
            found = await called.record("search_github", kind="code", query="toto user:jacquev6", limit=5)
            first = found["items"][0]
            assert (first["repo"], first["path"], first["trust"]) == (
                "jacquev6/MockMockMock",
                "MockMockMock/tests/record_replay.py",
                "outsider",
            )
            assert "toto" in first["match"]
            assert "\n" not in first["match"]
            assert found["total"] == 5
            assert await called.label("search_github", kind="code", query="toto") == "untrusted/public"
            assert [request.headers["accept"] for request in replay.requests] == ["application/vnd.github.text-match+json"] * 2  # fmt: skip
            # The part of a repository that search gives says nothing of push or the default branch.
            desk = called.hub.desk()
            whole = await desk.repositories.facts("PyGithub/PyGithub")
            part = desk.repositories.learn({"full_name": "PyGithub/PyGithub", "private": False, "fork": False})
            assert part == whole
            assert whole.default_branch == "main"
            # It is believed where it is stricter.
            assert not desk.repositories.learn({"full_name": "PyGithub/PyGithub", "private": True}).public
            assert (await desk.repositories.facts("PyGithub/PyGithub")).public


async def test_issues_of_many_repositories_cost_a_bounded_number_of_requests(bed: Bed, tmp_path: Path) -> None:
    def many(request: Request) -> Answer:
        found: dict[str, Any] = bed.proxy.ask(request).json()
        item: dict[str, Any] = found["items"][0]
        address = f"{bed.proxy.url}/repos/stranger/repo"
        items = [
            {**item, "repository_url": f"{address}{number}", "author_association": "MEMBER"} for number in range(15)
        ]
        return as_json({**found, "items": items, "total_count": 4000, "incomplete_results": True})

    bed.proxy.serve("GET", "/search/issues", many)
    async with bed.server(tmp_path) as called:
        text = await called.text("search_github", kind="issues", query="guide", sort="updated")
        assert "GitHub's search ran out of time: results are missing." in text
        assert "GitHub gives the first 1,000: narrow the query" in text
        assert "shown 15 of 4000" in text
        assert len(bed.targets("/repos/stranger/[^/]+")) == 10
        assert bed.targets(".*permission") == []
        # They can't be seen, so they count as private.
        assert (await called.label("search_github", kind="issues", query="guide")).endswith("/private")


async def test_a_bad_query_says_what_is_usually_wrong(bed: Bed, tmp_path: Path) -> None:
    said = "The listed users and repositories cannot be searched either because the resources do not exist"
    async with bed.server(tmp_path) as called:
        bed.proxy.fault(
            "GET",
            "/search/.*",
            faults.invalid({"resource": "Search", "field": "q", "code": "invalid", "message": said}),
        )
        text = await called.error("search_github", kind="code", query="x repo:no/such")
        assert said in text
        assert "Check the qualifiers" in text
        bed.proxy.fault("GET", "/search/.*", faults.secondary_limit(30))
        assert "30" in await called.error("search_github", query="x")


async def test_a_repository_is_described_in_one_request(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path / "a") as called:
        told = await called.record("get_repo")
        assert bed.targets() == [HERE]
        assert {name: told[name] for name in ("repo", "visibility", "default_branch", "role", "push", "archived")} == {
            "repo": PUBLIC,
            "visibility": "public",
            "default_branch": "main",
            "role": "admin",
            "push": True,
            "archived": False,
        }
        assert told["description"] == "For all to see"
        assert told["merge_methods"] == ["merge", "squash", "rebase"]
        # It is kept for what comes after.
        await called.text("list_refs")
        assert len(bed.targets()) == 2
        assert await called.label("get_repo", repo=PRIVATE) == "trusted/private"
        assert await called.label("get_repo", repo=SITE) == "trusted/public"
    async with bed.server(tmp_path / "m", "mallory", repos=["alice/*"]) as called:
        assert await called.label("get_repo") == "untrusted/public"
        assert (await called.record("get_repo"))["role"] == "pull"
        assert "not_found" in await called.error("get_repo", repo=PRIVATE)
        assert "repo_not_allowed" in await called.error("get_repo", repo=SITE)
        assert "bad_repo" in await called.error("get_repo", repo="alice/%2e%2e")


async def test_a_renamed_repository_is_held_to_the_allow_list_again(bed: Bed, tmp_path: Path) -> None:
    bed.proxy.fault("GET", "/repos/acme/old", faults.moved(f"{bed.proxy.url}{HERE}"))
    async with bed.server(tmp_path / "a", repos=["alice/*", "acme/*"]) as called:
        assert (await called.record("get_repo", repo="acme/old"))["repo"] == PUBLIC
    async with bed.server(tmp_path / "b", repos=["acme/*"], repo="") as called:
        assert "repo_not_allowed" in await called.error("get_repo", repo="acme/old")


async def test_branches_and_tags_are_listed_with_their_commits(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        branches = await called.record("list_refs")
        assert {item["name"]: item["sha"] for item in branches["items"]} == {
            "main": bed.content.head,
            "feature": bed.content.feature,
            "release/1.x": bed.content.before,
            "stale": bed.content.before,
        }
        tags = await called.record("list_refs", kind="tags")
        assert [(item["name"], item["sha"]) for item in tags["items"]] == [
            ("v1.1.0", bed.content.head),
            ("v1.0.0", bed.content.before),
        ]
        seen: list[str] = []
        cursor = ""
        for _ in range(9):
            part = await called.record("list_refs", limit=1, cursor=cursor)
            seen += [item["name"] for item in part["items"]]
            cursor = part["cursor"]
            if not cursor:
                break
        assert seen == [item["name"] for item in branches["items"]]


async def test_refs_are_found_by_the_beginning_of_their_names(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        for prefix in ("re", "release/", "release/1."):
            found = await called.record("list_refs", prefix=prefix)
            assert [(item["name"], item["of"]) for item in found["items"]] == [("release/1.x", "commit")]
        first = await called.record("list_refs", kind="tags", prefix="v1.", limit=1)
        rest = await called.record("list_refs", kind="tags", prefix="v1.", limit=1, cursor=first["cursor"])
        assert (first["total"], rest["cursor"]) == (2, "")
        assert {first["items"][0]["name"], rest["items"][0]["name"]} == {"v1.0.0", "v1.1.0"}
        releases = await called.record("list_refs", kind="releases", prefix="v1")
        assert [item["tag"] for item in releases["items"]] == ["v1.0.0"]
        bed.forget()
        for wrong in ("../x", "a//b", "a b", "a?b", "-"):
            assert "bad_ref" in await called.error("list_refs", prefix=wrong)
        assert bed.targets() == []


async def test_a_draft_release_is_private_though_its_repository_is_public(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path / "a") as called:
        releases = await called.record("list_refs", kind="releases")
        # Both were made in one second: their order is the emulator's.
        rows = [(item["tag"], item["draft"], item["author"], item["trust"]) for item in releases["items"]]
        assert sorted(rows) == [("v1.0.0", False, OWNER, "self"), ("v2.0.0", True, OWNER, "self")]
        assert await called.label("list_refs", kind="releases") == "trusted/private"
        assert await called.label("list_refs", kind="releases", prefix="v1") == "trusted/public"
        assert await called.label("list_refs", repo=PRIVATE) == "trusted/private"
    async with bed.server(tmp_path / "m", "mallory") as called:
        assert [item["tag"] for item in (await called.record("list_refs", kind="releases"))["items"]] == ["v1.0.0"]
        assert await called.label("list_refs", kind="releases") == "untrusted/public"
        assert await called.label("list_refs") == "untrusted/public"
    async with bed.server(tmp_path / "s", "mallory", lockdown="strict") as called:
        assert (await called.record("list_refs", kind="releases"))["items"] == []
