"""What is measured: each operation, as each server offers it, with the check that its answer was right."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks._contenders import Live
from benchmarks._table import Sample
from benchmarks._trees import LINE, Trees
from benchmarks._wire import Answer

_MANY = 1_000_000
_CURSOR = re.compile(r"""cursor[=: ]+["']?([^\s"',;)\]]+)""")


def sample(answer: Answer, note: str = "") -> Sample:
    """One call as a measurement; raises if the answer is an error."""
    _ = answer.result
    return Sample(answer.seconds, answer.size, note=note)


def whole(answer: Answer) -> str:
    """All that a result says, in both channels, as one text."""
    result = answer.result
    return "\n".join(
        [*(block.get("text", "") for block in result["content"]), json.dumps(result.get("structuredContent", ""))]
    )


def read(live: Live, path: Path, size: int) -> Callable[[], Sample]:
    """Read a whole file, or as much of it as the server gives in one answer."""
    if live.contender.kind == "reference":
        tool, arguments = "read_text_file", {"path": str(path)}
    else:
        tool = "read_file"
        arguments = {"path": str(path), "max_lines": live.at_most(tool, "max_lines", _MANY)}
    first = LINE.format(0).strip()

    def run() -> Sample:
        answer = live.driver.call(tool, arguments)
        text = answer.text
        assert first in text, f"not the file: {text[:200]!r}"
        return sample(answer, "" if len(text) >= size else "cut to its budget")

    return run


def ends(live: Live, path: Path, lines: int, *, tail: bool, last: int) -> Callable[[], Sample]:
    """Read the first or the last lines of a file; `last` is the number in its last whole line."""
    if live.contender.kind == "reference":
        tool, arguments = "read_text_file", {"path": str(path), "tail" if tail else "head": lines}
    else:
        tool, arguments = "read_file", {"path": str(path), "start_line": -lines if tail else 1, "max_lines": lines}
    wanted = LINE.format(last if tail else lines - 1).strip()

    def run() -> Sample:
        answer = live.driver.call(tool, arguments)
        assert wanted in answer.text, f"{wanted!r} is not in the answer"
        return sample(answer)

    return run


def list_flat(live: Live, trees: Trees, *, sizes: bool) -> Callable[[], Sample]:
    """List a folder to its end, however many answers that takes."""
    if live.contender.kind == "reference":
        tool = "list_directory_with_sizes" if sizes else "list_directory"
        arguments: dict[str, Any] = {"path": str(trees.flat)}
    else:
        tool = "list_directory"
        arguments = {"path": str(trees.flat), "limit": live.at_most(tool, "limit", _MANY)}

    def run() -> Sample:
        names: set[str] = set()
        seconds, wire, pages = 0.0, 0, 0
        for answer in _pages(live, tool, arguments):
            names.update(re.findall(r"entry-\d{5}\.txt", whole(answer)))
            seconds, wire, pages = seconds + answer.seconds, wire + answer.size, pages + 1
        assert len(names) == trees.flat_count, f"{len(names)} of {trees.flat_count} entries"
        return Sample(seconds, wire, note=f"{pages} pages" if pages > 1 else "")

    return run


def first_page(live: Live, trees: Trees) -> Callable[[], Sample]:
    """List a folder as a model would at first: the defaults, one answer."""
    arguments = {"path": str(trees.flat)}

    def run() -> Sample:
        answer = live.driver.call("list_directory", arguments)
        assert "entry-00000.txt" in whole(answer)
        return sample(answer)

    return run


def find(live: Live, trees: Trees, pattern: str, expected: int) -> Callable[[], Sample]:
    """Find files by a glob in the big tree."""
    if live.contender.kind == "reference":
        tool, arguments = "search_files", {"path": str(trees.project), "pattern": pattern}
    else:
        tool, arguments = "find_files", {"path": str(trees.project), "globs": [pattern]}

    def run() -> Sample:
        answer = live.driver.call(tool, arguments)
        said = whole(answer)
        shown = len(set(re.findall(r"f\d{5}\.py", said)))
        # A server that gives one page must at least know how many there are.
        assert shown == expected or (0 < shown < expected and _says(said, expected)), f"{shown} of {expected} files"
        return sample(answer, "" if shown == expected else f"first {shown} of {expected:,}")

    return run


def search(live: Live, trees: Trees, pattern: str, *, regex: bool) -> Callable[[], Sample] | None:
    """Search the contents of the big tree for one rare word; None if the server has no such tool."""
    if "search_text" not in live.tools:
        return None
    arguments = {"path": str(trees.project), "pattern": pattern, "regex": regex}

    def run() -> Sample:
        answer = live.driver.call("search_text", arguments)
        shown = len(set(re.findall(r"f\d{5}\.(?:py|ts)", whole(answer))))
        assert shown == trees.needles, f"{shown} of {trees.needles} files"
        return sample(answer)

    return run


def tree(live: Live, trees: Trees) -> Callable[[], Sample] | None:
    """The whole big tree in one answer; None if the server has no such tool."""
    if "directory_tree" in live.tools:
        tool, arguments = "directory_tree", {"path": str(trees.project)}
    elif "list_directory" in live.tools and live.contender.kind == "gatelodge":
        tool = "list_directory"
        arguments = {"path": str(trees.project), "depth": live.at_most(tool, "depth", 4)}
    else:
        return None

    def run() -> Sample:
        answer = live.driver.call(tool, arguments)
        said = whole(answer)
        assert "node_modules" in said or "src" in said, f"not the tree: {said[:200]!r}"
        shown = len(set(re.findall(r"f\d{5}\.\w\w", said)))
        return sample(answer, "" if shown >= trees.project_count - 1 else f"{tool}, first page, {shown:,} files")

    return run


def edit(live: Live, path: Path) -> Callable[[], Sample]:
    """Replace one line in the middle of a file, there and back; the file is `path`, made by the caller."""
    texts = ("line 00010000\n", "line, edited!\n")
    counter = count()

    def run() -> Sample:
        turn = next(counter)
        old, new = texts[turn % 2], texts[1 - turn % 2]
        arguments: Mapping[str, Any] = (
            {"path": str(path), "edits": [{"oldText": old, "newText": new}]}
            if live.contender.kind == "reference"
            else {"path": str(path), "edits": [{"old": old, "new": new}]}
        )
        answer = live.driver.call("edit_file", arguments)
        content = path.read_bytes()
        assert (content.count(new.encode()), content.count(old.encode())) == (1, 0), "the edit is not in the file"
        return sample(answer)

    return run


def pipelined(live: Live, path: Path, calls: int, window: int) -> Callable[[], Sample]:
    """Read a small file many times, with up to `window` calls under way."""
    tool = "read_text_file" if live.contender.kind == "reference" else "read_file"
    request = ("tools/call", {"name": tool, "arguments": {"path": str(path)}})
    first = LINE.format(0).strip()

    def run() -> Sample:
        since = time.perf_counter()
        answers = live.driver.pipeline([request] * calls, window)
        seconds = time.perf_counter() - since
        assert all(first in answer.text for answer in answers), "an answer is not the file"
        return Sample(seconds, sum(answer.size for answer in answers), calls)

    return run


def _pages(live: Live, tool: str, arguments: dict[str, Any]) -> Iterator[Answer]:
    """Each answer of a listing, by its cursors."""
    cursor = ""
    for _ in range(1000):
        answer = live.driver.call(tool, {**arguments, "cursor": cursor} if cursor else arguments)
        yield answer
        cursor = _cursor(answer)
        if not cursor:
            return
    raise AssertionError("a listing without end")


def _cursor(answer: Answer) -> str:
    record: dict[str, Any] = answer.result.get("structuredContent") or {}
    for name, value in record.items():
        if name.endswith("cursor") and isinstance(value, str):
            return value
    found = _CURSOR.search(answer.text[-2000:])
    return found.group(1) if found else ""


def _says(text: str, number: int) -> bool:
    return re.search(rf"\b(?:{number}|{number:,})\b", text) is not None
