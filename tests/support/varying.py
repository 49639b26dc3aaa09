"""The toy server with a list of resources that varies: one for each item on its shelf."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from gatelodge_core.declare import Declarations, merged
from gatelodge_core.effects import PRIVATE, READ, UNTRUSTED
from gatelodge_core.errors import CallError
from gatelodge_core.keeper import Keeper
from gatelodge_core.launch.entry import Program, main
from gatelodge_core.lists import Listed, ListPage, Stop
from gatelodge_core.server import Lodge

from tests.support.toy import IDENTITY, Shelf, ToySettings, toy

PAGE = 2


@dataclass
class Watched(Shelf):
    """A shelf, and who is told when what stands on it changes."""

    told: Callable[[], None] | None = None
    begun: int = 0
    """How often a watch was begun."""
    keys: set[str] = field(default_factory=set[str])

    async def page(self, cursor: str) -> ListPage:
        """Some of the items, by name."""
        if cursor and cursor not in self.items:
            raise CallError("bad_cursor", "that is no cursor of this list.")
        keys = [key for key in sorted(self.items) if key > cursor]
        shown = [Listed(f"toy://item/{key}", key, description=self.items[key]) for key in keys[:PAGE]]
        return ListPage(shown, keys[PAGE - 1] if len(keys) > PAGE else "")

    async def watch(self, changed: Callable[[], None]) -> Stop:
        """Be told; one at a time."""
        assert self.told is None, "watched twice"
        self.begun += 1
        self.told = changed

        def stop() -> None:
            self.told = None

        return stop


watching = Declarations[Shelf]()


@watching.tool(effect=READ, yields=PRIVATE)
async def change_shelf(shelf: Shelf, key: str, value: str = "new") -> str:
    """Put an item on the shelf, and tell who watches it."""
    assert isinstance(shelf, Watched)
    shelf.items[key] = value
    if shelf.told is not None:
        shelf.told()
    return f"watched: {shelf.told is not None}, begun {shelf.begun} times"


@watching.resource("toy://said/{key}", name="said", yields=PRIVATE | UNTRUSTED)
async def said(shelf: Shelf, key: str) -> str:
    """What others said."""
    return shelf.items[key]


@watching.resource("toy://data/{key}", name="data", mime_type="application/json", yields=PRIVATE | UNTRUSTED)
async def data(shelf: Shelf, key: str) -> str:
    """The same for programs."""
    return json.dumps({key: shelf.items[key]})


def build(settings: ToySettings) -> Lodge[Shelf]:
    """The server, behind a whole keeper."""
    shelf = Watched({"alpha": "first", "beta": "second", "gamma": "third"})
    declared = merged([toy, watching])
    keeper = Keeper(settings, IDENTITY, declared)
    return Lodge(
        IDENTITY, declared, shelf, keeper.steps, ready=keeper.ready, start=keeper.start,
        life=lambda: keeper.life(lambda: None), lists=shelf,
    )  # fmt: skip


PROGRAM = Program("varying", "tests.support.toy:ToySettings", "tests.support.varying:build")

if __name__ == "__main__":
    main(PROGRAM)
