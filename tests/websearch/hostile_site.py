"""A site that does to a reader whatever a site can do, by path; and where each request came in."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import threading
import zlib
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from tests.websearch import papers

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Act = Callable[[Writer], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
ARTICLE = "<h1>Berries</h1><p>Foxes eat berries in the summer, when there are many of them in the forest and field.</p>"
CANARY = "canary-of-the-inside"


def page(body: bytes | str, kind: str = "text/html", more: str = "") -> Act:
    """A whole answer."""
    data = body.encode() if isinstance(body, str) else body

    async def act(writer: Writer) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n{more}\r\n"
        writer.write(head.encode() + data)
        await writer.drain()

    return act


def forever(head: bytes, part: bytes, pause: float = 0) -> Act:
    """A beginning, and then the same without end."""

    async def act(writer: Writer) -> None:
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return act


def raw(data: bytes) -> Act:
    """Bytes, and then the end."""

    async def act(writer: Writer) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return act


def _wide(unit: str, size: int = 1_150_000) -> str:
    return unit * (size // len(unit))


def acts() -> dict[str, Act]:
    """Every way, by name."""
    bomb = gzip.compress(b"<p>boom</p>" * 8_000_000, 6)
    chunk = b"10000\r\n" + b"all work and no play" * 3276 + b"\0" * 16 + b"\r\n"
    return {
        "fine": page(f"<main>{ARTICLE * 40}</main>"),
        "large": page("<main>" + f"<p>{'The quick brown fox jumps over the lazy dog. ' * 4}</p>" * 5300 + "</main>"),
        "pdf": page(papers.paper([["Foxes jump over dogs."]]), "application/pdf"),
        "gzip bomb": page(bomb, more="Content-Encoding: gzip\r\n"),
        "bomb in a bomb": page(gzip.compress(bomb), more="Content-Encoding: gzip, gzip\r\n"),
        "deflate bomb": page(zlib.compress(b"\0" * 50_000_000), "text/plain", "Content-Encoding: deflate\r\n"),
        "pdf bomb": page(papers.bomb(700), "application/pdf"),
        "endless": forever(HEAD + b"\r\n", b"all work and no play makes " * 3000),
        "endless chunks": forever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk),
        "chunks of one byte": forever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 2000),
        "drip": forever(HEAD + b"\r\n", b"x", 1),
        "silence": forever(b"", b"", 1),
        "slow headers": forever(b"HTTP/1.1 200 OK\r\nX-A: ", b"x", 1),
        "header flood": forever(HEAD, b"X-Flood: " + b"y" * 1000 + b"\r\n"),
        "one endless header": forever(HEAD + b"X-Long: ", b"y" * 10_000),
        "many headers": page(ARTICLE, more="".join(f"X-{number}: y\r\n" for number in range(500))),
        "informational flood": forever(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100),
        "trailer flood": forever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X-T: yyyyyyyy\r\n" * 100),
        "cut": raw(HEAD + b"Content-Length: 100000\r\n\r\n<p>only the beginning"),
        "cut gzip": page(bomb[: len(bomb) // 50][:900], more="Content-Encoding: gzip\r\n"),
        "no gzip": page(ARTICLE, more="Content-Encoding: gzip\r\n"),
        "unknown coding": page(ARTICLE, more="Content-Encoding: x-rot13\r\n"),
        "bad chunk": raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nxx\r\n"),
        "two lengths": raw(HEAD + b"Content-Length: 5\r\nContent-Length: 9\r\n\r\nhello123"),
        "no http": raw(b"\x16\x03\x01\x02\x00 what is this"),
        "redirect to itself": raw(b"HTTP/1.1 302 X\r\nLocation: /redirect%20to%20itself\r\nContent-Length: 0\r\n\r\n"),
        "wrong charset": page(ARTICLE, "text/html; charset=utf-16"),
        "no charset": page(ARTICLE, "text/html; charset=" + "x" * 5000),
        "nested": page("<div>" * 100_000 + ARTICLE),
        "nested tables": page("<table><tr><td>" * 40_000 + ARTICLE),
        "attributes": page("<p " + "".join(f"a{number}=1 " for number in range(180_000)) + ">x</p>" + ARTICLE),
        "hidden attributes": page('<!-- " --><p x=">" ' + "".join(f"a{n}=1 " for n in range(180_000)) + ">x" + ARTICLE),
        "huge attribute": page(f"<p title='{_wide('x')}'>x</p>{ARTICLE}"),
        "style": page(f"<p style='{_wide('overflow:hidden;height:')}'>x</p>{ARTICLE}"),
        "style transform": page(f"<p style='transform:{_wide('translate(-')}'>x</p>{ARTICLE}"),
        "style comments": page(f"<style>{_wide('/*')}</style>{ARTICLE}"),
        "style rules": page("<style>" + "".join(f".c{n}{{display:none}}" for n in range(4000)) + "</style>" + "<p class='a b'>x</p>" * 70_000),
        "style braces": page(f"<style>{_wide('a{')}</style>{ARTICLE}"),
        "long list": page("<ol>" + "<li>x y z</li>" * 100_000 + "</ol>"),
        "many headings": page("<h2>x y</h2>" * 100_000),
        "brackets": page("<p>" + _wide("[")),
        "half links": page("<p>" + _wide("[a](http://b")),
        "brackets and parentheses": page("<p>" + _wide("](")),
        "ragged table": page("<table><tr>" + "<td>x</td>" * 5000 + "</tr>" + "<tr><td>x</td></tr>" * 5000 + "</table>"),
        "camouflage": page("<div style='color:#fff'>" * 200 + "<p style='color:#fff'>x</p>" * 60_000),
        "broken marks": page(_wide("<")),
        "entities": page("<p>" + _wide("&#x110000;")),
        "backticks": page("<pre>" + _wide("`")),
        "one word": page("<p>" + _wide("w")),
        "four bytes each": page("<p>" + "\U0001f98a" * 1_200_000),
    }  # fmt: skip


ERRORS = {
    "deflate bomb": "too_large",
    "bomb in a bomb": "bad_encoding",
    "pdf bomb": "bad_pdf",
    "chunks of one byte": "bad_answer",
    "drip": "too_slow",
    "silence": "too_slow",
    "slow headers": "too_slow",
    "header flood": "too_large",
    "one endless header": "too_large",
    "many headers": "too_large",
    "informational flood": "too_large",
    "trailer flood": "too_large",
    "cut": "bad_answer",
    "cut gzip": "bad_encoding",
    "no gzip": "bad_encoding",
    "unknown coding": "bad_encoding",
    "bad chunk": "bad_answer",
    "two lengths": "bad_answer",
    "no http": "bad_answer",
    "redirect to itself": "too_many_redirects",
    "nested": "no_text",
    "nested tables": "no_text",
    "attributes": "no_text",
    "hidden attributes": "no_text",
}
"""What a page that can't be read must answer; each other is read."""


class HostileSite:
    """Serves on port 80, and listens on other ports, of every address that this namespace has."""

    PORTS = (80, 443, 22, 6379, 8080)

    def __init__(self) -> None:
        self.acts = acts()
        self.reached: list[tuple[str, int, str]] = []
        """Address, port and path of each request."""

    def start(self) -> None:
        """Serve in a thread of its own until the process ends."""
        up = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve(up)), daemon=True).start()
        assert up.wait(10)

    async def _serve(self, up: threading.Event) -> None:
        for port in self.PORTS:
            await asyncio.start_server(self._handle, "0.0.0.0", port)
            with contextlib.suppress(OSError):
                await asyncio.start_server(self._handle, "::", port, family=socket.AF_INET6)
        up.set()
        await asyncio.Event().wait()

    async def _handle(self, reader: Reader, writer: Writer) -> None:
        address, port = writer.get_extra_info("sockname")[:2]
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = unquote(head.split()[1].decode().lstrip("/"))
                self.reached.append((address, port, path))
                if path.startswith("to?"):
                    where = path.partition("?")[2].encode("latin-1", "replace")
                    writer.write(b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: " + where + b"\r\n\r\n")
                elif path in self.acts:
                    await self.acts[path](writer)
                else:
                    await page(CANARY + ARTICLE, more="Connection: close\r\n")(writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()
