"""What holds for every tool: names, words, schemas, annotations that are true by what the tool does, and the budget."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import AsyncGenerator, Generator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from gatelodge_core.effects import DESTROY, READ, WRITE
from gatelodge_github.server import OFFERED
from gatelodge_github.view import BUDGET
from mcp_types import Tool

from tests.github.emulator import PUBLIC, Emulator
from tests.github.furnishing import Furniture
from tests.github.loopback import Answer, Request, Respond, as_json
from tests.github.outsiders import Planted
from tests.github.proxy import Proxy
from tests.github.support import Called, server, text_of

pytestmark = pytest.mark.anyio

VERBS = {"get", "list", "search", "read", "create", "add", "update", "commit", "merge", "review", "run"}
HERE = f"/repos/{PUBLIC}"


@pytest.fixture
async def called(beds: tuple[Proxy, Proxy], emulator: Emulator, tmp_path: Path) -> AsyncGenerator[Called]:
    proxy, elsewhere = beds
    hosts = [elsewhere.url.removeprefix("http://")]
    async with server(
        tmp_path, proxy.url, emulator.tokens["alice"], repo=PUBLIC, download_hosts=hosts, writes_per_minute=80
    ) as made:
        yield made


async def listed(called: Called) -> list[Tool]:
    return (await called.client.list_tools()).tools


# Words


async def test_names_are_a_verb_and_a_noun_and_descriptions_one_line(called: Called) -> None:
    tools = await listed(called)
    assert len(tools) == 30
    for tool in tools:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", tool.name), tool.name
        assert tool.name.partition("_")[0] in VERBS, tool.name
        assert len(tool.name) <= 30
        assert tool.description, tool.name
        assert re.fullmatch(r"[A-Z][^\n]{10,160}\.", tool.description), tool.name
        assert tool.title
        assert tool.output_schema is None, tool.name


async def test_the_whole_list_costs_no_more_than_was_promised(called: Called) -> None:
    tools = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in await listed(called)]
    assert len(json.dumps(tools, ensure_ascii=False, separators=(",", ":"))) / 4 <= 3600


# Schemas


def parts(schema: Mapping[str, Any]) -> Generator[Mapping[str, Any]]:
    """A schema and all inside it."""
    yield schema
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from parts(schema[name])
    for inner in cast("dict[str, Any]", schema.get("properties", {})).values():
        yield from parts(inner)


async def test_every_schema_is_flat_and_without_unions(called: Called) -> None:
    for tool in await listed(called):
        assert tool.input_schema["type"] == "object"
        for part in parts(tool.input_schema):
            assert not {"anyOf", "oneOf", "allOf", "not", "$ref", "$defs", "const", "if"} & set(part), tool.name
            assert part.get("type") in {"string", "integer", "boolean", "array", "object"}, (tool.name, part)
        needed = {name for name, one in arguments_of(tool.name).items() if one.default is one.empty}
        assert set(tool.input_schema.get("required", [])) == needed, tool.name
        assert set(tool.input_schema["properties"]) == set(arguments_of(tool.name)), tool.name


def arguments_of(name: str) -> dict[str, inspect.Parameter]:
    """The arguments of a tool, as it is declared."""
    declared = inspect.signature(OFFERED.tools[name].function).parameters
    return {one.name: one for one in list(declared.values())[1:] if one.name != "progress"}


async def test_an_argument_that_a_tool_does_not_have_is_refused_with_those_that_it_has(
    called: Called, beds: tuple[Proxy, Proxy], planted: Planted
) -> None:
    for name in OFFERED.tools:
        # A pull request that can't be merged is refused before all else.
        given = writing(planted.furniture)[name] if name == "merge_pull" else {}
        told = await called.error(name, **given, nonsense=1)
        assert "unknown argument 'nonsense'" in told, name
        assert all(argument in told for argument in arguments_of(name)), name
    assert beds[0].writes() == []


async def test_arguments_have_the_same_name_and_default_in_all_tools(called: Called) -> None:
    fields = {tool.name: tool.input_schema["properties"] for tool in await listed(called)}
    for name in OFFERED.tools:
        found = arguments_of(name)
        order = list(found)
        if name not in ("get_me", "create_repo"):
            assert (found["repo"].default, fields[name]["repo"]) == ("", {"type": "string"}), name
        if "limit" in found:
            assert 20 <= found["limit"].default <= fields[name]["limit"]["maximum"] <= 1000, name
            assert found["cursor"].default == "", name
            assert order[-2:] == ["limit", "cursor"], name
        if name.startswith("list_"):
            assert "limit" in found, name
        # The repository comes behind what must be given; a search is first of all for something.
        if "repo" in found and name != "search_github":
            needed = [one for one in order if found[one].default is inspect.Parameter.empty]
            assert order.index("repo") == len(needed), name


# Annotations


async def test_the_annotations_follow_from_the_declared_effect(called: Called) -> None:
    for tool in await listed(called):
        nature = OFFERED.tools[tool.name].nature
        hints = tool.annotations
        assert hints is not None
        # What isn't said is as the specification has it: destructive, not idempotent, open.
        assert hints.read_only_hint is (nature.effect is READ), tool.name
        if nature.effect is not READ:
            assert hints.destructive_hint is (not nature.additive), tool.name
            assert not hints.idempotent_hint, tool.name
        assert hints.open_world_hint in (None, True), tool.name


async def test_what_only_reads_sends_nothing_that_changes_something(
    called: Called, beds: tuple[Proxy, Proxy], planted: Planted
) -> None:
    reading = {name for name, tool in OFFERED.tools.items() if tool.nature.effect is READ}
    used = {"get_me"}
    await called.text("get_me")
    for place in planted.places.values():
        await called.text(place.tool, **place.arguments)
        used.add(place.tool)
    for uri in planted.uris:
        await called.client.read_resource(uri)
    assert used == reading
    assert beds[0].writes() == []
    assert {one.method for one in beds[1].requests} <= {"GET", "HEAD"}
    assert called.questions == []


# The budget

_LONG = {
    "title",
    "display_title",
    "name",
    "message",
    "body",
    "description",
    "summary",
    "text",
    "path",
    "filename",
    "patch",
}

_MORE = "日本\u200b\u202e" * 150


def inflated(value: Any, inside: str = "", count: int = 100) -> Any:
    """The same JSON with many items in each list, fewer in lists inside it, and texts that are long and hide something."""
    if isinstance(value, dict):
        return {key: inflated(item, key, count) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        alike = bool(items) and isinstance(items[0], dict) and inside not in ("labels", "parents")
        return [inflated(item, "", 10) for item in (items[:1] * count if alike else items)]
    return f"{value} {_MORE}" if isinstance(value, str) and inside in _LONG else value


async def test_no_answer_is_larger_than_the_budget_however_much_there_is(
    called: Called, beds: tuple[Proxy, Proxy], planted: Planted
) -> None:
    def large(request: Request, proper: Respond) -> Answer:
        answer = proper(request)
        data = answer.json()
        # Facts, rights and the user are what they are; so is what GraphQL's schema was asked for.
        if (
            data is None
            or answer.status != 200
            or re.fullmatch(r"/user|/repos/[^/]+/[^/]+|.*/permission", request.path)
        ):
            return answer
        return as_json(inflated(data))

    tools = {tool.name: tool.input_schema["properties"] for tool in await listed(called)}
    for path in (r"/repos/.*", r"/search/.*"):
        beds[0].fault("GET", path, large)
    beds[0].fault("POST", "/graphql", large)
    beds[0].fault("GET", r".*/logs", lambda request, proper: proper(request))
    full = 0
    for name, place in planted.places.items():
        if place.tool == "get_job_log":
            continue
        more = {"limit": 100} if "limit" in tools[place.tool] else {}
        found = await called.result(place.tool, **{**place.arguments, **more})
        told = text_of(found)
        assert not found.is_error, (name, told)
        sizes = [len(told.encode()), len(json.dumps(found.structured_content, ensure_ascii=False).encode())]
        assert max(sizes) <= BUDGET, (name, sizes)
        full += max(sizes) > BUDGET / 2
    # Else there was not much.
    assert full > 20


# What changes (last, since it does)


def state(emulator: Emulator) -> dict[str, Any]:
    """What is at GitHub, by its place."""
    found: dict[str, Any] = {}

    def take(kind: str, path: str, key: str, *fields: str) -> None:
        for item in emulator.call("GET", path):
            found[f"{kind} {item[key]}"] = [item.get(field) for field in fields]

    take("issue", f"{HERE}/issues?state=all&per_page=100", "number", "title", "body", "state", "labels", "assignees")
    take("pull", f"{HERE}/pulls?state=all&per_page=100", "number", "title", "body", "state", "draft", "merged_at")
    take("branch", f"{HERE}/branches?per_page=100", "name", "commit")
    for number in [name.split()[1] for name in found if name.startswith("issue")]:
        take("comment", f"{HERE}/issues/{number}/comments?per_page=100", "id", "body")
    take("release", f"{HERE}/releases?per_page=100", "id", "tag_name", "name", "body", "draft")
    take("repository", "/user/repos?per_page=100", "full_name", "private", "description", "default_branch")
    return found


def writing(furniture: Furniture) -> dict[str, dict[str, Any]]:
    """A call of each tool that changes something, which does."""
    pull = furniture.pull
    return {
        "create_branch": {"branch": "added"},
        "create_issue": {"title": "Added", "labels": ["bug"]},
        "add_comment": {"number": furniture.issue, "body": "Added"},
        "create_pull": {"title": "Added", "head": "release/1.x"},
        "review_pull": {"number": pull, "body": "Added"},
        "create_release": {"tag": "v1.1.0", "name": "Added"},
        "create_repo": {"name": "added"},
        "commit_files": {"branch": "stale", "message": "m", "files": [{"path": "a.txt", "content": "changed"}]},
        "update_issue": {"number": furniture.issue, "title": "Changed", "remove_labels": ["bug"]},
        "update_pull": {"number": pull, "title": "Changed"},
        "merge_pull": {"number": pull, "expected_head": furniture.feature},
    }


async def test_what_only_adds_leaves_all_that_was_there_as_it_was_and_what_is_destructive_does_not(
    called: Called, beds: tuple[Proxy, Proxy], emulator: Emulator, planted: Planted
) -> None:
    calls, proxy = writing(planted.furniture), beds[0]
    changing = {name for name, tool in OFFERED.tools.items() if tool.nature.effect is not READ}
    # The emulator has no workflows; starting one counts as destructive.
    assert set(calls) == changing - {"run_workflow"}
    assert OFFERED.tools["run_workflow"].nature.effect is DESTROY
    for name, arguments in calls.items():
        earlier = state(emulator)
        proxy.forget()
        await called.text(name, **arguments)
        assert proxy.writes(), name
        now = state(emulator)
        kept = all(now.get(place) == what for place, what in earlier.items())
        nature = OFFERED.tools[name].nature
        assert kept is nature.additive, name
        if nature.additive:
            assert {one.method for one in proxy.writes()} == {"POST"}, name
            assert nature.effect is WRITE
