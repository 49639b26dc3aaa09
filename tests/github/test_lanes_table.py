"""The table of chapter 8 that says which lane covers which tool: whole, and no more than the tests bear out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gatelodge_github.server import OFFERED

ROOT = Path(__file__).resolve().parents[2]
TESTS = {path: path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")}
# What a test file that uses a lane has in it.
SIGNS = {
    "emulator": r"\b(?:furnished|furniture|bedded|filled|emulator)\b",
    "recordings": r"\b(?:replaying|recorded)\(",
    "answers made after the descriptions": r"\bproblems_of\b",
}
# These call every tool in a row, whatever the lane.
BROAD = {"test_switches.py", "test_toxic_flow.py", "test_answer_labels.py", "test_invariants.py", "test_lanes_table.py"}


def table() -> dict[str, list[str]]:
    """Lanes by tool."""
    text = (ROOT / "docs" / "08-github.md").read_text(encoding="utf-8")
    rows = text.partition("| tools | ordinary use over |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    found: list[tuple[str, list[str]]] = []
    for row in rows:
        _, tools, lanes, _ = row.split("|")
        found += [(tool, [lane.strip() for lane in lanes.split(",")]) for tool in re.findall(r"`(\w+)`", tools)]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_every_tool_has_its_lane() -> None:
    assert set(table()) == set(OFFERED.tools)


@pytest.mark.parametrize("tool", OFFERED.tools)
def test_a_lane_is_one_that_a_test_of_the_tool_uses(tool: str) -> None:
    own = [text for path, text in TESTS.items() if path.name not in BROAD and re.search(rf"[\"'.]{tool}\b", text)]
    for lane in table()[tool]:
        assert any(re.search(SIGNS[lane], text) for text in own), lane
