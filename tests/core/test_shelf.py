"""Tools are built when they are first needed, and all of them where nobody has answered for the lists."""

from __future__ import annotations

import logging

import pytest
from gatelodge_core.declare import Declarations, ToolDeclaration
from gatelodge_core.effects import READ
from gatelodge_core.server import Identity, Lodge
from gatelodge_core.shelf import Shelf
from gatelodge_core.tools import LodgeTool

toy = Declarations[None]()


@toy.tool(effect=READ)
async def first_tool(domain: None, text: str) -> str:
    """Say it."""
    del domain
    return text


@toy.tool(effect=READ)
async def second_tool(domain: None, number: int) -> str:
    """Say it."""
    del domain
    return str(number)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the tools that were built, in turn."""
    names: list[str] = []
    declared = LodgeTool.declared

    def noted(declaration: ToolDeclaration, domain: object, *, brief: bool = False) -> LodgeTool:
        names.append(declaration.name)
        return declared(declaration, domain, brief=brief)

    monkeypatch.setattr(LodgeTool, "declared", noted)
    return names


def lodge() -> Lodge[None]:
    """A server with both."""
    return Lodge(Identity("toy", "Toy", "", "", "0"), toy, None)


def test_asking_for_a_tool_builds_it_alone_and_once(built: list[str]) -> None:
    shelf = Shelf(toy.tools.values(), None, brief=False)
    found = shelf.get_tool("second_tool")
    assert found is not None
    assert found is shelf.get_tool("second_tool")
    assert built == ["second_tool"]
    assert [tool.name for tool in shelf.list_tools()] == ["first_tool", "second_tool"]
    assert built == ["second_tool", "first_tool"]


def test_asking_for_an_unknown_tool_builds_none(built: list[str]) -> None:
    assert Shelf(toy.tools.values(), None, brief=False).get_tool("third_tool") is None
    assert built == []


def test_a_server_builds_none_before_it_is_asked(built: list[str]) -> None:
    lodge()
    assert built == []


def test_all_can_be_built_at_once(built: list[str]) -> None:
    lodge().fill()
    assert built == ["first_tool", "second_tool"]


def test_the_root_logger_is_left_as_it_was() -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    lodge()
    assert (list(root.handlers), root.level) == before
