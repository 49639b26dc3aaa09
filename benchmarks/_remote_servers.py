"""The servers of `benchmarks.remote`: one function over HTTP, by the bare SDK and by the lodge.

python -m benchmarks._remote_servers sdk
python -m benchmarks._remote_servers lodge --http 127.0.0.1:0 ...
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import ClassVar

import anyio
import uvicorn
from gatelodge_core.auth.principal import CALLER
from gatelodge_core.declare import Declarations
from gatelodge_core.effects import READ
from gatelodge_core.keeper import Keeper
from gatelodge_core.launch.entry import Program, main
from gatelodge_core.sandbox.profiles import filesystem
from gatelodge_core.server import Identity, Lodge
from gatelodge_core.settings import LodgeSettings
from mcp.server.mcpserver import MCPServer

WORDS = "an answer of a few words"

offered = Declarations[None]()


class BenchSettings(LodgeSettings):
    """A server to be measured."""

    server: ClassVar[str] = "bench"


@offered.tool(effect=READ)
async def echo_text(domain: None, name: str) -> str:
    """Answer shortly."""
    del domain, name
    return WORDS


@offered.tool(effect=READ)
async def say_who(domain: None, name: str) -> str:
    """Answer with who asks and what was given."""
    del domain
    return f"{CALLER.get()} was given {name}"


@offered.tool(effect=READ)
async def wait_a_while(domain: None, name: str) -> str:
    """Hold a place."""
    del domain, name
    await anyio.sleep(0.05)
    return WORDS


def build(settings: BenchSettings) -> Lodge[None]:
    """The lodge, whole: limits, policy, journal, redaction, confinement."""
    identity = Identity("bench", "Bench", "To be measured.", "To be measured.", "0")
    keeper = Keeper(settings, identity, offered)
    return Lodge(
        identity, offered, None, keeper.steps, ready=keeper.ready, states=keeper.states, hidden=keeper.hidden,
        profile=keeper.confined(filesystem((), (), settings.state_path)), start=keeper.start,
        life=lambda: keeper.life(lambda: None),
    )  # fmt: skip


async def bare() -> None:
    """The same function by the SDK alone, as its documentation has it."""
    mcp = MCPServer("bench", version="0", log_level="WARNING")

    @mcp.tool()
    async def echo_text(name: str) -> str:
        """Answer shortly."""
        del name
        return WORDS

    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stderr.write(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
        sys.stderr.flush()
        config = uvicorn.Config(mcp.streamable_http_app(), log_config=None, access_log=False, http="h11", ws="none")
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    if sys.argv[1] == "sdk":
        asyncio.run(bare())
    else:
        main(
            Program("bench", "benchmarks._remote_servers:BenchSettings", "benchmarks._remote_servers:build"),
            sys.argv[2:],
        )
