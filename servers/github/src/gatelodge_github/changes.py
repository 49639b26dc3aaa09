"""The files of a commit: checked before anything is sent, then held to the tree that they go on top of.

A path may be none that git or a file system takes for another (git's own verify_path and core.protectHFS/NTFS), and what
it would replace must be a file: a folder, a link or a submodule is never lost by a slip.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import anyio
from gatelodge_core.errors import CallError
from pydantic import BaseModel, ConfigDict

from gatelodge_github.data import rows, table, text
from gatelodge_github.names import repo_path
from gatelodge_github.transport.api import Api

MOST_BYTES = 10 * 1024 * 1024
MOST_PATH = 4096
_UNSEEN = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
"""What HFS+ leaves out of names."""
_GIT = re.compile(r"\.git|git~\d+", re.IGNORECASE)
_LINK, _SUBMODULE = "120000", "160000"


class FileChange(BaseModel):
    """A file to write or delete, as the caller names it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str
    content: str = ""
    encoding: Literal["utf-8", "base64"] = "utf-8"
    delete: bool = False
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A checked change.

    Args:
        path: In the repository.
        data: The new content; None deletes the file.
        executable: Whether the file is made executable; one that is stays so.
    """

    path: str
    data: bytes | None
    executable: bool

    @property
    def inline(self) -> str | None:
        """The content as text, if it can go along in the tree; None if it needs a blob."""
        try:
            shown = (self.data or b"").decode("utf-8")
        except UnicodeDecodeError:
            return None
        return None if "\0" in shown else shown


def checked(files: Sequence[FileChange]) -> list[Change]:
    """The changes.

    Raises:
        CallError: `bad_path`, `bad_content` or `too_large`; nothing was sent.
    """
    made = [_change(file) for file in files]
    size = sum(len(change.data or b"") for change in made)
    if size > MOST_BYTES:
        raise CallError("too_large", f"{size} bytes are more than {MOST_BYTES}.", "Split them into several commits.")
    seen: set[str] = set()
    for change in made:
        if change.path in seen:
            raise CallError("bad_path", f"{change.path[:200]} stands twice in files.", "Give each path once.")
        seen.add(change.path)
    written = [change.path for change in made if change.data is not None]
    folded: dict[str, str] = {}
    for path in written:
        twin = folded.setdefault(path.casefold(), path)
        if twin != path:
            raise CallError("bad_path", f"{twin[:200]} and {path[:200]} differ in letter case alone.")
    for path in seen:
        if folder := next((folder for folder in _folders(path) if folder in seen), ""):
            hint = "Make the one a commit of its own."
            raise CallError("bad_path", f"{folder[:200]} can't be a file and the folder of another.", hint)
    return made


def _change(file: FileChange) -> Change:
    path = _path(file.path)
    if file.delete:
        if file.content or file.executable:
            raise CallError("bad_content", f"{path[:200]} is to be deleted, and has content.", "Leave out one of them.")
        return Change(path, None, executable=False)
    try:
        if file.encoding == "base64":
            data = base64.b64decode("".join(file.content.split()), validate=True)
        else:
            data = file.content.encode("utf-8")
    except (binascii.Error, ValueError):
        what = "no base64" if file.encoding == "base64" else "no text that UTF-8 can write"
        raise CallError("bad_content", f"the content of {path[:200]} is {what}.") from None
    return Change(path, data, file.executable)


def _path(path: str) -> str:
    """The path, if it is one.

    Raises:
        CallError: `bad_path`.
    """
    parts = path.split("/")
    if len(path.encode("utf-8", "replace")) > MOST_PATH or any(part in ("", ".", "..") for part in parts):
        raise CallError("bad_path", "a path is none inside a repository.", "Write it like src/main.py.")
    if "\\" in path or any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) <= 0xDFFF for char in path):
        raise CallError("bad_path", "a path has a backslash or a control character.", "Write it like src/main.py.")
    for part in parts:
        if _GIT.fullmatch(_UNSEEN.sub("", part).partition(":")[0].rstrip(" .")):
            raise CallError("bad_path", "a path leads into git's own folder.", "Leave it out.")
    return path


def _folders(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


Entries = Mapping[str, Mapping[str, Any]]
"""What is in a folder, by name."""


async def folders(api: Api, repo: str, root: str, paths: Sequence[str]) -> dict[str, Entries]:
    """The folders of a tree that some paths lead through, as far as they are there; the root is ``""``.

    Only those are read: a whole tree can have 100,000 entries. Each level is read side by side.

    Raises:
        CallError: As `Api.get`.
    """
    wanted = {folder for path in paths for folder in _folders(path)}
    found: dict[str, Entries] = {}
    failed: list[CallError] = []

    async def read(folder: str, sha: str) -> None:
        try:
            data: object = await api.data(f"{repo_path(repo)}/git/trees/{sha}")
            found[folder] = {text(entry.get("path")): entry for entry in rows(table(data).get("tree"))}
        except CallError as error:
            failed.append(error)

    level = {"": root}
    while level:
        async with anyio.create_task_group() as group:
            for folder, sha in level.items():
                group.start_soon(read, folder, sha)
        if failed:
            raise failed[0]
        entries = {folder: _entry(found, folder) for folder in wanted - found.keys()}
        level = {folder: text(entry.get("sha")) for folder, entry in entries.items() if entry.get("type") == "tree"}
    return found


def _entry(found: Mapping[str, Entries], path: str) -> Mapping[str, Any]:
    folder, _, name = path.rpartition("/")
    return found.get(folder, {}).get(name, {})


def mode(change: Change, found: Mapping[str, Entries], deleted: frozenset[str]) -> str:
    """The mode of a file in the new tree.

    Args:
        change: What is to be done.
        found: The folders before it.
        deleted: The paths that the same commit deletes.

    Raises:
        CallError: It would replace what is no file, delete what isn't there, or make a twin in other letter case.
    """
    path = change.path
    for folder in _folders(path):
        kind = _entry(found, folder).get("type")
        if kind not in (None, "tree"):
            raise CallError("bad_path", f"{folder[:200]} is a file, no folder; nothing was done.")
        _refuse_twin(folder, found, frozenset(), exists=kind is not None)
    entry = _entry(found, path)
    if change.data is None and not entry:
        raise CallError("not_found", f"{path[:200]} is not in the branch; nothing was done.", "Leave it out of files.")
    if entry.get("type") == "tree":
        raise CallError("bad_path", f"{path[:200]} is a folder; nothing was done.", "Name the files in it.")
    if change.data is None:
        return text(entry.get("mode")) or "100644"
    if entry.get("mode") in (_LINK, _SUBMODULE):
        what = "a symbolic link" if entry.get("mode") == _LINK else "a submodule"
        raise CallError("bad_path", f"{path[:200]} is {what}; nothing was done.", "Delete it in a commit of its own.")
    _refuse_twin(path, found, deleted, exists=bool(entry))
    return "100755" if change.executable or entry.get("mode") == "100755" else "100644"


def _refuse_twin(path: str, found: Mapping[str, Entries], deleted: frozenset[str], *, exists: bool) -> None:
    folder, _, name = path.rpartition("/")
    if exists:
        return
    for other in found.get(folder, {}):
        there = f"{folder}/{other}" if folder else other
        if other.casefold() == name.casefold() and there not in deleted:
            raise CallError(
                "bad_path", f"{there[:200]} is there already, in other letter case; nothing was done.", "Use that name."
            )
