"""A line that is longer than an answer is read on by cursors: files, logs and diffs, each byte of it exactly once."""

from __future__ import annotations

import base64
import itertools
import json
import random
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.guard.hygiene import visible
from gatelodge_github import blobs, cursors
from gatelodge_github.log_lines import ANSI
from gatelodge_github.log_long_lines import LineReader
from gatelodge_github.patches import fenced
from gatelodge_github.view import BUDGET, shown_size
from gatelodge_github.windows import Window
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.github import faults
from tests.github.emulator import PUBLIC, Emulator
from tests.github.examples import paged
from tests.github.furnishing import Furniture
from tests.github.loopback import Answer, Request, as_json
from tests.github.proxy import Proxy
from tests.github.pulling import changed, serve_threads, thread
from tests.github.reading import Bed, held
from tests.github.support import server

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"
HOSTILE = (
    "a",
    "é",
    "日",
    "😀",
    "\u200b",
    "\u202e",
    "\U000e0041",
    "<",
    "</untrusted-0>",
    "⟦",
    "`" * 9,
    "\t",
    "\r",
    "cursor: ",
)
SEQUENCES = (
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x1b",
    "\x1b[",
    "\x1bPx\x1b\\",
    "\x1b]8;;" + "u" * 4090,
    "\x1b]" + "v" * 5000,
)


def line(seed: int, size: int, pieces: tuple[str, ...] = HOSTILE) -> str:
    """A line of hostile pieces, in runs, so that some answers hold far more of them than others."""
    chance, made, have = random.Random(seed), list[str](), 0
    while have < size:
        run = chance.choice(pieces) * chance.choice([1, 3, 50, 900])
        made.append(run)
        have += len(run)
    return "".join(made)


def place(cursor: str) -> dict[str, Any]:
    """Where a cursor goes on; nobody else needs to know."""
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[0]
    return found


def inside(text: str) -> str:
    """What stands in the answer's envelope."""
    return re.split(r"\n</untrusted-", re.split(r"<untrusted-\w+ source=.*\n", text, maxsplit=1)[1])[0]


def same(shown: str, text: str) -> bool:
    """Whether that is how a text is shown: what hides in it can be seen, and in an envelope no imitation of one is left."""
    seen = visible(text)[0]
    return shown in (seen, seen.replace("</untrusted-", "&lt;/untrusted-"))


# Files


@pytest.fixture
def files(emulator: Emulator, furnished: Furniture) -> Generator[Bed]:
    with held(emulator, furnished) as bed:
        yield bed


def serve_file(bed: Bed, data: bytes) -> None:
    def described(request: Request) -> Answer:
        whole = {**bed.proxy.ask(request).json(), "size": len(data), "sha": "5" * 40}
        if len(data) > 2**20:
            return as_json({**whole, "encoding": "none", "content": ""})
        return as_json({**whole, "encoding": "base64", "content": base64.b64encode(data).decode()})

    octets = {"Content-Type": "application/octet-stream"}
    bed.proxy.serve("GET", f"{HERE}/contents/docs/guide.md", described)
    bed.proxy.serve("GET", f"{HERE}/git/blobs/[0-9a-f]+", lambda _: Answer(200, data, octets))


@pytest.mark.parametrize("ending", ["", "\n", "\nbehind\n"])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_long_line_of_a_file_is_read_by_cursors_each_byte_once(
    files: Bed, tmp_path: Path, seed: int, ending: str
) -> None:
    for size, encoding in ((50_000, "utf-8"), (30_000, "latin-1")):
        pieces = HOSTILE if encoding == "utf-8" else ("é", "a", "<", "\xff", "\x81\x82\x83")
        # Above 1 MB it comes as a stream, of which nobody knows yet whether more lines follow.
        before = 200_000 if seed == 1 and ending and encoding == "latin-1" else 1
        data = (b"first\n" * before) + f"{line(seed, size, pieces)}{ending}".encode(encoding)
        serve_file(files, data)
        async with files.server(tmp_path / encoding) as called:
            cursor, at, start = "", 0, 6 * before
            while True:
                text = await called.text("get_file", path="docs/guide.md", start_line=before + 1, cursor=cursor)
                assert len(text.encode()) <= BUDGET
                body = text.split("\n\n", 1)[1]
                found = re.search(rf"\n\ncut inside line {before + 1}, .* cursor=([\w-]+)", body)
                if not found:
                    assert same(body, blobs.decoded(data[start + at :])[0])
                    break
                cursor = found[1]
                end = place(cursor)["c"]
                assert end > at
                # What is told is exactly the bytes up to where the cursor goes on.
                assert same(body[: found.start()], data[start + at : start + end].decode(encoding))
                at = end
                onward = f"or behind it with start_line={before + 2}" in body
                assert onward == ("behind" in ending) or (onward and before > 1)
            assert at


async def test_a_cursor_inside_a_line_does_not_outlive_the_file(files: Bed, tmp_path: Path) -> None:
    serve_file(files, b"x" * 50_000)
    async with files.server(tmp_path) as called:
        text = await called.text("get_file", path="docs/guide.md")
        (cursor,) = re.findall(r"cursor=(\S+)", text)
        assert "bad_cursor" in await called.error("get_file", path="CODEOWNERS", cursor=cursor)
        assert "end_line" in await called.error("get_file", path="docs/guide.md", end_line=1, start_line=2)

        def other(request: Request) -> Answer:
            return as_json({**files.proxy.ask(request).json(), "sha": "6" * 40})

        files.proxy.serve("GET", f"{HERE}/contents/docs/guide.md", other)
        assert "changed" in await called.error("get_file", path="docs/guide.md", cursor=cursor)


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 4), st.integers(0, 60), st.integers(1, 9))
def test_a_window_skips_bytes_of_its_first_line_alone(lines: list[bytes], first: int, skip: int, size: int) -> None:
    data = b"\n".join(one.replace(b"\n", b"").replace(b"\0", b"") for one in lines)
    window = Window(first, 0, 10_000, skip)
    for at in range(0, len(data), size):
        window.feed(data[at : at + size])
    window.close()
    whole = data.split(b"\n")
    if first <= len(whole):
        beginning = whole[first - 1]
        wanted = b"\n".join([beginning[skip:], *whole[first:]])
        if not data.startswith(b"%PDF-"):
            assert window.data == wanted


# Logs


@pytest.fixture
def logs(github: Emulator, proxy: Proxy, elsewhere: Proxy) -> Proxy:
    assert github.url
    proxy.fault("GET", f"{HERE}/actions/jobs/7/logs", faults.moved(f"{elsewhere.url}/results/7", 302))
    return proxy


async def test_a_long_line_of_a_log_is_read_by_the_cursor_that_is_given_for_it(
    logs: Proxy, elsewhere: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    long = [f"2026-01-01T00:00:00.0000000Z {line(seed, 40_000, (*HOSTILE, *SEQUENCES))}" for seed in (4, 5)]
    data = "\n".join(["before", long[0], "between", long[1] + "\r", "##[error]x"]).encode()
    elsewhere.serve("GET", "/results/7", lambda _: Answer(200, data, {"Content-Type": "text/plain"}))
    hosts = [elsewhere.url.removeprefix("http://")]
    async with server(tmp_path, logs.url, emulator.tokens["alice"], repo=PUBLIC, download_hosts=hosts) as called:
        for wanted in ({}, {"mode": "tail"}, {"mode": "grep", "pattern": "2026"}):
            text = await called.text("get_job_log", job_id=7, **wanted)
            assert re.findall(r"^line (\d+) was cut; all of it: cursor=\S+$", text, re.MULTILINE) in (["2", "4"], [])
        text = await called.text("get_job_log", job_id=7)
        # The notes stand behind the envelope, where no log can put any.
        given = re.findall(
            r"^line (\d+) was cut; all of it: cursor=(\S+)$", text.rpartition("</untrusted-")[2], re.MULTILINE
        )
        assert [number for number, _ in given] == ["2", "4"]
        for (_, begin), whole in zip(given, long, strict=True):
            got, cursor = "", begin
            while cursor:
                text = await called.text("get_job_log", job_id=7, cursor=cursor)
                assert len(text.encode()) <= BUDGET
                # A part can be nothing but colours.
                if "<untrusted-" in text:
                    got += inside(text)
                    assert await called.label("get_job_log", job_id=7, cursor=cursor) == "untrusted/public"
                cursor = next(
                    iter(re.findall(r"^cursor: (\S+)$", text.rpartition("</untrusted-")[2], re.MULTILINE)), ""
                )
            assert same(got, ANSI.sub(b"", whole.encode()).decode())
        assert "bad_cursor" in await called.error("get_job_log", job_id=8, cursor=given[0][1])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([*(one.encode() for one in (*HOSTILE, *SEQUENCES)), b"\xff", b"\xe3\x81", b"y" * 20_000]), max_size=40),
    st.integers(61, 5000),
    st.sampled_from([1, 50, 3000, 20_000]),
)  # fmt: skip
def test_any_line_of_a_log_comes_together_again(pieces: list[bytes], size: int, room: int) -> None:
    whole = b"".join(pieces)
    data = b"\nx\n" + whole + b"\nlast"
    got, begin, steps = "", 0, 0
    limit = 3 + len(whole)
    while True:
        reader = LineReader(3, begin)
        for at in range(0, len(data), size):
            reader.feed(data[at : at + size])
        part = reader.part(room)
        assert part.size == len(whole)
        assert shown_size(part.text) <= max(room, 40)
        got += part.text
        steps += 1
        if not part.next or steps > 100:
            break
        assert begin < part.next < len(whole)
        begin = part.next
        assert steps < limit
    plain = "".join("\ufffd" if "\udc80" <= one <= "\udcff" else one for one in _decoded(whole))
    if part.next:
        assert plain.startswith(got)
    else:
        assert got == plain.removesuffix("\r")


def _decoded(whole: bytes) -> str:
    spans = [(0, 0), *(match.span() for match in ANSI.finditer(whole)), (len(whole), len(whole))]
    return "".join(
        whole[end:start].decode("utf-8", "surrogateescape") for (_, end), (start, _) in itertools.pairwise(spans)
    )


def test_a_log_without_such_a_line_says_so_and_memory_is_bounded() -> None:
    reader = LineReader(3, 0)
    reader.feed(b"a\nb")
    assert reader.part(1000).size == -1
    reader = LineReader(1, 5_000_000)
    for _ in range(100):
        reader.feed(b"x" * 100_000)
    part = reader.part(1000)
    assert (part.text, part.next, part.size) == ("x" * 1000, 5_001_000, 10_000_000)


# Diffs


def blocks(text: str) -> list[str]:
    """What stands between fences."""
    return [found[1] for found in re.findall(r"^(`{3,})diff\n(.*?)\n\1$", text, re.MULTILINE | re.DOTALL)]


async def test_long_lines_of_a_pull_requests_diff_are_read_by_the_cursors_given_for_them(
    furnished: Furniture, proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    every = [
        changed(f"f{seed}.js", f"@@ -1 +1,3 @@\n+{line(seed, 30_000)}\n+short\n+{line(seed + 9, 4000)}")
        for seed in (1, 2, 3)
    ]
    proxy.serve("GET", f"{HERE}/pulls/{furnished.pull}/files", paged(lambda _: every))
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        cursor, given, got = "", list[str](), dict[tuple[int, int], str]()
        while True:
            text = await called.text("get_pull_diff", number=furnished.pull, cursor=cursor)
            assert len(text.encode()) <= BUDGET
            given += re.findall(r"^cut line \d+ goes on: cursor=(\S+)$", text, re.MULTILINE)
            cursor = next(iter(re.findall(r"^cursor: (\S+) \(the patches", text, re.MULTILINE)), "")
            if not cursor:
                break
        assert len(given) == 6
        for begin in given:
            begun, cursor = place(begin), begin
            patch: str = every[int(begun["o"])]["patch"]
            lines = patch.split("\n")
            number: int = begun["n"]
            told, at = "", int(begun["c"])
            while cursor:
                text = await called.text("get_pull_diff", number=furnished.pull, cursor=cursor)
                assert len(text.encode()) <= BUDGET
                (block,) = blocks(text)
                cursor = next(iter(re.findall(r"^cursor: (\S+) \(the line goes on\)", text, re.MULTILINE)), "")
                end = place(cursor)["c"] if cursor else len(lines[number])
                assert end > at
                assert same(block, lines[number][at:end])
                told, at = told + lines[number][at:end], end
            got[begun["o"], begun["n"]] = lines[number][: begun["c"]] + told
        assert got == {(at, n): one["patch"].split("\n")[n] for at, one in enumerate(every) for n in (1, 3)}
        every[0]["patch"] += "!"
        every[0]["patch"] = every[0]["patch"].replace("@@\n+", "@@\n+!")
        assert "changed" in await called.error("get_pull_diff", number=furnished.pull, cursor=given[0])


async def test_a_patch_of_a_commit_is_read_to_its_end_whatever_is_in_it(
    furnished: Furniture, proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    long = "\n".join(f"+{line(seed, 25_000 if seed == 3 else 200)}" for seed in range(1, 120))
    every = [changed("a.js", f"@@ -1 +1 @@\n{long}"), changed("b.js", f"@@ -1 +1 @@\n+{line(7, 40_000)}")]

    def commit(request: Request) -> Answer:
        return as_json({**proxy.ask(request).json(), "files": every})

    proxy.serve("GET", f"{HERE}/commits/[^/]+", commit)
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        text = await called.text("get_diff", target="main")
        assert len(text.encode()) <= BUDGET
        given = re.findall(r"^cut patch \d+: cursor=(\S+)$", text, re.MULTILINE)
        assert [place(cursor)["o"] for cursor in given] == [0, 1]
        for begin, first, one in zip(given, blocks(text), every, strict=True):
            patch, at, cursor = one["patch"], place(begin)["c"], begin
            assert same(first, patch[:at].removesuffix("\n"))
            while cursor:
                text = await called.text("get_diff", target="main", cursor=cursor)
                assert len(text.encode()) <= BUDGET
                (block,) = blocks(text)
                cursor = next(iter(re.findall(r"^cursor: (\S+)$", text, re.MULTILINE)), "")
                end = place(cursor)["c"] if cursor else len(patch)
                assert end > at
                assert same(block, patch[at:end]) or same(block, patch[at : end - 1])
                assert same(block, patch[at:end]) or patch[end - 1] == "\n"
                at = end
            assert at == len(patch)
        every[0]["patch"] += "\n+more"
        assert "changed" in await called.error("get_diff", target="main", cursor=given[0])
        assert "bad_cursor" in await called.error("get_diff", target="main", paths=["a.js"], cursor=given[0])


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([*HOSTILE, "\n", "`" * 400, "z" * 300]), min_size=1, max_size=30), st.integers(100, 3000)
)
def test_the_rest_of_a_patch_comes_in_blocks_that_nothing_in_it_can_end(pieces: list[str], room: int) -> None:
    patch, at, got = "".join(pieces), 0, ""
    while at < len(patch):
        block, taken = fenced(patch[at:], room)
        assert taken > 0
        fence, _, rest = block.partition("diff\n")
        body = rest.removesuffix(f"\n{fence}")
        assert fence not in body
        assert shown_size(block) <= room + 40
        got += body + "\n" * (taken - len(body))
        at += taken
    assert got == patch


async def test_withheld_patches_and_logs_give_no_cursor(
    logs: Proxy, elsewhere: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    elsewhere.serve("GET", "/results/7", lambda _: Answer(200, b"x" * 90_000, {"Content-Type": "text/plain"}))
    given: dict[str, Any] = {"repo": PUBLIC, "download_hosts": [elsewhere.url.removeprefix("http://")]}
    async with server(tmp_path / "a", logs.url, emulator.tokens["alice"], **given) as called:
        (cursor,) = re.findall(r"cursor=(\S+)", await called.text("get_job_log", job_id=7))
    async with server(tmp_path / "b", logs.url, emulator.tokens["alice"], lockdown="strict", **given) as called:
        assert "cursor" not in await called.text("get_job_log", job_id=7)
        text = await called.text("get_job_log", job_id=7, cursor=cursor)
        assert "xxx" not in text
        assert "withheld" in text


async def test_a_forged_cursor_is_an_error_or_an_answer_but_never_a_crash_or_more_than_the_budget(
    furnished: Furniture, logs: Proxy, elsewhere: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    log = b"x\n" + b"y" * 50_000
    elsewhere.serve("GET", "/results/7", lambda _: Answer(200, log, {"Content-Type": "text/plain"}))
    serve_threads(logs, [thread("a.py", ("alice", "OWNER", "z" * 50_000))])
    pull = furnished.pull
    calls: list[tuple[str, dict[str, Any], list[Any]]] = [
        ("get_file", {"path": "docs/guide.md"}, ["get_file", PUBLIC, "docs/guide.md", ""]),
        ("get_job_log", {"job_id": 7}, ["get_job_log", PUBLIC, 7]),
        ("get_diff", {"target": "main"}, ["get_diff", PUBLIC, "main", []]),
        ("get_pull_diff", {"number": pull}, ["get_pull_diff", PUBLIC, pull, furnished.feature, []]),
        *(
            ("get_pull", {"number": pull, "include": [name]}, ["get_pull", PUBLIC, pull, name])
            for name in ("reviews", "threads", "comments", "commits", "checks")
        ),
    ]
    chance = random.Random(5)
    values: list[Any] = [0, 1, 2, 99, 1_000_000, 1 << 40, -1, True, 1.5, None, "x", [], {}]
    hosts = [elsewhere.url.removeprefix("http://")]
    async with server(tmp_path, logs.url, emulator.tokens["alice"], repo=PUBLIC, download_hosts=hosts) as called:
        for name, arguments, question in calls:
            for _ in range(12):
                forged = {
                    key: chance.choice(values)
                    for key in ("p", "n", "o", "l", "t", "c", "a", "id")
                    if chance.random() < 0.4
                }
                if chance.random() < 0.7:
                    usable = (0, 1, 2, 99, 1_000_000)
                    forged = {key: chance.choice(usable) for key in forged if key not in ("a", "id")}
                failed, text = await called.call(name, **arguments, cursor=cursors.make(forged, question))
                assert len(text.encode()) <= BUDGET
                assert not failed or re.match(r"(bad_cursor|changed|not_found|no_such_line|invalid): ", text), (
                    name,
                    forged,
                    text,
                )
