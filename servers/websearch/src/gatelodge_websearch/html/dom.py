"""The part of lxml that is used, with types; lxml brings none."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, cast


class Node(Protocol):
    """An element; comments and processing instructions are removed when parsing."""

    tag: str
    text: str | None
    tail: str | None

    def get(self, key: str, default: str = "") -> str:
        """An attribute."""
        ...

    def iter(self, *tags: str) -> Iterator[Node]:
        """This element and all below, in document order."""
        ...

    def iterancestors(self, *tags: str) -> Iterator[Node]:
        """From the parent up."""
        ...

    def itertext(self) -> Iterator[str]:
        """All text below."""
        ...

    def getparent(self) -> Node | None:
        """The parent."""
        ...

    def getprevious(self) -> Node | None:
        """The element before, with the same parent."""
        ...

    def find(self, path: str) -> Node | None:
        """The first element that a path leads to."""
        ...

    def remove(self, child: Node) -> None:
        """Take a child out."""
        ...

    def __iter__(self) -> Iterator[Node]: ...
    def __len__(self) -> int: ...


_LARGE = 200_000
_MAX_ATTRIBUTES = 10_000
_ATTRIBUTE = r"""[\s/]*+[^\s/>=][^\s/>=]*+(?>\s*+=\s*+(?>"[^"]*+"|'[^']*+'|[^\s>]*+))?"""
_TAG = re.compile(rf"<!--.*?(?:-->|\Z)|<(script|style|textarea|title)\b.*?(?:</\1|\Z)|<[a-z][^\s/>]*+((?:{_ATTRIBUTE}){{0,{_MAX_ATTRIBUTES}}}+)", re.DOTALL | re.IGNORECASE)  # fmt: skip
_ATTRIBUTES = re.compile(_ATTRIBUTE)


def _crowded(text: str) -> bool:
    """Whether a tag has so many attributes that the parser, which compares each with all before, takes minutes."""
    return any(
        len(found[2] or "") >= 2 * _MAX_ATTRIBUTES and sum(1 for _ in _ATTRIBUTES.finditer(found[2])) >= _MAX_ATTRIBUTES
        for found in _TAG.finditer(text)
    )


def parse(text: str) -> Node | None:
    """The root of a page, or None if there is nothing in it."""
    if len(text) > _LARGE and _crowded(text):
        return None
    html: Any = importlib.import_module("lxml.html")
    parser: Any = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=False)
    # A NUL ends the text for the parser beneath; surrogates can't be encoded.
    data = text.replace("\0", "\ufffd").encode("utf-8", "replace")
    try:
        root: Any = html.document_fromstring(data, parser=parser, ensure_head_body=False)
    except (ValueError, importlib.import_module("lxml.etree").LxmlError):
        return None
    return cast("Node", root)


def drop(nodes: Sequence[Node]) -> None:
    """Take elements out and leave the texts behind them; none of them may be in another."""
    gone = set(nodes)
    parents = dict.fromkeys(parent for node in nodes if (parent := node.getparent()) is not None)
    for parent in parents:
        children = list(parent)
        before: Node | None = None
        # Joined at once: one by one, each would copy all texts before it.
        texts: list[str] = []
        for child in children:
            if child in gone:
                texts.append(child.tail or "")
                child.tail = None
                parent.remove(child)
            else:
                _append(parent, before, texts)
                before, texts = child, []
        _append(parent, before, texts)


def _append(parent: Node, before: Node | None, texts: Sequence[str]) -> None:
    """Put texts behind a child, or at the beginning of its parent."""
    if not any(texts):
        return
    if before is not None:
        before.tail = "".join([before.tail or "", *texts])
    else:
        parent.text = "".join([parent.text or "", *texts])


def content(node: Node) -> str:
    """All text below, as it stands."""
    return "".join(node.itertext())


def elements(nodes: Iterable[Node]) -> list[Node]:
    """Those that are elements; what lxml has for entities has a function for a tag."""
    return [node for node in nodes if isinstance(cast("object", node.tag), str)]


def inherited(own: Callable[[Node], bool | None], otherwise: bool) -> Callable[[Node], bool]:
    """What an element is by itself, or by the nearest one above that is something by itself.

    Args:
        own: What an element is by itself; None if it leaves that to those above.
        otherwise: What it is if none above says.
    """
    known: dict[Node, bool] = {}

    def verdict(node: Node) -> bool:
        path: list[Node] = []
        place: Node | None = node
        found: bool | None = None
        while place is not None and found is None:
            found = known.get(place)
            if found is None:
                path.append(place)
                found = own(place)
            place = place.getparent()
        # Kept for all on the way: blocks side by side, far down, would go the whole way up each.
        known.update(dict.fromkeys(path, otherwise if found is None else found))
        return known[node]

    return verdict
