"""Lockdown: what outsiders wrote is marked, filtered or withheld, in every place where it can be read."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gatelodge_github.server import OFFERED
from gatelodge_github.view import WITHHELD
from mcp_types import ResourceTemplateReference

from tests.github import faults
from tests.github.behind import before
from tests.github.emulator import PUBLIC, Emulator
from tests.github.outsiders import CANARY, TRAP, Planted, serve
from tests.github.proxy import Proxy, proxying
from tests.github.support import Called, server

pytestmark = pytest.mark.anyio


class Bed:
    """GitHub as an outsider has left it."""

    def __init__(self, emulator: Emulator, proxy: Proxy, elsewhere: Proxy, planted: Planted) -> None:
        self.emulator, self.proxy, self.elsewhere, self.planted = emulator, proxy, elsewhere, planted

    def server(self, folder: Path, lockdown: str, **given: Any) -> AbstractAsyncContextManager[Called]:
        hosts = [self.elsewhere.url.removeprefix("http://")]
        settings: dict[str, Any] = {"repo": PUBLIC, "lockdown": lockdown, "download_hosts": hosts, **given}
        return server(folder, self.proxy.url, self.emulator.tokens["alice"], **settings)


@pytest.fixture
def bed(emulator: Emulator, planted: Planted) -> Generator[Bed]:
    with before(emulator) as proxy, proxying(None) as elsewhere:
        serve(proxy, elsewhere, planted)
        yield Bed(emulator, proxy, elsewhere, planted)


async def read(called: Called, tool: str, arguments: Any) -> tuple[str, str]:
    """All that goes to the host, and its label."""
    found = await called.result(tool, **arguments)
    assert not found.is_error, (tool, arguments, found.content)
    assert found.meta is not None
    ifc = found.meta["ifc"]
    return json.dumps(found.model_dump(mode="json")), f"{ifc['integrity']}/{ifc['confidentiality']}"


async def test_by_default_everything_is_shown_and_marked_as_an_outsiders(bed: Bed, tmp_path: Path) -> None:
    places = bed.planted.places
    assert {place.tool for place in places.values()} == {
        name for name, tool in OFFERED.tools.items() if tool.nature.effect == "read"
    } - {"get_me"}
    async with bed.server(tmp_path, "label") as called:
        for name, place in places.items():
            told, label = await read(called, place.tool, place.arguments)
            # Else the tests below would look for what was never there.
            assert CANARY in told.replace(f'"query": "{CANARY}"', ""), name
            assert label.startswith("untrusted/"), name
            assert "withheld" not in told, name
        for uri in bed.planted.uris:
            assert CANARY in (await called.client.read_resource(uri)).model_dump_json(), uri


async def test_filtering_withholds_conversations_code_and_files_and_says_how_many(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path, "filter") as called:
        for name, place in bed.planted.places.items():
            told, label = await read(called, place.tool, place.arguments)
            shown = re.sub(rf"(for|main\.\.\.mallory:|owner:)\s*{CANARY}", "", told)
            if place.filtered:
                assert not leaks(told), (name, told)
                assert re.search(r"\d+ withheld: lockdown is filter, the authors can't push", told), (name, told)
            else:
                assert CANARY in shown, name
                assert label.startswith("untrusted/"), name


def leaks(told: str) -> bool:
    """Whether the outsider's word is there, but for what the caller asked with."""
    for asked in (f"for {CANARY}", f"main...mallory:{CANARY}-branch", f"{CANARY}.txt of {TRAP}"):
        told = told.replace(asked, "")
    return CANARY in told


async def test_strict_lockdown_shows_nothing_of_it_anywhere(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path, "strict") as called:
        for name, place in bed.planted.places.items():
            told, label = await read(called, place.tool, place.arguments)
            assert not leaks(told), (name, told)
            assert re.search(r"\d+ withheld: lockdown is strict|withheld by lockdown", told), (name, told)
            if place.tool != "list_alerts":
                # What isn't shown needs no warning.
                assert label == "trusted/public", name
        for uri in bed.planted.uris:
            told = (await called.client.read_resource(uri)).model_dump_json()
            assert CANARY not in told.replace(uri, "").replace(f"{CANARY}.txt of {TRAP}", ""), told


async def test_strict_lockdown_completes_none_of_an_outsiders_names(bed: Bed, tmp_path: Path) -> None:
    async def offered(called: Called, name: str, value: str, **chosen: str) -> list[str]:
        ref = ResourceTemplateReference(uri="repo://{owner}/{repo}/{ref}/{+path}")
        found = await called.client.complete(ref, {"name": name, "value": value}, context_arguments=chosen)
        return found.completion.values

    trap = {"owner": "mallory", "repo": "trap"}
    for mode, expected in (("label", True), ("strict", False)):
        async with bed.server(tmp_path / mode, mode) as called:
            for name, chosen in (("ref", trap), ("path", {**trap, "ref": "main"})):
                found = await offered(called, name, CANARY[:6], **chosen)
                assert any(CANARY in one for one in found) is expected, (mode, name)


async def test_what_collaborators_wrote_stays(bed: Bed, tmp_path: Path) -> None:
    furniture = bed.planted.furniture
    async with bed.server(tmp_path, "strict") as called:
        told = await called.text("get_issue", number=furniture.issue, include=["comments"])
        assert "See line 7." in told
        assert "alice says so." in told
        assert "bob says so." in told
        assert "mallory says so." not in told
        # One of the furniture, one planted.
        assert "2 withheld" in told
        assert "line 8 of the guide" in await called.text("get_file", path="docs/guide.md")
        assert "A feature" in await called.text("get_pull", number=furniture.pull)
        listed = await called.record("list_issues", state="all", limit=100)
        assert {row["author"] for row in listed["items"]} == {"alice", "bob"}
        assert listed["notes"] == ["2 withheld: lockdown is strict, the authors can't push."]


@pytest.mark.parametrize("mode", ["filter", "strict"])
async def test_where_permissions_can_not_be_had_collaborators_are_withheld_too(
    bed: Bed, tmp_path: Path, mode: str
) -> None:
    bed.proxy.fault("GET", r".*/collaborators/[^/]+/permission", faults.refuses(500))
    async with bed.server(tmp_path, mode) as called:
        told = await called.text("get_issue", number=bed.planted.furniture.issue, include=["comments"])
        assert "alice says so." in told
        assert "bob says so." not in told
        listed = await called.record("list_issues", state="all", limit=100)
        assert {row["author"] for row in listed["items"]} == {"alice"}


async def test_where_it_can_not_be_known_whose_credential_it_is_nobody_is_self(bed: Bed, tmp_path: Path) -> None:
    bed.proxy.fault("GET", "/user", faults.refuses(500))
    bed.proxy.fault("GET", r".*/collaborators/[^/]+/permission", faults.refuses(404))
    async with bed.server(tmp_path, "strict") as called:
        told = await called.text("get_issue", number=bed.planted.furniture.issue, include=["comments"])
        # Not even the repository's owner is taken for the caller, or for anybody who can push.
        assert "alice says so." not in told
        assert "bob says so." not in told


async def test_of_a_single_thing_the_text_is_withheld_and_the_rest_is_told(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path, "strict") as called:
        told = await called.text("get_issue", number=bed.planted.issue)
        assert told.startswith(f"issue {bed.planted.issue} of {PUBLIC} (public)\ntitle: {WITHHELD}\nstate: open\n")
        assert "author: mallory (outsider)" in told
        assert told.count(WITHHELD) == 2
        told = await called.text("get_pull_diff", number=bed.planted.pull)
        assert "1 files" in told
        assert WITHHELD in told


@asynccontextmanager
async def walking(bed: Bed, folder: Path, mode: str) -> AsyncGenerator[list[int]]:
    """The numbers of all issues, page by page."""
    numbers: list[int] = []
    async with bed.server(folder, mode) as called:
        cursor, pages = "", 0
        while pages == 0 or cursor:
            found = await called.record("list_issues", state="all", limit=1, cursor=cursor)
            numbers += [row["number"] for row in found["items"]]
            cursor, pages = found["cursor"], pages + 1
            assert pages < 20
    yield numbers


async def test_a_list_of_which_much_is_withheld_still_comes_to_its_end(bed: Bed, tmp_path: Path) -> None:
    async with walking(bed, tmp_path / "label", "label") as every, walking(bed, tmp_path / "strict", "strict") as kept:
        assert len(every) == len(set(every)) == 5 - 1
        assert kept == [number for number in every if number not in (bed.planted.issue, bed.planted.furniture.outside)]


async def test_nothing_withheld_is_in_what_a_failure_says(bed: Bed, tmp_path: Path) -> None:
    pull, issue = bed.planted.pull, bed.planted.issue
    failing: dict[str, dict[str, Any]] = {
        "get_pull_diff": {"number": pull, "paths": ["nothing.txt"]},
        "get_issue": {"number": issue, "cursor": "x"},
        "merge_pull": {"number": pull, "expected_head": "0" * 40},
        "review_pull": {"number": pull, "event": "approve", "expected_head": "0" * 40},
        "add_comment": {"number": pull, "body": "x", "in_reply_to": 999_999},
        "get_file": {"repo": TRAP, "path": "nothing.txt"},
        "get_diff": {"repo": TRAP, "target": "nothing"},
        "create_pull": {"title": "x", "head": "mallory:nothing"},
    }
    async with bed.server(tmp_path, "strict") as called:
        for name, arguments in failing.items():
            _, told = await called.call(name, **arguments)
            assert CANARY not in told, name
