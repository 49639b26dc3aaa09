"""The proxy has GitHub's manners and does every harm it is told to."""

from __future__ import annotations

import http.client
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.github import faults
from tests.github.asking import Got, get
from tests.github.emulator import (
    PRIVATE,
    PUBLIC,
    Emulator,
)
from tests.github.loopback import as_json
from tests.github.proxy import Proxy

HERE = f"/repos/{PUBLIC}"


def test_the_proxy_minds_credentials_as_github_does(github: Emulator, proxy: Proxy) -> None:
    mine = get(proxy.url, "/user", github.tokens["bob"])
    assert (mine.json["login"], mine.headers["x-oauth-scopes"]) == ("bob", "repo")
    stranger = get(proxy.url, "/user", "gh" + "p_" + "x" * 36)
    assert (stranger.status, stranger.json["message"]) == (401, "Bad credentials")
    assert get(github.url, "/user", "whatever").json["login"] == "nobody"
    hidden = get(proxy.url, f"/repos/{PRIVATE}/contents/README.md", github.tokens["mallory"])
    assert (hidden.status, hidden.json["message"]) == (404, "Not Found")
    refused = get(
        proxy.url, f"{HERE}/git/refs", github.tokens["mallory"], "POST", {"ref": "refs/heads/x", "sha": "0" * 40}
    )
    assert refused.status == 403


def test_an_etag_saves_the_count_and_belongs_to_a_token(github: Emulator, proxy: Proxy) -> None:
    alice, bob = github.tokens["alice"], github.tokens["bob"]
    first = get(proxy.url, HERE, alice)
    tag = first.headers["etag"]
    again = get(proxy.url, HERE, alice, If_None_Match=tag)
    assert (again.status, again.body, again.headers["x-ratelimit-remaining"]) == (304, b"", "4999")
    assert get(proxy.url, HERE, bob, If_None_Match=tag).status == 200
    assert proxy.counted() == 2
    github.call("PATCH", HERE, {"description": "Changed"})
    assert get(proxy.url, HERE, alice, If_None_Match=tag).status == 200


def test_a_spent_token_meets_the_primary_limit(github: Emulator, proxy: Proxy) -> None:
    assert proxy.manners is not None
    proxy.manners.spend(github.tokens["alice"], left=1)
    assert get(proxy.url, HERE, github.tokens["alice"]).headers["x-ratelimit-remaining"] == "0"
    refused = get(proxy.url, HERE, github.tokens["alice"])
    assert (refused.status, refused.headers["x-ratelimit-remaining"]) == (403, "0")
    assert get(proxy.url, HERE, github.tokens["bob"]).status == 200


def test_answers_lead_back_to_the_proxy_alone(github: Emulator, proxy: Proxy) -> None:
    for number in range(3):
        github.call("POST", f"{HERE}/labels", {"name": f"label {number}", "color": "000000"})
    got = get(proxy.url, f"{HERE}/labels?per_page=1", github.tokens["alice"])
    port = str(urlsplit(github.url).port)
    assert f"<{proxy.url}{HERE}/labels?" in got.headers["link"]
    assert port not in got.body.decode()
    assert port not in str(got.headers)


def test_a_write_is_done_once_though_its_answer_is_lost(github: Emulator, proxy: Proxy) -> None:
    proxy.fault("POST", r".*/issues", faults.lost_after_commit(), times=1)
    proxy.fault("POST", r".*/labels", faults.hangs_up_after_commit())
    assert get(proxy.url, f"{HERE}/issues", github.tokens["alice"], "POST", {"title": "Lost"}).status == 502
    assert [one["title"] for one in github.call("GET", f"{HERE}/issues")] == ["Lost"]
    with pytest.raises(http.client.RemoteDisconnected):
        get(proxy.url, f"{HERE}/labels", github.tokens["alice"], "POST", {"name": "lost", "color": "ffffff"})
    assert github.call("GET", f"{HERE}/labels/lost")["name"] == "lost"
    assert [one.json() for one in proxy.sent("POST", r".*/issues")] == [{"title": "Lost"}]
    assert len(proxy.writes()) == 2
    assert get(proxy.url, f"{HERE}/issues", github.tokens["alice"], "POST", {"title": "Kept"}).status == 201


def test_the_faults_say_what_github_says(github: Emulator, proxy: Proxy) -> None:
    token = github.tokens["alice"]

    def under(act: Any, **headers: str) -> Got:
        proxy.heal()
        proxy.fault("GET", HERE, act)
        return get(proxy.url, HERE, token, **headers)

    assert under(faults.bad_credentials()).status == 401
    assert under(faults.lacks_permission("issues=write")).headers["x-accepted-github-permissions"] == "issues=write"
    limit = under(faults.primary_limit(reset_in=100))
    assert (limit.status, limit.headers["x-ratelimit-remaining"]) == (403, "0")
    assert 0 < int(limit.headers["x-ratelimit-reset"]) - time.time() <= 100
    slow = under(faults.secondary_limit(retry_after=7, status=429))
    assert (slow.status, slow.headers["retry-after"]) == (429, "7")
    assert under(faults.invalid({"field": "title", "code": "missing"})).json["errors"][0]["field"] == "title"
    assert under(faults.refuses(409, "It changed")).json["message"] == "It changed"
    moved = under(faults.moved("http://127.0.0.1:9/repos/other/name"))
    assert (moved.status, moved.headers["location"]) == (301, "http://127.0.0.1:9/repos/other/name")
    proxy.headers["X-GitHub-SSO"] = "required"
    assert under(faults.refuses(403)).headers["x-github-sso"] == "required"
    with pytest.raises(http.client.RemoteDisconnected):
        under(faults.hangs_up())


def test_what_is_pending_is_ready_after_so_often(github: Emulator, proxy: Proxy) -> None:
    proxy.fault("GET", HERE, faults.pending(), times=2)
    assert [get(proxy.url, HERE, github.tokens["alice"]).status for _ in range(3)] == [202, 202, 200]


def test_bodies_are_cut_dripped_and_stalled(github: Emulator, proxy: Proxy) -> None:
    token = github.tokens["alice"]
    proxy.fault("GET", HERE, faults.cut(20))
    with pytest.raises(http.client.IncompleteRead) as cut:
        get(proxy.url, HERE, token)
    assert len(cut.value.partial) == 20
    released = threading.Event()
    released.set()
    for act in (faults.drips(60, released), faults.stalls(60, released)):
        proxy.heal()
        proxy.fault("GET", HERE, act)
        assert get(proxy.url, HERE, token).json["full_name"] == PUBLIC
    held = threading.Event()
    proxy.heal()
    proxy.fault("GET", HERE, faults.stalls(60, held))
    reader = threading.Thread(target=get, args=(proxy.url, HERE, token))
    reader.start()
    reader.join(0.3)
    assert reader.is_alive()
    held.set()
    reader.join(20)
    assert not reader.is_alive()


def test_an_endless_body_is_made_as_it_is_read_and_ends_with_its_reader(elsewhere: Proxy) -> None:
    elsewhere.fault("GET", "/log", faults.endless())
    elsewhere.fault("GET", "/line", faults.endless(b"x", 100 * faults.MB))
    where = urlsplit(elsewhere.url)
    connection = http.client.HTTPConnection("127.0.0.1", where.port, timeout=20)
    connection.request("GET", "/log")
    answer = connection.getresponse()
    assert len(answer.read(3 * faults.MB)) == 3 * faults.MB
    answer.close()
    connection.close()
    line = get(elsewhere.url, "/line").body
    assert (len(line), line.count(b"\n")) == (100 * faults.MB, 0)
    assert get(elsewhere.url, "/nothing").status == 404


def test_logs_are_served_by_a_second_host(github: Emulator, proxy: Proxy, elsewhere: Proxy) -> None:
    path = "/signed/log?sig=a%2Fb"
    target = elsewhere.url + path
    proxy.fault("GET", rf"{HERE}/actions/jobs/\d+/logs", faults.moved(target, 302))
    elsewhere.serve("GET", "/signed/log", lambda request: faults.flood(b"line\n", faults.MB))
    sent = get(proxy.url, f"{HERE}/actions/jobs/1/logs", github.tokens["alice"])
    assert (sent.status, sent.headers["location"], sent.body) == (302, target, b"")
    assert get(elsewhere.url, path).body.startswith(b"line\nline\n")
    assert [one.target for one in elsewhere.requests] == [path]


def test_canned_routes_have_githubs_manners_too(github: Emulator, proxy: Proxy) -> None:
    runs = {"total_count": 1, "workflow_runs": [{"id": 7}]}
    proxy.serve("GET", f"{HERE}/actions/runs", lambda request: runs)
    proxy.serve("GET", f"{HERE}/odd", lambda request: as_json({"asked": request.query}, 418, X_Odd="yes"))
    got = get(proxy.url, f"{HERE}/actions/runs?per_page=1", github.tokens["alice"])
    assert got.json == runs
    assert (
        get(
            proxy.url, f"{HERE}/actions/runs?per_page=1", github.tokens["alice"], If_None_Match=got.headers["etag"]
        ).status
        == 304
    )
    odd = get(proxy.url, f"{HERE}/odd?a=1%202", github.tokens["alice"])
    assert (odd.status, odd.headers["x-odd"], odd.json) == (418, "yes", {"asked": {"a": ["1 2"]}})


def test_graphql_goes_to_a_handler_and_only_mutations_are_writes(github: Emulator, ghes: Proxy) -> None:
    ghes.graphql(lambda document, variables: {"data": {"echo": [document, variables]}})
    token = github.tokens["alice"]
    base = ghes.url.removesuffix("/v3")
    asked = get(base, "/graphql", token, "POST", {"query": "query { viewer { login } }", "variables": {"n": 1}})
    assert asked.json == {"data": {"echo": ["query { viewer { login } }", {"n": 1}]}}
    assert ghes.writes() == []
    get(base, "/graphql", token, "POST", {"query": "mutation { x }"})
    assert len(ghes.writes()) == 1


def test_an_enterprise_server_answers_under_its_prefix_alone(github: Emulator, ghes: Proxy) -> None:
    got = get(ghes.url, HERE, github.tokens["alice"])
    assert (got.status, got.json["url"]) == (200, f"{ghes.url}{HERE}")
    assert get(ghes.url.removesuffix("/api/v3"), HERE, github.tokens["alice"]).status == 404
