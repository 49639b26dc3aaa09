"""Questions as results (2026-07-28): the tool or prompt answers with what it needs, and is called again with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import READ
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
)

from tests.conformance._stage import Schema, Stage, current, long_named, object_schema, plain

Question = ElicitRequest | CreateMessageRequest | ListRootsRequest
STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}

questions = Declarations[Stage]()


def _form(message: str, **properties: Schema) -> ElicitRequest:
    schema = object_schema(*properties, **properties)
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str, tokens: int = 100) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=plain(text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=tokens))


def _ask(state: str | None = None, /, **questions: Question) -> InputRequiredResult:
    return InputRequiredResult(input_requests=dict(questions), request_state=state)


def _state() -> object:
    """The request state that the retry brought back, which the SDK unsealed and checked."""
    return (current().params or {}).get("requestState")


def _given(key: str, part: str) -> Any:
    """One part of the client's answer to a question; None if it isn't there."""
    found: object = current().params or {}
    for name in ("inputResponses", key, *part.split(".")):
        found = cast("Mapping[str, Any]", found).get(name) if isinstance(found, Mapping) else None
    return found


@questions.tool(effect=READ)
async def test_missing_capability(stage: Stage) -> str:
    """Need sampling."""
    capabilities = current().session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        needed: dict[str, Schema] = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool needs sampling", needed)
    return "the client can sample"


@questions.tool(effect=READ)
async def test_streaming_elicitation(stage: Stage, progress: Progress) -> InputRequiredResult:
    """Ask after a notification, so that the question comes on an open stream."""
    await progress(1, 2)
    return _ask(user_name=_form("What is your name?", name=STRING))


@long_named(questions)
async def test_input_required_result_elicitation(stage: Stage) -> str | InputRequiredResult:
    """Ask for a name."""
    name = _given("user_name", "content.name")
    return f"Hello, {name}!" if isinstance(name, str) else _ask(user_name=_form("What is your name?", name=STRING))


@long_named(questions)
async def test_input_required_result_sampling(stage: Stage) -> str | InputRequiredResult:
    """Ask the client's model."""
    text = _given("capital_question", "content.text")
    return text if isinstance(text, str) else _ask(capital_question=_sample("What is the capital of France?"))


@long_named(questions)
async def test_input_required_result_list_roots(stage: Stage) -> str | InputRequiredResult:
    """Ask for the client's roots."""
    roots = _given("client_roots", "roots")
    return f"Roots: {json.dumps(roots)}" if isinstance(roots, list) else _ask(client_roots=ListRootsRequest())


@long_named(questions)
async def test_input_required_result_request_state(stage: Stage) -> str | InputRequiredResult:
    """Ask with a state that must come back."""
    if _state() == "asked" and _given("confirm", "content.ok") is True:
        return "state-ok"
    return _ask("asked", confirm=_form("Please confirm", ok=BOOLEAN))


@long_named(questions)
async def test_input_required_result_tampered_state(stage: Stage) -> str | InputRequiredResult:
    """Ask with a state that nobody else can make."""
    return await test_input_required_result_request_state(stage)


@long_named(questions)
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


@long_named(questions)
async def test_input_required_result_multi_round(stage: Stage) -> str | InputRequiredResult:
    """Ask twice, one after the other."""
    if isinstance(color := _given("step2", "content.color"), str) and _state() == "round-2":
        return f"Your favourite color: {color}"
    if _given("step1", "content.name") and _state() == "round-1":
        return _ask("round-2", step2=_form("Step 2: What is your favorite color?", color=STRING))
    return _ask("round-1", step1=_form("Step 1: What is your name?", name=STRING))


@long_named(questions)
async def test_input_required_result_capabilities(stage: Stage) -> InputRequiredResult:
    """Ask only in ways that the client has."""
    wanted: dict[str, Question] = {}
    if (capabilities := current().session.client_capabilities) is not None:
        if capabilities.elicitation is not None:
            wanted["user_name"] = _form("What is your name?", name=STRING)
        if capabilities.sampling is not None:
            wanted["capital_question"] = _sample("What is the capital of France?")
    return _ask(**wanted)


@questions.prompt()
async def test_input_required_result_prompt(stage: Stage) -> str | InputRequiredResult:
    """A prompt that asks first."""
    context = _given("user_context", "content.context")
    if isinstance(context, str):
        return f"Use this context: {context}"
    return _ask(user_context=_form("What context should the prompt use?", context=STRING))
