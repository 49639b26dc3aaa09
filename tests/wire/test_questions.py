"""A tool or prompt may answer with a question of its own, and a prompt with messages: both reach the client as written.

The conformance suite's fixture is the server: it is the one that has such tools.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import pytest
from gatelodge_core.primitives import rendered
from gatelodge_core.tools import question
from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult

from tests.support.wire import Message, Revision, Transport, Wire, connected, python_module

CAPABILITIES: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}


@pytest.fixture(scope="module")
def fixture(transport: Transport, revision: Revision) -> Generator[Wire]:
    command = python_module("tests.conformance.fixture_server")
    with connected(command, transport, revision, capabilities=CAPABILITIES) as wire:
        yield wire


SINCE_2026 = pytest.mark.parametrize("revision", ["2026-07-28"], indirect=True, scope="module")
UNTIL_2025 = pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25"], indirect=True, scope="module")


def retry(asked: Message, name: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    state = {"requestState": asked["requestState"]} if "requestState" in asked else {}
    given = {key: {"action": "accept", "content": content} for key, content in answers.items()}
    return {"name": name, "inputResponses": given, **state}


@SINCE_2026
def test_a_tools_question_and_its_answer_make_one_call(fixture: Wire) -> None:
    name = "test_input_required_result_request_state"
    asked = fixture.tool(name)
    assert asked["resultType"] == "input_required"
    assert asked["inputRequests"]["confirm"]["params"]["message"] == "Please confirm"
    # Sealed: what the tool wrote is not there to be read or changed.
    assert "asked" not in asked["requestState"]
    answered = fixture.request("tools/call", retry(asked, name, {"confirm": {"ok": True}}))["result"]
    assert answered["resultType"] == "complete"
    assert answered["content"][0]["text"] == "state-ok"


@SINCE_2026
def test_the_state_of_another_tools_question_is_refused(fixture: Wire) -> None:
    asked = fixture.tool("test_input_required_result_request_state")
    params = retry(asked, "test_input_required_result_tampered_state", {"confirm": {"ok": True}})
    assert fixture.request("tools/call", params)["error"]["code"] == -32602


@SINCE_2026
def test_a_prompts_question_and_its_answer_make_one_prompt(fixture: Wire) -> None:
    name = "test_input_required_result_prompt"
    asked = fixture.request("prompts/get", {"name": name})["result"]
    assert asked["resultType"] == "input_required"
    params = retry(asked, name, {"user_context": {"context": "the sea"}})
    answered = fixture.request("prompts/get", params)["result"]
    assert answered["messages"][0]["content"]["text"] == "Use this context: the sea"


@UNTIL_2025
def test_a_client_of_2025_gets_an_error_for_a_question_that_it_cannot_read(fixture: Wire) -> None:
    told = fixture.error("test_input_required_result_elicitation")
    assert "cannot_ask: test_input_required_result_elicitation has a question" in told
    refused = fixture.request("prompts/get", {"name": "test_input_required_result_prompt"})
    assert refused["error"]["code"] == -32603


def test_a_prompt_of_several_messages_keeps_their_order_and_kinds(fixture: Wire) -> None:
    result = fixture.request(
        "prompts/get", {"name": "test_prompt_with_embedded_resource", "arguments": {"resourceUri": "test://here"}}
    )["result"]
    kinds = [(message["role"], message["content"]["type"]) for message in result["messages"]]
    assert kinds == [("user", "resource"), ("user", "text")]
    assert result["messages"][0]["content"]["resource"]["uri"] == "test://here"


def test_text_that_utf8_cannot_carry_is_escaped_in_messages_and_questions() -> None:
    name = "bad\udc80name"
    assert rendered([{"role": "user", "content": {"type": "text", "text": name}}]) == [
        {"role": "user", "content": {"type": "text", "text": "bad\\udc80name"}}
    ]
    params = ElicitRequestFormParams(message=name, requested_schema={"type": "object", "properties": {}})
    asked = question(InputRequiredResult(input_requests={"q": ElicitRequest(params=params)}))
    assert asked.input_requests is not None
    sent = asked.input_requests["q"]
    assert isinstance(sent, ElicitRequest)
    assert sent.params.message == "bad\\udc80name"
