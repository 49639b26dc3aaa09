"""One tab of Chromium, as a test uses it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from tests.browser.pipe import DEADLINE, BrowserError, Message, Pipe

Scheme = Literal["light", "dark"]
Media = Literal["", "screen", "print"]

_KEYS: dict[str, tuple[str, int, str]] = {
    "Enter": ("Enter", 13, "\r"), "Tab": ("Tab", 9, ""), "Escape": ("Escape", 27, ""), " ": ("Space", 32, " "),
    "Backspace": ("Backspace", 8, ""), "ArrowUp": ("ArrowUp", 38, ""), "ArrowDown": ("ArrowDown", 40, ""),
    "ArrowLeft": ("ArrowLeft", 37, ""), "ArrowRight": ("ArrowRight", 39, ""), "Home": ("Home", 36, ""),
    "End": ("End", 35, ""), "PageUp": ("PageUp", 33, ""), "PageDown": ("PageDown", 34, ""),
}  # fmt: skip
_GONE = (
    "context was destroyed",
    "Cannot find context",
    "Cannot find default execution context",
    "Promise was collected",
)
"""How Chromium says that a document is not there any more."""
SHIFT = 8
"""Modifier of `Page.press`."""


class Page:
    """A tab. What it complains of is in `errors`, and what it asks any network for is in `requests`.

    Args:
        pipe: The way to the browser.
        session: The tab's session.
        scripts: Whether pages may run scripts.
    """

    def __init__(self, pipe: Pipe, session: str, *, scripts: bool = True) -> None:
        self._pipe, self._session, self._scripts = pipe, session, scripts
        self._errors: list[str] = []
        self._requests: list[str] = []
        self._loaded = 0
        self._worlds: dict[str, int] = {}
        pipe.listen(session, self._heard)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")
        if not scripts:
            self.command("Emulation.setScriptExecutionDisabled", {"value": True})

    def _heard(self, method: str, params: Message) -> None:
        if method == "Page.loadEventFired":
            self._loaded += 1
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self._errors.append(str(details.get("exception", {}).get("description") or details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self._errors.append(" ".join(str(item.get("value", item.get("description"))) for item in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self._errors.append(str(params["entry"]["text"]))
        elif method == "Network.requestWillBeSent":
            self._requests.append(str(params["request"]["url"]))
        elif method == "Network.webSocketCreated":
            self._requests.append(str(params["url"]))
        elif method == "Runtime.executionContextCreated":
            told = params["context"].get("auxData", {})
            if told.get("isDefault"):
                self._worlds[told["frameId"]] = params["context"]["id"]
        elif method == "Runtime.executionContextDestroyed":
            gone = params["executionContextId"]
            self._worlds = {frame: world for frame, world in self._worlds.items() if world != gone}
        elif method == "Runtime.executionContextsCleared":
            self._worlds.clear()
        elif method == "Page.javascriptDialogOpening":
            self._errors.append(f"a dialog: {params['message']}")
            self._pipe.send("Page.handleJavaScriptDialog", {"accept": False}, session=self._session)

    @property
    def errors(self) -> list[str]:
        """Console errors and warnings, uncaught exceptions, refusals by the content security policy, and dialogs."""
        self._settle()
        return list(self._errors)

    @property
    def requests(self) -> list[str]:
        """All that was asked for but the files that were opened, and what is inside of the page (data, blob, about)."""
        self._settle()
        return [url for url in self._requests if not url.startswith(("file:", "data:", "blob:", "about:"))]

    def _settle(self) -> None:
        # A promise that nobody handles is told of in a task of its own, after those that wait now.
        if self._scripts:
            self.evaluate("new Promise(done => setTimeout(() => setTimeout(done)))")
        self._pipe.drain()

    def command(self, method: str, params: Mapping[str, Any] | None = None, *, seconds: float = DEADLINE) -> Message:
        """Any command of the DevTools protocol, to this tab."""
        return self._pipe.command(method, params, session=self._session, seconds=seconds)

    def open(self, place: str | Path, *, seconds: float = DEADLINE) -> None:
        """Open a file or URL, and wait until it is loaded.

        Raises:
            BrowserError: It can't be opened, or not in time.
        """
        before = self._loaded
        url = place.absolute().as_uri() if isinstance(place, Path) else place
        answer = self.command("Page.navigate", {"url": url}, seconds=seconds)
        if answer.get("errorText"):
            raise BrowserError(f"{url}: {answer['errorText']}")
        self._pipe.pump(lambda: self._loaded > before, seconds, url)

    def frames(self) -> dict[str, str]:
        """The frames below the page: identifier and URL, in the order of the document."""
        found: dict[str, str] = {}

        def walk(tree: Message) -> None:
            for child in tree.get("childFrames", []):
                found[child["frame"]["id"]] = child["frame"]["url"]
                walk(child)

        walk(self.command("Page.getFrameTree")["frameTree"])
        return found

    def evaluate(self, script: str, *, frame: str = "", seconds: float = DEADLINE) -> Any:
        """The value of a JavaScript expression, as JSON has it; a promise is waited for.

        Args:
            script: The expression.
            frame: In which frame, by its identifier; empty for the page itself.
            seconds: How long it may take.

        Raises:
            BrowserError: It threw.
        """
        params: Message = {"expression": script, "returnByValue": True, "awaitPromise": True, "userGesture": True}
        if frame:
            self._pipe.pump(lambda: frame in self._worlds, seconds, f"a script context of frame {frame}")
            params["contextId"] = self._worlds[frame]
        answer = self.command("Runtime.evaluate", params, seconds=seconds)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(str(details.get("exception", {}).get("description") or details["text"]))
        return answer["result"].get("value")

    def wait(self, condition: str, *, frame: str = "", seconds: float = DEADLINE) -> None:
        """Wait until a JavaScript expression is true, in whatever document is there then.

        What throws isn't so yet: a new frame has an empty document first, which lacks what the expression looks at.

        Raises:
            BrowserError: It isn't in time; with what it threw last.
        """
        look = f"""new Promise((done, fail) => {{
            const until = performance.now() + {{left}};
            let thrown = '';
            const so = () => {{ try {{ thrown = ''; return ({condition}); }} catch (error) {{ thrown = '; ' + error; }} }};
            const see = () => so() ? done(true)
                : performance.now() > until ? fail(new Error('never so: ' + {json.dumps(condition)} + thrown)) : setTimeout(see, 10);
            see();
        }})"""
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            try:
                return self.evaluate(look.replace("{left}", str(left * 1000), 1), frame=frame, seconds=max(left, 0) + 5)
            except BrowserError as error:
                # The document that was looked at has made room for another one.
                if left <= 0 or not any(word in str(error) for word in _GONE):
                    raise

    def text(self, selector: str = "body", *, frame: str = "") -> str:
        """The text of an element as a person sees it."""
        return cast("str", self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText", frame=frame))

    def click(self, selector: str, *, frame: str = "") -> None:
        """Click into the middle of an element, with the mouse; in a frame, by the element's own `click`.

        Raises:
            BrowserError: It isn't there, or something else lies over it.
        """
        found = json.dumps(selector)
        if frame:
            self.evaluate(f"document.querySelector({found}).click()", frame=frame)
            return
        place = self.evaluate(f"""(() => {{
            const found = document.querySelector({found});
            if (!found) throw new Error('nothing matches ' + {found});
            found.scrollIntoView({{block: 'center', inline: 'center', behavior: 'instant'}});
            const box = found.getBoundingClientRect();
            const x = box.x + box.width / 2, y = box.y + box.height / 2;
            const there = document.elementFromPoint(x, y);
            if (!there || !(found.contains(there) || there.contains(found)))
                throw new Error({found} + ' is covered by ' + (there ? there.outerHTML.slice(0, 200) : 'nothing'));
            return [x, y];
        }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            at = {"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}
            self.command("Input.dispatchMouseEvent", at)

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.command("Input.insertText", {"text": text})

    def press(self, key: str, *, modifiers: int = 0) -> None:
        """Press and release a key: a letter, or one of ``Enter Tab Escape Backspace Home End`` and the arrows."""
        code, number, text = _KEYS.get(key, (key, ord(key[0].upper()), key))
        told: Message = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
        down = {"type": "keyDown" if text else "rawKeyDown", **({"text": text} if text else {})}
        self.command("Input.dispatchKeyEvent", {**told, **down})
        self.command("Input.dispatchKeyEvent", {**told, "type": "keyUp"})

    def viewport(self, width: int, height: int, *, scale: float = 1, touch: bool = False) -> None:
        """Set the viewport, in CSS pixels; `touch` makes it a phone's."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": touch}
        self.command("Emulation.setDeviceMetricsOverride", size)
        self.command("Emulation.setTouchEmulationEnabled", {"enabled": touch})

    def media(self, scheme: Scheme = "light", *, reduced_motion: bool = False, medium: Media = "") -> None:
        """Set the colour scheme, whether motion is unwelcome, and screen or print."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce" if reduced_motion else "no-preference"},
        ]
        self.command("Emulation.setEmulatedMedia", {"media": medium, "features": features})

    def screenshot(self, path: Path, *, whole: bool = False, selector: str = "") -> bytes:
        """Save what is seen as PNG, and return it.

        Args:
            path: Where to.
            whole: The whole page rather than the viewport.
            selector: Only this element.
        """
        params: Message = {"format": "png", "optimizeForSpeed": False}
        if whole or selector:
            size = "{x: 0, y: 0, width: innerWidth, height: document.documentElement.scrollHeight}"
            if selector:
                size = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()"
            box = self.evaluate(f"(() => {{ scrollTo(0, 0); return {size}; }})()")
            clip = {key: box[key] for key in ("x", "y", "width", "height")}
            params |= {"captureBeyondViewport": True, "clip": {**clip, "scale": 1}}
        picture = base64.b64decode(self.command("Page.captureScreenshot", params)["data"])
        path.write_bytes(picture)
        return picture

    def accessible(self) -> list[Message]:
        """The accessibility tree, as a screen reader is given it: role, name and whether it is ignored, node by node."""
        return [
            {
                "role": node.get("role", {}).get("value", ""),
                "name": node.get("name", {}).get("value", ""),
                "description": node.get("description", {}).get("value", ""),
            }
            for node in self.command("Accessibility.getFullAXTree")["nodes"]
            if not node.get("ignored")
        ]
