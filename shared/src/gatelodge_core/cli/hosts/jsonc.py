"""JSON as hosts read and people write it: with comments and trailing commas, and each part's place in the text.

The places are what lets an entry be changed without touching the rest of a file: order, comments, indentation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from gatelodge_core.cli.hosts.unreadable import Unreadable, at

DEEPEST = 200
"""Levels of nesting; no configuration comes near."""

_TRIVIA = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*(?s:.*?)\*/)*")
_SCALAR = re.compile(r"(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![\w.+-])")
_STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"')

Kind = Literal["object", "array", "scalar"]


class Node(NamedTuple):
    """A value, and where it stands.

    Args:
        kind: What it is.
        start: Offset of its first character.
        end: Offset behind its last one.
        scalar: The value itself, if it is neither an object nor an array.
        members: Those of an object, in order, duplicates included.
        items: Those of an array.
        comma: Offset of a comma behind the last member or item; -1 if there is none.
    """

    kind: Kind
    start: int
    end: int
    scalar: str | int | float | bool | None = None
    members: tuple[Member, ...] = ()
    items: tuple[Node, ...] = ()
    comma: int = -1

    def get(self, key: str) -> Member | None:
        """The member of an object with a key; the last one, as all parsers take it."""
        for member in reversed(self.members):
            if member.key == key:
                return member
        return None

    def value(self) -> Any:
        """What it means, as `json.loads` would give it."""
        if self.kind == "object":
            return {member.key: member.node.value() for member in self.members}
        if self.kind == "array":
            return [item.value() for item in self.items]
        return self.scalar


class Member(NamedTuple):
    """A key of an object and its value.

    Args:
        key: The key, decoded.
        start: Offset of its opening quote.
        node: The value.
    """

    key: str
    start: int
    node: Node


class Document(NamedTuple):
    """A parsed text.

    Args:
        text: The text, without a byte order mark.
        root: Its value; None if there is nothing but space and comments.
    """

    text: str
    root: Node | None

    def value(self) -> Any:
        """What it means; None if there is nothing."""
        return self.root.value() if self.root is not None else None

    def strict(self) -> bool:
        """Whether it is also plain JSON, without comments and trailing commas."""
        try:
            json.loads(self.text)
        except ValueError:
            return False
        return True


@lru_cache(maxsize=2)
def parse(text: str) -> Document:
    """Read a text. The last results are kept, since edits ask for the same text several times.

    Args:
        text: JSON, perhaps with comments and trailing commas, without a byte order mark.

    Raises:
        Unreadable: It is anything else; with line and column.
    """
    start = _trivia(text, 0)
    if start == len(text):
        return Document(text, None)
    root = _value(text, start, 0)
    end = _trivia(text, root.end)
    if end != len(text):
        raise at(text, end, "there is something behind the end of the value")
    return Document(text, root)


def repeated(node: Node) -> Iterator[str]:
    """The keys that an object has more than once."""
    seen: set[str] = set()
    for member in node.members:
        if member.key in seen:
            yield member.key
        seen.add(member.key)


def trivia_end(text: str, start: int) -> int:
    """Where space and comments from an offset on end."""
    found = _TRIVIA.match(text, start)
    return found.end() if found else start


def _trivia(text: str, start: int) -> int:
    end = trivia_end(text, start)
    if text.startswith("/*", end):
        raise at(text, end, "a comment has no end")
    return end


def _value(text: str, start: int, depth: int) -> Node:
    if depth > DEEPEST:
        raise at(text, start, f"nested deeper than {DEEPEST} levels")
    opening = text[start : start + 1]
    if opening == "{":
        return _object(text, start, depth)
    if opening == "[":
        return _array(text, start, depth)
    if opening == '"':
        string, end = _string(text, start)
        return Node("scalar", start, end, string)
    found = _SCALAR.match(text, start)
    if found is None:
        raise at(text, start, "a value is missing" if opening in ("", ",", "}", "]") else "this is no JSON value")
    try:
        return Node("scalar", start, found.end(), json.loads(found.group()))
    except ValueError:
        # Python reads no whole number of more than 4300 digits.
        raise at(text, start, "a number is too long") from None


def _object(text: str, start: int, depth: int) -> Node:
    members: list[Member] = []
    comma = -1
    here = _trivia(text, start + 1)
    while not text.startswith("}", here):
        if members and comma < 0:
            raise at(text, here, "a comma or } is missing")
        if not text.startswith('"', here):
            raise at(text, here, "a key in double quotes is missing")
        key, end = _string(text, here)
        colon = _trivia(text, end)
        if not text.startswith(":", colon):
            raise at(text, colon, "a colon is missing behind a key")
        node = _value(text, _trivia(text, colon + 1), depth + 1)
        members.append(Member(key, here, node))
        here, comma = _comma(text, node.end)
    return Node("object", start, here + 1, members=tuple(members), comma=comma)


def _array(text: str, start: int, depth: int) -> Node:
    items: list[Node] = []
    comma = -1
    here = _trivia(text, start + 1)
    while not text.startswith("]", here):
        if items and comma < 0:
            raise at(text, here, "a comma or ] is missing")
        node = _value(text, here, depth + 1)
        items.append(node)
        here, comma = _comma(text, node.end)
    return Node("array", start, here + 1, items=tuple(items), comma=comma)


def _comma(text: str, start: int) -> tuple[int, int]:
    """Where the next part begins, and where the comma before it stands (-1 for none)."""
    end = _trivia(text, start)
    return (_trivia(text, end + 1), end) if text.startswith(",", end) else (end, -1)


def _string(text: str, start: int) -> tuple[str, int]:
    found = _STRING.match(text, start)
    if found is None:
        raise at(text, start, "a text in quotes has no end, or holds a character that must be escaped")
    try:
        return (json.loads(found.group()) if "\\" in found.group() else found.group()[1:-1]), found.end()
    except ValueError:
        raise at(text, start, "an escape in a text isn't valid") from None


__all__ = ["Document", "Member", "Node", "Unreadable", "parse", "repeated", "trivia_end"]
