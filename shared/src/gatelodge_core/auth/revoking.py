"""Asking the list of what was revoked, in a way that lets nobody in when it can't be asked."""

from __future__ import annotations

import logging

from gatelodge_core.auth.claims import Grant
from gatelodge_core.auth.model import Revoked, Unauthenticated

logger = logging.getLogger(__name__)

RETRY_SECONDS = 2


async def check_revoked(revoked: Revoked | None, found: Grant) -> None:
    """Let a grant pass that nobody has revoked.

    Raises:
        Unauthenticated: It was revoked, or the list can't be asked.
    """
    if revoked is None:
        return
    try:
        gone = [name for name in found.identifiers if await revoked(name)]
    except Exception as error:  # noqa: BLE001 - whatever keeps the list from answering, nobody is let in
        logger.error("the list of revocations can't be asked: %s", type(error).__name__)  # noqa: TRY400 - a traceback may quote what was called
        raise Unauthenticated("revocations can't be checked", unavailable=RETRY_SECONDS) from None
    if gone:
        raise Unauthenticated("the token was revoked", withdrawn=True)
