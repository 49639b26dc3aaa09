"""What styles hide: a style attribute's declarations, and the rules of a page's own style sheets.

No cascade and no layout: each declaration that hides counts, and of selectors those that are made of tags, classes, ids
and attributes, one below the other. Rules under a condition (a narrow window, print) are left aside. Everything takes
time in line with the text's length: it comes from outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gatelodge_websearch.html.dom import Node

_COMMENT = re.compile(r"/\*(?:[^*]|\*(?!/))*+(?:\*/)?")
_ESCAPE = re.compile(r"\\([0-9a-fA-F]{1,6})\s?|\\(.)")
_LONG = 400
"""Characters of a value that is looked at; a longer one, where its end matters, counts as hiding."""
_NUMBER = re.compile(r"([+-]?)\s{0,3}(\d{0,20}(?:\.\d{0,20})?)(px|pt|em|rem|ex|ch|vw|vh|vmin|vmax|cm|mm|in|pc|%)?")
_PIXELS = {"px": 1.0, "pt": 1.33, "em": 16.0, "rem": 16.0, "ex": 8.0, "ch": 8.0, "vw": 12.0, "vh": 8.0, "vmin": 8.0, "vmax": 12.0, "cm": 38.0, "mm": 3.8, "in": 96.0, "pc": 16.0, "%": 5.0, "": 1.0}  # fmt: skip
"""About how many pixels a unit is."""
_FAR = 480.0
_TINY = 2.0
_OFFSETS = frozenset({"left", "right", "top", "bottom", "inset", "inset-inline-start", "inset-block-start", "text-indent", "margin", "margin-left", "margin-top", "margin-inline-start", "translate"})  # fmt: skip
_SIZES = frozenset({"height", "width", "max-height", "max-width", "inline-size", "block-size", "max-inline-size", "max-block-size"})  # fmt: skip
_INK = frozenset({"color", "-webkit-text-fill-color"})
_CLEAR = re.compile(r"transparent|(?:rgb|hsl)a?\([^)]{0,80}[,/]\s*0?\.?0+%?\s*\)|#[0-9a-f]{6}00(?![0-9a-f])|#[0-9a-f]{3}0(?![0-9a-f])")  # fmt: skip
_CLIPPED = re.compile(r"rect\(\s*(?:[01](?:px)?[\s,]{1,4}){3}[01](?:px)?\s*\)|inset\(\s*(?:[5-9]\d|100)%|circle\(\s*0|polygon\(\s*(?:0(?:px|%)?[\s,]{0,4})+\)")  # fmt: skip
_SCALED = re.compile(r"scale(?:3d|x|y)?\(\s*0(?:\.0+)?\s*[,)]")
_MOVED = re.compile(r"translate(?:x|y|3d)?\(([^)]{0,80})")
_FADED = re.compile(r"opacity\(\s*0?\.?0+%?\s*\)")
_SELECTOR = re.compile(r"(?:^|(?<=[\s>]))([a-zA-Z][a-zA-Z0-9-]*|\*)?((?:[.#][\w-]+|\[[\w-]+(?:\s*=\s*[\"']?[\w-]*[\"']?)?\])*)")  # fmt: skip
_PART = re.compile(r"([.#])([\w-]+)|\[([\w-]+)(?:\s*=\s*[\"']?([\w-]*)[\"']?)?\]")
_MAX_SHEET = 500_000
_MAX_RULES = 2000
_MAX_SELECTOR = 300
_MAX_DEPTH = 4
_MAX_CLASSES = 2000
_MAX_PARENTS = 1000
_MAX_STEPS = 5_000_000
"""Comparisons of elements with rules that a page is worth: some seconds. Large pages of documentation take a tenth."""


def plain(style: str) -> str:
    """A style without comments and escapes, which could split its words."""
    if "/*" in style:
        style = _COMMENT.sub("", style)
    if "\\" in style:
        style = _ESCAPE.sub(lambda found: _char(found[1]) if found[1] else found[2], style)
    return style


def _char(digits: str) -> str:
    number = int(digits, 16)
    return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"


def hides(style: str) -> bool:
    """Whether declarations hide what they are put on."""
    empty = clipped = False
    for declaration in plain(style).split(";"):
        name, colon, value = declaration.partition(":")
        if not colon:
            continue
        name, value = name.strip().lower(), value.strip()
        if name.startswith("--"):
            continue
        size, value = len(value), value[:_LONG].lower()
        if _hides(name.removeprefix("-webkit-") if name not in _INK else name, value, size):
            return True
        empty = empty or (name in _SIZES and _pixels(value) == 0)
        clipped = clipped or (name.startswith("overflow") and value.startswith(("hidden", "clip")))
    return empty and clipped


def _hides(name: str, value: str, size: int) -> bool:
    match name:
        case "display":
            return value.startswith("none")
        case "visibility":
            return value.startswith(("hidden", "collapse"))
        case "content-visibility":
            return value.startswith("hidden")
        case "opacity":
            amount = _pixels(value.removeprefix("calc("))
            return amount is not None and amount < (0.1 if "%" not in value else 25)
        case "font-size" | "zoom":
            amount = _pixels(value)
            return amount is not None and amount < (_TINY if name == "font-size" else 0.05)
        case "font":
            return any((amount := _sized(word)) is not None and amount < _TINY for word in value.split(" ")[:8])
        case "scale":
            return _pixels(value) == 0
        case "clip" | "clip-path":
            return size > _LONG or _CLIPPED.search(value) is not None
        case "transform":
            # A share of the own size moves things about in sight too.
            moved = any(_far(word) for found in _MOVED.findall(value) for word in found.split(",") if "%" not in word)
            return size > _LONG or moved or _SCALED.search(value) is not None
        case "filter":
            return size > _LONG or _FADED.search(value) is not None
        case _ if name in _OFFSETS:
            shares = name.startswith(("margin", "translate"))
            words = [word.removeprefix("calc(") for word in value.split()[:4]]
            return any(_far(word) for word in words if not (shares and "%" in word))
        case _ if name in _INK:
            return _CLEAR.match(value) is not None
        case _:
            return False


def _pixels(value: str) -> float | None:
    """A length in pixels, roughly; None if it begins with no number."""
    found = _NUMBER.match(value)
    if found is None or not found[2].strip("."):
        return None
    amount = float(found[2]) * _PIXELS[found[3] or ""]
    return -amount if found[1] == "-" else amount


def _sized(word: str) -> float | None:
    """The size in a part of a `font`; weights are numbers too, but none is so small."""
    return _pixels(word) if word[:1].isdigit() or word[:1] == "." else None


def _far(value: str) -> bool:
    amount = _pixels(value.strip())
    return amount is not None and amount <= -_FAR


class Look(NamedTuple):
    """How an element looks: whether it is hidden, and the colours of its text and of what is behind it, if they are set."""

    hidden: bool
    ink: str
    paper: str


NOTHING = Look(False, "", "")


def colours(style: str) -> tuple[str, str]:
    """The colours of text and background that declarations set; empty where they set none."""
    ink = paper = ""
    for declaration in plain(style).split(";"):
        name, _, value = declaration.partition(":")
        match name.strip().lower():
            case "color":
                ink = value.strip()[:60]
            case "background" | "background-color" | "background-image":
                paper = value.strip()[:60]
            case _:
                pass
    return ink, paper


@dataclass(frozen=True, slots=True)
class _Compound:
    """Tag, ids, classes and attributes that one element must have."""

    tag: str
    ids: frozenset[str]
    classes: frozenset[str]
    attributes: tuple[tuple[str, str | None], ...]

    def fits(self, node: Node, classes: frozenset[str] | None = None) -> bool:
        """Whether an element has them; its classes may be given, so that they aren't taken apart again."""
        if self.tag and node.tag != self.tag:
            return False
        if self.ids and self.ids != frozenset((node.get("id", ""),)):
            return False
        if self.classes and not self.classes <= (_classes(node) if classes is None else classes):
            return False
        return all(
            (node.get(name, "\0") != "\0") if value is None else node.get(name, "\0") == value
            for name, value in self.attributes
        )


def _classes(node: Node) -> frozenset[str]:
    return frozenset(node.get("class", "")[:_MAX_CLASSES].split()[:50])


@dataclass(frozen=True, slots=True, eq=False)
class _Rule:
    """The element itself, and what must be above it, innermost first, with whether that is its very parent."""

    own: _Compound
    above: tuple[tuple[bool, _Compound], ...]


class Sheet:
    """The rules of a page's style sheets that hide or colour, found by an element's id, class or tag.

    Args:
        css: The sheets.
    """

    def __init__(self, css: str) -> None:
        self._by: dict[tuple[str, str], list[tuple[_Rule, Look]]] = {}
        self._steps = _MAX_STEPS
        # Of each parent, which rules what is above allows; elements side by side have one answer.
        self._above: dict[Node, dict[_Rule, bool]] = {}
        count = 0
        for selectors, body in _rules(plain(css[:_MAX_SHEET])):
            look = Look(hides(body), *colours(body))
            if not any(look):
                continue
            for selector in selectors.split(",", _MAX_RULES)[:_MAX_RULES]:
                rule = _rule(selector) if len(selector) <= _MAX_SELECTOR else None
                if rule is not None and count < _MAX_RULES:
                    count += 1
                    self._by.setdefault(_key(rule.own), []).append((rule, look))

    def look(self, node: Node) -> Look:
        """What the rules say of an element; of two colours the later one."""
        if not self._by:
            return NOTHING
        classes = _classes(node)
        keys = [("", ""), ("tag", node.tag), *(("class", name) for name in classes)]
        if name := node.get("id", ""):
            keys.append(("id", name))
        hidden, ink, paper = NOTHING
        for key in keys:
            for rule, look in self._by.get(key, ())[:50]:
                self._steps -= 1
                if rule.own.fits(node, classes) and self._is_below(node, rule):
                    hidden, ink, paper = hidden or look.hidden, look.ink or ink, look.paper or paper
        # What can't be judged any more isn't shown: else a page would use the steps up before what it hides.
        return Look(hidden or self._steps < 0, ink, paper)

    def _is_below(self, node: Node, rule: _Rule) -> bool:
        """Whether what a rule wants above an element is there."""
        parent = node.getparent()
        if not rule.above or parent is None or self._steps < 0:
            return not rule.above
        known = self._above.get(parent)
        if known is None:
            if len(self._above) >= _MAX_PARENTS:
                self._above.clear()
            known = self._above[parent] = {}
        found = known.get(rule)
        if found is None:
            found = known[rule] = self._climbs(parent, rule)
        return found

    def _climbs(self, parent: Node, rule: _Rule) -> bool:
        place: Node | None = parent
        for direct, compound in rule.above:
            while place is not None and not compound.fits(place):
                self._steps -= 4 if compound.classes or compound.attributes else 1
                place = None if direct or self._steps < 0 else place.getparent()
            if place is None:
                return False
            place = place.getparent()
        return True


def _key(own: _Compound) -> tuple[str, str]:
    if own.ids:
        return "id", next(iter(own.ids))
    if own.classes:
        return "class", min(own.classes)
    return ("tag", own.tag) if own.tag else ("", "")


def _rules(css: str) -> Iterator[tuple[str, str]]:
    """Selectors and declarations of the rules that always hold."""
    conditions: list[bool] = []
    barred = 0
    selectors, at = "@", 0
    for found in re.finditer(r"[{}]", css):
        before, at = css[at : found.start()], found.end()
        if found[0] == "{":
            head = before.rpartition(";")[2].strip()
            conditions.append(not head.startswith("@") or _always(head))
            barred += not conditions[-1]
            selectors = head
        else:
            if conditions and not barred and not selectors.startswith("@"):
                yield selectors, before
            if conditions:
                barred -= not conditions.pop()
            selectors = "@"


def _always(head: str) -> bool:
    words = head[:60].lower().split()
    return words[0] in ("@layer", "@supports") or words in (["@media", "screen"], ["@media", "all"])


def _rule(selector: str) -> _Rule | None:
    """A selector's rule; None if it has parts that aren't judged here."""
    words = selector.replace(">", " > ").split()
    parts: list[tuple[bool, _Compound]] = []
    direct = False
    for word in reversed(words):
        if word == ">":
            direct = True
            continue
        compound = _compound(word)
        if compound is None or len(parts) > _MAX_DEPTH:
            return None
        parts.append((direct, compound))
        direct = False
    return _Rule(parts[0][1], tuple(parts[1:])) if parts and not direct else None


def _compound(word: str) -> _Compound | None:
    found = _SELECTOR.fullmatch(word)
    if found is None or not found[0]:
        return None
    named: Iterable[re.Match[str]] = list(_PART.finditer(found[2] or ""))
    return _Compound(
        "" if found[1] in (None, "*") else found[1].lower(),
        frozenset(part[2] for part in named if part[1] == "#"),
        frozenset(part[2] for part in named if part[1] == "."),
        tuple((part[3].lower(), part[4]) for part in named if part[3]),
    )
