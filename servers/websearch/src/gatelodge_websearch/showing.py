"""Showing pages within a budget of tokens: parts by cursor, sections, outlines, passages, and where it is from."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, replace

from gatelodge_core.errors import CallError
from gatelodge_core.numbers import whole

from gatelodge_websearch.pages import Page
from gatelodge_websearch.passages import Passage, pieces, ranked

_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
# Neither part may hold a bracket, as none does that we wrote: else hostile text takes the square of its length.
_LINK = re.compile(r"\[([^\[\]\n]*)\]\(https?://[^()\[\]\s]+\)")
_CURSOR = re.compile(r"([0-9a-f]{12})-([0-9]{1,9})(u?)")


def tokens(text: str) -> int:
    """About how many tokens a text is: a quarter of its bytes in UTF-8."""
    return (len(text.encode("utf-8", "replace")) + 3) // 4


def fitting(text: str, budget: int) -> int:
    """How many characters of a text are within a budget of tokens."""
    window = text[: budget * 4]
    return len(window.encode("utf-8", "replace")[: budget * 4].decode("utf-8", "ignore"))


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and where its part of the text begins and ends."""

    number: int
    level: int
    title: str
    start: int
    end: int


def sections(markdown: str) -> list[Section]:
    """The sections of a text; headings inside fences aren't any."""
    marks: list[tuple[int, str, int]] = []
    fence, at = "", 0
    for line in markdown.split("\n"):
        mark = re.match(r"`{3,}", line)
        if fence:
            fence = "" if mark and line.strip() == fence else fence
        elif mark:
            fence = mark[0]
        elif found := _HEADING.fullmatch(line):
            marks.append((len(found[1]), found[2], at))
        at += len(line) + 1
    ends = [len(markdown)] * len(marks)
    open_at: list[int] = []
    for place, (level, _, start) in enumerate(marks):
        while open_at and marks[open_at[-1]][0] >= level:
            ends[open_at.pop()] = start
        open_at.append(place)
    return [Section(place + 1, level, title, start, ends[place]) for place, (level, title, start) in enumerate(marks)]


def section_of(markdown: str, wanted: str) -> Section:
    """A section by its number in the outline, its title, or the beginning of it.

    Raises:
        CallError: `no_section`.
    """
    all_of = sections(markdown)
    number = whole(wanted.strip())
    found = [section for section in all_of if section.number == number]
    if number is None:
        low = wanted.strip().lstrip("# ").lower()
        found = [item for item in all_of if item.title.lower() == low]
        found = found or [item for item in all_of if item.title.lower().startswith(low)]
        found = found or [item for item in all_of if low in item.title.lower()]
    if not found:
        raise CallError("no_section", "The page has no such section.", 'Call read_page with format="outline".')
    return found[0]


def outline(markdown: str, budget: int) -> str:
    """The headings with their numbers and sizes."""
    lines = [
        f"{'  ' * (item.level - 1)}{item.number}. {item.title} ({tokens(markdown[item.start : item.end])} tokens)"
        for item in sections(markdown)
    ]
    if not lines:
        return "(no headings)"
    text = "\n".join(lines)
    return text if tokens(text) <= budget else text[: fitting(text, budget)].rpartition("\n")[0] + "\n(…)"


def part(text: str, start: int, budget: int) -> tuple[str, int]:
    """A part of a text within a budget, ended at a paragraph's, line's or word's end, and where the next begins."""
    rest = text[start : start + budget * 4 + 1]
    size = fitting(rest, budget)
    if size >= len(rest) and start + len(rest) >= len(text):
        return rest, len(text)
    window = rest[:size]
    for mark in ("\n\n", "\n", " "):
        cut = window.rfind(mark, size // 2)
        if cut > 0:
            return window[:cut], start + cut + len(mark)
    return window, start + max(1, size)


def cursor(page: Page, at: int, *, links: bool = True) -> str:
    """Where to go on, bound to this version of the page; in its text without URLs the places are others."""
    return f"{page.version[:12]}-{at}{'' if links else 'u'}"


def parse_cursor(text: str) -> tuple[str, int, bool]:
    """The beginning of a page's version, the place in it, and whether links are written with their URLs.

    Raises:
        CallError: `bad_cursor`.
    """
    found = _CURSOR.fullmatch(text)
    if not found:
        raise CallError("bad_cursor", "That is no cursor of read_page.", "Repeat the one from the answer, or leave it.")
    return found[1], int(found[2]), not found[3]


def unlinked(markdown: str) -> str:
    """The text without the URLs of its links."""
    return _LINK.sub(r"\1", markdown)


def plain(markdown: str) -> str:
    """The text without Markdown's marks for links and headings."""
    return _HEADING.sub(r"\2", unlinked(markdown))


def header(page: Page) -> str:
    """Where a page is from, on a few lines."""
    when = datetime.datetime.fromtimestamp(page.fetched, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = [f"[{page.id}] {one_line(page.title, 200) or '(no title)'}", f"url: {page.final}"]
    if page.chain:
        lines.append(f"redirected from: {' -> '.join(one_line(url, 200) for url in page.chain)}")
    facts = [f"fetched {when}", page.media, f"sha256 {page.sha[:16]}", f"by {page.extractor}"]
    facts += [f"published {page.published}"] if page.published else []
    facts += [f"language {one_line(page.language, 20)}"] if page.language else []
    facts += [f"{page.hidden} hidden characters removed"] if page.hidden else []
    facts += ["hidden text included"] if page.with_hidden else []
    facts += ["CUT at the byte limit"] if page.truncated else []
    return "\n".join([*lines, ", ".join(facts), f"resource: web://page/{page.version[:16]}"])


def one_line(text: str, size: int) -> str:
    """A text on one line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= size else line[: size - 1] + "…"


def best_passages(markdown: str, query: str, budget: int) -> tuple[str, int, int]:
    """The passages that fit a query best within a budget, in the order of the page; how many, and of how many."""
    all_of = pieces(markdown)
    taken: list[Passage] = []
    room = budget
    for _, passage in ranked(query, all_of, 40):
        cost = tokens(passage.text) + tokens(passage.headings) + 4
        if cost > room:
            if not taken:
                text = part(passage.text, 0, max(20, room - 10))[0]
                taken.append(replace(passage, text=text))
            break
        room -= cost
        taken.append(passage)
    taken.sort(key=lambda passage: passage.offset)
    text = "\n\n[…]\n\n".join(
        (f"({passage.headings})\n" if passage.headings else "") + passage.text for passage in taken
    )
    return text, len(taken), len(all_of)
