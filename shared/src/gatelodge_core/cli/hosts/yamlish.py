"""The YAML that Goose writes, read with the standard library alone, and each part's place in the text.

Mappings and sequences in blocks or in flow style, plain, quoted and block scalars, comments. Anchors, aliases, tags,
several documents and quoted text over several lines are refused rather than misread: nobody's file holds them, and a
file that can't be understood must not be changed.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from gatelodge_core.cli.hosts.unreadable import Unreadable
from gatelodge_core.cli.hosts.yamlflow import Flow, plain

DEEPEST = 100
_KEY = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'#&*!|>%@`\[\]{},?:-](?:[^:#]|:(?=\S)|(?<=\S)\#)*?|[?:-](?=\S)(?:[^:#]|:(?=\S)|(?<=\S)\#)*?)[ ]*:(?=[ ]|$)""")  # fmt: skip
_BLOCK = re.compile(r"[|>](?:([1-9])?([+-])?|([+-])([1-9]))[ ]*(?:[ ]#.*)?$")

Style = Literal["mapping", "sequence", "other"]


class Node(NamedTuple):
    """A value, and the lines it stands on.

    Args:
        style: A mapping or sequence in blocks, or something else, flow style included.
        start: Index of its first line.
        end: Index behind its last line; comments and empty lines after it don't count.
        indent: Column of its keys or dashes.
        scalar: The value, if it is neither of the two.
        members: Those of a mapping, in order, duplicates included.
        items: Those of a sequence.
    """

    style: Style
    start: int
    end: int
    indent: int
    scalar: Any = None
    members: tuple[Member, ...] = ()
    items: tuple[Node, ...] = ()

    def get(self, key: str) -> Member | None:
        """The member of a mapping with a key."""
        return next((member for member in reversed(self.members) if member.key == key), None)

    def value(self) -> Any:
        """What it means."""
        if self.style == "mapping":
            return {member.key: member.node.value() for member in self.members}
        if self.style == "sequence":
            return [item.value() for item in self.items]
        return self.scalar


class Member(NamedTuple):
    """A key of a mapping, the index of its line, and the value."""

    key: str
    line: int
    node: Node


class Document(NamedTuple):
    """A parsed text: its lines without their ends, and its value; None if there is nothing."""

    lines: list[str]
    root: Node | None

    def value(self) -> Any:
        """What it means."""
        return self.root.value() if self.root is not None else None


def parse(text: str) -> Document:
    """Read a text.

    Raises:
        Unreadable: It is anything else than what this module says; with its line.
    """
    reader = _Reader(text)
    return Document(reader.lines, reader.document())


class _Reader:
    """Reads line by line; `at` is the index of the next line that was not used."""

    def __init__(self, text: str) -> None:
        self.lines = [line.removesuffix("\r") for line in text.split("\n")]
        self.at = 0

    def document(self) -> Node | None:
        if self._next() and re.fullmatch(r"---[ ]*(?:#.*)?", self.lines[self.at]):
            self.at += 1
        if not self._next():
            return None
        node = self._node(self._indent(), -1, 0)
        if self._next():
            raise self._wrong("this doesn't belong to what stands above it; is its indentation right?")
        return node

    def _next(self) -> bool:
        """Go to the next line that says something; whether there is one."""
        while self.at < len(self.lines):
            bare = self.lines[self.at].strip(" ")
            if bare and not bare.startswith("#"):
                return True
            self.at += 1
        return False

    def _indent(self) -> int:
        line = self.lines[self.at]
        column = len(line) - len(line.lstrip(" "))
        if line[column : column + 1] == "\t":
            raise self._wrong("a tab can't indent")
        if column == 0 and (line.startswith(("%", "...")) or re.match("---(?: |$)", line)):
            raise self._wrong("only one document, without directives, is understood")
        return column

    def _wrong(self, reason: str, column: int = 0) -> Unreadable:
        return Unreadable(reason, self.at + 1, column + 1)

    def _node(self, column: int, parent: int, depth: int) -> Node:
        """The value that begins at a column of this line, inside something indented by `parent`."""
        if depth > DEEPEST:
            raise self._wrong(f"nested deeper than {DEEPEST} levels")
        rest = self.lines[self.at][column:]
        if rest == "-" or rest.startswith("- "):
            return self._sequence(column, depth)
        if rest.startswith("? "):
            raise self._wrong("keys with a question mark aren't understood", column)
        if _KEY.match(rest):
            return self._mapping(column, depth)
        return self._inline(column, parent)

    def _mapping(self, column: int, depth: int) -> Node:
        start, members = self.at, list[Member]()
        end, here = self.at, column
        while True:
            found = _KEY.match(self.lines[self.at], here)
            if found is None:
                raise self._wrong("a key with a colon is missing", here)
            key, line = self._key(found.group()), self.at
            node = self._value(found.end(), column, depth)
            members.append(Member(key, line, node))
            end = node.end
            if not self._next() or self._indent() < column:
                break
            if self._indent() > column:
                raise self._wrong("this is indented deeper than its neighbours")
            here = column
        return Node("mapping", start, end, column, members=tuple(members))

    def _key(self, text: str) -> str:
        bare = text[:-1].rstrip(" ")
        if bare[0] in "\"'":
            flow = Flow(bare, self.at)
            return str(flow.quoted())
        if bare == "<<":
            raise self._wrong("merge keys aren't understood")
        return bare

    def _sequence(self, column: int, depth: int) -> Node:
        start, items, end = self.at, list[Node](), self.at
        while True:
            node = self._value(column + 1, column, depth)
            items.append(node)
            end = node.end
            if not self._next() or self._indent() < column:
                break
            line = self.lines[self.at]
            if self._indent() > column:
                raise self._wrong("this is indented deeper than its neighbours")
            if not (line[column:] == "-" or line[column:].startswith("- ")):
                break  # the next key of a mapping whose sequence isn't indented
        return Node("sequence", start, end, column, items=tuple(items))

    def _value(self, column: int, parent: int, depth: int) -> Node:
        """What stands behind a colon or dash, on its line or below."""
        line = self.lines[self.at]
        rest = line[column:].lstrip(" ")
        here = len(line) - len(rest)
        dash = line[parent : parent + 1] == "-" and column == parent + 1
        if rest and not rest.startswith("#"):
            if dash:
                return self._node(here, parent, depth + 1)
            return self._inline(here, parent)
        empty = Node("other", self.at, self.at + 1, parent)
        self.at += 1
        if not self._next():
            return empty
        indent, below = self._indent(), self.lines[self.at].lstrip(" ")
        same = indent == parent and not dash and (below == "-" or below.startswith("- "))
        return self._node(indent, parent, depth + 1) if indent > parent or same else empty

    def _inline(self, column: int, parent: int) -> Node:
        """A scalar or something in flow style, from a column of this line on."""
        start, rest = self.at, self.lines[self.at][column:]
        if rest[0] in "&*!":
            raise self._wrong("anchors, aliases and tags aren't understood", column)
        if rest[0] in "%@`" or rest[:2] in ("- ", "? ", "-", "?"):
            raise self._wrong("a plain text can't begin like this", column)
        if rest[0] in "|>":
            return self._block(column, parent)
        if rest[0] in "[{\"'":
            flow = Flow("\n".join([rest, *self.lines[self.at + 1 :]]), self.at)
            value = flow.value()
            self.at += flow.close()
            return Node("other", start, self.at, column, scalar=value)
        words = [self._words(rest, column)]
        ended = words[0] != rest.rstrip(" ")
        self.at += 1
        while self.at < len(self.lines) and self.lines[self.at].strip(" ") and not ended:
            line = self.lines[self.at]
            if self._indent() <= parent or line.lstrip(" ").startswith("#"):
                break
            if _KEY.match(line.lstrip(" ")):
                raise self._wrong("a key can't stand inside a text; is its indentation right?")
            words.append(self._words(line.lstrip(" "), 0))
            ended = words[-1] != line.strip(" ")
            self.at += 1
        value = plain(words[0]) if len(words) == 1 else " ".join(words)
        return Node("other", start, self.at, column, scalar=value)

    def _words(self, text: str, column: int) -> str:
        """A line of plain text, without its comment."""
        bare = re.split(r"[ \t]+#", text, maxsplit=1)[0].rstrip(" \t")
        if ": " in bare or bare.endswith(":"):
            raise self._wrong("a second colon; put the text in quotes", column)
        return bare

    def _block(self, column: int, parent: int) -> Node:
        found = _BLOCK.match(self.lines[self.at], column)
        if found is None:
            raise self._wrong("what stands behind | or > isn't understood", column)
        start, literal = self.at, self.lines[self.at][column] == "|"
        given, keep = found[1] or found[4], found[2] or found[3]
        self.at += 1
        lines: list[str] = []
        indent = max(parent, 0) + int(given) if given else -1
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.strip(" "):
                own = len(line) - len(line.lstrip(" "))
                indent = own if indent < 0 else indent
                if own < indent or own <= parent:
                    break
            lines.append(line[indent:] if indent >= 0 else "")
            self.at += 1
        blank = 0
        while lines and not lines[-1]:
            lines.pop()
            blank += 1
        end = self.at - blank
        # The text that ends a file with a newline has one empty piece more than lines.
        blank -= self.at == len(self.lines) and blank > 0
        if not literal and any(not line or line[0] == " " for line in lines):
            raise Unreadable("folded text with paragraphs isn't understood; write | instead of >", start + 1)
        text = ("\n" if literal else " ").join(lines)
        text += "" if keep == "-" or not lines else "\n" * (1 + blank) if keep == "+" else "\n"
        return Node("other", start, end, column, scalar=text)
