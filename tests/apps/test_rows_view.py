"""The table of a query's rows: sorted rightly, drawn in parts, honest about what is cut, and deaf to what is in it."""

from __future__ import annotations

from collections.abc import Sequence
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

BODY = "#view tbody"


def column(name: str, kind: str = "text", **more: Any) -> Message:
    return {"name": name, "type": kind, "kind": kind, "masked": False, "cut": False, **more}


def rows(columns: Sequence[Message], values: Sequence[Sequence[str | None]], **more: Any) -> Message:
    told: Message = {"shown": len(values), "skip": 0, "more": False, "stopped_by": "", "cursor": "", "ms": 3, "limit": 400, "notices": []}  # fmt: skip
    return result_with(
        {"kind": "rows", "columns": list(columns), "rows": [list(row) for row in values], **told, **more}
    )


@pytest.fixture
def shown(host: Host) -> Host:
    host.mount(content("rows_view"))
    return host


def cells(host: Host, place: int) -> list[str]:
    return host.texts(f"{BODY} td:nth-of-type({place})")


def sort(host: Host, place: int) -> None:
    host.inside(f"document.querySelectorAll('thead th:not(.row) button')[{place - 1}].click()")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["1e308", "-1e308", "2", "3"], "2 values from 2 to 3"),
        (["5e-324", "5e-324"], "2 values from 5e-324 to 5e-324"),
        (["1e17", "100000000000000016"], "2 values from 1.0e+17 to 1.0e+17"),
    ],
)
def test_a_chart_of_the_largest_and_smallest_numbers_has_places_for_all_that_is_in_it(
    shown: Host, values: list[str], words: str
) -> None:
    named = [[name, value] for name, value in zip("abcd", values, strict=False)]
    shown.give(rows([column("name"), column("n", "number")], named))
    shown.click("#tab-chart")
    assert words in shown.inside("document.querySelector('svg').getAttribute('aria-label')")
    assert not shown.inside("/NaN|Infinity/.test(document.querySelector('svg').outerHTML)")


def test_numbers_sort_by_value_to_the_last_digit_and_null_comes_last_both_ways(shown: Host) -> None:
    values = ["9007199254740993", "-2", None, "9007199254740992", "10", "9", "0.5", "NaN", "-Infinity"]
    shown.give(rows([column("n", "number")], [[value] for value in values]))
    sort(shown, 1)
    upward = ["-Infinity", "-2", "0.5", "9", "10", "9007199254740992", "9007199254740993", "NaN", "NULL"]
    assert cells(shown, 1) == upward
    assert shown.inside("document.querySelector('thead th:not(.row)').ariaSort") == "ascending"
    sort(shown, 1)
    assert cells(shown, 1) == [*reversed(upward[:-1]), "NULL"]
    assert shown.inside("document.activeElement.closest('th').ariaSort") == "descending"
    assert "largest first" in shown.text("#said")


def test_times_sort_by_moment_whatever_their_zone(shown: Host) -> None:
    values = ["2026-01-01 12:00:00+00", "2026-01-01 13:30:00.5+02", "2026-01-01 11:45:00+00", "10000-01-01 00:00:00+00"]
    shown.give(rows([column("at", "time")], [[value] for value in values]))
    sort(shown, 1)
    assert cells(shown, 1) == [values[1], values[2], values[0], values[3]]


def test_ten_thousand_rows_are_sorted_whole_and_drawn_in_parts(shown: Host) -> None:
    shown.give(
        rows([column("n", "number"), column("t")], [[str((n * 7919) % 10_000), f"row {n}"] for n in range(10_000)])
    )
    assert len(cells(shown, 1)) == 200
    sort(shown, 1)
    assert cells(shown, 1)[:3] == ["0", "1", "2"]
    shown.inside(
        "[...document.querySelectorAll('button')].find(one => one.textContent.startsWith('Draw 200 more')).click()"
    )
    assert cells(shown, 1)[-1] == "399"
    shown.inside(
        "(() => { const box = document.querySelector('input[type=search]'); box.value = 'row 9999'; box.dispatchEvent(new Event('input')); })()"
    )
    assert cells(shown, 2) == ["row 9999"]
    assert shown.text("#said") == "1 row with these words."


def test_a_huge_cell_is_short_until_it_is_opened(shown: Host) -> None:
    shown.give(rows([column("t")], [["x" * 20_000], ["short"]]))
    assert len(cells(shown, 1)[0]) < 300
    shown.click("#view td button")
    assert "x" * 20_000 in cells(shown, 1)[0]
    assert shown.inside("document.querySelector('#view td button').ariaExpanded") == "true"
    assert shown.inside("document.documentElement.scrollWidth <= innerWidth")


def test_what_is_cut_masked_left_out_or_noticed_is_told(shown: Host) -> None:
    columns = [column("a", cut=True), column("b", masked=True)]
    shown.give(
        rows(columns, [["x…", "[masked]"]], shown=5, more=True, stopped_by="bytes", cursor="c", notices=["be careful"])
    )
    told = shown.text("#view")
    for words in (
        "First 5 rows, more follow", "stopped at its limit of bytes", "4 rows were too large for this view",
        "Values of a are cut after 400 characters", "Masked: b.", "Notice: be careful",
    ):  # fmt: skip
        assert words in told


def test_null_and_the_empty_text_are_told_apart(shown: Host) -> None:
    shown.give(rows([column("t")], [[None], [""], ["NULL"]]))
    assert shown.inside(f"[...document.querySelectorAll('{BODY} td')].map(one => one.innerHTML)") == [
        "NULL", '<span class="null">empty</span>', "NULL",
    ]  # fmt: skip
    assert shown.inside(f"[...document.querySelectorAll('{BODY} td')].map(one => one.className)") == [
        "null text",
        "text",
        "text",
    ]


def test_values_and_names_are_text_whatever_they_say(shown: Host) -> None:
    values = [*MARKUP, f"safe{BIDI}gpj.exe", "javascript:hacked=1"]
    shown.give(
        rows([column(f"<b>{BIDI}name</b>"), column("__proto__")], [[value, value] for value in values]),
        {"sql": MARKUP[1]},
    )
    expected = [value.replace(BIDI, "⟦U+202E⟧") for value in values]
    assert cells(shown, 1) == expected
    assert "<b>⟦U+202E⟧name</b>" in shown.text("thead")
    sort(shown, 2)
    assert sorted(cells(shown, 2)) == sorted(expected)
    assert (
        shown.inside("document.querySelectorAll('#view img, #view script, #view iframe, #view b, #view a').length") == 0
    )


def test_columns_that_suit_a_chart_get_one(shown: Host) -> None:
    days = [[f"2026-03-{day:02}", str(day * day), str(1000 - day)] for day in range(1, 31)]
    shown.give(rows([column("day", "time"), column("orders", "number"), column("left", "number")], days))
    shown.click("#tab-chart")
    assert (
        shown.inside("document.querySelector('svg').getAttribute('aria-label')")
        == "Line of orders by day: 30 values from 1 to 900"
    )
    shown.inside(
        "(() => { const box = document.querySelector('select'); box.value = '1'; box.dispatchEvent(new Event('change')); })()"
    )
    assert "left by day: 30 values from 970 to 999" in shown.inside(
        "document.querySelector('svg').getAttribute('aria-label')"
    )
    assert len(shown.inside("document.querySelector('polyline').getAttribute('points')").split()) == 30


def test_a_few_named_amounts_are_bars_and_their_names_are_text(shown: Host) -> None:
    shown.give(rows([column("what"), column("much", "number")], [[name, str(n - 2)] for n, name in enumerate(MARKUP)]))
    shown.click("#tab-chart")
    assert shown.inside("document.querySelectorAll('svg rect').length") == len(MARKUP)
    assert shown.inside("document.querySelectorAll('svg :not(line):not(text):not(rect):not(title)').length") == 0
    titles = shown.inside("[...document.querySelectorAll('svg title')].map(one => one.textContent)")
    assert titles[0] == f"{MARKUP[0]}: -2"
    # Below nothing is below the line of zero.
    below, above = shown.inside(
        "(() => { const r = [...document.querySelectorAll('rect')]; const zero = Number(document.querySelector('.base').getAttribute('y1')); return [r[0], r[6]].map(one => Number(one.getAttribute('y')) - zero); })()"
    )
    assert below >= 0 > above


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ([column("a"), column("b")], [["x", "y"], ["z", "w"]]),
        ([column("id", "number"), column("name")], [["1", "y"], ["2", "w"]]),
        ([column("name"), column("n", "number")], [["x", "1"]]),
        ([column("name"), column("n", "number", masked=True)], [["x", "1"], ["y", "2"]]),
        ([column("name"), column("n", "number")], [[str(n), str(n)] for n in range(41)]),
        ([column("name"), column("n", "number")], [["x", None], ["y", "NaN"]]),
    ],
)  # fmt: skip
def test_columns_that_suit_none_get_no_chart(
    shown: Host, columns: list[Message], values: list[list[str | None]]
) -> None:
    shown.give(rows(columns, values))
    assert shown.inside("document.querySelector('[role=tablist]')") is None


def test_the_rows_that_follow_come_through_the_host_with_the_same_query(shown: Host) -> None:
    given = {"sql": "SELECT n FROM t", "params": [1]}
    shown.give(rows([column("n", "number")], [["1"], ["2"]], more=True, cursor="abc"), given)
    shown.inside("[...document.querySelectorAll('button')].find(one => one.textContent === 'Get more rows').click()")
    call = shown.asked()
    assert call["params"] == {"name": "run_query", "arguments": {**given, "cursor": "abc"}}
    shown.answer(call, {"result": rows([column("n", "number")], [["3"]], skip=2)})
    shown.see("document.querySelectorAll('tbody tr').length === 3")
    assert shown.texts("tbody th") == ["1", "2", "3"]
    assert shown.text("h1") == "3 rows"
    assert shown.inside("document.activeElement.id") == "panel"
    assert "Get more rows" not in shown.text()


def test_a_refusal_of_the_rows_that_follow_is_told_and_can_be_tried_again(shown: Host) -> None:
    for answer in (
        {"error": {"code": -32000, "message": "the person said no"}},
        {"result": {"isError": True, "content": [{"type": "text", "text": "bad_cursor: <b>gone</b>"}]}},
        {"result": {"content": [{"type": "text", "text": "words alone"}]}},
    ):
        shown.give(rows([column("n", "number")], [["1"]], more=True, cursor="abc"))
        shown.inside(
            "[...document.querySelectorAll('button')].find(one => one.textContent === 'Get more rows').click()"
        )
        shown.answer(shown.asked(), answer)
        shown.see("document.getElementById('said').getAttribute('role') === 'alert'")
        assert not shown.inside("[...document.querySelectorAll('button')].some(one => one.disabled)")
        shown.inside("document.getElementById('said').setAttribute('role', 'status')")


def test_a_host_that_passes_no_calls_on_is_not_asked_to(host: Host) -> None:
    host.mount(content("rows_view"), able={})
    host.give(rows([column("n", "number")], [["1"]], more=True, cursor="abc"))
    assert "Get more rows" not in host.text()


def test_tabs_and_headings_work_by_keyboard_and_are_known_to_a_screen_reader(shown: Host) -> None:
    shown.give(rows([column("what"), column("much", "number")], [["a", "1"], ["b", "2"]]))
    shown.inside("document.getElementById('tab-table').focus()")
    shown.page.press("ArrowRight")
    shown.see("document.activeElement.id === 'tab-chart' && document.activeElement.ariaSelected === 'true'")
    shown.page.press("ArrowLeft")
    shown.see("document.activeElement.id === 'tab-table'")
    shown.page.press("Tab")
    shown.page.press("Tab")
    shown.page.press("Enter")
    shown.see("document.querySelector('thead th:not(.row)').ariaSort === 'ascending'")
    roles = shown.accessible()
    assert {("tab", "Table"), ("tabpanel", "Table"), ("region", "Rows")} <= roles


def test_on_a_phone_nothing_but_the_table_itself_is_wider_than_the_screen(shown: Host) -> None:
    shown.page.viewport(320, 700, touch=True)
    wide = [column(f"column_{n}", "text") for n in range(20)]
    shown.give(rows(wide, [["w" * 50] * 20] * 10), {"sql": "SELECT " + "x" * 500})
    shown.inside("document.querySelector('details').open = true")
    assert shown.inside(
        "[document.documentElement.scrollWidth, document.querySelector('.grid').scrollWidth > 320]"
    ) == [320, True]
