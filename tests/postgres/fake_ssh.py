"""A program ``ssh`` for tests: it forwards TCP on loopback as ``ssh -N -L`` does, and notes how it was started.

FAKE_SSH_LOG is a folder: each start leaves a file there, named by its process id, with its arguments. A file ``broken``
in it makes the next ones end at once with its text as their complaint.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def forward(host: str, port: int):
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other = await (asyncio.open_unix_connection(host) if host[0] == "/" else asyncio.open_connection(host, port))
        await asyncio.gather(copy(reader, other[1]), copy(other[0], writer))

    return served


async def main() -> None:
    log = Path(os.environ["FAKE_SSH_LOG"])
    (log / str(os.getpid())).write_text(json.dumps(sys.argv[1:]))
    if (log / "broken").exists():
        sys.stderr.write(f"Warning: something before\n{(log / 'broken').read_text()}\r\n")
        sys.exit(255)
    words = sys.argv[1:]
    for number, word in enumerate(words):
        if word == "-L":
            address, port, there = words[number + 1].split(":", 2)
            host, _, other = there.rpartition(":")
            if there.startswith("/"):
                host, other = there, "0"
            await asyncio.start_server(forward(host, int(other)), address, int(port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
