"""One call on its way through the lodge, and the steps it walks.

A step takes the call and the next step, and never reaches back. Tools, resources, prompts, completions and lists that
vary all walk the same way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gatelodge_core.auth.principal import Principal
from gatelodge_core.effects import Nature, Rule

Kind = Literal["tool", "resource", "prompt", "completion", "list"]
Transport = Literal["stdio", "http", "memory"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a call acts on.

    Args:
        name: As the policy names it, such as ``notes/plan.md``.
        tree: Whether everything below it is reached too, as by a search.
    """

    name: str
    tree: bool = False


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a server finds in a call that asks for a stricter rule than the tool's default.

    Args:
        rule: At least this one.
        reason: For the person who is asked or refused.
        subject: A policy rule that allows exactly this by its name settles the doubt; None if no rule can.
    """

    rule: Rule
    reason: str
    subject: Subject | None = None


class Channel(Protocol):
    """The way back to the person, through the host, in the protocol's own manner of each revision."""

    @property
    def can_ask(self) -> bool:
        """Whether the client says it can put a question to the person."""
        ...

    @property
    def retries(self) -> bool:
        """Whether asking means answering with a question, and the client calls again with the answer (2026-07-28)."""
        ...

    @property
    def answer(self) -> tuple[str, bool] | None:
        """(nonce, whether the person said yes), if this call brings the answer to our question."""
        ...

    def question(self, message: str, nonce: str) -> dict[str, Any]:
        """The result that asks, where the client `retries`."""
        ...

    async def ask(self, message: str) -> bool:
        """Ask and wait, where the client doesn't `retries`; whether the person said yes."""
        ...

    def refusal(self, text: str) -> dict[str, Any]:
        """The result of a tool that was not run or not let out, in the wire form of this revision."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked, by whom, over what.

    Args:
        kind: Which of the primitives is used.
        name: The tool's or prompt's name, the resource's URI, or of a list its method.
        arguments: As the caller sent them; see `problem`.
        nature: What the tool does, from its declaration. Reading, for everything that isn't a tool.
        scope: The scope that the call needs, such as ``filesystem:read``.
        principal: The authenticated caller.
        transport: How the message came.
        protocol: The protocol revision of the message, such as ``2026-07-28``.
        request_id: The JSON-RPC id.
        claims: What the client says of itself; recorded, never trusted.
        channel: The way back to the person.
        target: What policy rules for tools are matched with: the tool, the prompt, or the resource's declared name.
        address: Where the message came from, if it has an address.
        problem: Tells what is wrong with a tool's arguments; empty if nothing is.
        notes: What steps found out, for the journal: decision, rule, confirmation.
    """

    kind: Kind
    name: str
    arguments: Mapping[str, Any]
    nature: Nature
    scope: str
    principal: Principal
    transport: Transport
    protocol: str
    request_id: str | int
    claims: Mapping[str, str]
    channel: Channel
    target: str
    address: str = ""
    problem: Callable[[], str] = str
    notes: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: the result as it goes on the wire.

    Args:
        result: The wire form, complete.
        failed: Whether it tells of a failure (``isError``).
    """

    result: dict[str, Any]
    failed: bool = False


CLEAN = "clean"
"""Note on a call: its result as it was cleansed."""
FORM = "form"
"""Note on a call: the canonical bytes of that result; None if it has no JSON form."""
LABEL = "label"
"""Note on a call that was made: the `Label` of its answer, also where that is an error. What flow rests on."""

MISSING_SCOPE = "missing_scope"
"""Note on a call: the scope that its caller lacks."""

Next = Callable[[Call], Awaitable[Outcome]]
Step = Callable[[Call, Next], Awaitable[Outcome]]
