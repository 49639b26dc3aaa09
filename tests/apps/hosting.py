"""A host that shows views, in Chromium: a page that speaks the Apps protocol, and the way from it to a real server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatelodge_core.apps.words import EXTENSION, MIME_TYPE, SHOWN

from tests.browser.page import Page
from tests.support.wire import Message, Wire

HOST = Path(__file__).with_name("host.html")
SHOWS_VIEWS: dict[str, Any] = {"extensions": {EXTENSION: {"mimeTypes": [MIME_TYPE]}}}
"""What a client declares that shows views."""
ABLE: dict[str, Any] = {"serverTools": {}, "openLinks": {}}
"""What a host declares that passes calls on and opens links."""


def result_with(data: Mapping[str, Any], words: str = "as text") -> Message:
    """A tool's result that hands data to its view."""
    return {"content": [{"type": "text", "text": words}], "_meta": {SHOWN: dict(data)}}


def page_of(wire: Wire, tool: str) -> Message:
    """The document of a tool's view, found and read as a host does."""
    tools = {item["name"]: item for item in wire.request("tools/list")["result"]["tools"]}
    uri = tools[tool]["_meta"]["ui"]["resourceUri"]
    (content,) = wire.request("resources/read", {"uri": uri})["result"]["contents"]
    return content


class Host:
    """The host page in a tab.

    Args:
        page: The tab.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        page.open(HOST)

    def mount(
        self, content: Message, *, able: Mapping[str, Any] = ABLE, context: Mapping[str, Any] | None = None
    ) -> None:
        """Show a document, as it came from ``resources/read``, until it has shaken hands."""
        csp = content.get("_meta", {}).get("ui", {}).get("csp", {})
        setup = {"hostCapabilities": dict(able), "hostContext": dict(context or {"theme": "light"})}
        self.page.evaluate(f"host.mount({json.dumps(content['text'])}, {json.dumps(csp)}, {json.dumps(setup)})")
        self.page.wait("host.ready")

    def give(self, result: Mapping[str, Any], arguments: Mapping[str, Any] | None = None) -> None:
        """Tell the view the arguments of a call, and its result; wait until it is drawn."""
        self.tell("ui/notifications/tool-input", {"arguments": dict(arguments or {})})
        self.tell("ui/notifications/tool-result", result)
        self.see("document.getElementById('view').getAttribute('aria-busy') === 'false'")
        self.settle()

    def settle(self) -> None:
        """Wait for what is drawn late, such as the height of the frame: that is a picture later."""
        self.inside("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def tell(self, method: str, params: Mapping[str, Any]) -> None:
        """Send the view a notification."""
        self.page.evaluate(f"host.tell({json.dumps(method)}, {json.dumps(params)})")

    @property
    def frame(self) -> str:
        """The view's frame."""
        return list(self.page.frames())[-1]

    def inside(self, script: str) -> Any:
        """The value of an expression inside the view."""
        return self.page.evaluate(script, frame=self.frame)

    def see(self, condition: str) -> None:
        """Wait until something is so inside the view."""
        self.page.wait(condition, frame=self.frame)

    def text(self, selector: str = "body") -> str:
        """What a person reads in the view."""
        return self.page.text(selector, frame=self.frame)

    def texts(self, selector: str) -> list[str]:
        """The text of each element that matches."""
        return self.inside(f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.innerText.trim())")

    def click(self, selector: str) -> None:
        """Click an element of the view."""
        self.page.click(selector, frame=self.frame)

    def asked(self) -> Message:
        """The next call that the view asks for."""
        self.page.wait("host.asked.length > 0")
        return self.page.evaluate("host.asked.shift()")

    def answer(self, call: Message, answer: Mapping[str, Any]) -> None:
        """Answer a call: ``{"result": ...}`` or ``{"error": ...}``."""
        self.page.evaluate(f"host.answer({json.dumps(call['id'])}, {json.dumps(answer)})")

    def pass_on(self, wire: Wire) -> Message:
        """Pass the next call on to a server, and its answer back; the call."""
        call = self.asked()
        found = wire.request("tools/call", call["params"])
        self.answer(call, {key: found[key] for key in ("result", "error") if key in found})
        return call["params"]

    def accessible(self) -> set[tuple[str, str]]:
        """What a screen reader is given of the view: roles and names."""
        nodes = self.page.command("Accessibility.getFullAXTree", {"frameId": self.frame})["nodes"]
        return {
            (node.get("role", {}).get("value", ""), node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored")
        }

    @property
    def links(self) -> list[str]:
        """What the view asked to be opened."""
        return self.page.evaluate("host.links")
