"""A page as Markdown, with what is known of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gatelodge_websearch.html.blocks import Block, Cutter, absolute
from gatelodge_websearch.html.choose import chosen, mask, without_frame
from gatelodge_websearch.html.dom import Node, content, elements, parse
from gatelodge_websearch.html.hidden import AFTER, BEFORE, strip
from gatelodge_websearch.html.manuals import is_manual, of_manual
from gatelodge_websearch.html.shape import is_twisted

LARGE = 600_000
"""Characters of a page above which it is written without asking trafilatura, which holds a core for seconds then."""
MAX_LINKS = 2000
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?")


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a page: what it says and where it leads."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Extracted:
    """A page, read.

    Args:
        title: Its title, or its first heading.
        markdown: Its content.
        extractor: How the content was found: ``manual``, ``hybrid``, ``dom`` or ``text``.
        language: As the page says, such as ``en``.
        published: A date from its metadata, or empty.
        hidden: Characters that were hidden in it.
        links: Links of the whole page, in its order.
    """

    title: str
    markdown: str
    extractor: str
    language: str = ""
    published: str = ""
    hidden: int = 0
    links: tuple[Link, ...] = ()


def extract(text: str, url: str, *, include_hidden: bool = False) -> Extracted:
    """Read an HTML page.

    Args:
        text: The page.
        url: Where it is, for its links.
        include_hidden: Keep what isn't shown, and don't ask what is content.

    Returns:
        The page. One that holds no text gives empty Markdown; nothing raises.
    """
    root = parse(text)
    if root is None:
        return Extracted("", "", "none")
    base = _base(root, url)
    language = root.get("lang", "")[:20]
    title = next((" ".join(content(node).split()) for node in elements(root.iter("title"))), "")[:300]
    published = _published(root)
    manual = is_manual(root)
    hidden = strip(root, include_hidden=include_hidden)
    links = _links(root, base)
    blocks = Cutter(base).cut(root)
    best, extractor = (blocks, "dom") if include_hidden else _best(root, blocks, url, len(text), manual=manual)
    heading = next((block.text.lstrip("# ") for block in best if block.kind == "heading"), "")
    return Extracted(title or heading, write(best), extractor, language, published, hidden, links)


def _best(root: Node, blocks: Sequence[Block], url: str, size: int, *, manual: bool) -> tuple[Sequence[Block], str]:
    if manual and (kept := of_manual(root, blocks)):
        return kept, "manual"
    if size <= LARGE and not is_twisted(root):
        seed = mask(root, blocks, url)
        found = chosen(blocks, seed) if seed else []
        # A mask that fits little of the page was made from text that we see otherwise.
        if found and sum(len(block.plain) for block in found) >= 0.6 * len(" ".join(seed.split())):
            return found, "hybrid"
    return without_frame(blocks), "dom"


def write(blocks: Sequence[Block]) -> str:
    """Blocks as one text: items of a list on lines that follow each other, all else with a line between."""
    parts: list[str] = []
    before: Block | None = None
    for block in blocks:
        text = block.text
        if block.kind == "item":
            indent = "  " * (block.level - 1)
            text = "\n".join(indent + line for line in text.split("\n"))
        if before is not None:
            parts.append("\n" if before.kind == block.kind == "item" else "\n\n")
        parts.append(text)
        before = block
    # Pieces beside each other were marked one by one.
    return "".join(parts).replace(AFTER + BEFORE, "").replace(f"{AFTER} {BEFORE}", " ")


def _base(root: Node, url: str) -> str:
    found = next((node.get("href", "") for node in elements(root.iter("base")) if node.get("href", "")), "")
    return absolute(url, found) or url


def _published(root: Node) -> str:
    for node in elements(root.iter("meta")):
        name = (node.get("property", "") or node.get("name", "") or node.get("itemprop", "")).lower()
        if name in ("article:published_time", "date", "dc.date", "datepublished", "dcterms.created", "pubdate"):
            found = _DATE.match(node.get("content", "").strip())
            if found:
                return found[0]
    return ""


def _links(root: Node, base: str) -> tuple[Link, ...]:
    found: dict[str, Link] = {}
    for node in elements(root.iter("a")):
        url = absolute(base, node.get("href", ""))
        text = " ".join(content(node).split())[:200]
        if url and text and url not in found:
            found[url] = Link(text, url)
            if len(found) >= MAX_LINKS:
                break
    return tuple(found.values())
