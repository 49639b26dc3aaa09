"""The keeper: everything between a server's tools and the world, put together from the settings.

    outer audit -> limits -> scope, policy and confirmation -> inner audit -> tool

Every server gets the same keeper; it gives what it alone knows: what a call acts on, and what it would do.
"""

from __future__ import annotations

import os
import platform
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from gatelodge_core.audit.journal import Journal
from gatelodge_core.auth.principal import Principal
from gatelodge_core.declare import Declarations
from gatelodge_core.errors import SettingsError
from gatelodge_core.guard.admission import AdmissionStep, plain_effect
from gatelodge_core.guard.audit import Auditor
from gatelodge_core.guard.call import Call, Step, Subject
from gatelodge_core.guard.limits import Limits, LimitStep
from gatelodge_core.guard.policy import Policy, load
from gatelodge_core.server import Identity
from gatelodge_core.settings import LodgeSettings
from gatelodge_core.store.approvals import Approvals, StoreError


async def no_subjects(_: Call) -> list[Subject]:
    """For servers whose calls have no subject of their own."""
    return []


def approvals_path(state: str) -> str:
    """Where approvals lie below a state folder; ``gatelodge approve`` looks there too."""
    return os.path.join(state, "approvals.sqlite")


class Keeper:
    """Steps, list filter, life and readiness of one server.

    Args:
        settings: The server's settings.
        identity: How it introduces itself.
        declarations: What it offers.
        subjects: What a call acts on, as policies name it.
        effect: What a call would do, in full, for the person who is asked.

    Raises:
        SettingsError: The policy or the state folder can't be used.
        JournalError: No journal can be kept.
    """

    def __init__(
        self,
        settings: LodgeSettings,
        identity: Identity,
        declarations: Declarations[Any],
        *,
        subjects: Callable[[Call], Awaitable[list[Subject]]] = no_subjects,
        effect: Callable[[Call], Awaitable[str]] = plain_effect,
    ) -> None:
        self._identity = identity
        self._natures = {name: tool.nature for name, tool in declarations.tools.items()}
        self.policy = load(settings.policy_path) if settings.policy_path else Policy()
        state = settings.state_path
        header = {
            "version": identity.version,
            "platform": platform.platform(),
            "transport": "http" if settings.http else "stdio",
            "policy": settings.policy_path,
        }
        self._journal = Journal(os.path.join(state, "journal"), identity.server, header)
        auditor = Auditor(self._journal)
        try:
            approvals = Approvals(approvals_path(state))
        except StoreError as error:
            raise SettingsError(str(error)) from None
        limits = Limits(
            per_second=settings.calls_per_second,
            burst=settings.call_burst,
            concurrent=settings.calls_at_once,
            concurrent_per_tool=settings.calls_at_once,
            queued=settings.calls_waiting,
            seconds=settings.call_seconds,
            result_bytes=settings.result_bytes,
        )
        self.steps: list[Step] = [
            auditor.outer,
            LimitStep(limits),
            AdmissionStep(identity.server, self.policy, approvals, subjects, effect),
            auditor.inner,
        ]

    def hidden(self, tool: str, principal: Principal) -> bool:
        """Whether a principal may never call a tool, whatever the arguments."""
        nature = self._natures[tool]
        return not principal.may(nature.scope(self._identity.server)) or self.policy.hides(
            server=self._identity.server, tool=tool, effect=nature.effect, principal=str(principal)
        )

    @asynccontextmanager
    async def life(self, close: Callable[[], None]) -> AsyncGenerator[None]:
        """The life of a server: at its end the domain is closed, then the journal."""
        try:
            yield
        finally:
            close()
            self._journal.close()
