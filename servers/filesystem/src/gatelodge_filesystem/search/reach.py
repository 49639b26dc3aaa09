"""Whether a walk would come to a file, judged for single paths, so that a scouted tree needn't be walked."""

from __future__ import annotations

from gatelodge_core.globs import Globs

from gatelodge_filesystem.ignore import NAMES, Rules, rules_of
from gatelodge_filesystem.walk import MAX_DEPTH, below

_RULE_FILES = frozenset(NAMES)


class Reach:
    """The files of a tree that a `Walk` with the same arguments would visit.

    Args:
        fd: The folder where the walk would begin.
        prefix: Its path from the root, empty or ending in a slash.
        above: The ignore rules from above it.
        use_ignore: Whether ignore rules leave files out.
        hidden: Whether names that begin with a dot are seen.
        unwanted: Folders that are not entered.
    """

    def __init__(
        self, fd: int, prefix: str, above: Rules | None, *, use_ignore: bool, hidden: bool, unwanted: Globs
    ) -> None:
        self._fd = fd
        self._prefix = prefix
        self._use_ignore = use_ignore
        self._hidden = hidden
        self._unwanted = unwanted
        # By path from where the walk begins: the rules inside, or False for a folder that isn't entered.
        self._folders: dict[str, Rules | bool | None] = {
            "": rules_of(fd, _RULE_FILES, prefix, above) if use_ignore else None
        }

    def reaches(self, path: str) -> bool:
        """Whether a walk would visit the file at a path from where it begins."""
        folder, _, name = path.rpartition("/")
        rules = self._inside(f"{folder}/" if folder else "")
        if isinstance(rules, bool) or path.count("/") >= MAX_DEPTH or (name[:1] == "." and not self._hidden):
            return False
        return rules is None or not rules.ignored(self._prefix + path)

    def _inside(self, rel: str) -> Rules | bool | None:
        if rel not in self._folders:
            self._folders[rel] = self._enter(rel)
        return self._folders[rel]

    def _enter(self, rel: str) -> Rules | bool | None:
        parent, _, name = rel[:-1].rpartition("/")
        rules = self._inside(f"{parent}/" if parent else "")
        if isinstance(rules, bool) or (name[0] == "." and not self._hidden) or self._unwanted.matches(rel[:-1]):
            return False
        if not self._use_ignore:
            return None
        if name == ".git" or (rules is not None and rules.ignored(self._prefix + rel)):
            return False
        try:
            with below(self._fd, f"{rel}x") as (folder, _):
                return rules_of(folder, _RULE_FILES, self._prefix + rel, rules)
        except OSError:
            return False  # gone by now
