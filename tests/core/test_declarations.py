"""Declaring tools: what follows from a declaration, and what is refused when it is made."""

from __future__ import annotations

from typing import Any

import pytest
from gatelodge_core.declare import Declarations, merged, read_only
from gatelodge_core.effects import DESTROY, EXTERNAL, PRIVATE, PUBLIC, READ, UNTRUSTED, WRITE, Nature, Rule
from gatelodge_core.schema import UnportableSchemaError
from gatelodge_core.server import Identity, Lodge
from pydantic import BaseModel

from tests.support.toy import toy


@pytest.mark.parametrize(
    ("nature", "hints", "rule"),
    [
        (Nature(READ), (True, False, True, False), Rule.ALLOW),
        (Nature(READ, EXTERNAL), (True, False, True, True), Rule.ALLOW),
        (Nature(WRITE), (False, True, False, False), Rule.ALLOW),
        (Nature(WRITE, additive=True, idempotent=True), (False, False, True, False), Rule.ALLOW),
        (Nature(DESTROY), (False, True, False, False), Rule.CONFIRM),
    ],
)
def test_annotations_and_default_policy_follow(nature: Nature, hints: tuple[bool, ...], rule: Rule) -> None:
    found = nature.hints
    assert (found.read_only, found.destructive, found.idempotent, found.open_world) == hints
    assert nature.default_rule is rule
    assert nature.scope("toy") == f"toy:{nature.effect}"


def test_labels_join_to_the_stricter() -> None:
    joined = PRIVATE | UNTRUSTED
    assert joined.as_ifc() == {"integrity": "untrusted", "confidentiality": "private"}
    assert joined.covers(PRIVATE)
    assert not PUBLIC.covers(PRIVATE)


def test_a_name_can_be_declared_once() -> None:
    with pytest.raises(ValueError, match="echo_text"):
        merged([toy, toy])


def test_a_tool_needs_a_docstring_and_a_short_name() -> None:
    part = Declarations[None]()

    async def bare(domain: None) -> str:
        return ""

    with pytest.raises(ValueError, match="docstring"):
        part.tool(effect=READ)(bare)
    bare.__doc__ = "Something."
    with pytest.raises(ValueError, match="30 characters"):
        part.tool(effect=READ, name="x" * 31)(bare)


def test_only_reading_tools_are_left_read_only() -> None:
    kept = toy.chosen(read_only)
    assert "put_item" in toy.tools
    assert "put_item" not in kept.tools
    assert "drop_item" not in kept.tools
    assert "echo_text" in kept.tools


class Node(BaseModel):
    """A model that contains itself."""

    children: list[Node]


@pytest.mark.parametrize("annotation", ["str | None", "int | str", "dict[str, str | None]", "list[int | None]", "Node"])
def test_a_type_without_a_portable_schema_is_refused_when_the_tool_is_built(annotation: str) -> None:
    part = Declarations[None]()
    space: dict[str, Any] = {"Node": Node}
    exec(f"async def take_it(domain: None, value: {annotation}) -> str:\n    'Take it.'\n    return ''", space)
    part.tool(effect=READ)(space["take_it"])
    lodge = Lodge(Identity("toy", "Toy", "", "", "0"), part, None)
    with pytest.raises(UnportableSchemaError, match="take_it"):
        lodge.fill()


def test_a_title_is_made_of_words() -> None:
    declared = Declarations[object]()

    @declared.resource("toy://{key}/{+path}", name="file-by-path")
    async def file_by_path(domain: object, key: str, path: str) -> str:
        """A file."""
        del domain
        return key + path

    @declared.prompt()
    async def plan_things(domain: object) -> str:
        """Plan."""
        del domain
        return ""

    del file_by_path, plan_things
    titles = {item.title for item in (*declared.resources.values(), *declared.prompts.values())}
    assert titles == {"File by path", "Plan things"}
