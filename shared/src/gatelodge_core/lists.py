"""Resources that come and go while a server runs: listed page by page, with a notice when the list changes.

A server whose resources are fixed needs nothing of this; its list is what it declares. One that has it is asked for each
page, as a call that is admitted, limited, recorded and cleansed like any other, since what it lists others have written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

Stop = Callable[[], None]
"""Ends a watch."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One resource of a list.

    Args:
        uri: That a declared resource or template reads.
        name: Short.
        title: For people; the name if empty.
        description: What is in it.
        mime_type: Of its content.
    """

    uri: str
    name: str
    title: str = ""
    description: str = ""
    mime_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class ListPage:
    """A part of the list.

    Args:
        resources: These, in a fixed order.
        cursor: Where the rest begins; empty at the end.
    """

    resources: Sequence[Listed]
    cursor: str = ""


class Lists(Protocol):
    """Where a list of resources comes from."""

    async def page(self, cursor: str) -> ListPage:
        """A page of what the caller may read; the first one without a cursor.

        Raises:
            CallError: The cursor is none of this list.
        """
        ...

    def watch(self, changed: Callable[[], None]) -> Awaitable[Stop]:
        """Call `changed`, in the event loop, after the list has become another than it is at the end of this call.

        Nobody watches twice at once; while nobody does, nothing needs to be looked at.
        """
        ...
