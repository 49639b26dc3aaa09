"""Telling the host, every so often, that long work goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from gatelodge_core.declare import Progress

T = TypeVar("T")

FIRST, EACH = 1.0, 2.0
"""Seconds until the first word, and between the others."""


async def ticking(progress: Progress, message: str, work: Awaitable[T]) -> T:
    """Await `work`, and report the seconds gone by if it takes more than one."""
    teller: list[asyncio.Task[None]] = []

    async def tell() -> None:
        gone = FIRST
        while True:
            await progress(gone, message=f"{message}, {gone:.0f} s")
            await asyncio.sleep(EACH)
            gone += EACH

    loop = asyncio.get_running_loop()
    timer = loop.call_later(FIRST, lambda: teller.append(loop.create_task(tell())))
    try:
        return await work
    finally:
        timer.cancel()
        for task in teller:
            task.cancel()
