"""Arguments that several tools take, and what they become."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

Sql = Annotated[str, Field(min_length=1, max_length=100_000)]
Connection = Annotated[str, Field(description="Which database.")]
# Hosts and models agree best on texts; numbers, booleans and null are understood all the same.
Params = Annotated[
    list[Any],
    Field(max_length=1000, description="Values of $1, $2, ... as text."),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "description": "Values of $1, $2, ... as text."}),
]
MaxRows = Annotated[int, Field(ge=1, le=10_000)]
TimeoutMs = Annotated[int, Field(ge=0, le=300_000, description="0: the setting.")]
