"""A site on loopback for the web search benchmark, in a process of its own: prints its port, serves until stdin ends.

``/large/N`` is a page of 1 MB, ``/small/N`` one of 8 KB; N makes them different URLs, so that no cache answers.
"""

from __future__ import annotations

import asyncio
import sys

SENTENCE = "The quick brown fox number {} jumps over the lazy dog, <code>jump({})</code>, and eats berries. "


def page(size: int) -> bytes:
    """A page with headings, paragraphs and code, of about `size` bytes."""
    parts: list[str] = ["<html><head><title>Foxes</title></head><body><main><h1>Foxes</h1>"]
    weight = 0
    while weight < size:
        text = "".join(SENTENCE.format(len(parts), number) for number in range(6))
        parts.append(f"<h2>Part {len(parts)}</h2><p>{text}</p><pre>x = {len(parts)}\n</pre>")
        weight += len(parts[-1])
    return "".join([*parts, "</main></body></html>"]).encode()


async def serve() -> None:
    bodies = {b"large": page(1_000_000), b"small": page(8000)}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = bodies.get(head.split(b" ", 2)[1].split(b"/")[1])
                status = b"200 OK" if body else b"404 Not Found"
                body = body or b""
                writer.write(
                    b"HTTP/1.1 %b\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
                )
                writer.write(body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
