"""What the settings say, read without pydantic: flags, environment and file, in their order of precedence.

The real settings are read later and judge everything. Here only a few are looked at, and whatever is unusual (an unknown
flag, a placeholder, a value of an odd type) raises `Unknown`: the porter then stays away, and the host hears what is wrong
from the settings themselves. So this may know less than `gatelodge_core.settings`, but never anything else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

PREFIX = "GATELODGE_"
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})
"""What pydantic takes for a truth value, in any letter case."""


class Unknown(Exception):
    """It can't be told here what a setting is."""


class Given:
    """Where the settings of one start come from.

    Args:
        server: The server's short name.
        kinds: Every setting and how a flag sets it: ``flag`` (with ``--no-``), ``list`` (may be repeated), ``value``, or
            not at all (empty).
        positional: The setting that plain arguments fill, if any.
        arguments: The command line.
        environment: The variables.

    Raises:
        Unknown: The command line, a variable or the file has something unusual.
    """

    def __init__(
        self,
        server: str,
        kinds: Mapping[str, str],
        positional: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
    ) -> None:
        self.server = server
        self._kinds = kinds
        self._environment = _variables(environment)
        self._flags, config = _flags(kinds, positional, arguments)
        self._file = _file(config or self._environment.get(f"{PREFIX}CONFIG", ""), server)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A setting that is on or off.

        Raises:
            Unknown: It is written in a way that is neither.
        """
        found = self._found(name)
        if found is None:
            return default
        if isinstance(found, bool):
            return found
        word = str(found).lower()
        if not isinstance(found, str) or word not in _TRUE | _FALSE:
            raise Unknown(name)
        return word in _TRUE

    def text(self, name: str, default: str = "") -> str:
        """A setting that is a text.

        Raises:
            Unknown: It isn't one.
        """
        found = self._found(name)
        if found is None:
            return default
        if not isinstance(found, str):
            raise Unknown(name)
        return found

    def texts(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """A setting that is a list of texts; one text is split as in the environment.

        Raises:
            Unknown: It is neither.
        """
        found = self._found(name)
        if found is None:
            return list(default)
        if isinstance(found, str):
            return [part for part in found.split(os.pathsep) if part]
        items = cast("list[object]", found) if isinstance(found, list) else [None]
        if not all(isinstance(item, str) for item in items):
            raise Unknown(name)
        return [str(item) for item in items]

    def table(self, name: str) -> dict[str, Any]:
        """A table of the settings file; empty if there is none.

        Raises:
            Unknown: Something else has its name, or a variable holds it.
        """
        if any(variable in self._environment for variable in self._names(name)):
            raise Unknown(name)
        found = self._file.get(name, {})
        if not isinstance(found, dict) or "${" in repr(cast("object", found)):
            raise Unknown(name)
        return cast("dict[str, Any]", found)

    def variables(self) -> dict[str, str]:
        """This server's variables, without their prefix; none is empty."""
        prefix = f"{PREFIX}{self.server.upper()}_"
        return {
            name.removeprefix(prefix): value for name, value in self._environment.items() if name.startswith(prefix)
        }

    def knows(self, name: str) -> bool:
        """Whether there is such a setting."""
        return name in self._kinds

    def _names(self, name: str) -> list[str]:
        return [f"{PREFIX}{self.server.upper()}_{name.upper()}", f"{PREFIX}{name.upper()}"]

    def _found(self, name: str) -> object:
        """What the first source that has a setting says; None if none has it."""
        if name in self._flags:
            return self._flags[name]
        for variable in self._names(name):
            if variable in self._environment:
                return self._environment[variable]
        found: object = self._file.get(name)
        if "${" in repr(found):
            raise Unknown(name)
        return found


def config_folder(environment: Mapping[str, str]) -> str:
    """Where a person's settings lie; on Linux by the rule of `platformdirs`, which is not worth its import there."""
    if sys.platform != "linux":
        import platformdirs  # noqa: PLC0415 - see above

        return platformdirs.user_config_dir("gatelodge")
    base = environment.get("XDG_CONFIG_HOME", "")
    return os.path.join(base if base.strip() else os.path.expanduser("~/.config"), "gatelodge")


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Our variables, those that are empty left out, as the settings do."""
    found: dict[str, str] = {}
    for name, value in environment.items():
        if not name.upper().startswith(PREFIX):
            continue
        # Settings are found in any letter case; which of two then counts is not for here.
        if name != name.upper() or "${" in value:
            raise Unknown(name)
        if value:
            found[name] = value
    return found


def _flags(kinds: Mapping[str, str], positional: str, arguments: Sequence[str]) -> tuple[dict[str, object], str]:
    """The settings on the command line, and the settings file that it names."""
    found: dict[str, object] = {}
    config = ""
    left = list(arguments)
    while left:
        token = left.pop(0)
        if "${" in token or not token:
            raise Unknown("arguments")
        if not token.startswith("-"):
            if not positional:
                raise Unknown("arguments")
            cast("list[str]", found.setdefault(positional, [])).append(token)
            continue
        written, equals, value = token.partition("=")
        if not written.startswith("--"):
            raise Unknown("arguments")
        name = written[2:].replace("-", "_")
        kind = "value" if name == "config" else kinds.get(name, "")
        if not equals and kind in ("value", "list"):
            value = left.pop(0) if left else "-"
            # What argparse would take for the next option.
            if value.startswith("-") or "${" in value:
                raise Unknown("arguments")
        if not equals and kind == "flag":
            found[name] = True
        elif not equals and name.startswith("no_") and kinds.get(name[3:]) == "flag":
            found[name[3:]] = False
        elif kind == "list":
            cast("list[str]", found.setdefault(name, [])).append(value)
        elif kind == "value" and name == "config":
            config = value
        elif kind == "value":
            found[name] = value
        else:
            raise Unknown("arguments")
    return found, config


def _file(given: str, server: str) -> dict[str, Any]:
    """The settings file: what is for this server over what is for all."""
    path = os.path.expanduser(given or os.path.join(config_folder(os.environ), "config.toml"))
    if not given and not os.path.exists(path):
        return {}
    if not os.path.isfile(path):
        # A pipe can be read once, and that is for the settings to do.
        raise Unknown("the settings file")
    import tomllib  # noqa: PLC0415 - only where there is a file

    try:
        with open(path, "rb") as source:
            table = tomllib.load(source)
    except (OSError, ValueError, RecursionError):
        raise Unknown("the settings file") from None
    own = table.get(server, {})
    if not isinstance(own, dict):
        raise Unknown("the settings file")
    return {**table, **cast("dict[str, Any]", own)}
