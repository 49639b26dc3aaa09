"""A real, confined server that takes an issuer's tokens, in the three revisions: who gets what, and what a thief gets."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.auth.issuer import FakeIssuer, issuing
from tests.auth.mint import claims, header, jwk, part, pem, rsa_key, sign, sign_with_secret
from tests.auth.served import RESOURCE, BearerWire, Served, serving
from tests.support.remote import make_keys
from tests.support.wire import MODERN, MODERN_META, HttpWire, Message, Revision

METADATA = "http://127.0.0.1/.well-known/oauth-protected-resource/tools/toy"
FORM: dict[str, Any] = {"elicitation": {"form": {}}}


@pytest.fixture(scope="module")
def issuer() -> Generator[FakeIssuer]:
    with issuing("/tenant") as made:
        yield made


@pytest.fixture(scope="module")
def served(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    with serving(
        tmp_path_factory.mktemp("served"), issuer, "--allowed-origins", "https://app.example", "--max-sessions", "500"
    ) as made:
        yield made


def challenge(headers: dict[str, str]) -> dict[str, str]:
    return dict(re.findall(r'([a-z_]+)="([^"]*)"', headers["www-authenticate"]))


def test_a_caller_is_known_by_issuer_subject_and_client(served: Served, revision: Revision) -> None:
    wire = served.wire(revision, served.token(sub=f"alice-{revision}"))
    assert "hi" in wire.text("echo_text", text="hi")
    recorded = [json.loads(line) for line in served.journal().splitlines()]
    subjects = {record["principal"].get("subject") for record in recorded if "principal" in record}
    assert f"{served.issuer.name}|alice-{revision}|desk" in subjects


@pytest.mark.parametrize("path", ["", "/tools/toy", "/mcp"])
def test_a_client_without_a_token_is_told_where_to_get_one(served: Served, path: str) -> None:
    status, headers, _ = served.ask("POST", "/mcp", {"content-type": "application/json"}, b"{}")
    assert status == 401
    assert challenge(headers) == {"resource_metadata": METADATA, "scope": "toy:read"}
    status, headers, body = served.ask("GET", f"/.well-known/oauth-protected-resource{path}")
    assert (status, headers["content-type"]) == (200, "application/json")
    found = json.loads(body)
    assert (found["resource"], found["authorization_servers"]) == (RESOURCE, [served.issuer.name])


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/", "/sse", "/messages", "/metrics", "/docs", "/openapi.json", "/.well-known/openid-configuration", "/readyz/", "//mcp"])  # fmt: skip
def test_every_way_in_but_health_asks_for_a_token(served: Served, method: str, path: str) -> None:
    assert served.ask(method, path)[0] == 401


def _twice(body: dict[str, Any], name: str, value: object) -> bytes:
    return f"{json.dumps(body)[:-1]}, {json.dumps(name)}: {json.dumps(value)}}}".encode()


def evil(served: Served) -> dict[str, str]:
    """Tokens that are no good, by why."""
    one, stranger = rsa_key("one"), rsa_key("stranger")
    body = claims(iss=served.issuer.name, aud=RESOURCE, scope="toy:destroy")
    good = sign(one, header(), body)
    return {
        "wrong audience": served.token(aud="https://other.example"),
        "no audience": served.token(aud=None),
        "a list of others": served.token(aud=["https://other.example", "https://another.example"]),
        "expired": served.token(exp=1),
        "in the future": served.token(nbf=2**40),
        "without end": served.token(exp=None),
        "alg none": f"{part(header(alg='none'))}.{part(body)}.",
        "the public key as the secret": sign_with_secret(pem(one), header(alg="HS256"), body),
        "unknown key": sign(stranger, header(kid="stranger"), body),
        "stolen key id": sign(stranger, header(), body),
        "wrong issuer": served.token(iss="https://evil.example"),
        "other tenant": served.token(iss=f"{served.issuer.origin}/other"),
        "truncated": good[:-8],
        "id token": sign(one, header(typ="JWT"), {**body, "nonce": "n"}),
        "its own key": sign(stranger, header(jwk=jwk(stranger)), body),
        "its own key's address": sign(stranger, header(jku=f"{served.issuer.origin}/evil"), body),
        "a key id that is a path": sign(stranger, header(kid="../../../dev/null"), body),
        "huge": good[:-1] + "A" * 17_000,
        "a claim twice": sign(one, header(), _twice(body, "sub", "root")),
        "bound to a key": served.token(cnf={"jkt": "x"}),
        "no token at all": "nonsense",
    }


def test_a_token_that_is_no_good_opens_nothing(served: Served, revision: Revision) -> None:
    for name, token in evil(served).items():
        status, headers, body = BearerWire(served.url, revision, token).call("echo_text", text="hi")
        assert (name, status) == (name, 401)
        assert challenge(headers)["error"] == "invalid_token"
        assert token.encode() not in body
    assert served.issuer.times("/evil") == 0


def test_a_call_beyond_the_token_is_403_and_the_client_steps_up_once(served: Served, revision: Revision) -> None:
    key = f"step-{revision}"
    reading = served.wire(revision, served.token(scope="toy:read other:admin"))
    assert "hi" in reading.text("echo_text", text="hi")
    status, headers, body = reading.call("put_item", key=key, value="v")
    assert status == 403
    found = challenge(headers)
    assert (found["error"], found["scope"]) == ("insufficient_scope", "toy:read toy:write")
    assert found["resource_metadata"] == METADATA
    assert b"insufficient_scope" in body
    assert key.encode() not in reading.call("list_items", prefixes=[key])[2].replace(b'"prefixes"', b"")
    # What the challenge names is enough.
    writing = served.wire(revision, served.token(scope=found["scope"]))
    assert writing.call("put_item", key=key, value="v")[0] == 200
    # To destroy holds all, and is asked for in one step.
    status, headers, _ = writing.call("drop_item", key=key)
    assert (status, challenge(headers)["scope"]) == (403, "toy:destroy toy:read toy:write")
    destroying = served.wire(revision, served.token(scope="toy:destroy"))
    assert destroying.call("echo_text", text="hi")[0] == destroying.call("put_item", key=key, value="w")[0] == 200
    assert b"approval_required" in destroying.call("drop_item", key=key)[2]


def test_a_token_without_scopes_may_do_nothing_and_sees_no_tool(served: Served, revision: Revision) -> None:
    wire = served.wire(revision, served.token(scope="other:destroy"))
    assert wire.request("tools/list")["result"]["tools"] == []
    for method, params in (
        ("tools/call", {"name": "echo_text", "arguments": {"text": "hi"}}),
        ("resources/read", {"uri": "toy://items"}),
        ("prompts/get", {"name": "sum_up", "arguments": {"topic": "x"}}),
    ):
        status, headers, body = wire.send(method, params)
        assert (status, challenge(headers)["scope"]) == (403, "toy:read")
        assert b"first" not in body


def test_the_list_shows_what_a_token_may_call(served: Served, revision: Revision) -> None:
    shown = {
        scope: {tool["name"] for tool in served.wire(revision, served.token(scope=scope)).request("tools/list")["result"]["tools"]}
        for scope in ("toy:read", "toy:write", "toy:destroy")
    }  # fmt: skip
    assert shown["toy:destroy"] - shown["toy:write"] == {"drop_item"}
    assert shown["toy:write"] - shown["toy:read"] == {"put_item"}


def test_a_long_call_streams_what_it_has_to_say_before_it_ends(served: Served, revision: Revision) -> None:
    wire = served.wire(revision, served.token())
    params = wire.params({"name": "wait_long", "arguments": {"seconds": 50}, "_meta": {"progressToken": "p"}})
    message = {"jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": params}
    body = json.dumps(message).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in wire.headers(message).items())
    with socket.create_connection((wire.host, wire.port), timeout=20) as raw:
        raw.sendall(
            f"POST /mcp HTTP/1.1\r\nhost: localhost\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body
        )
        got = b""
        while b'"progress":2' not in got.replace(b" ", b"").replace(b"2.0", b"2"):
            piece = raw.recv(65536)
            assert piece, got
            got += piece
    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"waited" not in got


@pytest.mark.parametrize("legacy", ["2025-06-18", "2025-11-25"])
def test_a_session_serves_its_owner_alone(served: Served, legacy: Revision) -> None:
    alice = served.wire(legacy, served.token(sub="owner"))
    assert alice.session
    for other in ({"sub": "bob"}, {"sub": "owner", "client_id": "phone"}):
        bob = BearerWire(served.url, legacy, served.token(**other))
        bob.session = alice.session
        status, _, body = bob.call("echo_text", text="hi")
        assert (status, b"hi" in body) == (404, False)
        headers = {"authorization": f"Bearer {bob.token}", "mcp-session-id": alice.session, "accept": "text/event-stream"}  # fmt: skip
        assert served.ask("GET", "/mcp", headers)[0] == 404
        assert served.ask("DELETE", "/mcp", headers)[0] == 404
    # A new token of its owner goes on with it.
    alice.token = served.token(sub="owner", jti="another")
    assert "hi" in alice.text("echo_text", text="hi")


def test_the_answer_to_a_question_is_taken_from_whoever_was_asked_alone(served: Served) -> None:
    alice = served.wire(MODERN, served.token(sub="alice"), FORM)
    bob = served.wire(MODERN, served.token(sub="bob"), FORM)
    assert alice.call("put_item", key="mine", value="v")[0] == 200
    params = {"name": "drop_item", "arguments": {"key": "mine"}}
    asked = alice.request("tools/call", params)["result"]
    assert asked["resultType"] == "input_required"
    (question,) = asked["inputRequests"]
    yes: Message = {
        "inputResponses": {question: {"action": "accept", "content": {}}},
        "requestState": asked["requestState"],
    }
    stolen = bob.request("tools/call", {**params, **yes})
    assert "error" in stolen or "gone" not in json.dumps(stolen)
    assert b"mine" in alice.call("list_items", prefixes=["mine"])[2]
    # And it is still good for her.
    assert "gone" in json.dumps(alice.request("tools/call", {**params, **yes})["result"])


def test_a_browser_may_ask_and_read_from_a_named_origin_alone(served: Served) -> None:
    wanted = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,mcp-param-region,x-evil",
    }
    status, headers, body = served.ask("OPTIONS", "/mcp", {"origin": "https://app.example", **wanted})
    assert (status, body, headers["access-control-allow-origin"]) == (204, b"", "https://app.example")
    allowed = headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "content-type", "mcp-session-id", "mcp-protocol-version", "mcp-param-region"} <= set(allowed)  # fmt: skip
    assert "x-evil" not in allowed
    assert "access-control-allow-credentials" not in headers
    assert headers["vary"].startswith("Origin")
    for origin in ("https://evil.example", "null", "https://app.example.evil.example", "http://app.example"):
        status, headers, _ = served.ask("OPTIONS", "/mcp", {"origin": origin, **wanted})
        assert (status, "access-control-allow-origin" in headers) == (403, False)
    # A page of this machine may call, as before, but isn't asked to read.
    status, headers, _ = served.ask("OPTIONS", "/mcp", {"origin": "http://localhost:5173", **wanted})
    assert (status, "access-control-allow-origin" in headers) == (401, False)
    # What an answer says is readable, a refusal with its challenge too.
    status, headers, _ = served.ask("POST", "/mcp", {"origin": "https://app.example"}, b"{}")
    assert (status, headers["access-control-allow-origin"]) == (401, "https://app.example")
    assert "www-authenticate" in headers["access-control-expose-headers"]
    status, headers, _ = served.ask("GET", "/.well-known/oauth-protected-resource", {"origin": "https://app.example"})
    assert (status, headers["access-control-allow-origin"]) == (200, "https://app.example")


def test_no_token_is_in_the_log_the_journal_or_an_answer(served: Served, revision: Revision) -> None:
    token = served.token(sub="secretive")
    wire = served.wire(revision, token)
    got = [wire.call(name, **arguments) for name, arguments in (
        ("echo_text", {"text": "hi"}), ("fail_badly", {"secret": "x"}), ("echo_text", {"nonsense": 1}), ("nothing", {}),
    )]  # fmt: skip
    for text in (repr(got), served.server.stderr(), served.journal()):
        for piece in token.split("."):
            assert piece not in text
    # What a caller writes himself is masked like any secret, on its way back as well.
    assert token.encode() not in wire.call("echo_text", text=f"Bearer {token}")[2]


def test_while_the_issuer_is_gone_nobody_is_let_in_and_it_says_so(tmp_path: Path) -> None:
    with issuing("/tenant") as issuer:
        working = issuer.answers.pop("/keys")
        with serving(tmp_path, issuer) as served:
            assert served.ask("GET", "/livez")[0] == 200
            assert served.ask("GET", "/readyz")[0] == 503
            wire = BearerWire(served.url, MODERN, served.token())
            status, headers, body = wire.call("echo_text", text="hi")
            assert (status, b"hi" in body) == (503, False)
            assert 1 <= int(headers["retry-after"]) <= 5
            served.server.wait_for_stderr("the authorization server's keys: .*status 404")
            issuer.answers["/keys"] = working
            _until(lambda: served.ask("GET", "/readyz")[0] == 200)
            assert "hi" in wire.text("echo_text", text="hi")


def _until(come: Callable[[], bool]) -> None:
    """Ask as a balancer does; each asking takes its own time."""
    import time

    deadline = time.monotonic() + 30
    while not come():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_confined_server_finds_an_issuer_by_name_and_over_tls(tmp_path: Path) -> None:
    authority, authorities = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(authorities))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # It takes pyOpenSSL's contexts too, whose types are not here.
    authority.issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType] - trustme gives no type
    with issuing("/tenant", context) as issuer:
        issuer.name = issuer.name.replace("127.0.0.1", "localhost")
        issuer.metadata |= {"issuer": issuer.name, "jwks_uri": f"https://localhost:{issuer.port}/keys"}
        with serving(tmp_path, issuer, "--oauth-ca-file", str(authorities)) as served:
            assert "hi" in served.wire(MODERN, served.token()).text("echo_text", text="hi")
            assert served.issuer.times("/keys") == 1


def test_tokens_that_the_issuer_is_asked_about_work_the_same(tmp_path: Path, revision: Revision) -> None:
    secret = {"GATELODGE_OAUTH_CLIENT_SECRET": "open sesame"}
    more = ["--oauth-introspection-url", "discover", "--oauth-client-id", "desk"]
    with issuing() as issuer, serving(tmp_path, issuer, *more, env=secret) as served:
        usual = {"active": True, "aud": [RESOURCE], "client_id": "desk", "token_type": "Bearer"}
        issuer.tokens["opaque-alice"] = {**usual, "sub": "alice", "scope": "toy:write"}
        issuer.tokens["opaque-other"] = {**usual, "sub": "alice", "scope": "toy:write", "aud": "https://other.example"}
        _until(lambda: served.ask("GET", "/readyz")[0] == 200)
        alice = served.wire(revision, "opaque-alice")
        assert alice.call("put_item", key="k", value="v")[0] == 200
        assert alice.call("drop_item", key="k")[0] == 403
        for token in ("opaque-other", "opaque-nobody", served.token()):
            assert BearerWire(served.url, revision, token).call("echo_text", text="hi")[0] == 401
        assert "open sesame" not in served.server.stderr()
        assert "opaque-alice" not in served.server.stderr() + served.journal()


def test_keys_and_tokens_are_taken_side_by_side(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys", ["ci"], ("toy:read",))
    file = ["--keys-file", str(tmp_path / "keys" / "keys.json")]
    with issuing() as issuer, serving(tmp_path, issuer, *file, auth="both", env={"GATELODGE_KEY_PEPPER": "p" * 43}) as served:  # fmt: skip
        assert served.wire(MODERN, keys["ci"]).call("echo_text", text="hi")[0] == 200
        assert served.wire(MODERN, served.token()).call("put_item", key="k", value="v")[0] == 200
        status, headers, _ = BearerWire(served.url, MODERN, keys["ci"]).call("put_item", key="k", value="v")
        assert (status, challenge(headers)["scope"]) == (403, "toy:read toy:write")
        for token in (keys["ci"][:-1], f"glk_{served.token()}", "nonsense"):
            assert BearerWire(served.url, MODERN, token).call("echo_text", text="hi")[0] == 401
        assert '"subject": "ci"' in served.journal() or '"subject":"ci"' in served.journal()


def test_an_unknown_key_makes_no_storm_of_questions(served: Served) -> None:
    served.wire(MODERN, served.token())
    before = served.issuer.times("/keys")
    body = claims(iss=served.issuer.name, aud=RESOURCE)
    for number in range(200):
        token = sign(rsa_key("stranger"), header(kid=f"made up {number}"), body)
        assert BearerWire(served.url, MODERN, token).call("echo_text", text="hi")[0] == 401
    assert served.issuer.times("/keys") <= before + 1


def test_a_batch_of_clients_gets_each_its_own(served: Served) -> None:
    """One JSON-RPC id for all, and answers that differ only by who asks."""
    wires = [served.wire(MODERN, served.token(sub=f"user-{number}")) for number in range(8)]
    for _ in range(5):
        for number, wire in enumerate(wires):
            message: Message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo_text", "arguments": {"text": f"canary-{number}"}, "_meta": MODERN_META}}  # fmt: skip
            status, _, body = wire.post(json.dumps(message).encode(), wire.headers(message))
            assert (status, f"canary-{number}".encode() in body) == (200, True)


def test_a_client_of_http_wire_without_a_token_is_not_let_in(served: Served, revision: Revision) -> None:
    message: Message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
    wire = HttpWire(served.url, revision)
    status, headers, _ = wire.post(json.dumps(message).encode(), wire.headers(message))
    assert (status, "mcp-session-id" in headers) == (401, False)
