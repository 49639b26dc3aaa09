"""Changing one table of a TOML text, as Codex has it, and leaving every other line as it is.

Only tables with headers of their own are changed, such as ``[mcp_servers.NAME]``; what is written in another way is
refused with what to do.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from gatelodge_core.cli.hosts.lines import Lines
from gatelodge_core.cli.hosts.made import Made
from gatelodge_core.cli.hosts.unreadable import Unreadable

DEEPEST = 100
_DEEP = f"nested deeper than {DEEPEST} levels"
_NAN = float("nan")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"\s*\[")


@dataclass(frozen=True, slots=True)
class _Statement:
    """A header or a ``key = value``, and its lines."""

    header: bool
    path: tuple[str, ...]
    start: int
    end: int


def put(text: str, top: str, key: str, values: Mapping[str, Any], made: Made) -> str:
    """Set values in the table of a server, which is made at the end if it is missing.

    Args:
        text: The whole text.
        top: The table of all servers.
        key: The server's.
        values: Texts, lists of texts, numbers or booleans; others that stand there stay.
        made: Gets whether an empty line was put before it.

    Raises:
        Unreadable: It is no TOML, or the server is written in another way than with a header.
    """
    held = loaded(text).get(top, {})
    lines = Lines(text)
    if not isinstance(held, dict) or key not in held:
        _append(lines, top, key, values, made)
        if _tried(lines.text()) is None:
            raise Unreadable(
                f"{top} is written in braces, to which nothing can be added; write each server in it as a table with a "
                f"header, [{top}.NAME]"
            )
        return lines.text()
    server = cast("dict[str, Any]", held)[key]
    own = _table(lines, (top, key))
    if own is None:
        raise Unreadable(f"the server {key} isn't a table with the header [{top}.{key}]; write it so, or take it out")
    for name, value in values.items():
        if isinstance(server, dict) and cast("dict[str, Any]", server).get(name) == value:
            continue
        # Each time anew, as lines may have moved.
        found = _table(lines, (top, key)) or own
        there = next((item for item in found[1:] if item.path == (name,)), None)
        written = f"{_key(name)} = {_value(value)}"
        if there is None:
            end = max(item.end for item in found)
            lines.replace(end, end, [written])
        else:
            lines.replace(there.start, there.end, [written + _comment(lines, there)])
    return lines.text()


def drop(text: str, top: str, key: str, made: Made) -> str:
    """Take a server's tables out, and the empty line that `put` put before them.

    Raises:
        Unreadable: It is no TOML, or the server is written in another way.
    """
    held = loaded(text).get(top, {})
    if not isinstance(held, dict) or key not in held:
        return text
    lines = Lines(text)
    blocks = list(_blocks(lines, (top, key)))
    if not blocks:
        raise Unreadable(f"the server {key} isn't a table with the header [{top}.{key}]; take it out by hand")
    for start, end in reversed(blocks):
        gap = key in made.gaps and start == blocks[0][0] and lines.blank(start - 1) and start > 0
        lines.remove(start - 1 if gap else start, end)
    if key in made.gaps:
        made.gaps.remove(key)
    return lines.text()


def _append(lines: Lines, top: str, key: str, values: Mapping[str, Any], made: Made) -> None:
    here = lines.behind_last()
    gap = not lines.blank(here - 1)
    if gap:
        made.gaps.append(key)
    block = [f"[{_key(top)}.{_key(key)}]", *(f"{_key(name)} = {_value(value)}" for name, value in values.items())]
    lines.replace(here, here, [*([""] if gap else []), *block])


def loaded(text: str) -> dict[str, Any]:
    """A text as a table.

    Raises:
        Unreadable: It can't be read; with its line, if that is known.
    """
    try:
        table = tomllib.loads(text, parse_float=_float)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"at line (\d+), column (\d+)", str(error))
        line, column = (int(where[1]), int(where[2])) if where else (text.count("\n") + 1, 0)
        # Python's reason may quote what it found.
        raise Unreadable("this is no TOML", line, column) from None
    except ValueError:
        raise Unreadable("a number is too long") from None
    except RecursionError:
        raise Unreadable(_DEEP) from None
    _measure(table)
    return table


def _float(text: str) -> float:
    """A number; of those that equal nothing always the same one, so that texts can be compared."""
    value = float(text)
    return _NAN if math.isnan(value) else value


def _measure(table: dict[str, Any]) -> None:
    """See that nothing is nested so deep that it couldn't be worked on.

    Raises:
        Unreadable: Something is.
    """
    level: list[object] = [table]
    for _ in range(DEEPEST):
        level = [item for outer in level for item in _inside(outer)]
        if not level:
            return
    raise Unreadable(_DEEP)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()


def _statements(lines: Lines) -> Iterator[_Statement]:
    """All statements of a text that is known to be TOML."""
    index = 0
    while index < len(lines.all):
        line = lines.bare(index)
        if not line.strip() or line.lstrip().startswith("#"):
            index += 1
            continue
        end = index + 1
        # The shortest that can be read alone: a value may go over several lines.
        while (table := _tried("\n".join(map(lines.bare, range(index, end))))) is None:
            end += 1
            if end > len(lines.all):
                return
        yield _Statement(_HEADER.match(line) is not None, _path(table), index, end)
        index = end


def _tried(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _path(table: object) -> tuple[str, ...]:
    """The keys down to the only value of a statement."""
    path: list[str] = []
    while isinstance(table, dict) and len(cast("dict[str, Any]", table)) == 1:
        ((key, table),) = cast("dict[str, object]", table).items()
        path.append(key)
        if isinstance(table, list) and table == [{}]:  # [[header]]
            break
    return tuple(path)


def _table(lines: Lines, path: tuple[str, ...]) -> list[_Statement] | None:
    """A table's header and the statements under it; their paths are the keys of a plain ``key = value``."""
    found: list[_Statement] | None = None
    for statement in _statements(lines):
        if statement.header:
            if found is not None:
                break
            if statement.path == path:
                found = [statement]
        elif found is not None:
            found.append(_named(lines, statement))
    return found


def _named(lines: Lines, statement: _Statement) -> _Statement:
    """With the first key alone if there are no dots in it."""
    found = re.match(r"\s*(?:([\w-]+)|\"([^\"\\]*)\"|'([^']*)')\s*=", lines.bare(statement.start), re.ASCII)
    path = (next(name for name in found.groups() if name is not None),) if found else statement.path
    return _Statement(header=False, path=path, start=statement.start, end=statement.end)


def _blocks(lines: Lines, path: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """The lines of a table and of those below it."""
    start = end = -1
    for statement in _statements(lines):
        if statement.header:
            if start >= 0:
                yield start, end
            start = statement.start if statement.path[: len(path)] == path else -1
        end = statement.end
    if start >= 0:
        yield start, end


def _comment(lines: Lines, statement: _Statement) -> str:
    """The comment behind a statement, with the space before it."""
    line = lines.bare(statement.end - 1)
    before = [lines.bare(index) for index in range(statement.start, statement.end - 1)]
    for found in re.finditer("#", line):
        if _tried("\n".join([*before, line[: found.start()]])):
            bare = line[: found.start()].rstrip()
            return line[len(bare) :]
    return ""


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in cast('list[Any]', value))}]"
    # Texts in quotes are alike in JSON and TOML, but for the one character that JSON leaves alone.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
