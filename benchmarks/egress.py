"""What a request costs by the egress client, over plain httpx2, on loopback.

    .venv/bin/python -m benchmarks.egress

A server in a process of its own answers the same small page on kept connections. The contenders take turns, so that
whatever else the machine does hits all of them alike. Figures are microseconds per request, one at a time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import httpx2
from gatelodge_core.sandbox.egress import Egress, EgressSettings

PAGE = b"<!doctype html><title>x</title>" + b"<p>some text</p>" * 500
REQUESTS = 200
ROUNDS = 15
BUDGET_US = 1000


def serve(ready: Connection) -> None:
    answers = {
        b"/k": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE,
        b"/c": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE,
    }

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1]
                writer.write(answers[path])
                if path == b"/c":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def timed(fetch: Callable[[], Awaitable[bytes]]) -> float:
    """Microseconds per request."""
    began = time.perf_counter()
    for _ in range(REQUESTS):
        assert await fetch() == PAGE
    return (time.perf_counter() - began) / REQUESTS * 1e6


async def measure(port: int) -> None:
    settings = EgressSettings(ports=frozenset({port}), allow_networks=("127.0.0.0/8",))
    began = time.perf_counter()
    egress = Egress(settings)
    made = time.perf_counter() - began
    base, named = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
    async with (
        egress,
        httpx2.AsyncClient(trust_env=False) as plain,
        httpx2.AsyncClient(transport=egress.transport, trust_env=False) as through,
    ):

        async def by(client: httpx2.AsyncClient, url: str) -> bytes:
            return (await client.get(url)).content

        async def ours(url: str) -> bytes:
            return (await egress.get(url)).body

        contenders: dict[str, Callable[[], Awaitable[bytes]]] = {
            "httpx2, kept connection": lambda: by(plain, f"{base}/k"),
            "Egress, kept connection": lambda: ours(f"{base}/k"),
            "httpx2 over Egress.transport, kept": lambda: by(through, f"{base}/k"),
            "httpx2, new connection, name": lambda: by(plain, f"{named}/c"),
            "Egress, new connection, name": lambda: ours(f"{named}/c"),
        }
        samples: dict[str, list[float]] = {label: [] for label in contenders}
        for _ in range(ROUNDS + 1):
            for label, fetch in contenders.items():
                samples[label].append(await timed(fetch))
    medians = {label: statistics.median(found[1:]) for label, found in samples.items()}
    print(f"{'':36}{'median us':>10}{'min':>8}{'over httpx2':>13}")
    for label, median in medians.items():
        against = "httpx2, new connection, name" if "new" in label else "httpx2, kept connection"
        print(f"{label:36}{median:10.0f}{min(samples[label][1:]):8.0f}{median - medians[against]:+13.0f}")
    print(f"\nBudget: +{BUDGET_US} us. Making the client (certificate authorities are read): {made * 1e3:.1f} ms.")


def main() -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        asyncio.run(measure(ours.recv()))
    finally:
        process.terminate()
        process.join()


if __name__ == "__main__":
    main()
