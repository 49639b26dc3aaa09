"""Changing one member of a JSON text, and leaving every other character as it is.

New members are written the way the text around them is: on one line or several, with its indentation and line ends,
with a trailing comma where it has one, behind the comment of the line before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from gatelodge_core.cli.hosts.jsonc import Node, parse, trivia_end
from gatelodge_core.cli.hosts.made import Made
from gatelodge_core.cli.hosts.unreadable import Unreadable

_TAIL = re.compile(r"[ \t]*(?://[^\r\n]*|/\*[^\r\n]*?\*/)")
_COMMENT_LAST = re.compile(r"(?:[ \t\r\n]|//[^\r\n]*|/\*(?s:.*?)\*/)*//[^\r\n]*")
_LINE_ENDS = re.compile(r"[ \t]*(?:\r?\n|$)")
Splice = tuple[int, int, str]


def put(text: str, path: Sequence[str], value: Any, made: Made) -> str:
    """Set the member at a path of keys, with the objects that lead there if they are missing.

    Args:
        text: The whole text.
        path: Keys from the outermost object on.
        value: What it shall mean.
        made: Gets what else had to be made.

    Raises:
        Unreadable: The text can't be understood, or what leads there is no object.
    """
    document = parse(text)
    if document.root is None:
        made.blank = text
        made.containers += [_name(path[:length]) for length in range(1, len(path))]
        return text + _glue(text) + _dump(_nested(path, value), "", "  ", _newline(text)) + _newline(text)
    node, depth = document.root, 0
    while True:
        if node.kind != "object":
            raise Unreadable(f"{_name(path[:depth])} is no object", text.count("\n", 0, node.start) + 1)
        member = node.get(path[depth])
        if member is None:
            break
        node, depth = member.node, depth + 1
        if depth == len(path):
            if node.value() == value and type(node.value()) is type(value):
                return text
            return _spliced(text, [(node.start, node.end, _written(text, document.root, node, value))])
    made.containers += [_name(path[:length]) for length in range(depth + 1, len(path))]
    return _insert(text, document.root, node, path[depth], _nested(path[depth + 1 :], value), made, _name(path[:depth]))


def append(text: str, path: Sequence[str], item: Any, made: Made) -> str:
    """Add an item to the array at a path, made if it is missing.

    Raises:
        Unreadable: The text can't be understood, or there is something else.
    """
    root = parse(text).root
    node = _at(root, path) if root is not None else None
    if root is None or node is None:
        made.containers.append(_name(path))
        return put(text, path, [item], made)
    if node.kind != "array":
        raise Unreadable(f"{_name(path)} is no list", text.count("\n", 0, node.start) + 1)
    if not node.items:
        made.inner[_name(path)] = text[node.start + 1 : node.end - 1]
        return _spliced(text, [(node.start, node.end, _written(text, root, node, [item]))])
    inline = "\n" not in text[node.start : node.items[0].start]
    return _spliced(text, _behind(text, root, node, node.items[-1], _Part(None, item), inline=inline))


def drop(text: str, path: Sequence[str], made: Made) -> str:
    """Take the member at a path out, and what `put` made for it, if nothing else is in that.

    Raises:
        Unreadable: The text can't be understood.
    """
    root = parse(text).root
    parent = _at(root, path[:-1]) if root is not None else None
    if root is None or parent is None or parent.kind != "object" or parent.get(path[-1]) is None:
        return text
    for index in reversed(range(len(parent.members))):
        if parent.members[index].key == path[-1]:
            return _cleared(_without(text, parent, index), path[:-1], made)
    return text


def drop_item(text: str, path: Sequence[str], index: int, made: Made) -> str:
    """Take an item out of the array at a path, and what `append` made for it.

    Raises:
        Unreadable: The text can't be understood.
    """
    root = parse(text).root
    node = _at(root, path) if root is not None else None
    if node is None or node.kind != "array" or index >= len(node.items):
        return text
    return _cleared(_without(text, node, index), path, made)


class _Part:
    """A member, or an item if it has no key, that is yet to be written."""

    __slots__ = ("key", "value")

    def __init__(self, key: str | None, value: Any) -> None:
        self.key, self.value = key, value

    def lines(self, indent: str, unit: str, newline: str) -> str:
        return self._key(": ") + _dump(self.value, indent, unit, newline)

    def inline(self, gap: str) -> str:
        return self._key(f":{gap}") + json.dumps(self.value, ensure_ascii=False, separators=(f",{gap}", f":{gap}"))

    def _key(self, colon: str) -> str:
        return "" if self.key is None else json.dumps(self.key, ensure_ascii=False) + colon


def _insert(text: str, root: Node, node: Node, key: str, value: Any, made: Made, name: str) -> str:
    part = _Part(key, value)
    if node.members:
        inline = "\n" not in text[node.start : node.members[0].start]
        return _spliced(text, _behind(text, root, node, node.members[-1].node, part, inline=inline))
    inner = text[node.start + 1 : node.end - 1]
    made.inner[name] = inner
    if node is not root and _on_one_line(text, root):
        return _spliced(text, [(node.start + 1 + len(inner.rstrip()), node.end - 1, part.inline(_gap(text, root)))])
    newline, unit = _newline(text), _unit(text, root)
    outer = _indent(text, node.start)
    member = f"{newline}{outer}{unit}{part.lines(outer + unit, unit, newline)}{newline}{outer}"
    return _spliced(text, [(node.start + 1 + len(inner.rstrip()), node.end - 1, member)])


def _behind(text: str, root: Node, node: Node, last: Node, part: _Part, *, inline: bool) -> list[Splice]:
    """Write a part behind the last one of an object or array."""
    comma = node.comma >= 0
    splices: list[Splice] = [] if comma else [(last.end, last.end, ",")]
    here = node.comma + 1 if comma else last.end
    closing = "," if comma else ""
    if inline:
        gap = _gap(text, root)
        return [*splices, (here, here, f"{gap}{part.inline(gap)}{closing}")]
    # The comment at the end of a line belongs to it.
    found = _TAIL.match(text, here)
    here = found.end() if found else here
    newline, indent = _newline(text), _indent(text, (node.members[-1].start if node.members else last.start))
    return [*splices, (here, here, f"{newline}{indent}{part.lines(indent, _unit(text, root), newline)}{closing}")]


def _without(text: str, node: Node, index: int) -> str:
    """An object's or array's text without one of its parts."""
    starts = [member.start for member in node.members] or [item.start for item in node.items]
    ends = [member.node.end for member in node.members] or [item.end for item in node.items]
    last = index == len(starts) - 1
    comma = node.comma if last else trivia_end(text, ends[index])
    splices: list[Splice] = []
    if last and comma < 0 and index:
        before = trivia_end(text, ends[index - 1])
        splices.append((before, before + 1, ""))
    end = comma + 1 if comma >= 0 else ends[index]
    start = len(text[: starts[index]].rstrip(" \t\r\n"))
    behind = trivia_end(text, ends[index - 1]) + 1 if index else node.start + 1
    if not _LINE_ENDS.match(text, end) and _COMMENT_LAST.fullmatch(text, behind, start):
        # Something follows on this line, which must not come to stand in the comment of the line before.
        start = starts[index]
    if start == starts[index] or (not index and "\n" not in text[start:end]):
        end += len(text[end:]) - len(text[end:].lstrip(" \t")) if not last else 0
    # A comment on several lines can't lie between: it would be text before the part.
    return _spliced(text, [*splices, (start, end, "")])


def _cleared(text: str, path: Sequence[str], made: Made) -> str:
    """A text in which a container may have become empty: it goes too, or becomes what it was."""
    root = parse(text).root
    node = _at(root, path) if root is not None else None
    if root is None or node is None or node.members or node.items:
        return text
    name, inner = _name(path), text[node.start + 1 : node.end - 1]
    if path and name in made.containers and not inner.strip():
        made.containers.remove(name)
        return drop(text, path, made)
    if not path and made.blank is not None:
        before, glue = made.blank, _glue(made.blank)
        if text[: node.start] == before + glue and not inner.strip() and not text[node.end :].strip():
            made.blank = None
            return before
    was = made.inner.pop(name, None)
    if was is None and not inner.strip():
        was = ""
    if was is not None and was.strip() == inner.strip():
        return _spliced(text, [(node.start + 1, node.end - 1, was)])
    return text


def _at(node: Node, path: Sequence[str]) -> Node | None:
    for key in path:
        member = node.get(key) if node.kind == "object" else None
        if member is None:
            return None
        node = member.node
    return node


def _spliced(text: str, splices: list[Splice]) -> str:
    # From the end on, so that offsets hold; at the same place, the later one stands behind.
    in_order = sorted(splices, key=lambda splice: splice[:2])
    for start, end, new in in_order[::-1]:
        text = text[:start] + new + text[end:]
    return text


def _written(text: str, root: Node, node: Node, value: Any) -> str:
    """A value in place of another one."""
    one_line = "\n" not in text[node.start : node.end]
    if one_line and (_on_one_line(text, root) or (node.items and isinstance(value, list))):
        return _Part(None, value).inline(_gap(text, root))
    return _dump(value, _indent(text, node.start), _unit(text, root), _newline(text))


def _dump(value: Any, indent: str, unit: str, newline: str) -> str:
    # Strings hold no line ends once they are encoded.
    return json.dumps(value, ensure_ascii=False, indent=unit).replace("\n", newline + indent)


def _nested(path: Sequence[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _name(path: Sequence[str]) -> str:
    return ".".join(path)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _glue(text: str) -> str:
    return _newline(text) if text.strip(" \t") and not text.endswith("\n") else ""


def _indent(text: str, offset: int) -> str:
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str, root: Node) -> str:
    """One level of indentation."""
    own = _indent(text, root.members[0].start) if root.members else ""
    return own.removeprefix(_indent(text, root.start)) or "  "


def _on_one_line(text: str, root: Node) -> bool:
    return bool(root.members) and "\n" not in text[root.start : root.end]


def _gap(text: str, root: Node) -> str:
    """What stands behind colons and commas on a line."""
    first = root.members[0] if root.members else None
    return "" if first is not None and text[first.node.start - 1] == ":" else " "
