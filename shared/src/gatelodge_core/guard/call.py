"""One call on its way through the lodge, and the steps it walks.

A step takes the call and the next step, and never reaches back. Tools, resources, prompts and completions all walk
the same way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gatelodge_core.auth.principal import Principal
from gatelodge_core.effects import Nature

Kind = Literal["tool", "resource", "prompt", "completion"]
Transport = Literal["stdio", "http", "memory"]


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked, by whom, over what.

    Args:
        kind: Which of the primitives is used.
        name: The tool's or prompt's name, or the resource's URI.
        arguments: As the caller sent them; validated only by the tool itself.
        nature: What the tool does, from its declaration. Reading, for everything that isn't a tool.
        scope: The scope that the call needs, such as ``filesystem:read``.
        principal: The authenticated caller.
        transport: How the message came.
        protocol: The protocol revision of the message, such as ``2026-07-28``.
        request_id: The JSON-RPC id.
        claims: What the client says of itself; recorded, never trusted.
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: the result as it goes on the wire.

    Args:
        result: The wire form, complete.
        failed: Whether it tells of a failure (``isError``).
    """

    result: dict[str, Any]
    failed: bool = False


Next = Callable[[Call], Awaitable[Outcome]]
Step = Callable[[Call, Next], Awaitable[Outcome]]
