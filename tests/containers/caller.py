"""A client of the deployment, in a process of its own, since what the engine publishes may be in another network namespace.

    python -m tests.containers.caller call     calls from standard input, with the SDK's client; answers as JSON
    python -m tests.containers.caller load     calls until standard input ends; then the counts
    python -m tests.containers.caller lists    asks for the tools many times, one after the other; then the counts

The first line of standard input is a `Task`.
"""

from __future__ import annotations

import json
import ssl
import sys
from collections import Counter
from typing import Any, TypedDict

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent

from tests.support.remote import ACCEPT
from tests.support.wire import MODERN, MODERN_META

EVERY = 50
"""After how many calls a line says that there were so many."""
LISTS = 3000


class Task(TypedDict):
    """What to call.

    Args:
        url: Of the endpoint.
        ca: File of the authority of its certificate.
        keys: Of the callers; the first one calls, and each of them makes load.
        calls: Tools and arguments; under load each caller has one of them, over and over.
        wanted: What the answer to each of these must have, under load.
        clients: How many there are of each caller, under load.
    """

    url: str
    ca: str
    keys: list[str]
    calls: list[tuple[str, dict[str, Any]]]
    wanted: list[str]
    clients: int


def connection(task: Task, key: str) -> httpx2.AsyncClient:
    """An HTTP client with a caller's key."""
    trusted = ssl.create_default_context(cafile=task["ca"])
    return httpx2.AsyncClient(verify=trusted, timeout=60, headers={"authorization": f"Bearer {key}"})


async def call(task: Task) -> None:
    """Call one after the other, as a host would."""
    answers: list[dict[str, Any]] = []
    async with (
        connection(task, task["keys"][0]) as http,
        Client(streamable_http_client(task["url"], http_client=http), cache=None) as client,
    ):
        tools = [tool.name for tool in (await client.list_tools()).tools]
        for name, arguments in task["calls"]:
            result = await client.call_tool(name, arguments)
            text = "".join(part.text for part in result.content if isinstance(part, TextContent))
            answers.append({"error": bool(result.is_error), "text": text})
    sys.stdout.write(json.dumps({"tools": tools, "answers": answers}))


async def load(task: Task) -> None:
    """Call from many clients at once until standard input ends."""
    counts: Counter[str] = Counter()
    stop = anyio.Event()

    async def client(number: int) -> None:
        (name, arguments), wanted = task["calls"][number], task["wanted"][number]
        body = message("tools/call", name=name, arguments=arguments)
        async with connection(task, task["keys"][number]) as http:
            while not stop.is_set():
                counts[await posted(http, task["url"], body, wanted)] += 1
                if counts.total() % EVERY == 0:
                    sys.stdout.write(f"{counts.total()}\n")
                    sys.stdout.flush()

    async with anyio.create_task_group() as group:
        for number in range(len(task["keys"])):
            for _ in range(task["clients"]):
                group.start_soon(client, number)
        await anyio.to_thread.run_sync(sys.stdin.read)
        stop.set()
    sys.stdout.write(json.dumps(counts))


async def lists(task: Task) -> None:
    """Ask for the tools, over one connection: an answer that comes at once."""
    counts: Counter[str] = Counter()
    async with connection(task, task["keys"][0]) as http:
        for _ in range(LISTS):
            counts[await posted(http, task["url"], message("tools/list"), '"tools":[')] += 1
    sys.stdout.write(json.dumps(counts))


def message(method: str, **params: Any) -> dict[str, Any]:
    """A request of the newest revision."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": MODERN_META}}


async def posted(http: httpx2.AsyncClient, url: str, body: dict[str, Any], wanted: str) -> str:
    """How a request ended: `right`, `wrong`, a status with its beginning, or the name of an error."""
    method, name = body["method"], body["params"].get("name")
    headers = {**ACCEPT, "mcp-protocol-version": MODERN, "mcp-method": method, **({"mcp-name": name} if name else {})}
    try:
        answer = await http.post(url, json=body, headers=headers)
    except httpx2.TransportError as error:
        return type(error).__name__
    if answer.status_code != 200:
        return f"status {answer.status_code} {answer.text[:80]}"
    return "right" if wanted in answer.text else "wrong"


if __name__ == "__main__":
    anyio.run({"call": call, "load": load, "lists": lists}[sys.argv[1]], json.loads(sys.stdin.readline()))
