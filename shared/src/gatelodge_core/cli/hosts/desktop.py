"""Where Claude Desktop reads: on Windows that depends on how it was installed."""

from __future__ import annotations

import contextlib
import os

from gatelodge_core.cli.hosts.machine import Machine
from gatelodge_core.errors import SettingsError

NAME = "claude_desktop_config.json"


def desktop_file(machine: Machine) -> str:
    """Claude Desktop's file.

    Since February 2026 its Windows installer makes an MSIX package, which sees a folder of its own in place of
    ``%APPDATA%`` (claude-code#26073).

    Raises:
        SettingsError: Several packages are there and nothing says which one counts.
    """
    classic = machine.application("Claude", NAME)
    if machine.platform != "win32":
        return classic
    inside = [os.path.join(package, "LocalCache", "Roaming", "Claude", NAME) for package in _packages(machine)]
    return chosen(classic, os.path.lexists(classic), {path: os.path.lexists(path) for path in inside})


def chosen(classic: str, classic_there: bool, inside: dict[str, bool]) -> str:
    """The rule: one file in a package counts first, then the classic one, then the only package there is.

    Args:
        classic: The place under ``%APPDATA%``.
        classic_there: Whether there is a file.
        inside: The place in each package, and whether there is a file.

    Raises:
        SettingsError: It leaves more than one.
    """
    there = [path for path, exists in inside.items() if exists]
    if len(there) == 1:
        return there[0]
    if not there and (classic_there or not inside):
        return classic
    if not there and len(inside) == 1:
        return next(iter(inside))
    raise SettingsError(
        f"there are {len(inside)} packages of Claude Desktop, and it can't be told which one is used: in Claude Desktop, "
        "Settings > Developer > Edit Config shows the file; remove the packages that you don't use"
    )


def _packages(machine: Machine) -> list[str]:
    folder = machine.local("Packages")
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = sorted(name for name in os.listdir(folder) if name.startswith("Claude_"))
    return [os.path.join(folder, name) for name in names]
