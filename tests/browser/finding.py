"""Which Chromium is used, and how it is started: alone, with an empty profile, and without a way to any network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.browser.page import Page
from tests.browser.pipe import BrowserError, Pipe

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
"""Debian's package is ``chromium``; others name it otherwise."""
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: apt-get install chromium")

_FLAGS = (
    "--headless",
    "--no-sandbox",  # its own sandbox needs user namespaces, which containers and root seldom have
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-default-apps",
    "--metrics-recording-only",
    "--mute-audio",
    "--hide-scrollbars",
    "--font-render-hinting=none",
    # All frames of a page in one process, so that one session reaches them all.
    "--disable-site-isolation-trials",
    "--disable-features=IsolateOrigins,site-per-process,IsolateSandboxedIframes,OptimizationHints,Translate,MediaRouter",
    # Nothing but loopback can be reached, whatever a page or the browser itself tries.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--proxy-server=127.0.0.1:9",
    "--proxy-bypass-list=127.0.0.1;localhost",
)
# The protocol comes and goes by descriptors 3 and 4, which `subprocess` can't set: a shell moves them there.
_MOVE = 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null'


class Browser:
    """A running Chromium.

    Args:
        pipe: The way to it.
    """

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    @contextmanager
    def page(self, *, width: int = 1280, height: int = 800, javascript: bool = True) -> Generator[Page]:
        """A new tab with cookies and storage of its own; closed at the end.

        Args:
            width: Of the viewport, in CSS pixels.
            height: Of the viewport.
            javascript: Whether pages may run scripts.
        """
        context = self._pipe.command("Target.createBrowserContext")["browserContextId"]
        target = self._pipe.command("Target.createTarget", {"url": "about:blank", "browserContextId": context})
        session = self._pipe.command("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        try:
            made = Page(self._pipe, session["sessionId"], scripts=javascript)
            made.viewport(width, height)
            yield made
        finally:
            self._pipe.leave(session["sessionId"])
            with suppress(BrowserError):
                self._pipe.command("Target.disposeBrowserContext", {"browserContextId": context})


@contextmanager
def chromium(folder: Path, *flags: str) -> Generator[Browser]:
    """Start Chromium, and end it.

    Args:
        folder: An empty one, for its profile, cache and log.
        flags: More of them.

    Raises:
        BrowserError: It doesn't start; its log is in the text.
    """
    log = folder / "chromium.log"
    places = {name: str(folder) for name in ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    command = [CHROMIUM, *_FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", "--remote-debugging-pipe"]
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            ["sh", "-c", _MOVE, "sh", *command, "about:blank"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **places},
            start_new_session=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        pipe = Pipe(process.stdout.fileno(), process.stdin.fileno())
        try:
            try:
                pipe.command("Browser.getVersion", seconds=60)
            except (BrowserError, OSError) as error:
                raise BrowserError(f"{error}\n{log.read_text(errors='replace')[-2000:]}") from None
            yield Browser(pipe)
        finally:
            with suppress(BrowserError, OSError):
                pipe.command("Browser.close", seconds=5)
            pipe.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            # Its helpers are in its session: whatever is left of it goes with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
