"""The report's page of a journal that somebody forged: odd outcomes and times are shown, and end nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from gatelodge_core.audit.journal import Journal
from gatelodge_core.audit.records import Intent, Outcome

from tests.audit.test_report_page import Report, facet, matched, opened, quiet
from tests.browser.finding import needs_chromium
from tests.browser.fixtures import browser, page
from tests.browser.page import Page
from tests.support.journals import UNSYNCED, made_up_week, spoiled

__all__ = ["browser", "page"]
pytestmark = needs_chromium


def test_outcomes_named_after_what_every_object_has_are_outcomes_like_others(page: Page, tmp_path: Path) -> None:
    names: list[Any] = ["ok", "__proto__", "constructor", "toString", "hasOwnProperty"]
    with Journal.open(str(tmp_path / "j"), server="github", version="1", settings=UNSYNCED) as journal:
        for name in names:
            journal.outcome(journal.intent(Intent(name)), Outcome(name))
    opened(page, Report(tmp_path / "j", tmp_path / "r.html"))
    assert page.text("#trouble") == ""
    assert [page.text(f"#number-{name}") for name in ("calls", "unfinished")] == ["5", "4"]
    facet(page, "status", "__proto__")
    assert matched(page) == "1 of 5 calls"
    assert page.text("#rows tbody .badge") == "__proto__"
    quiet(page)


def test_a_time_at_the_end_of_all_years_is_a_time(page: Page, tmp_path: Path) -> None:
    journal = made_up_week(tmp_path / "j", 40)
    line = {"seq": 3, "type": "refusal", "ts": "9999-12-31T23:59:59.999000000Z", "kind": "tool", "name": "late"}
    spoiled(journal, lambda lines: lines + (json.dumps(line) + "\n").encode())
    opened(page, Report(journal, tmp_path / "r.html"))
    last = page.evaluate("[...document.querySelectorAll('#timeline text')].at(-1).textContent")
    assert re.fullmatch(r"\+01\d{4}-\d\d-\d\d", last)
    for kind in ("mousePressed", "mouseReleased"):
        page.command(
            "Input.dispatchMouseEvent",
            page.evaluate("""(() => {
                const box = document.getElementById('timeline').getBoundingClientRect();
                return {x: box.right - 2, y: box.y + 40};
            })()""")
            | {"type": kind, "button": "left", "clickCount": 1},
        )
    assert matched(page) == "1 of 41 calls"
    # Neither a warning of the browser's: a field can't hold a time of five digits.
    quiet(page)
