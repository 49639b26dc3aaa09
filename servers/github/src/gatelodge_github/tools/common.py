"""What the tools share: types of arguments, and the beginning of a change."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gatelodge_github.hub import Hub, Visit

Limit = Annotated[int, Field(ge=1, le=100)]
Number = Annotated[int, Field(ge=1)]
Title = Annotated[str, Field(min_length=1, max_length=256)]
Body = Annotated[str, Field(max_length=65_536)]
"""GitHub takes 65,536 characters."""
Names = Annotated[list[str], Field(max_length=50)]


async def changing(hub: Hub, repo: str) -> Visit:
    """Begin a change in a repository: the same as `Hub.open`, where writing isn't forbidden.

    Whether the person must be asked was seen to before (`asking`).

    Raises:
        CallError: It may not be read or written, or isn't there.
    """
    hub.gate.check_write(hub.gate.name(repo))
    visit = await hub.open(repo)
    # It may have been renamed.
    hub.gate.check_write(visit.repo)
    return visit
