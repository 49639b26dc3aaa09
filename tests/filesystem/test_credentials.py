"""Credential files: listed as present, reachable by no tool, resource or other name, unless a person allows them."""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from gatelodge_core.errors import NotFound, Protected
from gatelodge_core.sandbox.credentials import allowing, is_credential
from gatelodge_core.sandbox.jail import Jail

from tests.support.wire import MODERN, Revision, StdioWire, Transport, Wire, connected, python_module

CANARY = "canary-of-a-credential"

REFUSED = [
    ".ssh", ".ssh/config", "deep/.ssh/known_hosts", ".aws/credentials", ".gnupg/pubring.kbx", ".env", "a/.env.local",
    ".envrc", ".ENV", ".Ssh/id_rsa", "keys/id_ed25519", "id_rsa.bak", "tls/server.pem", "tls/SERVER.KEY", "x.p12",
    ".git/config", "sub/.git/config", ".docker/config.json", ".kube/config", ".netrc", ".pgpass", ".npmrc",
    ".git-credentials", ".mozilla/firefox/x/logins.json", ".config/google-chrome/Default/Login Data",
    "Library/Application Support/Google/Chrome/Default/Cookies", "client_secret_1.json", "credentials.json",
    ".e\u200bnv", "\uff0eenv", ".ssh/a/b/c",
]  # fmt: skip
FREE = [
    "", "a", ".env.example", "deploy/.env.template", "id_rsa.pub", "id_mapping.py", "environment", "my.env",
    "monkey", "keys.py", "pem", ".gitignore", "git/config", ".github/config", "ssh/config", "docs/aws", "notes.keys",
    ".sshd/x", "x.ssh", "config.json",
]  # fmt: skip


@pytest.mark.parametrize("rel", REFUSED)
def test_a_credential_is_known_by_its_path(rel: str) -> None:
    assert is_credential(rel)


@pytest.mark.parametrize("rel", FREE)
def test_what_only_looks_alike_is_free(rel: str) -> None:
    assert not is_credential(rel)


def test_an_exception_frees_what_it_names_and_what_lies_below() -> None:
    check = allowing([".env.test", "certs/*.pem", "work/.aws"])
    assert not check(".env.test")
    assert not check("a/.env.test")
    assert not check("certs/a.pem")
    assert not check("work/.aws/credentials")
    assert check(".env")
    assert check("other/a.pem")
    assert check(".aws/credentials")


@pytest.fixture(scope="module")
def served(
    transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory
) -> Generator[tuple[Wire, Path]]:
    base = tmp_path_factory.mktemp("credentials")
    furnish(base / "home")
    arguments = [str(base / "home"), "--state-dir", str(base / "state"), "--allow-credentials", ".env.test"]
    with connected(python_module("gatelodge_filesystem", *arguments), transport, revision) as wire:
        yield wire, base / "home"


def furnish(home: Path) -> None:
    for name in (".ssh/id_rsa", ".ssh/config", ".env", "app/.env.local", "tls/server.pem", ".git/config"):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{CANARY} {name}\n", encoding="utf-8")
    (home / ".env.test").write_text("allowed-by-name\n", encoding="utf-8")
    (home / "plain.txt").write_text("plain canary-of-nothing\n", encoding="utf-8")
    (home / "innocent.txt").symlink_to(".env")
    (home / "absolute.txt").symlink_to(home / ".ssh" / "config")
    (home / "folder").symlink_to(".ssh")
    (home / "chain").symlink_to("folder")


NAMES = [
    ".env", ".ssh/id_rsa", ".ssh/config", "app/.env.local", "tls/server.pem", ".git/config", "innocent.txt",
    "absolute.txt", "folder/config", "chain/id_rsa", "app/../.env", "app/../chain/config", "./.env", ".ssh/../.env",
    "{home}/.env", "file://{home}/.ssh/config", "home/.env", r"\x2eenv",
]  # fmt: skip


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Wire, Path]]:
    """One connection, for what does not depend on transport or revision."""
    base = tmp_path_factory.mktemp("one")
    furnish(base / "home")
    arguments = [str(base / "home"), "--state-dir", str(base / "state")]
    with connected(python_module("gatelodge_filesystem", *arguments), "stdio", MODERN) as wire:
        yield wire, base / "home"


@pytest.mark.parametrize("name", NAMES)
def test_no_tool_opens_a_credential_by_any_name(one: tuple[Wire, Path], name: str) -> None:
    refused_by_all(*one, name)


def test_no_transport_or_revision_opens_a_credential(served: tuple[Wire, Path]) -> None:
    for name in (".env", "innocent.txt", "chain/id_rsa"):
        refused_by_all(*served, name)


def refused_by_all(wire: Wire, home: Path, name: str) -> None:
    path = name.format(home=home)
    before = (home / ".env").read_bytes()
    for tool, arguments in (
        ("read_file", {"path": path}),
        ("edit_file", {"path": path, "edits": [{"old": CANARY, "new": "x"}]}),
        ("write_file", {"path": path, "content": "x", "mode": "overwrite", "if_match": "0-0"}),
        ("list_directory", {"path": path}),
        ("search_text", {"path": path, "pattern": "canary"}),
        ("find_files", {"path": path}),
    ):
        text = wire.error(tool, **arguments)
        assert CANARY not in text
        assert re.search(r"\b(protected|not_a_directory): ", text), (tool, text)
    info = json.dumps(wire.record("get_file_info", paths=[path]))
    assert CANARY not in info
    if "txt" not in name:
        assert "protected" in info
    assert (home / ".env").read_bytes() == before


@pytest.mark.parametrize("name", [".env", "innocent.txt", "folder/config", ".ssh", "chain"])
def test_no_resource_opens_a_credential(served: tuple[Wire, Path], name: str) -> None:
    wire, home = served
    for uri in (f"fs://home/{name}", f"file://{home}/{name}"):
        answer = wire.request("resources/read", {"uri": uri})
        assert "error" in answer
        assert CANARY not in json.dumps(answer)


def test_no_new_file_takes_the_name_of_a_credential(served: tuple[Wire, Path]) -> None:
    wire, home = served
    for path in (".env.production", ".ssh/authorized_keys", "folder/authorized_keys", "new.pem"):
        assert "protected" in wire.error("write_file", path=path, content="x")
        assert not (home / path).exists()


def test_credentials_are_listed_and_marked(served: tuple[Wire, Path]) -> None:
    wire, _ = served
    record = wire.record("list_directory", path="home", depth=3)
    paths = {entry["path"] for entry in record["entries"]}
    assert {".ssh", ".env", "tls/server.pem", "app/.env.local"} <= paths
    assert not any(path.startswith((".ssh/", "folder/", "chain/")) for path in paths)
    assert {".ssh", ".env", "tls/server.pem", "app/.env.local"} <= set(record["protected"])
    assert ".env.test" not in record["protected"]
    found = wire.record("find_files", path="home", globs=["*"], hidden=True, gitignore=False)
    assert ".env" in found["paths"]
    assert not any(path.startswith(".ssh/") for path in found["paths"])


def test_a_search_passes_credentials_over(served: tuple[Wire, Path]) -> None:
    wire, _ = served
    text = wire.text("search_text", path="home", pattern="canary", hidden=True, gitignore=False)
    assert CANARY not in text
    assert "plain.txt" in text
    assert "credential files not searched" in text


def test_replacing_passes_credentials_over(one: tuple[Wire, Path]) -> None:
    wire, home = one
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and path.name != "plain.txt"}
    wide = {"pattern": "canary-of-(a|nothin)", "regex": True, "hidden": True, "gitignore": False}
    for path in ("", "app", "tls", "deep"):
        (home / path).mkdir(exist_ok=True)
        text = wire.text("replace_in_files", path=path, replacement=r"\1", **wide)
        assert CANARY not in text
        assert "credential files not searched" in text or path == "deep"
    assert "would replace 1 occurrences in 1 files" in wire.text("replace_in_files", replacement="x", **wide)
    assert "nothing to replace, 1 credential files not searched" in wire.text(
        "replace_in_files", path="tls", replacement="x", dry_run=False, **wide
    )
    for path in (".env", "tls/server.pem", "innocent.txt", ".ssh", "chain", "folder/config"):
        assert "protected" in wire.error("replace_in_files", path=path, replacement="x", **wide)
    wire.text("replace_in_files", replacement="canary-of-nothing", dry_run=False, expected_count=1, **wide)
    assert {path: path.read_bytes() for path in before} == before


def test_replacing_keeps_no_descriptor(one: tuple[Wire, Path]) -> None:
    wire, _ = one
    assert isinstance(wire, StdioWire)
    descriptors = Path(f"/proc/{wire.server.process.pid}/fd")
    if not descriptors.is_dir():
        pytest.skip("this system does not tell what a process has open")
    wire.text("replace_in_files", pattern="nowhere", replacement="x")
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        wire.text("replace_in_files", pattern="nowhere", replacement="x")
    assert len(list(descriptors.iterdir())) < before + 10


def test_a_scouted_search_does_not_tell_whether_a_credential_matches(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "many").mkdir(parents=True)
    for number in range(700):
        (home / "many" / f"{number}.txt").write_text("nothing\n", encoding="utf-8")
    (home / ".env").write_text(f"{CANARY}\n", encoding="utf-8")
    arguments = [str(home), "--state-dir", str(tmp_path / "state")]
    with connected(python_module("gatelodge_filesystem", *arguments), "stdio", "2026-07-28") as wire:
        answers = {
            wire.text("search_text", pattern=pattern, regex=True, hidden=True, gitignore=False)
            for pattern in ("canary-of-a-credentia[l]", "canary-of-another-thin[g]")
        }
    assert len(answers) == 1


def test_what_was_allowed_by_name_is_read(served: tuple[Wire, Path]) -> None:
    wire, _ = served
    assert "allowed-by-name" in wire.text("read_file", path=".env.test")


def test_completions_do_not_look_into_a_folder_of_credentials(served: tuple[Wire, Path]) -> None:
    wire, _ = served
    for value in (".ssh/", "chain/"):
        answer = wire.request(
            "completion/complete",
            {
                "ref": {"type": "ref/resource", "uri": "fs://{root}/{+path}"},
                "argument": {"name": "path", "value": value},
                "context": {"arguments": {"root": "home"}},
            },
        )
        assert answer["result"]["completion"]["values"] == []


def test_a_credential_stays_shut_while_links_are_swapped_under_the_reader(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / ".env").write_text(CANARY, encoding="utf-8")
    (root / "free").write_text("free", encoding="utf-8")
    done = threading.Event()

    def swap() -> None:
        number = 0
        while not done.is_set():
            os.symlink(".env" if number % 2 else "free", root / "next")
            os.replace(root / "next", root / "door")
            number += 1

    (root / "door").symlink_to("free")
    swapper = threading.Thread(target=swap)
    swapper.start()
    read: set[str] = set()
    refused = 0
    try:
        with Jail.pin(str(root), writable=True, refuses=is_credential) as jail:
            for _ in range(5000):
                try:
                    fd = jail.open_file("door")
                except (Protected, NotFound):
                    refused += 1
                    continue
                read.add(os.pread(fd, 100, 0).decode())
                os.close(fd)
    finally:
        done.set()
        swapper.join()
    assert read == {"free"}
    assert refused > 0


CARRIED = [
    (".env", "plain.txt"), (".ssh", "s"), (".ssh/config", "c.txt"), (".git", "g"), (".git/config", "g.txt"), ("tls", "tls2"),
    ("app", ".env.test"), ("deep", "d"), ("tls/server.pem", "pem.txt"), ("innocent.txt", ".ssh2"), ("tls", "../other/allowed"),
]  # fmt: skip
"""What is moved or copied, and to where."""


@pytest.fixture
def carrying(tmp_path: Path) -> Generator[tuple[Wire, Path]]:
    """A server with two roots and exceptions, in which deleting asks nobody."""
    home = tmp_path / "home"
    furnish(home)
    (home / "deep" / ".config" / "gh").mkdir(parents=True)
    (home / "deep" / ".config" / "gh" / "hosts.yml").write_text(f"{CANARY} hosts\n", encoding="utf-8")
    (tmp_path / "other").mkdir()
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\ntool = "*"\nthen = "allow"\n', encoding="utf-8")
    arguments = [
        str(home), str(tmp_path / "other"), "--state-dir", str(tmp_path / "state"), "--policy", str(policy),
        "--allow-credentials", "allowed/**", "--allow-credentials", ".env.test/**",
    ]  # fmt: skip
    with connected(python_module("gatelodge_filesystem", *arguments), "stdio", MODERN) as wire:
        yield wire, home


def opened(wire: Wire, tops: list[Path]) -> list[str]:
    """Which files the server reads out, by whatever path, that hold the canary."""
    found: list[str] = []
    for top in tops:
        for folder, _, files in os.walk(top):
            for file in files:
                path = os.path.join(folder, file)
                if CANARY in json.dumps(wire.request("tools/call", {"name": "read_file", "arguments": {"path": path}})):
                    found.append(path)
    return found


@pytest.mark.parametrize("tool", ["copy_path", "move_path"])
def test_nothing_that_is_protected_is_less_so_where_it_was_copied_or_moved_to(
    carrying: tuple[Wire, Path], tool: str
) -> None:
    wire, home = carrying
    tops = [home, home.parent / "other"]
    assert opened(wire, tops) == []
    for source, target in CARRIED:
        new = target.replace("../other", str(home.parent / "other"))
        path = new if new.startswith("/") else str(home / new)
        wire.request("tools/call", {"name": tool, "arguments": {"source": str(home / source), "destination": path}})
        assert opened(wire, tops) == [], (source, target)


def test_a_parent_that_names_a_credential_can_be_moved_to_where_it_still_names_it(carrying: tuple[Wire, Path]) -> None:
    wire, home = carrying
    wire.text("move_path", source=str(home / "deep"), destination=str(home / "deeper"))
    wire.text("copy_path", source=str(home / "app"), destination=str(home / "app2"))
    assert (home / "app2" / ".env.local").read_text() == (home / "app" / ".env.local").read_text()
    assert opened(wire, [home]) == []
    said = wire.error("copy_path", source=str(home / "deeper" / ".config"), destination=str(home / "c"))
    assert "protected: deeper/.config/gh holds credentials, or is this server's own" in said


def test_what_was_deleted_is_not_open_in_the_trash_of_its_root(tmp_path: Path) -> None:
    if not Path("/dev/shm").is_dir() or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no second file system")
    home = tmp_path / "home"
    furnish(home)
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\ntool = "*"\nthen = "allow"\n', encoding="utf-8")
    # With its state on another file system, what is deleted stays in the root.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as state:
        arguments = [str(home), "--state-dir", f"{state}/state", "--policy", str(policy)]
        with connected(python_module("gatelodge_filesystem", *arguments), "stdio", MODERN) as wire:
            wire.text("delete_path", paths=[str(home / ".git")], recursive=True)
            (trashed,) = [path for path in home.rglob("*/config") if f"{CANARY} .git" in path.read_text()]
            assert opened(wire, [home]) == []
            relative = trashed.relative_to(home)
            for tool, arguments in (
                ("copy_path", {"source": str(relative), "destination": "c.txt"}),
                ("move_path", {"source": str(relative.parent), "destination": "c"}),
                (
                    "search_text",
                    {"pattern": "canary", "path": str(relative.parent), "hidden": True, "gitignore": False},
                ),
                ("list_directory", {"path": str(relative.parent)}),
            ):
                said = json.dumps(wire.request("tools/call", {"name": tool, "arguments": arguments}))
                assert CANARY not in said
            assert opened(wire, [home]) == []


def test_a_change_of_what_was_allowed_is_not_told_once_it_is_allowed_no_more(tmp_path: Path) -> None:
    home = tmp_path / "home"
    furnish(home)
    arguments = [str(home), "--state-dir", str(tmp_path / "state")]
    allowed = [*arguments, "--allow-credentials", ".env"]
    with connected(python_module("gatelodge_filesystem", *allowed), "stdio", MODERN) as wire:
        said = wire.text("edit_file", path=".env", edits=[{"old": CANARY, "new": "another"}])
        wire.text("edit_file", path=".env", edits=[{"old": "another", "new": "a third"}])
        uri = f"fs-journal://{said.split('change=')[1].split(',')[0].split()[0]}"
        assert CANARY in json.dumps(wire.request("resources/read", {"uri": uri}))
    with connected(python_module("gatelodge_filesystem", *arguments), "stdio", MODERN) as wire:
        answer = wire.request("resources/read", {"uri": uri})
        assert CANARY not in json.dumps(answer)
        assert "another" not in json.dumps(answer)
        assert "home/.env" in json.dumps(answer)
        assert "conflict" in wire.error("undo_change", change=uri.removeprefix("fs-journal://"), since=True)
    assert (home / ".env").read_text() == "a third .env\n"
