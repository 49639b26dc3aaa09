"""What happens while a call runs: progress, log lines and, up to 2025-11-25, questions on the live connection."""

from __future__ import annotations

import json

import anyio
from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import READ
from mcp_types import SamplingMessage, TextContent

from tests.conformance._stage import Schema, Stage, current, long_named, object_schema, plain

STEP_SECONDS = 0.05
"""The suite's pause between two notifications of one call, so that they can't be sent as one."""

live = Declarations[Stage]()


@live.tool(effect=READ)
async def test_tool_with_progress(stage: Stage, progress: Progress) -> str:
    """Report progress in three steps."""
    for done in (0, 50, 100):
        await progress(done, 100)
        await anyio.sleep(STEP_SECONDS)
    return "done"


async def _log(text: str) -> None:
    message = current()
    await message.session.send_log_message(  # pyright: ignore[reportDeprecated] - required of 2025-11-25
        "info", text, "conformance", related_request_id=message.request_id
    )


@live.tool(effect=READ)
async def test_tool_with_logging(stage: Stage) -> str:
    """Log three lines."""
    for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await _log(text)
        await anyio.sleep(STEP_SECONDS)
    return "logged"


@live.tool(effect=READ)
async def test_logging_tool(stage: Stage) -> str:
    """Log a line, which only reaches a client that set a level."""
    await _log("only for those who asked")
    return "logged"


async def _elicit(message: str, schema: Schema) -> tuple[str, str]:
    """The action, and the content as JSON."""
    ctx = current()
    found = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return found.action, json.dumps(found.content)


@live.tool(effect=READ)
async def test_sampling(stage: Stage, prompt: str) -> str:
    """Ask the client's model."""
    ctx = current()
    question = SamplingMessage(role="user", content=plain(prompt))
    found = await ctx.session.create_message(  # pyright: ignore[reportDeprecated] - required of 2025-11-25
        [question], max_tokens=100, related_request_id=ctx.request_id
    )
    return f"LLM response: {found.content.text if isinstance(found.content, TextContent) else found.content}"


@live.tool(effect=READ)
async def test_elicitation(stage: Stage, message: str) -> str:
    """Ask the person."""
    fields = {name: {"type": "string", "description": name} for name in ("username", "email")}
    action, content = await _elicit(message, object_schema(*fields, **fields))
    return f"User response: action={action}, content={content}"


@long_named(live)
async def test_elicitation_sep1034_defaults(stage: Stage) -> str:
    """Ask the person, with a default in each field."""
    schema = object_schema(
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={"type": "boolean", "default": True},
    )
    action, content = await _elicit("Check these", schema)
    return f"Elicitation completed: action={action}, content={content}"


@live.tool(effect=READ)
async def test_elicitation_sep1330_enums(stage: Stage) -> str:
    """Ask the person to choose, in each of the five forms."""
    options = ["option1", "option2", "option3"]
    titled = [{"const": f"value{number}", "title": f"{word} Option"} for number, word in _NUMBERED]
    chosen = [{"const": f"value{number}", "title": f"{word} Choice"} for number, word in _NUMBERED]
    legacy = {"enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]}
    schema = object_schema(
        untitledSingle={"type": "string", "enum": options},
        titledSingle={"type": "string", "oneOf": titled},
        legacyEnum={"type": "string", **legacy},
        untitledMulti={"type": "array", "items": {"type": "string", "enum": options}},
        titledMulti={"type": "array", "items": {"anyOf": chosen}},
    )
    action, content = await _elicit("Choose", schema)
    return f"Elicitation completed: action={action}, content={content}"


_NUMBERED = ((1, "First"), (2, "Second"), (3, "Third"))
