"""The audit steps: an intent before the call, an outcome after it, and a record of every refusal.

`Auditor.outer` walks first and `Auditor.inner` last: the intent is written when all others have let the call pass, and says
why they did. No record, no call.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gatelodge_core.audit.canonical import canonical, digest
from gatelodge_core.audit.journal import Journal, JournalError
from gatelodge_core.guard.call import Call, Next, Outcome

logger = logging.getLogger(__name__)

INTENT = "intent"


class Auditor:
    """Writes each call to the journal. Arguments and results go in as digests and sizes, never as they are.

    Args:
        journal: The open journal.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def outer(self, call: Call, way: Next) -> Outcome:
        """Walk on; if that ends without an intent, the call was refused, and that is recorded.

        Raises:
            MCPError: What the other steps raise.
        """
        try:
            return await way(call)
        finally:
            if INTENT not in call.notes:
                try:
                    self._journal.write({"type": "refusal", **_facts(call)})
                except JournalError as error:
                    logger.error("a refusal is not in the journal: %s", error)  # noqa: TRY400 - nothing was done

    async def inner(self, call: Call, way: Next) -> Outcome:
        """Record, walk on, record.

        Raises:
            MCPError: INTERNAL_ERROR, if the intent can't be recorded; the call is then not made.
        """
        call.notes[INTENT] = None
        try:
            intent = self._journal.write({"type": INTENT, **_facts(call)})
        except JournalError as error:
            logger.error("refused a call: %s", error)  # noqa: TRY400 - the message is all there is to say
            raise MCPError(
                INTERNAL_ERROR, "audit_unavailable: the call was not made, since it can't be recorded."
            ) from None
        started = time.perf_counter_ns()
        status: dict[str, object] = {"status": "error", "error": "unexpected"}
        try:
            outcome = await way(call)
            form = canonical(outcome.result)
            status = {
                "status": "error" if outcome.failed else "ok",
                "result_sha256": digest(form),
                "result_bytes": len(form),
            }
            return outcome
        except MCPError as error:
            status = {"status": "error", "error": f"json-rpc {error.error.code}"}
            raise
        except anyio.get_cancelled_exc_class():
            status = {"status": "cancelled"}
            raise
        finally:
            elapsed = (time.perf_counter_ns() - started) // 1000
            try:
                self._journal.write({"type": "outcome", "intent": intent, "us": elapsed, **status})
            except JournalError as error:
                # The call is made; the next one will not be.
                logger.error("outcome of record %d is not in the journal: %s", intent, error)  # noqa: TRY400


def _facts(call: Call) -> Mapping[str, object]:
    """What both an intent and a refusal tell of a call."""
    form = canonical(call.arguments)
    return {
        "kind": call.kind,
        "name": call.name,
        "effect": str(call.nature.effect),
        "reach": str(call.nature.reach),
        "scope": call.scope,
        "principal": str(call.principal),
        "claims": dict(call.claims),
        "transport": call.transport,
        "protocol": call.protocol,
        "request": call.request_id,
        "args_sha256": digest(form),
        "args_bytes": len(form),
        **{key: call.notes[key] for key in ("decision", "rule", "confirmation", "refusal") if key in call.notes},
    }
