"""Data that is deep, wide, huge or odd: each view draws it, or its text, and stays quick and readable."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apps.fixtures import content, host
from tests.apps.hosting import Host, result_with
from tests.apps.test_cards_view import found, hit
from tests.apps.test_diff_view import diff
from tests.apps.test_plan_view import plan, step
from tests.apps.test_rows_view import cells, column, rows, sort
from tests.browser.finding import needs_chromium
from tests.browser.fixtures import browser, page
from tests.support.wire import Message

__all__ = ["browser", "host", "page"]
pytestmark = needs_chromium

ODD = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e308",
    "-1e308",
    "1e309",
    "-0",
    "0",
    "5e-324",
    "1" * 5000,
    "1" * 400 + "…",
    "",
    "x",
    "1e",
    ".",
)


@pytest.fixture
def shown(host: Host) -> Host:
    host.mount(content("rows_view"))
    return host


def test_a_number_that_was_cut_is_read_in_one_pass(shown: Host) -> None:
    # With a pattern that goes back and forth, one look at it would take hours.
    shown.give(
        rows([column("t"), column("n", "number", cut=True)], [["a", "1" * 1_000_000 + "…"], ["b", "2"], ["c", "3"]])
    )
    sort(shown, 2)
    assert cells(shown, 1) == ["b", "c", "a"]


def test_odd_numbers_have_an_order_and_a_chart_or_none(shown: Host) -> None:
    shown.give(rows([column("t"), column("n", "number")], [[str(at), value] for at, value in enumerate(ODD)]))
    sort(shown, 2)
    # -0 and 0 are equal, and keep their order.
    assert cells(shown, 1)[:9] == [str(ODD.index(value)) for value in (
        "-Infinity", "-1e308", "-0", "0", "5e-324", "1e308", "Infinity", "1e309", "1" * 5000,
    )]  # fmt: skip
    shown.click("#tab-chart")
    assert not shown.inside(
        "/NaN|Infinity/.test(document.querySelector('#panel').innerHTML.replace(/<title>.*?<.title>/g, ''))"
    )


TIMES = (
    "-infinity", "0044-03-15 00:00:00 BC", "0001-01-01", "0050-01-01", "0999-12-31", "1950-01-01",
    "2026-01-01 00:00:00+00", "275760-09-13 00:00:00-12", "294276-12-31", "infinity",
)  # fmt: skip


def test_times_of_all_ages_sort_by_age(shown: Host) -> None:
    values = [TIMES[(at * 7) % 10] for at in range(10)]
    shown.give(rows([column("at", "time")], [[value] for value in values]))
    sort(shown, 1)
    assert cells(shown, 1) == list(TIMES)


@pytest.mark.parametrize(
    "last", ["275760-09-12 23:59:59-12", "294276-12-31", "275760-09-13", "infinity", "12026-05-01", "2026-99-99"]
)
def test_times_at_the_end_of_all_days_are_drawn_or_left_out(shown: Host, last: str) -> None:
    shown.give(
        rows([column("at", "time"), column("n", "number")], [["2026-01-01", "1"], ["2026-01-02", "2"], [last, "3"]])
    )
    shown.click("#tab-chart")
    assert "by at: " in shown.inside("document.querySelector('svg').getAttribute('aria-label')")
    assert "NaN" not in shown.inside("document.querySelector('svg').outerHTML")


def test_years_have_all_their_digits_below_a_chart(shown: Host) -> None:
    shown.give(rows([column("at", "time"), column("n", "number")], [["12026-01-01", "1"], ["12028-01-01", "2"]]))
    shown.click("#tab-chart")
    assert {"12026-01-01", "12028-01-01"} <= set(
        shown.inside("[...document.querySelectorAll('svg text')].map(one => one.textContent)")
    )


def test_a_table_of_very_many_columns_is_drawn_in_small_parts(shown: Host) -> None:
    columns = [column(f"c{n}", "number") for n in range(1664)]
    shown.give(rows(columns, [[str(n)] * 1664 for n in range(200)]))
    assert shown.inside("document.querySelectorAll('#view td').length") <= 40_000
    assert "more of 200" in shown.text("#panel > button")


def test_figures_of_a_result_that_are_none_are_not_shown_as_such(shown: Host) -> None:
    oddities: list[Any] = [None, "x", {}, [], {"toString": 1, "valueOf": 1}, -5, 1e308]
    for odd in oddities:
        shown.give(
            rows(
                [column("n", "number", cut=True, type=odd)],
                [["1"], ["2"]],
                ms=odd,
                limit=odd,
                shown=odd,
                skip=odd,
                cursor=odd,
                stopped_by=odd,
            )
        )
        assert cells(shown, 1) == ["1", "2"]
        assert "NaN" not in shown.text()
        assert "[object" not in shown.text()
        assert "-" not in shown.text("#view")
        assert max(map(len, shown.text().split())) < 40


def test_columns_of_the_same_name_are_told_apart_by_their_place(shown: Host) -> None:
    shown.give(rows([column("t"), column("n", "number"), column("n", "number")], [["a", "1", "9"], ["b", "2", "8"]]))
    sort(shown, 3)
    assert cells(shown, 3) == ["8", "9"]
    assert shown.inside("document.activeElement.closest('th').cellIndex") == 3
    shown.click("#tab-chart")
    assert shown.texts("select option") == ["n", "n (column 3)"]


def test_megabytes_in_one_cell_are_a_beginning_and_a_number(shown: Host) -> None:
    shown.give(rows([column("t"), column("j", "json")], [["\U0001f600" * 2_000_000, "{" * 2_000_000], ["a", "b"]]))
    assert shown.text("td .rest") == "show 1,999,760 more characters"
    sort(shown, 1)
    assert shown.inside("document.body.innerText.length") < 3000


def test_on_a_phone_one_long_value_does_not_fill_the_screen(shown: Host) -> None:
    shown.page.viewport(360, 700, touch=True)
    shown.give(
        rows(
            [column("t"), column("n", "number"), column("j", "json")],
            [["a", "1", '{"a":' + '"x"' * 200], ["b", "2", "{}"]],
        )
    )
    assert shown.inside("document.querySelector('#view tbody tr').getBoundingClientRect().height") < 250


def test_a_hundred_thousand_rows_are_sorted_searched_and_drawn_in_part(shown: Host) -> None:
    values = [[f"2026-01-01 {n % 24:02}:00:00+00", str(n)] for n in range(100_000)]
    shown.give(rows([column("at", "time"), column("n", "number")], values))
    sort(shown, 1)
    assert cells(shown, 2)[:2] == ["0", "24"]
    assert shown.inside("document.querySelectorAll('#view tbody tr').length") == 200


@pytest.mark.parametrize("depth", [100, 3000])
def test_a_plan_of_any_depth_stays_readable(host: Host, depth: int) -> None:
    host.page.viewport(360, 700, touch=True)
    host.mount(content("plan_view"))
    host.give(plan(*(step(at, f"Step {at}") for at in range(depth))))
    assert host.texts(".what")[-1] == f"Step {depth - 1}"
    assert f"level {depth:,}" in host.texts(".step")[-1]
    assert host.inside("document.documentElement.scrollWidth") <= 360
    # The last step has room for its words.
    assert host.inside("[...document.querySelectorAll('.step')].at(-1).getBoundingClientRect().width > 120")


@pytest.mark.parametrize("odd", [-5, 0.5, 1e308, float("inf"), "2", None, {}, "__proto__"])
def test_a_step_at_a_depth_that_is_none_is_drawn_all_the_same(host: Host, odd: object) -> None:
    host.mount(content("plan_view"))
    told = plan(step(0, "Top"))
    told["_meta"]["gatelodge/view"]["nodes"].append({"depth": 1e308 if odd == float("inf") else odd, "type": "Odd"})
    host.give(told)
    assert host.texts(".what") == ["Top", "Odd"]


@pytest.mark.parametrize("value", [1e308, -1e308, 1e21, -5, "x", {}, {"valueOf": 1, "toString": 1}, [7]])
def test_figures_of_a_plan_never_burst_it(host: Host, value: object) -> None:
    host.page.viewport(360, 700)
    host.mount(content("plan_view"))
    names = ("cost", "own", "rows", "actual", "loops", "own_ms", "removed", "disk")
    host.give(
        plan(
            step(0, "Scan", **dict.fromkeys(names, value)),
            step(1, "Scan"),
            planning=value,
            execution=value,
            before=value,
            left=value,
        )
    )
    assert len(host.texts(".what")) == 2
    told = host.text()
    assert "NaN" not in told
    assert "Infinity" not in told
    assert "[object" not in told
    assert max(map(len, told.split())) < 30
    assert all(0 <= float(share.split()[0]) <= 100 for share in host.texts(".share"))


@pytest.mark.parametrize("mark", ["__proto__", "constructor", "toString", "", "x", None, {}, 7])
def test_a_line_with_an_odd_sign_is_a_line_all_the_same(host: Host, mark: object) -> None:
    host.mount(content("diff_view"))
    told = diff()
    told["_meta"]["gatelodge/view"]["hunks"][0]["lines"].append([mark, 2, 2, "odd"])
    host.give(told)
    assert host.texts(".code") == ["old", "new", "odd"]


def test_a_diff_with_odd_figures_is_drawn(host: Host) -> None:
    host.mount(content("diff_view"))
    oddities: list[Any] = [1e308, -1, float("1e21"), "x", {}, None]
    for odd in oddities:
        told = diff(added=odd, removed=odd, left=odd)
        told["_meta"]["gatelodge/view"]["hunks"][0]["lines"] = [["-", odd, odd, "old"], ["+", odd, odd, "new"]]
        host.give(told)
        assert host.texts(".code") == ["old", "new"]
        assert max(map(len, host.text().split())) < 30


def test_edits_at_no_line_are_shown_and_never_sent(host: Host) -> None:
    host.mount(content("diff_view"))
    oddities: list[Any] = [None, "1", 1.5, -1, 1e308, {}]
    for odd in oddities:
        told = diff()
        told["_meta"]["gatelodge/view"]["hunks"][0]["edits"][0]["start_line"] = odd
        host.give(told)
        assert host.inside("document.querySelector('.hunk').dataset.state") == "fixed"


def test_megabytes_in_a_card_are_cut_and_the_rest_stays_in_reach(host: Host) -> None:
    host.mount(content("results_view"))
    huge = "word " * 400_000
    card = hit(
        "https://a.example/" + "p" * 1_000_000, title=huge, snippet=huge, published=huge, id=huge, engines=[huge] * 3
    )
    host.give(found(card, hit(title="The second"), engines=[{"engine": huge, "status": huge}]), {"query": huge})
    assert host.inside("document.body.innerText.length") < 30_000
    assert "The second" in host.text()


def test_on_a_phone_what_an_engine_says_is_no_wider_than_the_screen(host: Host) -> None:
    host.page.viewport(320, 700, touch=True)
    host.mount(content("results_view"))
    host.give(found(hit(id="i" * 90), engines=[{"engine": "e" * 90, "status": "s" * 90, "retry_after": 10**12}]))
    assert host.inside("document.documentElement.scrollWidth") == 320


def test_letters_of_two_units_are_never_cut_in_half(host: Host) -> None:
    host.mount(content("results_view"))
    host.give(found(hit()), {"query": "x" + "\U0001f600" * 200})
    heading = host.text("h1")
    assert heading.count("\U0001f600") == 118
    assert heading.isascii() is False
    assert host.inside("document.querySelector('h1').textContent.isWellFormed()")


@pytest.mark.parametrize("name", ["rows_view", "plan_view", "diff_view", "results_view"])
def test_ten_thousand_levels_of_data_are_nothing_that_is_walked(host: Host, name: str) -> None:
    host.mount(content(name))
    host.page.evaluate("""(() => {
        let deep = 'x';
        for (let at = 0; at < 2000; at++) deep = at % 2 ? [deep] : {kind: deep, __proto__x: deep};
        for (const kind of ['rows', 'plan', 'diff', 'pages'])
            host.tell('ui/notifications/tool-result', {content: [{type: 'text', text: 'the text'}], structuredContent: deep,
                _meta: {'gatelodge/view': {kind, columns: deep, rows: [[deep]], nodes: [deep], hunks: [deep], pages: [deep]}}});
        host.tell('ui/notifications/tool-result', {content: [{type: 'text', text: 'the end'}]});
    })()""")
    host.see("document.getElementById('view').innerText === 'the end'")


def test_a_result_of_very_many_or_huge_texts_is_shown(host: Host) -> None:
    host.mount(content("rows_view"))
    host.give({"content": [{"type": "text", "text": f"{n}"} for n in range(100_000)]})
    assert host.inside("document.querySelector('#view pre').textContent.endsWith('99999')")
    host.give(result_with({"kind": "rows", "columns": [], "rows": []}, "<untrusted-" + "x\n" * 1_000_000))
    assert host.inside("document.querySelector('#view pre').textContent.length") > 1_000_000


def test_every_odd_message_of_a_card_is_told(host: Host) -> None:
    host.mount(content("results_view"))
    odd: list[Message] = [{"title": value, "url": value, "snippet": value, "engines": value, "published": value, "id": value} for value in (None, 1, [], {}, ["x"], {"toString": 1})]  # fmt: skip
    host.give(
        {
            "content": [],
            "structuredContent": {
                "results": odd,
                "total": 1e308,
                "engines": [{"retry_after": 1e308, "engine": 1, "status": None}],
            },
        }
    )
    assert host.texts(".card h2") == ["Untitled"] * 6
    assert max(map(len, host.text().split())) < 40
