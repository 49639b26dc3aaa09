"""The words of MCP Apps, and what is added for a host that shows views. Standard library only.

Source: ``modelcontextprotocol/ext-apps``, ``specification/2026-01-26/apps.mdx`` (SEP-1865).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

EXTENSION = "io.modelcontextprotocol/ui"
"""The extension's name among the capabilities."""
MIME_TYPE = "text/html;profile=mcp-app"
"""The type of a view's document; hosts show no other."""
SCHEME = "ui://"
SHOWN = "gatelodge/view"
"""Key in a result's ``_meta``: what its view shows where the result itself has no structure."""
RESOURCE_META: dict[str, Any] = {
    "ui": {"csp": {"connectDomains": [], "resourceDomains": []}, "prefersBorder": True},
}
"""``_meta`` of a view's resource: it needs no network at all, and says so."""

_LIST_KEYS = {"resources/list": "resources"}


def declared(capabilities: object) -> bool:
    """Whether a client's capabilities, as they are on the wire, say that it shows views.

    It has to name the type: a client may speak of the extension and show something else.
    """
    if not isinstance(capabilities, Mapping):
        return False
    extensions: object = cast("Mapping[str, object]", capabilities).get("extensions")
    if not isinstance(extensions, Mapping):
        return False
    settings: object = cast("Mapping[str, object]", extensions).get(EXTENSION)
    if not isinstance(settings, Mapping):
        return False
    types: object = cast("Mapping[str, object]", settings).get("mimeTypes")
    return isinstance(types, (list, tuple)) and MIME_TYPE in types


def offered(method: str, result: Mapping[str, Any], views: Mapping[str, str]) -> dict[str, Any]:
    """An answer with what a host that shows views is told besides.

    Args:
        method: What was asked: a handshake (``initialize``, ``server/discover``) or ``tools/list``; others stay as they are.
        result: The answer that every other host gets.
        views: The URI of its view, by tool.
    """
    changed = dict(result)
    if method in ("initialize", "server/discover"):
        capabilities: dict[str, Any] = result.get("capabilities") or {}
        extensions: dict[str, Any] = capabilities.get("extensions") or {}
        settings = {EXTENSION: {"mimeTypes": [MIME_TYPE]}}
        changed["capabilities"] = {**capabilities, "extensions": {**extensions, **settings}}
    elif method == "tools/list":
        changed["tools"] = [_with_view(tool, views) for tool in result.get("tools", [])]
    return changed


def withheld(method: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """A list of resources without the views; the specification lets a server leave them out."""
    key = _LIST_KEYS.get(method)
    if key is None or key not in result:
        return dict(result)
    return {**result, key: [item for item in result[key] if not str(item.get("uri", "")).startswith(SCHEME)]}


def _with_view(tool: Mapping[str, Any], views: Mapping[str, str]) -> dict[str, Any]:
    uri = views.get(str(tool.get("name")))
    if uri is None:
        return dict(tool)
    meta: dict[str, Any] = tool.get("_meta") or {}
    return {**tool, "_meta": {**meta, "ui": {"resourceUri": uri, "visibility": ["model", "app"]}}}
