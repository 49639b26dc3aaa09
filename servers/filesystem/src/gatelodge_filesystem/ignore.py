"""What .gitignore and .ignore files leave out, folder by folder.

Rules are read through the folder's own descriptor, never above the root, and only from regular files of moderate size.
pathspec decides; one combined expression in front of it lets the files that no rule mentions pass quickly.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

NAMES = (".gitignore", ".ignore")
MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that hold in a folder: its own, before those of the folders above.

    Args:
        depth: Characters of a path that belong to the folder the rules stand in, slash included.
        mentions: Whether any rule mentions a path at all.
        spec: The rules.
        above: The rules of the folders above.
    """

    depth: int
    mentions: Callable[[str], object]
    spec: GitIgnoreSpec
    above: Rules | None

    def ignored(self, rel: str) -> bool:
        """Whether a path (a folder's ends in a slash) is left out. The nearest rule that says anything counts."""
        rules: Rules | None = self
        while rules is not None:
            path = rel[rules.depth :]
            if rules.mentions(path):
                verdict = rules.spec.check_file(path).include
                if verdict is not None:
                    return verdict
            rules = rules.above
        return False


def rules_of(fd: int, names: frozenset[str] | set[str], rel: str, above: Rules | None) -> Rules | None:
    """The rules that hold in a folder.

    Args:
        fd: The folder's descriptor.
        names: Its entries, so that nothing is opened in vain.
        rel: Its path from the root, empty or ending in a slash.
        above: The rules that hold in the folder above.
    """
    for name in NAMES:
        if name in names and (text := _read(fd, name)):
            spec, mentions = _parsed(text)
            above = Rules(len(rel), mentions, spec, above)
    return above


def _read(fd: int, name: str) -> str:
    try:
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    except OSError:
        return ""
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            return ""
        return os.read(opened, MAX_BYTES).decode("utf-8", "surrogateescape")
    finally:
        os.close(opened)


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[GitIgnoreSpec, Callable[[str], object]]:
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - 50 ms, and many trees have no such file

    spec = GitIgnoreSpec.from_lines(text.splitlines())
    found = (getattr(pattern, "regex", None) for pattern in spec.patterns if pattern.include is not None)
    sources = [str(regex.pattern) for regex in found if regex is not None]
    if not sources:
        return spec, lambda _: None
    # Group names would collide; nothing reads the groups here.
    joined = "|".join(f"(?:{re.sub(r'[(][?]P<[^>]*>', '(?:', source)})" for source in sources)
    return spec, re.compile(joined).match
