"""The part of lxml that is used, with types; lxml brings none."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
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


def parse(text: str) -> Node | None:
    """The root of a page, or None if there is nothing in it."""
    html: Any = importlib.import_module("lxml.html")
    parser: Any = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=False)
    # A NUL ends the text for the parser beneath; surrogates can't be encoded.
    data = text.replace("\0", "\ufffd").encode("utf-8", "replace")
    try:
        root: Any = html.document_fromstring(data, parser=parser, ensure_head_body=False)
    except (ValueError, importlib.import_module("lxml.etree").LxmlError):
        return None
    return cast("Node", root)


def drop(node: Node) -> None:
    """Take an element out and leave the text behind it."""
    parent = node.getparent()
    if parent is None:
        return
    if node.tail:
        before = node.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + node.tail
        else:
            parent.text = (parent.text or "") + node.tail
    node.tail = None
    parent.remove(node)


def content(node: Node) -> str:
    """All text below, as it stands."""
    return "".join(node.itertext())


def elements(nodes: Iterable[Node]) -> list[Node]:
    """Those that are elements; what lxml has for entities has a function for a tag."""
    return [node for node in nodes if isinstance(cast("object", node.tag), str)]
