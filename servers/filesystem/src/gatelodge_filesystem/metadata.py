"""Carrying owner, extended attributes and mode from the old version of a file to the new one."""

from __future__ import annotations

import contextlib
import os
import stat


def _umask() -> int:
    # Reading the umask sets it for a moment: done once, at import, while there are no other threads.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


UMASK = _umask()
NEW_FILE_MODE = 0o666 & ~UMASK


def carry_over(old_fd: int, new_fd: int) -> list[str]:
    """Give the new file the old one's owner, attributes, ACL and mode, in the order in which none undoes another.

    Changing the owner clears setuid and drops capabilities, and setting the mode rewrites an ACL's mask: so owner first,
    then attributes, then mode, which is set before the file gets its name.

    Args:
        old_fd: The old version, readable.
        new_fd: The new version, ours, not yet visible.

    Returns:
        Notes on what could not be kept.
    """
    notes: list[str] = []
    old = os.fstat(old_fd)
    mode = stat.S_IMODE(old.st_mode)
    mine = os.fstat(new_fd)
    if (old.st_uid, old.st_gid) != (mine.st_uid, mine.st_gid):
        try:
            os.fchown(new_fd, old.st_uid, old.st_gid)
        except OSError:
            with contextlib.suppress(OSError):
                os.fchown(new_fd, -1, old.st_gid)
            if os.fstat(new_fd).st_uid != old.st_uid:
                # Another owner must not inherit the right to act as the old one.
                mode &= ~(stat.S_ISUID | stat.S_ISGID)
                notes.append("the file's owner changes to this server's user")
    notes += _attributes(old_fd, new_fd)
    os.fchmod(new_fd, mode)
    return notes


def _attributes(old_fd: int, new_fd: int) -> list[str]:
    if not hasattr(os, "listxattr"):
        return []
    notes: list[str] = []
    try:
        names = os.listxattr(old_fd)
    except OSError:
        return []
    for name in names:
        if not name.startswith("user.") and name != "system.posix_acl_access":
            continue
        try:
            os.setxattr(new_fd, name, os.getxattr(old_fd, name))
        except OSError:
            notes.append(f"the attribute {name} could not be kept")
    return notes
