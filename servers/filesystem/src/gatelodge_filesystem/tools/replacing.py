"""The tool that replaces in many files at once."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from typing import Annotated

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import PRIVATE, WRITE
from gatelodge_core.errors import CallError
from pydantic import Field

from gatelodge_filesystem.atomic import StaleError
from gatelodge_filesystem.encoding import etag
from gatelodge_filesystem.find import Query, find
from gatelodge_filesystem.occurrences import Occurrence, Pattern, occurrences, pattern, replaced
from gatelodge_filesystem.replacing import Change, replace_all
from gatelodge_filesystem.tools.reading import Path, rules_for
from gatelodge_filesystem.tools.searching import Globs
from gatelodge_filesystem.walk import Budget, below
from gatelodge_filesystem.windows import read_all
from gatelodge_filesystem.workspace import Spot, Workspace

replacing = Declarations[Workspace]()

MAX_OCCURRENCES = 10_000
MAX_FILES = 120
"""Each is held open until all are written; a usual process may have 1,024 open."""
MAX_FILE_BYTES = 10 * 1024 * 1024
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Matched:
    """A file with matches."""

    spot: Spot
    etag: str
    found: list[Occurrence]


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan found.

    Args:
        files: Those with matches.
        refused: How many may not be opened, and were not.
    """

    files: list[Matched]
    refused: int = 0

    @property
    def note(self) -> str:
        """What the answer says of those."""
        return f", {self.refused} credential files not searched" if self.refused else ""


@replacing.tool(effect=WRITE, yields=PRIVATE)
async def replace_in_files(
    workspace: Workspace,
    pattern: Annotated[str, Field(description="Text, or an expression if regex.")],
    replacement: Annotated[str, Field(description=r"Literal; with regex, \1 and \g<name> are groups.")],
    regex: bool = False,
    path: Path = "",
    globs: Globs = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    exclude: Globs = [],  # noqa: B006
    ignore_case: bool = False,
    word: Annotated[bool, Field(description="Whole words only.")] = False,
    gitignore: bool = True,
    hidden: bool = False,
    occurrences: Annotated[list[str], Field(max_length=2000, description="Ids to replace; empty for all.")] = [],  # noqa: B006
    expected_count: Annotated[int, Field(ge=0, description="Refuse if there are not so many.")] = 0,
    if_match: Annotated[str, Field(description="The plan's etag from the dry run.")] = "",
    dry_run: bool = True,
) -> str:
    """Replace text in many files, all or none. First a dry run: it lists occurrences with ids; then dry_run=false. Undoable."""
    spot = workspace.spot(path)
    wanted = _pattern(pattern, replacement, regex=regex, ignore_case=ignore_case, word=word)
    query = Query(tuple(globs), tuple(exclude), order="path", use_ignore=gitignore, hidden=hidden, limit=1_000_000)
    scanned = await workspace.read(lambda stop: _scan(workspace, spot, query, wanted, stop))
    files = scanned.files
    plan = _plan(files)
    if if_match and if_match != plan:
        raise CallError("stale_etag", "the files have changed since the dry run.", "Nothing was changed. Repeat it.")
    chosen = _chosen(files, occurrences)
    total = sum(len(file.found) for file in chosen)
    if expected_count and total != expected_count:
        raise CallError(
            "unexpected_count",
            f"there are {total} occurrences, not {expected_count}{scanned.note}.",
            "Nothing was changed. Look at the dry run.",
        )
    if dry_run:
        return _listed(spot, chosen, plan, workspace.budget - 1000, scanned.note)
    if not total:
        return f"[{spot}] nothing to replace{scanned.note}"
    if len(chosen) > MAX_FILES:
        raise CallError(
            "too_many_files",
            f"{len(chosen)} files would change; {MAX_FILES} can at once.",
            "Nothing was changed. Go folder by folder: path, globs.",
        )
    changes = [
        Change(file.spot, lambda current, file=file: replaced(current.data, file.found), file.etag) for file in chosen
    ]
    try:
        made = await workspace.change(lambda: replace_all(workspace, "replace_in_files", changes))
    except StaleError:
        raise CallError(
            "stale_etag", "a file has changed since it was looked at.", "Nothing was changed. Repeat the dry run."
        ) from None
    names = ", ".join(str(file.spot) for file in chosen[:50]) + (", ..." if len(chosen) > 50 else "")
    change = f", change={made.id}" if made else ", which changed no byte"
    return f"[{spot}] replaced {total} occurrences in {len(chosen)} files{change}{scanned.note}\n{names}"


def _pattern(text: str, replacement: str, *, regex: bool, ignore_case: bool, word: bool) -> Pattern:
    return pattern(text, replacement, expression=regex, sensitive=not ignore_case, word=word)


def _scan(workspace: Workspace, spot: Spot, query: Query, wanted: Pattern, stop: threading.Event) -> Scanned:
    """The files with matches, below a folder; or the file itself."""
    budget = Budget(stop)
    rel, above = rules_for(workspace, spot, use=query.use_ignore)
    try:
        fd = workspace.open_directory(spot)
    except CallError as error:
        if error.code != "not_a_directory":
            raise
        return _one_file(workspace, spot, wanted)
    prefix = f"{rel}/" if rel else ""
    refuses = spot.root.jail.refuses
    files: list[Matched] = []
    left = MAX_OCCURRENCES
    refused = 0
    try:
        found = find(fd, query, budget, prefix=prefix, above=above, refuses=refuses)
        for path in found.paths:
            budget.spend(0)
            # Before it is opened: a folder that may not be entered is not among them, a file of its own is.
            if refuses(prefix + path):
                refused += 1
                continue
            data = _bytes(fd, path)
            matches = occurrences(data, str(spot.child(path)), wanted, left)
            left -= len(matches)
            if matches:
                files.append(Matched(spot.child(path), etag(data), matches))
    finally:
        os.close(fd)
    return Scanned(files, refused)


def _one_file(workspace: Workspace, spot: Spot, wanted: Pattern) -> Scanned:
    fd = workspace.open_file(spot)
    try:
        data = read_all(fd, MAX_FILE_BYTES)
    finally:
        os.close(fd)
    matches = occurrences(data, str(spot), wanted, MAX_OCCURRENCES)
    return Scanned([Matched(spot, etag(data), matches)] if matches else [])


def _bytes(fd: int, path: str) -> bytes:
    """A file's bytes; none if it is too large, or not there any more."""
    try:
        with below(fd, path) as (folder, name):
            opened = os.open(name, _OPEN, dir_fd=folder)
        try:
            return read_all(opened, MAX_FILE_BYTES) if os.fstat(opened).st_size <= MAX_FILE_BYTES else b""
        finally:
            os.close(opened)
    except (OSError, CallError):
        return b""


def _plan(files: list[Matched]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update("".join(item.id + item.new.hex() for item in file.found).encode())
    return digest.hexdigest()[:16]


def _chosen(files: list[Matched], ids: list[str]) -> list[Matched]:
    if not ids:
        return files
    wanted = set(ids)
    known = {item.id for file in files for item in file.found}
    if wanted - known:
        raise CallError(
            "stale_etag",
            f"{len(wanted - known)} of the occurrences are not there any more: {', '.join(sorted(wanted - known)[:10])}.",
            "Nothing was changed. Repeat the dry run.",
        )
    kept = [Matched(file.spot, file.etag, [item for item in file.found if item.id in wanted]) for file in files]
    return [file for file in kept if file.found]


def _listed(spot: Spot, files: list[Matched], plan: str, room: int, note: str) -> str:
    total = sum(len(file.found) for file in files)
    lines: list[str] = []
    shown = 0
    for file in files:
        block = [f"\n{file.spot} ({len(file.found)}, etag={file.etag})"]
        for item in file.found:
            text = f"{item.id} line {item.line}\n- {item.before}\n+ {item.after}"
            room -= len(text) + 1
            if room < 0:
                break
            block.append(text)
            shown += 1
        lines += block
        room -= len(block[0]) + 1
        if room < 0:
            break
    cut = f", {total - shown} not shown: narrow path or globs to see them" if shown < total else ""
    head = f"[{spot}] would replace {total} occurrences in {len(files)} files, if_match={plan}{note}{cut}"
    return "\n".join([head, *lines])
