"""Roots: the folders a person granted, pinned once at start; nothing a model or client says widens them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from gatelodge_core.errors import JailError, SettingsError
from gatelodge_core.sandbox.credentials import Check, folded, is_credential
from gatelodge_core.sandbox.jail import Jail

from gatelodge_filesystem.changes.records import TRASH_FOLDER
from gatelodge_filesystem.kept import Kept

_SYSTEM = ("/", "/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/run", "/sbin", "/sys", "/usr", "/var")


@dataclass(frozen=True, slots=True)
class RootSpec:
    """A root as it was written: an absolute path, and whether files in it may change."""

    path: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Root:
    """A pinned root.

    Args:
        name: Unique and short; the first component of every path in an answer.
        jail: Everything beneath it.
        kept: What of it is the server's own.
    """

    name: str
    jail: Jail
    kept: Kept

    @property
    def writable(self) -> bool:
        """Whether files in it may change."""
        return self.jail.writable


def parse_spec(text: str) -> RootSpec:
    """``~/notes`` or ``/srv/src:ro`` as a specification.

    Raises:
        ValueError: It is empty, has a NUL, or is relative.
    """
    writable = True
    for mode in ("ro", "rw"):
        if text.endswith(f":{mode}"):
            text = text.removesuffix(f":{mode}")
            writable = mode == "rw"
            break
    path = os.path.expanduser(text)
    if not path or "\0" in path:
        raise ValueError("a root needs the path of a folder")
    return RootSpec(os.path.abspath(path), writable)


def pin(
    specs: list[RootSpec], *, allow_broad: bool, refuses: Check = is_credential, own: Sequence[str] = ()
) -> list[Root]:
    """Open every root once.

    Args:
        specs: The roots.
        allow_broad: Whether a home or system folder may be one.
        refuses: Tells the paths in them that are never opened.
        own: Files and folders of this server itself, which are never opened either.

    Raises:
        SettingsError: None was given, one can't be opened or is too broad, or two are the same folder.
    """
    if not specs:
        raise SettingsError(
            "no folder to serve. Name one, for example: gatelodge-filesystem ~/notes (add :ro to forbid changes)"
        )
    roots: list[Root] = []
    for spec in specs:
        if not allow_broad and _broad(spec.path):
            raise SettingsError(
                f"{spec.path}: too broad for a root. Name the folders that are needed, or add --allow-broad-roots."
            )
        try:
            kept = Kept(spec.path, own)
            jail = Jail.pin(spec.path, writable=spec.writable, refuses=_any(refuses, kept.holds, _in_trash))
        except JailError as error:
            raise SettingsError(f"{spec.path}: can't be a root: {error}. Is it an existing folder?") from None
        if any(root.jail.identity == jail.identity for root in roots):
            raise SettingsError(f"{spec.path}: is named twice")
        roots.append(Root(_name(spec.path, [root.name for root in roots]), jail, kept))
    return roots


def _any(*checks: Check) -> Check:
    return lambda rel: any(check(rel) for check in checks)


def _in_trash(rel: str) -> bool:
    """Whether it was removed: what could not be opened by its own name could be by the one it has there."""
    return TRASH_FOLDER in folded(rel).split("/")


def _broad(path: str) -> bool:
    real = os.path.realpath(path)
    home = os.path.realpath(os.path.expanduser("~"))
    if real == home or os.path.commonpath([real, home]) == real:
        return True
    return sys.platform != "win32" and real in _SYSTEM


def _name(path: str, taken: list[str]) -> str:
    base = os.path.basename(path.rstrip(os.sep)) or "root"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name
