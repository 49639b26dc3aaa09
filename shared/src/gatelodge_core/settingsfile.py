"""The settings file as a source of settings, and the placeholders that a host should have replaced in any of them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from typing import Any, cast

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from gatelodge_core.errors import SettingsError
from gatelodge_core.inputs import read_input
from gatelodge_core.places import settings_file

SERVERS = ("filesystem", "postgres", "github", "websearch")
"""Tables of the file that a server leaves to the others."""
MAX_BYTES = 1024 * 1024

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][\w.:-]*)\}")
_BUNDLE = re.compile(r"\$\{user_config\.[\w.-]+\}")


def read_settings(given: str, server: str, shared: Collection[str], own: Collection[str]) -> dict[str, Any]:
    """What the file says for a server: its own table over what stands at the top, for all.

    Args:
        given: The file that was named; empty for the platform's usual one, which need not be there.
        server: The server's short name, and that of its table.
        shared: Names of the settings for all servers.
        own: Names of all of this one's.

    Raises:
        SettingsError: It can't be read, or has a name that is no setting.
    """
    path = settings_file(given)
    try:
        data = read_input(path, MAX_BYTES)
        if len(data) > MAX_BYTES:
            raise SettingsError(f"{path}: a settings file has {MAX_BYTES} bytes at most")
        table = tomllib.loads(data.decode("utf-8"))
    except FileNotFoundError:
        if given:
            raise SettingsError(f"--config {given}: there is no such file") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text; save it as UTF-8"
        raise SettingsError(f"{path}: can't be read: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from None
    except (ValueError, RecursionError):
        raise SettingsError(f"{path}: a number in it is too long, or something nested too deep") from None
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in SERVERS and isinstance(value, dict):
            continue
        if key not in shared:
            raise SettingsError(f"{path}: {key!r} is no setting for all servers; is it meant for [{server}]?")
        values[key] = value
    mine = cast("dict[str, Any]", table.get(server, {}))
    for key in mine:
        if key not in own:
            raise SettingsError(f"{path}: [{server}] has no setting {key!r}")
    return {**values, **mine}


class FileSource(PydanticBaseSettingsSource):
    """The values of the file, already chosen and checked."""

    def __init__(self, settings_cls: type[BaseSettings], values: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self._values = values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the base's signature
        """The value of one field; see pydantic-settings."""
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All values."""
        return self._values


def unset(name: str, value: object) -> bool:
    """Whether a value is an optional placeholder that a desktop bundle left unfilled.

    Raises:
        ValueError: Another placeholder was never replaced: its variable isn't set where the host starts us.
    """
    texts = cast("list[object]", value) if isinstance(value, list) else [value]
    for text in texts:
        if not isinstance(text, str):
            continue
        if _BUNDLE.fullmatch(text):
            return True
        if found := _PLACEHOLDER.search(text):
            # A ValueError, since pydantic turns it into the error that names the field.
            raise ValueError(
                f"{name}: still has the placeholder {found.group(0)}: the host did not replace it. "
                f"Set {found.group(1)} where the host runs, or write the value itself."
            )
    return False
