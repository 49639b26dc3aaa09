"""Where state lies: one rule for the servers and for the commands that look into what they left."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping

import platformdirs

from gatelodge_core.errors import SettingsError

APP = "gatelodge"


def settings_file(given: str = "") -> str:
    """The settings file: the given one, or the platform's usual place."""
    return os.path.expanduser(given or os.path.join(platformdirs.user_config_dir(APP), "config.toml"))


def state_folder(given: str = "", environment: Mapping[str, str] = os.environ) -> str:
    """The state folder, absolute: as given, by ``GATELODGE_STATE_DIR``, the settings file, or the platform's place.

    Args:
        given: What a flag says; empty if there was none.
        environment: Where variables are looked up.
    """
    chosen = given or environment.get("GATELODGE_STATE_DIR", "") or _configured(environment.get("GATELODGE_CONFIG", ""))
    return absolute_state(chosen)


def absolute_state(chosen: str) -> str:
    """The state folder as chosen, absolute; the platform's place if nothing was.

    Raises:
        SettingsError: It lies in a home folder, and that is not known.
    """
    path = os.path.expanduser(chosen or platformdirs.user_state_dir(APP))
    if path.startswith("~"):
        raise SettingsError(f"{path}: there is no such home folder; set HOME, or --state-dir with an absolute path")
    return os.path.abspath(path)


def journal_folder(state: str) -> str:
    """Where the journal lies below a state folder."""
    return os.path.join(state, "journal")


def approvals_file(state: str) -> str:
    """Where approvals lie below a state folder."""
    return os.path.join(state, "approvals.sqlite")


def keys_file(state: str) -> str:
    """Where API keys lie below a state folder, unless a setting says otherwise."""
    return os.path.join(state, "keys.json")


def _configured(given: str) -> str:
    path = settings_file(given)
    # A file that can't be read is the servers' to complain about; they don't start with it. A pipe is theirs, too.
    if not os.path.isfile(path):
        return ""
    try:
        with open(path, "rb") as source:
            value = tomllib.load(source).get("state_dir", "")
    except (OSError, ValueError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""
