"""Whether ripgrep reads the .gitignore files of a tree as we do, so that it may leave out what they name.

It follows those that are links, waits for those that are pipes, reads them to their end, and takes some rules otherwise than git.
"""

from __future__ import annotations

import re

from gatelodge_core.globs import Globs
from gatelodge_core.sandbox.credentials import Check

from gatelodge_filesystem.ignore import Rules, read_whole
from gatelodge_filesystem.walk import Budget, Folder, Walk

# Braces, brackets, escapes, control characters at the end of a rule, and what isn't ASCII.
_DOUBTFUL_RULE = re.compile(rb"[{}\[\]\\\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\xff]|\r(?!\n)")


class _DoubtfulError(Exception):
    """A file was met that ripgrep may read otherwise."""


def trustworthy(
    fd: int,
    budget: Budget,
    *,
    prefix: str,
    above: Rules | None,
    hidden: bool,
    unwanted: Globs,
    refuses: Check | None,
) -> bool:
    """Whether no .gitignore file that matters is read otherwise by ripgrep; those in folders that we leave out don't.

    Args:
        fd: The folder that is searched; its offset is used.
        budget: What it may spend.
        prefix: The folder's path from the root, empty or ending in a slash.
        above: The ignore rules from above it.
        hidden: Whether names that begin with a dot are seen.
        unwanted: Folders that are not entered.
        refuses: Others, by their path from the root.

    Raises:
        CallError: `timeout`, `too_many_entries`.
    """

    def visit(folder: Folder) -> None:
        content = read_whole(folder.fd, ".gitignore")
        if content is None or _DOUBTFUL_RULE.search(content):
            raise _DoubtfulError
        folder.folders[:] = [name for name in folder.folders if not unwanted.matches(folder.rel + name)]

    try:
        Walk(visit, budget, hidden=hidden, refuses=refuses).run(fd, prefix, above)
    except _DoubtfulError:
        return False
    return True
