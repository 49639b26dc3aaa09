"""Which blocks of a page are its content: trafilatura says what, its own markup how it looked.

Trafilatura is best at telling content from frame, but keeps under half of code blocks and a third of table cells
whole. So its text is only a mask: a block stays if most of its word triples are in it. On a page that is mostly code
and tables, the region where the kept blocks stand stays whole.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from gatelodge_websearch.html.blocks import Block
from gatelodge_websearch.html.dom import Node, inherited

_KEPT = 0.6
"""Share of a block's triples that the mask must hold."""
_SHORT = 5
_SENTENCE = 8
_THIN = 0.5
"""Share of a page's paragraphs below which a mask may have missed the content."""
_REGION = 0.85
_REFERENCE = 0.55
_FRAME = frozenset({"nav", "footer", "aside", "menu", "button"})
_FRAME_ROLES = frozenset({"navigation", "banner", "contentinfo", "complementary", "search", "menu", "menubar", "toolbar", "dialog", "alertdialog"})  # fmt: skip
_FRAME_CLASSES = frozenset({"breadcrumb", "breadcrumbs", "cookie", "footer", "nav", "navbar", "navigation", "pagination", "related", "share", "sharing", "sidebar", "social", "sphinxsidebar", "toc", "newsletter", "promo", "advert", "ads", "comments"})  # fmt: skip


def mask(root: Node, blocks: Sequence[Block], url: str) -> str:
    """Trafilatura's text of a page; empty if it finds none."""
    found = _extracted(root, url, fast=True)
    prose = sum(len(block.plain) for block in without_frame(blocks) if block.kind == "text")
    if len(found) < _THIN * prose:
        # It may have missed the content; with its fall-backs, which take longer, it asks other ways too.
        found = max(found, _extracted(root, url, fast=False), key=len)
    return found


def _extracted(root: Node, url: str, *, fast: bool) -> str:
    trafilatura: Any = importlib.import_module("trafilatura")
    found: Any = trafilatura.extract(
        deepcopy(root), url=url, include_comments=False, include_tables=True, fast=fast, with_metadata=False
    )
    return found if isinstance(found, str) else ""


def chosen(blocks: Sequence[Block], seed: str) -> list[Block]:
    """The blocks that are content by the mask `seed`; empty if it says nothing of them."""
    triples = _triples(seed.split())
    lines = {" ".join(line.split()).lstrip("-# ").strip() for line in seed.splitlines()}
    kept = [_is_kept(block, triples, lines) for block in blocks]
    if not any(kept):
        return []
    region = _region(blocks, kept)
    inside = list(map(_within(region), nodes := [block.node for block in blocks]))
    framed = list(map(_framed(region), nodes))
    if _is_reference(blocks, kept, inside):
        result = [
            stays or (here and not frame and not block.is_links)
            for block, stays, here, frame in zip(blocks, kept, inside, framed, strict=True)
        ]
    else:
        first, last = kept.index(True), len(kept) - 1 - kept[::-1].index(True)
        beside = _beside(blocks, kept)
        result = [
            stays
            or (here and not frame and first < place <= last + 1 and block.kind in ("code", "table"))
            or (here and not frame and first < place < last and (block.kind == "heading" or beside(block)))
            for place, (block, stays, here, frame) in enumerate(zip(blocks, kept, inside, framed, strict=True))
        ]
    _with_title(blocks, result)
    return [block for block, stays in zip(blocks, result, strict=True) if stays]


def without_frame(blocks: Sequence[Block]) -> list[Block]:
    """The blocks that no element, role or class name calls a frame: for pages that are too large for the mask."""
    framed = _framed(None)
    return [block for block in blocks if not block.is_links and not framed(block.node)] or list(blocks)


def _beside(blocks: Sequence[Block], kept: Sequence[bool]) -> Callable[[Block], bool]:
    """Whether a block is a sentence or more that stands in one element with at least two that were kept."""
    parents = Counter(block.node.getparent() for block, stays in zip(blocks, kept, strict=True) if stays)

    def stands(block: Block) -> bool:
        sentence = block.kind in ("text", "item") and not block.is_links and len(block.plain.split()) >= _SENTENCE
        return sentence and parents[block.node.getparent()] >= 2

    return stands


def _triples(words: Sequence[str]) -> set[tuple[str, str, str]]:
    return set(zip(words, words[1:], words[2:], strict=False))


def _is_kept(block: Block, triples: set[tuple[str, str, str]], lines: set[str]) -> bool:
    words = block.plain.split()
    if len(words) < _SHORT:
        return block.plain in lines
    own = list(zip(words, words[1:], words[2:], strict=False))
    return sum(triple in triples for triple in own) >= _KEPT * len(own)


def _region(blocks: Sequence[Block], kept: Sequence[bool]) -> Node | None:
    """The smallest element that holds most of the words that were kept."""
    weights: Counter[int] = Counter()
    places: dict[int, tuple[int, Node]] = {}
    total = 0
    for block, stays in zip(blocks, kept, strict=True):
        if not stays:
            continue
        words = len(block.plain.split())
        total += words
        above = [block.node, *block.node.iterancestors()]
        for height, node in enumerate(above):
            weights[id(node)] += words
            places[id(node)] = (len(above) - height, node)
    wide = [places[key] for key, words in weights.items() if words >= _REGION * total]
    return max(wide, key=lambda found: found[0])[1] if wide else None


def _within(region: Node | None) -> Callable[[Node], bool]:
    """Whether an element is the region or in it; where there is none, all are."""
    return inherited(lambda place: True if place is region else None, otherwise=region is None)


def _framed(region: Node | None) -> Callable[[Node], bool]:
    """Whether an element, or one between it and the region (or the page), calls itself a frame."""

    def own(place: Node) -> bool | None:
        if place is region:
            return False
        if place.tag in _FRAME or place.get("role", "") in _FRAME_ROLES:
            return True
        names = place.get("class", "")
        if names and place.tag not in ("body", "html") and not _FRAME_CLASSES.isdisjoint(names.lower().split()):
            return True
        return None

    return inherited(own, otherwise=False)


def _is_reference(blocks: Sequence[Block], kept: Sequence[bool], inside: Sequence[bool]) -> bool:
    words = [len(block.plain.split()) for block in blocks]
    whole = sum(count for count, here in zip(words, inside, strict=True) if here)
    held = sum(count for count, here, stays in zip(words, inside, kept, strict=True) if here and stays)
    kinds = Counter(block.kind for block, here in zip(blocks, inside, strict=True) if here)
    structural = kinds["code"] + kinds["table"]
    return held >= _REFERENCE * whole and (structural >= 3 or kinds["heading"] >= 4)


def _with_title(blocks: Sequence[Block], result: list[bool]) -> None:
    """Add the page's heading if it stands shortly before the content."""
    first = result.index(True)
    top = min((block.level for block in blocks if block.kind == "heading"), default=1)
    for place in range(max(0, first - 4), first):
        if blocks[place].kind == "heading" and blocks[place].level == top <= 2:
            result[place] = True
