"""From a declaration to a tool of the SDK: strict arguments in, one typed answer out, errors a caller can act on.

The SDK's own tool drops unknown arguments, parses strings that look like JSON, repeats rejected values in its errors
and sends text twice (python-sdk issues 3067, 3055); `LodgeTool` replaces that part and nothing else.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast, get_type_hints

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, InputRequiredResult, TextContent, ToolAnnotations
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field, ValidationError

from gatelodge_core.declare import Progress, ToolDeclaration
from gatelodge_core.effects import Hints
from gatelodge_core.errors import CallError
from gatelodge_core.guard.wire import sendable, sendable_json
from gatelodge_core.schema import portable, portable_result, terse
from gatelodge_core.shares import mine

logger = logging.getLogger(__name__)

Function = Callable[..., Awaitable[Any]]


def bound(function: Function, domain: object) -> Function:
    """`function` with its first parameter filled by `domain`, the caller's part of it, and a signature that says so.

    The SDK reads signatures and annotations to find parameters, so both are rewritten.
    """
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    parameters = list(signature.parameters.values())[1:]

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await function(mine(domain), *args, **kwargs)

    annotations = {parameter.name: hints.get(parameter.name, Any) for parameter in parameters}
    # `wraps` points back at the original, whose signature still has the domain.
    del call.__wrapped__
    call.__annotations__ = {**annotations, "return": hints.get("return", Any)}
    vars(call)["__signature__"] = signature.replace(
        parameters=[parameter.replace(annotation=annotations[parameter.name]) for parameter in parameters],
        return_annotation=call.__annotations__["return"],
    )
    return call


def unexpected(what: str, error: Exception) -> str:
    """Log an exception under a fresh reference, and word the answer that carries it.

    Nothing of the exception's own text reaches the caller: it can hold paths and secrets.
    """
    reference = secrets.token_hex(4)
    logger.error("%s failed unexpectedly [reference %s]", what, reference, exc_info=error)
    return f"internal_error: {what} failed. Reference {reference} finds the details in the server's log on stderr."


class LodgeTool(Tool):
    """A declared tool, bound to its domain."""

    progress_parameter: str = Field(default="", exclude=True)

    @classmethod
    def declared(cls, declaration: ToolDeclaration, domain: object, *, brief: bool = False) -> LodgeTool:
        """Build the tool.

        Args:
            declaration: What it is.
            domain: What it acts on.
            brief: Whether its listing leaves out what a client may take for granted: see `schema.terse`, and the
                annotations that say no more than the specification's defaults.

        Raises:
            UnportableSchemaError: A parameter or the result has no portable schema.
        """
        function = bound(declaration.function, domain)
        progress = _take_progress(function)
        returns = function.__annotations__["return"]
        structured = isinstance(returns, type) and issubclass(returns, BaseModel)
        hints = declaration.nature.hints
        tool = cls.from_function(
            function,
            name=declaration.name,
            title=declaration.title,
            description=declaration.description,
            annotations=_annotations(hints, brief=brief),
            structured_output=structured,
        )
        metadata = tool.fn_metadata
        metadata.arg_model.model_config.update(extra="forbid", strict=True)
        metadata.arg_model.model_rebuild(force=True)
        schema = portable(metadata.arg_model.model_json_schema(by_alias=True), declaration.name)
        if brief:
            schema = terse(schema)
        if metadata.output_schema is not None:
            metadata.output_schema = portable_result(metadata.output_schema, f"{declaration.name} result")
        made = tool.model_copy(update={"parameters": schema, "progress_parameter": progress})
        return cast("LodgeTool", made)

    def problem(self, arguments: Mapping[str, Any]) -> str:
        """What is wrong with arguments, as `run` would say it; empty if nothing is."""
        try:
            self.fn_metadata.arg_model.model_validate(arguments)
        except ValidationError as error:
            return self._explained(error)
        return ""

    def _explained(self, error: ValidationError) -> str:
        return explain(error, self.name, list(self.parameters.get("properties", {})))

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Check the arguments, call the function, and give its answer the wire's form.

        Raises:
            ToolError: With a text for the caller: what was wrong and what to do next.
            MCPError: Raised by the function, passed on.
        """
        try:
            values = self.fn_metadata.arg_model.model_validate(arguments).model_dump_one_level()
        except ValidationError as error:
            raise ToolError(self._explained(error)) from None
        if self.progress_parameter:
            values[self.progress_parameter] = _progress(context)
        try:
            result = await self.fn(**values)
            if isinstance(result, InputRequiredResult) and context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
                # The SDK would answer -32603 without a reason.
                raise CallError("cannot_ask", f"{self.name} has a question, which needs protocol revision 2026-07-28.")
            return answer(result) if convert_result else result
        except CallError as error:
            raise ToolError(sendable(str(error))) from error
        except (MCPError, ToolError):
            raise
        except Exception as error:  # noqa: BLE001 - the boundary where every crash becomes a reference
            raise ToolError(unexpected(self.name, error)) from None


def _annotations(hints: Hints, *, brief: bool) -> ToolAnnotations:
    """The annotations; in brief without those that a client assumes anyway.

    The specification's defaults are: not read-only, destructive, not idempotent, open world; and destructive and idempotent
    mean nothing for a tool that only reads.
    """
    changes = not hints.read_only
    return ToolAnnotations(
        read_only_hint=hints.read_only,
        destructive_hint=hints.destructive if changes or not brief else None,
        idempotent_hint=hints.idempotent if not brief or (changes and hints.idempotent) else None,
        open_world_hint=hints.open_world if not brief or not hints.open_world else None,
    )


def answer(result: object) -> CallToolResult | InputRequiredResult:
    """The wire form of what a tool returned: text alone, or a record as text and structure made from one model.

    A question of the tool's own (2026-07-28) goes as it is: it is a model too, but not a record.
    """
    if isinstance(result, CallToolResult):
        return result
    if isinstance(result, InputRequiredResult):
        return question(result)
    if isinstance(result, str):
        return CallToolResult(content=[TextContent(type="text", text=sendable(result))])
    if isinstance(result, BaseModel):
        record = cast("dict[str, Any]", sendable_json(result.model_dump(mode="json", by_alias=True)))
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=record)
    raise TypeError(f"a tool returns str, a model, a question or a CallToolResult, not {type(result).__name__}")


def question(result: InputRequiredResult) -> InputRequiredResult:
    """The same question with text that can be sent as UTF-8."""
    return InputRequiredResult.model_validate(sendable_json(result.model_dump(by_alias=True, exclude_none=True)))


def explain(error: ValidationError, tool: str, names: list[str]) -> str:
    """What was wrong with the arguments, without repeating their values.

    Source of the shape: MCP asks for tool errors that let the model correct itself (SEP-1303).
    """
    problems: list[str] = []
    unknown = False
    for item in error.errors(include_url=False, include_context=False, include_input=False)[:8]:
        field = ".".join(str(part) for part in item["loc"]) or "arguments"
        if item["type"] == "extra_forbidden":
            unknown = True
            problems.append(f"unknown argument {sendable(field[:60])!r}")
        elif item["type"] == "missing":
            problems.append(f"{field} is required")
        else:
            problems.append(f"{field}: {item['msg'][:1].lower()}{item['msg'][1:]}")
    text = f"invalid_arguments: {'; '.join(problems)}."
    if any(item["type"] in ("list_type", "dict_type", "model_type") for item in error.errors(include_url=False)):
        text += ' Send JSON arrays and objects as such, for example ["a","b"], not as a string.'
    if unknown:
        text += f" {tool} takes: {', '.join(names) or 'no arguments'}."
    return text


def _take_progress(function: Function) -> str:
    """Hide a parameter of type `Progress` from the signature, and give its name."""
    name = next((key for key, kind in function.__annotations__.items() if kind is Progress), "")
    if name:
        del function.__annotations__[name]
        signature = inspect.signature(function)
        kept = [parameter for parameter in signature.parameters.values() if parameter.name != name]
        vars(function)["__signature__"] = signature.replace(parameters=kept)
    return name


def _progress(context: Context[Any, Any]) -> Progress:
    async def report(done: float, total: float | None = None, message: str = "") -> None:
        await context.report_progress(done, total, sendable(message) or None)

    return report
