"""One answer in the making: what is shown of whom, within a budget, with its label.

Text by people who can't push stands in an envelope, all of one answer under one nonce; on a single line it is cut, and its
author's trust stands beside it. What lockdown withholds is counted and said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from gatelodge_core.effects import PRIVATE, UNTRUSTED
from gatelodge_core.guard.envelope import new_nonce, wrap
from gatelodge_core.guard.hygiene import hides_something, visible
from gatelodge_core.labels import raise_label
from mcp_types import CallToolResult, TextContent

from gatelodge_github import cursors
from gatelodge_github.cursors import Place
from gatelodge_github.markdown import shown
from gatelodge_github.paging import Page
from gatelodge_github.trust.marks import Mark
from gatelodge_github.trust.repositories import Facts
from gatelodge_github.trust.taint import Taint

BUDGET = 24_000
"""Bytes of one answer: about 6,000 tokens; several clients cut or refuse more than 25,000."""
_MEASURE = new_nonce()
_EMPTY = len(wrap("", "", _MEASURE))
_AROUND = 200
"""Bytes of a list around its title, rows, notes and cursor."""
_CUT = "\n(cut: what is hidden here takes too much room once it can be seen; ask for a smaller part)"

Surface = Literal[
    "issue",
    "pull",
    "comment",
    "review",
    "file",
    "diff",
    "search",
    "discussion",
    "release",
    "commit",
    "ref",
    "log",
    "alert",
]
"""Where a text stands."""
_FILTERED = frozenset({"issue", "pull", "comment", "review", "file", "diff"})
Lockdown = Literal["label", "filter", "strict"]
WITHHELD = "(withheld by lockdown)"
_BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")
"""What ends a line, or a cell of one."""


class View:
    """One answer.

    Args:
        lockdown: What happens to text by people who can't push.
        taint: Remembers what the caller has read.
    """

    def __init__(self, lockdown: Lockdown, taint: Taint) -> None:
        self._lockdown, self._taint = lockdown, taint
        self._nonce = new_nonce()
        self._size = 0
        self.withheld = 0
        """How many texts or items lockdown has withheld."""
        self.hidden = 0
        """How many hidden parts of Markdown were made visible."""

    def reads(self, facts: Facts) -> None:
        """The answer will hold something of a repository."""
        self._taint.read(facts)
        raise_label(facts.label)

    def private(self, facts: Facts | None = None) -> None:
        """The answer will hold what is private for another reason than its repository, such as an alert of `facts`."""
        if facts is not None:
            self._taint.read(facts, private=True)
        raise_label(PRIVATE)

    def admits(self, mark: Mark, surface: Surface) -> bool:
        """Whether an item may be shown, and if not, count it; for lists that leave items out."""
        if mark.trust.trusted or self._lockdown == "label":
            return True
        if self._lockdown == "filter" and surface not in _FILTERED:
            return True
        self.withheld += 1
        return False

    def line(self, mark: Mark, text: str, surface: Surface, size: int = 160) -> str:
        """A short text on one line, such as a title."""
        if not self.admits(mark, surface):
            return WITHHELD
        self._showing(mark)
        # Made visible before it is cut: hidden characters take ten times their room.
        line = " ".join(visible(self._seen(text[: 4 * size]))[0].split())
        return line if len(line) <= size else line[: size - 1] + "…"

    def name(self, mark: Mark, name: str, surface: Surface, size: int = 4096) -> str:
        """A name, such as a path or a branch, so that it can be given back as it is shown: nothing in it is Markdown."""
        if not self.admits(mark, surface):
            return WITHHELD
        self._showing(mark)
        return one_line(name, size)

    def text(
        self, mark: Mark, text: str, source: str, surface: Surface, *, markdown: bool = True, whole: bool = False
    ) -> str:
        """A text of any length; in an envelope unless its author can push.

        Args:
            mark: Its author.
            text: As GitHub has it.
            source: Where it is from, such as ``issue 12 by octocat``.
            surface: Where it stands.
            markdown: Whether hidden parts of Markdown are made visible; not for code.
            whole: Whether it isn't held to the budget of an answer, as a resource that is asked for as a whole.
        """
        if not self.admits(mark, surface):
            return WITHHELD
        if not text:
            return "(empty)"
        self._showing(mark)
        clean = visible(self._seen(text) if markdown else text)[0]
        clean = clean if whole else self._bounded(clean, text)
        return clean if mark.trust.trusted else wrap(clean, source, self._nonce)

    def notes(self) -> list[str]:
        """What is to be said at the end of an answer."""
        found: list[str] = []
        if self.withheld:
            found.append(f"{self.withheld} withheld: lockdown is {self._lockdown}, the authors can't push.")
        if self.hidden:
            found.append(f"{self.hidden} hidden parts made visible.")
        return found

    def _showing(self, mark: Mark) -> None:
        if not mark.trust.trusted:
            self._taint.saw_untrusted()
            raise_label(UNTRUSTED)

    def _bounded(self, clean: str, text: str) -> str:
        """A text as it is shown, cut if the answer gets too large by what was hidden in it: the last resort, see `shown_size`."""
        size = _size(clean)
        self._size += size
        over = self._size - BUDGET
        if over <= 0 or size <= _size(text):
            return clean
        self._size -= min(over, size)
        return clean.encode("utf-8", "replace")[: max(0, size - over)].decode("utf-8", "ignore") + _CUT

    def _seen(self, text: str) -> str:
        clean, hidden = shown(text)
        self.hidden += hidden
        return clean

    def listing(
        self,
        title: str,
        rows: Sequence[tuple[Mapping[str, Any], Place]],
        page: Page,
        question: object,
        *,
        note: str = "",
    ) -> CallToolResult:
        """A list: tab-separated lines as text, and the same as structure. Cut at the budget, item by item.

        Args:
            title: What it lists, such as ``issues of acme/widget (private)``.
            rows: What is shown of the page: each with the same keys in the same order, texts by `line`; and the place
                behind it. Where lockdown leaves nothing of a page, the cursor is the page's own.
            page: The part of the list that they are of.
            question: What the cursor will belong to.
            note: Said at the end.
        """
        total, at_most, more = page.total, page.at_most, page.more
        columns = list(rows[0][0]) if rows else []
        lines, items = ["\t".join(columns)], list[dict[str, Any]]()
        place = page.end
        notes = [*self.notes(), *([note] if note else [])]
        around = sum(
            shown_size(line) + 4 for line in [title, *lines, *notes, cursors.make(place or {"o": 1}, question)]
        )
        size = around + _AROUND
        for row, after in rows:
            line = "\t".join(_cell(row[name]) for name in columns)
            # A tool whose answers are all untrusted has its text in an envelope.
            size += max(shown_size(line), _size(json.dumps(dict(row), ensure_ascii=False))) + 2
            if items and size > BUDGET:
                more = True
                break
            lines.append(line)
            items.append(dict(row))
            place = after
        cursor = cursors.make(place, question) if more and place else ""
        whole = "more" if total < 0 else f"at most {total}" if at_most else str(total)
        if more or total >= 0:
            head = f"{title}: shown {len(items)} of {whole}"
        else:
            # How many came before the cursor isn't known.
            head = f"{title}: shown {f'the last {len(items)}' if page.later else f'{len(items)} of {len(items)}'}"
        text = "\n".join([head, *(lines if items else []), *([f"cursor: {cursor}"] if cursor else []), *notes])
        structured: dict[str, Any] = {"items": items, "shown": len(items), "total": total, "cursor": cursor}
        if notes:
            structured["notes"] = notes
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structured)

    def record(self, title: str, fields: Mapping[str, Any]) -> CallToolResult:
        """A record: a line for each field as text, and the same as structure; empty fields are left out of both."""
        kept = {name: value for name, value in fields.items() if value not in ("", None, [])}
        lines = [f"{name}: {_cell(value)}" for name, value in kept.items()]
        notes = self.notes()
        text = "\n".join([title, *lines, *notes])
        if notes:
            kept["notes"] = notes
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=kept)

    def bulk(self, head: str, *parts: str) -> str:
        """A text alone: a head, parts, and notes."""
        return "\n\n".join(part for part in [head, *parts, *self.notes()] if part)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in cast("list[object]", value))
    return _BREAKS.sub(" ", str(value))


def one_line(name: str, size: int = 4096) -> str:
    """A name exactly as it is, but for what hides in it or would end its line; cut at `size` characters."""
    line = _BREAKS.sub(lambda match: f"⟦U+{ord(match[0]):04X}⟧", visible(name[: size + 1])[0])
    return line if len(line) <= size else line[: size - 1] + "…"


def several(names: Sequence[str], room: int = 3000) -> list[str]:
    """Names, such as those of labels, as many as fit in `room` bytes, and how many more there are."""
    for at, name in enumerate(names):
        room -= _size(name) + 4
        if room < 0:
            return [*names[:at], f"and {len(names) - at} more"]
    return list(names)


def fitting(text: str, room: int, *, markdown: bool = False) -> tuple[str, bool]:
    """The beginning of a text that fits in `room` bytes once all of it can be seen, and whether it was cut.

    It is cut at a line's end, if there is one in its second half.

    Args:
        text: As GitHub has it.
        room: Bytes.
        markdown: Whether hidden parts of Markdown will be made visible.
    """
    piece = text.encode("utf-8", "replace")[: max(0, room)].decode("utf-8", "ignore")
    while True:
        while piece and (size := shown_size(piece, markdown=markdown)) > room:
            piece = piece[: min(len(piece) - 1, len(piece) * max(0, room) // size)]
        if len(piece) == len(text):
            return text, False
        cut = piece.rfind("\n", len(piece) // 2)
        # Half a line less can hide more: what nothing refers to any more is a hidden part.
        if cut <= 0 or shown_size(piece[:cut], markdown=markdown) <= room:
            return (piece[:cut] if cut > 0 else piece), True
        piece = piece[:cut]


def shown_size(text: str, *, markdown: bool = False) -> int:
    """Bytes of a text as an answer has it: what hides in it is made visible, and what imitates an envelope is defused.

    Args:
        text: As GitHub has it.
        markdown: Whether hidden parts of Markdown are made visible.
    """
    if not markdown and text.isascii() and "<" not in text and not hides_something(text):
        return len(text)
    clean = visible(shown(text)[0] if markdown else text)[0]
    return _size(wrap(clean, "", _MEASURE)) - _EMPTY


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
