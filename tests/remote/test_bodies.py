"""Bodies that come slowly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import httpx2
import pytest
from gatelodge_core.launch import routes
from gatelodge_core.launch.http import HttpOptions, application

from tests.support import toy as toy_module

pytestmark = pytest.mark.anyio


async def test_a_body_that_never_ends_is_waited_for_as_long_as_is_said_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routes, "BODY_SECONDS", 0.2)
    ended = asyncio.Event()

    async def slow() -> AsyncGenerator[bytes]:
        yield b'{"jsonrpc":"2.0",'
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    lodge = toy_module.build(toy_module.ToySettings())
    front = application(lodge.lowlevel, HttpOptions("127.0.0.1:0"), "127.0.0.1", list[str])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=front), base_url="http://127.0.0.1") as client:
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        async with asyncio.timeout(20):
            answer = await client.post("/mcp", content=slow(), headers=headers)
        assert answer.status_code == 408
        assert answer.json() == {"error": "the body took too long"}
        assert ended.is_set()
