"""A GitHub App over the real exchange, and several principals who have nothing of each other."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.errors import CallError
from gatelodge_github import hub as hubs
from gatelodge_github.credentials import AppCredential, Credential
from gatelodge_github.credentials import app as apps
from gatelodge_github.hub import Desk
from gatelodge_github.server import build
from gatelodge_github.settings import GithubSettings
from mcp import Client

from tests.github import faults
from tests.github.bench import answer, caller, field, hub, raw_server, refusal, sockets, static, token, until
from tests.github.credential_support import key, private_file
from tests.github.emulator import APP_ID, INSTALLATION_ID, PRIVATE, PUBLIC, SITE, WIDGET, Emulator
from tests.github.furnishing import Furniture
from tests.github.loopback import Answer, Request, Respond, as_json
from tests.github.proxy import Proxy
from tests.github.support import text_of

pytestmark = pytest.mark.anyio

TOKENS = f"/app/installations/{INSTALLATION_ID}/access_tokens"


def app(emulator: Emulator, **given: Any) -> AppCredential:
    return AppCredential(str(APP_ID), INSTALLATION_ID, emulator.app_key, **given)


async def test_an_app_reads_and_writes_what_it_is_installed_on(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    async with hub(tmp_path, proxy.url, app(github)) as made:
        api = made.desk().api
        assert (await made.open(WIDGET)).facts.visibility == "private"
        found = await api.write("POST", f"/repos/{WIDGET}/issues", {"title": "By an App"}, check="x")
        assert found.data["user"]["type"] == "Bot"
        assert (await refusal(api.get(f"/repos/{PRIVATE}"))).code == "not_found"
        assert api.credential.app
    (asked,) = proxy.sent("POST", TOKENS)
    assert asked.token.startswith("eyJ")
    assert all(one.token.startswith("ghs_") for one in proxy.requests if one is not asked)


async def test_an_app_serves_the_tools(furnished: Furniture, emulator: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    given = {
        "app_id": str(APP_ID),
        "app_installation_id": str(INSTALLATION_ID),
        "app_key_file": private_file(tmp_path / "key.pem", emulator.app_key),
    }
    for read_only in (False, True):
        proxy.forget()
        settings = GithubSettings.model_validate(
            {
                "state_dir": str(tmp_path / "state"),
                "api_url": proxy.url,
                "repo": WIDGET,
                "read_only": read_only,
                **given,
            }
        )
        lodge = build(settings)
        assert lodge.life is not None
        async with lodge.life(), Client(lodge.mcp, cache=None) as client:
            assert "Oil the widget" in text_of(await client.call_tool("list_issues", {}))
            me = text_of(await client.call_tool("get_me", {}))
            assert "credential: app" in me
            assert "issues: write" in me
        # A token for an App changes nothing that anybody can see.
        assert [one.path for one in proxy.writes()] == [TOKENS]


async def test_under_load_one_token_is_made_and_used_by_all(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    credential = app(github)
    got: list[str] = []
    async with hub(tmp_path, proxy.url, credential):
        gate = threading.Barrier(32)

        def ask() -> None:
            gate.wait()
            got.append(credential.token(20))

        threads = [threading.Thread(target=ask) for _ in range(32)]
        for thread in threads:
            thread.start()
        await anyio.to_thread.run_sync(lambda: [thread.join() for thread in threads])
    assert len(got) == 32
    assert len(set(got)) == 1
    assert len(proxy.sent("POST", TOKENS)) == 1


async def test_calls_at_the_end_of_a_token_make_one_new_one(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    def short(request: Request, proper: Respond) -> Answer:
        made = proper(request)
        return as_json(
            {**made.json(), "expires_at": f"{datetime.fromtimestamp(now + 65, UTC):%Y-%m-%dT%H:%M:%SZ}"}, 201
        )

    now = time.time()
    proxy.fault("POST", TOKENS, short, times=1)
    credential = app(github, clock=lambda: now)
    async with hub(tmp_path, proxy.url, credential, cache_mb=0) as made:
        api = made.desk().api
        await api.get(f"/repos/{WIDGET}")
        now += 50  # too near its end to be used any more
        async with anyio.create_task_group() as group:
            for _ in range(32):
                group.start_soon(api.get, f"/repos/{WIDGET}")
    assert len(proxy.sent("POST", TOKENS)) == 2
    assert len(proxy.sent("GET", f"/repos/{WIDGET}")) == 33


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_a_token_that_github_refuses_is_replaced_and_the_request_sent_again(
    github: Emulator, proxy: Proxy, tmp_path: Path, verb: str
) -> None:
    """401 comes before anything is done, so this holds for changes too."""
    path = f"/repos/{WIDGET}" if verb == "GET" else f"/repos/{WIDGET}/issues"
    async with hub(tmp_path, proxy.url, app(github)) as made:
        api = made.desk().api
        await made.open(WIDGET)
        proxy.forget()
        proxy.fault(verb, path, faults.bad_credentials(), times=1)
        if verb == "GET":
            await api.get(path)
        else:
            await api.write("POST", path, {"title": "x"}, check="x")
        first, second = proxy.sent(verb, path)
        assert first.token != second.token
        assert len(proxy.sent("POST", TOKENS)) == 1
        # What was kept belongs to the token before.
        assert "if-none-match" not in second.headers


async def test_an_app_whose_new_tokens_are_refused_too_is_told_and_does_not_ask_on_and_on(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.fault("GET", "/repos/.*", faults.bad_credentials())
    async with hub(tmp_path, proxy.url, app(github)) as made:
        codes = [(await refusal(made.desk().api.get(f"/repos/{WIDGET}"))).code for _ in range(5)]
    assert set(codes) <= {"bad_credentials", "token_refused"}
    assert "token_refused" in codes
    assert len(proxy.sent("POST", TOKENS)) <= 3


async def test_a_plain_token_that_is_refused_is_sent_once(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    async with hub(tmp_path, proxy.url, token("z")) as made:
        error = await refusal(made.desk().api.get(f"/repos/{PUBLIC}"))
        assert (error.code, error.hint.startswith("The token has expired")) == ("bad_credentials", True)
    assert len(proxy.requests) == 1


async def test_what_an_app_may_not_do_is_named_as_github_names_it(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.fault("POST", ".*/issues", faults.lacks_permission("issues=write,metadata=read; pull_requests=write"))
    async with hub(tmp_path, proxy.url, app(github)) as made:
        error = await refusal(made.desk().api.write("POST", f"/repos/{WIDGET}/issues", {"title": "x"}, check="x"))
    assert error.code == "forbidden"
    assert error.hint == (
        "The App's installation needs the permission issues: write and metadata: read or pull_requests: write, for this "
        "repository."
    )


async def test_the_emulators_own_refusal_of_a_permission_is_told(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    """Releases need contents; the App has that. Hooks need administration, which it hasn't."""
    async with hub(tmp_path, proxy.url, app(github)) as made:
        asked = made.desk().api.write(
            "POST", f"/repos/{WIDGET}/hooks", {"config": {"url": "http://127.0.0.1:1/"}}, check="x"
        )
        error = await refusal(asked)
    assert error.code in ("forbidden", "not_found")
    assert error.hint


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.refuses(401, "A JSON web token could not be decoded"), "bad_credentials"),
        (faults.refuses(403, "This installation has been suspended"), "forbidden"),
        (faults.refuses(404), "not_found"),
        (faults.lost_after_commit(502), "github_failed"),
        (faults.hangs_up(), "unreachable"),
        (faults.moved("http://127.0.0.1:9/x"), "bad_answer"),
        (faults.says(Answer(201, b"<html>")), "bad_answer"),
        (faults.says(Answer(201, b"{}")), "app_token_failed"),
        (faults.endless(), "too_large"),
    ],
)
async def test_an_app_that_gets_no_token_says_why_and_sends_nothing_else(
    github: Emulator, proxy: Proxy, tmp_path: Path, fault: Any, code: str
) -> None:
    proxy.fault("POST", TOKENS, fault)
    before = sockets()
    async with hub(tmp_path, proxy.url, app(github)) as made:
        error = await refusal(made.desk().api.get(f"/repos/{WIDGET}"))
        assert error.code == code
        assert "eyJ" not in str(error)
        # Nobody waits for GitHub again so soon.
        assert (await refusal(made.desk().api.get(f"/repos/{WIDGET}"))).code == code
    assert [one.path for one in proxy.requests] == [TOKENS]
    await until(lambda: sockets() <= before + 1)


async def test_a_token_that_comes_a_byte_at_a_time_ends_the_attempt(
    github: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apps, "EXCHANGE_SECONDS", 0.3)

    def drip(to: Any, head: bytes) -> None:
        to.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n{")
        while not server_.ended.wait(0.02):
            to.sendall(b" ")

    with raw_server(drip) as server_:
        async with hub(tmp_path, server_.url, app(github)) as made:
            error = await refusal(made.desk().api.get(f"/repos/{WIDGET}"))
            assert error.code in ("too_slow", "unreachable")
            await until(lambda: not server_.live)


async def test_an_echo_of_the_apps_statement_is_taken_out(github: Emulator, tmp_path: Path) -> None:
    def echo(to: Any, head: bytes) -> None:
        said = field(head, b"authorization")
        to.sendall(answer(b'{"message": "what is ' + said + b'?"}', "401 Unauthorized"))

    with raw_server(echo) as bad:
        async with hub(tmp_path, bad.url, app(github)) as made:
            error = await refusal(made.desk().api.get(f"/repos/{WIDGET}"))
    assert "what is Bearer [token]?" in error.message


# --- principals


Two = dict[str, Credential]


@pytest.fixture
def both(github: Emulator) -> Two:
    return {f"api-key:{name}": static(github.tokens[name]) for name in ("alice", "carol")}


async def test_principals_interleaved_share_no_client_cache_limit_or_taint(
    github: Emulator, proxy: Proxy, tmp_path: Path, both: Two
) -> None:
    async with hub(tmp_path, proxy.url, "", both) as made:
        wrong: list[str] = []

        async def work(name: str, repo: str) -> None:
            with caller(name):
                for _ in range(15):
                    found = (await made.desk().api.get("/user")).data["login"]
                    wrong.extend([] if found == name else [found])
                    await made.open(repo)

        async with anyio.create_task_group() as group:
            for name, repo in (("alice", PRIVATE), ("carol", WIDGET)):
                for _ in range(4):
                    group.start_soon(work, name, repo)
        assert wrong == []
        desks: list[Desk] = []
        for name in ("alice", "carol"):
            with caller(name) as principal:
                desks.append(made.desk())
                assert made.taint.elsewhere(principal, None) == [PRIVATE if name == "alice" else WIDGET]
        one, other = desks
        for part in ("api", "pool", "repositories", "marks"):
            assert getattr(one, part) is not getattr(other, part)
        assert one.api.budget is not other.api.budget
    tags: dict[str, set[str]] = {}
    for request in proxy.requests:
        if tag := request.headers.get("if-none-match"):
            tags.setdefault(request.token, set()).add(tag)
    mine, theirs = tags.values()
    assert not mine & theirs
    assert {one.path.split("/")[2] for one in proxy.requests if one.token == github.tokens["carol"] and one.path != "/user"} == {"acme"}  # fmt: skip


async def test_what_one_principal_knows_of_a_repository_is_not_said_to_another(
    github: Emulator, proxy: Proxy, tmp_path: Path, both: Two
) -> None:
    async with hub(tmp_path, proxy.url, "", both) as made:
        with caller("alice"):
            await made.open(PRIVATE)
        with caller("carol"):
            assert (await refusal(made.open(PRIVATE))).code == "not_found"
            assert not (await made.desk().repositories.or_unknown(PRIVATE)).known


async def test_a_principal_without_an_account_gets_no_credential_and_never_the_starters(
    github: Emulator, proxy: Proxy, tmp_path: Path, both: Two
) -> None:
    async with hub(tmp_path, proxy.url, github.tokens["alice"], both) as made:
        for name in ("eve", "ALICE", "alice ", "", "os-user:0", "api-key:alice"):
            with caller(name), pytest.raises(CallError, match="no_credential"):
                made.desk()
        assert (await made.desk().api.get("/user")).data["login"] == "alice"
    assert {one.token for one in proxy.requests} == {github.tokens["alice"]}


async def test_desks_are_bounded_and_the_longest_unused_is_closed(
    github: Emulator, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "MOST_DESKS", 2)
    accounts: Two = {f"api-key:{name}": static(github.tokens[name]) for name in ("alice", "bob", "carol")}
    async with hub(tmp_path, proxy.url, "", accounts) as made:
        with caller("alice"):
            first = made.desk()
            await first.api.get("/user")
            assert first.pool.idle == 1
        for name in ("bob", "carol"):
            with caller(name):
                made.desk()
        assert first.pool.idle == 0
        # A call that began before goes on, and leaves nothing.
        assert (await first.api.get("/user")).data["login"] == "alice"
        assert first.pool.idle == 0
        with caller("alice"):
            assert made.desk() is not first


async def test_apps_of_several_principals_are_bound_to_github(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    accounts: Two = {"api-key:app": app(github), "api-key:bob": static(github.tokens["bob"])}
    async with hub(tmp_path, proxy.url, "", accounts) as made:
        with caller("app"):
            assert (await made.open(WIDGET)).facts.name == WIDGET
        with caller("bob"):
            assert (await refusal(made.open(WIDGET))).code == "not_found"
            assert (await made.open(SITE)).facts.public


async def test_another_apps_key_gets_no_token(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    other = AppCredential(str(APP_ID), INSTALLATION_ID, key())
    async with hub(tmp_path, proxy.url, other) as made:
        error = await refusal(made.desk().api.get(f"/repos/{WIDGET}"))
    assert error.code in ("bad_credentials", "not_found")
