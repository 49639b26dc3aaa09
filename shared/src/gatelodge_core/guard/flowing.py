"""The flow step: what replicas have noted of a caller's reading is known before a call is judged, and noted before it answers."""

from __future__ import annotations

import logging
from contextlib import suppress

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gatelodge_core.effects import Effect, Reach
from gatelodge_core.guard.call import Call, Next, Outcome
from gatelodge_core.guard.limits import UnavailableError
from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.flow import Flow

logger = logging.getLogger(__name__)

NOTE_SECONDS = 2.0
"""How long a call that was given up may wait for the store."""
_WITHHELD = "store_unavailable: what the answer tells of can't be noted now, so the answer is withheld. What the call did, is done."


class FlowStep:
    """Keeps the marks of a caller the same for all replicas.

    Args:
        flow: The marks.
    """

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    async def __call__(self, call: Call, way: Next) -> Outcome:
        """Walk on, with what is known of the caller.

        Raises:
            UnavailableError: That can't be found out, so that anything may have been read.
            MCPError: It can't be noted what was read.
        """
        principal = str(call.principal)
        if call.nature.effect is not Effect.READ or call.nature.reach is Reach.EXTERNAL:
            try:
                await self._flow.refresh(principal)
            except StoreError as error:
                call.notes["refusal"] = "store_unavailable"
                raise UnavailableError(str(error)) from None
        try:
            outcome = await way(call)
        except anyio.get_cancelled_exc_class():
            # Its progress may have told of it.
            with anyio.move_on_after(NOTE_SECONDS, shield=True), suppress(MCPError):
                await self._note(principal)
            raise
        except MCPError:
            # An error tells of what was read, too.
            await self._note(principal)
            raise
        try:
            await self._note(principal)
        except MCPError:
            if call.kind != "tool":
                raise
            call.notes["refusal"] = "store_unavailable"
            return Outcome(call.channel.refusal(_WITHHELD), failed=True)
        return outcome

    async def _note(self, principal: str) -> None:
        try:
            await self._flow.flush(principal)
        except StoreError as error:
            logger.error("an answer was withheld: %s", error)  # noqa: TRY400 - the message is all there is to say
            raise MCPError(INTERNAL_ERROR, _WITHHELD) from None
