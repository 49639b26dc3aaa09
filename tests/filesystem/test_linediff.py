"""Comparing lines: what comes out makes the one of the other, and the work is bounded whatever the lines are."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType
from typing import Any, cast

import anyio
import pytest
from gatelodge_core.apps.showing import showing
from gatelodge_filesystem import linediff, nearest
from gatelodge_filesystem.encoding import Encoding
from gatelodge_filesystem.linediff import MAX_EDITS, Block, blocks, grouped, opcodes
from gatelodge_filesystem.nearest import alike
from gatelodge_filesystem.roots import RootSpec, pin
from gatelodge_filesystem.tools.several import diff_files
from gatelodge_filesystem.tools.writing import edit_file
from gatelodge_filesystem.unified import MAX_COMPARED_LINES, unified
from gatelodge_filesystem.workspace import Workspace
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.filesystem.test_edits import patched

LINES = st.lists(st.sampled_from(["", "a", "b", "ab"]), max_size=25)


class Counting(list[str]):
    """A list that counts how often it is looked into."""

    looks = 0

    def __getitem__(self, key: Any) -> Any:
        self.looks += 1
        return cast("Any", super().__getitem__(key))


def rebuilt(first: list[str], second: list[str]) -> list[str]:
    """The second list made of the first by the steps between them, each step checked."""
    made: list[str] = []
    at = 0
    for tag, low, high, other_low, other_high in opcodes(first, second):
        assert low == at
        assert (tag == "equal") == (first[low:high] == second[other_low:other_high])
        assert (low < high, other_low < other_high) == {"insert": (False, True), "delete": (True, False)}.get(
            tag, (True, True)
        )
        made += first[low:high] if tag == "equal" else second[other_low:other_high]
        at = high
    assert at == len(first)
    return made


@given(LINES, LINES)
@settings(max_examples=300)
def test_the_steps_make_one_list_of_the_other(first: list[str], second: list[str]) -> None:
    assert rebuilt(first, second) == second


@given(LINES, LINES)
@settings(max_examples=300)
def test_so_they_do_where_the_way_is_cut_after_few_edits(first: list[str], second: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linediff, "MAX_EDITS", 2)
        assert rebuilt(first, second) == second


@given(LINES, LINES)
@settings(max_examples=300)
def test_few_edits_are_found_by_the_shortest_way(first: list[str], second: list[str]) -> None:
    common = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, line in enumerate(first):
        for j, other in enumerate(second):
            common[i + 1][j + 1] = common[i][j] + 1 if line == other else max(common[i][j + 1], common[i + 1][j])
    assert sum(length for _, _, length in blocks(first, second)) == common[-1][-1]


@given(LINES, LINES, st.integers(0, 4))
def test_groups_hold_every_change_once_and_little_else(first: list[str], second: list[str], context: int) -> None:
    steps = opcodes(first, second)
    groups = grouped(steps, context)
    changes = [step for group in groups for step in group if step[0] != "equal"]
    assert changes == [step for step in steps if step[0] != "equal"]
    for group in groups:
        assert all(step[2] - step[1] <= 2 * context for step in group if step[0] == "equal")
        for (_, _, high, _, other_high), (_, low, _, other_low, _) in itertools.pairwise(group):
            assert (high, other_high) == (low, other_low)


FULL = MAX_COMPARED_LINES - 10
HARD: dict[str, tuple[list[str], list[str]]] = {
    "every second changed": (["- [ ] item", ""] * (FULL // 2), ["- [x] item", ""] * (FULL // 2)),
    "every second new": (["x"] * (FULL // 2), ["x", "y"] * (FULL // 2)),
    "nothing in common": (["x"] * FULL, ["y"] * FULL),
    "all of them different": ([f"x{n}" for n in range(FULL)], [f"y{n}" for n in range(FULL)]),
    "turned around": ([str(n) for n in range(FULL)], [str(n) for n in reversed(range(FULL))]),
    "two kinds": (["a", "b", "a"] * (FULL // 3), ["b", "a", "b", "b"] * (FULL // 4)),
}


@pytest.mark.parametrize("name", HARD)
def test_the_work_is_bounded_for_the_most_lines_that_are_compared(name: str) -> None:
    first, second = HARD[name]
    one, other = Counting(first), Counting(second)
    blocks(one, other)
    assert one.looks + other.looks < 8 * MAX_EDITS * (len(first) + len(second))
    before, after = ("".join(f"{line}\n" for line in lines).encode() for lines in (first, second))
    diff = unified(before, after, "f", Encoding("utf-8"), budget=10_000_000)
    assert patched(first, diff.text) == second


def test_alike_are_texts_with_runs_in_common() -> None:
    assert alike("def foo_bar(x):", "def foo_baz(x):") > 0.9
    assert alike("def foo_bar(x):", "return 7  # never") < 0.3
    assert alike("same", "same") == 1
    assert alike("", "") == 0


@pytest.mark.parametrize("tail", ["?", "\n", " x"])
def test_a_text_that_is_nowhere_is_explained_in_bounded_work(tail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def counted(one: str, other: str) -> list[Block]:
        first, second = Counting(one), Counting(other)
        found = blocks(first, second)
        looks.append(first.looks + second.looks)
        return found

    monkeypatch.setattr(nearest, "blocks", counted)
    text = "\n".join(["w x" * 660 + tail] * 300)
    error = nearest.explain_no_match("w y" * 660 + "!", "new", text, 1)
    assert "line 1:" in error.hint
    assert 0 < sum(looks) < 12 * 8 * MAX_EDITS * 4000


def test_every_second_of_equal_lines_is_told_as_that(bench: Workspace) -> None:
    said = run(bench, "root/list.md", [{"old": "- [ ] item", "new": "- [x] item", "replace_all": True}])
    assert f"+{FULL // 2} -{FULL // 2} lines" in said
    assert "too many lines" not in said


@pytest.fixture
def bench(tmp_path: Path) -> Generator[Workspace]:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "list.md").write_text("- [ ] item\n\n" * (FULL // 2))
    (tmp_path / "root" / "other.md").write_text("- [o] item\n\n" * (FULL // 2))
    specs = [RootSpec(str(tmp_path / "root"), writable=True)]
    workspace = Workspace(pin(specs, allow_broad=False), budget=48_000, state_dir=str(tmp_path / "state"))
    workspace.settle()
    yield workspace
    workspace.close()


def run(workspace: Workspace, path: str, edits: list[Any]) -> str:
    async def call() -> str:
        return await edit_file(workspace, path, edits)

    return anyio.run(call)


COSTLY = ("linediff.py", "unified.py", "hunks.py", "edits.py", "nearest.py")


async def shown_edit(workspace: Workspace) -> str:
    with showing() as view:
        said = await edit_file(workspace, "root/list.md", [{"old": "[ ]", "new": "[x]", "replace_all": True}])
    assert view.data is not None
    assert view.data["added"] == FULL // 2
    return said


async def compared_files(workspace: Workspace) -> str:
    return await diff_files(workspace, "root/list.md", "root/other.md")


@pytest.mark.parametrize("call", [shown_edit, compared_files])
def test_the_loop_serves_others_while_a_diff_is_made(bench: Workspace, call: Callable[[Workspace], Any]) -> None:
    ran: dict[bool, set[str]] = {True: set(), False: set()}
    loop = threading.get_ident()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            ran[threading.get_ident() == loop].add(frame.f_code.co_filename.rpartition("/")[2])

    async def watched() -> str:
        threading.setprofile(note)
        sys.setprofile(note)
        try:
            return await call(bench)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    assert "lines" in anyio.run(watched)
    assert {"linediff.py", "unified.py"} <= ran[False]
    assert not ran[True] & set(COSTLY)
