"""What policies and people are told of a call: the paths it acts on, and what it would do."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from gatelodge_core.errors import CallError, JailError
from gatelodge_core.guard.admission import plain_effect
from gatelodge_core.guard.call import Call, Subject

from gatelodge_filesystem.names import shown
from gatelodge_filesystem.patches import parse
from gatelodge_filesystem.subscribed import BY_NAME, BY_PATH, INDEX, path_of
from gatelodge_filesystem.tools import compat_previews
from gatelodge_filesystem.tools.moving import copy_path, delete_path, move_path
from gatelodge_filesystem.tools.replacing import replace_in_files
from gatelodge_filesystem.tools.undoing import undo_change
from gatelodge_filesystem.tools.writing import edit_file, write_file
from gatelodge_filesystem.workspace import Spot, Workspace

_TREES = {
    "list_directory", "find_files", "search_text", "replace_in_files", "move_path", "copy_path", "delete_path",
    "create_archive", "extract_archive", "list_changes", "undo_change", "wait_for_changes", "directory_tree", "search_files", "move_file",
}  # fmt: skip
Preview = Callable[..., Awaitable[str]]
_PREVIEWS: dict[str, Preview] = {
    "edit_file": edit_file,
    "write_file": write_file,
    "replace_in_files": replace_in_files,
    "move_path": move_path,
    "copy_path": copy_path,
    "delete_path": delete_path,
    "undo_change": undo_change,
}
_COMPAT_PREVIEWS: dict[str, Preview] = {
    "edit_file": compat_previews.preview_edit,
    "write_file": compat_previews.preview_write,
    "move_file": compat_previews.preview_move,
}
"""Some of the reference's tools have names of ours, and other arguments."""
_THEMSELVES = {"move_path", "copy_path", "delete_path"}
"""Tools that act on a link, not on what it leads to."""
_JOURNAL = "fs-journal://"


async def subjects(workspace: Workspace, call: Call) -> list[Subject]:
    """The paths a call acts on, as root/rest with every link resolved: a rule must hold by whatever name."""
    tree = call.name in _TREES or call.kind in ("completion", "prompt")
    follow = call.name not in _THEMSELVES
    return await workspace.read(
        lambda _: [_subject(workspace, path, tree=tree, follow=follow) for path in _paths(workspace, call)]
    )


def _paths(workspace: Workspace, call: Call) -> list[str]:
    if call.name == "undo_change" and call.kind == "tool":
        change = str(call.arguments.get("change", ""))
        return _changed(workspace, change, since=call.arguments.get("since") is True)
    if call.name == "apply_patch" and call.kind == "tool":
        return _patched(workspace, call)
    if call.kind == "resource" and call.name.startswith(_JOURNAL):
        return _changed(workspace, call.name.removeprefix(_JOURNAL), since=False)
    if call.kind == "resource":
        return [] if call.name == INDEX else [path_of(call.name)]
    if call.kind == "completion":
        return [_completed(workspace, call)]
    if "source" in call.arguments or "destination" in call.arguments:
        return [str(call.arguments.get(key, "")) for key in ("source", "destination")]
    given: list[object] = [call.arguments.get("path", "")]
    if call.name == "diff_files":
        given = [call.arguments.get("old", ""), call.arguments.get("new", "")]
    if call.name == "move_file":
        given = [call.arguments.get("source", ""), call.arguments.get("destination", "")]
    if call.name in ("extract_archive", "create_archive"):
        given = [call.arguments.get("path", ""), call.arguments.get("folder", "")]
    several: object = call.arguments.get("paths")
    if isinstance(several, list):
        given = cast("list[object]", several)
    return [str(item) for item in given]


def _completed(workspace: Workspace, call: Call) -> str:
    """The folder that a completion looks into: as the completers of `resources` find it."""
    argument, context = _table(call.arguments.get("argument")), _table(call.arguments.get("context"))
    folder = str(argument.get("value") or "").rpartition("/")[0]
    if call.name == BY_PATH:
        return f"/{folder}"
    if call.name == BY_NAME and argument.get("name") != "root":
        root = str(_table(context.get("arguments")).get("root") or "") or (
            workspace.roots[0].name if workspace.roots else ""
        )
        return f"{root}/{folder}"
    return folder


def _table(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _patched(workspace: Workspace, call: Call) -> list[str]:
    """The files of a patch, by the places that the tool makes of their names: joined as texts they could mean others."""
    folder = str(call.arguments.get("path", ""))
    try:
        files = [file.path for file in parse(str(call.arguments.get("patch", "")))]
        return [str(workspace.spot(folder).child(path)) if folder else path for path in files]
    except CallError:
        return [""]  # it will fail in the tool


def _changed(workspace: Workspace, change: str, *, since: bool) -> list[str]:
    """Every path of a change, and of those after it."""
    everything = workspace.journal.listing()
    found = [item for item in everything if item.id == change or (since and item.id > change)]
    # An unknown change will fail in the tool; until then it could be any.
    paths = [shown(os.path.join(where.base, where.rel)) for item in found for where in item.paths]
    return paths or [""]


def _subject(workspace: Workspace, path: str, *, tree: bool, follow: bool) -> Subject:
    try:
        spot = workspace.spot(path)
    except CallError:
        # It will fail in the tool; until then it is whatever the caller wrote.
        return Subject(path, tree)
    jail = spot.root.jail
    head, _, name = spot.rel.rpartition("/")
    try:
        rel = jail.canonical(spot.rel, follow=follow)
    except JailError:
        try:
            folder = jail.canonical(head)
        except JailError:
            return Subject(str(spot), tree)
        rel = f"{folder}/{name}" if folder else name
    return Subject(shown(str(Spot(spot.root, rel))), tree)


async def effect(workspace: Workspace, call: Call, *, reference: bool = False) -> str:
    """What a change would do: its diff, made as by ``dry_run``; for anything else its arguments.

    Args:
        workspace: Where.
        call: The call.
        reference: Whether the tools are those of the reference server.

    Raises:
        CallError: It would be refused.
    """
    preview = (_COMPAT_PREVIEWS if reference else _PREVIEWS).get(call.name) if call.kind == "tool" else None
    if preview is None:
        return await plain_effect(call)
    shown_call = json.dumps({key: value for key, value in call.arguments.items() if key not in ("content", "edits")})
    if reference:
        return f"{call.name} {shown_call}\n\n{await preview(workspace, **call.arguments)}"
    arguments: dict[str, Any] = {**call.arguments, "dry_run": True}
    text = await preview(workspace, **arguments)
    # A new file has no diff: what it would hold is the effect.
    content = str(call.arguments.get("content", "")) if call.arguments.get("mode", "create") == "create" else ""
    return f"{call.name} {shown_call}\n\n{text}\n{content}"
