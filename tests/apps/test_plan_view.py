"""A plan as a tree: where the time goes, how far the planner was off, and what is worth a look."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apps.fixtures import content, host
from tests.apps.hostile import BIDI, MARKUP
from tests.apps.hosting import Host, result_with
from tests.browser.finding import needs_chromium
from tests.browser.fixtures import browser, page
from tests.support.wire import Message

__all__ = ["browser", "host", "page"]
pytestmark = needs_chromium


def step(depth: int, kind: str, **more: Any) -> Message:
    return {"depth": depth, "type": kind, "cost": 100, "own": 50, "rows": 10, "details": [], **more}


def plan(*steps: Message, **more: Any) -> Message:
    return result_with({"kind": "plan", "nodes": list(steps), "left": 0, "findings": [], **more})


@pytest.fixture
def shown(host: Host) -> Host:
    host.mount(content("plan_view"))
    return host


def test_steps_stand_below_the_step_that_they_feed(shown: Host) -> None:
    shown.give(plan(step(0, "Join"), step(1, "Left"), step(2, "Deep"), step(1, "Right")))
    assert shown.inside("""[...document.querySelectorAll('.what')].map(one => {
        let depth = 0;
        for (let at = one.closest('li'); at; at = at.parentElement.closest('li')) depth++;
        return [one.textContent, depth];
    })""") == [["Join", 1], ["Left", 2], ["Deep", 3], ["Right", 2]]
    assert shown.inside("document.querySelectorAll('ul:empty').length") == 0


def test_the_share_of_a_step_is_of_the_time_where_it_was_measured(shown: Host) -> None:
    measured = {"actual": 10, "loops": 1}
    shown.give(plan(
        step(0, "Sort", own=90, own_ms=1.0, ms=10.0, **measured), step(1, "Scan", own=10, own_ms=9.0, ms=9.0, **measured),
        planning=0.5, execution=10.2,
    ))  # fmt: skip
    assert shown.texts(".share") == ["10 % · 1 ms", "90 % · 9 ms"]
    assert shown.text("h1") == "Executed in 10.2 ms"
    assert shown.inside("[...document.querySelectorAll('.step')].map(one => one.dataset.weight)") == ["light", "heavy"]
    assert shown.inside("[...document.querySelectorAll('.meter i')].map(one => one.style.width)") == ["10%", "90%"]


def test_without_a_measurement_it_is_of_the_cost(shown: Host) -> None:
    shown.give(plan(step(0, "Sort", own=25), step(1, "Scan", own=75), before=5000, after=100))
    assert shown.texts(".share") == ["25 %", "75 %"]
    assert shown.text("h1") == "Estimated cost 100 instead of 5,000 without the hypothetical indexes"


def test_an_estimate_that_was_far_off_is_told(shown: Host) -> None:
    shown.give(plan(
        step(0, "Scan", rows=80, actual=4800, loops=1, own_ms=1, ms=1, removed=95200),
        step(1, "Scan", rows=5000, actual=50, loops=3, own_ms=1, ms=1, disk=2048),
        step(1, "Scan", rows=10, actual=11, loops=1, own_ms=1, ms=1),
        step(1, "Never", rows=10, actual=0, loops=0, own_ms=0, ms=0),
    ))  # fmt: skip
    first, second, third, fourth = shown.texts(".facts")
    assert "60 times more than expected" in first
    assert "95,200 rows filtered out" in first
    assert "100 times fewer than expected" in second
    assert "sorted on disk, 2,048 kB" in second
    assert "expected" not in third
    assert "expected" not in fourth


def test_findings_come_first_and_details_can_be_folded(shown: Host) -> None:
    shown.give(plan(step(0, "Scan", details=[["Filter", "(a > 1)"]]), findings=["an index may help"]))
    assert shown.texts(".found li") == ["an index may help"]
    assert shown.text("dd") == "(a > 1)"
    shown.inside("document.querySelector('summary').focus()")
    shown.page.press("Enter")
    shown.see("!document.querySelector('details').open")


def test_names_and_conditions_are_text_whatever_they_say(shown: Host) -> None:
    steps = [
        step(number, words, relation=words, alias=f"{words}{BIDI}", index=words, details=[[words, words]])
        for number, words in enumerate(MARKUP)
    ]
    shown.give(plan(*steps, findings=list(MARKUP)))
    assert shown.inside("[...document.querySelectorAll('.what')].map(one => one.textContent)") == list(MARKUP)
    assert shown.inside("[...document.querySelectorAll('dd')].map(one => one.textContent)") == list(MARKUP)
    assert BIDI not in shown.text()
    assert (
        shown.inside("document.querySelectorAll('#view img, #view script, #view svg, #view iframe, #view b').length")
        == 0
    )


def test_a_deep_plan_fits_a_phone(shown: Host) -> None:
    shown.page.viewport(360, 700, touch=True)
    shown.give(plan(*(step(depth, "Nested Loop", details=[["Filter", "f" * 200]]) for depth in range(8))))
    assert shown.inside("document.documentElement.scrollWidth") <= 360
