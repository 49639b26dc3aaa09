"""JSON held to the schemas of an OpenAPI 3.0 description: what is wrong, and where.

OpenAPI 3.0's schemas are JSON Schema but for a few words, so they are rewritten (``nullable``) and given to
jsonschema-rs. Only what a schema reaches is compiled with it: a few milliseconds, and hundreds with all components.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import jsonschema_rs

Schema = Mapping[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LONGEST = 160
"""Characters of a problem's text: an offending value can be a page."""

UNKEPT = frozenset({"uri", "uri-template", "email"})
"""Formats that GitHub's answers don't keep to: an empty homepage, ``1+dependabot[bot]@users.noreply.github.com``."""

SCHEMAS = frozenset({"items", "additionalProperties"})
LISTS = frozenset({"allOf", "anyOf", "oneOf"})
KEPT = frozenset({
    "type", "enum", "format", "pattern", "required", "uniqueItems", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties", "maxProperties",
})  # fmt: skip
SAID = frozenset({
    "title", "description", "example", "examples", "default", "deprecated", "readOnly", "externalDocs",
    "discriminator", "nullable", "properties", "$ref",
})  # fmt: skip
"""Words that say nothing about the value, or are handled by name."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that doesn't fit.

    Args:
        pointer: Where, as a JSON pointer; it includes the name of a field that is missing or not described.
        text: What is wrong.
    """

    pointer: str
    text: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.text}"


class Shapes:
    """The schemas of a description.

    Args:
        components: Its named schemas.
        closed: Whether a field that a schema doesn't name is a problem, wherever it names any. Right for what is
            sent, where such a field is a slip; what GitHub answers may always have more.
    """

    def __init__(self, components: Mapping[str, Schema], *, closed: bool) -> None:
        self._components = components
        self._closed = closed
        self._rewritten: dict[str, dict[str, Any]] = {}

    def compiled(self, schema: Schema) -> jsonschema_rs.Validator:
        """A validator for `schema`."""
        wanted = self._rewrite(schema)
        reached: dict[str, dict[str, Any]] = {}
        self._reach(wanted, reached)
        return jsonschema_rs.validator_for({**wanted, "$schema": DIALECT, "$defs": reached}, validate_formats=True)

    def _reach(self, node: object, reached: dict[str, dict[str, Any]]) -> None:
        if isinstance(node, dict):
            fields = cast("dict[str, object]", node)
            reference = fields.get("$ref")
            if isinstance(reference, str):
                name = reference.rpartition("/")[2]
                if name not in reached:
                    reached[name] = self._component(name)
                    self._reach(reached[name], reached)
            for value in fields.values():
                self._reach(value, reached)
        elif isinstance(node, list):
            for value in cast("list[object]", node):
                self._reach(value, reached)

    def _component(self, name: str) -> dict[str, Any]:
        if name not in self._rewritten:
            # Closed, if at all, where it is referred to: alone it may be one part of an `allOf`.
            self._rewritten[name] = self._rewrite(self._components[name], part=True)
        return self._rewritten[name]

    def _rewrite(self, schema: Schema, *, part: bool = False) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for word, value in schema.items():
            if word in KEPT:
                if self._closed or word != "format" or value not in UNKEPT:
                    made[word] = value
            elif word in SCHEMAS:
                made[word] = value if isinstance(value, bool) else self._rewrite(value)
            elif word in LISTS:
                made[word] = [self._rewrite(one, part=True) for one in value]
            elif word not in SAID and not word.startswith("x-"):
                raise ValueError(f"a schema says {word!r}, which is not known here")
        if "properties" in schema:
            made["properties"] = {name: self._rewrite(one) for name, one in schema["properties"].items()}
        if "$ref" in schema:
            made["$ref"] = "#/$defs/" + _name(schema)
        if self._closed and not part and self._names_fields(schema):
            made["unevaluatedProperties"] = False
        return _nullable(made) if schema.get("nullable") is True else made

    def _names_fields(self, schema: Schema) -> bool:
        if "$ref" in schema:
            return self._names_fields(self._components[_name(schema)])
        parts = (one for word in LISTS for one in schema.get(word, ()))
        return bool(schema.get("properties")) or any(map(self._names_fields, parts))


def _name(schema: Schema) -> str:
    return cast("str", schema["$ref"]).rpartition("/")[2]


def _nullable(made: dict[str, Any]) -> dict[str, Any]:
    """Let null pass too. GitHub writes ``nullable`` beside combinators and enums as well, where OpenAPI forbids it."""
    if made.keys() & (LISTS | {"$ref"}) or "enum" in made:
        return {"anyOf": [{"type": "null"}, made]}
    return {**made, "type": [made["type"], "null"]} if "type" in made else made


def problems(validator: jsonschema_rs.Validator, value: object) -> list[Problem]:
    """What of `value`, read from JSON, doesn't fit."""
    return [problem for error in validator.iter_errors(value) for problem in _told(error)]


Kind = jsonschema_rs.ValidationErrorKind


def _told(error: jsonschema_rs.ValidationError) -> Iterator[Problem]:
    pointer = "".join(f"/{_escaped(str(step))}" for step in error.instance_path)
    match error.kind:
        case Kind.AnyOf(context=branches) | Kind.OneOfNotValid(context=branches):
            # One branch was meant: tell what is wrong by that.
            for inner in min(branches, key=functools.partial(_distance, len(error.instance_path))):
                yield from _told(inner)
        case Kind.Required(property=name):
            yield Problem(f"{pointer}/{_escaped(name)}", "is missing")
        case Kind.UnevaluatedProperties(unexpected=names) | Kind.AdditionalProperties(unexpected=names):
            for name in names:
                yield Problem(f"{pointer}/{_escaped(name)}", "is not described")
        case Kind.Type(types=types):
            yield Problem(pointer, f"is {_type(error.instance)}, not {' or '.join(types)}")
        case _:
            text = error.message
            yield Problem(pointer, text if len(text) <= LONGEST else f"{text[: LONGEST - 40]} ... {text[-35:]}")


def _distance(depth: int, errors: list[jsonschema_rs.ValidationError]) -> tuple[int, int]:
    """How far a value is from what a branch wants: by its type, then by fields too many, then by what is missing."""
    told = [(error, len(error.instance_path) == depth) for error in errors]
    if any(here and isinstance(error.kind, Kind.Type) for error, here in told):
        return 2, len(errors)
    if any(here and isinstance(error.kind, Kind.Enum | Kind.AdditionalProperties) for error, here in told):
        return 1, len(errors)
    return 0, len(errors)


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _type(value: object) -> str:
    names = {"str": "string", "bool": "boolean", "int": "integer", "float": "number", "dict": "object", "list": "array"}
    return names.get(type(value).__name__, "null")
