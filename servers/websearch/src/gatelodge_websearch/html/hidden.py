"""Nodes that a reader of the page wouldn't see are taken out before anything else looks at it.

By style, attribute, the page's own simple style rules, and well-known class names. Text in nearly the colour of its
background is kept, since we can't compute styles, and marked. `include_hidden` keeps all but what never renders.
"""

from __future__ import annotations

import re

from gatelodge_websearch.html.dom import Node, content, drop, elements

_NEVER = frozenset({"script", "style", "template", "iframe", "object", "embed", "svg", "canvas", "datalist", "noembed", "noframes", "noscript", "audio", "video", "map", "link", "meta", "param", "source", "track", "area", "select", "option", "input", "textarea", "progress", "meter"})  # fmt: skip
"""Elements whose content isn't page text: without a script `noscript` would be, but readers run scripts."""
_CLASSES = frozenset({"sr-only", "sr-only-focusable", "visually-hidden", "visuallyhidden", "screen-reader-text", "screenreader", "a11y-hidden", "assistive-text", "hide-text", "hidden-visually", "u-hidden-visually"})  # fmt: skip
_NOTHING = r"0*\.?0+(?:px|em|rem|ex|pt|%|vw|vh)?"
_STYLE = re.compile(
    r"(?:^|[;{\s])(?:"
    r"display\s*:\s*none"
    r"|visibility\s*:\s*(?:hidden|collapse)"
    r"|content-visibility\s*:\s*hidden"
    r"|opacity\s*:\s*(?:0*\.?0+%?|0?\.0\d*)(?![\d.])"
    rf"|font(?:-size)?\s*:\s*(?:{_NOTHING}|[01](?:\.\d+)?p[xt]|0?\.\d+px)(?![\d.])"
    r"|(?:left|right|top|bottom|text-indent|margin-left|margin-top|margin)\s*:\s*-\s*(?:\d{4,}|[5-9]\d\d)(?:\.\d+)?(?:px|pt)"
    r"|(?:left|right|top|bottom|text-indent|margin-left)\s*:\s*-\s*\d{2,}(?:\.\d+)?(?:em|rem|vw|vh)"
    r"|(?:left|right|top|bottom|text-indent)\s*:\s*-\s*\d{3,}(?:\.\d+)?%"
    r"|clip\s*:\s*rect\(\s*(?:[01](?:px)?[\s,]*){4}\)"
    r"|clip-path\s*:\s*(?:inset\(\s*(?:50|100)%|circle\(\s*0)"
    r"|transform\s*:[^;]*?(?:scale(?:3d|x|y)?\(\s*0(?:\.0+)?\s*[,)]|translate(?:x|y|3d)?\([^)]*?-\s*\d{4,}px)"
    r"|(?:-webkit-text-fill-)?color\s*:\s*(?:transparent|rgba\([^)]*,\s*0?\.?0+\s*\)|#[0-9a-f]{6}00(?![0-9a-f])|#[0-9a-f]{3}0(?![0-9a-f]))"
    rf"|(?:max-)?(?:height|width)\s*:\s*{_NOTHING}(?![\d.])[^}}]*?overflow\s*:\s*(?:hidden|clip)"
    rf"|overflow\s*:\s*(?:hidden|clip)[^}}]*?(?:max-)?(?:height|width)\s*:\s*{_NOTHING}(?![\d.])"
    r")",
    re.IGNORECASE,
)
_COLOR = re.compile(r"(?:^|[;\s])color\s*:\s*([^;!]{1,60})", re.IGNORECASE)
_BACKGROUND = re.compile(r"(?:^|[;\s])background(?:-color)?\s*:\s*([^;!]{1,60})", re.IGNORECASE)
_RULE = re.compile(r"([^{}@]{1,400})\{([^{}]{0,2000})\}")
_SELECTOR = re.compile(r"([a-z][a-z0-9]*)?(?:([.#])([A-Za-z_][\w-]*))?", re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_ESCAPE = re.compile(r"\\([0-9a-fA-F]{1,6})\s?|\\(.)")
_NAMED = {"white": (255, 255, 255), "snow": (255, 250, 250), "black": (0, 0, 0), "ivory": (255, 255, 240), "ghostwhite": (248, 248, 255), "whitesmoke": (245, 245, 245), "red": (255, 0, 0), "yellow": (255, 255, 0), "blue": (0, 0, 255), "green": (0, 128, 0), "gray": (128, 128, 128), "grey": (128, 128, 128), "silver": (192, 192, 192)}  # fmt: skip
_RGB = re.compile(r"rgba?\(\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*[, ]\s*(\d{1,3})")
_HEX = re.compile(r"#([0-9a-f]{3,8})\b")
_NEAR = 48
"""Sum of differences of the three channels below which two colours count as one."""
BEFORE, AFTER = "\u27e6perhaps invisible: ", "\u27e7"


def strip(root: Node, *, include_hidden: bool = False) -> int:
    """Take hidden nodes out of a page.

    Args:
        root: The page; it is changed.
        include_hidden: Keep what styles and attributes hide.

    Returns:
        How many characters of text were hidden.
    """
    rules = [] if include_hidden else _rules("".join(content(node) for node in elements(root.iter("style"))))
    removed = 0
    for node in elements(root.iter()):
        if node.tag in _NEVER:
            if node.tag in ("template", "noscript"):
                removed += len(" ".join(content(node).split()))
            drop(node)
        elif node.tag in ("body", "html", "head", "title") or include_hidden:
            continue
        elif _hidden(node) or any(_matches(node, rule) for rule in rules):
            removed += len(" ".join(content(node).split()))
            drop(node)
        elif _camouflaged(node):
            _mark(node)
    return removed


def _mark(node: Node) -> None:
    """Say that what follows may not be seen; the text is kept."""
    if not content(node).strip():
        return
    node.text = BEFORE + (node.text or "")
    children = elements(node)
    if children:
        children[-1].tail = (children[-1].tail or "") + AFTER
    else:
        node.text += AFTER


def _hidden(node: Node) -> bool:
    style = node.get("style", "")
    if style and _STYLE.search(_plain(style)):
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


def _plain(style: str) -> str:
    """A style without comments and escapes, which could split its words."""
    if "/*" in style:
        style = _COMMENT.sub("", style)
    if "\\" in style:
        style = _ESCAPE.sub(lambda found: _char(found[1]) if found[1] else found[2], style)
    return style


def _char(digits: str) -> str:
    number = int(digits, 16)
    return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"


Rule = tuple[str, str, str]
"""Tag, ``.`` or ``#``, and the name; empty for any."""


def _rules(css: str) -> list[Rule]:
    """Simple selectors (tag, class, id) of the page's own style sheets whose rules hide."""
    found: list[Rule] = []
    for selectors, body in _RULE.findall(_plain(css[:500_000])):
        if not _STYLE.search(body):
            continue
        for selector in str(selectors).split(","):
            match = _SELECTOR.fullmatch(selector.strip())
            if match and match[0]:
                found.append(((match[1] or "").lower(), match[2] or "", match[3] or ""))
            if len(found) >= 200:
                return found
    return found


def _matches(node: Node, rule: Rule) -> bool:
    tag, mark, name = rule
    if tag and node.tag != tag:
        return False
    if mark == "#":
        return node.get("id", "") == name
    return not mark or name in node.get("class", "").split()


def _camouflaged(node: Node) -> bool:
    """Whether an element sets its text to nearly the colour that is known to be behind it; white if none is."""
    own = node.get("style", "")
    given = _COLOR.search(own)
    ink = _rgb(given[1] if given else node.get("color", "") if node.tag == "font" else "")
    if ink is None:
        return False
    for place in (node, *node.iterancestors()):
        style = place.get("style", "")
        found = _BACKGROUND.search(style) if style else None
        paper = found[1] if found else place.get("bgcolor", "")
        if paper:
            seen = _rgb(paper)
            return seen is not None and _difference(ink, seen) < _NEAR
    return _difference(ink, (255, 255, 255)) < _NEAR


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
