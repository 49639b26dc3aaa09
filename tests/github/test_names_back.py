"""Names come back as they are: what one answer shows of a path, a branch or a label can be given to the next call."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from gatelodge_github.view import one_line

from tests.github.bed import Bed, bedded
from tests.github.emulator import PUBLIC, Emulator
from tests.github.furnishing import commit

pytestmark = pytest.mark.anyio

PATHS = [
    "names/[a](b).md",
    "names/two  spaces .txt",
    "names/<!-- not hidden -->.txt",
    "names/![x](javascript:y.png)",
    "names/*bold* `code`.txt",
    "names/　広い　名前.txt",
    "names/" + "long" * 60 + "/" + "er" * 120 + "/" + "x" * 200,
]
BRANCH = "topic/<!--hidden-->end"
LABEL = "area:  [docs](x)"


@pytest.fixture(scope="module")
def bed(emulator: Emulator) -> Generator[Bed]:
    for made in bedded(emulator):
        commit(emulator, PUBLIC, "main", {path: path.encode() for path in PATHS}, "Odd names")
        commit(emulator, PUBLIC, BRANCH, {PATHS[0]: b"[changed]\n", PATHS[1]: None}, "Change odd names")
        made.call("POST", f"/repos/{PUBLIC}/labels", {"name": LABEL, "color": "ededed"})
        yield made


async def test_a_path_of_a_tree_is_one_that_reads_the_file(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        found = await called.result("get_tree", prefix="names")
        assert found.structured_content is not None
        structured = [item["path"] for item in found.structured_content["items"]]
        assert sorted(structured) == sorted(PATHS)
        text = await called.text("get_tree", prefix="names")
        lines = [line.partition("\t")[0] for line in text.splitlines() if line.startswith("names/")]
        assert lines == structured
        for path in structured:
            assert (await called.text("get_file", path=path)).endswith(f"\n\n{path}"), path


async def test_a_name_in_a_directory_is_one_that_reads_the_file(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        text = await called.text("get_file", path="names")
        names = [line.split("\t")[2] for line in text.splitlines() if line.startswith("file\t")]
        assert sorted(names) == sorted(path.removeprefix("names/") for path in PATHS if path.count("/") == 1)


async def test_a_path_of_a_diff_picks_its_patch(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        text = await called.text("get_diff", target=f"main...{BRANCH}")
        changed = [line.split("\t")[2] for line in text.splitlines() if line.startswith(("modified\t", "removed\t"))]
        assert set(changed) == {PATHS[0], PATHS[1]}
        for path in changed:
            assert "1 of 2 files" in await called.text("get_diff", target=f"main...{BRANCH}", paths=[path]), path


async def test_a_branch_of_a_list_is_one_that_can_be_read(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        refs = await called.record("list_refs")
        assert BRANCH in [item["name"] for item in refs["items"]]
        assert "[changed]" in await called.text("get_file", path=PATHS[0], ref=BRANCH)


async def test_a_label_of_an_issue_is_one_that_can_be_taken_off(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        number = bed.furniture.issue
        await called.text("update_issue", number=number, add_labels=[LABEL])
        found: list[dict[str, Any]] = (await called.record("list_issues"))["items"]
        (labels,) = [item["labels"] for item in found if item["number"] == number]
        assert LABEL in labels
        await called.text("update_issue", number=number, remove_labels=[LABEL])
        assert LABEL not in await called.text("get_issue", number=number)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb", "a⟦U+000A⟧b"),
        ("a\tb\r", "a⟦U+0009⟧b⟦U+000D⟧"),
        ("a\u2028b\x85", "a⟦U+2028⟧b⟦U+0085⟧"),
        ("\u202egnp.exe", "⟦U+202E⟧gnp.exe"),
        ("zero\u200bwidth", "zero⟦U+200B⟧width"),
    ],
)
def test_what_hides_in_a_name_or_would_end_its_line_is_shown(name: str, shown: str) -> None:
    assert one_line(name) == shown
    assert one_line(shown) == shown
