"""The argument ``connection``: which of several databases is meant. With one there is no such argument."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from functools import wraps
from typing import Annotated, Any, TypeVar, get_type_hints

from gatelodge_core.declare import Declarations, PromptDeclaration, ToolDeclaration
from pydantic import Field

D = TypeVar("D")
Declared = TypeVar("Declared", ToolDeclaration, PromptDeclaration)

ARGUMENT = "connection"


def choosing(offered: Declarations[D], names: Sequence[str], *, named: bool = True) -> Declarations[D]:
    """The same declarations, each naming the databases there are, or without the argument where there is one.

    Args:
        offered: The declarations.
        names: Of the databases.
        named: Whether every caller may know them.
    """
    about = (
        f"One of: {', '.join(names)}." if named else "Name of a database; without it, the error says which there are."
    )
    several = len(names) > 1
    return replace(
        offered,
        tools={name: _choosing(tool, about, several=several) for name, tool in offered.tools.items()},
        prompts={name: _choosing(prompt, about, several=several) for name, prompt in offered.prompts.items()},
    )


def _choosing(declared: Declared, about: str, *, several: bool) -> Declared:
    function = declared.function
    signature = inspect.signature(function)
    if ARGUMENT not in signature.parameters:
        return declared
    hints = get_type_hints(function, include_extras=True)

    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    del call.__wrapped__
    parameters = dict(signature.parameters)
    if several:
        hints[ARGUMENT] = Annotated[str, Field(description=about)]
        parameters[ARGUMENT] = parameters[ARGUMENT].replace(annotation=hints[ARGUMENT])
    else:
        # It would only be one more thing to get wrong.
        del hints[ARGUMENT], parameters[ARGUMENT]
    call.__annotations__ = hints
    vars(call)["__signature__"] = signature.replace(parameters=list(parameters.values()))
    return replace(declared, function=call)
