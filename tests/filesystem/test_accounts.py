"""Several people on one server: each has folders of its own, and gets at nothing of another's by whatever way."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from gatelodge_core.audit.verify import verify
from gatelodge_core.errors import SettingsError
from gatelodge_filesystem.server import build
from gatelodge_filesystem.settings import FilesystemSettings

from tests.support.remote import KeyWire
from tests.support.several import Several, several
from tests.support.wire import PATIENCE, REVISIONS, Revision

NAMES = [f"caller{number}" for number in range(8)]
STRANGER = "stranger"


@dataclass(frozen=True)
class House:
    """The server, and what is in whose folder.

    Args:
        several: The server.
        base: The folder of all folders.
        secrets: What only one caller may see, by name.
    """

    several: Several
    base: Path
    secrets: dict[str, str]

    def own(self, name: str) -> Path:
        """The folder of a caller; all have the same name."""
        return self.base / name / "notes"

    def foreign(self, name: str, text: str) -> list[str]:
        """Whose secrets are in a text that this caller was given."""
        return [other for other, secret in self.secrets.items() if other != name and secret in text]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    base = tmp_path_factory.mktemp("house").resolve()
    tables: list[str] = []
    (base / "shared").mkdir()
    (base / "shared" / "all.txt").write_text("for all\n")
    known: dict[str, str] = {}
    for name in NAMES:
        notes = base / name / "notes"
        (notes / "deep").mkdir(parents=True)
        known[name] = f"{name}-{secrets.token_hex(8)}"
        (notes / "secret.txt").write_text(f"{known[name]}\n")
        (notes / "deep" / f"{known[name]}.txt").write_text("named\n")
        roots = [str(notes), f"{base / 'shared'}:{'rw' if name == NAMES[0] else 'ro'}"]
        tables.append(f'[filesystem.accounts."key:{name}"]\nroots = {json.dumps(roots)}\n')
    (base / "starter").mkdir()
    known["starter"] = f"starter-{secrets.token_hex(8)}"
    (base / "starter" / "secret.txt").write_text(known["starter"])
    place = tmp_path_factory.mktemp("server")
    with several(place, "filesystem", "".join(tables), [*NAMES, STRANGER], str(base / "starter")) as made:
        yield House(made, base, known)


def everything(wire: KeyWire, path: str) -> list[str]:
    """What all ways of reading say of a path, refusals included."""
    calls: list[tuple[str, dict[str, Any]]] = [
        ("list_roots", {}),
        ("read_file", {"path": path}),
        ("read_files", {"paths": [path]}),
        ("list_directory", {"path": path}),
        ("get_file_info", {"paths": [path]}),
        ("find_files", {"path": path, "globs": ["**"]}),
        ("search_text", {"path": path, "pattern": "caller"}),
        ("list_changes", {}),
        ("diff_files", {"old": path, "new": path}),
        ("replace_in_files", {"path": path, "old": "caller", "new": "x", "dry_run": True}),
        ("copy_path", {"source": path, "destination": "notes/copy", "dry_run": True}),
    ]
    said = [json.dumps(wire.request("tools/call", {"name": name, "arguments": given})) for name, given in calls]
    uris = ("fs://", path, f"file://{path}", f"fs://{path.lstrip('/')}")
    said += [json.dumps(wire.request("resources/read", {"uri": uri})) for uri in uris]
    ref = {"type": "ref/resource", "uri": "file:///{+path}"}
    for reference in (ref, {"type": "ref/prompt", "name": "explain_folder"}):
        argument = {"name": "path", "value": path.lstrip("/")}
        said.append(json.dumps(wire.request("completion/complete", {"ref": reference, "argument": argument})))
    said.append(json.dumps(wire.request("prompts/get", {"name": "explain_folder", "arguments": {"path": path}})))
    said.append(json.dumps(wire.request("resources/list")))
    return said


def test_each_caller_sees_its_own_folder_under_the_same_name(house: House) -> None:
    for name in NAMES[:3]:
        wire = house.several.wire(name)
        assert house.secrets[name] in wire.text("read_file", path="notes/secret.txt")
        assert "for all" in wire.text("read_file", path="shared/all.txt")
        told = wire.text("list_roots")
        assert str(house.own(name)) in told
        assert not [other for other in NAMES if other != name and other in told]


@pytest.mark.parametrize("victim", [NAMES[1], "starter"])
def test_no_way_of_reading_leads_to_another_callers_files(house: House, victim: str) -> None:
    wire = house.several.wire(NAMES[0])
    folder = house.base / "starter" if victim == "starter" else house.own(victim)
    ways = [
        str(folder), str(folder / "secret.txt"), f"notes/../../{victim}/notes/secret.txt", f"shared/../{victim}/notes",
        f"../{victim}/notes/secret.txt", f"file://{folder}/secret.txt", str(house.own(NAMES[0])) + f"/../../{victim}/notes",
    ]  # fmt: skip
    for way in ways:
        for said in everything(wire, way):
            # The path that was asked for may be repeated; nothing that is behind it.
            assert house.foreign(NAMES[0], said.replace(way, "")) == [], (way, said[:500])


def test_a_link_into_another_callers_folder_is_not_followed(house: House) -> None:
    (house.own(NAMES[0]) / "way").symlink_to(house.own(NAMES[1]))
    try:
        wire = house.several.wire(NAMES[0])
        for path in ("notes/way/secret.txt", "notes/way"):
            for said in everything(wire, path):
                assert house.foreign(NAMES[0], said) == []
        assert "isError" in json.dumps(wire.tool("write_file", path="notes/way/new.txt", content="x"))
        assert not (house.own(NAMES[1]) / "new.txt").exists()
    finally:
        (house.own(NAMES[0]) / "way").unlink()


def test_who_has_no_account_gets_nothing_and_is_told_so(house: House) -> None:
    wire = house.several.wire(STRANGER)
    assert wire.request("tools/list")["result"]["tools"] == []
    for said in everything(wire, str(house.base / "starter" / "secret.txt")):
        assert house.foreign(STRANGER, said) == []
    assert "no_account: no folder of this server belongs to this caller." in wire.error("list_roots")
    assert "no_account" in wire.error("write_file", path="notes/x", content="x")
    assert "no_account" in json.dumps(wire.request("resources/read", {"uri": "fs://"}))


def test_what_an_account_may_only_read_it_cannot_change_where_another_may(house: House) -> None:
    assert "read_only_root" in house.several.wire(NAMES[1]).error("write_file", path="shared/no.txt", content="x")
    house.several.wire(NAMES[0]).text("write_file", path="shared/yes.txt", content="x")
    assert (house.base / "shared" / "yes.txt").exists()


def test_changes_are_listed_and_undone_by_their_own_caller_alone(house: House) -> None:
    alice, bob = house.several.wire(NAMES[0]), house.several.wire(NAMES[1])
    told = alice.text("write_file", path="notes/mine.txt", content="first\n")
    found = re.search(r"change=(\S+)", told)
    assert found is not None
    change = found[1].rstrip(".,;")
    assert change in alice.text("list_changes")
    assert change not in bob.text("list_changes")
    assert "no_such_change" in bob.error("undo_change", change=change) or (house.own(NAMES[0]) / "mine.txt").exists()
    assert "error" in bob.request("resources/read", {"uri": f"fs-journal://{change}"})
    assert (house.own(NAMES[0]) / "mine.txt").read_text() == "first\n"
    alice.text("undo_change", change=change)
    assert not (house.own(NAMES[0]) / "mine.txt").exists()


def test_a_cursor_leads_its_finder_to_its_own_files(house: House) -> None:
    alice, bob = house.several.wire(NAMES[0]), house.several.wire(NAMES[1])
    for number in range(30):
        (house.own(NAMES[0]) / "deep" / f"{house.secrets[NAMES[0]]}-{number}.txt").write_text("x")
    cursor = json.loads(alice.text("list_directory", path="notes/deep", limit=5))["next_cursor"]
    assert cursor
    said = json.dumps(
        bob.request(
            "tools/call",
            {"name": "list_directory", "arguments": {"path": "notes/deep", "limit": 5, "cursor": cursor}},
        )
    )
    assert house.foreign(NAMES[1], said) == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_watch_hears_of_its_owners_file_and_not_of_anothers_with_the_same_uri(
    house: House, revision: Revision
) -> None:
    alice, bob = (house.several.wire(name, revision) for name in NAMES[:2])
    with Listener(alice, "fs://notes/secret.txt") as hers, Listener(bob, "fs://notes/secret.txt") as his:
        # Hers was there first: were they one watch, it would be of her file.
        for name, listener in ((NAMES[1], his), (NAMES[0], hers)):
            (house.own(name) / "secret.txt").write_text(f"{house.secrets[name]} {secrets.token_hex(4)}\n")
            until(lambda listener=listener: bool(listener.heard))
        assert (len(hers.heard), len(his.heard)) == (1, 1)


class Listener:
    """A caller's stream about one URI, read in a thread.

    Args:
        wire: The caller.
        uri: What is watched.
    """

    def __init__(self, wire: KeyWire, uri: str) -> None:
        self.heard: list[str] = []
        self._wire, self._uri = wire, uri
        self._ready = threading.Event()
        self._connection = http.client.HTTPConnection(wire.host, wire.port, timeout=PATIENCE)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)

    def _listen(self) -> None:
        wire = self._wire
        if wire.modern:
            params = wire.params({"notifications": {"resourceSubscriptions": [self._uri]}})
            message = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params}
            self._connection.request("POST", wire.path, json.dumps(message), wire.headers(message))
        else:
            headers = {**wire.headers({"method": ""}), "accept": "text/event-stream"}
            self._connection.request("GET", wire.path, headers=headers)
            assert "result" in wire.request("resources/subscribe", {"uri": self._uri})
            self._ready.set()
        # Kept by itself: the response takes it over.
        sock = self._connection.sock
        with (
            contextlib.closing(self._connection),
            sock,
            contextlib.suppress(OSError),
            self._connection.getresponse() as response,
        ):
            while line := response.readline():
                if b"acknowledged" in line:
                    self._ready.set()
                if b"resources/updated" in line:
                    self.heard.append(line.decode())


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_eight_callers_at_once_never_get_each_others_texts(house: House) -> None:
    wrong: list[str] = []
    answers = [0]
    lock = threading.Lock()

    def work(name: str, seed: int) -> None:
        chance, wire = random.Random(seed), house.several.wire(name)
        for number in range(60):
            kind = chance.randrange(5)
            if kind == 0:
                said = wire.text("read_file", path="notes/secret.txt")
                right = house.secrets[name] in said
            elif kind == 1:
                said, right = wire.text("search_text", path="notes", pattern="caller"), True
            elif kind == 2:
                text = f"{house.secrets[name]} {number}\n"
                wire.text("write_file", path=f"notes/w{seed}-{number}.txt", content=text)
                said = (house.own(name) / f"w{seed}-{number}.txt").read_text()
                right = said == text
            elif kind == 3:
                said, right = wire.text("list_changes"), True
            else:
                said = json.dumps(wire.request("resources/read", {"uri": "fs://notes/secret.txt"}))
                right = house.secrets[name] in said
            with lock:
                answers[0] += 1
                if not right or house.foreign(name, said):
                    wrong.append(f"{name} {kind}: {said[:300]}")

    threads = [threading.Thread(target=work, args=(name, seed)) for seed, name in enumerate([*NAMES, *NAMES])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 4)
    assert wrong == []
    assert answers[0] == 60 * 16
    assert verify(str(house.several.state / "journal")).ok


def test_accounts_that_could_never_be_anybodys_or_have_no_folder_are_refused(tmp_path: Path) -> None:
    for name, roots in (("alice", [str(tmp_path)]), ("key:", [str(tmp_path)]), ("key:a", list[str]())):
        accounts = {name: {"roots": roots}}
        with pytest.raises(ValueError, match=r"no principal|at least 1 item"):
            FilesystemSettings.model_validate({"accounts": accounts, "state_dir": str(tmp_path / "state")})
    missing = {"key:a": {"roots": [str(tmp_path / "gone")]}}
    with pytest.raises(SettingsError, match="can't be a root"):
        build(FilesystemSettings.model_validate({"accounts": missing, "state_dir": str(tmp_path / "state")}))


def test_accounts_alone_are_enough_and_the_starter_then_has_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    settings = {"accounts": {"key:a": {"roots": [str(tmp_path / "a")]}}, "state_dir": str(tmp_path / "state")}
    lodge = build(FilesystemSettings.model_validate(settings))
    assert lodge.shares is not None
    with pytest.raises(Exception, match="no_account"):
        lodge.shares.of()
