"""Whatever the arguments of a call are: secrets among them are refused, and nothing odd crashes what is asked."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from gatelodge_core.auth.principal import Principal
from gatelodge_core.effects import Rule
from gatelodge_github.asking import doubts, effect
from gatelodge_github.asking_subjects import subjects
from gatelodge_github.hub import Hub
from gatelodge_github.server import OFFERED
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.github.emulator import PUBLIC, token_of
from tests.github.furnishing import Furniture
from tests.github.loopback import as_json
from tests.github.proxy import Proxy
from tests.github.questions import WRITES, call_of
from tests.github.support import Called

pytestmark = pytest.mark.anyio


# Secrets

LINES = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAAB\n" * 6
KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{LINES}-----END OPENSSH PRIVATE KEY-----\n"
OTHER = token_of("bob")
OWN = token_of("alice")
ENCODED = {
    "plain": OTHER,
    "quoted": f"`{OTHER}`",
    "base64": base64.b64encode(OTHER.encode()).decode(),
    "base64 twice": base64.b64encode(base64.b64encode(OTHER.encode())).decode(),
    "hexadecimal": OTHER.encode().hex(),
    "percent": "".join(f"%{byte:02x}" for byte in OTHER.encode()),
    "entities": "".join(f"&#{byte};" for byte in OTHER.encode()),
    "zero width": "\u200b".join(OTHER),
    "full width": "".join(chr(ord(char) + 0xFEE0) for char in OTHER),
    "held, reversed": OWN[::-1],
    "held, spread": " ".join(OWN),
    "held, upper case": OWN.upper(),
    "a key": KEY,
}


@pytest.mark.parametrize("form", ENCODED)
async def test_a_secret_is_refused_in_every_encoding_without_a_question_and_without_an_echo(
    called: Called, proxy: Proxy, form: str
) -> None:
    told = await called.error("create_issue", title="Found", body=f"See {ENCODED[form]} here")
    assert "denied_by_policy: a secret would leave (body: " in told
    assert called.questions == []
    assert proxy.writes() == []
    for secret in (OTHER, OWN, ENCODED[form], KEY[60:90]):
        assert secret not in told


async def test_a_secret_is_refused_in_every_argument_of_every_tool_that_changes_something(
    called: Called, proxy: Proxy
) -> None:
    tools = {tool.name: tool for tool in (await called.client.list_tools()).tools}
    tried = 0
    for name, least in WRITES.items():
        for field, schema in tools[name].input_schema["properties"].items():
            for value in placed(schema):
                told = await called.error(name, **{**least, field: value})
                assert "a secret would leave" in told, (name, field, told)
                assert OTHER not in told
                tried += 1
    assert tried > 50
    assert called.questions == []
    assert proxy.writes() == []


PLAIN: Mapping[str, Any] = {"string": "x", "integer": 1, "boolean": False, "array": [], "object": {}}
"""A value of each type without a secret."""


def placed(schema: Mapping[str, Any]) -> list[Any]:
    """A secret wherever a value of this schema has a text."""
    match schema.get("type"):
        case "string" if "enum" in schema or "pattern" in schema:
            # Whatever else comes there is refused before anybody looks at it, and never said again.
            return []
        case "string":
            return [OTHER]
        case "array":
            return [[inner] for inner in placed(schema["items"])]
        case "object" if "properties" in schema:
            rest = {name: PLAIN[schema["properties"][name]["type"]] for name in schema.get("required", [])}
            return [{**rest, name: inner} for name, field in schema["properties"].items() for inner in placed(field)]
        case "object":
            return [{"key": OTHER}, {OTHER: "value"}]
        case _:
            return []


async def test_a_secret_split_over_two_arguments_is_found(called: Called, proxy: Proxy) -> None:
    told = await called.error("create_issue", title=f"x {OTHER[:20]}", body=f"{OTHER[20:]} y")
    assert "a secret would leave" in told
    files = [{"path": "a", "content": OTHER[:20]}, {"path": "b", "content": OTHER[20:]}]
    assert "a secret would leave" in await called.error("commit_files", branch="feature", message="m", files=files)
    assert proxy.writes() == []


async def test_what_only_looks_a_little_like_a_secret_passes(called: Called, content: Furniture) -> None:
    body = f"{content.head} 123e4567-e89b-12d3-a456-426614174000 ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx sha256-{'a' * 44}="
    assert "opened issue" in await called.text("create_issue", title="No secret", body=body)
    assert called.questions == []


# Whatever the arguments are

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ODD = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.sampled_from(["path"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NAMES = sorted({name for tool in OFFERED.tools.values() for name in tool.function.__code__.co_varnames[:14]})
ARGUMENTS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), ODD, max_size=6)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(OFFERED.tools)), arguments=ARGUMENTS)
async def test_no_arguments_crash_what_is_asked(named: Hub, name: str, arguments: dict[str, Any]) -> None:
    call = call_of(name, arguments)
    found = await doubts(named, call)
    assert all(isinstance(doubt.reason, str) and doubt.reason for doubt in found)
    assert isinstance(await effect(named, call), str)
    for subject in await subjects(named, call):
        assert subject.name == subject.name.lower()


@pytest.fixture
async def named(called: Called, proxy: Proxy) -> Hub:
    # What odd names lead to isn't asked of the emulator.
    for path in (r"/repos/.*/pulls/.*", r"/repos/.*/compare/.*"):
        proxy.serve("*", path, lambda _: as_json({"message": "Not Found"}, 404))
    return called.hub


@pytest.mark.parametrize(
    "arguments",
    [
        {"repo": 5}, {"repo": None}, {"repo": [PUBLIC]}, {"repo": {"a": 1}}, {"files": "x"}, {"files": [None, 5, {"path": 5}]},
        {"files": {"path": ".github/x"}}, {"branch": ["main"]}, {"number": True}, {"number": -1},
        {"number": "1"}, {"from_ref": 5}, {"event": "approve", "expected_head": 5}, {"fork_of": 7}, {"name": [1], "org": 2},
        {"body": "x" * 200_000}, {"files": [{"path": "x" * 10_000, "content": "y"}] * 20}, {"inputs": {"a": {"b": [1]}}},
    ],
)  # fmt: skip
async def test_malformed_arguments_are_refused_by_every_tool_and_change_nothing(
    named: Hub, called: Called, proxy: Proxy, arguments: dict[str, Any]
) -> None:
    for name, least in WRITES.items():
        failed, told = await called.call(name, **{**least, **arguments})
        assert failed, (name, told)
        assert "internal_error" not in told
        assert len(told) < 3000
    assert proxy.writes() == []


async def test_a_principal_without_a_credential_is_asked_nothing_and_told_why(called: Called) -> None:
    stranger = Principal("oauth", "eve")
    for name, least in WRITES.items():
        call = call_of(name, least, principal=stranger)
        assert all(doubt.rule is Rule.CONFIRM for doubt in await doubts(called.hub, call))
        assert isinstance(await effect(called.hub, call), str)
        assert await subjects(called.hub, call)
