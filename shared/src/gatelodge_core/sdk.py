"""The SDK's server, with what of it we do otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver import server as sdk_server
from mcp_types import InputRequiredResult, ResourceTemplate
from pydantic import AnyUrl

from gatelodge_core.declare import ANY_TYPE

MIME_TYPE = ContextVar("gatelodge_mime_type", default="")
"""The type that the resource function of this very request gave its content."""


def _leave_alone(level: str = "INFO") -> None:
    del level


class SdkServer(MCPServer[Any]):
    """The SDK's server, except that it leaves logging alone and that a resource may have another type than its template."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # It would add a handler to the root logger, and load rich for that where there is one.
        kept = sdk_server.configure_logging  # pyright: ignore[reportPrivateImportUsage] - see the comment
        sdk_server.configure_logging = _leave_alone  # pyright: ignore[reportPrivateImportUsage] - as above
        try:
            super().__init__(*args, **kwargs)
        finally:
            sdk_server.configure_logging = kept  # pyright: ignore[reportPrivateImportUsage] - as above

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read a resource; its contents have the type that its function gave, if it gave one."""
        token = MIME_TYPE.set("")
        try:
            found = await super().read_resource(uri, context)
            mime_type = MIME_TYPE.get()
        finally:
            MIME_TYPE.reset(token)
        if not mime_type or isinstance(found, InputRequiredResult):
            return found
        return [replace(item, mime_type=mime_type) for item in found]

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """All templates; with a type only where all resources of one have it, as the specification wants."""
        return [
            item.model_copy(update={"mime_type": None}) if item.mime_type == ANY_TYPE else item
            for item in await super().list_resource_templates()
        ]
