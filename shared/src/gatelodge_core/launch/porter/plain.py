"""Which requests are so ordinary that the SDK would accept them for certain; any other is left for it to judge.

A handshake that is answered here is played to the SDK later. If it refused what was accepted, host and server would
disagree for ever; so these checks are narrower than the SDK's models, and a test holds them against those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from gatelodge_core.launch.porter.words import CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL, MODERN, PROTOCOL_VERSION

_OPEN = ("experimental", "extensions")
"""Capabilities that are tables of anything."""
_PARTS = frozenset(
    {"context", "tools", "form", "url", "list", "cancel", "requests", "sampling", "elicitation", "createMessage", "create"}
)  # fmt: skip
"""What a capability may have within it that is a table, too."""


def plain_initialize(params: object) -> bool:
    """Whether the parameters are those of an ordinary ``initialize``."""
    if not isinstance(params, Mapping):
        return False
    given = cast("Mapping[str, Any]", params)
    return (
        isinstance(given.get("protocolVersion"), str)
        and _plain_capabilities(given.get("capabilities"))
        and _plain_info(given.get("clientInfo"))
        and _plain_meta(given.get("_meta", {}))
        and given.keys() <= {"protocolVersion", "capabilities", "clientInfo", "_meta"}
    )


def plain_request(params: object, *, modern: bool) -> bool:
    """Whether the parameters are those of an ordinary request for all of a list, or for nothing."""
    if params is None:
        return not modern
    if not isinstance(params, Mapping):
        return False
    given = cast("Mapping[str, Any]", params)
    if not given.keys() <= {"_meta"}:
        return False
    meta: object = given.get("_meta", {})
    if not _plain_meta(meta):
        return False
    said = cast("Mapping[str, Any]", meta)
    if not modern:
        return PROTOCOL_VERSION not in said
    return (
        said.get(PROTOCOL_VERSION) == MODERN
        and _plain_capabilities(said.get(CLIENT_CAPABILITIES))
        and (CLIENT_INFO not in said or _plain_info(said[CLIENT_INFO]))
        and LOG_LEVEL not in said
    )


def _plain_meta(meta: object) -> bool:
    if not isinstance(meta, Mapping):
        return False
    token = cast("Mapping[str, Any]", meta).get("progressToken", "")
    return isinstance(token, (str, int)) and not isinstance(token, bool)


def _plain_info(info: object) -> bool:
    if not isinstance(info, Mapping):
        return False
    said = cast("Mapping[str, Any]", info)
    needed = all(isinstance(said.get(name), str) for name in ("name", "version"))
    more = all(isinstance(said.get(name, ""), str) for name in ("title", "description", "websiteUrl"))
    return needed and more and "icons" not in said


def _plain_capabilities(capabilities: object) -> bool:
    if not isinstance(capabilities, Mapping):
        return False
    for name, value in cast("Mapping[str, Any]", capabilities).items():
        if name in _OPEN:
            if not isinstance(value, Mapping):
                return False
            if not all(isinstance(item, Mapping) for item in cast("Mapping[str, Any]", value).values()):
                return False
        elif not _plain_capability(value):
            return False
    return True


def _plain_capability(value: object) -> bool:
    """A table whose parts are tables; beside them it may say yes or no to something."""
    if not isinstance(value, Mapping):
        return False
    return all(
        _plain_capability(part) or (isinstance(part, bool) and name not in _PARTS)
        for name, part in cast("Mapping[str, Any]", value).items()
    )
