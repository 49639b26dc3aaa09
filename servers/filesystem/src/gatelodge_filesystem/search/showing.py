"""A page of hits as text, within a budget; it counts what it shows, and knows where the next page begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gatelodge_filesystem.names import shown
from gatelodge_filesystem.search.model import FileHits, Hit, Hits

Namer = Callable[[str], str]
Mode = Literal["content", "files", "count"]


@dataclass(frozen=True, slots=True)
class Page:
    """What is shown.

    Args:
        text: The blocks of the files.
        files: How many files are shown.
        lines: How many lines with a match are shown.
        after: Where the next page begins, as in `Request.after`; None at the end.
    """

    text: str
    files: int
    lines: int
    after: tuple[int, str] | None


def page(name: Namer, hits: Hits, mode: Mode, room: int) -> Page:
    """Show what fits. A file that doesn't fit begins the next page; only one that begins a page is divided.

    Args:
        name: A file's name as it is shown, by its path from where the search began.
        hits: What it found.
        mode: Lines, or just files or counts.
        room: The most characters, but for one hit, which is always shown.
    """
    blocks: list[str] = []
    kept: list[FileHits] = []
    more = hits.more
    for item in hits.files:
        block = _block(name, item, mode)
        if len(block) > room:
            more = True
            if kept:
                break
            item = _divided(name, item, mode, room)  # noqa: PLW2901 - the rest of it is the next page's
            block = _block(name, item, mode)
        room -= len(block)
        blocks.append(block)
        kept.append(item)
        if item.goes_on:
            break
    more = more and bool(kept)
    after = (kept[-1].hits[-1].line if kept[-1].goes_on else 0, kept[-1].rel) if more else None
    return Page("".join(blocks), len(kept), sum(len(item.hits) for item in kept), after)


def _divided(name: Namer, item: FileHits, mode: Mode, room: int) -> FileHits:
    """As many hits of a file as fit; one at least, if need be without the lines around it."""
    low, high = 1, len(item.hits)
    while low < high:
        middle = (low + high + 1) // 2
        fits = len(_block(name, replace(item, hits=item.hits[:middle], goes_on=True), mode)) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    part = replace(item, hits=item.hits[:low], goes_on=item.goes_on or low < len(item.hits))
    if low == 1 and len(_block(name, part, mode)) > room:
        part = replace(part, hits=[replace(part.hits[0], before=(), after=())])
    return part


def _block(name: Namer, item: FileHits, mode: Mode) -> str:
    named = name(item.rel)
    if mode == "files":
        return f"{named}\n"
    if mode == "count":
        return f"{named}: {item.count}\n"
    text = (
        f"\n{named} ({item.count} lines, etag={item.etag}{', continued' if item.earlier else ''})\n{_rows(item.hits)}"
    )
    left = item.count - item.earlier - len(item.hits)
    if item.goes_on:
        return f"{text}({left} more lines in this file; the cursor goes on here)\n"
    return f"{text}({left} more lines in this file; raise per_file)\n" if left > 0 else text


def _rows(hits: Sequence[Hit]) -> str:
    lines: list[str] = []
    last = 0
    for hit in hits:
        rows = [
            *((number, "-", text) for number, text in hit.before),
            (hit.line, ":", hit.text),
            *((number, "-", text) for number, text in hit.after),
        ]
        if last and rows[0][0] > last + 1 and (hit.before or hit.after):
            lines.append("--\n")
        lines += [f"{number}{mark} {text}\n" for number, mark, text in rows]
        last = rows[-1][0]
    return "".join(lines)


def summary(where: str, hits: Hits, shown_page: Page, mode: Mode) -> str:
    """The line above the page, without its end."""
    if mode == "content":
        amount = (
            f"shown {shown_page.lines} of {hits.total_lines} lines in {shown_page.files} of {hits.total_files} files"
        )
    else:
        amount = f"shown {shown_page.files} of {hits.total_files} files with {hits.total_lines} lines"
    text = f"[{where}] {amount}, " + (
        f"{hits.scanned} files searched" if hits.scanned else f"searched by {hits.engine}"
    )
    if hits.binary or hits.large:
        text += f", passed over: {hits.binary} not text, {hits.large} over 10 MB"
    if hits.refused:
        text += f", {hits.refused} credential files not searched"
    if hits.slow:
        text += f", passed over as the expression takes too long on them: {_some(hits.slow)}"
    if hits.unreadable:
        text += f", unreadable: {_some(hits.unreadable)}"
    return text


def _some(paths: Sequence[str]) -> str:
    return ", ".join(shown(name) for name in paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
