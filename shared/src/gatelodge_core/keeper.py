"""The keeper: everything between a server's tools and the world, put together from the settings.

    outer audit -> outer cleansing -> limits -> no masks -> scope, policy, confirmation -> inner audit -> inner cleansing
    -> tool

Every server gets the same keeper; it gives what it alone knows: what a call acts on, and what it would do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any, TypeVar

from gatelodge_core.audit.canonical import digest
from gatelodge_core.audit.journal import Journal, JournalError
from gatelodge_core.audit.records import HeaderInfo
from gatelodge_core.auth.principal import Principal
from gatelodge_core.declare import Declarations
from gatelodge_core.errors import SettingsError
from gatelodge_core.guard.admission import AdmissionStep, no_doubts, plain_effect
from gatelodge_core.guard.audit import Auditor
from gatelodge_core.guard.call import Call, Doubt, Step, Subject
from gatelodge_core.guard.cleansing import Cleanser
from gatelodge_core.guard.flowing import FlowStep
from gatelodge_core.guard.limits import Limits, LimitStep
from gatelodge_core.guard.policy import Policy, load
from gatelodge_core.guard.redaction import Redactor
from gatelodge_core.places import approvals_file, journal_folder
from gatelodge_core.sandbox.profiles import Profile
from gatelodge_core.server import Identity, Replicas
from gatelodge_core.settings import LodgeSettings
from gatelodge_core.shares import Shares
from gatelodge_core.store.address import Address
from gatelodge_core.store.approvals import Approvals
from gatelodge_core.store.approving import ApprovalBook, LocalApprovals, SharedApprovals
from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.flow import Flow, SharedFlow
from gatelodge_core.store.rates import SharedRates
from gatelodge_core.store.revocations import Revocations
from gatelodge_core.store.seals import seals
from gatelodge_core.store.shared import SharedStore

logger = logging.getLogger(__name__)

T = TypeVar("T")


async def no_subjects(_: Call) -> list[Subject]:
    """For servers whose calls have no subject of their own."""
    return []


def _but_for_views(
    declarations: Declarations[Any], ask: Callable[[Call], Awaitable[list[T]]]
) -> Callable[[Call], Awaitable[list[T]]]:
    """What a server says of a call; of a view's page it has nothing to say, since that holds none of its data."""

    async def asked(call: Call) -> list[T]:
        return [] if call.kind == "resource" and call.name in declarations.views else await ask(call)

    return asked


class Keeper:
    """Steps, list filter, life and readiness of one server.

    Args:
        settings: The server's settings.
        identity: How it introduces itself.
        declarations: What it offers.
        subjects: What a call acts on, as policies name it.
        effect: What a call would do, in full, for the person who is asked.
        doubts: What in a call asks for a stricter rule than its tool's default.
        shares: The domains of a server with accounts.
        folded: Whether policies match subjects in any letter case; `subjects` and `doubts` then give lower case.

    Raises:
        SettingsError: The policy, the state folder or the shared store can't be used.
    """

    def __init__(
        self,
        settings: LodgeSettings,
        identity: Identity,
        declarations: Declarations[Any],
        *,
        subjects: Callable[[Call], Awaitable[list[Subject]]] = no_subjects,
        effect: Callable[[Call], Awaitable[str]] = plain_effect,
        doubts: Callable[[Call], Awaitable[list[Doubt]]] = no_doubts,
        shares: Shares[Any] | None = None,
        folded: bool = False,
    ) -> None:
        self._shares = shares
        self._identity = identity
        self._natures = {name: tool.nature for name, tool in declarations.tools.items()}
        policy = load(settings.policy_path) if settings.policy_path else Policy()
        self.policy = policy.folded() if folded else policy
        self._store = store = SharedStore.of(settings)
        revocations = Revocations(store) if store is not None else None
        self.replicas = Replicas(seals(settings), revocations.revoked if revocations is not None else None)
        self.flow = SharedFlow(store, identity.server) if store is not None else Flow()
        self._settings, self._declarations = settings, declarations
        self._journal: Journal | None = None
        self.cleanser = cleanser = cleanser_of(settings)
        """What everything that leaves passes through; the log must pass the same one, as it learns."""
        self._auditor = auditor = Auditor(lenient_reads=settings.audit_reads == "best-effort", clean=cleanser.text)
        limits = Limits(
            per_second=settings.calls_per_second,
            burst=settings.call_burst,
            concurrent=settings.calls_at_once,
            concurrent_per_tool=settings.calls_at_once,
            queued=settings.calls_waiting,
            seconds=settings.call_seconds,
            result_bytes=settings.result_bytes,
        )
        self.turned_away = auditor.turned_away
        """Records requests that no call is known of."""
        self.steps: list[Step] = [
            auditor.outer,
            cleanser.outer,
            LimitStep(limits, shared=SharedRates(store, identity.server) if store is not None else None),
            cleanser.inbound,
            *([FlowStep(self.flow)] if store is not None else []),
            AdmissionStep(
                identity.server,
                self.policy,
                _approvals(settings, store),
                _but_for_views(declarations, subjects),
                effect,
                cleanser.text,
                _but_for_views(declarations, doubts),
                shares.refusal if shares is not None else lambda _: None,
            ),
            auditor.inner,
            cleanser.inner,
        ]

    def start(self, level: str) -> None:
        """Open the journal; its header says which level of confinement the process reached.

        Raises:
            JournalError: No journal can be kept.
        """
        self._journal = Journal.open(
            journal_folder(self._settings.state_path),
            server=self._identity.server,
            version=self._identity.version,
            header=_header(self._settings, self._declarations, level),
        )
        self._auditor.open(self._journal)

    def confined(self, profile: Profile) -> Profile | None:
        """A server's profile with the limits of the settings; None if confinement is off."""
        if self._settings.sandbox == "off":
            return None
        bounds = profile.bounds._replace(
            address_space=self._settings.memory_mb * 1024 * 1024, descriptors=self._settings.open_files
        )
        profile = profile._replace(bounds=bounds)
        return profile if self._store is None else _reaching(profile, self._store.address)

    def ready(self) -> list[str]:
        """Why calls would fail now; empty when they would not."""
        if self._journal is None:
            return ["the journal is not open"]
        failures = [self._journal.failure, self._store.failure if self._store is not None else ""]
        return [failure for failure in failures if failure]

    def states(self) -> dict[str, bool]:
        """Whether what calls rest on works now, by name."""
        found = {"journal": self._journal is not None and not self._journal.failure}
        return found if self._store is None else {**found, "store": not self._store.failure}

    def hidden(self, tool: str, principal: Principal) -> bool:
        """Whether a principal may never call a tool, whatever the arguments."""
        nature = self._natures[tool]
        if self._shares is not None and self._shares.refusal(principal) is not None:
            return True
        if not principal.may(nature.scope(self._identity.server)) or not principal.may_call(tool):
            return True
        return self.policy.hides(
            server=self._identity.server, tool=tool, effect=nature.effect, principal=str(principal)
        )

    @asynccontextmanager
    async def life(self, close: Callable[[], None]) -> AsyncGenerator[None]:
        """The life of a server: at its end the domain is closed, then the journal.

        Raises:
            SettingsError: The shared store does not let us in.
        """
        if self._journal is None:
            self.start("off")
        flushing = asyncio.create_task(self._auditor.flushing())
        try:
            async with self._store.life() if self._store is not None else nullcontext():
                yield
        finally:
            flushing.cancel()
            with suppress(asyncio.CancelledError):
                await flushing
            close()
            try:
                if self._journal is not None:
                    self._journal.close()
            except JournalError as error:
                logger.error("%s", error)  # noqa: TRY400 - the message is all there is to say


def cleanser_of(settings: LodgeSettings) -> Cleanser:
    """What everything that leaves a server passes through; it knows the secrets that the settings hold."""
    held = [(name, value) for name, value in settings.secrets().items() if value]
    if (store := SharedStore.address_of(settings)) is not None and store.password:
        held.append(("store_password", store.password))
    held += [("state_key", key.decode()) for key in seals(settings)]
    redactor = Redactor(held, pii=settings.pii, shapes=settings.redact)
    return Cleanser(redactor, guard_masks=settings.redact)


def _approvals(settings: LodgeSettings, store: SharedStore | None) -> ApprovalBook:
    """Where approvals lie.

    Raises:
        SettingsError: Nothing can be kept there.
    """
    if store is not None:
        return SharedApprovals(store, settings.server)
    try:
        return LocalApprovals(Approvals(approvals_file(settings.state_path)))
    except StoreError as error:
        raise SettingsError(str(error)) from None


def _reaching(profile: Profile, address: Address) -> Profile:
    """A profile with the way to the shared store."""
    if address.socket:
        return profile._replace(unix=(*profile.unix, address.socket))
    return profile.reaching(
        [address.port], [address.ca_file] if address.ca_file else [], named=address.named or address.tls
    )


def _header(settings: LodgeSettings, declarations: Declarations[Any], level: str) -> HeaderInfo:
    """What each journal file says of the process at its top."""
    offered = {tool.name: [tool.description, str(tool.nature)] for tool in declarations.tools.values()}
    policy = {"policy": settings.policy_path} if settings.policy_path else {}
    return HeaderInfo(
        transport="http" if settings.http else "stdio",
        sandbox=level,
        manifest=digest(offered),
        extra={**policy, "reads": settings.audit_reads},
    )
