"""What a host sees of tools, resources, prompts and completions, over each transport and protocol revision."""

from __future__ import annotations

import json

import pytest

from tests.support.wire import StdioWire, Wire

SECRET = "s3cr3t-canary-4711"


def test_a_tool_answers_text_once(toy: Wire) -> None:
    result = toy.tool("echo_text", text="hi", times=2)
    assert result["content"] == [{"type": "text", "text": "hihi"}]
    assert "structuredContent" not in result


def test_a_record_is_complete_in_text_and_in_structure(toy: Wire) -> None:
    result = toy.tool("list_items", prefixes=["al"])
    record = {"rows": [{"key": "alpha", "size": 5}], "shown": 10, "total": 1}
    assert result["structuredContent"] == record
    assert json.loads(result["content"][0]["text"]) == record


def test_an_unknown_argument_is_refused_and_the_known_ones_are_named(toy: Wire) -> None:
    text = toy.error("echo_text", text="hi", zz=1)
    assert "unknown argument 'zz'" in text
    assert "echo_text takes: text, times, mode" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"text": "hi", "times": "2"}, "times: input should be a valid integer"),
        ({"text": 5}, "text: input should be a valid string"),
        ({"text": "hi", "times": True}, "times: input should be a valid integer"),
        ({"text": "hi", "mode": "quiet"}, "mode: input should be 'plain' or 'loud'"),
        ({}, "text is required"),
    ],
)
def test_types_are_not_coerced(toy: Wire, arguments: dict[str, object], expected: str) -> None:
    assert expected in toy.error("echo_text", **arguments)


def test_a_list_sent_as_a_json_string_is_refused_with_the_right_shape_shown(toy: Wire) -> None:
    text = toy.error("list_items", prefixes='["al"]')
    assert "prefixes: input should be a valid list" in text
    assert '["a","b"]' in text


def test_text_that_looks_like_json_stays_text(toy: Wire) -> None:
    assert toy.text("echo_text", text="[1, 2]") == "[1, 2]"
    assert toy.text("echo_text", text="null") == "null"


def test_no_separator_of_unicode_ends_a_line_in_a_host_that_cuts_there(toy: Wire) -> None:
    text = "a\x85b\u2028c\u2029d"
    # The client over HTTP cuts an event stream by `splitlines`, as httpx does.
    assert toy.text("echo_text", text=text) == text
    if isinstance(toy, StdioWire):
        toy.send_call(f"id\u2028{text}", "echo_text", text=text)
        (line,) = toy.server.line().decode().splitlines()
        assert json.loads(line)["id"] == f"id\u2028{text}"
        assert json.loads(line)["result"]["content"][0]["text"] == text


def test_a_rejected_value_is_not_repeated(toy: Wire) -> None:
    assert SECRET not in toy.error("echo_text", text="hi", times=SECRET)
    assert SECRET not in toy.error("echo_text", text="hi", mode=SECRET)


def test_a_failure_says_what_to_do_next(toy: Wire) -> None:
    text = toy.error("drop_item", key="nothing")
    assert text == "not_found: there is no item 'nothing'. Call list_items to see what there is."


def test_a_crash_becomes_a_reference_and_its_text_stays_here(toy: Wire) -> None:
    text = toy.error("fail_badly", secret=SECRET)
    assert SECRET not in text
    assert "Reference" in text


def test_an_unknown_tool_is_an_invalid_parameter(toy: Wire) -> None:
    response = toy.request("tools/call", {"name": "no_such_tool", "arguments": {}})
    assert response["error"]["code"] == -32602
    assert "no_such_tool" in response["error"]["message"]


@pytest.mark.parametrize("arguments", [[], [1], "text", 5, True])
def test_arguments_that_are_no_object_are_an_invalid_parameter(toy: Wire, arguments: object) -> None:
    for method, name in (("tools/call", "echo_text"), ("tools/call", "list_items"), ("prompts/get", "sum_up")):
        error = toy.request(method, {"name": name, "arguments": arguments})["error"]
        assert error["code"] == -32602
        assert "arguments must be an object" in error["message"]


def test_text_that_utf8_cannot_carry_is_escaped_and_the_connection_lives(toy: Wire) -> None:
    assert toy.text("odd_text") == "bad\\udc80name"
    assert toy.text("echo_text", text="still here") == "still here"


def test_progress_is_reported_when_asked_for(toy: Wire) -> None:
    response = toy.request(
        "tools/call",
        {"name": "wait_long", "arguments": {"seconds": 0.0}, "_meta": {"progressToken": "p1"}},
    )
    assert response["result"]["content"][0]["text"] == "waited"
    seen = [item["params"] for item in toy.notifications if item["method"] == "notifications/progress"]
    assert [(item["progressToken"], item["progress"], item["message"]) for item in seen] == [
        ("p1", 1, "one"),
        ("p1", 2, "two"),
    ]


def test_a_resource_is_read(toy: Wire) -> None:
    result = toy.request("resources/read", {"uri": "toy://item/beta"})["result"]
    assert result["contents"] == [{"uri": "toy://item/beta", "mimeType": "text/plain", "text": "second"}]


def test_resources_and_templates_are_listed(toy: Wire) -> None:
    assert [item["uri"] for item in toy.request("resources/list")["result"]["resources"]] == ["toy://items"]
    templates = toy.request("resources/templates/list")["result"]["resourceTemplates"]
    assert [item["uriTemplate"] for item in templates] == ["toy://item/{key}"]


def test_a_missing_resource_has_the_code_of_its_revision_and_names_the_uri(toy: Wire) -> None:
    """-32002 until 2025-11-25, -32602 since 2026-07-28 (specification, server/resources, error handling)."""
    for uri in ("toy://item/nothing", "toy://elsewhere", "toy://item/../x"):
        error = toy.request("resources/read", {"uri": uri})["error"]
        assert error["code"] == (-32602 if toy.modern else -32002)
        assert error["data"] == {"uri": uri}
    # No URI at all is a malformed request, in each of them.
    assert toy.request("resources/read", {})["error"]["code"] == -32602


def test_a_resource_that_is_refused_is_no_internal_error_and_one_that_can_not_be_had_now_is(toy: Wire) -> None:
    for key, code in (("outside_roots", -32602), ("unreachable", -32603)):
        error = toy.request("resources/read", {"uri": f"toy://item/{key}"})["error"]
        assert error["code"] == code
        assert f"{key}: it is not read" in error["message"]


def test_a_crash_in_a_resource_or_prompt_shows_nothing_of_itself(toy: Wire) -> None:
    for method, params in (
        ("resources/read", {"uri": "toy://item/crash"}),
        ("prompts/get", {"name": "sum_up", "arguments": {"topic": "crash"}}),
    ):
        error = toy.request(method, params)["error"]
        assert error["code"] == -32603
        assert "s3cr3t" not in json.dumps(error)
        assert "Reference" in error["message"]


def test_a_prompt_is_rendered(toy: Wire) -> None:
    result = toy.request("prompts/get", {"name": "sum_up", "arguments": {"topic": "ships"}})["result"]
    assert result["messages"] == [{"role": "user", "content": {"type": "text", "text": "Sum up ships, short."}}]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"name": "nothing"}, "Unknown prompt: nothing"),
        ({"name": "sum_up", "arguments": {}}, "needs: topic"),
        ({"name": "sum_up", "arguments": {"topic": "a", "tone": "b"}}, "no argument 'tone'; it takes: style, topic"),
    ],
)
def test_a_prompt_called_wrongly_is_an_invalid_parameter(toy: Wire, params: dict[str, object], expected: str) -> None:
    error = toy.request("prompts/get", params)["error"]
    assert error["code"] == -32602
    assert expected in error["message"]


def test_prompt_arguments_and_template_variables_are_completed(toy: Wire) -> None:
    for ref in ({"type": "ref/prompt", "name": "sum_up"}, {"type": "ref/resource", "uri": "toy://item/{key}"}):
        name = "topic" if ref["type"] == "ref/prompt" else "key"
        params = {"ref": ref, "argument": {"name": name, "value": "a"}}
        assert toy.request("completion/complete", params)["result"]["completion"]["values"] == ["alpha"]


def test_a_completion_nobody_declared_is_empty(toy: Wire) -> None:
    params = {"ref": {"type": "ref/prompt", "name": "other"}, "argument": {"name": "x", "value": ""}}
    assert toy.request("completion/complete", params)["result"]["completion"]["values"] == []


def test_schemas_are_closed_and_flat(toy: Wire) -> None:
    tools = toy.request("tools/list")["result"]["tools"]
    text = json.dumps([[tool["inputSchema"], tool.get("outputSchema")] for tool in tools])
    for word in ("$ref", "$defs", "anyOf", '"title"'):
        assert word not in text
    assert all(tool["inputSchema"]["additionalProperties"] is False for tool in tools)


def test_annotations_follow_from_the_declaration(toy: Wire) -> None:
    hints = {tool["name"]: tool["annotations"] for tool in toy.request("tools/list")["result"]["tools"]}
    assert hints["echo_text"] == {
        "readOnlyHint": True,
        "destructiveHint": False,
        "idempotentHint": True,
        "openWorldHint": False,
    }
    assert hints["drop_item"] == {
        "readOnlyHint": False,
        "destructiveHint": True,
        "idempotentHint": False,
        "openWorldHint": True,
    }


def test_the_server_says_who_it_is(toy: Wire) -> None:
    if toy.modern:
        result = toy.request("server/discover")["result"]
        info = result["_meta"]["io.modelcontextprotocol/serverInfo"]
        assert result["supportedVersions"] == ["2026-07-28"]
    else:
        result = toy.request("ping")
        assert result["result"] == {}
        info = {"name": "gatelodge-toy", "version": "0.0.1"}
    assert (info["name"], info["version"]) == ("gatelodge-toy", "0.0.1")
