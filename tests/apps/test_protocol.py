"""Every view speaks the Apps protocol: the handshake, sizes, themes, teardown; it listens to its host alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.apps.fixtures import content, host
from tests.apps.hosting import Host, result_with
from tests.browser.finding import needs_chromium
from tests.browser.fixtures import browser, page

__all__ = ["browser", "host", "page"]
pytestmark = needs_chromium

NAMES = ("diff_view", "rows_view", "plan_view", "results_view")
each = pytest.mark.parametrize("name", NAMES)


@each
def test_a_view_shakes_hands_and_says_how_large_it_is(host: Host, name: str) -> None:
    host.mount(content(name))
    said = host.page.evaluate("host.said")
    assert [message.get("method") for message in said[:2]] == ["ui/initialize", "ui/notifications/initialized"]
    assert said[0]["params"]["protocolVersion"] == "2026-01-26"
    assert "inline" in said[0]["params"]["appCapabilities"]["availableDisplayModes"]
    host.page.wait("host.sizes.length > 0")
    before = host.page.evaluate("host.sizes.at(-1).height")
    host.give({"content": [{"type": "text", "text": "a\n" * 40}]})
    host.page.wait(f"host.sizes.at(-1).height > {before} + 200")
    # Nothing of the view is cut off by the frame that the host made for it.
    host.see("document.documentElement.scrollHeight <= window.innerHeight + 1")


@each
def test_a_host_that_changes_its_mind_is_told_of(host: Host, name: str) -> None:
    host.page.evaluate(f"host.mount({json.dumps(content(name)['text'])}, {{}}, {{refuses: true}})")
    host.see("document.getElementById('view').innerText === 'The host does not show this view: no views <b>today</b>'")


@each
def test_without_data_a_view_shows_the_text_out_of_its_envelope(host: Host, name: str) -> None:
    host.mount(content(name))
    nonce = "0123456789abcdef" * 2
    wrapped = f'<untrusted-{nonce} source="tool x">\nwhat was <b>found</b>\n</untrusted-{nonce}>'
    host.give({"content": [{"type": "text", "text": wrapped}]})
    assert host.text("#view") == "what was <b>found</b>"


@each
def test_a_failed_or_cancelled_call_is_told(host: Host, name: str) -> None:
    host.mount(content(name))
    host.give({"content": [{"type": "text", "text": "denied_by_policy: no."}], "isError": True})
    assert host.text("[role=alert]") == "The call failed."
    assert "denied_by_policy: no." in host.text("#view")
    host.tell("ui/notifications/tool-cancelled", {"reason": "the person said stop"})
    host.see("document.body.innerText.includes('cancelled: the person said stop')")


@each
def test_data_of_any_shape_never_breaks_a_view(host: Host, name: str) -> None:
    host.mount(content(name))
    kinds = ("rows", "plan", "diff", "pages", "other")
    shapes: list[object] = [None, 1, "x", [], [[]], {}, [None], [1], {"length": 3}, [{"lines": 1}], [{"x": {"y": 1}}]]
    for kind in kinds:
        for shape in shapes:
            fields = dict.fromkeys(
                ("rows", "columns", "nodes", "hunks", "pages", "notes", "notices", "findings", "path", "whole"), shape
            )
            host.give(result_with({"kind": kind, **fields}, "the text stays"))
            assert host.text("#view")
    odd: list[Any] = [None, 1, [], {"results": 1}, {"results": [None, 1, {}]}]
    for structured in odd:
        host.give({"content": [{"type": "text", "text": "x"}], "structuredContent": structured})
        assert host.text("#view")


@each
def test_the_theme_is_the_hosts_and_changes_with_it(host: Host, name: str) -> None:
    host.mount(content(name), context={"theme": "dark", "styles": {"variables": {"--color-text-info": "rgb(1, 2, 3)"}}})
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = host.inside(ground)
    host.tell("ui/notifications/host-context-changed", {"theme": "light"})
    host.see(f"{ground} !== {json.dumps(dark)}")
    assert (
        host.inside("getComputedStyle(document.documentElement).getPropertyValue('--color-text-info')")
        == "rgb(1, 2, 3)"
    )


def test_a_hosts_styles_bring_no_address_in(host: Host) -> None:
    bad = {"--color-background-primary": "url(http://127.0.0.1:9/x)", "background-image": "url(http://127.0.0.1:9/y)"}
    host.mount(
        content("rows_view"), context={"styles": {"variables": bad, "css": {"fonts": "@import 'http://127.0.0.1:9/z'"}}}
    )
    host.give({"content": [{"type": "text", "text": "x"}]})
    host.see("document.body.innerText.includes('x')")


@each
def test_a_view_answers_a_ping_and_its_teardown_and_refuses_the_rest(host: Host, name: str) -> None:
    host.mount(content(name))
    for number, method in enumerate(("ping", "ui/resource-teardown", "tools/list"), 100):
        host.page.evaluate(f"post({{id: {number}, method: {method!r}, params: {{}}}})")
    host.page.wait("host.said.filter(one => one.id >= 100).length === 3")
    first, second, third = host.page.evaluate("host.said.filter(one => one.id >= 100)")
    assert (first["result"], second["result"]) == ({}, {})
    assert third["error"]["code"] == -32601


@each
def test_a_view_listens_to_nobody_but_its_host(host: Host, name: str) -> None:
    host.mount(content(name))
    host.give({"content": [{"type": "text", "text": "the truth"}]})
    forged = {
        "jsonrpc": "2.0",
        "method": "ui/notifications/tool-result",
        "params": {"content": [{"type": "text", "text": "a lie"}]},
    }
    script = (
        f"<script>parent.frames[0].postMessage({json.dumps(forged)}, '*'); parent.postMessage('sent', '*')<\\/script>"
    )
    host.page.evaluate(f"""new Promise(done => {{
        addEventListener('message', event => event.data === 'sent' && done(1));
        const other = document.createElement('iframe');
        other.setAttribute('sandbox', 'allow-scripts');
        other.srcdoc = `{script}`;
        document.body.append(other);
    }})""")
    host.page.evaluate("new Promise(done => setTimeout(done, 0))")
    (frame, _) = host.page.frames()
    assert host.page.text("#view", frame=frame) == "the truth"


@each
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(host: Host, name: str, theme: str) -> None:
    host.mount(content(name), context={"theme": theme})
    host.give({"content": [{"type": "text", "text": "x"}]})
    # The contrast of each colour of text with both grounds (WCAG 2.2, 1.4.3): at least 4.5.
    ratios = host.inside("""(() => {
        const light = words => { const [r, g, b] = words.match(/[\\d.]+/g).map(Number).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const probe = document.body.appendChild(document.createElement('i'));
        const of = name => { probe.style.color = `var(${name})`; return light(getComputedStyle(probe).color); };
        const found = {};
        for (const ground of ['--ground', '--raised']) for (const ink of ['--ink', '--quiet', '--accent', '--good', '--bad', '--warn']) {
            const [a, b] = [of(ground), of(ink)].sort((x, y) => y - x);
            found[ink + ' on ' + ground] = (a + 0.05) / (b + 0.05);
        }
        probe.remove();
        return found;
    })()""")
    assert len(ratios) == 12
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}


@each
def test_a_view_is_named_for_a_screen_reader(host: Host, name: str) -> None:
    host.mount(content(name))
    host.give({"content": [{"type": "text", "text": "x"}]})
    assert host.inside(
        "[document.documentElement.lang, document.title.length > 0, document.querySelectorAll('main').length]"
    ) == ["en", True, 1]
    assert host.inside("document.getElementById('said').getAttribute('aria-live')") == "polite"
