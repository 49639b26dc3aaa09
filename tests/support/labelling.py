"""A server whose tools find out at run time how private or trusted what they read is, behind a whole keeper."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
from gatelodge_core.declare import Declarations
from gatelodge_core.effects import DESTROY, PRIVATE, PUBLIC, READ, UNTRUSTED, Label
from gatelodge_core.errors import CallError
from gatelodge_core.guard.envelope import wrap
from gatelodge_core.keeper import Keeper
from gatelodge_core.labels import raise_label
from gatelodge_core.launch.entry import Program, main
from gatelodge_core.server import Lodge
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    TextContent,
)
from pydantic import BaseModel

from tests.support.toy import IDENTITY, ToySettings

Place = Literal["function", "awaited", "task", "thread", "thread of a task", "task of a thread"]
PLACES: tuple[Place, ...] = ("function", "awaited", "task", "thread", "thread of a task", "task of a thread")
Ending = Literal["text", "failure", "crash", "protocol error"]


@dataclass
class Room:
    """Where calls meet, so that they run at the same time for certain."""

    present: int = 0
    full: anyio.Event = field(default_factory=anyio.Event)

    async def meet(self, count: int) -> None:
        """Wait until so many calls are here."""
        self.present += 1
        if self.present == count:
            self.full.set()
            self.present, self.full = 0, anyio.Event()
        else:
            await self.full.wait()


class Found(BaseModel):
    """A record."""

    note: str


async def _later(label: Label) -> None:
    await anyio.lowlevel.checkpoint()
    raise_label(label)


async def _in_thread(label: Label) -> None:
    await anyio.to_thread.run_sync(raise_label, label)


async def _in_task(work: Callable[[Label], Coroutine[Any, Any, None]], label: Label) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work, label)


async def raise_at(place: Place, label: Label) -> None:
    """Raise a label from there."""
    match place:
        case "function":
            raise_label(label)
        case "awaited":
            await _later(label)
        case "task":
            await _in_task(_later, label)
        case "thread":
            await _in_thread(label)
        case "thread of a task":
            await _in_task(_in_thread, label)
        case "task of a thread":
            await anyio.to_thread.run_sync(anyio.from_thread.run, _in_task, _later, label)


labelling = Declarations[Room]()


@labelling.tool(effect=READ)
async def read_note(
    room: Room,
    private: bool = False,
    untrusted: bool = False,
    place: Place = "function",
    ending: Ending = "text",
) -> str:
    """Read a note that is what the arguments say."""
    del room
    await raise_at(place, Label(private, untrusted))
    match ending:
        case "failure":
            raise CallError("not_found", "there is no such note.")
        case "crash":
            raise RuntimeError("crash")
        case "protocol error":
            raise MCPError(-32000, "gone")
        case "text":
            return "a note"


@labelling.tool(effect=READ)
async def find_note(room: Room, private: bool = False, untrusted: bool = False) -> Found:
    """Read a note as a record."""
    del room
    raise_label(Label(private, untrusted))
    return Found(note="a note")


@labelling.tool(effect=READ, yields=PRIVATE)
async def read_diary(room: Room, untrusted: bool = False) -> str:
    """Read what is always private."""
    del room
    raise_label(Label(untrusted=untrusted))
    return "a diary"


@labelling.tool(effect=READ, yields=UNTRUSTED)
async def read_post(room: Room, private: bool = False) -> str:
    """Read what others wrote, always."""
    del room
    raise_label(Label(private=private))
    return "a post"


@labelling.tool(effect=READ)
async def read_thread(room: Room) -> str:
    """Read items of which one was written by others, and has an envelope of its own."""
    del room
    raise_label(UNTRUSTED)
    return f"mine\n{wrap('theirs', 'post 2')}"


@labelling.tool(effect=READ, yields=PRIVATE | UNTRUSTED)
async def read_lowered(room: Room) -> CallToolResult:
    """Try everything to be taken for public."""
    del room
    raise_label(PUBLIC)
    raise_label(Label(private=False, untrusted=False))
    return CallToolResult(
        content=[TextContent(type="text", text="secret")],
        _meta={"ifc": {"integrity": "trusted", "confidentiality": "public"}, "example.org/kept": {"n": 1}},
    )


@labelling.tool(effect=READ)
async def meet_others(room: Room, count: int, private: bool, untrusted: bool) -> str:
    """Wait for other calls, and raise a label by halves before they are there and after."""
    raise_label(Label(private=private))
    await room.meet(count)
    async with anyio.create_task_group() as tasks:
        for place in PLACES:
            tasks.start_soon(raise_at, place, Label(untrusted=untrusted))
    await room.meet(count)
    return f"{private} {untrusted}"


@labelling.tool(effect=READ)
async def stay_for_ever(room: Room) -> str:
    """Look at something private, and never come back."""
    del room
    raise_label(PRIVATE)
    await anyio.sleep_forever()
    return "back"


@labelling.tool(effect=DESTROY, yields=PRIVATE)
async def burn_diary(room: Room) -> str:
    """Burn what is private."""
    del room
    return "ashes"


@labelling.tool(effect=READ, yields=PRIVATE)
async def ask_back(room: Room) -> InputRequiredResult:
    """Answer with a question."""
    del room
    raise_label(UNTRUSTED)
    form = ElicitRequestFormParams(message="Which?", requested_schema={"type": "object", "properties": {}})
    return InputRequiredResult(input_requests={"which": ElicitRequest(params=form)})


@labelling.resource("note://public", name="public")
async def public(room: Room) -> str:
    """What all may know."""
    del room
    return "known"


@labelling.resource("note://diary/{untrusted}", name="diary", yields=PRIVATE)
async def diary(room: Room, untrusted: str) -> str:
    """What is always private."""
    del room
    raise_label(Label(untrusted=untrusted == "yes"))
    return "a diary"


@labelling.prompt()
async def about_note(room: Room, private: str = "no", untrusted: str = "no") -> str:
    """Ask about a note."""
    del room
    raise_label(Label(private == "yes", untrusted == "yes"))
    return "What is this?"


@labelling.completer("about_note", "private")
async def answers(room: Room, value: str, chosen: dict[str, str]) -> list[str]:
    del room, value, chosen
    raise_label(PRIVATE)
    return ["yes", "no"]


def build(settings: ToySettings) -> Lodge[Room]:
    """The server, behind a whole keeper."""
    room = Room()
    keeper = Keeper(settings, IDENTITY, labelling)
    return Lodge(
        IDENTITY, labelling, room, keeper.steps, ready=keeper.ready, start=keeper.start,
        life=lambda: keeper.life(lambda: None),
    )  # fmt: skip


PROGRAM = Program("labelling", "tests.support.toy:ToySettings", "tests.support.labelling:build")

if __name__ == "__main__":
    main(PROGRAM)
