"""Which blocks of a page are its content: trafilatura says what, its own markup how it looked.

Trafilatura is best at telling content from frame, but keeps under half of code blocks and a third of table cells
whole. So its text is only a mask: a block stays if most of its word triples are in it. On a page that is mostly code
and tables, the region where the kept blocks stand stays whole.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from gatelodge_websearch.html.blocks import Block
from gatelodge_websearch.html.dom import Node

_KEPT = 0.6
"""Share of a block's triples that the mask must hold."""
_SHORT = 5
_REGION = 0.85
_REFERENCE = 0.55
_FRAME = frozenset({"nav", "footer", "aside", "menu", "button"})
_FRAME_ROLES = frozenset({"navigation", "banner", "contentinfo", "complementary", "search", "menu", "menubar", "toolbar", "dialog", "alertdialog"})  # fmt: skip
_FRAME_CLASSES = frozenset({"breadcrumb", "breadcrumbs", "cookie", "footer", "nav", "navbar", "navigation", "pagination", "related", "share", "sharing", "sidebar", "social", "sphinxsidebar", "toc", "newsletter", "promo", "advert", "ads", "comments"})  # fmt: skip


def mask(root: Node, url: str) -> str:
    """Trafilatura's text of a page; empty if it finds none."""
    trafilatura: Any = importlib.import_module("trafilatura")
    found: Any = trafilatura.extract(
        deepcopy(root), url=url, include_comments=False, include_tables=True, fast=True, with_metadata=False
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
    inside = [region is None or _within(block.node, region) for block in blocks]
    framed = [_framed(block.node, region) for block in blocks]
    if _is_reference(blocks, kept, inside):
        result = [
            stays or (here and not frame and not _is_links(block))
            for block, stays, here, frame in zip(blocks, kept, inside, framed, strict=True)
        ]
    else:
        first, last = kept.index(True), len(kept) - 1 - kept[::-1].index(True)
        result = [
            stays
            or (here and not frame and first < place <= last + 1 and block.kind in ("code", "table"))
            or (here and not frame and first < place < last and block.kind == "heading")
            for place, (block, stays, here, frame) in enumerate(zip(blocks, kept, inside, framed, strict=True))
        ]
    _with_title(blocks, result)
    return [block for block, stays in zip(blocks, result, strict=True) if stays]


def without_frame(blocks: Sequence[Block]) -> list[Block]:
    """The blocks that no element, role or class name calls a frame: for pages that are too large for the mask."""
    return [block for block in blocks if not _framed(block.node, None) and not _is_links(block)] or list(blocks)


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


def _within(node: Node, region: Node) -> bool:
    return node is region or any(place is region for place in node.iterancestors())


def _framed(node: Node, region: Node | None) -> bool:
    """Whether something between a block and the region (or the page) calls itself a frame."""
    for place in (node, *node.iterancestors()):
        if place is region:
            return False
        if place.tag in _FRAME or place.get("role", "") in _FRAME_ROLES:
            return True
        names = place.get("class", "")
        if names and place.tag not in ("body", "html") and not _FRAME_CLASSES.isdisjoint(names.lower().split()):
            return True
    return False


def _is_links(block: Block) -> bool:
    return bool(block.plain) and block.linked >= 0.8 * len(block.plain) and block.kind in ("text", "item")


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
    for place in range(max(0, first - 4), first):
        if blocks[place].kind == "heading" and blocks[place].level == 1:
            result[place] = True
