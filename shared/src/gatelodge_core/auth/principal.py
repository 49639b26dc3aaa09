"""Who is calling: the one identity that decisions and the journal rest on.

Nothing a client says of itself (``clientInfo``, ``_meta``) is ever part of a principal; such claims are only recorded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

_LEVELS = ("read", "write", "destroy")
_METHODS = ("os-user", "key", "oauth")


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller.

    Args:
        method: How it was established: ``os-user``, ``key`` or ``oauth``.
        subject: Who it is, unique within the method.
        scopes: What it was granted, such as ``filesystem:write``; None for everything, as for the local user.
        tools: Globs over the tools it may call, and over prompts and resources by their names; None for all.
        per_minute: Calls a minute, beside the server's own limits; 0 for no limit of its own.
        via: Which of its credentials it came with, such as the id of an API key; for the journal, not part of who it is.
    """

    method: str
    subject: str
    scopes: frozenset[str] | None = None
    tools: tuple[str, ...] | None = None
    per_minute: int = 0
    via: str = field(default="", compare=False)

    def may(self, scope: str) -> bool:
        """Whether a scope was granted. ``destroy`` holds ``write``, and ``write`` holds ``read``."""
        if self.scopes is None:
            return True
        server, _, level = scope.partition(":")
        enough = _LEVELS[_LEVELS.index(level) :] if level in _LEVELS else (level,)
        return any(f"{server}:{item}" in self.scopes for item in enough)

    def may_call(self, target: str) -> bool:
        """Whether a tool, a prompt, or a resource by its declared name is among what it may use."""
        return self.tools is None or any(fnmatchcase(target, pattern) for pattern in self.tools)

    def __str__(self) -> str:
        return f"{self.method}:{self.subject}"


def check_named(names: Iterable[str]) -> None:
    """Hold the names of accounts to the form of a principal's, such as ``key:alice``.

    Raises:
        ValueError: One could never be anybody's.
    """
    for name in names:
        method, separator, subject = name.partition(":")
        if not separator or method not in _METHODS or not subject:
            raise ValueError(f"{name[:60]!r} is no principal: write key:NAME or oauth:ISSUER|USER|CLIENT")


def local_user() -> Principal:
    """The operating system's user who started this process: on stdio, launching us is the authentication."""
    getuid = getattr(os, "getuid", None)
    return Principal("os-user", str(getuid()) if getuid else os.environ.get("USERNAME", "unknown"))


CALLER: ContextVar[Principal | None] = ContextVar("gatelodge_caller", default=None)
"""Who makes the call that is being served; None outside of one. For backends that have a notion of users themselves."""
