"""Several people who listen on one server and one folder: who listens to much leaves room for the others."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2

from tests.support.remote import ACCEPT
from tests.support.several import Several, several
from tests.support.wire import MODERN, MODERN_META


@asynccontextmanager
async def listening(http: httpx2.AsyncClient, served: Several, name: str, uris: Sequence[str]) -> AsyncGenerator[Any]:
    """A stream, and the first thing that is said on it."""
    body = {
        "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen",
        "params": {"notifications": {"resourceSubscriptions": list(uris)}, "_meta": MODERN_META},
    }  # fmt: skip
    headers = {"mcp-protocol-version": MODERN, "mcp-method": "subscriptions/listen"}
    headers |= {**ACCEPT, "authorization": f"Bearer {served.keys[name]}"}
    async with http.stream("POST", served.url, json=body, headers=headers) as answer:
        # Kept, as the stream ends with who reads it.
        lines = answer.aiter_lines()
        while not (line := (await anext(lines)).removeprefix("data:").strip()).startswith("{"):
            pass
        yield json.loads(line)


def test_one_callers_streams_and_uris_keep_no_other_from_listening(tmp_path: Path) -> None:
    for name in ("notes", "server"):
        (tmp_path / name).mkdir()
    settings = f"[filesystem]\nroots = [{json.dumps(str(tmp_path / 'notes'))}]\n"

    async def conversation(served: Several) -> None:
        limits = httpx2.Limits(max_connections=None)
        with anyio.fail_after(60):
            async with httpx2.AsyncClient(timeout=30, limits=limits) as http, AsyncExitStack() as stack:
                said = [
                    await stack.enter_async_context(
                        listening(http, served, "much", [f"fs://notes/{turn}-{number}" for number in range(16)])
                    )
                    for turn in range(65)
                ]
                taken = [one for one in said if "error" not in one]
                assert taken
                assert len(taken) < len(said)
                uris = ["fs://notes/wanted"]
                found = await stack.enter_async_context(listening(http, served, "little", uris))
                assert found.get("params", {}).get("notifications", {}).get("resourceSubscriptions") == uris, found

    with several(tmp_path / "server", "filesystem", settings, ("much", "little")) as served:
        anyio.run(conversation, served)
