"""The rules of the MCP Registry for ``server.json``, schema of 2025-12-11, as far as it has what we use.

Written from the registry's own schema (modelcontextprotocol/registry), and stricter: nothing but what is named here may
be there. With the official file, named by ``TESTS_REGISTRY_SCHEMA``, the tests hold the files against that as well; it
isn't kept here since it names package indexes, which no file of this repository does.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def _object(required: list[str], **properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_TEXT: Json = {"type": "string", "minLength": 1}
_VERSION: Json = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^\d+\.\d+\.\d+([ab.-][\w.]+)?$"}
_INPUT: Json = {
    "description": _TEXT,
    "isRequired": {"type": "boolean"},
    "isSecret": {"type": "boolean"},
    "placeholder": _TEXT,
    "format": {"enum": ["string", "number", "boolean", "filepath"]},
}
_PACKAGE = _object(
    ["registryType", "identifier", "version", "transport"],
    registryType={"enum": ["npm", "pypi", "oci", "nuget", "mcpb", "cargo"]},
    identifier=_TEXT,
    version=_VERSION,
    runtimeHint={"enum": ["npx", "uvx", "docker", "dnx"]},
    transport=_object(["type"], type={"const": "stdio"}),
    packageArguments={
        "type": "array",
        "items": _object(
            ["type", "valueHint"],
            type={"const": "positional"},
            valueHint=_TEXT,
            isRepeated={"type": "boolean"},
            **_INPUT,
        ),
    },
    environmentVariables={"type": "array", "items": _object(["name"], name={"pattern": "^[A-Z][A-Z0-9_]*$"}, **_INPUT)},
)
SERVER: Json = _object(
    ["$schema", "name", "description", "version", "packages"],
    **{
        "$schema": {"const": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"},
        "name": {"type": "string", "minLength": 3, "maxLength": 200, "pattern": "^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$"},
        "title": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": _VERSION,
        "websiteUrl": {"type": "string", "pattern": "^https://"},
        "repository": _object(
            ["url", "source"], url={"pattern": "^https://"}, source={"const": "github"}, subfolder=_TEXT
        ),
        "packages": {"type": "array", "minItems": 1, "items": _PACKAGE},
    },
)
