"""The token is in one header of each request and nowhere else: not in any stream, file or object of the real server."""

from __future__ import annotations

import base64
import gc
import json
import pickle
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from gatelodge_core.sandbox import _landlock

from tests.github import faults
from tests.github.behind import before
from tests.github.bench import hub, token
from tests.github.credential_support import private_file
from tests.github.emulator import APP_ID, INSTALLATION_ID, PUBLIC, WIDGET, Emulator
from tests.github.furnishing import Furniture
from tests.github.loopback import Answer, Request, as_json
from tests.github.proxy import Proxy
from tests.support.wire import MODERN, Server, StdioWire, python_module

LEGACY = "0123456789abcdef" * 2 + "01234567"
"""The shape of tokens before 2021: no pattern knows it."""


class Kept(Server):
    """A server of which every line is kept."""

    def __init__(self, *given: Any, **more: Any) -> None:
        self.lines: list[bytes] = []
        super().__init__(*given, **more)

    def line(self, timeout: float = 30.0) -> bytes:
        found = super().line(timeout)
        self.lines.append(found)
        return found


def forms(secret: str) -> dict[str, bytes]:
    """How a secret could be written, so that it is found when searched for."""
    raw = secret.encode()
    found = {"raw": raw, "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode(), "reversed": raw[::-1]}
    for shift in range(3):
        # The middle is the same wherever in a longer text it stands.
        packed = base64.b64encode(b"\0" * shift + raw)
        found[f"base64 {shift}"] = packed[4 if shift else 0 : len(packed) - 8]
        found[f"base64url {shift}"] = base64.urlsafe_b64encode(b"\0" * shift + raw)[4 if shift else 0 : len(packed) - 8]
    found["quoted"] = "".join(f"%{byte:02x}" for byte in raw).encode()
    found["escaped"] = "".join(f"\\u{byte:04x}" for byte in raw).encode()
    return found


def leaks(secret: str, places: Mapping[str, bytes]) -> list[str]:
    return [
        f"{form} in {place}" for form, data in forms(secret).items() for place, where in places.items() if data in where
    ]


def files_under(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_search_finds_what_it_looks_for() -> None:
    for written in (token(), base64.b64encode(f"x-access-token:{token()}".encode()).decode(), token().encode().hex()):
        assert leaks(token(), {"a": f"xx{written}yy".encode()})
    assert leaks(token(), {"a": token("b").encode()}) == []


@pytest.fixture
def front(emulator: Emulator) -> Generator[Proxy]:
    with before(emulator) as made:
        yield made


def trouble(proxy: Proxy, held: str) -> None:
    """Every kind of answer that could carry a token back, or make the server write about what it did."""

    def echo(request: Request) -> Answer:
        said = request.headers.get("authorization", "")
        packed = base64.b64encode(held.encode()).decode()
        text = f"you said {said}, that is {packed}, or {held.encode().hex()}"
        return as_json({"message": text, "errors": [{"field": said, "message": packed}]}, 422, X_Echo=said)

    proxy.serve("GET", r"/repos/alice/echo", echo)
    proxy.serve("GET", r"/repos/alice/garbage", lambda request: Answer(200, b"<html>" + request.token.encode(), {}))
    proxy.serve("GET", r"/repos/alice/crash", lambda request: as_json({"full_name": ["x", request.token]}))
    proxy.serve("GET", r"/repos/alice/odd/issues", lambda request: as_json([{"number": {"a": 1}, "title": held}]))
    proxy.serve("GET", r"/repos/alice/odd", lambda request: as_json({"full_name": "alice/odd", "private": False}))
    proxy.fault("GET", r"/repos/alice/lost", faults.hangs_up())
    proxy.fault("GET", r"/repos/alice/bad", faults.refuses(502))
    proxy.fault("GET", r"/repos/alice/away", faults.moved(f"http://localhost:1/{held}"))


def session(wire: StdioWire, release: threading.Event) -> str:
    """All sorts of calls; what came back."""
    texts = [json.dumps(wire.request("tools/list"))]
    odd = ("echo", "garbage", "crash", "odd", "lost", "bad", "away", "never-was")
    texts += [json.dumps(wire.tool("list_issues", repo=f"alice/{name}")) for name in odd]
    texts.append(json.dumps(wire.tool("get_me")))
    texts.append(json.dumps(wire.tool("list_issues", repo=PUBLIC)))
    texts.append(json.dumps(wire.tool("list_issues", repo=PUBLIC, since={"a": 1})))
    # One that is given up while GitHub is silent.
    wire.send_call("slow", "list_issues", repo="alice/slow")
    assert release.wait(20)
    wire.notify("notifications/cancelled", {"requestId": "slow", "reason": "enough"})
    texts.append(json.dumps(wire.tool("list_issues", repo=PUBLIC, state="all")))
    return "\n".join(texts)


WAYS = ("GATELODGE_GITHUB_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "file", "GITHUB_TOKEN_FILE")


@pytest.mark.parametrize("way", WAYS)
def test_through_a_session_full_of_trouble_the_token_is_in_no_stream_file_or_environment(
    furnished: Furniture, emulator: Emulator, front: Proxy, tmp_path: Path, way: str
) -> None:
    held = LEGACY if way in ("GITHUB_TOKEN", "file") else emulator.tokens["alice"]
    assert front.manners is not None
    front.manners.tokens = {**front.manners.tokens, LEGACY: ("repo",)}
    trouble(front, held)
    asleep = threading.Event()

    def slow(request: Request) -> Answer:
        asleep.set()
        threading.Event().wait(3)
        return as_json({})

    front.serve("GET", "/repos/alice/slow", slow)
    state = tmp_path / "state"
    # By name: what looks it up is confined too.
    url = front.url.replace("127.0.0.1", "localhost")
    arguments = [
        "--state-dir",
        str(state),
        "--api-url",
        url,
        "--toolsets",
        "all",
        "--log-level",
        "debug",
        "--repo",
        PUBLIC,
    ]
    env: dict[str, str] = {}
    if way == "file":
        arguments += ["--token-file", private_file(tmp_path / "token", held)]
    elif way.endswith("_FILE"):
        env[way] = private_file(tmp_path / "token", held)
    else:
        env[way] = held
    server = Kept(python_module("gatelodge_github", *arguments), env)
    try:
        wire = StdioWire(server, MODERN)
        said = session(wire, asleep)
        pid = server.process.pid
        places = {
            "what the tools said": said.encode(),
            "environ": Path(f"/proc/{pid}/environ").read_bytes(),
            "cmdline": Path(f"/proc/{pid}/cmdline").read_bytes(),
            "the limits and names of the process": Path(f"/proc/{pid}/status").read_bytes(),
        }
    finally:
        server.end()
    places |= {"stdout": b"".join(server.lines), "stderr": server.stderr().encode(), **files_under(state)}
    assert leaks(held, places) == []
    # There was much to be seen.
    assert "you said token [" in said or "you said [" in said, said
    assert {"bad_answer", "unreachable", "github_failed", "foreign_url", "not_found"} <= {
        word for word in ("bad_answer", "unreachable", "github_failed", "foreign_url", "not_found") if word in said
    }
    assert "DEBUG" in server.stderr()
    assert any(name.endswith(".jsonl") for name in places)
    assert any("github.sqlite" in name for name in places)
    # It was sent, in the one header.
    assert front.requests
    for request in front.requests:
        assert request.headers["authorization"] == f"token {held}"
        rest = {name: value for name, value in request.headers.items() if name != "authorization"}
        assert leaks(held, {"request": repr((request.target, rest, request.body)).encode()}) == []


def test_an_apps_key_and_tokens_are_nowhere_either(
    furnished: Furniture, emulator: Emulator, front: Proxy, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    key = private_file(tmp_path / "key.pem", emulator.app_key)
    arguments = ["--state-dir", str(state), "--api-url", front.url, "--log-level", "debug", "--repo", WIDGET, "--app-id",
                 str(APP_ID), "--app-installation-id", str(INSTALLATION_ID), "--app-key-file", key]  # fmt: skip

    def echo(request: Request) -> Answer:
        return as_json({"message": f"you said {request.token}"}, 422)

    front.serve("GET", "/repos/acme/echo", echo)
    server = Kept(python_module("gatelodge_github", *arguments))
    try:
        wire = StdioWire(server, MODERN)
        said = json.dumps([wire.tool("list_issues"), wire.tool("get_me"), wire.tool("list_issues", repo="acme/echo")])
        places = {"said": said.encode(), "environ": Path(f"/proc/{server.process.pid}/environ").read_bytes()}
    finally:
        server.end()
    places |= {"stdout": b"".join(server.lines), "stderr": server.stderr().encode(), **files_under(state)}
    assert "Oil the widget" in said
    assert "you said [" in said
    secrets = {one.token for one in front.requests}
    assert len(secrets) == 2
    body = "".join(emulator.app_key.split("\n")[1:-2])
    for secret in (*secrets, body[100:200], emulator.app_key.split("\n")[5]):
        assert leaks(secret, places) == []


@pytest.mark.skipif(not _landlock.abi(), reason="this kernel has no Landlock to confine with")
def test_the_confined_server_loads_pygithub_looks_names_up_and_reads_its_documents(
    furnished: Furniture, emulator: Emulator, front: Proxy, tmp_path: Path
) -> None:
    asked: list[str] = []

    def handle(document: str, variables: dict[str, Any]) -> dict[str, Any]:
        asked.append(document)
        ended = {"hasNextPage": False, "endCursor": None}
        listed: dict[str, Any] = {"totalCount": 0, "pageInfo": ended, "nodes": []}
        found: dict[str, Any] = {
            "nameWithOwner": PUBLIC,
            "visibility": "PUBLIC",
            "hasDiscussionsEnabled": True,
            "discussions": listed,
        }
        return {"data": {"repository": found}}

    front.graphql(handle)
    state = tmp_path / "state"
    url = front.url.replace("127.0.0.1", "localhost")
    arguments = [
        "--state-dir",
        str(state),
        "--api-url",
        url,
        "--toolsets",
        "all",
        "--repo",
        PUBLIC,
        "--require-sandbox",
    ]
    server = Kept(python_module("gatelodge_github", *arguments), {"GITHUB_TOKEN": emulator.tokens["alice"]})
    try:
        wire = StdioWire(server, MODERN)
        assert "The guide is wrong" in wire.text("list_issues")
        wire.tool("read_discussions")
    finally:
        server.end()
    assert len(asked) == 1
    (journal,) = state.rglob("*.jsonl")
    assert "landlock" in json.loads(journal.read_text().split("\n", 1)[0])["sandbox"]


@pytest.mark.anyio
async def test_no_object_of_ours_shows_it_or_can_be_pickled_with_it(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    # One that no other test has: their objects may still be there.
    held = token("u")
    assert proxy.manners is not None
    proxy.manners.tokens = {held: ("repo",)}
    async with hub(tmp_path, proxy.url, held) as made:
        await made.open(PUBLIC)
        looked = 0
        for item in cast("list[object]", gc.get_objects()):
            kind = type(item)
            if not str(kind.__module__).startswith("gatelodge_github"):
                continue
            looked += 1
            shown = f"{item!r} {item}"
            try:
                data = pickle.dumps(item)
            except Exception as error:  # noqa: BLE001 - whatever keeps it from being pickled
                data = repr(error).encode()
            assert leaks(held, {kind.__qualname__: shown.encode() + data}) == [], kind
        assert looked > 20
        for part in (made, made.desk().api.credential, made.desk().pool, made.settings):
            assert leaks(held, {"repr": repr(part).encode()}) == []
            try:
                assert leaks(held, {"pickle": pickle.dumps(part)}) == []
            except (TypeError, AttributeError, pickle.PicklingError):
                continue
