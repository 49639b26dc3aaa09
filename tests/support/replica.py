"""A server whose replicas can be caught giving a wrong answer: it says who asked, and writes down what it did."""

from __future__ import annotations

import os
from dataclasses import dataclass

import anyio
from gatelodge_core.auth.principal import CALLER
from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import DESTROY, READ, WRITE
from gatelodge_core.keeper import Keeper
from gatelodge_core.launch.entry import Program, main
from gatelodge_core.sandbox.profiles import filesystem
from gatelodge_core.server import Identity, Lodge
from gatelodge_core.store.flow import Flow

from tests.support.toy import ToySettings

LEDGER = "ledger"
"""In the state folder, which the replicas share: a line for each thing that was done."""


@dataclass
class Ledger:
    """What the replicas act on."""

    path: str
    flow: Flow


offered = Declarations[Ledger]()


def caller() -> str:
    return str(CALLER.get())


@offered.tool(effect=READ)
async def say_who(ledger: Ledger, text: str) -> str:
    """Say who asks, and what."""
    del ledger
    return f"{caller()} {text}"


@offered.tool(effect=DESTROY)
async def strike(ledger: Ledger, key: str) -> str:
    """Do something that must not happen twice."""
    line = f"{caller()} {key}\n".encode()
    descriptor = os.open(ledger.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        assert os.write(descriptor, line) == len(line)
    finally:
        os.close(descriptor)
    return f"{caller()} struck {key}"


@offered.tool(effect=READ)
async def read_source(ledger: Ledger, source: str) -> str:
    """Read something that counts."""
    ledger.flow.mark(caller(), source, 3600)
    return f"{caller()} read {source}"


@offered.tool(effect=READ)
async def read_slowly(ledger: Ledger, progress: Progress, source: str) -> str:
    """Read something that counts, and tell of it long before the end."""
    ledger.flow.mark(caller(), source, 3600)
    await progress(1, 2, source)
    await anyio.sleep(600)
    return source


@offered.tool(effect=WRITE)
async def tell_sources(ledger: Ledger, key: str = "") -> str:
    """Do something that depends on what was read."""
    return f"{caller()} has read {sorted(ledger.flow.marks(caller()))}{key}"


IDENTITY = Identity("toy", "Toy", "A toy.", "A toy for tests.", "0.0.1")


def build(settings: ToySettings) -> Lodge[Ledger]:
    """The server."""
    keeper = Keeper(settings, IDENTITY, offered)
    return Lodge(
        IDENTITY, offered, Ledger(os.path.join(settings.state_path, LEDGER), keeper.flow), keeper.steps,
        ready=keeper.ready, states=keeper.states, hidden=keeper.hidden, replicas=keeper.replicas,
        turned_away=keeper.turned_away,
        profile=keeper.confined(filesystem((), (), settings.state_path)), start=keeper.start,
        life=lambda: keeper.life(lambda: None),
    )  # fmt: skip


PROGRAM = Program("toy", "tests.support.toy:ToySettings", "tests.support.replica:build")

if __name__ == "__main__":
    main(PROGRAM)
