"""search_local over the person's folders: offline, kept up to date, and never out of its jail."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest
from gatelodge_core.errors import SettingsError
from gatelodge_core.sandbox.jail import Jail
from gatelodge_websearch import folders as module
from gatelodge_websearch.folders import Folders
from gatelodge_websearch.settings import WebsearchSettings

from tests.sandbox.egress.site import reply, serving
from tests.support.wire import MODERN, connected, python_module
from tests.websearch.support import server

pytestmark = pytest.mark.anyio

CANARY = "canaryword"


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of texts, looked through at each search."""
    monkeypatch.setattr(module, "EVERY", 0.0)
    notes = tmp_path / "notes"
    (notes / "guide").mkdir(parents=True)
    (notes / "guide" / "foxes.md").write_text(
        "# All about foxes\n\nFoxes eat berries in the autumn, says the gardener.\n", encoding="utf-8"
    )
    (notes / "plain.txt").write_bytes("Füchse fressen Beeren.".encode("cp1252"))
    (notes / "page.html").write_text(
        "<html><head><title>A page of foxes</title></head><body><main><h1>Foxes</h1><p>Foxes sleep in the afternoon, which "
        f"is a fact.</p><p style='display:none'>{CANARY}</p></main></body></html>",
        encoding="utf-8",
    )
    return notes


@pytest.fixture
def local(tmp_path: Path, notes: Path) -> Folders:
    return Folders([str(notes)], str(tmp_path / "folders.db"))


def urls(local: Folders, query: str) -> list[str]:
    local.renew()
    return sorted(item.url for item in local.saved(query, 50)[0])


async def test_files_are_found_offline_by_their_path_and_read_by_id(tmp_path: Path, notes: Path) -> None:
    async with server(tmp_path, folders=[str(notes)]) as called:
        found = await called.record("search_local", query="foxes")
        assert {page["url"]: page["title"] for page in found["pages"]} == {
            "notes/guide/foxes.md": "All about foxes",
            "notes/page.html": "A page of foxes",
        }
        assert (found["total"], found["note"]) == (2, "")
        (page,) = (await called.record("search_local", query="berries gardener"))["pages"]
        assert "Foxes eat berries" in page["snippet"]
        for name in (page["id"], page["url"]):
            text = await called.text("read_page", pages=[name])
            assert "url: notes/guide/foxes.md" in text
            assert "says the gardener" in text
        assert "(All about foxes)" in await called.text("find_in_page", page=page["id"], text="BERRIES")
        sha = text.partition("web://page/")[2].split()[0]
        assert "gardener" in str((await called.client.read_resource(f"web://page/{sha}")).contents)
        assert str(tmp_path) not in text
        assert called.network.tried == []


async def test_what_stands_in_a_file_may_not_be_sent_in_an_address_unasked(tmp_path: Path, notes: Path) -> None:
    key = hashlib.sha256(b"a thing of the person").hexdigest()
    (notes / "key.md").write_text(f"The number of the account is {key}", encoding="utf-8")
    async with server(tmp_path, folders=[str(notes)]) as called:
        assert key in str(await called.record("search_local", query="account number"))
        assert key in await called.text("read_page", pages=["notes/key.md"])
        refused = await called.error("read_page", pages=[f"http://e.example.com/?q={key}"])
        assert "sends 64 characters to e.example.com" in refused
        assert called.network.tried == []


async def test_files_and_pages_read_before_come_in_one_list(tmp_path: Path, notes: Path) -> None:
    body = b"<main><h1>Foxes</h1><p>Foxes like berries, too.</p></main>"
    async with (
        serving(reply(200, body, {"Content-Type": "text/html"})) as site,
        server(tmp_path, site, folders=[str(notes)]) as called,
    ):
        await called.text("read_page", pages=["http://a.example.net/"])
        found = await called.record("search_local", query="berries foxes")
        assert {page["url"] for page in found["pages"]} == {"http://a.example.net/", "notes/guide/foxes.md"}
        assert found["total"] == 2
        one = await called.record("search_local", query="berries foxes", max_results=1)
        assert (one["shown"], one["total"]) == (1, 2)


def test_a_change_an_addition_and_a_removal_are_seen_and_nothing_else_is_read_again(
    local: Folders, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    inner = module._read  # pyright: ignore[reportPrivateUsage] - what is counted

    def counting(jail: Jail, rel: str) -> object:
        read.append(rel)
        return inner(jail, rel)

    monkeypatch.setattr(module, "_read", counting)
    assert urls(local, "berries") == ["notes/guide/foxes.md"]
    assert sorted(read) == ["guide/foxes.md", "page.html", "plain.txt"]
    read.clear()
    assert urls(local, "Beeren") == ["notes/plain.txt"]
    assert read == []
    (notes / "plain.txt").write_text("Badgers dig.", encoding="utf-8")
    (notes / "new.rst").write_text("Badgers sleep.", encoding="utf-8")
    (notes / "guide" / "foxes.md").unlink()
    assert urls(local, "badgers") == ["notes/new.rst", "notes/plain.txt"]
    assert sorted(read) == ["new.rst", "plain.txt"]
    assert urls(local, "Beeren") == urls(local, "berries") == []
    # The same size at another time is a change, too.
    os.utime(notes / "new.rst", ns=(1, 1))
    read.clear()
    urls(local, "x")
    assert read == ["new.rst"]
    local.close()


def test_what_leads_out_is_hidden_or_holds_credentials_is_never_indexed(
    tmp_path: Path, local: Folders, notes: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text(CANARY, encoding="utf-8")
    (notes / "link.md").symlink_to(outside / "secret.md")
    (notes / "linked").symlink_to(outside)
    (notes / "inside.txt").symlink_to("plain.txt")
    (notes / "again").symlink_to("guide")
    os.mkfifo(notes / "pipe.md")
    for rel in (".hidden.md", ".obsidian/x.md", ".ssh/notes.txt", ".aws/config.txt", "id_rsa.txt", "id_rsa/x.md", ".env.md", "x.pem/readme.md", "client_secret_1.json"):  # fmt: skip
        path = notes / rel
        path.parent.mkdir(exist_ok=True)
        path.write_text(CANARY, encoding="utf-8")
    (notes / "bytes.txt").write_bytes(CANARY.encode() + b"\0\1\2")
    (notes / "large.md").write_bytes(f"{CANARY} ".encode() * (module.MAX_FILE // 10))
    (notes / "code.py").write_text(CANARY, encoding="utf-8")
    # The page hides it by style, in `page.html`.
    assert urls(local, CANARY) == []
    assert "more than 2 MB" in local.note
    # Nor is a link that stays inside a second file.
    assert (urls(local, "Beeren"), urls(local, "berries")) == (["notes/plain.txt"], ["notes/guide/foxes.md"])
    (notes / "seen.md").write_text(CANARY, encoding="utf-8")
    assert urls(local, CANARY) == ["notes/seen.md"]
    for rel in ("notes/.ssh/notes.txt", "notes/../outside/secret.md", "notes/link.md", str(outside / "secret.md")):
        assert local.page(rel) is None
    local.close()


def test_a_folder_that_became_a_link_to_elsewhere_is_not_followed(
    tmp_path: Path, local: Folders, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "foxes.md").write_text(CANARY, encoding="utf-8")
    inner = module._read  # pyright: ignore[reportPrivateUsage] - the moment of the attack

    def swapped(jail: Jail, rel: str) -> object:
        if rel == "guide/foxes.md":
            (notes / "guide").rename(notes / "before")
            (notes / "guide").symlink_to(outside)
        return inner(jail, rel)

    monkeypatch.setattr(module, "_read", swapped)
    assert urls(local, CANARY) == []
    local.close()


def test_the_index_is_bounded_in_files_and_time_and_says_so(
    local: Folders, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.renew(seconds=-1)
    assert local.saved("foxes", 5) == ([], 0)
    assert local.note == "the folders are still being indexed"
    assert urls(local, "foxes") == ["notes/guide/foxes.md", "notes/page.html"]
    # A look that is cut short forgets nothing.
    local.renew(seconds=-1)
    assert local.saved("foxes", 5)[1] == 2
    monkeypatch.setattr(module, "MAX_FILES", 4)
    for number in range(9):
        (notes / f"more{number}.md").write_text("badgers", encoding="utf-8")
    assert len(urls(local, "badgers")) == 4
    assert "beyond 4 files" in local.note
    local.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems take no such name")
async def test_a_name_that_is_no_utf8_hides_no_other_file(tmp_path: Path, notes: Path) -> None:
    for name in (b"bad\x80.txt", b"guide/worse\xff.md"):
        (notes / os.fsdecode(name)).write_text("Foxes and nothing else", encoding="utf-8")
    inside = notes / os.fsdecode(b"folder\x80")
    inside.mkdir()
    (inside / "deep.txt").write_text("Foxes below", encoding="utf-8")
    async with server(tmp_path, folders=[str(notes)]) as called:
        found = await called.record("search_local", query="foxes")
        assert {page["url"] for page in found["pages"]} == {"notes/guide/foxes.md", "notes/page.html"}
        assert found["note"] == "left out of the folders: files whose path is no UTF-8"


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems take no such name")
def test_a_folder_whose_own_path_is_no_utf8_stops_the_server(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"notes\x80")
    folder.mkdir()
    with pytest.raises(SettingsError, match=r"folders: .*notes\\udc80 is no UTF-8"):
        Folders([str(folder)], str(tmp_path / "folders.db"))


def test_folders_of_one_name_are_told_apart_and_one_that_is_dropped_is_forgotten(tmp_path: Path) -> None:
    for place in "ab":
        (tmp_path / place / "docs").mkdir(parents=True)
        (tmp_path / place / "docs" / "x.md").write_text(f"fox {place}", encoding="utf-8")
    paths = [str(tmp_path / place / "docs") for place in "ab"]
    both = Folders([*paths, paths[0]], str(tmp_path / "folders.db"))
    assert urls(both, "fox") == ["docs-2/x.md", "docs/x.md"]
    both.close()
    one = Folders(paths[1:], str(tmp_path / "folders.db"))
    assert [item.snippet for item in one.saved("fox", 5)[0]] == ["fox b"]
    assert urls(one, "fox") == ["docs/x.md"]
    one.close()


@pytest.mark.parametrize("path", ["/", "~", "/no/such/folder"])
def test_a_folder_that_is_none_or_too_broad_stops_the_server(tmp_path: Path, path: str) -> None:
    with pytest.raises(SettingsError, match="folders: "):
        Folders([path], str(tmp_path / "folders.db"))


def test_folders_are_given_one_by_one_or_joined_as_paths_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WebsearchSettings.load(["--folders", "/a", "--folders", "/b"]).folders == ["/a", "/b"]
    monkeypatch.setenv("GATELODGE_WEBSEARCH_FOLDERS", os.pathsep.join(["/c", "/d"]))
    assert WebsearchSettings.load([]).folders == ["/c", "/d"]


def test_the_confined_server_reads_its_folders_and_no_other(tmp_path: Path, notes: Path) -> None:
    command = python_module("gatelodge_websearch", "--state-dir", str(tmp_path / "state"), "--folders", str(notes))
    with connected(command, "stdio", MODERN) as wire:
        found = wire.record("search_local", query="foxes")
        assert {page["url"] for page in found["pages"]} == {"notes/guide/foxes.md", "notes/page.html"}
        assert "gardener" in wire.text("read_page", pages=["notes/guide/foxes.md"])
    if sys.platform == "linux":
        journal = "".join(
            path.read_text(encoding="utf-8") for path in (tmp_path / "state" / "journal").rglob("*.jsonl")
        )
        assert '"sandbox":"off"' not in journal
