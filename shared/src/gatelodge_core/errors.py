"""The errors of Gatelodge, and who each of them speaks to.

    GatelodgeError
    ├── CallError          the caller can act on it: its text reaches the model
    ├── JailError          a path could not be used; a server turns it into a CallError
    │   ├── NotFound       missing, or outside the root: never told apart
    │   ├── AlreadyExists
    │   ├── NotADirectory
    │   ├── IsADirectory
    │   ├── NotEmpty
    │   ├── SpecialFile    FIFO, socket or device
    │   ├── BadName        NUL, too long, empty, or not a single component
    │   ├── Denied         the operating system's permissions say no
    │   └── ReadOnly       the root was granted read-only
    └── SettingsError      the person who starts the server can act on it: exit status 2

Anything else that escapes a tool is a fault of ours: the caller gets a reference, the log the traceback.
"""

from __future__ import annotations

RESOURCE_NOT_FOUND = -32002
"""What the revisions before 2026-07-28 call a resource that isn't there (specification, server/resources). The SDK has the
code of 2026-07-28 for all of them."""


class GatelodgeError(Exception):
    """Base of every error raised on purpose."""


class CallError(GatelodgeError):
    """A failure that the caller of a tool, resource or prompt can act on.

    Args:
        code: A stable snake_case word, such as ``not_found`` or ``stale_etag``.
        message: What was wrong. It never holds a secret, a host path outside the grant, or a traceback.
        hint: What to do next; a sentence, or empty.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" + (f" {self.hint}" if self.hint else "")


class SettingsError(GatelodgeError):
    """The settings can't be used; the text names the setting and says what to change."""


class JailError(GatelodgeError):
    """A path inside a root could not be used. Its text names no path."""


class NotFound(JailError):
    """Nothing there that may be reached: missing, or leading out of the root."""


class AlreadyExists(JailError):
    """The name to create is taken."""


class NotADirectory(JailError):
    """A directory was needed."""


class IsADirectory(JailError):
    """A regular file was needed."""


class NotEmpty(JailError):
    """The directory has entries."""


class SpecialFile(JailError):
    """A FIFO, socket or device: never opened, since that can block or act."""


class BadName(JailError):
    """The path has a NUL, a component over 255 bytes, more than 4,096 bytes, or no usable name."""


class Denied(JailError):
    """The operating system's own permissions refuse it."""


class ReadOnly(JailError):
    """The root was granted for reading only."""


class Protected(JailError):
    """The path is one that the root's owner keeps from being opened, such as a key file."""
