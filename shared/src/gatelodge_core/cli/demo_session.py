"""One session of the demo: a client that calls tools and prints the exchange, and holds the servers to the story."""

from __future__ import annotations

import json
import shutil
import sysconfig
from dataclasses import dataclass
from typing import Any

from gatelodge_core.audit import cli as audit
from gatelodge_core.errors import SettingsError

WIDTH = 150
LINES = 12


class Unexpected(Exception):
    """A server did otherwise than the demo says."""


@dataclass
class Session:
    """One connected client, and what it has shown so far.

    Args:
        client: The SDK's client.
        scratch: The folder that paths are shown relative to.
    """

    client: Any
    scratch: str
    step: int = 0
    label: str = ""
    """Of the last answer: its integrity and confidentiality, such as ``untrusted/public``."""

    async def call(self, story: str, tool: str, /, **arguments: Any) -> str:
        """Call a tool, print the exchange, and give the text of the answer.

        Raises:
            Unexpected: The call failed.
        """
        return await self._call(story, tool, arguments, refused=False)

    async def refused(self, story: str, tool: str, /, **arguments: Any) -> str:
        """The same with a call that must be refused.

        Raises:
            Unexpected: It was not.
        """
        return await self._call(story, tool, arguments, refused=True)

    async def _call(self, story: str, tool: str, arguments: dict[str, Any], *, refused: bool) -> str:
        self.step += 1
        print(f"\n{self.step:2}. {story}")
        # A statement is read better by lines than as one text.
        shown = {name: value for name, value in arguments.items() if name != "sql"}
        print(
            _short(
                f"    > {tool} {self._plain(json.dumps(shown, ensure_ascii=False)) if shown or not arguments else ''}"
            )
        )
        if "sql" in arguments:
            show(arguments["sql"], "    >     ")
        result = await self.client.call_tool(tool, arguments)
        meta: dict[str, Any] = result.meta or {}
        ifc: dict[str, str] = meta.get("ifc", {})
        self.label = "/".join(ifc.get(name, "") for name in ("integrity", "confidentiality"))
        text = "\n".join(block.text for block in result.content if block.type == "text")
        show(self._plain(text), "    ! " if result.is_error else "    | ")
        if bool(result.is_error) is not refused:
            raise Unexpected(f"step {self.step} was {'refused' if result.is_error else 'not refused'}: {text[:500]}")
        return text

    def _plain(self, text: str) -> str:
        return text.replace(self.scratch, "SCRATCH")


def show(text: str, mark: str) -> None:
    """Print the beginning of a text, each line marked."""
    lines = text.rstrip("\n").split("\n")
    for line in lines[:LINES]:
        print(_short(mark + line))
    if len(lines) > LINES:
        print(f"{mark}... {len(lines) - LINES} more lines")


def show_journal(directory: str) -> None:
    """Show the journal's last lines, and verify it.

    Raises:
        Unexpected: It doesn't verify.
    """
    print("\n$ gatelodge audit show")
    audit.run(["show", "--directory", directory, "-n", "6"])
    print("\n$ gatelodge audit verify")
    if audit.run(["verify", "--directory", directory]):
        raise Unexpected("the journal does not verify")


def command(name: str, extra: str) -> str:
    """The installed command of a server.

    Args:
        name: The command.
        extra: What of ``gatelodge`` brings it.

    Raises:
        SettingsError: It isn't installed.
    """
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise SettingsError(f"{name} is not installed. Install it with: uv pip install 'gatelodge[{extra}]'")
    return found


def _short(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..."
