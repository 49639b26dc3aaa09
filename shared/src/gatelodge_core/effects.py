"""What a tool does, from which annotations, scope, default policy and flow class follow.

A tool states four facts once: its effect, its reach, whether it only adds, and the label of what it yields.
Everything else here is derived, so that it can't disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """What a call leaves behind."""

    READ = "read"
    """Nothing changes."""
    WRITE = "write"
    """Adds or changes something; the change can be undone."""
    DESTROY = "destroy"
    """Removes or overwrites for good."""


class Reach(StrEnum):
    """How far the arguments of a call travel."""

    LOCAL = "local"
    """They stay on this machine, with the person who started the server."""
    EXTERNAL = "external"
    """They leave the machine or become visible to others."""


class Rule(StrEnum):
    """What policy says of a call."""

    ALLOW = "allow"
    CONFIRM = "confirm"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Label:
    """Where information may go (confidentiality) and how far it may be believed (integrity).

    Labels join with ``|``: the joined label is private if either is, and untrusted if either is.
    """

    private: bool = False
    untrusted: bool = False

    def __or__(self, other: Label) -> Label:
        return Label(self.private or other.private, self.untrusted or other.untrusted)

    def covers(self, other: Label) -> bool:
        """Whether this label is at least as strict as `other` in both respects."""
        return self | other == self

    def as_ifc(self) -> dict[str, str]:
        """The value of ``_meta.ifc``, in the words that GitHub's server and FIDES clients use."""
        return {
            "integrity": "untrusted" if self.untrusted else "trusted",
            "confidentiality": "private" if self.private else "public",
        }


READ, WRITE, DESTROY = Effect.READ, Effect.WRITE, Effect.DESTROY
LOCAL, EXTERNAL = Reach.LOCAL, Reach.EXTERNAL
PUBLIC = Label()
PRIVATE = Label(private=True)
UNTRUSTED = Label(untrusted=True)


@dataclass(frozen=True, slots=True)
class Hints:
    """The four MCP annotations as plain values.

    The specification defines ``destructive`` as the opposite of "additive only": a tool that can replace or remove
    bytes is destructive, even where we can undo it.
    """

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool


@dataclass(frozen=True, slots=True)
class Nature:
    """The facts a declaration states about a tool, and what follows from them.

    Args:
        effect: What a call leaves behind.
        reach: How far its arguments travel.
        yields: The label of what it returns; one result may be labelled stricter, never laxer.
        additive: A WRITE that can only add (never replace or remove).
        idempotent: Repeating the same call changes nothing more. Always so for READ.
    """

    effect: Effect
    reach: Reach = LOCAL
    yields: Label = PUBLIC
    additive: bool = False
    idempotent: bool = False

    def __post_init__(self) -> None:
        if self.additive and self.effect is not WRITE:
            raise ValueError("only a WRITE can be additive")

    @property
    def hints(self) -> Hints:
        """The four annotations."""
        reading = self.effect is READ
        return Hints(
            read_only=reading,
            destructive=not reading and not self.additive,
            idempotent=reading or self.idempotent,
            open_world=self.reach is EXTERNAL,
        )

    def scope(self, server: str) -> str:
        """The OAuth scope a caller needs, such as ``filesystem:write``."""
        return f"{server}:{self.effect}"

    @property
    def default_rule(self) -> Rule:
        """What happens when no policy rule matches: DESTROY asks, the rest is allowed inside its grant."""
        return Rule.CONFIRM if self.effect is DESTROY else Rule.ALLOW
