"""Prompts, resources and completions as the SDK takes them: bound to what they act on, their errors the protocol's own.

Tools, which have more to them, are in `tools`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.server.mcpserver.prompts.base import Prompt
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, Completion, InputRequiredResult, PromptReference

from gatelodge_core.declare import Content, Declarations, PromptDeclaration, ResourceDeclaration
from gatelodge_core.errors import CallError
from gatelodge_core.guard.wire import sendable, sendable_json
from gatelodge_core.sdk import MIME_TYPE
from gatelodge_core.shares import mine
from gatelodge_core.tools import bound, question, unexpected

Arguments = tuple[frozenset[str], frozenset[str]]
"""The names of a prompt's required arguments, and of all."""

NOT_NOW = frozenset(
    [
        "app_token_failed",
        "bad_answer",
        "busy",
        "helper_lost",
        "not_ready",
        "timeout",
        "too_slow",
        "unavailable",
        "unknown_outcome",
        "unreachable",
    ]
)
"""Codes of errors that aren't the caller's: the same read may go through later. All others ask for another one."""
NOT_THERE = frozenset(["no_such_change", "not_found"])
"""Codes of errors that say that there is no such resource."""
MAX_COMPLETIONS = 100
"""The specification's limit on values in one completion answer."""


def add_prompt(server: MCPServer[Any], declaration: PromptDeclaration, domain: object) -> Arguments:
    """Offer a prompt.

    Args:
        server: Where.
        declaration: What it is.
        domain: What it acts on, or the domains of a server with accounts.

    Returns:
        The names of its required arguments, and of all.
    """
    function = bound(declaration.function, domain)

    async def render(**arguments: str) -> Any:
        try:
            return rendered(await function(**arguments))
        except CallError as error:
            raise MCPError(INVALID_PARAMS, sendable(str(error))) from error
        except MCPError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary where every crash becomes a reference
            raise MCPError(INTERNAL_ERROR, unexpected(f"prompt {declaration.name}", error)) from None

    _same_signature(render, function)
    prompt = Prompt.from_function(render, declaration.name, declaration.title, declaration.description)
    server.add_prompt(prompt)
    arguments = prompt.arguments or ()
    return frozenset(item.name for item in arguments if item.required), frozenset(item.name for item in arguments)


def add_resource(server: MCPServer[Any], declaration: ResourceDeclaration, domain: object) -> None:
    """Offer a resource or template; see `add_prompt`."""
    function = bound(declaration.function, domain)

    async def read(**arguments: str) -> str | bytes:
        try:
            content: str | bytes | Content = await function(**arguments)
            if isinstance(content, Content):
                MIME_TYPE.set(content.mime_type)
                content = content.data
            return sendable(content) if isinstance(content, str) else content
        except CallError as error:
            text = sendable(str(error))
            if error.code in NOT_THERE:
                raise ResourceNotFoundError(text) from error
            if error.code in NOT_NOW:
                raise ResourceError(text) from error
            raise MCPError(INVALID_PARAMS, text) from error
        except MCPError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary where every crash becomes a reference
            raise ResourceError(unexpected(f"resource {declaration.name}", error)) from None

    _same_signature(read, function)
    server.resource(
        declaration.uri,
        name=declaration.name,
        title=declaration.title,
        description=declaration.description,
        mime_type=declaration.mime_type,
        meta=declaration.meta,
    )(read)


def add_completions(server: MCPServer[Any], declarations: Declarations[Any], domain: object) -> None:
    """Offer the completions of prompts' and templates' arguments, if there are any; see `add_prompt`."""
    if not declarations.completers:
        return

    async def complete(ref: Any, argument: Any, context: Any) -> Completion:
        if isinstance(ref, PromptReference):
            owner = ref.name
        else:
            found = declarations.resources.get(str(ref.uri))
            owner = found.name if found else ""
        completer = declarations.completers.get((owner, argument.name))
        if completer is None:
            return Completion(values=[], total=0, has_more=False)
        chosen = dict(context.arguments or {}) if context else {}
        try:
            values = [sendable(value) for value in await completer(mine(domain), argument.value, chosen)]
        except CallError:
            values = []
        more = len(values) > MAX_COMPLETIONS
        # One more than fits is what a completer gives that stops there: it knows that there are more, not how many.
        total = None if len(values) == MAX_COMPLETIONS + 1 else len(values)
        return Completion(values=values[:MAX_COMPLETIONS], total=total, has_more=more)

    server.completion()(complete)


def rendered(result: object) -> str | list[Any] | InputRequiredResult:
    """What a prompt returned, so that it can be sent: its text, its messages in wire form, or a question."""
    if isinstance(result, str):
        return sendable(result)
    if isinstance(result, list):
        return cast("list[Any]", sendable_json(cast("list[Any]", result)))
    if isinstance(result, InputRequiredResult):
        return question(result)
    raise TypeError(f"a prompt returns str, a list of messages or a question, not {type(result).__name__}")


def _same_signature(wrapper: Callable[..., Any], function: Callable[..., Any]) -> None:
    """Let `wrapper` show the signature of `function`, which the SDK reads."""
    wrapper.__name__ = function.__name__
    wrapper.__annotations__ = dict(function.__annotations__)
    vars(wrapper)["__signature__"] = vars(function)["__signature__"]
