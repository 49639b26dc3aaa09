"""Nodes that a reader of the page wouldn't see are taken out before anything else looks at it.

By style, attribute, the rules of the page's own style sheets, and well-known class names. Text in nearly the colour of
what is known to be behind it (white, if nothing is) is kept, since we can't compute styles, and each piece is marked.
`include_hidden` keeps all but what never renders.
"""

from __future__ import annotations

import re
from typing import NamedTuple, cast

from gatelodge_websearch.html.dom import Node, content, drop, elements
from gatelodge_websearch.html.styles import Look, Sheet, colours, hides

_NEVER = frozenset({"script", "style", "template", "iframe", "object", "embed", "svg", "canvas", "datalist", "noembed", "noframes", "noscript", "audio", "video", "map", "link", "meta", "param", "source", "track", "area", "select", "option", "input", "textarea", "progress", "meter"})  # fmt: skip
"""Elements whose content isn't page text: without a script `noscript` would be, but readers run scripts."""
_CLASSES = frozenset({"sr-only", "sr-only-focusable", "visually-hidden", "visuallyhidden", "screen-reader-text", "screenreader", "a11y-hidden", "assistive-text", "hide-text", "hidden-visually", "u-hidden-visually"})  # fmt: skip
_NAMED = {"white": (255, 255, 255), "snow": (255, 250, 250), "black": (0, 0, 0), "ivory": (255, 255, 240), "ghostwhite": (248, 248, 255), "whitesmoke": (245, 245, 245), "red": (255, 0, 0), "yellow": (255, 255, 0), "blue": (0, 0, 255), "green": (0, 128, 0), "gray": (128, 128, 128), "grey": (128, 128, 128), "silver": (192, 192, 192)}  # fmt: skip
_RGB = re.compile(r"rgba?\(\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*[, ]\s*(\d{1,3})")
_HEX = re.compile(r"#([0-9a-f]{3,8})\b")
_NEAR = 48
"""Sum of differences of the three channels below which two colours count as one."""
_WHOLE = frozenset({"html", "head", "title", "body"})
"""What is never taken out: many a page hides its body until a script has run."""
BEFORE, AFTER = "\u27e6perhaps invisible: ", "\u27e7"


def strip(root: Node, *, include_hidden: bool = False) -> int:
    """Take hidden nodes out of a page.

    Args:
        root: The page; it is changed.
        include_hidden: Keep what styles and attributes hide.

    Returns:
        How many characters of text were hidden.
    """
    css = "" if include_hidden else "\n".join(content(node) for node in elements(root.iter("style")))
    sheet, outer = Sheet(css), _has_outer_sheet(root)
    removed = 0
    gone: list[Node] = []
    # The elements above the one in hand, and how their text looks; None in one that goes.
    path: list[tuple[Node, _Colours | None]] = []
    # One by one, not as a list: a large page has hundreds of thousands.
    for node in root.iter():
        if not isinstance(cast("object", node.tag), str):
            continue
        parent = node.getparent()
        while path and path[-1][0] is not parent:
            path.pop()
        above = path[-1][1] if path else _UNKNOWN
        here = None
        if above is None:
            pass
        elif node.tag in _NEVER:
            gone.append(node)
            removed += len(" ".join(content(node).split())) if node.tag in ("template", "noscript") else 0
        elif include_hidden:
            here = above
        elif ((look := sheet.look(node)).hidden and node.tag not in _WHOLE) or _hidden(node):
            gone.append(node)
            removed += len(" ".join(content(node).split()))
        else:
            here = _coloured(node, look, above, outer=outer)
            if here.camouflaged and node.text and node.text.strip():
                node.text = f"{BEFORE}{node.text}{AFTER}"
        if above is not None and above.camouflaged and node.tail and node.tail.strip():
            node.tail = f"{BEFORE}{node.tail}{AFTER}"
        path.append((node, here))
    drop(gone)
    return removed


def _has_outer_sheet(root: Node) -> bool:
    """Whether there are style sheets elsewhere, which may give a background that we don't know of."""
    return any("stylesheet" in node.get("rel", "").lower() for node in elements(root.iter("link")))


def _hidden(node: Node) -> bool:
    if node.tag in _WHOLE:
        return False
    style = node.get("style", "")
    if style and hides(style):
        return True
    if node.get("hidden", "-") != "-" and node.get("hidden", "").lower() != "until-found":
        return True
    if node.get("aria-hidden", "").strip().lower() == "true":
        return True
    if node.tag == "dialog" and node.get("open", "-") == "-":
        return True
    if node.tag == "font" and node.get("size", "").strip() in ("0", "-7"):
        return True
    names = node.get("class", "")
    return bool(names) and not _CLASSES.isdisjoint(names.lower().split())


class _Colours(NamedTuple):
    """Of an element's text: its colour, what is behind it (empty if unknown), and whether one is hard to tell from the other."""

    ink: str
    paper: str
    camouflaged: bool


_UNKNOWN = _Colours("", "", False)


def _coloured(node: Node, look: Look, above: _Colours, *, outer: bool) -> _Colours:
    style = node.get("style", "")
    own = colours(style) if style else ("", "")
    ink = own[0] or (node.get("color", "") if node.tag == "font" else "") or look.ink
    paper = own[1] or node.get("bgcolor", "") or look.paper
    if not ink and not paper:
        return above
    # A rule's white text has its background in a sheet elsewhere, more often than not.
    sure = bool(own[0]) or not outer
    ink, paper = ink or above.ink, paper or above.paper
    text, back = _rgb(ink), _rgb(paper) if paper else (255, 255, 255) if sure else None
    return _Colours(ink, paper, text is not None and back is not None and _difference(text, back) < _NEAR)


def _difference(one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def _rgb(text: str) -> tuple[int, int, int] | None:
    text = text.strip().lower()
    if match := _RGB.search(text):
        return int(match[1]), int(match[2]), int(match[3])
    if match := _HEX.search(text):
        digits = match[1] if len(match[1]) >= 6 else "".join(char * 2 for char in match[1])
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
    return _NAMED.get(text.split()[0] if text else "")
