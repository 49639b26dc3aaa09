"""A real, confined server that knows its callers by API keys: what an attacker with a wire and a wrong key gets."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from gatelodge_core.audit.verify import verify
from gatelodge_core.auth.keyfile import KeyFile
from gatelodge_core.auth.keyrecords import Grant, Key, hashed, issue
from gatelodge_core.sandbox import _landlock

from tests.support.remote import KeyWire
from tests.support.wire import MODERN, PATIENCE, HttpWire, Message, Revision, Server, python_module


class Gate:
    """One filesystem server over HTTP with its keys in a folder of their own."""

    def __init__(self, base: Path, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self.base, self.state = base, base / "state"
        (base / "notes").mkdir(parents=True)
        (base / "notes" / "a.txt").write_text("alpha\n", encoding="utf-8")
        self.keys = KeyFile(str(base / "keys" / "keys.json"), (env or {}).get("GATELODGE_KEY_PEPPER", ""))
        self.secrets: list[str] = []
        self.got: list[bytes] = []
        self.alice, self.alice_record = self.add("alice", "filesystem:destroy")
        self._arguments, self._env = arguments, env
        self.server = self.start()
        try:
            self.url = self.server.wait_for_stderr(r"listening on (http://\S+)").group(1)
        except BaseException:
            self.end()
            raise

    def start(self) -> Server:
        command = python_module(
            "gatelodge_filesystem", str(self.base / "notes"), "--state-dir", str(self.state), "--http", "127.0.0.1:0",
            "--auth", "keys", "--keys-file", self.keys.path, "--log-level", "debug", *self._arguments,
        )  # fmt: skip
        return Server(command, self._env)

    def add(self, name: str, *scopes: str, tools: tuple[str, ...] | None = None, per_minute: int = 0, ends: float = 0) -> tuple[str, Key]:  # fmt: skip
        lifetime = timedelta(seconds=ends) if ends else None
        with self.keys.changing() as keys:
            text, key = issue(Grant(name, scopes, tools, per_minute, lifetime), self.keys.pepper, datetime.now(UTC))
            keys.append(key)
        self.secrets += [text, text[15:], key.hash]
        return text, key

    def change(self, name: str, **fields: object) -> None:
        with self.keys.changing() as keys:
            keys[:] = [key.model_copy(update=fields) if key.id == name else key for key in keys]

    def wire(self, key: str, revision: Revision = MODERN) -> KeyWire:
        return KeyWire(self.url, revision, key)

    def send(
        self, authorization: list[str], *, path: str = "/mcp", method: str = "POST", revision: Revision = MODERN
    ) -> tuple[int, dict[str, str], bytes]:
        """One `tools/call` of read_file, with these Authorization headers."""
        wire = HttpWire(self.url, revision)
        params = wire.params({"name": "read_file", "arguments": {"path": "a.txt"}})
        message: Message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        body = json.dumps(message).encode()
        connection = http.client.HTTPConnection(wire.host, wire.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.putrequest(method, path)
            for name, value in wire.headers(message).items():
                connection.putheader(name, value)
            for value in authorization:
                connection.putheader("authorization", value)
            connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            got = response.read()
        self.got.append(repr(headers).encode() + got)
        return response.status, headers, got

    def status(self, key: str) -> int:
        return self.send([f"Bearer {key}"])[0]

    def becomes(self, status: int, key: str) -> None:
        """A key gets this status soon, and keeps it."""
        deadline = time.monotonic() + PATIENCE
        while self.status(key) != status:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert self.status(key) == status

    def ready(self) -> int:
        wire = HttpWire(self.url, MODERN)
        connection = http.client.HTTPConnection(wire.host, wire.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", "/readyz")
            return connection.getresponse().status

    def journal(self) -> list[dict[str, object]]:
        lines = [line for path in (self.state / "journal").glob("*.jsonl") for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines]

    def end(self) -> None:
        if self.server.process.poll() is None:
            self.server.signal(signal.SIGTERM)
        self.server.end()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Generator[Gate]:
    made = Gate(tmp_path_factory.mktemp("gate") / "g")
    yield made
    made.end()


def test_a_key_works_in_every_revision(gate: Gate, revision: Revision) -> None:
    wire = gate.wire(gate.alice, revision)
    wire.open()
    assert "alpha" in wire.text("read_file", path="a.txt")
    names = [tool["name"] for tool in wire.request("tools/list")["result"]["tools"]]
    assert {"read_file", "delete_path"} & set(names)


def test_without_a_key_there_is_nothing_but_health(gate: Gate) -> None:
    for path in ("/mcp", "/", "/docs", "/metrics", "/sse", "/mcp/", "/.well-known/oauth-protected-resource"):
        for method in ("POST", "GET", "DELETE", "PUT"):
            status, headers, _ = gate.send([], path=path, method=method)
            assert status == 401, (method, path)
            assert headers["www-authenticate"].startswith("Bearer")
    assert gate.ready() == 200


def wrong(gate: Gate) -> dict[str, list[str]]:
    key = gate.alice
    other = key[:-1] + ("A" if key[-1] != "A" else "B")
    return {
        "truncated": [f"Bearer {key[:-1]}"],
        "extended": [f"Bearer {key}A"],
        "another last letter": [f"Bearer {other}"],
        "upper case": [f"Bearer {key.upper()}"],
        "lower case": [f"Bearer {key.lower()}"],
        "the id alone": [f"Bearer {key[:14]}"],
        "an unknown id": [f"Bearer glk_zzzzzzzzzz{key[14:]}"],
        "the hash": [f"Bearer glk_{gate.alice_record.id}_{gate.alice_record.hash[:43]}"],
        "white space inside": [f"Bearer {key[:20]} {key[20:]}"],
        "a tab": [f"Bearer\t{key}"],
        "no scheme": [key],
        "basic": [f"Basic {key}"],
        "token": [f"Token {key}"],
        "quoted": [f'Bearer "{key}"'],
        "two in one": [f"Bearer {key}, Bearer {key}"],
        "twice the scheme": [f"Bearer Bearer {key}"],
        "empty": [""],
        "bearer alone": ["Bearer "],
        "not ASCII": [f"Bearer {key}é".encode().decode("latin-1")],
        "huge": ["Bearer glk_" + "A" * 20_000],
        "percent-encoded": ["Bearer " + key.replace("_", "%5F")],
    }


def test_no_wrong_form_of_a_key_gets_in_and_none_is_told_apart(gate: Gate) -> None:
    cases = wrong(gate)
    found = {what: gate.send(values) for what, values in cases.items()}
    assert {what: status for what, (status, _, _) in found.items() if status != 401} == {}
    # Nothing tells an id that exists from one that doesn't.
    assert found["an unknown id"][1:] == found["another last letter"][1:] == found["truncated"][1:]
    assert gate.status(gate.alice) == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_may_be_in_any_letter_case(gate: Gate, scheme: str) -> None:
    assert gate.send([f"{scheme} {gate.alice}"])[0] == 200


def test_two_authorization_headers_are_a_bad_request(gate: Gate) -> None:
    for values in ([gate.alice, gate.alice], [gate.alice, "glk_wrong"], ["glk_wrong", gate.alice]):
        assert gate.send([f"Bearer {value}" for value in values])[0] == 400


@pytest.mark.parametrize(
    "name", ["key", "token", "access_token", "api_key", "API_KEY", "apikey", "Authorization", "api%5Fkey"]
)
def test_a_key_in_the_address_is_a_bad_request_even_beside_a_good_header(gate: Gate, name: str) -> None:
    for values in ([], [f"Bearer {gate.alice}"]):
        assert gate.send(values, path=f"/mcp?{name}={gate.alice}")[0] == 400


def test_a_key_elsewhere_than_in_its_header_is_not_looked_for(gate: Gate) -> None:
    wire = HttpWire(gate.url, MODERN)
    message: Message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": wire.params()}
    for header in ("x-api-key", "cookie", "proxy-authorization", "x-authorization", "authorization_"):
        headers = {**wire.headers(message), header: f"Bearer {gate.alice}"}
        assert wire.post(json.dumps(message).encode(), headers)[0] == 401


def test_a_key_for_another_server_is_known_and_may_do_nothing(gate: Gate, revision: Revision) -> None:
    text, _ = gate.add("bob", "github:destroy", "postgres:destroy", "websearch:destroy")
    gate.becomes(403, text)
    wire = gate.wire(text, revision)
    wire.open()
    assert wire.request("tools/list")["result"]["tools"] == []
    status, headers, body = wire.post(*call(wire, "read_file", path="a.txt"))
    assert status == 403
    assert 'error="insufficient_scope"' in headers["www-authenticate"]
    assert 'scope="filesystem:read"' in headers["www-authenticate"]
    assert b"alpha" not in body
    assert "error" in wire.request("resources/read", {"uri": "fs://notes/a.txt"})


def call(wire: HttpWire, name: str, **arguments: object) -> tuple[bytes, dict[str, str]]:
    params = wire.params({"name": name, "arguments": arguments})
    message: Message = {"jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": params}
    return json.dumps(message).encode(), wire.headers(message)


def test_a_reading_key_changes_nothing(gate: Gate) -> None:
    text, _ = gate.add("reader", "filesystem:read")
    gate.becomes(200, text)
    wire = gate.wire(text)
    listed = {tool["name"] for tool in wire.request("tools/list")["result"]["tools"]}
    assert "read_file" in listed
    assert not listed & {"write_file", "edit_file", "delete_path"}
    status, headers, _ = wire.post(*call(wire, "write_file", path="b.txt", content="x"))
    assert (status, "filesystem:write" in headers["www-authenticate"]) == (403, True)
    assert not (gate.base / "notes" / "b.txt").exists()


def test_a_key_for_some_tools_reads_by_no_other_way(gate: Gate) -> None:
    text, _ = gate.add("lister", "filesystem:read", tools=("list_*",))
    gate.becomes(200, text)
    wire = gate.wire(text)
    listed = {tool["name"] for tool in wire.request("tools/list")["result"]["tools"]}
    assert listed
    assert all(name.startswith("list_") for name in listed)
    assert "a.txt" in wire.text("list_directory", path=".")
    assert "tool_not_granted" in wire.error("read_file", path="a.txt")
    for method, params in (
        ("resources/read", {"uri": "fs://notes/a.txt"}),
        ("prompts/get", {"name": "explain_folder", "arguments": {"path": "notes"}}),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "fs://{root}/{+path}"}, "argument": {"name": "path", "value": "a"}}),
        # A name beside the URI is the caller's own invention.
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "fs://{root}/{+path}", "name": "list_roots"}, "argument": {"name": "path", "value": "a"}}),
    ):  # fmt: skip
        answer = wire.request(method, params)
        assert "tool_not_granted" in answer["error"]["message"], answer


def test_a_key_for_a_resource_completes_its_paths(gate: Gate) -> None:
    text, _ = gate.add("completer", "filesystem:read", tools=("file",))
    gate.becomes(200, text)
    params = {"ref": {"type": "ref/resource", "uri": "fs://{root}/{+path}"}, "argument": {"name": "path", "value": "a"}}
    assert "a.txt" in gate.wire(text).request("completion/complete", params)["result"]["completion"]["values"]


def test_a_quota_is_of_the_holder_and_not_of_the_key(gate: Gate) -> None:
    one, _ = gate.add("carol", "filesystem:read", per_minute=4)
    two, _ = gate.add("carol", "filesystem:read", per_minute=4)
    gate.becomes(200, one)  # two calls, one to see it and one to be sure; before these they were refused at the door
    statuses = [gate.status(key) for key in (two, one, two, one, two)]
    assert statuses == [200, 200, 429, 429, 429]
    status, headers, body = gate.send([f"Bearer {two}"])
    assert status == 429
    assert 1 <= int(headers["retry-after"]) <= 15
    assert b"4 calls a minute" in body
    assert gate.status(gate.alice) == 200


def test_the_session_of_one_key_is_not_open_to_another(gate: Gate) -> None:
    mallory, _ = gate.add("mallory", "filesystem:destroy")
    gate.becomes(200, mallory)
    owner, thief = gate.wire(gate.alice, "2025-11-25"), gate.wire(mallory, "2025-11-25")
    owner.open()
    thief.session = owner.session
    assert thief.session
    status, _, body = thief.post(*call(thief, "read_file", path="a.txt"))
    assert status in (403, 404)
    assert b"alpha" not in body
    # The same holder's next key goes on with the session.
    rotated, _ = gate.add("alice", "filesystem:read")
    gate.becomes(200, rotated)
    heir = gate.wire(rotated, "2025-11-25")
    heir.session = owner.session
    assert heir.post(*call(heir, "read_file", path="a.txt"))[0] == 200


def test_the_journal_knows_who_it_was_and_by_which_key(gate: Gate) -> None:
    assert gate.status(gate.alice) == 200
    callers = [record["principal"] for record in gate.journal() if "principal" in record]
    assert {"method": "key", "subject": "alice", "via": gate.alice_record.id} in callers


@pytest.mark.skipif(not _landlock.abi(), reason="this kernel has no Landlock")
def test_a_confined_server_knows_of_new_and_revoked_keys_while_it_runs(gate: Gate) -> None:
    """Each change replaces the file, and the kernel's grants hold for files as they were at the start."""
    header = next(record for record in gate.journal() if "sandbox" in record)
    assert str(header["sandbox"]).startswith("landlock")
    for round_ in range(3):
        text, key = gate.add(f"dave{round_}", "filesystem:read")
        gate.becomes(200, text)
        gate.change(key.id, revoked=datetime.now(UTC))
        gate.becomes(401, text)
        _, headers, body = gate.send([f"Bearer {text}"])
        assert b"revoked" in body
        assert 'error="invalid_token"' in headers["www-authenticate"]
    assert gate.status(gate.alice) == 200


def test_a_key_revoked_during_a_session_ends_it(gate: Gate) -> None:
    text, key = gate.add("erin", "filesystem:read")
    gate.becomes(200, text)
    wire = gate.wire(text, "2025-06-18")
    wire.open()
    assert "alpha" in wire.text("read_file", path="a.txt")
    gate.change(key.id, revoked=datetime.now(UTC))
    gate.becomes(401, text)
    assert wire.post(*call(wire, "read_file", path="a.txt"))[0] == 401


def lasting(gate: Gate, key: str, **arguments: object) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """A stream of 2026-07-28 that tells of changes, opened with a key."""
    wire = gate.wire(key)
    message: Message = {
        "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen",
        "params": wire.params({"notifications": {"resourceSubscriptions": ["fs://notes/a.txt"]}}),
    }  # fmt: skip
    connection = http.client.HTTPConnection(wire.host, wire.port, timeout=PATIENCE)
    connection.request("POST", "/mcp", json.dumps(message).encode(), wire.headers(message))
    response = connection.getresponse()
    assert response.status == 200
    assert b"acknowledged" in response.readline() + response.readline()
    return connection, response


@pytest.mark.parametrize("how", ["is revoked", "has expired"])
def test_a_stream_of_news_ends_when_its_key_does_and_not_when_another_does(gate: Gate, how: str) -> None:
    # What only expires cuts no answer; but on this stream there is none, and its news are for who may have them now.
    (text, key), (other, _) = gate.add("grace", "filesystem:read"), gate.add("heidi", "filesystem:read")
    gate.becomes(200, other)
    (connection, stream), (kept, going) = lasting(gate, text), lasting(gate, other)
    with contextlib.closing(connection), contextlib.closing(kept):
        gate.change(key.id, **{"revoked" if how == "is revoked" else "expires": datetime.now(UTC)})
        gate.becomes(401, text)
        ended = threading.Event()

        def change() -> None:
            # There is always something to tell.
            number = 0
            while not ended.wait(0.05):
                number += 1
                (gate.base / "notes" / "a.txt").write_text(f"alpha {number}\n", encoding="utf-8")

        writer = threading.Thread(target=change)
        writer.start()
        try:
            told = list(iter(stream.readline, b""))
            assert stream.isclosed()
            assert len(told) < 1000
            heard = b""
            # The other's stream goes on after that.
            for _ in range(len(told) + 30):
                heard = going.readline()
                assert heard
        finally:
            ended.set()
            writer.join()


def test_a_key_expires_while_the_server_runs(gate: Gate) -> None:
    text, key = gate.add("frank", "filesystem:read", ends=3)
    gate.becomes(200, text)
    gate.becomes(401, text)
    assert key.expires is not None
    assert datetime.now(UTC) >= key.expires
    assert b"expired" in gate.send([f"Bearer {text}"])[2]


def test_what_can_not_be_trusted_closes_the_gate_until_it_is_mended(gate: Gate) -> None:
    whole = Path(gate.keys.path).read_bytes()
    Path(gate.keys.path).write_bytes(whole.replace(b"filesystem:read", b"filesystem:destroy"))
    gate.becomes(503, gate.alice)
    status, headers, body = gate.send([f"Bearer {gate.alice}"])
    assert (status, "retry-after" in headers) == (503, True)
    assert b"keys.json" not in body
    assert gate.ready() == 503
    gate.server.wait_for_stderr(r"nobody is let in by a key: \S+keys\.json: was changed")
    mended = Path(gate.keys.folder) / "mended"
    mended.write_bytes(whole)
    mended.chmod(0o600)
    mended.replace(gate.keys.path)
    gate.becomes(200, gate.alice)
    assert gate.ready() == 200


def test_ten_thousand_wrong_keys_are_refused_and_leave_no_trace(gate: Gate) -> None:
    wire = HttpWire(gate.url, MODERN)
    process = psutil.Process(gate.server.process.pid)
    records = len(gate.journal())
    connection = http.client.HTTPConnection(wire.host, wire.port, timeout=PATIENCE)

    def flood(count: int) -> None:
        for number in range(count):
            name = gate.alice_record.id if number % 2 else f"{number:010}"
            connection.request("POST", "/mcp", b"{}", {"authorization": f"Bearer glk_{name}_{number:043}"})
            response = connection.getresponse()
            response.read()
            assert response.status == 401

    with contextlib.closing(connection):
        flood(1000)  # warm
        before = process.memory_info().rss
        flood(10_000)
        grown = process.memory_info().rss - before
    assert grown < 4 * 1024 * 1024, grown
    assert len(gate.journal()) == records
    assert gate.status(gate.alice) == 200


def test_no_key_hash_or_pepper_is_in_anything_that_the_server_gave_or_keeps(tmp_path: Path) -> None:
    pepper = "pepper-of-the-settings-0123456789abcdef"
    gate = Gate(tmp_path / "g", env={"GATELODGE_KEY_PEPPER": pepper})
    try:
        for values in ([f"Bearer {gate.alice}"], *wrong(gate).values(), [f"Bearer {gate.alice}"] * 2):
            gate.send(values)
        gate.send([], path=f"/mcp?api_key={gate.alice}")
        wire = gate.wire(gate.alice, "2025-11-25")
        wire.open()
        gate.got.append(json.dumps(wire.tool("read_file", path="../keys/keys.json")).encode())
        # What a caller writes down himself is masked when it is read.
        (gate.base / "notes" / "mine.txt").write_text(f"key = {gate.alice}\n", encoding="utf-8")
        told = wire.text("read_file", path="mine.txt")
        assert "gatelodge key" in told
        gate.got.append(told.encode())
        Path(gate.keys.path).chmod(0o644)
        gate.becomes(503, gate.alice)
        with contextlib.suppress(PermissionError):
            gate.got.append(Path(f"/proc/{gate.server.process.pid}/environ").read_bytes())
            gate.got.append(Path(f"/proc/{gate.server.process.pid}/cmdline").read_bytes())
    finally:
        gate.end()
    gate.got.append(gate.server.stderr().encode())
    gate.got += [path.read_bytes() for path in gate.state.rglob("*") if path.is_file()]
    everything = b"\n".join(gate.got)
    assert gate.alice_record.id.encode() in everything  # the journal names the key by its id
    for secret in (*gate.secrets, pepper, hashed(gate.keys.pepper, gate.alice).hex()):
        assert secret.encode() not in everything
    assert verify(str(gate.state / "journal")).ok


def start(base: Path, *arguments: str) -> tuple[int, str]:
    (base / "notes").mkdir(parents=True, exist_ok=True)
    command = python_module(
        "gatelodge_filesystem", str(base / "notes"), "--state-dir", str(base / "state"), "--http", "127.0.0.1:0",
        "--auth", "keys", *arguments,
    )  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def _missing(path: Path) -> None:
    path.unlink()


def _open(path: Path) -> None:
    path.chmod(0o604)


def _corrupt(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def _no_pepper(path: Path) -> None:
    (path.parent / "pepper.key").unlink()


def _company(path: Path) -> None:
    (path.parent / "id_rsa").write_text("x")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_missing, r"gatelodge keys add --name"),
        (_open, r"chmod 600 \S+keys\.json"),
        (_corrupt, r"isn't JSON; restore it"),
        (_no_pepper, r"restore \S+pepper\.key"),
        (_company, r"Give keys a folder of their own"),
    ],
)
def test_a_server_whose_keys_can_not_be_used_does_not_start_and_says_what_to_do(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    file = KeyFile(str(tmp_path / "keys" / "keys.json"))
    with file.changing() as keys:
        keys.append(issue(Grant("a", ("filesystem:read",)), file.pepper, datetime.now(UTC))[1])
    spoil(Path(file.path))
    status, told = start(tmp_path, "--keys-file", file.path)
    assert status == 2
    assert re.search(says, told), told
    assert "Traceback" not in told


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can become somebody else")
def test_keys_that_root_made_are_said_to_be_out_of_reach() -> None:
    code = (
        "import os, sys\nfrom gatelodge_core.auth.keyfile import KeyFile\n"
        "os.setgid(12345); os.setuid(12345)\ntry:\n    KeyFile(sys.argv[1]).read()\nexcept Exception as error:\n    print(error)\n"
    )
    # Not below pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        file = KeyFile(os.path.join(folder, "keys.json"))
        with file.changing() as keys:
            keys.append(issue(Grant("a", ("filesystem:read",)), file.pepper, datetime.now(UTC))[1])
        done = subprocess.run([sys.executable, "-c", code, file.path], capture_output=True, text=True, check=True)
    assert "Permission denied (it belongs to user 0, and this is user 12345)" in done.stdout, done
