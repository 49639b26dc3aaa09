"""What the official conformance suite asks of a server, declared on the lodge's own core and started by our own entry.

The suite names every tool, resource and prompt and says what each answers; their texts here are the suite's. All of it
passes the whole keeper: journal, limits, policy.

Three things real servers of ours don't do, so the core has no declaration for them, and the fixture reaches below it:
names longer than hosts can take, questions to the client from inside a tool, and the calls that only the 2025 revisions
have (``logging/setLevel``, ``resources/subscribe``, ``resources/unsubscribe``).
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, cast

import anyio
from gatelodge_core.declare import Declarations, Progress, ToolDeclaration
from gatelodge_core.effects import READ, Nature
from gatelodge_core.errors import CallError
from gatelodge_core.keeper import Keeper
from gatelodge_core.launch.entry import Program, main
from gatelodge_core.server import Identity, Lodge
from gatelodge_core.settings import LodgeSettings
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolResult,
    ContentBlock,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import Field

Message = ServerRequestContext[Any, Any]
Question = ElicitRequest | CreateMessageRequest | ListRootsRequest
Schema = dict[str, Any]

STEP_SECONDS = 0.05
"""The suite's pause between two notifications of one call, so that they can't be sent as one."""


class FixtureSettings(LodgeSettings):
    """A server for the conformance suite."""

    server: ClassVar[str] = "conformance"


@dataclass
class Stage:
    """The fixture's domain."""

    watched: set[str] = field(default_factory=set[str])


fixture = Declarations[Stage]()
Function = Callable[..., Awaitable[Any]]
_message: ContextVar[Message] = ContextVar("message")


async def remember(ctx: Message, call_next: CallNext) -> HandlerResult:
    """Middleware inside the guard: lets a tool find the message that it answers."""
    token = _message.set(ctx)
    try:
        return await call_next(ctx)
    finally:
        _message.reset(token)


def long_named(function: Function) -> Function:
    """Declare a reading tool whatever the length of its name; `Declarations.tool` refuses what Cursor would drop."""
    name = function.__name__
    fixture.tools[name] = ToolDeclaration(name, name, function.__doc__ or "", Nature(READ), function)
    return function


# -- contents --------------------------------------------------------------------------------------------------------


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# One red pixel (RFC 2083), and a WAV of one silent 8-bit sample.
PNG = b"\x89PNG\r\n\x1a\n" + b"".join(
    (
        _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")),
        _chunk(b"IEND", b""),
    )
)
WAV = (
    b"RIFF" + struct.pack("<I4s4sIHHIIHH4sI", 38, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", 1) + b"\x80\0"
)


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


def _image() -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")


def _embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def _blocks(*blocks: ContentBlock) -> CallToolResult:
    return CallToolResult(content=list(blocks))


@fixture.tool(effect=READ)
async def test_simple_text(stage: Stage) -> str:
    """Return a text."""
    return "This is a simple text response for testing."


@fixture.tool(effect=READ)
async def test_image_content(stage: Stage) -> CallToolResult:
    """Return an image."""
    return _blocks(_image())


@fixture.tool(effect=READ)
async def test_audio_content(stage: Stage) -> CallToolResult:
    """Return a sound."""
    return _blocks(AudioContent(type="audio", data=base64.b64encode(WAV).decode(), mime_type="audio/wav"))


@fixture.tool(effect=READ)
async def test_embedded_resource(stage: Stage) -> CallToolResult:
    """Return a resource."""
    return _blocks(_embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))


@fixture.tool(effect=READ)
async def test_multiple_content_types(stage: Stage) -> CallToolResult:
    """Return a text, an image and a resource."""
    data = _embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return _blocks(_text("Multiple content types test:"), _image(), data)


@fixture.tool(effect=READ)
async def test_error_handling(stage: Stage) -> str:
    """Fail on purpose."""
    raise CallError("on_purpose", "This tool intentionally returns an error for testing.")


@fixture.tool(effect=READ)
async def test_region(stage: Stage, region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """Return an argument that a header must repeat."""
    return region


# -- while a call runs -----------------------------------------------------------------------------------------------


@fixture.tool(effect=READ)
async def test_tool_with_progress(stage: Stage, progress: Progress) -> str:
    """Report progress in three steps."""
    for done in (0, 50, 100):
        await progress(done, 100)
        await anyio.sleep(STEP_SECONDS)
    return "done"


async def _log(text: str) -> None:
    message = _message.get()
    await message.session.send_log_message(  # pyright: ignore[reportDeprecated] - required of 2025-11-25
        "info", text, "conformance", related_request_id=message.request_id
    )


@fixture.tool(effect=READ)
async def test_tool_with_logging(stage: Stage) -> str:
    """Log three lines."""
    for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await _log(text)
        await anyio.sleep(STEP_SECONDS)
    return "logged"


@fixture.tool(effect=READ)
async def test_logging_tool(stage: Stage) -> str:
    """Log a line, which only reaches a client that set a level."""
    await _log("only for those who asked")
    return "logged"


# -- questions on a live connection (the 2025 revisions) -------------------------------------------------------------


def _object(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


async def _elicit(message: str, schema: Schema) -> tuple[str, str]:
    """The action, and the content as JSON."""
    ctx = _message.get()
    found = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return found.action, json.dumps(found.content)


@fixture.tool(effect=READ)
async def test_sampling(stage: Stage, prompt: str) -> str:
    """Ask the client's model."""
    ctx = _message.get()
    question = SamplingMessage(role="user", content=_text(prompt))
    found = await ctx.session.create_message(  # pyright: ignore[reportDeprecated] - required of 2025-11-25
        [question], max_tokens=100, related_request_id=ctx.request_id
    )
    return f"LLM response: {found.content.text if isinstance(found.content, TextContent) else found.content}"


@fixture.tool(effect=READ)
async def test_elicitation(stage: Stage, message: str) -> str:
    """Ask the person."""
    fields = {name: {"type": "string", "description": name} for name in ("username", "email")}
    action, content = await _elicit(message, _object(*fields, **fields))
    return f"User response: action={action}, content={content}"


@long_named
async def test_elicitation_sep1034_defaults(stage: Stage) -> str:
    """Ask the person, with a default in each field."""
    schema = _object(
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={"type": "boolean", "default": True},
    )
    action, content = await _elicit("Check these", schema)
    return f"Elicitation completed: action={action}, content={content}"


@fixture.tool(effect=READ)
async def test_elicitation_sep1330_enums(stage: Stage) -> str:
    """Ask the person to choose, in each of the five forms."""
    options = ["option1", "option2", "option3"]
    titled = [{"const": f"value{number}", "title": f"{word} Option"} for number, word in _NUMBERED]
    chosen = [{"const": f"value{number}", "title": f"{word} Choice"} for number, word in _NUMBERED]
    legacy = {"enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]}
    schema = _object(
        untitledSingle={"type": "string", "enum": options},
        titledSingle={"type": "string", "oneOf": titled},
        legacyEnum={"type": "string", **legacy},
        untitledMulti={"type": "array", "items": {"type": "string", "enum": options}},
        titledMulti={"type": "array", "items": {"anyOf": chosen}},
    )
    action, content = await _elicit("Choose", schema)
    return f"Elicitation completed: action={action}, content={content}"


_NUMBERED = ((1, "First"), (2, "Second"), (3, "Third"))


# -- questions as results (2026-07-28) -------------------------------------------------------------------------------


def _form(message: str, **properties: Schema) -> ElicitRequest:
    schema = _object(*properties, **properties)
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str, tokens: int = 100) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=_text(text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=tokens))


def _ask(state: str | None = None, /, **questions: Question) -> InputRequiredResult:
    return InputRequiredResult(input_requests=dict(questions), request_state=state)


def _state() -> object:
    """The request state that the retry brought back, which the SDK unsealed and checked."""
    return (_message.get().params or {}).get("requestState")


def _given(key: str, part: str) -> Any:
    """One part of the client's answer to a question; None if it isn't there."""
    found: object = _message.get().params or {}
    for name in ("inputResponses", key, *part.split(".")):
        found = cast("Mapping[str, Any]", found).get(name) if isinstance(found, Mapping) else None
    return found


@fixture.tool(effect=READ)
async def test_missing_capability(stage: Stage) -> str:
    """Need sampling."""
    capabilities = _message.get().session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        needed: dict[str, Schema] = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool needs sampling", needed)
    return "the client can sample"


STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}


@fixture.tool(effect=READ)
async def test_streaming_elicitation(stage: Stage, progress: Progress) -> InputRequiredResult:
    """Ask after a notification, so that the question comes on an open stream."""
    await progress(1, 2)
    return _ask(user_name=_form("What is your name?", name=STRING))


@long_named
async def test_input_required_result_elicitation(stage: Stage) -> str | InputRequiredResult:
    """Ask for a name."""
    name = _given("user_name", "content.name")
    return f"Hello, {name}!" if isinstance(name, str) else _ask(user_name=_form("What is your name?", name=STRING))


@long_named
async def test_input_required_result_sampling(stage: Stage) -> str | InputRequiredResult:
    """Ask the client's model."""
    text = _given("capital_question", "content.text")
    return text if isinstance(text, str) else _ask(capital_question=_sample("What is the capital of France?"))


@long_named
async def test_input_required_result_list_roots(stage: Stage) -> str | InputRequiredResult:
    """Ask for the client's roots."""
    roots = _given("client_roots", "roots")
    return f"Roots: {json.dumps(roots)}" if isinstance(roots, list) else _ask(client_roots=ListRootsRequest())


@long_named
async def test_input_required_result_request_state(stage: Stage) -> str | InputRequiredResult:
    """Ask with a state that must come back."""
    if _state() == "asked" and _given("confirm", "content.ok") is True:
        return "state-ok"
    return _ask("asked", confirm=_form("Please confirm", ok=BOOLEAN))


@long_named
async def test_input_required_result_tampered_state(stage: Stage) -> str | InputRequiredResult:
    """Ask with a state that nobody else can make."""
    return await test_input_required_result_request_state(stage)


@long_named
async def test_input_required_result_multiple_inputs(stage: Stage) -> str | InputRequiredResult:
    """Ask three things at once."""
    name, greeting = _given("user_name", "content.name"), _given("greeting", "content.text")
    roots = _given("client_roots", "roots")
    if _state() == "asked" and isinstance(roots, list) and name and greeting:
        return f"{greeting} {name} {json.dumps(roots)}"
    return _ask(
        "asked",
        user_name=_form("What is your name?", name=STRING),
        greeting=_sample("Generate a greeting", 50),
        client_roots=ListRootsRequest(),
    )


@long_named
async def test_input_required_result_multi_round(stage: Stage) -> str | InputRequiredResult:
    """Ask twice, one after the other."""
    if isinstance(color := _given("step2", "content.color"), str) and _state() == "round-2":
        return f"Your favourite color: {color}"
    if _given("step1", "content.name") and _state() == "round-1":
        return _ask("round-2", step2=_form("Step 2: What is your favorite color?", color=STRING))
    return _ask("round-1", step1=_form("Step 1: What is your name?", name=STRING))


@long_named
async def test_input_required_result_capabilities(stage: Stage) -> InputRequiredResult:
    """Ask only in ways that the client has."""
    questions: dict[str, Question] = {}
    if (capabilities := _message.get().session.client_capabilities) is not None:
        if capabilities.elicitation is not None:
            questions["user_name"] = _form("What is your name?", name=STRING)
        if capabilities.sampling is not None:
            questions["capital_question"] = _sample("What is the capital of France?")
    return _ask(**questions)


# -- resources and prompts -------------------------------------------------------------------------------------------


@fixture.resource("test://static-text", name="static-text")
async def static_text(stage: Stage) -> str:
    """A text."""
    return "This is the content of the static text resource."


@fixture.resource("test://static-binary", name="static-binary", mime_type="image/png")
async def static_binary(stage: Stage) -> bytes:
    """An image."""
    return PNG


@fixture.resource("test://watched-resource", name="watched-resource")
async def watched_resource(stage: Stage) -> str:
    """A text that can be subscribed to."""
    return "watched" if "test://watched-resource" in stage.watched else "not watched"


@fixture.resource("test://template/{id}/data", name="template", mime_type="application/json")
async def template_data(stage: Stage, id: str) -> str:  # noqa: A002 - the suite's name of the variable
    """Data of one id."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _user(content: ContentBlock) -> dict[str, Any]:
    return {"role": "user", "content": content.model_dump(mode="json", by_alias=True, exclude_none=True)}


@fixture.prompt()
async def test_simple_prompt(stage: Stage) -> str:
    """A prompt."""
    return "This is a simple prompt for testing."


@fixture.prompt()
async def test_prompt_with_arguments(stage: Stage, arg1: str, arg2: str) -> str:
    """A prompt with two arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@fixture.completer("test_prompt_with_arguments", "arg1")
async def arguments(stage: Stage, value: str, chosen: dict[str, str]) -> list[str]:
    return [name for name in ("paris", "park", "party") if name.startswith(value)]


@fixture.prompt()
async def test_prompt_with_embedded_resource(stage: Stage, resourceUri: str) -> list[dict[str, Any]]:  # noqa: N803 - the suite's
    """A prompt with a resource."""
    data = _embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
    return [_user(data), _user(_text("Please process the embedded resource above."))]


@fixture.prompt()
async def test_prompt_with_image(stage: Stage) -> list[dict[str, Any]]:
    """A prompt with an image."""
    return [_user(_image()), _user(_text("Please analyze the image above."))]


@fixture.prompt()
async def test_input_required_result_prompt(stage: Stage) -> str | InputRequiredResult:
    """A prompt that asks first."""
    context = _given("user_context", "content.context")
    if isinstance(context, str):
        return f"Use this context: {context}"
    return _ask(user_context=_form("What context should the prompt use?", context=STRING))


# -- put together ----------------------------------------------------------------------------------------------------


def _add_calls_of_2025(lodge: Lodge[Stage]) -> None:
    async def set_level(ctx: Message, params: SetLevelRequestParams) -> EmptyResult:
        return EmptyResult()

    async def subscribe(ctx: Message, params: SubscribeRequestParams) -> EmptyResult:
        lodge.domain.watched.add(str(params.uri))
        return EmptyResult()

    async def unsubscribe(ctx: Message, params: UnsubscribeRequestParams) -> EmptyResult:
        lodge.domain.watched.discard(str(params.uri))
        return EmptyResult()

    lodge.lowlevel.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    lodge.lowlevel.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    lodge.lowlevel.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)


def build(settings: FixtureSettings) -> Lodge[Stage]:
    """The fixture's lodge, with the keeper that every server has."""
    identity = Identity("conformance", "Conformance", "A fixture.", "A fixture for the conformance suite.", "0.0.1")
    keeper = Keeper(settings, identity, fixture)
    lodge = Lodge(
        identity, fixture, Stage(), keeper.steps, hidden=keeper.hidden, life=lambda: keeper.life(lambda: None)
    )
    lodge.mcp.middleware.append(remember)
    _add_calls_of_2025(lodge)
    return lodge


PROGRAM = Program(
    "conformance",
    "tests.conformance.fixture_server:FixtureSettings",
    "tests.conformance.fixture_server:build",
    "tests.conformance.fixture_server:fixture",
)

if __name__ == "__main__":
    main(PROGRAM)
