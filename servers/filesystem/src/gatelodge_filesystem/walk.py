"""Walking a tree by descriptors: no link is followed, and nothing can be swapped under the walk.

Each folder is opened by its name in the folder above it with O_NOFOLLOW, so a rename or a link put in its place in
between leads nowhere else. Work is bounded by entries, depth, time and a stop signal.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.credentials import Check

from gatelodge_filesystem.ignore import LEFT_OUT, Rules, rules_of

MAX_DEPTH = 100
MAX_ENTRIES = 2_000_000
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Budget:
    """What a walk may spend.

    Args:
        stop: Set when nobody waits any more.
        seconds: The longest it may take.
        entries: The most entries it may see.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    seconds: float = 45.0
    entries: int = MAX_ENTRIES

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.seconds

    def spend(self, entries: int) -> None:
        """Count entries.

        Raises:
            CallError: `timeout` or `too_many_entries`.
        """
        self.entries -= entries
        if self.entries < 0:
            raise CallError("too_many_entries", f"there are more than {MAX_ENTRIES:,} entries.", "Name a subfolder.")
        if self.stop.is_set() or time.monotonic() > self._deadline:
            raise CallError("timeout", f"this took more than {self.seconds:.0f} s.", "Name a subfolder, or use a glob.")


@dataclass(slots=True)
class Folder:
    """One folder on a walk.

    Args:
        fd: Its descriptor, valid during the visit.
        rel: Its path from where the walk began, empty or ending in a slash.
        files: Names of its regular files, links and special files excluded.
        folders: Names of the folders in it that are entered next; a visitor may remove some.
        links: Names of its links.
        others: Names of its pipes, sockets and devices.
        ignored: How many entries ignore rules left out.
        shut: Those of `folders` that ignore rules name, seen but not entered; only where `Walk.collapse` is set.
    """

    fd: int
    rel: str
    files: list[str]
    folders: list[str]
    links: list[str]
    others: list[str]
    ignored: int = 0
    shut: frozenset[str] = frozenset()


@dataclass
class Walk:
    """How to walk.

    Args:
        visit: Called for each folder, parents first.
        budget: What it may spend.
        use_ignore: Whether .gitignore and .ignore files count; the ``.git`` folder is then left out too.
        hidden: Whether names that begin with a dot are seen.
        depth: How many levels are entered; 1 sees only the first folder.
        collapse: Where ignore rules don't count, still enter no folder that they name.
        refuses: Folders that are seen but not entered, by their path from the root.
        notes: Folders that could not be read are noted here.
    """

    visit: Callable[[Folder], None]
    budget: Budget
    use_ignore: bool = True
    hidden: bool = False
    depth: int = MAX_DEPTH
    refuses: Check | None = None
    collapse: bool = False
    unreadable: list[str] = field(default_factory=list[str])

    def run(self, fd: int, prefix: str = "", above: Rules | None = None) -> None:
        """Walk from a folder.

        Args:
            fd: Its descriptor, fresh: its offset is used.
            prefix: Its path from the root, empty or ending in a slash, for the rules above it.
            above: The rules that hold above it.
        """
        self._prefix = prefix
        self._enter(fd, "", above, 1)

    def _enter(self, fd: int, rel: str, above: Rules | None, level: int) -> None:
        files: list[str] = []
        folders: list[str] = []
        links: list[str] = []
        others: list[str] = []
        names: set[str] = set()
        with os.scandir(fd) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_file(follow_symlinks=False):
                    files.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif entry.is_symlink():
                    links.append(name)
                else:
                    others.append(name)
                if name[0] == ".":
                    names.add(name)
        self.budget.spend(len(files) + len(folders) + len(links) + len(others) + 1)
        folder = Folder(fd, rel, files, folders, links, others)
        rules = above
        if self.use_ignore:
            rules = rules_of(fd, names, self._prefix + rel, above)
            self._leave_out(folder, rules)
        elif self.collapse:
            rules = rules_of(fd, names, self._prefix + rel, above)
            at = self._prefix + rel
            folder.shut = frozenset(
                name
                for name in folders
                if name == ".git" or (rules is not None and self._ignored(rules, f"{at}{name}/"))
            )
        if not self.hidden:
            for group in (folder.files, folder.folders, folder.links, folder.others):
                if names:
                    group[:] = [name for name in group if name[0] != "."]
        self.visit(folder)
        if level < self.depth:
            self._descend(folder, rules, level)

    def _descend(self, folder: Folder, rules: Rules | None, level: int) -> None:
        fd, rel = folder.fd, folder.rel
        for name in folder.folders:
            if name in folder.shut:
                continue
            if self.refuses is not None and self.refuses(f"{self._prefix}{rel}{name}"):
                continue
            try:
                below = os.open(name, OPEN_FOLDER, dir_fd=fd)
            except OSError:
                self.unreadable.append(rel + name)
                continue
            try:
                self._enter(below, f"{rel}{name}/", rules, level + 1)
            except OSError:
                self.unreadable.append(rel + name)
            finally:
                os.close(below)

    def _leave_out(self, folder: Folder, rules: Rules | None) -> None:
        before = len(folder.files) + len(folder.folders) + len(folder.links)
        if ".git" in folder.folders:
            folder.folders.remove(".git")
        if rules is not None:
            at = self._prefix + folder.rel
            folder.files[:] = [name for name in folder.files if not self._ignored(rules, at + name)]
            folder.links[:] = [name for name in folder.links if not self._ignored(rules, at + name)]
            folder.folders[:] = [name for name in folder.folders if not self._ignored(rules, f"{at}{name}/")]
        folder.ignored = before - len(folder.files) - len(folder.folders) - len(folder.links)

    def _ignored(self, rules: Rules, path: str) -> bool:
        self.budget.spend(0)  # somebody else's rules: each match is bounded, not how many there are
        return rules.ignored(path)


@contextlib.contextmanager
def below(fd: int, rel: str) -> Generator[tuple[int, str]]:
    """The folder that a path found by a walk is in, and its last name; reached as the walk did, without links.

    Raises:
        OSError: It isn't there any more, or a link is.
    """
    *folders, name = rel.split("/")
    held = [fd]
    try:
        for part in folders:
            held.append(os.open(part, OPEN_FOLDER, dir_fd=held[-1]))
        yield held[-1], name
    finally:
        for opened in held[1:]:
            os.close(opened)


def rules_above(open_directory: Callable[[str], int], rel: str) -> Rules | None:
    """The ignore rules that hold in a folder from those above it, within the root.

    Args:
        open_directory: Opens a folder of the root by its path.
        rel: The folder's canonical path; its own rules are not included.
    """
    rules: Rules | None = None
    at = ""
    for part in rel.split("/") if rel else []:
        fd = open_directory(at.rstrip("/"))
        try:
            rules = rules_of(fd, set(os.listdir(fd)), at, rules)
        finally:
            os.close(fd)
        at += f"{part}/"
        if rules is not None and rules.ignored(at):
            return LEFT_OUT
    return rules
