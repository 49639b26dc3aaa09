"""What .gitignore and .ignore files leave out, folder by folder.

Rules are read through the folder's own descriptor, never above the root, and only from regular files: one that is a link says
nothing, as to git since 2.32. All rules of a file are matched at once. Whoever writes such a file can't make a match take long: its rules count as long as
together they are cheap enough, and those after that don't.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gatelodge_filesystem.wildmatch import Pattern, patterns

NAMES = (".gitignore", ".ignore")
MAX_BYTES = 256 * 1024
"""The most bytes that count of one file, in whole lines; git reads up to 100 MB."""
MAX_RULES = 5000
"""The most rules that count of one file: the time to prepare them grows with their number."""
MAX_COST = 10_000_000
"""The most steps that one name may take with the rules of one file, some 0.1 s."""

_Match = Callable[[bytes], "re.Match[bytes] | None"]


@dataclass(frozen=True, slots=True)
class _Spec:
    """The rules of one file, the last first, as the last that matches counts.

    Args:
        names: Matches the last name of a path.
        paths: Matches the path from the file's folder.
        of_names: Where in the file the rule of each group of `names` stands, and whether it leaves out.
        of_paths: The same for `paths`.
        whole: Whether all rules count.
    """

    names: _Match
    paths: _Match
    of_names: Sequence[tuple[int, bool]]
    of_paths: Sequence[tuple[int, bool]]
    whole: bool

    def verdict(self, path: bytes) -> bool | None:
        """Whether the rules leave a path out; None if none speaks of it. A folder's ends in a NUL."""
        by_name = self.names(path[path.rfind(b"/") + 1 :])
        by_path = self.paths(path)
        if by_name is None and by_path is None:
            return None
        first = self.of_names[by_name.lastindex - 1] if by_name and by_name.lastindex else (-1, False)
        second = self.of_paths[by_path.lastindex - 1] if by_path and by_path.lastindex else (-1, False)
        return max(first, second)[1]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that hold in a folder: its own, before those of the folders above.

    Args:
        depth: Bytes of a path that belong to the folder the rules stand in, slash included.
        spec: The rules; None in a folder that is itself left out, where everything is.
        above: The rules of the folders above.
    """

    depth: int
    spec: _Spec | None
    above: Rules | None

    def ignored(self, rel: str) -> bool:
        """Whether a path (a folder's ends in a slash) is left out. The nearest rule that says anything counts.

        The folders that the path is in are not looked at: a walk doesn't enter those that are left out.
        """
        path = os.fsencode(rel)
        if path[-1:] == b"/":
            path = path[:-1] + b"\0"
        rules: Rules | None = self
        while rules is not None:
            if rules.spec is None:
                return True
            verdict = rules.spec.verdict(path[rules.depth :])
            if verdict is not None:
                return verdict
            rules = rules.above
        return False


LEFT_OUT = Rules(0, None, None)
"""In a folder that is itself left out, nothing is seen, and no rule in it can change that."""


def rules_of(fd: int, names: frozenset[str] | set[str], rel: str, above: Rules | None) -> Rules | None:
    """The rules that hold in a folder.

    Args:
        fd: The folder's descriptor.
        names: Its entries, so that nothing is opened in vain.
        rel: Its path from the root, empty or ending in a slash.
        above: The rules that hold in the folder above.
    """
    if above is LEFT_OUT:
        return above
    for name in NAMES:
        if name in names and (content := _read(fd, name)):
            above = Rules(len(os.fsencode(rel)), _parsed(content), above)
    return above


def read_whole(fd: int, name: str) -> bytes | None:
    """An ignore file of which every rule counts; None if others may read more of it than we do.

    Args:
        fd: The descriptor of the folder it is in.
        name: Its name there. If it is missing, it is as good as empty.
    """
    try:
        found = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return b""
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
        return None
    content = _read(fd, name)
    return content if not content or _parsed(content).whole else None


def _read(fd: int, name: str) -> bytes:
    try:
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return b""
        content = os.read(opened, MAX_BYTES + 1)
    except OSError:
        return b""
    finally:
        os.close(opened)
    # A rule that is cut would be another rule.
    return content if len(content) <= MAX_BYTES else content[: content.rfind(b"\n", 0, MAX_BYTES) + 1]


@functools.lru_cache(maxsize=256)
def _parsed(content: bytes) -> _Spec:
    kept: list[Pattern] = []
    cost = 0
    whole = True
    for pattern in patterns(content):
        cost += pattern.cost
        if len(kept) == MAX_RULES or cost > MAX_COST:
            whole = False
            break
        kept.append(pattern)
    numbered = list(enumerate(kept))[::-1]
    by_name = [item for item in numbered if item[1].by_name]
    by_path = [item for item in numbered if not item[1].by_name]
    return _Spec(
        _any_of(by_name),
        _any_of(by_path),
        [(number, pattern.include) for number, pattern in by_name],
        [(number, pattern.include) for number, pattern in by_path],
        whole,
    )


def _any_of(numbered: Sequence[tuple[int, Pattern]]) -> _Match:
    if not numbered:
        return lambda _: None
    return re.compile(b"|".join(b"(" + pattern.source + b")" for _, pattern in numbered)).fullmatch
