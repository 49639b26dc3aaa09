"""The GitHub server in this process, with a client on it, as a host would call it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

from gatelodge_github.credentials import Credential, NoCredential, Sealed, StaticCredential
from gatelodge_github.hub import Hub
from gatelodge_github.server import build
from gatelodge_github.settings import GithubSettings
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent

Answer = Callable[[str], bool]
"""What the person says to a question."""


class Called:
    """A client on the server, the server's domain, and the questions that the person was asked."""

    def __init__(self, client: Client, hub: Hub, questions: list[str]) -> None:
        self.client, self.hub, self.questions = client, hub, questions

    async def result(self, name: str, /, **arguments: Any) -> CallToolResult:
        return await self.client.call_tool(name, arguments)

    async def call(self, name: str, /, **arguments: Any) -> tuple[bool, str]:
        """Whether a tool failed, and its text."""
        found = await self.result(name, **arguments)
        return bool(found.is_error), text_of(found)

    async def text(self, name: str, /, **arguments: Any) -> str:
        failed, text = await self.call(name, **arguments)
        assert not failed, text
        return text

    async def error(self, name: str, /, **arguments: Any) -> str:
        failed, text = await self.call(name, **arguments)
        assert failed, text
        return text

    async def record(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """The structured content."""
        found = await self.result(name, **arguments)
        assert not found.is_error, found.content
        assert found.structured_content is not None
        return dict(found.structured_content)

    async def label(self, name: str, /, **arguments: Any) -> str:
        """``_meta.ifc`` as ``integrity/confidentiality``."""
        found = await self.result(name, **arguments)
        assert found.meta is not None
        ifc = found.meta["ifc"]
        return f"{ifc['integrity']}/{ifc['confidentiality']}"


def text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def credential(token: str) -> Credential:
    return StaticCredential(Sealed(token), "token") if token else NoCredential()


@contextlib.asynccontextmanager
async def server(
    folder: Path,
    url: str,
    token: str = "",
    *,
    says: Answer | None = lambda _: True,
    mode: Literal["auto", "legacy"] = "auto",
    **given: Any,
) -> AsyncGenerator[Called]:
    """The server before a GitHub.

    Args:
        folder: For its state.
        url: Of the API.
        token: Whose credential it has; none if empty.
        says: What the person answers; None for a host that can't ask.
        mode: Which revisions the client speaks: the newest, or those before 2026-07-28.
        given: Settings.
    """
    settings = GithubSettings.model_validate(
        {"state_dir": str(folder / "state"), "api_url": url, "toolsets": "all", **given}
    )
    lodge = build(settings, credential(token))
    questions: list[str] = []

    async def asked(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        questions.append(params.message)
        assert says is not None
        return (
            ElicitResult(action="accept", content={"approve": True})
            if says(params.message)
            else ElicitResult(action="decline")
        )

    callback: Callable[[ClientRequestContext, ElicitRequestParams], Awaitable[ElicitResult]] | None = (
        asked if says else None
    )
    assert lodge.life is not None
    async with lodge.life(), Client(lodge.mcp, cache=None, mode=mode, elicitation_callback=callback) as client:
        yield Called(client, lodge.domain, questions)
