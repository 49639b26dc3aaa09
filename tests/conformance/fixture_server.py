"""What the official conformance suite asks of a server, declared on the lodge's own core and started by our own entry.

The suite names every tool, resource and prompt and says what each answers; their texts are the suite's. All of it
passes the whole keeper: journal, limits, policy.

Three things real servers of ours don't do, so the core has no declaration for them, and the fixture reaches below it:
names longer than hosts can take, questions to the client from inside a tool, and the calls that only the 2025 revisions
have (``logging/setLevel``, ``resources/subscribe``, ``resources/unsubscribe``).
"""

from __future__ import annotations

from typing import ClassVar

from gatelodge_core.declare import merged
from gatelodge_core.keeper import Keeper
from gatelodge_core.launch.entry import Program, main
from gatelodge_core.server import Identity, Lodge
from gatelodge_core.settings import LodgeSettings
from mcp_types import EmptyResult, SetLevelRequestParams, SubscribeRequestParams, UnsubscribeRequestParams

from tests.conformance._contents import contents
from tests.conformance._live import live
from tests.conformance._questions import questions
from tests.conformance._stage import Message, Stage, remember

OFFERED = merged([contents, live, questions])


class FixtureSettings(LodgeSettings):
    """A server for the conformance suite."""

    server: ClassVar[str] = "conformance"


def _add_calls_of_2025(lodge: Lodge[Stage]) -> None:
    async def set_level(ctx: Message, params: SetLevelRequestParams) -> EmptyResult:
        return EmptyResult()

    async def subscribe(ctx: Message, params: SubscribeRequestParams) -> EmptyResult:
        lodge.domain.watched.add(str(params.uri))
        return EmptyResult()

    async def unsubscribe(ctx: Message, params: UnsubscribeRequestParams) -> EmptyResult:
        lodge.domain.watched.discard(str(params.uri))
        return EmptyResult()

    lodge.lowlevel.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    lodge.lowlevel.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    lodge.lowlevel.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)


def build(settings: FixtureSettings) -> Lodge[Stage]:
    """The fixture's lodge, with the keeper that every server has."""
    identity = Identity("conformance", "Conformance", "A fixture.", "A fixture for the conformance suite.", "0.0.1")
    keeper = Keeper(settings, identity, OFFERED)
    lodge = Lodge(
        identity, OFFERED, Stage(), keeper.steps, hidden=keeper.hidden, life=lambda: keeper.life(lambda: None)
    )
    lodge.mcp.middleware.append(remember)
    _add_calls_of_2025(lodge)
    return lodge


PROGRAM = Program(
    "conformance",
    "tests.conformance.fixture_server:FixtureSettings",
    "tests.conformance.fixture_server:build",
    "tests.conformance.fixture_server:OFFERED",
)

if __name__ == "__main__":
    main(PROGRAM)
