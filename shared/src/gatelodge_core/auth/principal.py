"""Who is calling: the one identity that decisions and the journal rest on.

Nothing a client says of itself (``clientInfo``, ``_meta``) is ever part of a principal; such claims are only recorded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller.

    Args:
        method: How it was established, such as ``os-user``.
        subject: Who it is, unique within the method.
    """

    method: str
    subject: str

    def __str__(self) -> str:
        return f"{self.method}:{self.subject}"


def local_user() -> Principal:
    """The operating system's user who started this process: on stdio, launching us is the authentication."""
    getuid = getattr(os, "getuid", None)
    return Principal("os-user", str(getuid()) if getuid else os.environ.get("USERNAME", "unknown"))
