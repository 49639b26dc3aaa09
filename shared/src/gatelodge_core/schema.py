"""Portable JSON schemas: what every host accepts.

Several hosts reject or mangle ``$ref``, nullable unions and combinators at the top (gemini-cli 13326, copilot-cli 4623,
cursor 3778), so schemas are flat: references inlined, titles dropped, and anything that can't be flattened refused
when the server is built, not when a host meets it.
"""

from __future__ import annotations

from typing import Any, cast

Schema = dict[str, Any]


class UnportableSchemaError(TypeError):
    """A declaration's types have no portable schema; the text says where and what to use instead."""


def portable(schema: Schema, where: str) -> Schema:
    """The same schema without ``$ref``, ``$defs`` and titles, and with no additional properties.

    Args:
        schema: As pydantic renders it.
        where: The tool's name, for error messages.

    Raises:
        UnportableSchemaError: It is recursive, nullable, or uses combinators.
    """
    definitions = cast("dict[str, Schema]", schema.get("$defs", {}))
    return _flat({key: value for key, value in schema.items() if key != "$defs"}, definitions, where, ())


def portable_result(schema: Schema, where: str) -> Schema:
    """The schema of a result, portable and short: callers need no defaults, and must bear fields added later.

    Args:
        schema: As pydantic renders it.
        where: The tool's name, for error messages.

    Raises:
        UnportableSchemaError: See `portable`.
    """
    return _lean(portable(schema, where))


def terse(schema: Schema) -> Schema:
    """A portable schema of arguments without what a caller may take for granted, for servers with many tools.

    Left out are defaults that say "nothing" (empty, zero, false), lower bounds and bounds of lengths, and the closed
    world of objects. All of it is held by the server all the same, and its errors say what was wrong.
    """
    short: Schema = {}
    for key, value in schema.items():
        if key in ("minimum", "minLength", "maxLength", "minItems", "maxItems") or (key == "default" and not value):
            continue
        if key == "additionalProperties" and value is False:
            continue
        if key == "properties":
            short[key] = {name: terse(item) for name, item in cast("dict[str, Schema]", value).items()}
        else:
            short[key] = terse(cast("Schema", value)) if isinstance(value, dict) and key != "default" else value
    return short


def _lean(schema: Schema) -> Schema:
    lean: Schema = {}
    for key, value in schema.items():
        if key == "default" or (key == "additionalProperties" and value is False):
            continue
        if key == "properties":
            lean[key] = {name: _lean(item) for name, item in cast("dict[str, Schema]", value).items()}
        else:
            lean[key] = _lean(cast("Schema", value)) if isinstance(value, dict) else value
    return lean


def _flat(schema: Schema, definitions: dict[str, Schema], where: str, inside: tuple[str, ...]) -> Schema:
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        if name in inside:
            raise UnportableSchemaError(f"{where}: {name} contains itself; flatten it")
        merged = {**definitions[name], **{key: value for key, value in schema.items() if key != "$ref"}}
        return _flat(merged, definitions, where, (*inside, name))
    for combinator in ("anyOf", "oneOf", "allOf", "not"):
        if combinator in schema:
            raise UnportableSchemaError(f"{where}: {combinator}; use one type with a plain default instead of a union")
    flat: Schema = {}
    for key, value in schema.items():
        if key == "title" or (key == "description" and "properties" in schema):
            continue  # a model's docstring speaks to its maintainers; its fields speak to callers
        if key == "properties":
            flat[key] = {
                name: _flat(item, definitions, f"{where}.{name}", inside)
                for name, item in cast("dict[str, Schema]", value).items()
            }
        elif isinstance(value, dict) and key in ("items", "additionalProperties"):
            flat[key] = _flat(cast("Schema", value), definitions, f"{where}[]", inside)
        else:
            flat[key] = value
    if flat.get("type") == "object" and "properties" in flat:
        flat.setdefault("additionalProperties", False)
    return flat
