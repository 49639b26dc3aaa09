"""A small server on the lodge's own core: what the wire tests talk to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import anyio
from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import DESTROY, EXTERNAL, PRIVATE, READ, UNTRUSTED, WRITE
from gatelodge_core.errors import CallError
from gatelodge_core.guard.call import Step
from gatelodge_core.launch.entry import Program, main
from gatelodge_core.server import Identity, Lodge
from gatelodge_core.settings import LodgeSettings, Texts
from pydantic import BaseModel, Field, SecretStr


class ToySettings(LodgeSettings):
    """A server for tests."""

    server: ClassVar[str] = "toy"
    positional: ClassVar[str] = "things"

    things: Texts = Field(default_factory=list[str], description="Things.")
    token: SecretStr = Field(default=SecretStr(""), description="A secret.")
    trace: str = Field(default="", description="A file that is told when the server's life begins and ends.")


@dataclass
class Shelf:
    """The toy's domain."""

    items: dict[str, str] = field(default_factory=dict[str, str])
    cancelled: anyio.Event = field(default_factory=anyio.Event)


class Row(BaseModel):
    """A record."""

    key: str
    size: int


class Rows(BaseModel):
    """Some records, nested, so that the schema has something to flatten."""

    rows: list[Row]
    shown: int
    total: int


toy = Declarations[Shelf]()


@toy.tool(effect=READ, yields=PRIVATE | UNTRUSTED)
async def echo_text(shelf: Shelf, text: str, times: int = 1, mode: Literal["plain", "loud"] = "plain") -> str:
    """Echo a text."""
    del shelf
    return (text.upper() if mode == "loud" else text) * times


@toy.tool(effect=READ)
async def list_items(shelf: Shelf, prefixes: list[str] = [], limit: int = 10) -> Rows:  # noqa: B006 - a plain default is the portable form
    """List items as records."""
    keys = [key for key in shelf.items if not prefixes or key.startswith(tuple(prefixes))]
    return Rows(rows=[Row(key=key, size=len(shelf.items[key])) for key in keys[:limit]], shown=limit, total=len(keys))


@toy.tool(effect=WRITE, idempotent=True)
async def put_item(shelf: Shelf, key: str, value: str) -> Rows:
    """Keep a value under a key."""
    shelf.items[key] = value
    return Rows(rows=[Row(key=key, size=len(value))], shown=1, total=1)


@toy.tool(effect=DESTROY, reach=EXTERNAL)
async def drop_item(shelf: Shelf, key: str) -> str:
    """Remove a key for good."""
    if key not in shelf.items:
        raise CallError("not_found", f"there is no item {key!r}.", "Call list_items to see what there is.")
    del shelf.items[key]
    return "gone"


@toy.tool(effect=READ)
async def fail_badly(shelf: Shelf, secret: str = "") -> str:
    """Crash with a secret in the exception."""
    raise RuntimeError(f"crash with {secret}")


@toy.tool(effect=READ)
async def wait_long(shelf: Shelf, progress: Progress, seconds: float = 30, note: str = "") -> str:
    """Wait, and say how far the waiting is."""
    await progress(1, 3, "one")
    await progress(2, 3, "two")
    try:
        await anyio.sleep(seconds)
    except anyio.get_cancelled_exc_class():
        if note:
            os.close(os.open(note, os.O_CREAT | os.O_WRONLY, 0o600))
        raise
    return "waited"


@toy.tool(effect=READ)
async def block_thread(shelf: Shelf, seconds: float = 0.5) -> str:
    """Hold one worker thread."""
    await anyio.to_thread.run_sync(time.sleep, seconds)
    return "held"


@toy.tool(effect=READ)
async def odd_text(shelf: Shelf) -> str:
    """Return text with a lone surrogate, as file names can hold."""
    return os.fsdecode(b"bad\x80name")


@toy.tool(effect=READ)
async def print_noise(shelf: Shelf) -> str:
    """Print to what looks like standard output."""
    print("noise", flush=True)  # noqa: T201 - the point
    os.write(1, b"noise from below\n")
    subprocess.run(["echo", "noise from a child"], check=True)  # noqa: ASYNC221 - the point
    return "quiet"


@toy.tool(effect=READ)
async def read_stdin(shelf: Shelf) -> str:
    """Try to steal the host's messages."""
    return repr(sys.stdin.read())


@toy.resource("toy://items", name="items", mime_type="application/json")
async def all_items(shelf: Shelf) -> str:
    """All items."""
    return str(shelf.items)


@toy.resource("toy://item/{key}", name="item")
async def one_item(shelf: Shelf, key: str) -> str:
    """One item."""
    if key == "crash":
        raise RuntimeError("crash with s3cr3t")
    if key in ("outside_roots", "unreachable"):
        raise CallError(key, "it is not read")
    if key not in shelf.items:
        raise CallError("not_found", f"there is no item {key!r}")
    return shelf.items[key]


@toy.prompt()
async def sum_up(shelf: Shelf, topic: str, style: str = "short") -> str:
    """Sum up a topic."""
    if topic == "crash":
        raise RuntimeError("crash with s3cr3t")
    return f"Sum up {topic}, {style}."


@toy.completer("item", "key")
@toy.completer("sum_up", "topic")
async def keys(shelf: Shelf, value: str, chosen: dict[str, str]) -> list[str]:
    del chosen
    return [key for key in sorted(shelf.items) if key.startswith(value)]


IDENTITY = Identity("toy", "Toy", "A toy.", "A toy for tests.", "0.0.1")


def build(settings: ToySettings, steps: list[Step] | None = None) -> Lodge[Shelf]:
    """The toy's lodge."""

    @asynccontextmanager
    async def life() -> AsyncGenerator[None]:
        _note(settings, "begin")
        yield
        _note(settings, "end")

    shelf = Shelf({"alpha": "first", "beta": "second"})
    return Lodge(IDENTITY, toy, shelf, steps or [], life=life)


def _note(settings: ToySettings, text: str) -> None:
    if settings.trace:
        with open(settings.trace, "a", encoding="utf-8") as trace:
            trace.write(f"{text}\n")


PROGRAM = Program(
    "toy",
    "tests.support.toy:ToySettings",
    "tests.support.toy:build",
    # The wire tests go through the porter; those of `varying`, `kept` and others go without.
    surface="tests.support.toy_surface:chosen",
)

if __name__ == "__main__":
    main(PROGRAM)
