"""The tools of a server, each built when it is first needed.

Building one takes milliseconds, as its arguments become a model and a schema. A host that the porter gave its list calls
one or two of them; building all would be a tenth of the time to the first result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.tools.tool_manager import ToolManager

from gatelodge_core.declare import ToolDeclaration
from gatelodge_core.tools import LodgeTool


class Shelf(ToolManager):
    """What the SDK asks for its tools.

    Args:
        declared: The tools, in the order in which they are listed.
        domain: What they act on.
        brief: See `LodgeTool.declared`.
    """

    def __init__(self, declared: Iterable[ToolDeclaration], domain: object, *, brief: bool) -> None:
        super().__init__()
        self._declared = {tool.name: tool for tool in declared}
        self._domain = domain
        self._brief = brief

    def get_tool(self, name: str) -> Tool | None:
        """The tool of that name, or None.

        Raises:
            UnportableSchemaError: A parameter or the result has no portable schema.
        """
        found = self._tools.get(name)
        declaration = self._declared.get(name)
        if found is None and declaration is not None:
            found = self._tools[name] = LodgeTool.declared(declaration, self._domain, brief=self._brief)
        return found

    def list_tools(self) -> list[Tool]:
        """All tools; raises as `get_tool` does."""
        return [tool for name in self._declared if (tool := self.get_tool(name)) is not None]

    def add_tool(self, *_: Any, **__: Any) -> Tool:
        """Not here: tools are declared."""
        raise NotImplementedError("declare tools with gatelodge_core.declare.Declarations")

    def remove_tool(self, name: str) -> None:
        """Not here: what a server offers is chosen before it is built."""
        raise NotImplementedError(f"{name}: choose what is offered with Declarations.chosen")
