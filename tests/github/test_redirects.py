"""What GitHub says of other addresses is judged before anything is sent there: redirects, links, renamed repositories."""

from __future__ import annotations

from pathlib import Path

import pytest
from gatelodge_core.errors import CallError

from tests.github import faults
from tests.github.bench import hub, refusal
from tests.github.emulator import PRIVATE, PUBLIC, Emulator
from tests.github.loopback import Answer
from tests.github.proxy import Proxy

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("kind", ["host", "port", "scheme", "userinfo", "dots", "relative"])
async def test_a_redirect_out_of_the_api_is_refused_and_the_token_goes_nowhere(
    github: Emulator, proxy: Proxy, elsewhere: Proxy, tmp_path: Path, status: int, kind: str
) -> None:
    there = {
        "host": elsewhere.url.replace("127.0.0.1", "localhost"),
        "port": elsewhere.url,
        "scheme": proxy.url.replace("http:", "https:"),
        "userinfo": proxy.url.replace("//", "//me@"),
        "dots": f"{proxy.url}/repos/../..",
        "relative": "",
    }[kind]
    proxy.fault("GET", HERE, faults.moved(f"{there}/repos/other/name", status))
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        assert (await refusal(made.desk().api.get(HERE))).code == "foreign_url"
        assert (await refusal(made.open(PUBLIC))).code == "foreign_url"
    assert (len(proxy.requests), elsewhere.requests) == (2, [])


async def test_addresses_in_answers_lead_nowhere(
    github: Emulator, proxy: Proxy, elsewhere: Proxy, tmp_path: Path
) -> None:
    """PyGithub would follow these; nothing here does."""
    body = [
        {"number": 1, "url": f"{elsewhere.url}/1", "comments_url": f"{elsewhere.url}/c", "user": {"url": elsewhere.url}}
    ]
    proxy.serve("GET", f"{HERE}/issues", lambda request: body)
    proxy.headers["Link"] = f'<{elsewhere.url}/repositories/1/issues?page=2>; rel="next"'
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        found = await made.desk().api.get(f"{HERE}/issues")
        # A number is all that is taken from it.
        assert (found.data, found.next_page) == (body, 2)
    assert elsewhere.requests == []


@pytest.mark.parametrize("page", ["0", "-1", "2e1", "\u0662", "../x", "9" * 30, ""])
async def test_the_next_page_is_a_number_or_nothing(elsewhere: Proxy, tmp_path: Path, page: str) -> None:
    elsewhere.serve("GET", "/x", lambda request: [])
    elsewhere.headers["Link"] = (
        f'<{elsewhere.url}/x?page={page.encode().hex() if not page.isascii() else page}>; rel="next"'
    )
    async with hub(tmp_path, elsewhere.url) as made:
        assert (await made.desk().api.get("/x")).next_page in (0, int(page) if page.isascii() and page.isdigit() else 0)


async def test_a_renamed_repository_is_followed_with_its_query_inside_the_allow_list(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    number = github.call("GET", HERE)["id"]
    old = "/repos/alice/old-name"
    proxy.fault("GET", f"{old}/.*", lambda request, _: faults.moved(
        f"{proxy.url}/repositories/{number}/{request.target.split('/', 4)[4]}")(request, _))  # fmt: skip
    proxy.serve("GET", f"/repositories/{number}", lambda request: github.call("GET", HERE))
    proxy.serve("GET", f"/repositories/{number}/issues", lambda request: [{"asked": request.query}])
    async with hub(tmp_path, proxy.url, github.tokens["alice"], repos=["alice/*"]) as made:
        found = await made.desk().api.get(f"{old}/issues", {"state": "all", "labels": "a b,c&d"})
        assert found.data == [{"asked": {"state": ["all"], "labels": ["a b,c&d"]}}]
    assert [one.path for one in proxy.requests] == [
        f"{old}/issues", f"/repositories/{number}", f"/repositories/{number}/issues",
    ]  # fmt: skip
    proxy.forget()
    # Without an allow-list nothing has to be looked up.
    async with hub(tmp_path, proxy.url, github.tokens["alice"], cache_mb=0) as made:
        assert (await made.desk().api.get(f"{old}/issues", {"state": "all"})).data == [{"asked": {"state": ["all"]}}]
    assert len(proxy.requests) == 2


async def test_a_repository_renamed_out_of_the_allow_list_is_refused_and_nothing_further_asked(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    number = github.call("GET", "/repos/mallory/trap")["id"]
    target = f"{proxy.url}/repositories/{number}"
    for location in (target, f"{target}/issues", f"{proxy.url}/repos/mallory/trap", f"{proxy.url}/user/repos"):
        proxy.forget()
        proxy.heal()
        proxy.fault("GET", "/repos/alice/gone.*", faults.moved(location))
        proxy.serve("GET", f"/repositories/{number}", lambda request: github.call("GET", "/repos/mallory/trap"))
        async with hub(tmp_path, proxy.url, github.tokens["alice"], repos=["alice/*"], cache_mb=0) as made:
            error = await refusal(made.desk().api.get("/repos/alice/gone"))
            assert error.code == ("foreign_url" if "/user/" in location else "repo_not_allowed")
        asked = [one.path for one in proxy.requests]
        assert asked in (["/repos/alice/gone"], ["/repos/alice/gone", f"/repositories/{number}"])


async def test_a_new_name_that_answers_alone_tell_is_held_to_the_allow_list(
    github: Emulator, proxy: Proxy, elsewhere: Proxy, tmp_path: Path
) -> None:
    proxy.serve("GET", "/repos/alice/gone", lambda request: github.call("GET", "/repos/mallory/trap"))
    proxy.graphql(lambda document, variables: {"data": {"repository": {"nameWithOwner": "mallory/trap"}}})
    async with hub(tmp_path, proxy.url, github.tokens["alice"], repos=["alice/*"]) as made:
        assert (await refusal(made.open("alice/gone"))).code == "repo_not_allowed"
        asked = made.desk().api.graphql("discussions", {"owner": "alice", "name": "gone", "first": 1})
        assert (await refusal(asked)).code == "repo_not_allowed"


async def test_an_enterprise_server_is_asked_under_its_prefix_and_for_graphql_beside_it(
    github: Emulator, ghes: Proxy, tmp_path: Path
) -> None:
    number = github.call("GET", HERE)["id"]
    ghes.fault("GET", "/repos/alice/old", faults.moved(f"{ghes.url}/repositories/{number}"))
    ghes.serve("GET", f"/repositories/{number}", lambda request: github.call("GET", HERE))
    ghes.graphql(lambda document, variables: {"data": {"repository": {"nameWithOwner": PUBLIC}}})
    root = ghes.url.removesuffix("/api/v3")
    async with hub(tmp_path, ghes.url, github.tokens["alice"], repos=["alice/*"]) as made:
        api = made.desk().api
        assert (await made.open(PUBLIC)).facts.public
        assert (await api.get("/repos/alice/old")).data["full_name"] == PUBLIC
        await api.graphql("discussions", {"owner": "alice", "name": "public-repo", "first": 1})
        assert (await api.write("POST", f"{HERE}/issues", {"title": "x"}, check="x")).data["title"] == "x"
        came = len(ghes.requests)
        for location in (f"{root}/repositories/{number}", f"{root}/login", f"{root}/api/v4/repositories/1"):
            ghes.fault("GET", "/repos/alice/old", faults.moved(location))
            assert (await refusal(api.get("/repos/alice/old"))).code == "foreign_url"
        assert len(ghes.requests) == came + 3
    paths = [one.path for one in ghes.requests]
    assert paths[:3] == [HERE, "/repos/alice/old", f"/repositories/{number}"]
    assert "/graphql" in paths


async def test_redirects_in_a_ring_end(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    proxy.fault("GET", HERE, faults.moved(proxy.url + HERE))
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        error = await refusal(made.desk().api.get(HERE))
        assert (error.code, error.message) == ("bad_answer", "GitHub redirected too often.")
    assert len(proxy.requests) == 3


async def test_where_a_log_lies_is_told_though_the_repository_was_renamed(
    github: Emulator, proxy: Proxy, elsewhere: Proxy, tmp_path: Path
) -> None:
    host = elsewhere.url.removeprefix("http://")
    proxy.fault("GET", f"{HERE}/actions/jobs/1/logs", faults.moved(f"{proxy.url}/repositories/7/actions/jobs/1/logs"))
    proxy.fault("GET", "/repositories/7/actions/jobs/1/logs", faults.moved(f"{elsewhere.url}/log?sig=a%2Fb", 302))
    async with hub(tmp_path, proxy.url, github.tokens["alice"], download_hosts=[host]) as made:
        assert await made.desk().api.location(f"{HERE}/actions/jobs/1/logs") == f"{elsewhere.url}/log?sig=a%2Fb"
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        assert (await refusal(made.desk().api.location(f"{HERE}/actions/jobs/1/logs"))).code == "foreign_url"
    proxy.heal()
    proxy.serve("GET", f"{HERE}/actions/jobs/1/logs", lambda request: {})
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        assert (await refusal(made.desk().api.location(f"{HERE}/actions/jobs/1/logs"))).code == "bad_answer"
    assert elsewhere.requests == []


async def test_a_log_is_fetched_without_the_token_and_not_from_where_it_is_redirected_to(
    github: Emulator, proxy: Proxy, elsewhere: Proxy, tmp_path: Path
) -> None:
    host = elsewhere.url.removeprefix("http://")
    elsewhere.serve("GET", "/log", lambda request: Answer(200, b"line\n", {"Content-Type": "text/plain"}))
    elsewhere.fault("GET", "/away", faults.moved(f"{proxy.url}/user", 302))
    elsewhere.fault("GET", "/within", faults.moved(f"{elsewhere.url}/log", 302))
    async with hub(tmp_path, proxy.url, github.tokens["alice"], download_hosts=[host]) as made:
        taken: list[bytes] = []
        assert await made.downloads.feed(f"{elsewhere.url}/log", taken.append) is False
        assert await made.downloads.feed(f"{elsewhere.url}/within", taken.append) is False
        assert taken == [b"line\n", b"line\n"]
        with pytest.raises(CallError):
            await made.downloads.feed(f"{elsewhere.url}/away", taken.append)
        with pytest.raises(CallError, match="foreign_url"):
            await made.downloads.feed(f"{proxy.url}/user", taken.append)
    assert proxy.requests == []
    assert all("authorization" not in one.headers for one in elsewhere.requests)


@pytest.mark.parametrize("part", ["", "/comments", "/timeline"])
@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("number", [3, 7], ids=["another number", "the same number"])
async def test_an_issue_that_was_transferred_is_not_read_as_one_of_the_old_repository(
    github: Emulator, proxy: Proxy, tmp_path: Path, part: str, private: bool, number: int
) -> None:
    there = github.call("GET", f"/repos/{PRIVATE if private else 'mallory/trap'}")
    target = f"/repositories/{there['id']}"
    proxy.fault("GET", f"{HERE}/issues/7{part}", faults.moved(f"{proxy.url}{target}/issues/{number}{part}"))
    proxy.serve("GET", target, lambda request: {**there, "private": private})
    proxy.serve("GET", f"{target}/issues/.*", lambda request: [{"body": "canary"}])
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        error = await refusal(made.desk().api.get(f"{HERE}/issues/7{part}"))
        assert error.code == "transferred"
        assert (there["full_name"] in str(error)) is not private
    assert not [one for one in proxy.requests if one.path.startswith(f"{target}/")]


async def test_an_issue_of_a_renamed_repository_is_followed(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    number = github.call("GET", HERE)["id"]
    proxy.fault("GET", "/repos/alice/old-name", faults.moved(f"{proxy.url}/repositories/{number}"))
    proxy.fault("GET", "/repos/alice/old-name/issues/7", faults.moved(f"{proxy.url}/repositories/{number}/issues/7"))
    proxy.serve("GET", f"/repositories/{number}/issues/7", lambda request: {"body": "canary"})
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        assert (await made.desk().api.get("/repos/alice/old-name/issues/7")).data == {"body": "canary"}
