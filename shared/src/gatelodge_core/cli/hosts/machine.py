"""The machine whose hosts are looked for: given, so that each platform's places can be tried on any other."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gatelodge_core.errors import SettingsError

Platform = Literal["linux", "darwin", "win32"]


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides where a host keeps its files.

    Args:
        home: The person's home folder, absolute.
        platform: The system; all that is neither macOS nor Windows counts as Linux.
        environment: Its variables.
        project: The project's folder, for files of projects; empty for none.
    """

    home: str
    platform: Platform
    environment: Mapping[str, str]
    project: str = ""

    @classmethod
    def current(cls, home: str = "", project: str = "") -> Machine:
        """This machine.

        Args:
            home: A home folder other than one's own; then no variable that names another place counts.
            project: As for `Machine`.

        Raises:
            SettingsError: There is no such folder.
        """
        platform: Platform = sys.platform if sys.platform in ("darwin", "win32") else "linux"
        if not home:
            return cls(os.path.expanduser("~"), platform, dict(os.environ), project)
        elsewhere = os.path.abspath(os.path.expanduser(home))
        if not os.path.isdir(elsewhere):
            raise SettingsError(f"--home {elsewhere}: there is no such folder")
        kept = {name: text for name, text in os.environ.items() if name not in PLACES}
        return cls(elsewhere, platform, kept | {"USERPROFILE" if platform == "win32" else "HOME": elsewhere}, project)

    def path(self, *parts: str) -> str:
        """Below the home folder."""
        return os.path.join(self.home, *parts)

    def config(self, *parts: str) -> str:
        """Below the configuration folder of the XDG rules, ``~/.config``."""
        base = self.environment.get("XDG_CONFIG_HOME", "")
        # The rules say that a relative one doesn't count.
        return os.path.join(base if os.path.isabs(base) else self.path(".config"), *parts)

    def roaming(self, *parts: str) -> str:
        """Below ``%APPDATA%``."""
        return os.path.join(self.environment.get("APPDATA") or self.path("AppData", "Roaming"), *parts)

    def local(self, *parts: str) -> str:
        """Below ``%LOCALAPPDATA%``."""
        return os.path.join(self.environment.get("LOCALAPPDATA") or self.path("AppData", "Local"), *parts)

    def application(self, *parts: str) -> str:
        """Where applications with a window keep their settings on this platform."""
        if self.platform == "darwin":
            return self.path("Library", "Application Support", *parts)
        return self.roaming(*parts) if self.platform == "win32" else self.config(*parts)

    def in_project(self, *parts: str) -> str:
        """Below the project's folder; empty if there is none."""
        return os.path.join(self.project, *parts) if self.project else ""


PLACES = (
    "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "APPDATA", "LOCALAPPDATA", "CODEX_HOME",
    "CLAUDE_CONFIG_DIR", "COPILOT_HOME",
)  # fmt: skip
"""Variables that move a host's files, or our own."""
