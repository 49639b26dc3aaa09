"""What the compatible tools say: errors in their own names, the tree, and a diff whose fence nothing inside it closes."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from gatelodge_core.errors import CallError

from gatelodge_filesystem.listing import Listing
from gatelodge_filesystem.names import shown
from gatelodge_filesystem.windows import Window

P = ParamSpec("P")
R = TypeVar("R")

_WORDS = (
    ("list_roots", "list_allowed_directories"),
    (", give near_line, or set replace_all.", "."),
    (", or give start_line.", "."),
    ("Set overwrite=true to replace a file.", "Choose another destination."),
    (", or read it with form=blob.", "."),
    ("Copy old from the file", "Copy oldText from the file"),
)
"""Hints that name our own tools and arguments, and what they are here."""
_EDITS = frozenset(("no_match", "ambiguous_edit", "bad_edit", "too_many_matches"))


def worded(error: CallError) -> CallError:
    """An error of ours whose text names what the reference has: nobody can act on an argument that isn't there."""
    message, hint = error.message, error.hint
    for ours, theirs in _WORDS:
        message, hint = message.replace(ours, theirs), hint.replace(ours, theirs)
    if error.code in _EDITS:
        message = re.sub(r"\b(old|new)\b", r"\1Text", message)
    return CallError(error.code, message, hint)


def in_its_words(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """A tool that fails in the words of the reference."""

    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await function(*args, **kwargs)
        except CallError as error:
            raise worded(error) from None

    return call


def anywhere(patterns: list[str]) -> tuple[str, ...]:
    """What a tree leaves out: names without a star at any depth, others from where the tree begins."""
    return tuple(pattern if "*" in pattern else f"**/{pattern}" for pattern in patterns)


def to_go_on(window: Window) -> str:
    """How to read what a window had no room for: its `tail` begins there."""
    left = window.next_line
    if left > 0 and window.total is not None:
        return f"go on with tail={window.total - left + 1}"
    return f"go on with tail={-left}" if left < 0 else "use tail or head"


def fenced(diff: str) -> str:
    """A diff in a block of Markdown."""
    longest = max((len(run) for run in re.findall("`+", diff)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}diff\n{diff}{fence}\n"


def tree_of(found: Listing) -> str:
    """A listing as a JSON tree; every folder has children, also one that is only counted."""
    top: list[dict[str, object]] = []
    inside: dict[str, list[dict[str, object]]] = {"": top}
    collapsed = {item.rel: item for item in found.collapsed}
    for item in found.items:
        folder, _, name = item.rel.rpartition("/")
        entry: dict[str, object] = {"name": shown(name), "type": "directory" if item.kind == "folder" else "file"}
        if item.kind == "folder":
            entry["children"] = inside[item.rel] = []
        if item.rel in collapsed:
            entry["collapsed"] = f"{collapsed[item.rel].entries} entries, {collapsed[item.rel].reason}"
        # Sorted by path, a folder comes before what is in it.
        inside.get(folder, top).append(entry)
    if found.cursor:
        left = found.total - len(found.items)
        top.append({"name": f"[CUT: {left} more entries; ask for a subfolder]", "type": "file"})
    return json.dumps(top, ensure_ascii=False, separators=(",", ":"))
