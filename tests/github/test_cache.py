"""Kept answers: they cost nothing at GitHub, belong to one credential, and never outlive the right to see them."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from gatelodge_core.errors import SettingsError
from gatelodge_github.credentials import Credential, FileCredential
from gatelodge_github.transport.cache import LARGEST, Cache
from gatelodge_github.transport.request import JSON, RAW

from tests.github import faults
from tests.github.bench import caller, hub, refusal, static
from tests.github.emulator import PRIVATE, PUBLIC, Emulator
from tests.github.loopback import Answer, as_json
from tests.github.proxy import Proxy
from tests.github.support import server

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"
ETAG = {"etag": '"1"', "content-type": "application/json"}


def file_of(folder: Path) -> Path:
    return folder / "state" / "cache" / "github.sqlite"


async def test_an_answer_that_still_holds_costs_nothing(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        first = await made.desk().api.get(HERE)
        for _ in range(40):
            again = await made.desk().api.get(HERE)
            assert (again.data, again.status) == (first.data, 200)
            assert again.headers["content-type"] == first.headers["content-type"]
        assert (len(proxy.requests), proxy.counted()) == (41, 1)
        github.call("PATCH", HERE, {"description": "Changed"})
        assert (await made.desk().api.get(HERE)).data["description"] == "Changed"
    assert proxy.counted() == 2


async def test_a_tool_called_again_is_counted_as_nothing(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    async with server(tmp_path, proxy.url, github.tokens["alice"], repo=PUBLIC) as called:
        before = await called.text("list_issues")
        counted = proxy.counted()
        assert await called.text("list_issues") == before
        assert proxy.counted() == counted


async def test_pages_media_types_and_queries_are_kept_apart(elsewhere: Proxy, tmp_path: Path) -> None:
    elsewhere.serve("GET", "/x", lambda request: as_json([request.target, request.headers["accept"]], ETag='"same"', Link='<http://x/?page=7>; rel="next"'))  # fmt: skip
    async with hub(tmp_path, elsewhere.url) as made:
        for _ in range(2):
            for page in (1, 2):
                found = await made.desk().api.get("/x", {"page": page})
                assert (found.data, found.next_page) == ([f"/x?page={page}", JSON], 7)
            assert RAW in (await made.desk().api.get("/x", accept=RAW)).data


async def test_what_is_kept_survives_a_restart_in_a_file_of_ones_own(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    for _ in range(2):
        async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
            await made.desk().api.get(HERE)
    assert (len(proxy.requests), proxy.counted()) == (2, 1)
    for name in os.listdir(file_of(tmp_path).parent):
        assert stat.S_IMODE(os.stat(file_of(tmp_path).parent / name).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(file_of(tmp_path).parent).st_mode) == 0o700
    held = file_of(tmp_path).read_bytes()
    assert github.tokens["alice"].encode() not in held


async def test_a_file_that_was_open_to_others_is_closed_to_them(tmp_path: Path, proxy: Proxy) -> None:
    file_of(tmp_path).parent.mkdir(parents=True)
    file_of(tmp_path).touch(mode=0o644)
    async with hub(tmp_path, proxy.url):
        assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600


async def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path, proxy: Proxy) -> None:
    file_of(tmp_path).parent.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_bytes(b"dear")
    file_of(tmp_path).symlink_to(victim)
    with pytest.raises(SettingsError, match="cache"):
        async with hub(tmp_path, proxy.url):
            pass
    assert victim.read_bytes() == b"dear"


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000, b"\0" * 4096])
async def test_a_damaged_file_is_set_aside_with_a_line_in_the_log(
    github: Emulator, proxy: Proxy, tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file_of(tmp_path).parent.mkdir(parents=True)
    file_of(tmp_path).write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
                assert (await made.desk().api.get(HERE)).data["full_name"] == PUBLIC
    assert "the cache of GitHub's answers is damaged" in caplog.text
    assert caplog.text.count("damaged") == 1
    assert (len(proxy.requests), proxy.counted()) == (2, 1)


async def test_another_process_that_holds_the_file_stops_nobody(
    github: Emulator, proxy: Proxy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        await made.desk().api.get(HERE)
    other = sqlite3.connect(file_of(tmp_path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with caplog.at_level(logging.WARNING):
            async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
                for _ in range(2):
                    assert (await made.desk().api.get(HERE)).data["full_name"] == PUBLIC
    finally:
        other.close()
    assert "answers are kept in memory" in caplog.text
    assert (len(proxy.requests), proxy.counted()) == (3, 2)


async def test_a_row_that_was_tampered_with_is_dropped(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    for column, value in (("body", b"no zlib"), ("headers", "no json")):
        async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
            await made.desk().api.get(HERE)
            with sqlite3.connect(file_of(tmp_path)) as base:
                base.execute(f"UPDATE answers SET {column} = ?", (value,))
            base.close()
            proxy.forget()
            assert (await made.desk().api.get(HERE)).data["full_name"] == PUBLIC
            assert proxy.counted() == 1


async def test_two_credentials_never_share_an_answer(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    accounts: dict[str, Credential] = {f"api-key:{name}": static(github.tokens[name]) for name in ("alice", "mallory")}
    async with hub(tmp_path, proxy.url, "", accounts) as made:
        for _ in range(2):
            with caller("alice"):
                assert (await made.desk().api.get(f"/repos/{PRIVATE}")).data["full_name"] == PRIVATE
            with caller("mallory"):
                assert (await refusal(made.desk().api.get(f"/repos/{PRIVATE}"))).code == "not_found"
                await made.desk().api.get(HERE)
    tags = {(one.token, one.headers["if-none-match"]) for one in proxy.requests if "if-none-match" in one.headers}
    assert len(tags) == 2
    assert len({tag for _, tag in tags}) == 2


async def test_a_token_that_was_replaced_in_its_file_inherits_nothing(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(github.tokens["alice"])
    async with hub(tmp_path, proxy.url, FileCredential(str(path))) as made:
        api = made.desk().api
        await api.get(f"/repos/{PRIVATE}")
        path.write_text(github.tokens["mallory"] + "\n")
        # The same object, as a call that goes on would have it.
        assert (await refusal(api.get(f"/repos/{PRIVATE}"))).code == "not_found"
        assert "if-none-match" not in proxy.requests[-1].headers
        assert proxy.requests[-1].token == github.tokens["mallory"]


async def test_one_file_for_several_githubs_mixes_nothing_up(proxy: Proxy, elsewhere: Proxy, tmp_path: Path) -> None:
    """Nobody has the same digest everywhere."""
    proxy.serve("GET", "/x", lambda request: as_json(["one"], ETag='"same"'))
    elsewhere.serve(
        "GET", "/x", lambda request: Answer(304) if "if-none-match" in request.headers else as_json(["two"])
    )
    async with hub(tmp_path, proxy.url) as made:
        assert (await made.desk().api.get("/x")).data == ["one"]
    async with hub(tmp_path, elsewhere.url) as made:
        assert (await made.desk().api.get("/x")).data == ["two"]


@pytest.mark.parametrize("status", [403, 404, 410, 451])
async def test_an_answer_that_may_be_seen_no_more_is_forgotten(
    github: Emulator, proxy: Proxy, tmp_path: Path, status: int
) -> None:
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        await made.desk().api.get(HERE)
        proxy.fault("GET", HERE, faults.refuses(status), times=1)
        await refusal(made.desk().api.get(HERE))
        await made.desk().api.get(HERE)
    assert "if-none-match" in proxy.requests[1].headers
    assert "if-none-match" not in proxy.requests[2].headers
    with sqlite3.connect(file_of(tmp_path)) as base:
        assert base.execute("SELECT count(*) FROM answers").fetchone() == (1,)
    base.close()


async def test_a_limit_makes_nothing_forgotten(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    for fault in (faults.primary_limit(reset_in=-1), faults.secondary_limit(retry_after=0), faults.refuses(502)):
        async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
            await made.desk().api.get(HERE)
            proxy.fault("GET", HERE, fault)
            await refusal(made.desk().api.get(HERE))
        proxy.heal()
    assert all("if-none-match" in one.headers for one in proxy.requests[1:])


async def test_a_repository_that_becomes_private_is_gone_for_outsiders(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    async with hub(tmp_path, proxy.url, github.tokens["mallory"]) as made:
        assert (await made.open(PUBLIC)).facts.public
        github.call("PATCH", HERE, {"private": True, "visibility": "private"})
        assert (await refusal(made.desk().api.get(HERE))).code == "not_found"
        made.desk().repositories.forget(PUBLIC)
        assert (await refusal(made.open(PUBLIC))).code == "not_found"
    with sqlite3.connect(file_of(tmp_path)) as base:
        assert base.execute("SELECT count(*) FROM answers").fetchone() == (0,)
    base.close()


async def test_without_an_etag_with_a_cut_or_of_another_status_nothing_is_kept(
    elsewhere: Proxy, tmp_path: Path
) -> None:
    elsewhere.serve("GET", "/plain", lambda request: [1])
    elsewhere.serve("GET", "/made", lambda request: as_json([1], 201, ETag='"1"'))
    elsewhere.serve("GET", "/cut", lambda request: as_json(["x" * 1000], ETag='"1"'))
    elsewhere.serve("GET", "/big", lambda request: as_json(["x" * LARGEST], ETag='"1"'))
    async with hub(tmp_path, elsewhere.url) as made:
        for _ in range(2):
            for path in ("/plain", "/made", "/big"):
                await made.desk().api.get(path)
            assert (await made.desk().api.get("/cut", accept=RAW, max_bytes=100, cut=True)).cut
    assert not any("if-none-match" in one.headers for one in elsewhere.requests)


async def test_a_kept_answer_is_no_way_around_a_bound(elsewhere: Proxy, tmp_path: Path) -> None:
    elsewhere.serve("GET", "/x", lambda request: as_json(["x" * 1000], ETag='"1"'))
    async with hub(tmp_path, elsewhere.url) as made:
        await made.desk().api.get("/x")
        assert (await refusal(made.desk().api.get("/x", max_bytes=100))).code == "too_large"


async def test_with_0_nothing_is_kept_and_what_was_is_removed(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        await made.desk().api.get(HERE)
    assert file_of(tmp_path).exists()
    async with hub(tmp_path, proxy.url, github.tokens["alice"], cache_mb=0) as made:
        for _ in range(2):
            await made.desk().api.get(HERE)
    assert list(file_of(tmp_path).parent.iterdir()) == []
    assert proxy.counted() == 3


def test_bodies_are_bounded_and_the_longest_unused_go_first(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "c" / "x.sqlite"), 1)
    for number in range(400):
        cache.keep("o", JSON, f"/{number}", ETAG, os.urandom(10_000))
        assert cache.find("o", JSON, "/0")
    cache.close()
    with sqlite3.connect(tmp_path / "c" / "x.sqlite") as base:
        size, count = base.execute("SELECT sum(size), count(*) FROM answers").fetchone()
        urls = {row[0] for row in base.execute("SELECT url FROM answers")}
    base.close()
    assert size <= 1.2 * 1024 * 1024
    assert {"/0", "/399"} <= urls
    assert "/1" not in urls
    assert count < 130


def test_a_closed_cache_keeps_and_finds_nothing_and_raises_nothing(tmp_path: Path) -> None:
    """A thread that was given up may come late."""
    cache = Cache(str(tmp_path / "c" / "x.sqlite"), 1)
    cache.close()
    cache.keep("o", JSON, "/", ETAG, b"x")
    assert cache.find("o", JSON, "/") is None
    cache.forget("o", JSON, "/")
