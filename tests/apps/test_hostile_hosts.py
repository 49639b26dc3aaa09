"""Hosts that answer wrongly, twice, late or never: nothing is taken for done that isn't, and a person can always go on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.apps.fixtures import content, host
from tests.apps.hosting import Host, result_with
from tests.apps.test_diff_view import accept, alert, diff
from tests.apps.test_protocol import each
from tests.apps.test_rows_view import column, rows
from tests.browser.finding import needs_chromium
from tests.browser.fixtures import browser, page
from tests.support.wire import Message

__all__ = ["browser", "host", "page"]
pytestmark = needs_chromium

CLOCK = """(() => {
    const begin = window.setTimeout, stop = window.clearTimeout, held = new Map();
    window.setTimeout = (act, after, ...more) => {
        if (!(after >= 5000)) return begin(act, after, ...more);
        held.set(-held.size - 1, act);
        return -held.size;
    };
    window.clearTimeout = id => held.delete(id) || stop(id);
    window.later = () => { for (const [id, act] of [...held]) { held.delete(id); act(); } };
})()"""
"""Waits of seconds pass when the test says ``later()``, and no sooner."""


def more(host: Host, words: str) -> str:
    """The expression of a button by its words."""
    return f"[...document.querySelectorAll('button')].find(one => one.textContent.startsWith({json.dumps(words)}))"


def accepted(base: str = "e3", change: str = "c9") -> Message:
    told = diff(base="e1", done=True, change=change)
    told["_meta"]["gatelodge/view"]["etag"] = base
    return told


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"result": None},
        {"result": 3},
        {"result": {}},
        {"result": []},
        {"result": {"content": "x"}},
        {"result": {"content": [], "resultType": "input_required", "requestState": "s"}},
    ],
)
def test_an_answer_that_is_no_result_is_never_taken_for_a_change(host: Host, answer: Message) -> None:
    host.mount(content("diff_view"))
    host.give(diff())
    accept(host)
    host.answer(host.asked(), answer)
    assert alert(host).startswith("It is not known whether the file was changed.")
    assert host.inside("document.querySelectorAll('[data-state=done]').length") == 0
    assert host.text(".acts .main") == "Accept 1 change"


def test_what_the_host_says_in_place_of_an_answer_is_no_word_on_the_file(host: Host) -> None:
    host.mount(content("diff_view"))
    host.give(diff())
    accept(host)
    host.answer(host.asked(), {"error": {"code": -32001, "message": "timed out " + "x" * 100_000}})
    told = alert(host)
    assert told.startswith("Nothing counts as changed. The host says: timed out")
    assert len(told) < 3000


def test_a_result_that_comes_again_while_a_call_is_under_way_is_not_mixed_with_its_answer(host: Host) -> None:
    host.mount(content("diff_view"))
    host.give(diff(old=""))
    accept(host)
    first = host.asked()
    host.give(diff(old="", path="root/other", base="other"))
    host.answer(first, {"result": accepted()})
    host.see("document.getElementById('said').textContent.startsWith('Accepted 1 change')")
    assert "root/x" in host.text("#said")
    # The other file's version is its own, and nothing of it was accepted.
    assert host.text(".acts .main") == "Accept 1 change"
    accept(host)
    sent = host.asked()["params"]["arguments"]
    assert (sent["path"], sent["if_match"], sent["edits"][0]["start_line"]) == ("root/other", "other", 1)


def test_answers_for_what_was_never_asked_and_second_answers_do_nothing(host: Host) -> None:
    host.mount(content("diff_view"))
    host.give(diff())
    accept(host)
    call = host.asked()
    oddities: list[Any] = [
        0,
        -1,
        99,
        "2",
        None,
        [],
        {},
        "__proto__",
        "constructor",
        1e308,
        [call["id"]],
        str(call["id"]),
    ]
    for odd in oddities:
        host.answer({"id": odd}, {"result": accepted()})
    host.page.evaluate("post({result: {content: []}})")
    host.settle()
    assert host.text(".acts .main") == "Asking…"
    host.answer(call, {"error": {"code": 1, "message": "no"}})
    host.answer(call, {"result": accepted()})
    assert alert(host).startswith("Nothing counts as changed.")
    host.settle()
    assert host.inside("document.querySelectorAll('[data-state=done]').length") == 0


def test_the_second_click_of_a_double_click_undoes_nothing(host: Host) -> None:
    host.mount(content("diff_view"))
    host.give(diff())
    place: list[float] = host.inside("""(() => {
        const box = document.querySelector('.acts .main').getBoundingClientRect();
        return [box.x + 20, box.y + box.height / 2];
    })()""")
    frame = host.page.evaluate("host.frame.getBoundingClientRect().toJSON()")
    at: Message = {"x": frame["x"] + place[0], "y": frame["y"] + place[1], "button": "left"}

    def click(count: int) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            host.page.command("Input.dispatchMouseEvent", {**at, "type": kind, "clickCount": count})

    click(1)
    host.answer(host.asked(), {"result": accepted()})
    host.see("document.querySelector('[data-state=done]') !== null")
    host.settle()
    # The button to undo stands where the other was.
    assert host.inside(f"document.elementFromPoint({place[0]}, {place[1]}).textContent") == "Undo"
    click(2)
    host.settle()
    assert host.page.evaluate("host.asked.length") == 0
    click(1)
    assert host.asked()["params"]["name"] == "undo_change"


def test_while_one_call_of_a_change_is_under_way_there_is_no_other(host: Host) -> None:
    host.mount(content("diff_view"))
    told = diff()
    data = told["_meta"]["gatelodge/view"]
    data["hunks"] = [data["hunks"][0], json.loads(json.dumps(data["hunks"][0]))]
    host.give(told)
    host.inside("document.querySelectorAll('.hunk input')[1].click()")
    accept(host)
    host.answer(host.asked(), {"result": accepted()})
    host.see("document.querySelector('[data-state=done]') !== null")
    host.inside("document.querySelector('.hunk input').click()")
    buttons = "[...document.querySelectorAll('.acts button')].map(one => one.disabled)"
    assert host.inside(buttons) == [False, False]
    host.inside(f"{more(host, 'Undo')}.click()")
    assert host.inside(buttons) == [True, True]
    # Nor does a tick bring it back.
    host.inside("document.querySelector('.hunk input').click(); document.querySelector('.hunk input').click()")
    assert host.inside(buttons) == [True, True]
    host.answer(host.asked(), {"error": {"code": 1, "message": "no"}})
    assert alert(host) == "Nothing counts as changed. The host says: no"
    assert host.inside(buttons) == [False, False]


def test_rows_that_follow_an_older_result_are_not_added_to_a_newer_one(host: Host) -> None:
    host.mount(content("rows_view"))
    host.give(rows([column("n", "number")], [["1"]], more=True, cursor="a"))
    host.inside(f"{more(host, 'Get more rows')}.click()")
    call = host.asked()
    host.give(rows([column("m")], [["new"]], more=True, cursor="b"))
    host.answer(call, {"result": rows([column("n", "number")], [["2"]])})
    host.settle()
    assert host.texts("#view tbody td") == ["new"]
    assert not host.inside(f"{more(host, 'Get more rows')}.disabled")


@pytest.mark.parametrize("other", [[], [column("n", "number"), column("x")], [column("other", "number")]])
def test_rows_with_other_columns_do_not_follow(host: Host, other: list[Message]) -> None:
    host.mount(content("rows_view"))
    host.give(rows([column("n", "number")], [["1"]], more=True, cursor="a"))
    host.inside(f"{more(host, 'Get more rows')}.click()")
    host.answer(host.asked(), {"result": rows(other, [["2"] * len(other)])})
    assert alert(host).startswith("The rows did not come.")
    assert host.texts("#view tbody td") == ["1"]
    host.inside("document.querySelector('thead th:not(.row) button').click()")
    assert host.texts("#view tbody td") == ["1"]


@pytest.fixture
def patient(host: Host) -> Host:
    """A host whose views wait as long as the test wants them to."""
    host.page.command("Page.addScriptToEvaluateOnNewDocument", {"source": CLOCK})
    return host


@each
def test_a_host_that_never_shakes_hands_is_told_of_and_may_do_it_late(patient: Host, name: str) -> None:
    patient.page.evaluate(f"host.mount({json.dumps(content(name)['text'])}, {{}}, {{silent: true}})")
    patient.page.wait("host.said.length === 1")
    assert patient.text("#view") == "Waiting for the result…"
    patient.inside("later()")
    assert patient.text("#said").startswith("The host has not answered so far.")
    patient.answer({"id": 1}, {"result": {"hostCapabilities": {}, "hostContext": {}}})
    patient.page.wait("host.ready")
    patient.give({"content": [{"type": "text", "text": "at last"}]})
    assert patient.text("body").strip() == "at last"


def test_a_host_that_never_answers_is_told_of_and_a_person_can_go_on(patient: Host) -> None:
    patient.mount(content("diff_view"))
    patient.give(diff())
    accept(patient)
    call = patient.asked()
    assert patient.inside(f"{more(patient, 'Stop waiting')} === undefined")
    patient.inside("later()")
    assert "has not answered yet" in patient.text()
    patient.inside(f"{more(patient, 'Stop waiting')}.click()")
    assert alert(patient).startswith("It is not known whether the file was changed.")
    assert patient.inside(f"{more(patient, 'Stop waiting')} === undefined")
    assert not patient.inside("document.querySelector('.acts .main').disabled")
    # Whoever works by keyboard is still inside of the change.
    patient.see("document.activeElement.closest('#view') !== null")
    # An answer that comes after all is for a call that nobody waits for.
    patient.answer(call, {"result": accepted()})
    patient.settle()
    assert patient.inside("document.querySelectorAll('[data-state=done]').length") == 0


def test_an_answer_that_came_late_ends_the_offer_to_stop(patient: Host) -> None:
    patient.mount(content("rows_view"))
    patient.give(rows([column("n", "number")], [["1"]], more=True, cursor="a"))
    patient.inside(f"{more(patient, 'Get more rows')}.click()")
    call = patient.asked()
    patient.inside("later()")
    assert patient.inside(f"{more(patient, 'Stop waiting')} !== undefined")
    patient.answer(call, {"result": rows([column("n", "number")], [["2"]], skip=1)})
    patient.see("document.querySelectorAll('tbody tr').length === 2")
    assert patient.inside(f"{more(patient, 'Stop waiting')} === undefined")
    patient.inside("later()")
    assert "has not answered" not in patient.text()


@each
def test_a_flood_of_messages_ends_and_the_last_word_counts(host: Host, name: str) -> None:
    host.mount(content(name))
    flood = """(() => {
        for (let at = 0; at < 100000; at++) {
            if (at % 4 === 0) host.tell('ui/notifications/tool-result', {content: [{type: 'text', text: 'word ' + at}]});
            else if (at % 4 === 1) host.answer(at, {result: {}});
            else if (at % 4 === 2) host.tell('notifications/unknown' + at, {__proto__: {x: 1}, at});
            else host.tell('ui/notifications/host-context-changed', {theme: at % 8 > 4 ? 'dark' : 'light', [at]: at});
        }
        host.tell('ui/notifications/tool-result', {content: [{type: 'text', text: 'the last word'}]});
    })()"""
    host.page.evaluate(flood)
    host.see("document.getElementById('view').innerText === 'the last word'")


@each
def test_messages_of_odd_shapes_leave_no_trace(host: Host, name: str) -> None:
    host.mount(content(name))
    host.give({"content": [{"type": "text", "text": "the truth"}]})
    host.page.evaluate("""(() => {
        const cyclic = {}; cyclic.me = cyclic;
        const odd = [null, undefined, 0, 1n, NaN, '', 'x', [], new Map([['jsonrpc', '2.0']]), new Date(NaN), /x/, cyclic, new ArrayBuffer(8),
            JSON.parse('{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}')];
        for (const one of odd) {
            host.frame.contentWindow.postMessage(one, '*');
            for (const method of ['ui/notifications/tool-input', 'ui/notifications/tool-cancelled', 'ui/notifications/host-context-changed', one])
                host.frame.contentWindow.postMessage({jsonrpc: '2.0', method, params: one}, '*');
            host.frame.contentWindow.postMessage({jsonrpc: '2.0', id: one, method: '__proto__', params: one}, '*');
            for (const key of ['theme', 'styles', 'safeAreaInsets', 'displayMode', 'containerDimensions'])
                host.tell('ui/notifications/host-context-changed', {[key]: one});
            host.tell('ui/notifications/host-context-changed', {styles: {variables: {'--ground': one, '__proto__': one, 'constructor': one}}});
            host.tell('ui/notifications/host-context-changed', {safeAreaInsets: {top: one, left: -1e308, right: Infinity}});
            host.tell('ui/notifications/tool-input', {arguments: one});
        }
    })()""")
    host.give({"content": [{"type": "text", "text": "still here"}]})
    assert host.text("#view") == "still here"
    assert host.inside("[({}).polluted, Object.prototype.polluted, [].polluted]") == [None, None, None]


def test_insets_leave_room_for_what_is_shown(host: Host) -> None:
    host.page.viewport(360, 700)
    host.mount(
        content("diff_view"), context={"safeAreaInsets": {"top": 1e308, "left": 1e6, "right": 1e6, "bottom": 34}}
    )
    host.give(diff())
    assert host.inside("document.querySelector('.hunk').getBoundingClientRect().width > 100")


@each
def test_a_teardown_amid_a_call_is_answered(host: Host, name: str) -> None:
    host.mount(content(name))
    results: dict[str, Any] = {
        "diff_view": diff(),
        "rows_view": rows([column("n")], [["1"]], more=True, cursor="c"),
    }
    host.give(results.get(name, result_with({})))
    if name in results:
        host.click(".acts .main" if name == "diff_view" else "#more")
        host.asked()
    host.page.evaluate("post({id: 'end', method: 'ui/resource-teardown', params: {reason: 'closed'}})")
    host.page.wait("host.said.some(one => one.id === 'end' && one.result)")
