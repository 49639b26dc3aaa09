"""Docker's MCP catalog: an entry for each server, as a pull request to docker/mcp-registry carries it.

    python scripts/catalog.py OUT COMMIT

writes ``OUT/servers/gatelodge-NAME/server.yaml`` and ``tools.json``. The catalog pins the commit that was looked at, so
an entry is made at a release and isn't kept here.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from products import PRODUCTS, REPOSITORY, Asked, Product
from surfaces import usual_tools

Json = dict[str, Any]
FOLDERS = "/srv"
"""Where a container finds the folders that it is given."""


class _Dumper(yaml.SafeDumper):
    """Lists stand deeper than their key, as the catalog's formatter has it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)


def _parameters(given: list[Asked]) -> Json:
    properties: Json = {}
    for asked in given:
        kind: Json = {"type": "array", "items": {"type": "string"}} if asked.several else {"type": "string"}
        properties[asked.key] = {**kind, "description": asked.description}
    required = [asked.key for asked in given if asked.required]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def server_yaml(product: Product, commit: str) -> Json:
    """An entry."""
    name = product.package
    plain = [asked for asked in product.asked if not asked.secret]
    config: Json = {"description": f"Configure {product.title}"}
    secrets = [
        {"name": f"{name}.{asked.key}", "env": asked.variable, "example": asked.example}
        for asked in product.asked
        if asked.secret
    ]
    if secrets:
        config["secrets"] = secrets
    variables = [
        {"name": asked.variable, "example": asked.example, "value": f"{{{{{name}.{asked.key}}}}}"}
        for asked in plain
        if asked.variable
    ]
    if variables:
        config["env"] = variables
    if plain:
        config["parameters"] = _parameters(plain)
    folders = [asked for asked in plain if asked.kind == "directory"]
    run: Json = {}
    if folders:
        run["volumes"] = [f"{{{{{name}.{asked.key}|volume|into}}}}" for asked in folders]
        run["command"] = [f"{{{{{name}.{asked.key}|volume-target|into}}}}" for asked in folders]
        run["disableNetwork"] = True
    if product.talks_to:
        run["allowHosts"] = list(product.talks_to)
    made: Json = {
        "name": name,
        "image": f"mcp/{name}",
        "type": "server",
        "meta": {"category": product.category, "tags": list(product.tags)},
        "about": {"title": product.title, "description": product.summary},
        "source": {"project": REPOSITORY, "commit": commit, "dockerfile": "docker/Dockerfile"},
    }
    if run:
        made["run"] = run
    made["config"] = config
    return made


def tools_json(product: Product) -> list[Json]:
    """The tools that are offered unless settings say otherwise, for a build that needn't start the server to see them."""
    made: list[Json] = []
    for tool in usual_tools(product):
        properties: Json = tool["inputSchema"].get("properties", {})
        made.append(
            {
                "name": tool["name"],
                "description": tool["description"],
                "arguments": [
                    {
                        "name": name,
                        "type": given.get("type", "string"),
                        "desc": given.get("description", name.replace("_", " ").capitalize()),
                    }
                    for name, given in properties.items()
                ],
            }
        )
    return made


def write(out: Path, commit: str) -> None:
    """Write all entries.

    Raises:
        ValueError: The commit isn't 40 hexadecimal digits.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise ValueError(f"{commit!r} is not a commit: give all 40 digits, as git rev-parse HEAD prints them")
    for product in PRODUCTS:
        folder = out / "servers" / product.package
        folder.mkdir(parents=True, exist_ok=True)
        entry = yaml.dump(server_yaml(product, commit), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
        (folder / "server.yaml").write_text(entry, encoding="utf-8")
        (folder / "tools.json").write_text(json.dumps(tools_json(product), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2])
