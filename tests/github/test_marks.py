"""Who is trusted: marks of authors, and that a name, an association or a lookup that fails never makes anybody trusted."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from gatelodge_github.trust import marks as module
from gatelodge_github.trust.marks import Mark, Marks, Trust
from gatelodge_github.view import View

from tests.github import faults
from tests.github.behind import before
from tests.github.emulator import PRIVATE, PUBLIC, SITE, WIDGET, Emulator
from tests.github.furnishing import furnish
from tests.github.loopback import Answer, Request, Respond, as_json
from tests.github.proxy import Proxy
from tests.github.recordings import everything
from tests.github.support import Called, server

pytestmark = pytest.mark.anyio

PERMISSION = r".*/collaborators/[^/]+/permission"


@pytest.fixture(scope="module")
def bed(emulator: Emulator) -> Generator[Proxy]:
    emulator.reset()
    furnish(emulator)
    with before(emulator) as proxy:
        yield proxy


@pytest.fixture
async def called(bed: Proxy, emulator: Emulator, tmp_path: Path) -> AsyncGenerator[Called]:
    bed.heal()
    bed.forget()
    async with server(
        tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC, trusted_bots=["dependabot[bot]"]
    ) as made:
        yield made


def marks(called: Called) -> Marks:
    return called.hub.desk().marks


def user(login: str, kind: str = "User") -> dict[str, Any]:
    return {"login": login, "type": kind}


@pytest.mark.parametrize("login", ["alice", "ALICE"])
async def test_ones_own_login_is_self_whatever_github_says_of_it_elsewhere(called: Called, login: str) -> None:
    for assoc in ("OWNER", "NONE", "CONTRIBUTOR", ""):
        assert (await marks(called).of(SITE, user(login), assoc)).trust is Trust.SELF


async def test_the_owner_of_a_strangers_repository_is_an_outsider(called: Called, bed: Proxy) -> None:
    # Whoever makes a trap owns it: only where the credential can push is its owner one of the caller's own people.
    mark = await marks(called).of("mallory/trap", user("mallory"), "OWNER")
    assert mark.trust is Trust.OUTSIDER


async def test_owner_member_and_collaborator_are_believed_only_once_their_permission_says_push(
    called: Called, bed: Proxy
) -> None:
    found = {
        (login, assoc): (await marks(called).of(PUBLIC, user(login), assoc)).trust
        for login in ("bob", "mallory")
        for assoc in ("OWNER", "MEMBER", "COLLABORATOR", "")
    }
    assert {login for (login, _), trust in found.items() if trust is Trust.COLLABORATOR} == {"bob"}
    assert all(trust is Trust.OUTSIDER for (login, _), trust in found.items() if login == "mallory")
    # One lookup each, whatever the association.
    assert len(bed.sent("GET", PERMISSION)) == 2


@pytest.mark.parametrize(
    "permission", ["read", "none", "triage", "", None, 5, ["admin"], {"admin": True}, "Admin", "pull"]
)
async def test_a_member_who_may_only_read_is_an_outsider(called: Called, bed: Proxy, permission: object) -> None:
    # `role_name` is whatever an organisation likes to call a role.
    told = {"permission": permission, "role_name": "admin", "user": {"login": "carol", "permissions": {"push": True}}}
    bed.fault("GET", PERMISSION, faults.says(as_json(told)))
    assert (await marks(called).of(WIDGET, user("carol"), "MEMBER")).trust is Trust.OUTSIDER


@pytest.mark.parametrize(
    ("assoc", "trust"),
    [
        ("CONTRIBUTOR", Trust.CONTRIBUTOR),
        ("FIRST_TIME_CONTRIBUTOR", Trust.OUTSIDER),
        ("FIRST_TIMER", Trust.OUTSIDER),
        ("MANNEQUIN", Trust.OUTSIDER),
        ("NONE", Trust.OUTSIDER),
        ("ADMINISTRATOR", Trust.OUTSIDER),
        ("OWNER ", Trust.OUTSIDER),
        ("owner\nmember", Trust.OUTSIDER),
        ("x" * 100_000, Trust.OUTSIDER),
    ],
)
async def test_any_other_association_is_not_asked_about_and_not_trusted(
    called: Called, bed: Proxy, assoc: str, trust: Trust
) -> None:
    # Not even of somebody who could push: GitHub knows better than we do.
    mark = await marks(called).of(PUBLIC, user("bob"), assoc)
    assert mark.trust is trust
    assert not mark.trust.trusted
    assert bed.sent("GET", PERMISSION) == []
    assert len(mark.assoc) < 30


@pytest.mark.parametrize("account", [None, {}, [], "bob", 7, {"login": None}, user("ghost"), user("Ghost")])
async def test_a_deleted_account_is_unknown_and_not_trusted(called: Called, account: object) -> None:
    for assoc in ("OWNER", "MEMBER", ""):
        mark = await marks(called).of(PUBLIC, account, assoc)
        assert mark.trust is Trust.UNKNOWN
        assert not mark.trust.trusted


@pytest.mark.parametrize(
    "account",
    [
        user("bob", "Mannequin"),
        user("alice", "Mannequin"),
        {"login": "alice", "__typename": "Mannequin"},
        user("bob", "Organization"),
        user("alice", "Something new"),
    ],
)
async def test_an_author_who_is_no_person_has_no_persons_trust_by_the_same_name(
    called: Called, bed: Proxy, account: dict[str, Any]
) -> None:
    # Who imports a repository names its mannequins.
    assert not (await marks(called).of(PUBLIC, account, "OWNER")).trust.trusted
    assert not (await marks(called).of(PUBLIC, account)).trust.trusted
    assert bed.sent("GET", PERMISSION) == []


@pytest.mark.parametrize(
    ("account", "trust"),
    [
        (user("dependabot[bot]", "Bot"), Trust.COLLABORATOR),
        (user("Dependabot[bot]", "Bot"), Trust.COLLABORATOR),
        # GraphQL has no ending.
        ({"login": "dependabot", "__typename": "Bot"}, Trust.COLLABORATOR),
        (user("dependabot-1[bot]", "Bot"), Trust.BOT),
        (user("dependabot[bot][bot]", "Bot"), Trust.UNKNOWN),
        (user("xdependabot[bot]", "Bot"), Trust.BOT),
        (user("dependab\u043et[bot]", "Bot"), Trust.UNKNOWN),
        (user("dependabot[bot] ", "Bot"), Trust.UNKNOWN),
        (user("github-actions[bot]", "Bot"), Trust.BOT),
        ({"login": "dependabot-preview", "__typename": "Bot"}, Trust.BOT),
        # A person of that name.
        (user("dependabot"), Trust.OUTSIDER),
        ({"login": "dependabot", "__typename": "User"}, Trust.OUTSIDER),
        ({"login": "dependabot"}, Trust.OUTSIDER),
    ],
)
async def test_a_bot_is_trusted_by_its_exact_login_alone(called: Called, account: dict[str, Any], trust: Trust) -> None:
    for assoc in ("NONE", "CONTRIBUTOR" if trust is not Trust.OUTSIDER else "NONE"):
        assert (await marks(called).of(PUBLIC, account, assoc)).trust is trust


async def test_no_bot_is_trusted_that_nobody_named(bed: Proxy, emulator: Emulator, tmp_path: Path) -> None:
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        assert (await marks(called).of(PUBLIC, user("dependabot[bot]", "Bot"), "OWNER")).trust is Trust.BOT


@pytest.mark.parametrize(
    "login",
    [
        "alice\n(self)",
        "alice (self)",
        "bob\u202e",
        "\x1b[31mbob",
        "b" * 100_000,
        "<untrusted-0000>",
        "bob/../alice",
        "bob%2f..%2falice",
        "-bob",
        "b?b",
        "\U000e0041bob",
        "bob\0",
    ],
)
async def test_a_hostile_login_is_shown_nowhere_and_asked_for_nowhere(called: Called, bed: Proxy, login: str) -> None:
    mark = await marks(called).of(PUBLIC, user(login), "MEMBER")
    assert (mark.author, mark.trust, str(mark)) == ("", Trust.UNKNOWN, "nobody known (unknown)")
    assert not await marks(called).pushes(PUBLIC, login)
    assert bed.sent("GET", r".*/collaborators/.*") == []


async def test_concurrent_questions_about_an_author_are_one_request(called: Called, bed: Proxy) -> None:
    begun, go = threading.Event(), threading.Event()

    def late(request: Request, proper: Respond) -> Answer:
        begun.set()
        assert go.wait(20)
        return proper(request)

    bed.fault("GET", PERMISSION, late)
    found: list[Mark] = []

    async def many() -> None:
        found.extend(await marks(called).all_of(PUBLIC, [(user("bob"), "MEMBER")] * 40))

    async with anyio.create_task_group() as group:
        # Two calls at once, of forty items each.
        group.start_soon(many)
        group.start_soon(many)
        await anyio.to_thread.run_sync(begun.wait, 20)
        await anyio.wait_all_tasks_blocked()
        go.set()
    assert [mark.trust for mark in found] == [Trust.COLLABORATOR] * 80
    assert len(bed.sent("GET", PERMISSION)) == 1
    assert len(bed.sent("GET", "/user")) == 1


async def test_one_who_waited_asks_again_when_the_first_was_cancelled(called: Called, bed: Proxy) -> None:
    begun, go = threading.Event(), threading.Event()

    def late(request: Request, proper: Respond) -> Answer:
        begun.set()
        assert go.wait(20)
        return proper(request)

    bed.fault("GET", PERMISSION, late, times=1)
    found: list[bool] = []

    async def wait() -> None:
        found.append(await marks(called).pushes(PUBLIC, "bob"))

    with anyio.CancelScope() as first:
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.to_thread.run_sync(begun.wait, 20)
            first.cancel()
    go.set()
    assert found == []
    await wait()
    assert found == [True]


async def test_a_permission_is_kept_for_five_minutes_and_then_asked_for_again(
    called: Called, bed: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    assert await marks(called).pushes(PUBLIC, "bob")
    now += 299
    assert await marks(called).pushes(PUBLIC.upper(), "BOB")
    assert len(bed.sent("GET", PERMISSION)) == 1
    bed.fault("GET", PERMISSION, faults.says(as_json({"permission": "read"})))
    now += 2
    assert not await marks(called).pushes(PUBLIC, "bob")


@pytest.mark.parametrize(
    "fault",
    [
        faults.refuses(404),
        faults.refuses(403, "Must have push access to view collaborator permission."),
        faults.refuses(500),
        faults.refuses(401, "Bad credentials"),
        faults.says(Answer(0)),
        faults.says(as_json([])),
        faults.says(as_json({"permission": ["write"]})),
        faults.says(Answer(200, b"write", {"Content-Type": "text/plain"})),
        faults.primary_limit(),
    ],
)
async def test_a_lookup_that_fails_leaves_an_outsider(
    called: Called, bed: Proxy, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed.fault("GET", PERMISSION, fault)
    assert (await marks(called).of(PUBLIC, user("bob"), "COLLABORATOR")).trust is Trust.OUTSIDER


async def test_a_failure_that_may_soon_be_over_is_not_kept_for_long(
    called: Called, bed: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed.fault("GET", PERMISSION, faults.says(Answer(0)), times=3)
    assert not await marks(called).pushes(PUBLIC, "bob")
    asked = len(bed.sent("GET", PERMISSION))
    assert not await marks(called).pushes(PUBLIC, "bob")
    assert len(bed.sent("GET", PERMISSION)) == asked
    later = time.monotonic() + module.KEEP_FAILED + 1
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: later))
    assert await marks(called).pushes(PUBLIC, "bob")


async def test_nobody_is_self_to_a_credential_without_a_user(bed: Proxy, emulator: Emulator, tmp_path: Path) -> None:
    async with server(tmp_path, bed.url, repo=PUBLIC) as called:
        bed.forget()
        assert await marks(called).viewer() == ""
        assert (await marks(called).of(PUBLIC, {"login": "", "type": "User"}, "OWNER")).trust is Trust.UNKNOWN
        assert bed.sent("GET", "/user") == []


async def test_an_app_is_no_user_and_so_nobody_is_self(bed: Proxy, tmp_path: Path) -> None:
    async with server(tmp_path, bed.url, "gh" + "s_" + "0" * 36, repo=PUBLIC) as called:
        bed.forget()
        assert await marks(called).viewer() == ""
        mark = await marks(called).of(PUBLIC, user("gatekeeper[bot]", "Bot"), "NONE")
        assert mark.trust is Trust.BOT
        assert bed.requests == []


async def test_a_credential_whose_user_cannot_be_had_trusts_nobody_as_itself(called: Called, bed: Proxy) -> None:
    bed.fault("GET", "/user", faults.refuses(404))
    assert await marks(called).viewer() == ""
    assert (await marks(called).of(PRIVATE, user("alice"), "CONTRIBUTOR")).trust is Trust.CONTRIBUTOR


@pytest.mark.usefixtures("recordings")
async def test_every_author_in_githubs_own_recordings_gets_the_mark_of_the_association(called: Called) -> None:
    found: dict[str, set[Trust]] = {}
    trusted: set[str] = set()
    for item in (item for one in everything() for item in authored(one.answer.json())):
        mark = await marks(called).of("somebody/else", item.get("user"), item["author_association"])
        trusted |= {mark.author} if mark.trust.trusted else set()
        if mark.trust not in (Trust.BOT, Trust.COLLABORATOR):
            found.setdefault(item["author_association"], set()).add(mark.trust)
    assert trusted == {"dependabot[bot]"}
    assert found == {
        "OWNER": {Trust.OUTSIDER},
        "MEMBER": {Trust.OUTSIDER},
        "COLLABORATOR": {Trust.OUTSIDER},
        "CONTRIBUTOR": {Trust.CONTRIBUTOR},
        "FIRST_TIME_CONTRIBUTOR": {Trust.OUTSIDER},
        "NONE": {Trust.OUTSIDER},
    }


def authored(value: object) -> Generator[dict[str, Any]]:
    """All objects with an association."""
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        if isinstance(found.get("author_association"), str):
            yield found
        for item in found.values():
            yield from authored(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from authored(item)


async def test_a_mark_that_is_shown_is_one_short_line(called: Called) -> None:
    view: View = called.hub.view()
    for login in ("bob", "dependabot[bot]", "x" * 100):
        mark = await marks(called).of(PUBLIC, user(login), "NONE")
        assert view.line(mark, str(mark), "issue") == f"{login} ({mark.trust})"
