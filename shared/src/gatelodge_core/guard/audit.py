"""The audit steps: an intent before the call, an outcome after it, and a record of every refusal.

`Auditor.outer` walks first and `Auditor.inner` last: the intent is written when all others have let the call pass, and says
why they did. No record, no call. The disk is waited for in threads of the journal's own, so that neither the event loop
nor a tool waits for another's sync.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import anyio
import anyio.to_thread
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gatelodge_core.audit.canonical import CanonicalError, Digest, measure, measure_form
from gatelodge_core.audit.journal import Journal, JournalError, Ticket
from gatelodge_core.audit.records import Decision, Intent, Outcome, Refusal, Status
from gatelodge_core.auth.principal import Principal
from gatelodge_core.effects import READ
from gatelodge_core.guard.call import CLEAN, FORM, LABEL, Call, Next
from gatelodge_core.guard.call import Outcome as Walked
from gatelodge_core.guard.cleansing import REDACTIONS
from gatelodge_core.guard.limits import TIME, CallTime, LimitError

logger = logging.getLogger(__name__)

INTENT = "intent"
RETRY_SECONDS = 1.0
"""How often a journal that could not be written is tried again."""
SYNC_THREADS = 4
"""Threads that wait for the disk; one sync serves all records written before it, so more would gain nothing."""

_DECISIONS: dict[str, Decision] = {"allow": "allow", "confirm": "confirm"}

UNREADABLE = "[unreadable]"
"""In place of a text that could not be cleaned."""


class Auditor:
    """Writes each call to the journal. Arguments and results go in as digests and sizes, never as they are.

    Args:
        lenient_reads: Whether reading goes on while the journal can't be written.
        clean: Makes texts fit for the journal: a name such as a URI can hold a secret.
    """

    def __init__(self, *, lenient_reads: bool = False, clean: Callable[[str], str] = str) -> None:
        self._opened: Journal | None = None
        self._lenient_reads = lenient_reads
        self._cleaner = clean
        self._threads: anyio.CapacityLimiter | None = None
        self._waiting: anyio.Event | None = None

    def open(self, journal: Journal) -> None:
        """Write to this journal from now on; until then, every call is refused."""
        self._opened = journal

    @property
    def _journal(self) -> Journal:
        if self._opened is None:
            raise JournalError("The journal is not open, so the call was not allowed.")
        return self._opened

    def _clean(self, text: str) -> str:
        """A text fit for the journal. A record is written whatever the text does to what looks into it."""
        try:
            return self._cleaner(text)
        except (RecursionError, ValueError):
            return UNREADABLE

    async def outer(self, call: Call, way: Next) -> Walked:
        """Walk on; if that ends without an intent, the call was refused, and that is recorded.

        Raises:
            MCPError: What the other steps raise.
        """
        try:
            return await way(call)
        except LimitError:
            call.notes.setdefault("refusal", "over_limit")
            raise
        finally:
            if INTENT not in call.notes:
                # A flood of refused calls must not become a flood of syncs: its records are made durable together.
                await self._refused(call, wait=call.notes.get("refusal") not in ("over_limit", "store_unavailable"))

    async def inner(self, call: Call, way: Next) -> Walked:
        """Record, walk on, record.

        Raises:
            MCPError: INTERNAL_ERROR, if the intent can't be recorded; the call is then not made.
        """
        call.notes[INTENT] = None
        ticket: Ticket | None = None
        try:
            ticket = self._journal.intent(self._intent(call), wait=False)
            await self._durable(ticket)
        except JournalError as error:
            if call.nature.effect is READ and self._lenient_reads:
                logger.error("a read is not in the journal: %s", error)  # noqa: TRY400 - the message is all there is to say
                return await way(call)
            logger.error("refused a call: %s", error)  # noqa: TRY400 - a traceback may quote what was called
            if ticket is not None:
                await self._ended(ticket, Outcome("refused", error="journal"))
            self._wake()
            raise MCPError(INTERNAL_ERROR, f"audit_unavailable: {error} Nothing was done.") from None
        except anyio.get_cancelled_exc_class():
            if ticket is not None:
                await self._ended(ticket, Outcome("cancelled", error="before it ran"))
            raise
        status: Status = "error"
        error = "unexpected"
        result = Digest("", 0)
        try:
            outcome = await way(call)
            status, error = ("error", "tool") if outcome.failed else ("ok", "")
            try:
                form = call.notes.get(FORM) if outcome.result is call.notes.get(CLEAN) else None
                result = measure_form(form) if form is not None else measure(outcome.result)
            except CanonicalError as failure:
                error = f"no digest: {failure}"
            return outcome
        except MCPError as failure:
            error = f"json-rpc {failure.error.code}"
            raise
        except anyio.get_cancelled_exc_class():
            time: CallTime | None = call.notes.get(TIME)
            late = time is not None and time.over
            status, error = ("timeout" if late else "cancelled"), ""
            raise
        finally:
            redactions = int(call.notes.get(REDACTIONS, 0))
            labels: dict[str, str] = call.notes[LABEL].as_ifc() if LABEL in call.notes else {}
            await self._ended(ticket, Outcome(status, result.digest, result.size, error, redactions, labels))

    async def flushing(self) -> None:
        """Make the records of reads durable soon after they are written, until cancelled."""
        self._waiting = anyio.Event()
        while True:
            with anyio.move_on_after(RETRY_SECONDS if self._journal.failure else None):
                await self._waiting.wait()
            self._waiting = anyio.Event()
            try:
                if self._journal.failure:
                    await anyio.to_thread.run_sync(self._journal.retry, limiter=self._limiter())
                while (due := self._journal.due()) is not None:
                    await anyio.sleep(due)
                    await anyio.to_thread.run_sync(self._journal.flush, limiter=self._limiter())
            except JournalError as error:
                # From here on the journal refuses by itself.
                logger.error("the journal can't be written: %s", error)  # noqa: TRY400 - a traceback may quote what was called

    def turned_away(self, reason: str, address: str, count: int, principal: Principal | None = None) -> None:
        """Record requests that were refused at the door, so that no call is known of them.

        Args:
            reason: Why.
            address: From where.
            count: How many.
            principal: Who, if that is known.
        """
        who = _identity(principal) if principal is not None else {}
        where = f"http {address}".strip()
        try:
            entry = Intent("door", kind="door", principal=who, transport=where, decision="deny", count=count)
            self._journal.refusal(Refusal(entry, f"turned_away ({reason})"), wait=False)
            self._wake()
        except JournalError as error:
            logger.error("a refusal is not in the journal: %s", error)  # noqa: TRY400 - nothing was done

    async def _refused(self, call: Call, *, wait: bool) -> None:
        reason = str(call.notes.get("refusal") or call.notes.get("confirmation") or "error")
        try:
            ticket = self._journal.refusal(Refusal(self._intent(call), self._clean(reason)), wait=False)
            if wait:
                await self._durable(ticket, shield=True)
            else:
                self._wake()
        except JournalError as error:
            logger.error("a refusal is not in the journal: %s", error)  # noqa: TRY400 - nothing was done

    async def _ended(self, intent: Ticket, outcome: Outcome) -> None:
        try:
            ticket = self._journal.outcome(intent, outcome, wait=False)
            await self._durable(ticket, shield=True)
        except JournalError as error:
            # The call is made; the next one will not be.
            logger.error("outcome of record %d is not in the journal: %s", intent.seq, error)  # noqa: TRY400 - a traceback may quote what was called

    async def _durable(self, ticket: Ticket, *, shield: bool = False) -> None:
        """Wait until a record is on the disk, if it is one that is waited for; with `shield` whoever gives up meanwhile."""
        if not ticket.sync:
            self._wake()
            return
        with anyio.CancelScope(shield=shield):
            await anyio.to_thread.run_sync(self._journal.commit, ticket, limiter=self._limiter())

    def _intent(self, call: Call) -> Intent:
        """What both an intent and a refusal tell of a call."""
        notes, clean = call.notes, self._clean
        arguments = measure(call.arguments)
        request_id = call.request_id
        return Intent(
            name=clean(call.name),
            kind=call.kind,
            effect=call.nature.effect,
            reach=call.nature.reach,
            principal=_identity(call.principal),
            transport=f"{call.transport} {call.address}".strip(),
            protocol=call.protocol,
            request_id=clean(request_id) if isinstance(request_id, str) else request_id,
            args_digest=arguments.digest,
            args_bytes=arguments.size,
            decision=_DECISIONS.get(str(notes.get("decision", "allow")), "deny"),
            rule=str(notes.get("rule", "")),
            confirm=_confirmation(notes),
            claims={key: clean(value) for key, value in call.claims.items()},
        )

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()

    def _limiter(self) -> anyio.CapacityLimiter:
        # Made in the event loop that uses it.
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(SYNC_THREADS)
        return self._threads


def _identity(principal: Principal) -> dict[str, str]:
    found = {"method": principal.method, "subject": principal.subject}
    return {**found, "via": principal.via} if principal.via else found


def _confirmation(notes: Mapping[str, object]) -> dict[str, str]:
    return {"answer": str(notes["confirmation"])} if "confirmation" in notes else {}
