"""One session of the Python SDK's client, in the network it is run in: ``python python_session.py JSON``.

The JSON has ``mode``, ``command``, ``tool``, ``arguments``, ``uri``, ``prompt``, ``given``; one JSON line is printed.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp_types import TextContent, TextResourceContents


async def main(given: dict[str, Any]) -> dict[str, Any]:
    """Have the session; what it heard."""
    server = StdioServerParameters(command=given["command"][0], args=given["command"][1:])
    with anyio.fail_after(60):
        async with Client(server, mode=given["mode"], cache=None) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            called = await client.call_tool(given["tool"], given["arguments"])
            read = await client.read_resource(given["uri"])
            prompted = await client.get_prompt(given["prompt"], given["given"])
    return {
        "tools": tools,
        "called": "\n".join(block.text for block in called.content if isinstance(block, TextContent)),
        "read": "\n".join(part.text for part in read.contents if isinstance(part, TextResourceContents)),
        "prompted": "\n".join(one.content.text for one in prompted.messages if isinstance(one.content, TextContent)),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(anyio.run(main, json.loads(sys.argv[1]))) + "\n")
