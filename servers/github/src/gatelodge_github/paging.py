"""Reading lists: as many REST pages as an answer needs, each item with the place where the list goes on after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from gatelodge_core.errors import CallError

from gatelodge_github import cursors
from gatelodge_github.cursors import Place
from gatelodge_github.transport.api import Api
from gatelodge_github.transport.request import JSON, Answer

MOST_PAGES = 5
"""Requests for one answer, where items are left out on the way."""

Item = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    Args:
        items: Each with the place behind it.
        total: Of the whole list; -1 if that isn't known.
        at_most: Whether the total is only a bound.
        more: Whether there is more behind the last.
        behind: Where to go on if nothing was found so far.
        later: Whether it begins behind the beginning of the list.
    """

    items: list[tuple[Item, Place]] = field(default_factory=list[tuple[Item, Place]])
    total: int = -1
    at_most: bool = False
    more: bool = False
    behind: Place = field(default_factory=Place)
    later: bool = False

    @property
    def end(self) -> Place:
        """Where the next part begins, whatever of this one is shown."""
        return self.items[-1][1] if self.items else self.behind


async def smaller(ask: Callable[[int], Awaitable[T]], size: int) -> tuple[T, int]:
    """Ask for so many items at once, and for fewer where that is too large.

    Args:
        ask: Asks for a number of items.
        size: Items wanted.

    Returns:
        The answer, and the number that was asked for.

    Raises:
        CallError: As `ask`; `too_large` if even one item is.
    """
    while True:
        try:
            return await ask(size), size
        except CallError as error:
            if error.code != "too_large" or size <= 1:
                raise
            size = max(1, size // 10)


async def rest(
    api: Api,
    path: str,
    params: Mapping[str, Any],
    *,
    limit: int,
    cursor: str,
    question: object,
    pick: Callable[[Any], Any] = lambda data: data,
    total: Callable[[Any], int] = lambda _: -1,
    keep: Callable[[Item], bool] = lambda _: True,
    accept: str = JSON,
    most: int = 0,
) -> Page:
    """A part of a REST list.

    Args:
        api: Asks.
        path: The route.
        params: The query, without page and per_page.
        limit: Items wanted, at most 100.
        cursor: Where to go on; empty for the beginning.
        question: What the cursor belongs to: the tool's arguments.
        pick: Takes the list out of the JSON.
        total: Takes the total out of it, where GitHub tells one.
        keep: Leaves items out, such as pull requests among issues.
        accept: The media type.
        most: Items asked for at once, if that is more than `limit`: where many are left out.

    Raises:
        CallError: As `Api.get`; `bad_cursor`.
    """
    place = cursors.read(cursor, question)
    # GitHub gives no more than 100 at once, whatever a cursor says.
    size = min(100, place.get("n") or max(limit, most))
    number, skip = place.get("p") or 1, place.get("o") or 0
    found: list[tuple[Item, Place]] = []
    for _ in range(MOST_PAGES):
        index = (number - 1) * size + skip

        async def ask(per: int, index: int = index) -> Answer:
            return await api.get(path, {**params, "per_page": per, "page": index // per + 1}, accept=accept)

        answer, size = await smaller(ask, size)
        number, skip = index // size + 1, index % size
        chosen: object = pick(answer.data)
        items = cast("list[Item]", chosen) if isinstance(chosen, list) else []
        for at, item in enumerate(items):
            if at < skip or not keep(item):
                continue
            last = at + 1 == len(items)
            found.append((item, {"p": number + last, "n": size, "o": 0 if last else at + 1}))
            if len(found) == limit:
                more = bool(answer.next_page) or not last
                return Page(
                    found, *_total(answer, total(answer.data), number, size, len(items)), more, later=bool(place)
                )
        if not answer.next_page:
            counted = _total(answer, total(answer.data), number, size, len(items))
            return Page(found, *counted, more=False, later=bool(place))
        number, skip = number + 1, 0
    behind: Place = {"p": number, "n": size}
    if found:
        # Nothing more was found in the rest of these pages: they need not be read again.
        found[-1] = (found[-1][0], behind)
    return Page(found, more=True, behind=behind, later=bool(place))


def _total(answer: Answer, told: int, number: int, size: int, here: int) -> tuple[int, bool]:
    """The total, and whether it is a bound."""
    if told >= 0:
        return told, False
    if answer.last_page:
        return answer.last_page * size, True
    if answer.next_page:
        return -1, False
    return (number - 1) * size + here, False
