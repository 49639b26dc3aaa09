"""What is over a limit anyway is refused at the door: for a quarter of what a call costs, so that a flood takes less of others' time.

The guard refuses the first, with a record of the whole call. As long as the next ones would be refused alike they are only
counted, by caller and address: in the metrics each, in the journal once a minute (`auth.turned`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from gatelodge_core.auth.principal import Principal, local_user
from gatelodge_core.auth.turned import TurnedAway
from gatelodge_core.guard.chain import KINDS
from gatelodge_core.guard.limits import LimitError, LimitStep
from gatelodge_core.guard.meter import Meter

TOO_MANY_OPEN = "too_many_open"


class Shedding:
    """Judges requests of callers that are known.

    Args:
        limits: Knows who is over.
        meter: Counts them.
        turned: Told of them.
    """

    def __init__(self, limits: LimitStep, meter: Meter, turned: TurnedAway | None = None) -> None:
        self._limits, self._meter, self._turned = limits, meter, turned
        self._local = local_user()

    def refusal(self, principal: Principal | None, message: Mapping[str, object], address: str) -> LimitError | None:
        """Why a message is not walked; None if it is.

        Args:
            principal: Who calls; None for the local user.
            message: A JSON-RPC message.
            address: From where.
        """
        found = KINDS.get(str(message.get("method")))
        if found is None or "id" not in message:
            return None
        who = principal or self._local
        over = self._limits.standing(who)
        if over is not None:
            params = message.get("params")
            name = cast("Mapping[str, object]", params).get(found[1]) if isinstance(params, Mapping) else None
            self._meter.shed(found[0], str(name), over.code_word)
            self._note(over.code_word, address, who)
        return over

    def unread(self, principal: Principal, address: str) -> None:
        """Count a request that was refused unread, as its caller has too many open."""
        self._note(TOO_MANY_OPEN, address, principal)

    def settle(self) -> None:
        """Write down the numbers."""
        if self._turned is not None:
            self._turned.settle()

    def _note(self, reason: str, address: str, principal: Principal) -> None:
        if self._turned is not None:
            self._turned.note(reason, address, principal)
