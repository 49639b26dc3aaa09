"""The journal's one error."""

from __future__ import annotations

from gatelodge_core.errors import GatelodgeError


class JournalError(GatelodgeError):
    """A record could not be written or read, so what depends on it must not happen.

    Texts raised by a call in progress name no host path; texts raised while opening, verifying or pruning may, since
    they speak to the person who runs the server.
    """
