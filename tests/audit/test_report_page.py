"""The report as a person meets it, in Chromium: it shows what the journal has, to everyone, and hostile text stays text."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.audit.cli import run
from gatelodge_core.audit.journal import Journal
from gatelodge_core.audit.query import Called, calls, entries
from gatelodge_core.audit.records import Intent, Refusal
from gatelodge_core.audit.report.summary import SHOWN

from tests.audit.test_report import HOSTILE, hostile_journal
from tests.browser.finding import Browser, needs_chromium
from tests.browser.fixtures import browser, page
from tests.browser.page import SHIFT, Page, Scheme
from tests.support.journals import UNSYNCED, made_up_week, spoiled

__all__ = ["browser", "page"]
pytestmark = needs_chromium

READY = "document.documentElement.dataset.ready"
SIZES = [(1280, 800), (390, 844), (320, 640)]
SCHEMES: list[Scheme] = ["light", "dark"]


class Report:
    """A journal and its page."""

    def __init__(self, journal: Path, page: Path) -> None:
        self.journal, self.page = journal, page
        run(["report", "--directory", str(journal), "--out", str(page)])
        self.calls: list[Called] = sorted(calls(entries(str(journal))), key=lambda call: call.entry.text("ts"))

    def count(self, **fields: str) -> int:
        return sum(all(call.entry.text(name) == value for name, value in fields.items()) for call in self.calls)


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("page")
    return Report(made_up_week(folder / "j", 3000), folder / "r.html")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("page")
    return Report(hostile_journal(folder / "j"), folder / "r.html")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("page")
    journal = made_up_week(folder / "j", 1000)
    spoiled(journal, lambda lines: lines.replace(b'"effect":"destroy"', b'"effect":"read"', 1))
    return Report(journal, folder / "r.html")


def opened(page: Page, report: Report, width: int = 1280, height: int = 800) -> Page:
    page.viewport(width, height, touch=width < 700)
    page.open(report.page)
    page.wait(READY)
    return page


def quiet(page: Page) -> None:
    assert page.errors == []
    assert page.requests == []


def matched(page: Page) -> str:
    return page.text("#matched")


def facet(page: Page, name: str, value: str) -> None:
    """Click a value of a list."""
    page.evaluate(
        f"[...document.querySelectorAll('[aria-labelledby=facet-{name}] li button')]"
        f".find(item => item.querySelector('.name').innerText === {json.dumps(value)}).id = 'wanted'"
    )
    page.click("#wanted")


def names(page: Page) -> list[str]:
    """The rows of the list that are drawn."""
    return page.evaluate(
        "[...document.querySelectorAll('#rows tbody tr[data-at] .c-name')].map(cell => cell.innerText)"
    )


def test_it_opens_without_a_request_or_a_complaint_and_says_what_the_journal_has(page: Page, week: Report) -> None:
    opened(page, week)
    assert page.text("h1") == "What happened"
    assert "Journal verified" in page.text("#verdict")
    assert matched(page) == "3,000 calls"
    refused = sum(call.entry.text("type") == "refusal" for call in week.calls)
    assert page.text("#number-refused") == str(refused)
    assert names(page)[:5] == [call.entry.text("name") for call in week.calls[:-6:-1]]
    quiet(page)


def test_the_numbers_of_the_scripts_are_those_of_the_plain_summary(page: Page, week: Report) -> None:
    html = week.page.read_text("utf-8")
    plain = dict(re.findall(r'<dd id="number-(\w+)">([^<]*)</dd>', html))
    opened(page, week)
    assert {name: page.text(f"#number-{name}") for name in plain} == plain
    rows = {
        tuple(cells)
        for cells in page.evaluate(
            "[...document.querySelectorAll('#latency tbody tr')].map(row => [...row.cells].slice(0, 6).map(cell => cell.innerText))"
        )
    }
    table = page.evaluate(
        "[...document.querySelectorAll('#plain table')].find(one => one.caption.textContent === 'Calls by tool')"
        ".tBodies[0].rows.length"
    )
    assert 10 <= table <= SHOWN
    tools = {
        cells[0].split()[-1]: tuple(cells[4:])
        for cells in page.evaluate(
            "[...[...document.querySelectorAll('#plain table')].find(one => one.caption.textContent === 'Calls by tool')"
            ".tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent))"
        )
    }
    assert {row[0]: row[3:] for row in rows} == {name: tools[name] for name, *_ in rows}


def test_a_value_is_chosen_and_taken_back(page: Page, week: Report) -> None:
    opened(page, week)
    facet(page, "server", "github")
    github = sum(call.entry.server == "github" for call in week.calls)
    assert matched(page) == f"{github:,} of 3,000 calls"
    facet(page, "decision", "deny")
    denied = sum(call.entry.server == "github" and call.entry.text("decision") == "deny" for call in week.calls)
    assert matched(page) == f"{denied:,} of 3,000 calls"
    assert page.text("#number-refused") == str(denied)
    # What was clicked has the focus still, and says that it is chosen.
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    page.click("#chosen button")
    assert matched(page) == f"{week.count(decision='deny'):,} of 3,000 calls"
    # The focus goes on to what is left, and from there nowhere.
    assert page.evaluate("document.activeElement.parentElement.id") == "chosen"
    page.press("Enter")
    assert matched(page) == "3,000 calls"
    assert page.evaluate("document.activeElement.id") == "reset"
    assert page.evaluate("document.activeElement.getAttribute('aria-disabled')") == "true"
    page.press("Enter")
    assert matched(page) == "3,000 calls"
    quiet(page)


@pytest.mark.parametrize("query", ["read_file", "ANN@EXAMPLE", "policy github", "rule on line 6", "no such thing"])
def test_the_search_finds_what_has_all_the_words(page: Page, week: Report, query: str) -> None:
    opened(page, week)
    page.click("#search")
    page.type(query)

    def has(call: Called, word: str) -> bool:
        fields = [call.entry.server, call.entry.file, *map(str, call.entry.table("principal").values())]
        fields += [call.entry.text(name) for name in ("name", "reason", "rule", "decision", "kind", "effect")]
        return any(word in field.lower() for field in fields)

    number = sum(all(has(call, word) for word in query.lower().split()) for call in week.calls)
    page.wait(f"document.querySelector('#matched').innerText === '{number:,} of 3,000 calls'")


def test_a_call_is_found_by_the_beginning_of_its_arguments_digest(page: Page, week: Report) -> None:
    opened(page, week)
    digests = Counter(call.entry.text("args")[7:17] for call in week.calls)
    digest, number = digests.most_common(1)[0]
    page.click("#search")
    page.type(digest)
    page.wait(f"document.querySelector('#matched').innerText === '{number:,} of 3,000 calls'")


def test_a_time_is_chosen_by_dragging_and_by_the_fields(page: Page, week: Report) -> None:
    opened(page, week)
    page.evaluate("document.querySelector('#timeline').scrollIntoView({block: 'center', behavior: 'instant'})")
    box = page.evaluate("document.querySelector('#timeline svg').getBoundingClientRect().toJSON()")
    y = box["y"] + 60
    for kind, share in (("mousePressed", 0.30), ("mouseMoved", 0.4), ("mouseReleased", 0.45)):
        x = box["x"] + box["width"] * share
        page.command(
            "Input.dispatchMouseEvent",
            {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1},
        )
    page.wait("document.querySelector('#from').value && document.querySelector('#to').value")
    begin, end = page.evaluate("[document.querySelector('#from').value, document.querySelector('#to').value]")
    assert "2026-11-17" < begin < "2026-11-19" <= end < "2026-11-20"
    number = sum(begin <= call.entry.text("ts")[:19] < end for call in week.calls)
    assert matched(page) == f"{number:,} of 3,000 calls"
    for name, value in (("to", "2026-11-21T00:00:00"), ("from", "2026-11-20T00:00:00")):
        field = f"document.getElementById('{name}')"
        page.evaluate(f"{field}.value = '{value}', {field}.dispatchEvent(new Event('change'))")
    number = sum("2026-11-20" <= call.entry.text("ts") < "2026-11-21" for call in week.calls)
    assert matched(page) == f"{number:,} of 3,000 calls"


def test_the_list_is_walked_by_keys_to_its_end_and_a_call_is_opened_and_closed(page: Page, week: Report) -> None:
    opened(page, week)
    page.evaluate("document.querySelector('#rows').focus()")
    page.press("ArrowDown")
    page.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.at") == "1"
    page.press("End")
    assert page.evaluate("document.activeElement.dataset.at") == "2999"
    assert page.evaluate("document.activeElement.getAttribute('aria-rowindex')") == "3001"
    assert names(page)[-1] == week.calls[0].entry.text("name")
    # However long the list, few rows are in the document.
    assert len(names(page)) < 60
    assert page.evaluate(
        "(() => { const row = document.activeElement.getBoundingClientRect(), box = document.querySelector('#rows').getBoundingClientRect();"
        " return row.top >= box.top && row.bottom <= box.bottom + 1; })()"
    )
    page.press("Enter")
    assert page.evaluate("document.querySelector('#details').open")
    first = week.calls[0].entry
    shown = page.text("#details")
    for text in (first.text("name"), first.file, f"sequence {first.fields['seq']}", first.text("args")[7:19]):
        assert text in shown
    page.press("Escape")
    page.wait("!document.querySelector('#details').open && document.activeElement.dataset.at === '2999'")
    page.press("PageUp")
    page.press("Home")
    assert page.evaluate("document.activeElement.dataset.at") == "0"
    quiet(page)


def test_the_list_is_sorted_by_duration_and_back(page: Page, week: Report) -> None:
    opened(page, week)
    longest = max(week.calls, key=lambda call: float(call.outcome.text("ms")) if call.outcome else -1)
    page.click("#rows th.c-ms button")
    assert page.evaluate("document.querySelector('#rows th.c-ms').getAttribute('aria-sort')") == "descending"
    assert names(page)[0] == longest.entry.text("name")
    page.click("#rows th.c-ms button")
    page.press("ArrowDown")
    assert page.evaluate("document.querySelector('#rows th.c-ms').getAttribute('aria-sort')") == "ascending"
    page.click("#rows th.c-time button")
    assert names(page)[0] == week.calls[-1].entry.text("name")


def test_flows_are_drawn_and_lead_to_their_calls(page: Page, week: Report) -> None:
    opened(page, week)
    assert page.evaluate("document.querySelectorAll('#flows path.flow').length") > 5
    page.evaluate("document.querySelector('#flow-table details').open = true")
    cells = page.evaluate("[...document.querySelector('#flow-table tbody tr').cells].map(cell => cell.innerText)")
    page.click("#flow-table tbody button")
    number = sum(int(cell.replace(",", "")) for cell in cells[2:5])
    assert matched(page) == f"{number:,} of 3,000 calls"
    assert set(names(page)) == {cells[1].split()[1]}


def test_a_reason_leads_to_its_calls(page: Page, week: Report) -> None:
    opened(page, week)
    reason, number = Counter(call.entry.text("reason") for call in week.calls if not call.outcome).most_common(2)[0]
    assert page.text("#refusals tbody th") == reason
    page.click("#refusals tbody th button")
    assert matched(page) == f"{number:,} of 3,000 calls"


def test_a_broken_chain_is_loud_and_its_calls_are_marked(page: Page, broken: Report) -> None:
    opened(page, broken)
    assert page.evaluate("document.querySelector('#verdict').getAttribute('role')") == "alert"
    text = page.text("#verdict")
    assert re.search(r"Journal broken: 1 defect", text)
    assert re.search(r"filesystem-[0-9]+-[0-9a-f]{32}\.jsonl\s+\d+\s+\d+\s+changed", text)
    facet(page, "server", "filesystem")
    assert "in doubt" in page.text("#rows")
    page.click("#rows tbody tr[data-at]")
    assert "in doubt: it stands at or after a defect" in page.text("#details")
    quiet(page)


def test_a_record_that_stands_for_many_refusals_says_so(page: Page, tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "j"), server="github", version="1", settings=UNSYNCED) as journal:
        journal.refusal(Refusal(Intent("", count=1234), "unauthenticated"))
    opened(page, Report(tmp_path / "j", tmp_path / "r.html"))
    assert "refused \u00d71,234" in page.text("#rows")
    page.click("#rows tbody tr[data-at]")
    assert "1,234 calls that were refused alike" in page.text("#details")


def test_without_scripts_the_summary_is_all_there(browser: Browser, week: Report) -> None:
    with browser.page(javascript=False) as page:
        page.open(week.page)
        document = page.command("DOM.getDocument", {"depth": 0})["root"]["nodeId"]

        def height(selector: str) -> float:
            node = page.command("DOM.querySelector", {"nodeId": document, "selector": selector})["nodeId"]
            try:
                return page.command("DOM.getBoxModel", {"nodeId": node})["model"]["height"]
            except Exception:  # noqa: BLE001 - what isn't shown has no box
                return 0.0

        assert height("#plain") > 500
        assert height("noscript p") > 0
        assert height("#live") == height("#details") == 0
        quiet(page)


@pytest.mark.parametrize("scripts", [True, False])
def test_hostile_text_stays_text(browser: Browser, hostile: Report, scripts: bool) -> None:
    with browser.page(javascript=scripts) as page:
        page.open(hostile.page)
        if scripts:
            page.wait(READY)
            for at in range(min(len(hostile.calls), 8)):
                page.evaluate(f"document.querySelector('#rows tr[data-at=\"{at}\"]').click()")
                page.press("Escape")
            page.click("#search")
            page.type("<img onerror")
            page.wait("document.querySelector('#matched').innerText === '2 of 22 calls'")
            for value in ("</script><script>window.pwned=1</script>", "__proto__", "constructor"):
                page.click("#reset")
                page.evaluate(
                    "document.querySelector('[aria-labelledby=facet-place] .more[aria-expanded=false]')?.click()"
                )
                facet(page, "place", value)
                assert matched(page) == "2 of 22 calls"
            page.click("#reset")
            assert page.evaluate("window.pwned") is None
            assert page.evaluate("document.querySelectorAll('img, iframe, object, embed, base, form').length") == 0
            assert page.evaluate("document.querySelectorAll('script').length") == 2
            html = page.evaluate("document.documentElement.outerHTML")
            # Neither as it came nor by way of an escape does it turn or hide what surrounds it.
            assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\ufeff\x00-\x08\x1b\x7f]", html)
            wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert wide[0] <= wide[1]
        quiet(page)
    assert len(hostile.calls) == 2 * len(HOSTILE)


def test_the_policy_would_stop_a_script_that_got_in(page: Page, week: Report, tmp_path: Path) -> None:
    # What the tests above rely on is there: the page's own policy refuses what someone might add.
    file = tmp_path / "r.html"
    html = week.page.read_text("utf-8")
    attacks = (
        "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'><base href='http://127.0.0.1:1/'>"
        "<link rel=stylesheet href='http://127.0.0.1:1/x.css'><iframe src='http://127.0.0.1:1/'></iframe>"
    )
    file.write_text(html.replace("<main>", f"<main>{attacks}"), encoding="utf-8")
    page.open(file)
    page.wait(READY)
    assert page.evaluate("window.pwned") is None
    with pytest.raises(Exception, match="TrustedHTML"):
        page.evaluate("document.querySelector('h1').innerHTML = '<b>x</b>'")
    errors = "\n".join(page.errors)
    for kind in ("script", "stylesheet", "Framing"):
        assert re.search(f"(?i){kind}.*violates the following Content Security Policy", errors), errors


CONTRAST = """(() => {
    const parse = (text) => { const found = text.match(/[\\d.]+/g).map(Number); return found.length < 4 ? [...found, 1] : found; };
    const over = (top, below) => [0, 1, 2].map(at => top[at] * top[3] + below[at] * (1 - top[3]));
    const light = (color) => {
        const [r, g, b] = color.map(one => { const c = one / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (node) => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) {
            const style = getComputedStyle(at);
            layers.push(parse(style.backgroundColor));
            const before = getComputedStyle(at, '::before');
            if (before.content !== 'none' && before.position === 'absolute') layers.push(parse(before.backgroundColor));
        }
        return layers.reverse().reduce((below, top) => over(top, below), parse(getComputedStyle(document.body).backgroundColor).slice(0, 3));
    };
    const bad = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let seen = 0;
    for (let node; (node = walker.nextNode());) {
        const parent = node.parentElement;
        if (!node.data.trim() || !parent.checkVisibility() || parent.closest('script, style, title, noscript')) continue;
        seen += 1;
        const style = getComputedStyle(parent);
        const below = behind(parent);
        const ink = parse(parent.namespaceURI.endsWith('svg') ? style.fill : style.color);
        const [one, other] = [light(over(ink, below)), light(below)].sort((a, b) => b - a);
        const ratio = (one + 0.05) / (other + 0.05);
        if (ratio < 4.5) bad.push(`${ratio.toFixed(2)} ${parent.className?.baseVal ?? parent.className} ${node.data.trim().slice(0, 30)}`);
    }
    return { seen, bad: [...new Set(bad)] };
})()"""


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("which", ["week", "broken"])
def test_every_text_has_contrast_enough(page: Page, scheme: Scheme, which: str, request: pytest.FixtureRequest) -> None:
    page.media(scheme)
    opened(page, request.getfixturevalue(which))
    facet(page, "server", "github")
    page.evaluate("document.querySelector('#flow-table details').open = true")
    page.evaluate("document.querySelector('#rows tr[data-at]').focus()")
    found = page.evaluate(CONTRAST)
    assert found["seen"] > 200
    assert found["bad"] == []
    # Every outcome, also on the background of a call in doubt.
    for change in ("", "badge.closest('tr').classList.add('doubt');"):
        page.evaluate(
            "document.querySelectorAll('#rows .badge').forEach((badge, at) => {"
            f" badge.className = 'badge is-' + ['ok', 'error', 'refused', 'unfinished'][at % 4]; {change} }})"
        )
        assert page.evaluate(CONTRAST)["bad"] == []
    page.evaluate("document.querySelector('#rows tr[data-at]').click()")
    assert page.evaluate(CONTRAST)["bad"] == []


def test_every_control_has_a_name_and_every_part_a_place(page: Page, week: Report) -> None:
    opened(page, week)
    tree = page.accessible()
    roles = Counter(node["role"] for node in tree)
    assert roles["banner"] == roles["main"] == roles["contentinfo"] == roles["search"] == 1
    assert roles["grid"] == 1
    for node in tree:
        if node["role"] in (
            "button",
            "link",
            "searchbox",
            "textbox",
            "grid",
            "region",
            "table",
            "img",
            "figure",
            "InputTime",
        ):
            assert node["name"], node
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3')].filter(one => one.checkVisibility()).map(one => +one.tagName[1])"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map(one => one.id)).size") == page.evaluate(
        "document.querySelectorAll('[id]').length"
    )


def test_the_tab_key_goes_down_the_page_and_the_focus_is_always_seen(page: Page, week: Report) -> None:
    opened(page, week)
    order: list[str] = []
    places: list[float] = []
    for _ in range(90):
        page.press("Tab")
        told: dict[str, Any] = page.evaluate(
            """(() => { const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
            return { id: at.id || at.closest('[id]')?.id || '', outline: style.outlineStyle !== 'none' ? parseFloat(style.outlineWidth) : 0,
                     top: box.top + scrollY, sticky: !!at.closest('.filters'), body: at === document.body }; })()"""
        )
        if told["body"]:
            break
        assert told["outline"] >= 2, told
        order.append(told["id"])
        places.append(told["top"])
    assert order[0] != order[-1]
    wanted = ["search", "from", "to", "facets", "latency", "refusals", "flow-table", "rows"]
    firsts = [
        next((at for at, name in enumerate(order) if name.startswith(item)), -1) for item in wanted if item != "facets"
    ]
    assert -1 not in firsts, order
    assert firsts == sorted(firsts)
    page.press("Tab", modifiers=SHIFT)
    quiet(page)


def test_the_mark_of_the_focus_is_around_a_field_and_inside_a_row_whose_box_would_cut_it_off(
    page: Page, week: Report
) -> None:
    opened(page, week)
    offset = "getComputedStyle(document.activeElement).outlineOffset"
    page.evaluate("document.getElementById('search').focus()")
    assert page.evaluate(offset) == "2px"
    page.evaluate("document.querySelector('.rows tbody tr[tabindex=\"0\"]').focus({focusVisible: true})")
    assert page.evaluate(offset) == "-3px"


@pytest.mark.parametrize("width", [320, 360, 390, 480, 768, 1400])
def test_the_fields_of_the_time_have_room_for_date_and_time(page: Page, week: Report, width: int) -> None:
    opened(page, week, width)
    for name in ("from", "to"):
        has, needs = page.evaluate(
            f"""(() => {{ const field = document.getElementById('{name}'), has = field.offsetWidth;
            field.style.cssText = 'width: max-content; justify-self: start'; const needs = field.offsetWidth;
            field.style.cssText = ''; return [has, needs]; }})()"""
        )
        assert has >= needs > 150


@pytest.mark.parametrize("which", ["week", "hostile", "broken"])
def test_nothing_is_wider_than_the_screen(page: Page, which: str, request: pytest.FixtureRequest) -> None:
    for size in SIZES:
        opened(page, request.getfixturevalue(which), *size)
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide == [size[0], size[0]]
        if size[0] > 700:
            continue
        # What is touched is large enough to be (WCAG 2.5.8: 24 pixels).
        small = page.evaluate(
            "[...document.querySelectorAll('button, input, summary')].filter(one => one.checkVisibility())"
            ".map(one => [one.textContent, one.getBoundingClientRect().height]).filter(([, high]) => high < 24)"
        )
        assert small == []


def test_the_name_of_a_call_can_be_read_at_every_width(page: Page, week: Report) -> None:
    opened(page, week)
    for width in (1600, 1300, 1250, 1240, 1000, 965, 955, 840, 825, 720, 700, 390, 320):
        page.viewport(width, 800)
        wide = page.evaluate("document.querySelector('#rows tbody tr[data-at] .c-name').getBoundingClientRect().width")
        assert wide >= 100, width
        assert page.evaluate(
            "document.querySelector('#rows').scrollWidth <= document.querySelector('#rows').clientWidth"
        )


def test_on_paper_the_calls_are_rows_and_the_controls_are_gone(page: Page, week: Report) -> None:
    opened(page, week)
    page.media(medium="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait("document.querySelectorAll('#rows tbody tr[data-at]').length === 500")
    assert "The first 500 of 3,000 calls." in page.text("#calls")
    assert page.evaluate("document.querySelector('#rows').scrollHeight <= document.querySelector('#rows').clientHeight")
    assert not page.evaluate("document.querySelector('#search').checkVisibility()")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.media()
    page.wait("document.querySelectorAll('#rows tbody tr[data-at]').length < 60")
    assert "The first 500" not in page.text("#calls")
    pdf = page.command("Page.printToPDF", {"transferMode": "ReturnAsBase64"})
    assert len(pdf["data"]) > 10_000


def test_whoever_wants_no_motion_has_none(page: Page, week: Report) -> None:
    page.media(reduced_motion=True)
    opened(page, week)
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert page.evaluate("document.getAnimations().length") == 0


def test_a_journal_without_calls_is_a_page_too(page: Page, tmp_path: Path) -> None:
    (tmp_path / "j").mkdir()
    opened(page, Report(tmp_path / "j", tmp_path / "r.html"))
    assert "The journal is empty." in page.text("#verdict")
    assert matched(page) == "0 calls"
    page.evaluate("document.querySelector('#rows').focus()")
    page.press("End")
    page.press("Enter")
    assert not page.evaluate("document.querySelector('#details').open")
    quiet(page)


def test_a_browser_that_can_not_unpack_shows_the_plain_summary(page: Page, week: Report) -> None:
    page.command("Page.addScriptToEvaluateOnNewDocument", {"source": "delete window.DecompressionStream"})
    page.open(week.page)
    page.wait("!document.querySelector('#trouble').hidden")
    assert page.evaluate("document.querySelector('#plain').checkVisibility()")
    assert "the summary is complete without it" in page.text("#trouble")


@pytest.mark.parametrize("width", [390, 320])
def test_on_a_phone_the_time_of_a_call_can_be_read_and_no_name_of_a_flow_is_cut_off(
    browser: Browser, hostile: Report, width: int
) -> None:
    with browser.page() as page:
        page.viewport(width, 900, touch=True)
        page.open(hostile.page)
        page.wait(READY)
        page.evaluate("document.querySelector('#calls').scrollIntoView()")
        page.wait("document.querySelector('#rows tbody tr[data-at] .c-time')")
        for part in ("c-time", "c-status"):
            cell = f"document.querySelector('#rows tbody tr[data-at] .{part}')"
            assert page.evaluate(f"{cell}.scrollWidth <= {cell}.clientWidth"), part
        outside = """[...document.querySelectorAll('#flows svg text')].filter((text) => {
          const own = text.getBoundingClientRect(), all = text.ownerSVGElement.getBoundingClientRect();
          return own.left < all.left - 1 || own.right > all.right + 1;
        }).map((text) => text.textContent)"""
        assert page.evaluate("document.querySelectorAll('#flows svg text').length") > 0
        assert page.evaluate(outside) == []
