"""How fast pages are read: a page of 1 MB, and many small ones at once, over a loopback site, in this process.

python benchmarks/websearch.py
"""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from pathlib import Path

import anyio

from tests.sandbox.egress.site import reply, serving
from tests.websearch.support import server

SENTENCE = "The quick brown fox number {} jumps over the lazy dog, <code>jump({})</code>, and eats berries. "
HTML = {"Content-Type": "text/html"}


def page(size: int) -> bytes:
    """A page with headings, paragraphs and code, of about `size` bytes."""
    parts: list[str] = ["<html><body><main><h1>Foxes</h1>"]
    weight = 0
    while weight < size:
        text = "".join(SENTENCE.format(len(parts), number) for number in range(6))
        parts.append(f"<h2>Part {len(parts)}</h2><p>{text}</p><pre>x = {len(parts)}\n</pre>")
        weight += len(parts[-1])
    return "".join([*parts, "</main></body></html>"]).encode()


async def main() -> None:
    """Print a table."""
    rows: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        async with serving(reply(200, page(1_000_000), HTML)) as site, server(Path(folder), site) as called:
            times: list[float] = []
            for number in range(6):
                begun = time.perf_counter()
                await called.text("read_page", pages=[f"http://a.example.net/{number}"])
                times.append(1000 * (time.perf_counter() - begun))
            rows.append(
                ("1 MB page, first / median of 5 more, ms", f"{times[0]:.0f} / {statistics.median(times[1:]):.0f}")
            )
        async with serving(reply(200, page(8000), HTML)) as site, server(Path(folder), site) as called:
            begun = time.perf_counter()
            async with anyio.create_task_group() as group:
                for number in range(200):
                    group.start_soon(called.web.read, f"http://b.example.net/{number}")
            rows.append(("200 pages of 8 KB at once, a second", f"{200 / (time.perf_counter() - begun):.0f}"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    rows.append(("peak RSS with site and client in the process, MB", str(peak)))
    for name, value in rows:
        print(f"{name:<52} {value:>12}")


if __name__ == "__main__":
    anyio.run(main)
