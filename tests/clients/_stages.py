"""The four servers, each with something behind it, and what a client should list, call, read and get there.

What is behind them is real and lies on the island: a folder, a PostgreSQL, a stateful stand-in for GitHub, a page.
"""

from __future__ import annotations

import contextlib
import http.server
import sys
import threading
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.clients._hosts import Island
from tests.github.behind import before
from tests.github.credential_support import private_file
from tests.github.emulator import PUBLIC, Emulator
from tests.github.furnishing import furnish
from tests.postgres.bed import Bed
from tests.support.wire import MODERN, Server, StdioWire

SERVERS = ("filesystem", "postgres", "github", "websearch")
NEEDLE = "the needle is here"


@dataclass(frozen=True, slots=True)
class Stage:
    """One server, one call of a tool, one resource and one prompt, each with words that its answer has.

    Args:
        name: The server's short name, which is also its key in a host's configuration.
        server: How it is started.
        before: A program that starts it, with its arguments; none at first.
        tools: The names of all its tools, as the wire has them.
        uri: A resource.
        listed: One that the server lists; empty if it has templates alone.
        prompt: A prompt's name.
    """

    name: str
    server: list[str]
    tools: frozenset[str]
    tool: str
    arguments: dict[str, Any]
    answered: str
    uri: str
    contents: str
    listed: str
    listed_says: str
    prompt: str
    given: dict[str, str]
    says: str
    before: list[str] = field(default_factory=list[str])

    def behind(self, prefix: list[str]) -> Stage:
        """The same, with a program before the server."""
        return replace(self, before=prefix)

    @property
    def command(self) -> list[str]:
        """How a client starts it."""
        return [*self.before, *self.server]


class _Page(http.server.BaseHTTPRequestHandler):
    """One page under each path."""

    def do_GET(self) -> None:  # the name is http.server's
        """Answer with the page."""
        body = f"<html><title>Harbour</title><body><h1>Harbour</h1><p>On the quay {NEEDLE}.</p></body></html>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parameter's name is http.server's
        """Say nothing."""


@contextlib.contextmanager
def site(isle: Island) -> Generator[str]:
    """A page on the island; its address."""
    with isle.listener() as listening:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page, bind_and_activate=False)
        server.socket.close()
        server.socket = listening
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def listed(command: list[str]) -> frozenset[str]:
    """The names of all tools of a server, as the wire has them."""
    server = Server(command)
    try:
        wire = StdioWire(server, MODERN, None)
        wire.open()
        return frozenset(tool["name"] for tool in wire.request("tools/list")["result"]["tools"])
    finally:
        server.end()


def stage_of(name: str, command: list[str], **told: object) -> Stage:
    """A stage whose tools are looked up on the wire."""
    return Stage(name=name, server=command, tools=listed(command), **told)  # pyright: ignore[reportArgumentType] - the callers below give each field


@contextlib.contextmanager
def furnished(base: Path, isle: Island, bed: Bed, emulator: Emulator) -> Generator[dict[str, Stage]]:
    """All four, by name.

    Args:
        base: An empty folder.
        isle: Where the clients run.
        bed: A PostgreSQL, reached by its Unix socket.
        emulator: GitHub's stand-in, without anything in it.
    """

    def command(name: str, *arguments: str) -> list[str]:
        script = Path(sys.executable).parent / f"gatelodge-{name}"
        return [str(script), *arguments, "--state-dir", str(base / "state" / name)]

    notes = base / "harbour" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text(f"first line\n{NEEDLE}\nlast line\n", encoding="utf-8")
    with bed.admin() as admin:
        admin.execute("CREATE TABLE harbour (name text, berths int)")
        admin.execute("INSERT INTO harbour VALUES ('quay', 12), ('basin', 4)")
        admin.execute("CREATE ROLE looker LOGIN")
        admin.execute("GRANT SELECT ON harbour TO looker")
    furniture = furnish(emulator)
    token = private_file(base / "token", emulator.tokens["alice"])
    with before(emulator, on=isle.listener()) as proxy, site(isle) as place:
        yield {
            "filesystem": stage_of(
                "filesystem",
                command("filesystem", str(notes.parent)),
                tool="read_file",
                arguments={"path": "harbour/notes.txt"},
                answered=NEEDLE,
                uri=notes.as_uri(),
                contents=NEEDLE,
                listed="fs://",
                listed_says="harbour",
                prompt="find_in_project",
                given={"question": "harbour-dues"},
                says="Find this in the files of harbour: harbour-dues",
            ),
            "postgres": stage_of(
                "postgres",
                command("postgres", bed.url(user="looker", password=None, over="socket")),
                tool="run_query",
                arguments={"sql": "SELECT name FROM harbour WHERE berths = 12"},
                answered="quay",
                uri="pg://default/public/harbour/sample",
                contents="basin",
                listed="pg://default",
                listed_says="looker",
                prompt="answer_with_sql",
                given={"question": "harbour-dues"},
                says="Answer this from the database default: harbour-dues",
            ),
            "github": stage_of(
                "github",
                command("github", "--api-url", proxy.url, "--repo", PUBLIC, "--token-file", token),
                tool="get_file",
                arguments={"path": "src/shapes.py"},
                answered="Shapes",
                uri=f"issue://{PUBLIC}/{furniture.issue}",
                contents="The guide is wrong",
                listed="",
                listed_says="",
                prompt="triage_issue",
                given={"number": str(furniture.issue)},
                says=f"Triage issue {furniture.issue} of {PUBLIC}",
            ),
            "websearch": stage_of(
                "websearch",
                command("websearch", "--allow-hosts", place, "--ports", place.rpartition(":")[2], "--robots", "off"),
                tool="read_page",
                arguments={"pages": [f"http://{place}/harbour"]},
                answered=NEEDLE,
                uri="web://policy",
                contents="duckduckgo",
                listed="web://policy",
                listed_says="duckduckgo",
                prompt="fact_check",
                given={"claim": "harbour-dues"},
                says="Check this claim: harbour-dues",
            ),
        }
