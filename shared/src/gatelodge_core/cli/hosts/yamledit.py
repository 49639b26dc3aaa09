"""Changing one entry of a YAML text, as Goose has it, and leaving every other line as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from gatelodge_core.cli.hosts.lines import Lines
from gatelodge_core.cli.hosts.made import Made
from gatelodge_core.cli.hosts.unreadable import Unreadable
from gatelodge_core.cli.hosts.yamlish import Member, Node, parse

_SAFE = re.compile(r"[A-Za-z/_][A-Za-z0-9/_.-]*", re.ASCII)
_SPOKEN = re.compile(r"true|false|null|yes|no|on|off|y|n", re.IGNORECASE)
"""What YAML 1.1 or 1.2 takes for something else than a text."""


def put(text: str, top: str, key: str, values: Mapping[str, Any], made: Made) -> str:
    """Set values in the entry of a server, which is made if it is missing.

    Args:
        text: The whole text.
        top: The key of all servers.
        key: The server's.
        values: Texts, lists of texts, empty tables, numbers or booleans; others that stand there stay.
        made: Gets what else had to be made.

    Raises:
        Unreadable: The text can't be understood, or what is there isn't written in lines.
    """
    root = parse(text).root
    lines = Lines(text)
    if root is not None and root.style != "mapping":
        raise Unreadable("the file isn't a table in lines", root.start + 1)
    held = root.get(top) if root is not None else None
    unit = _unit(root)
    if held is None:
        outer = " " * root.indent if root is not None else ""
        made.containers.append(top)
        here = lines.behind_last()
        lines.replace(here, here, [f"{outer}{top}:", *_entry(key, values, outer + unit, unit)])
        return lines.text()
    if held.node.style != "mapping":
        outer = " " * (root.indent if root is not None else 0)
        return _into_empty(lines, held, _entry(key, values, outer + unit, unit), made)
    entry = held.node.get(key)
    if entry is None:
        end = held.node.end
        lines.replace(end, end, _entry(key, values, held.node.indent, unit))
        return lines.text()
    return _changed(text, top, key, values, entry, unit)


def drop(text: str, top: str, key: str, made: Made) -> str:
    """Take a server's entry out, and what `put` made for it if nothing else is in that.

    Raises:
        Unreadable: The text can't be understood, or what is there isn't written in lines.
    """
    root = parse(text).root
    held = root.get(top) if root is not None else None
    entry = held.node.get(key) if held is not None else None
    if held is None or entry is None:
        return text
    lines = Lines(text)
    if len(held.node.members) > 1:
        lines.remove(entry.line, entry.node.end)
        return lines.text()
    if top in made.containers:
        made.containers.remove(top)
        lines.remove(entry.line, entry.node.end)
        lines.remove(held.line, held.line + 1)
        return lines.text()
    lines.remove(entry.line, entry.node.end)
    lines.replace(held.line, held.line + 1, [made.inner.pop(top, None) or f"{_head(lines, held)} {{}}"])
    return lines.text()


def _into_empty(lines: Lines, held: Member, entry: list[str], made: Made) -> str:
    """Put the first entry into a container that is there but empty."""
    if held.node.scalar not in (None, {}) or held.node.end != held.line + 1:
        raise Unreadable(f"{held.key} isn't written in lines; write each server below it, indented", held.line + 1)
    made.inner[held.key] = lines.bare(held.line)
    lines.replace(held.line, held.line + 1, [_head(lines, held), *entry])
    return lines.text()


def _head(lines: Lines, held: Member) -> str:
    """The line of a container's key up to its colon."""
    line = lines.bare(held.line)
    return line[: line.index(":", line.index(held.key) + len(held.key)) + 1]


def _changed(text: str, top: str, key: str, values: Mapping[str, Any], entry: Member, unit: str) -> str:
    if entry.node.style != "mapping":
        raise Unreadable(f"{key} isn't written in lines; take it out, and install again", entry.line + 1)
    lines = Lines(text)
    indent = entry.node.indent
    for name, value in values.items():
        # Each time anew, as lines may have moved.
        root = parse(lines.text()).root
        held = root.get(top) if root is not None else None
        now = held.node.get(key) if held is not None else None
        if now is None:
            raise Unreadable(f"{key} can't be changed; take it out, and install again")
        there = now.node.get(name)
        written = _member(name, value, indent, unit)
        if there is None:
            lines.replace(now.node.end, now.node.end, written)
        elif there.node.value() != value:
            lines.replace(there.line, there.node.end, written)
    return lines.text()


def _entry(key: str, values: Mapping[str, Any], indent: int | str, unit: str) -> list[str]:
    outer = indent if isinstance(indent, str) else " " * indent
    inner = len(outer) + len(unit)
    return [f"{outer}{_text(key)}:", *(line for name, value in values.items() for line in _member(name, value, inner, unit))]  # fmt: skip


def _member(name: str, value: Any, indent: int, unit: str) -> list[str]:
    head = f"{' ' * indent}{_text(name)}:"
    if isinstance(value, list) and value:
        return [head, *(f"{' ' * indent}- {_text(item)}" for item in cast("list[Any]", value))]
    if isinstance(value, dict) and value:
        inner = indent + len(unit)
        return [head, *(line for key, item in cast("dict[str, Any]", value).items() for line in _member(key, item, inner, unit))]  # fmt: skip
    return [f"{head} {_text(value)}"]


def _text(value: Any) -> str:
    """On one line: texts that could be taken for something else in double quotes, which are those of JSON."""
    if isinstance(value, str) and _SAFE.fullmatch(value) and not _SPOKEN.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _unit(root: Node | None) -> str:
    """One level of indentation."""
    for member in root.members if root is not None else ():
        if root is not None and member.node.style == "mapping" and member.node.indent > root.indent:
            return " " * (member.node.indent - root.indent)
    return "  "
