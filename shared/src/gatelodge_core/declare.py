"""Declaring tools, resources, prompts and completions once.

A server's modules collect plain async functions here; `gatelodge_core.server` turns them into a guarded MCP server.
Nothing in this module knows the SDK, so declarations cost nothing to import and the guard can read them.

The first parameter of each function is the domain object (a workspace, a pool); callers never see it::

    reading = Declarations[Workspace]()

    @reading.tool(effect=READ, yields=PRIVATE)
    async def read_file(workspace: Workspace, path: str, start_line: int = 1) -> str:
        "Read a text file, or part of it by line range."
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from gatelodge_core.apps.words import MIME_TYPE, RESOURCE_META, SCHEME
from gatelodge_core.effects import LOCAL, PUBLIC, READ, Effect, Label, Nature, Reach

D = TypeVar("D")
P = ParamSpec("P")
R = TypeVar("R")

MAX_TOOL_NAME = 30
"""Cursor drops a tool when the server's key and the tool's name exceed 60 characters together."""


ANY_TYPE = "*/*"
"""Declared by a template whose resources each have a type of their own, given with `Content`."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a resource holds, with a type of its own instead of the declared one.

    Args:
        data: Text, or bytes for a blob.
        mime_type: Such as ``text/markdown``.
    """

    data: str | bytes
    mime_type: str


class Progress(Protocol):
    """Tells the host how far a long call is; a parameter of this type is filled in, never sent by the caller."""

    async def __call__(self, done: float, total: float | None = None, message: str = "") -> None:
        """Report `done` of `total` (any unit, growing), with a short message."""
        ...


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """One tool: the function, and everything that is derived from its declaration."""

    name: str
    title: str
    description: str
    nature: Nature
    function: Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class ResourceDeclaration:
    """One resource, or a template if the URI has RFC 6570 variables (equal to the function's parameters)."""

    uri: str
    name: str
    title: str
    description: str
    mime_type: str
    yields: Label
    function: Callable[..., Awaitable[Any]]
    meta: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PromptDeclaration:
    """One prompt; its parameters (all `str`) are the arguments. See `Declarations.prompt` for what it returns."""

    name: str
    title: str
    description: str
    function: Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class ViewDeclaration:
    """A page that a host may show beside the results of some tools (MCP Apps); a resource of the same URI holds it.

    Args:
        uri: Begins with ``ui://``.
        tools: Whose results it shows.
    """

    uri: str
    tools: tuple[str, ...]


Completer = Callable[[Any, str, dict[str, str]], Awaitable[list[str]]]
"""(domain, partial value, other arguments already chosen) -> candidate values, best first."""


def _describe(function: Callable[..., Any]) -> str:
    """The docstring as one paragraph: descriptions are sent with every list, so they stay short."""
    text = " ".join((function.__doc__ or "").split())
    if not text:
        raise ValueError(f"{function.__name__} needs a docstring: it is the description that models read")
    return text


def _title(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").capitalize()


@dataclass
class Declarations(Generic[D]):
    """A collection of declarations over one domain type `D`."""

    tools: dict[str, ToolDeclaration] = field(default_factory=dict[str, ToolDeclaration])
    resources: dict[str, ResourceDeclaration] = field(default_factory=dict[str, ResourceDeclaration])
    prompts: dict[str, PromptDeclaration] = field(default_factory=dict[str, PromptDeclaration])
    completers: dict[tuple[str, str], Completer] = field(default_factory=dict[tuple[str, str], Completer])
    views: dict[str, ViewDeclaration] = field(default_factory=dict[str, ViewDeclaration])

    def tool(
        self,
        *,
        effect: Effect,
        reach: Reach = LOCAL,
        yields: Label = PUBLIC,
        additive: bool = False,
        idempotent: bool = False,
        name: str = "",
        title: str = "",
    ) -> Callable[[Callable[Concatenate[D, P], Awaitable[R]]], Callable[Concatenate[D, P], Awaitable[R]]]:
        """Declare a tool. The arguments are those of `Nature`; name and title default to the function's name.

        Raises:
            ValueError: The name is too long or taken, or the docstring is missing.
        """
        nature = Nature(effect, reach, yields, additive, idempotent)

        def register(function: Callable[Concatenate[D, P], Awaitable[R]]) -> Callable[Concatenate[D, P], Awaitable[R]]:
            chosen = name or function.__name__
            if len(chosen) > MAX_TOOL_NAME:
                raise ValueError(f"tool name {chosen!r} is longer than {MAX_TOOL_NAME} characters")
            declaration = ToolDeclaration(chosen, title or _title(chosen), _describe(function), nature, function)
            _add(self.tools, chosen, declaration)
            return function

        return register

    def resource(
        self, uri: str, *, name: str, title: str = "", mime_type: str = "text/plain", yields: Label = PUBLIC
    ) -> Callable[[Callable[Concatenate[D, P], Awaitable[R]]], Callable[Concatenate[D, P], Awaitable[R]]]:
        """Declare a resource or template; the function returns `str`, `bytes` or `Content`.

        Raises:
            ValueError: The URI is taken, or the docstring is missing.
        """

        def register(function: Callable[Concatenate[D, P], Awaitable[R]]) -> Callable[Concatenate[D, P], Awaitable[R]]:
            made = ResourceDeclaration(
                uri, name, title or _title(name), _describe(function), mime_type, yields, function
            )
            _add(self.resources, uri, made)
            return function

        return register

    def view(self, uri: str, *, name: str, description: str, tools: Sequence[str], document: Callable[[], str]) -> None:
        """Declare a view, and the resource that holds it.

        Args:
            uri: Begins with ``ui://``.
            name: Of the resource.
            description: For people.
            tools: Whose results it shows; those that are not offered don't matter.
            document: Makes the page; called when it is read.

        Raises:
            ValueError: The URI is taken, or of another scheme.
        """
        if not uri.startswith(SCHEME):
            raise ValueError(f"a view's URI begins with {SCHEME}, not {uri!r}")

        async def page(_: D) -> str:
            return document()

        resource = ResourceDeclaration(uri, name, _title(name), description, MIME_TYPE, PUBLIC, page, RESOURCE_META)
        _add(self.resources, uri, resource)
        _add(self.views, uri, ViewDeclaration(uri, tuple(tools)))

    def prompt(
        self, *, name: str = "", title: str = ""
    ) -> Callable[[Callable[Concatenate[D, P], Awaitable[R]]], Callable[Concatenate[D, P], Awaitable[R]]]:
        """Declare a prompt.

        The function returns the text of one user message, or a list of messages in wire form (mappings with ``role``
        and ``content``).

        Raises:
            ValueError: The name is taken, or the docstring is missing.
        """

        def register(
            function: Callable[Concatenate[D, P], Awaitable[R]],
        ) -> Callable[Concatenate[D, P], Awaitable[R]]:
            chosen = name or function.__name__
            _add(
                self.prompts, chosen, PromptDeclaration(chosen, title or _title(chosen), _describe(function), function)
            )
            return function

        return register

    def completer(self, owner: str, argument: str) -> Callable[[Completer], Completer]:
        """Declare completions for one argument of the prompt or resource template named `owner`."""

        def register(function: Completer) -> Completer:
            _add(self.completers, (owner, argument), function)
            return function

        return register

    def chosen(self, keep: Callable[[ToolDeclaration], bool]) -> Declarations[D]:
        """The same declarations with only those tools that `keep` accepts, and those views that one of them has."""
        tools = {name: tool for name, tool in self.tools.items() if keep(tool)}
        views = {uri: view for uri, view in self.views.items() if tools.keys() & set(view.tools)}
        return self._with(tools, views)

    def without_views(self) -> Declarations[D]:
        """The same declarations without any view."""
        return self._with(dict(self.tools), {})

    def _with(self, tools: dict[str, ToolDeclaration], views: dict[str, ViewDeclaration]) -> Declarations[D]:
        gone = self.views.keys() - views.keys()
        return Declarations(
            tools,
            {uri: resource for uri, resource in self.resources.items() if uri not in gone},
            dict(self.prompts),
            dict(self.completers),
            views,
        )


def merged(parts: Iterable[Declarations[D]]) -> Declarations[D]:
    """One collection out of several, in their order.

    Raises:
        ValueError: Two parts declare the same thing.
    """
    whole = Declarations[D]()
    for part in parts:
        for name, tool in part.tools.items():
            _add(whole.tools, name, tool)
        for uri, resource in part.resources.items():
            _add(whole.resources, uri, resource)
        for name, prompt in part.prompts.items():
            _add(whole.prompts, name, prompt)
        for key, completer in part.completers.items():
            _add(whole.completers, key, completer)
        for uri, view in part.views.items():
            _add(whole.views, uri, view)
    return whole


def read_only(tool: ToolDeclaration) -> bool:
    """Whether a tool belongs in a server that was started with ``--read-only``."""
    return tool.nature.effect is READ


K = TypeVar("K")
V = TypeVar("V")


def _add(table: dict[K, V], key: K, value: V) -> None:
    if key in table:
        raise ValueError(f"{key!r} is declared twice")
    table[key] = value
