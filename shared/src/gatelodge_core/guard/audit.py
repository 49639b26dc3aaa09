"""The audit step: an intent before the call, an outcome after it. No record, no call."""

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


class AuditStep:
    """Writes each call to the journal. Arguments and results go in as digests and sizes, never as they are.

    Args:
        journal: The open journal.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def __call__(self, call: Call, way: Next) -> Outcome:
        """Record, walk on, record.

        Raises:
            MCPError: INTERNAL_ERROR, if the intent can't be recorded; the call is then not made.
        """
        intent = self._write(
            {
                "type": "intent",
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
                "args_sha256": digest(call.arguments),
                "args_bytes": len(canonical(call.arguments)),
            }
        )
        started = time.perf_counter_ns()
        status: dict[str, object] = {"status": "error", "error": "unexpected"}
        try:
            outcome = await way(call)
            status = {
                "status": "error" if outcome.failed else "ok",
                "result_sha256": digest(outcome.result),
                "result_bytes": len(canonical(outcome.result)),
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

    def _write(self, record: Mapping[str, object]) -> int:
        try:
            return self._journal.write(record)
        except JournalError as error:
            logger.error("refused a call: %s", error)  # noqa: TRY400 - the message is all there is to say
            raise MCPError(
                INTERNAL_ERROR, "audit_unavailable: the call was not made, since it can't be recorded."
            ) from None
