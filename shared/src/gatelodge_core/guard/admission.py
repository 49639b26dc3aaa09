"""The policy step: scope, policy, and, where policy asks for it, a human's yes.

One question, three ways: a sealed round trip in 2026-07-28, elicitation in the 2025 revisions, and where the client can't
ask, the call is parked and the person runs ``gatelodge approve CODE``; the model's retry of the same call then goes through.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

import anyio.to_thread
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_REQUEST

from gatelodge_core.audit.canonical import digest
from gatelodge_core.auth.principal import Principal
from gatelodge_core.effects import Effect, Reach, Rule
from gatelodge_core.errors import CallError
from gatelodge_core.guard.call import MISSING_SCOPE, Call, Doubt, Next, Outcome, Subject
from gatelodge_core.guard.cleansing import LARGE
from gatelodge_core.guard.limits import TIME, CallTime
from gatelodge_core.guard.policy import Policy, Verdict, stricter
from gatelodge_core.store.approvals import MAX_EFFECT, TTL_SECONDS
from gatelodge_core.store.approving import ApprovalBook
from gatelodge_core.store.errors import StoreError

logger = logging.getLogger(__name__)

MAX_SHOWN = 4000
"""Characters of an effect that a host's dialog shows; the rest is named by its digest."""

MAX_NAMED = 200
"""Characters of a name in a question."""
_RAISED = ", raised by the server"


def binding(call: Call, server: str) -> str:
    """The digest that an approval is bound to: one byte of any of these changed is another call."""
    return digest(
        {
            "server": server,
            "principal": str(call.principal),
            "kind": call.kind,
            "name": call.name,
            "arguments": dict(call.arguments),
        }
    )


async def no_doubts(_: Call) -> list[Doubt]:
    """For servers whose tools' defaults hold for every call."""
    return []


class AdmissionStep:
    """Decides whether a call is made.

    Args:
        server: The server's short name.
        policy: The rules.
        approvals: Where approvals lie.
        subjects: What a call acts on, as the policy names it; it may look at the domain.
        effect: What a call would do, in full, for the person who is asked.
        clean: Makes that fit to leave; what can't be seen could hide or forge what the person reads.
        doubts: What in a call asks for a stricter rule than its tool's default.
        refusal: Why a principal has nothing here; None if it has.
    """

    def __init__(
        self,
        server: str,
        policy: Policy,
        approvals: ApprovalBook,
        subjects: Callable[[Call], Awaitable[list[Subject]]],
        effect: Callable[[Call], Awaitable[str]],
        clean: Callable[[str], str] = str,
        doubts: Callable[[Call], Awaitable[list[Doubt]]] = no_doubts,
        refusal: Callable[[Principal], CallError | None] = lambda _: None,
    ) -> None:
        self._refusal = refusal
        self._server = server
        self._policy = policy
        self._approvals = approvals
        self._subjects = subjects
        self._effect = effect
        self._clean = clean
        self._doubts = doubts
        self._by_subject = any(rule.subject for rule in policy.rules)

    async def __call__(self, call: Call, way: Next) -> Outcome:
        """Walk on if the call is allowed; otherwise answer with a refusal or a question.

        Raises:
            MCPError: A refused call that isn't a tool's, or approvals that can't be kept.
        """
        if not call.principal.may(call.scope):
            # Over HTTP it becomes a 403 that names the scope, so that a client can ask for it (RFC 6750, section 3.1).
            call.notes[MISSING_SCOPE] = call.scope
            return self._refuse(call, "insufficient_scope", f"this needs the scope {call.scope}.", "scope")
        # Resources and prompts too: a key for one tool must not read by another way what that tool doesn't give.
        if not call.principal.may_call(call.target):
            return self._refuse(call, "tool_not_granted", f"this caller's key does not hold this {call.kind}.", "tools")
        if refusal := self._refusal(call.principal):
            return self._refuse(call, refusal.code, f"{refusal.message} {refusal.hint}", "accounts")
        # Nobody is asked about a call that can't be made, and what looks at arguments may rely on their form.
        problem = call.problem()
        subjects = await self._subjects(call) if self._by_subject and not problem else []
        verdict = self._policy.judge(
            server=self._server,
            tool=call.target,
            effect=call.nature.effect,
            principal=str(call.principal),
            subjects=subjects,
            default=call.nature.default_rule,
        )
        if problem and verdict.rule is not Rule.DENY:
            call.notes["decision"], call.notes["refusal"] = "refused", "invalid_arguments (arguments)"
            return Outcome(call.channel.refusal(problem), failed=True)
        if verdict.rule is not Rule.DENY:
            verdict = self._raised(verdict, call, await self._doubts(call))
        call.notes["decision"], call.notes["rule"] = str(verdict.rule), verdict.why
        if verdict.rule is Rule.DENY:
            return self._refuse(call, "denied_by_policy", verdict.reason or "the policy forbids this.", verdict.why)
        if verdict.rule is Rule.ALLOW:
            return await way(call)
        return await self._confirm(call, way, verdict)

    def _raised(self, verdict: Verdict, call: Call, doubts: list[Doubt]) -> Verdict:
        """The verdict, made stricter by what the policy doesn't settle."""
        for doubt in doubts:
            if doubt.subject is not None and self._policy.names(
                server=self._server,
                tool=call.target,
                effect=call.nature.effect,
                principal=str(call.principal),
                subject=doubt.subject,
            ):
                continue
            reason = " ".join(dict.fromkeys(filter(None, (verdict.reason, self._clean(doubt.reason)))))
            verdict = Verdict(stricter(verdict.rule, doubt.rule), verdict.why.removesuffix(_RAISED) + _RAISED, reason)
        return verdict

    async def _confirm(self, call: Call, way: Next, verdict: Verdict) -> Outcome:
        channel = call.channel
        try:
            if channel.can_ask and channel.retries:
                # The seal binds state to method, tool and arguments, and to the caller where the SDK knows it; so do we.
                bound = binding(call, self._server)
                if channel.answer is None:
                    call.notes["confirmation"] = "asked"
                    nonce = f"{await self._approvals.nonce()}.{bound}"
                    return Outcome(channel.question(await self._message(call, verdict), nonce))
                nonce, yes = channel.answer
                if not nonce.endswith(f".{bound}"):
                    return self._refuse(call, "not_asked", "this answer belongs to another call.", "replay")
                if not await self._approvals.spend_once(nonce):
                    return self._refuse(call, "already_answered", "this confirmation was used before.", "replay")
                state = "approved" if yes else "declined"
            elif channel.can_ask:
                message = await self._message(call, verdict)
                time: CallTime | None = call.notes.get(TIME)
                with time.still() if time is not None else nullcontext():
                    state = "approved" if await channel.ask(message) else "declined"
            else:
                state = await self._approvals.spend(binding(call, self._server))
        except StoreError as error:
            logger.error("refused a call: %s", error)  # noqa: TRY400 - the message is all there is to say
            raise MCPError(
                INTERNAL_ERROR, "approvals_unavailable: the call was not made. The server's log says why."
            ) from None
        call.notes["confirmation"] = state or "parked"
        if state == "approved":
            return await way(call)
        if state == "declined":
            return self._refuse(call, "declined", "the person said no, or did not answer.", verdict.why)
        return await self._park(call, verdict)

    async def _park(self, call: Call, verdict: Verdict) -> Outcome:
        effect = f"{self._told(call, verdict)}\n\n{await self._full_effect(call)}"
        if len(effect) > MAX_EFFECT:
            # Nobody approves unknowingly what they weren't shown.
            effect = f"{effect[: MAX_EFFECT - 200]}\n... cut; the whole is {len(effect)} characters, {digest(effect)}"
        try:
            approval = await self._approvals.park(
                binding(call, self._server),
                server=self._server,
                principal=str(call.principal),
                name=call.name,
                effect=effect,
            )
        except StoreError as error:
            return self._refuse(call, "approvals_unavailable", f"{error}.", verdict.why)
        text = (
            f"this needs the person's approval ({verdict.reason or verdict.why}). Ask them to run, within "
            f"{TTL_SECONDS // 60} minutes: gatelodge approve {approval.code} . Then repeat this call unchanged."
        )
        return self._refuse(call, "approval_required", text, verdict.why)

    @staticmethod
    def _told(call: Call, verdict: Verdict) -> str:
        """What kind of call it is and why it is asked about, as the first line that the person sees."""
        reach = ", and what it is given leaves this machine" if call.nature.reach is Reach.EXTERNAL else ""
        kind = {Effect.READ: "reads", Effect.WRITE: "changes", Effect.DESTROY: "destroys"}[call.nature.effect]
        reason = " ".join((verdict.reason or verdict.why).split())
        return f"It {kind}{reach}. Asked because: {reason}"

    async def _message(self, call: Call, verdict: Verdict) -> str:
        effect = await self._full_effect(call)
        if len(effect) > MAX_SHOWN:
            effect = f"{effect[:MAX_SHOWN]}\n... cut; the whole is {len(effect)} characters, {digest(effect)}"
        # The name of a resource is its caller's own text, and could go on as if it were ours.
        name = " ".join(_printable(self._clean(call.name[: 2 * MAX_NAMED])).split())[:MAX_NAMED]
        return f"Gatelodge {self._server}: {name} asks to do this ({verdict.reason or verdict.why}):\n\n{effect}"

    async def _full_effect(self, call: Call) -> str:
        try:
            text = await self._effect(call)
        except CallError as error:
            text = f"(what it would do can't be shown: {error})"
        text = await anyio.to_thread.run_sync(self._clean, text) if len(text) > LARGE else self._clean(text)
        return _printable(text)

    def _refuse(self, call: Call, code: str, text: str, why: str) -> Outcome:
        call.notes.setdefault("decision", "refused")
        call.notes["refusal"] = f"{code} ({why})"
        if call.kind == "tool":
            return Outcome(call.channel.refusal(f"{code}: {text} Nothing was done."), failed=True)
        raise MCPError(INVALID_REQUEST, f"{code}: {text}")


def _printable(text: str) -> str:
    """Without control characters, which could still forge what the person reads."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text)


async def plain_effect(call: Call) -> str:
    """What a call would do, where a server can't say it better: its arguments."""
    return f"{call.name} {json.dumps(dict(call.arguments), ensure_ascii=False, indent=2, sort_keys=True)}"
