"""How much of a page's main part is in what an extractor made of it.

The gold is the element that the page's own generator puts the content in, without permalinks and navigation. Text is
compared by words, code blocks by their lines, headings as lines with a number sign, table cells as cells of a table.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

_BLOCKS = frozenset(["address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul", "br"])  # fmt: skip
_UNSEEN = "script|style|template|noscript|svg|button|input|select|textarea|iframe|object|math|title"
_NAVIGATION = (
    "*[@role='navigation']",
    "nav",
    "a[contains(concat(' ',@class,' '),' headerlink ')]",
    "a[contains(concat(' ',@class,' '),' mark ')]",
    "div[contains(concat(' ',@class,' '),' toc ')]",
    "div[contains(concat(' ',@class,' '),' navheader ')]",
    "div[contains(concat(' ',@class,' '),' navfooter ')]",
    "td[contains(concat(' ',@class,' '),' linenos ')]",
    "*[contains(concat(' ',@class,' '),' contents ') and contains(concat(' ',@class,' '),' local ')]",
    "*[@aria-hidden='true' or @hidden]",
)
_WORD = re.compile(r"\w+")
_LINK = re.compile(r"\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+.!|<>~=-])")
_FENCE = re.compile(r"^([ \t>]*)(`{3,}|~{3,})[^\n`]*\n(.*?)^[ \t>]*\2[ \t]*$", re.DOTALL | re.MULTILINE)
_CELL = re.compile(r"(?<!\\)\|")


@dataclass
class Gold:
    """What a page holds.

    Args:
        words: Each of its words, and how often.
        code: Its code blocks, lines without space at their ends.
        headings: Its headings, as words.
        cells: Cells of 3 to 60 characters of its data tables.
    """

    words: Counter[str]
    code: list[str] = field(default_factory=list[str])
    headings: list[str] = field(default_factory=list[str])
    cells: list[str] = field(default_factory=list[str])


@dataclass
class Score:
    """Of one page, or a sum; shares are found and all.

    Args:
        f1: Of words; of several pages, their mean.
        code: Code blocks found and all.
        headings: Headings found and all.
        cells: Cells found and all.
    """

    f1: float = 0.0
    code: tuple[int, int] = (0, 0)
    headings: tuple[int, int] = (0, 0)
    cells: tuple[int, int] = (0, 0)


def gold_of(page: str, main: str) -> Gold | None:
    """The gold of a page.

    Args:
        page: Its HTML.
        main: XPath of its main element.

    Returns:
        None if the page has no such element.
    """
    html: Any = importlib.import_module("lxml.html")
    root: Any = html.document_fromstring(page.encode(), parser=html.HTMLParser(encoding="utf-8", remove_comments=True))
    found: list[Any] = root.xpath(main)
    if not found:
        return None
    node: Any = found[0]
    for path in (*(f"descendant::{name}" for name in _UNSEEN.split("|")), *(f"descendant::{n}" for n in _NAVIGATION)):
        for gone in node.xpath(path):
            if gone.getparent() is not None:
                gone.drop_tree()
    tables: list[Any] = [one for one in node.iter("table") if _is_data(one)]
    cells = [_one_line(cell) for one in tables for cell in one.xpath(".//td|.//th")]
    return Gold(
        Counter(_WORD.findall(_text(node).lower())),
        [text for pre in node.iter("pre") if (text := _trimmed(_code(pre))).strip()],
        [text for one in node.iter("h1", "h2", "h3", "h4", "h5", "h6") if (text := " ".join(_WORD.findall(_one_line(one))))],
        [text for text in cells if 3 <= len(text) <= 60],
    )  # fmt: skip


def score(gold: Gold, made: str) -> Score:
    """How well Markdown (or text) fits the gold of its page."""
    made = made.replace("\r\n", "\n")
    fences = [_unindented(match[1], match[3]) for match in _FENCE.finditer(made)]
    outside = _FENCE.sub("\n", made)
    prose = _ESCAPED.sub(r"\1", _LINK.sub("]", _IMAGE.sub(" ", outside)))
    words = Counter(_WORD.findall((prose + "\n" + "\n".join(fences)).lower()))
    both = sum((words & gold.words).values())
    total = sum(words.values()) + sum(gold.words.values())
    blocks = [f"\n{_trimmed(text)}\n" for text in (*fences, made)]
    code = sum(any(f"\n{block}\n" in text for text in blocks) for block in gold.code)
    lines = Counter(" ".join(_WORD.findall(line)) for line in prose.split("\n") if line.lstrip().startswith("#"))
    return Score(
        2 * both / total if total else 1.0,
        (code, len(gold.code)),
        _found(gold.headings, lines),
        _found([_bare(cell) for cell in gold.cells], Counter(_cells(outside))),
    )


def mean(scores: Sequence[Score]) -> Score:
    """Of several pages: each page's words count alike, each block, heading and cell too."""
    return Score(
        sum(one.f1 for one in scores) / len(scores) if scores else 0.0,
        _sum(one.code for one in scores),
        _sum(one.headings for one in scores),
        _sum(one.cells for one in scores),
    )


def share(pair: tuple[int, int]) -> float:
    """Found of all; 1 of none."""
    return pair[0] / pair[1] if pair[1] else 1.0


def missing(gold: Gold, made: str) -> Iterator[str]:
    """What a page holds and the Markdown lacks, for looking into it."""
    for kind, items in (("code", gold.code), ("heading", gold.headings), ("cell", gold.cells)):
        for item in items:
            one = Gold(Counter(), **{{"code": "code", "heading": "headings", "cell": "cells"}[kind]: [item]})
            found = score(one, made)
            if (found.code, found.headings, found.cells)[("code", "heading", "cell").index(kind)] == (0, 1):
                yield f"{kind}: {item}"


def _sum(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    found, total = 0, 0
    for one, of in pairs:
        found, total = found + one, total + of
    return found, total


def _found(wanted: Sequence[str], there: Counter[str]) -> tuple[int, int]:
    return sum(min(count, there[item]) for item, count in Counter(wanted).items()), len(wanted)


def _text(node: Any) -> str:
    """Text with a space where a block begins or ends, and none where only a word's look changes."""
    parts: list[str] = []

    def walk(one: Any) -> None:
        block = one.tag in _BLOCKS
        parts.append(" " if block else "")
        parts.append(one.text or "")
        for child in one:
            if isinstance(child.tag, str):
                walk(child)
            parts.append(child.tail or "")
        parts.append(" " if block else "")

    walk(node)
    return "".join(parts)


def _one_line(node: Any) -> str:
    return " ".join(_text(node).split())


def _code(pre: Any) -> str:
    for line in pre.xpath(".//br"):
        line.tail = "\n" + (line.tail or "")
    return str("".join(pre.itertext()))


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n")).strip("\n")


def _unindented(indent: str, text: str) -> str:
    """A fence in a list is indented, and so is what is in it."""
    return "\n".join(line.removeprefix(indent) for line in text.split("\n"))


def _is_data(table: Any) -> bool:
    rows = [row.xpath("count(td|th)") for row in table.iter("tr")]
    laid_out = table.get("role") in ("presentation", "none") or table.xpath(".//table|.//pre")
    return not laid_out and max(rows, default=0) > 1


def _cells(made: str) -> Iterator[str]:
    for line in made.split("\n"):
        if "|" in line:
            for cell in _CELL.split(line):
                yield _bare(_ESCAPED.sub(r"\1", _LINK.sub("]", cell)))


def _bare(cell: str) -> str:
    """A cell without the marks of Markdown, which some of its own characters look like."""
    return re.sub(r"[\s`*_\[\]\\~]+", "", cell)
