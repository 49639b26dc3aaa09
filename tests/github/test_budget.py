"""Every answer keeps its budget whatever stands in it, and what is cut is reached by going on, each line exactly once."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from gatelodge_github.view import BUDGET

from tests.github.emulator import PUBLIC, Emulator
from tests.github.examples import paged
from tests.github.loopback import Answer, Request, Respond, as_json
from tests.github.outsiders import LOG_PATH, Planted
from tests.github.proxy import Proxy
from tests.github.pulling import changed, serve_threads, thread
from tests.github.support import Called, server, text_of

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"
TOO_MUCH = "takes too much room once it can be seen"
HOSTILE = {
    "hidden": "日本\u200b\u202e" * 1500,
    "controls": "\x01\x02\x7f" * 700,
    "marks": "<untrusted" * 1500,
    "ticks": "`" * 9000 + "\n" + "~" * 9000,
    "comments": "<!--a-->" * 1500,
    "links": "[a]: http://b\n" * 700,
    "wide": "\U00020000日" * 700,
    "lines": "\x1b\n" * 1500,
}
_TEXTS = frozenset({
    "title", "display_title", "name", "message", "body", "description", "summary", "text", "path", "filename", "patch",
    "previous_filename", "fragment", "head_branch", "tag_name", "label", "manifest_path", "context",
})  # fmt: skip
_FACTS = re.compile(r"/user|/repos/[^/]+/[^/]+|.*/permission")


@pytest.fixture
async def called(beds: tuple[Proxy, Proxy], emulator: Emulator, tmp_path: Path) -> AsyncGenerator[Called]:
    proxy, elsewhere = beds
    hosts = [elsewhere.url.removeprefix("http://")]
    async with server(
        tmp_path, proxy.url, emulator.tokens["alice"], repo=PUBLIC, download_hosts=hosts, cache_mb=0
    ) as made:
        yield made


def size(text: str) -> int:
    return len(text.encode())


def hostile(value: Any, more: str, inside: str = "", count: int = 30) -> Any:
    """The same JSON with many items in each list, fewer in lists inside it, and with texts that are as bad as can be."""
    if isinstance(value, dict):
        return {key: hostile(item, more, key, count) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        alike = bool(items) and isinstance(items[0], dict) and inside != "parents"
        return [hostile(item, more, "", 8) for item in (items[:1] * count if alike else items)]
    return f"{value} {more}" if isinstance(value, str) and inside in _TEXTS else value


def sizes(found: Any) -> list[int]:
    """Bytes of an answer's text, and of the same as structure."""
    return [size(text_of(found)), size(json.dumps(found.structured_content, ensure_ascii=False))]


@pytest.mark.parametrize("kind", HOSTILE)
async def test_no_answer_of_any_tool_is_larger_than_the_budget(
    called: Called, beds: tuple[Proxy, Proxy], planted: Planted, kind: str
) -> None:
    def bad(request: Request, proper: Respond) -> Answer:
        answer = proper(request)
        data = answer.json()
        # Facts, rights and the user are what they are.
        if data is None or answer.status != 200 or _FACTS.fullmatch(request.path):
            return answer
        made: Any = hostile(data, HOSTILE[kind])
        if isinstance(made, dict) and "content" in made:
            content = HOSTILE[kind].encode("utf-16" if kind == "wide" else "utf-8") * 3
            made = {**cast("dict[str, Any]", made), "content": base64.b64encode(content).decode(), "size": len(content)}
        return as_json(made)

    tools = {tool.name: tool.input_schema["properties"] for tool in (await called.client.list_tools()).tools}
    for path in (r"/repos/.*(?<!/logs)", r"/search/.*"):
        beds[0].fault("GET", path, bad)
    beds[0].fault("POST", "/graphql", bad)
    log = f"2024-01-01T00:00:00.0000000Z ##[error]{HOSTILE[kind]}\n".encode() * 5
    beds[1].serve("GET", LOG_PATH, lambda _: Answer(200, log))
    places: dict[str, tuple[str, Mapping[str, Any]]] = {
        name: (place.tool, place.arguments) for name, place in planted.places.items()
    }
    number = {"number": planted.pull}
    every = ["checks", "reviews", "threads", "comments", "commits"]
    places |= {
        "pull with everything": ("get_pull", {**number, "include": every}),
        "issue with everything": ("get_issue", {"number": planted.issue, "include": ["comments", "timeline", "sub_issues"]}),
        "the end of a log": ("get_job_log", {"job_id": 72, "mode": "tail"}),
    }  # fmt: skip
    full = 0
    for name, (tool, arguments) in places.items():
        more = {"limit": 100} if "limit" in tools[tool] else {}
        found = await called.result(tool, **{**arguments, **more})
        assert not found.is_error, (name, text_of(found))
        assert max(sizes(found)) <= BUDGET, (name, sizes(found))
        assert TOO_MUCH not in text_of(found), name
        full += max(sizes(found)) > BUDGET / 3
    # Else there was not much.
    assert full > 10


def seen(text: str) -> str:
    """Shown text as it was: marks of hidden characters are these characters again."""

    def hidden(match: re.Match[str]) -> str:
        char = "\x1b" if match[1] == "ESC" else chr(int(match[1].removeprefix("U+"), base=16))
        return char * int(match[2] or 1)

    return re.sub(r"⟦(ESC|U\+[0-9A-F]+)(?: x(\d+))?⟧", hidden, text)


FILES = {
    "latin1": ("".join(f"{at} été à Noël äöüß\n" for at in range(3000)).encode("latin-1"), "latin-1"),
    "cp1251": ("".join(f"{at} Съешь же ещё этих булок\n" for at in range(2000)).encode("cp1251"), "latin-1"),
    "sjis": ("".join(f"{at} 日本語のテキスト\n" for at in range(2000)).encode("shift_jis"), "latin-1"),
    "hidden": ("".join(f"{at} \u200b{'a' * (at % 7)}\u202e\n" for at in range(3000)).encode(), "utf-8"),
    "escapes": (b"".join(b"%d \x1b[31mred\x1b[0m\n" % at for at in range(3000)), "utf-8"),
    "broken": ("".join(f"{at} 日本\n" for at in range(2000)).encode() + b"\xff\n", "utf-8"),
    "marks": (b"".join(b"%d <untrusted <untrusted\n" % at for at in range(2000)), "utf-8"),
}


@pytest.mark.parametrize("kind", FILES)
async def test_a_files_lines_are_all_read_by_going_on_however_they_are_written(
    called: Called, beds: tuple[Proxy, Proxy], kind: str
) -> None:
    data, encoding = FILES[kind]

    def file(request: Request) -> Answer:
        item = beds[0].ask(Request("GET", f"{HERE}/contents/README.md", request.headers)).json()
        return as_json({**item, "content": base64.b64encode(data).decode(), "size": len(data)})

    beds[0].serve("GET", f"{HERE}/contents/odd.txt", file)
    at, got, answers = 1, "", 0
    while at:
        text = await called.text("get_file", path="odd.txt", start_line=at)
        answers += 1
        assert size(text) <= BUDGET
        assert TOO_MUCH not in text
        body, _, note = text.partition("\n\n")[2].rpartition("\n\ncut: go on with start_line=")
        got += body if note.isdigit() else text.partition("\n\n")[2]
        at = int(note) if note.isdigit() else 0
    whole = seen(got).replace("&lt;", "<")
    if kind == "broken":
        # Only what stands in one answer with the odd line is read as Latin-1.
        assert re.findall(r"(?m)^\d+ ", whole) == [f"{number} " for number in range(2000)]
    else:
        assert whole == data.decode(encoding)
    # An answer holds what it can.
    assert answers <= 3 + 13 * len(data) // BUDGET


@pytest.mark.parametrize("kind", ["hidden", "controls", "long", "marks", "ticks"])
async def test_the_lines_of_a_diff_come_exactly_once_however_much_they_grow(
    called: Called, beds: tuple[Proxy, Proxy], planted: Planted, kind: str
) -> None:
    tail = {"hidden": "\u202e\u200b" * 20, "controls": "\x01\x02" * 30, "long": "日\u202e" * 900, "marks": "<untrusted" * 30, "ticks": "`" * 700}  # fmt: skip
    lines = {name: [f"+{name}:{at}: {tail[kind]}" for at in range(60)] for name in ("a", "b", "c")}
    files = [changed(name, "\n".join(["@@ -1 +1,60 @@", *lines[name]])) for name in lines]
    beds[0].serve("GET", f"{HERE}/pulls/{planted.pull}/files", paged(lambda _: files))
    found: list[str] = []
    cursor = ""
    for _ in range(80):
        text = await called.text("get_pull_diff", number=planted.pull, cursor=cursor)
        assert size(text) <= BUDGET
        assert TOO_MUCH not in text
        found += re.findall(r"(?m)^\+([abc]:\d+): ", text)
        cursor = cursor_of(text)
        if not cursor:
            break
    assert found == [line[1:].rpartition(":")[0] for name in lines for line in lines[name]]


def cursor_of(text: str) -> str:
    found = re.search(r"cursor: (\S+)", text)
    return found[1].rstrip(")") if found else ""


async def test_a_diffs_cursor_goes_on_within_the_file_that_it_is_of_or_at_the_beginning_of_what_stands_there_now(
    called: Called, beds: tuple[Proxy, Proxy], planted: Planted
) -> None:
    lines = "\n".join(f"+{at} {'word ' * 20}" for at in range(400))
    files = [changed("one.txt", lines)]
    beds[0].serve("GET", f"{HERE}/pulls/{planted.pull}/files", paged(lambda _: files))
    cursor = cursor_of(await called.text("get_pull_diff", number=planted.pull))
    assert "one.txt (from line " in await called.text("get_pull_diff", number=planted.pull, cursor=cursor)
    # The base has moved: the same head is another list of files.
    files[:] = [changed("other.txt", lines.replace("word", "else"))]
    text = await called.text("get_pull_diff", number=planted.pull, cursor=cursor)
    assert "+0 else" in text


# Large threads


async def test_eighteen_megabytes_of_comments_are_read_to_the_end_by_smaller_pages(
    called: Called, beds: tuple[Proxy, Proxy], planted: Planted, emulator: Emulator
) -> None:
    path = f"{HERE}/issues/{planted.pull}/comments"
    one = emulator.call("GET", path)[0]
    body = "日" * 60_000
    every = [{**one, "id": at, "body": body} for at in range(1, 101)]
    beds[0].serve("GET", path, paged(lambda _: every))
    cursors: list[str] = []
    found: list[int] = []
    cursor = ""
    while True:
        text = await called.text("get_pull", number=planted.pull, include=["comments"], cursor=cursor)
        assert size(text) <= BUDGET
        found += [int(number) for number in re.findall(r"(?m)^comment (\d+) by", text)]
        cursor = cursor_of(text)
        cursors.append(cursor)
        if not cursor:
            break
    assert found == list(range(1, 101))
    text = await called.text("get_issue", number=planted.pull, include=["comments"], limit=100)
    assert "comment 1 by" in text
    text = await called.text("get_pull", number=planted.pull, include=["comments", "reviews"])
    assert "comment 1 by" in text


async def test_threads_that_are_too_large_at_once_are_asked_for_in_smaller_numbers(
    called: Called, beds: tuple[Proxy, Proxy], planted: Planted
) -> None:
    said = [("mallory", "NONE", "日" * 60_000)] * 5
    serve_threads(beds[0], [thread(f"f{at}.py", *said) for at in range(50)])
    found: list[int] = []
    cursor = ""
    while True:
        text = await called.text("get_pull", number=planted.pull, include=["threads"], cursor=cursor)
        assert size(text) <= BUDGET
        found += [int(number) for number in re.findall(r"(?m)^thread on f(\d+)\.py", text)]
        cursor = cursor_of(text)
        if not cursor:
            break
    assert found == list(range(50))


# What is counted


async def test_the_last_page_by_cursor_does_not_say_that_it_is_all(
    called: Called, beds: tuple[Proxy, Proxy], planted: Planted, emulator: Emulator
) -> None:
    one = emulator.call("GET", f"{HERE}/issues/{planted.issue}")
    every = [{**one, "number": at, "id": at} for at in range(1, 34)]
    beds[0].serve("GET", f"{HERE}/issues", paged(lambda _: every))
    first = await called.result("list_issues", limit=20)
    assert text_of(first).startswith(f"open issues of {PUBLIC} (public): shown 20 of more")
    assert first.structured_content is not None
    last = await called.text("list_issues", limit=20, cursor=first.structured_content["cursor"])
    assert last.startswith(f"open issues of {PUBLIC} (public): shown the last 13\n")
