"""What the suite reads: tools that return each kind of content, resources, prompts, completions."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import READ
from gatelodge_core.errors import CallError
from mcp_types import AudioContent, CallToolResult, ContentBlock
from pydantic import Field

from tests.conformance._stage import PNG, WAV, Stage, embedded, image, plain

contents = Declarations[Stage]()


def _blocks(*blocks: ContentBlock) -> CallToolResult:
    return CallToolResult(content=list(blocks))


@contents.tool(effect=READ)
async def test_simple_text(stage: Stage) -> str:
    """Return a text."""
    return "This is a simple text response for testing."


@contents.tool(effect=READ)
async def test_image_content(stage: Stage) -> CallToolResult:
    """Return an image."""
    return _blocks(image())


@contents.tool(effect=READ)
async def test_audio_content(stage: Stage) -> CallToolResult:
    """Return a sound."""
    return _blocks(AudioContent(type="audio", data=base64.b64encode(WAV).decode(), mime_type="audio/wav"))


@contents.tool(effect=READ)
async def test_embedded_resource(stage: Stage) -> CallToolResult:
    """Return a resource."""
    return _blocks(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))


@contents.tool(effect=READ)
async def test_multiple_content_types(stage: Stage) -> CallToolResult:
    """Return a text, an image and a resource."""
    data = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return _blocks(plain("Multiple content types test:"), image(), data)


@contents.tool(effect=READ)
async def test_error_handling(stage: Stage) -> str:
    """Fail on purpose."""
    raise CallError("on_purpose", "This tool intentionally returns an error for testing.")


@contents.tool(effect=READ)
async def test_region(stage: Stage, region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """Return an argument that a header must repeat."""
    return region


@contents.resource("test://static-text", name="static-text")
async def static_text(stage: Stage) -> str:
    """A text."""
    return "This is the content of the static text resource."


@contents.resource("test://static-binary", name="static-binary", mime_type="image/png")
async def static_binary(stage: Stage) -> bytes:
    """An image."""
    return PNG


@contents.resource("test://watched-resource", name="watched-resource")
async def watched_resource(stage: Stage) -> str:
    """A text that can be subscribed to."""
    return "watched" if "test://watched-resource" in stage.watched else "not watched"


@contents.resource("test://template/{id}/data", name="template", mime_type="application/json")
async def template_data(stage: Stage, id: str) -> str:  # noqa: A002 - the suite's name of the variable
    """Data of one id."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _user(content: ContentBlock) -> dict[str, Any]:
    return {"role": "user", "content": content.model_dump(mode="json", by_alias=True, exclude_none=True)}


@contents.prompt()
async def test_simple_prompt(stage: Stage) -> str:
    """A prompt."""
    return "This is a simple prompt for testing."


@contents.prompt()
async def test_prompt_with_arguments(stage: Stage, arg1: str, arg2: str) -> str:
    """A prompt with two arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@contents.completer("test_prompt_with_arguments", "arg1")
async def arguments(stage: Stage, value: str, chosen: dict[str, str]) -> list[str]:
    return [name for name in ("paris", "park", "party") if name.startswith(value)]


@contents.prompt()
async def test_prompt_with_embedded_resource(stage: Stage, resourceUri: str) -> list[dict[str, Any]]:  # noqa: N803 - the suite's
    """A prompt with a resource."""
    data = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
    return [_user(data), _user(plain("Please process the embedded resource above."))]


@contents.prompt()
async def test_prompt_with_image(stage: Stage) -> list[dict[str, Any]]:
    """A prompt with an image."""
    return [_user(image()), _user(plain("Please analyze the image above."))]
