"""The files by which registries and hosts know a server: ``server.json``, ``manifest.json``, and a bundle's contents.

- ``server.json``: the MCP Registry's, schema of 2025-12-11. It names the distribution and one exact version.
- ``manifest.json``: of a desktop bundle (``.mcpb``), version 0.4, server type ``uv``: the host brings uv and a Python,
  and ignores ``command``; so the arguments are uv's own.

``python scripts/manifests.py OUT`` lays out all bundles in OUT, each for ``mcpb pack OUT/NAME``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from products import AUTHOR, LICENSE, OWNER, PRIVACY, PRODUCTS, REPOSITORY, Asked, Product, version
from surfaces import usual_tools

Json = dict[str, Any]
REGISTRY_SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
MANIFEST_VERSION = "0.4"


def text(made: Json) -> str:
    """How it is written to a file."""
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _input(asked: Asked) -> Json:
    made: Json = {"description": asked.description, "isRequired": asked.required}
    if asked.secret:
        made["isSecret"] = True
    elif asked.example:
        made["placeholder"] = asked.example
    made["format"] = "filepath" if asked.kind == "directory" else "string"
    return made


def server_json(product: Product) -> Json:
    """What ``mcp-publisher publish`` sends."""
    package: Json = {
        "registryType": "pypi",
        "identifier": product.package,
        "version": version(),
        "runtimeHint": "uvx",
        "transport": {"type": "stdio"},
    }
    arguments = [
        {
            "type": "positional",
            "valueHint": asked.key,
            **_input(asked),
            **({"isRepeated": True} if asked.several else {}),
        }
        for asked in product.asked
        if not asked.variable
    ]
    if arguments:
        package["packageArguments"] = arguments
    variables = [{"name": asked.variable, **_input(asked)} for asked in product.asked if asked.variable]
    if variables:
        package["environmentVariables"] = variables
    return {
        "$schema": REGISTRY_SCHEMA,
        "name": product.registry_name,
        "title": product.title,
        "description": product.summary,
        "repository": {"url": REPOSITORY, "source": "github", "subfolder": f"servers/{product.key}"},
        "websiteUrl": f"{REPOSITORY}/blob/main/servers/{product.key}/README.md",
        "version": version(),
        "packages": [package],
    }


def _form(asked: Asked) -> Json:
    made: Json = {
        "type": asked.kind,
        "title": asked.title,
        "description": asked.description,
        "required": asked.required,
    }
    if asked.secret:
        made["sensitive"] = True
    if asked.several:
        made["multiple"] = True
    if asked.kind == "directory":
        made["default"] = ["${DOCUMENTS}"]
    return made


def manifest(product: Product) -> Json:
    """A desktop bundle's manifest. Prompts are made when they are asked for, so their texts can't stand in it."""
    environment = {asked.variable: f"${{user_config.{asked.key}}}" for asked in product.asked if asked.variable}
    arguments = [f"${{user_config.{asked.key}}}" for asked in product.asked if not asked.variable]
    run: Json = {
        "command": "uv",
        "args": ["run", "--directory", "${__dirname}", "src/server.py", *arguments],
        "env": environment,
    }
    made: Json = {
        "manifest_version": MANIFEST_VERSION,
        "name": product.package,
        "display_name": product.title,
        "version": version(),
        "description": product.summary,
        "author": {"name": AUTHOR, "url": f"https://github.com/{OWNER}"},
        "repository": {"type": "git", "url": REPOSITORY},
        "documentation": f"{REPOSITORY}/blob/main/servers/{product.key}/README.md",
        "support": f"{REPOSITORY}/issues",
        "license": LICENSE,
        "keywords": list(product.tags),
        "server": {"type": "uv", "entry_point": "src/server.py", "mcp_config": run},
        "tools": [{"name": tool["name"], "description": tool["description"]} for tool in usual_tools(product)],
        "tools_generated": True,
        "prompts_generated": True,
        "user_config": {asked.key: _form(asked) for asked in product.asked},
        "compatibility": {"platforms": ["darwin", "win32", "linux"], "runtimes": {"python": ">=3.11,<3.15"}},
    }
    if product.external:
        made["privacy_policies"] = [PRIVACY]
    return made


def write_bundle(product: Product, folder: Path) -> None:
    """Lay out what ``mcpb pack`` packs: the manifest, a project that pins the distribution, and a script that starts it."""
    source = folder / "src"
    source.mkdir(parents=True)
    (folder / "manifest.json").write_bytes((product.folder / "manifest.json").read_bytes())
    (folder / "LICENSE").write_bytes((product.folder / "LICENSE").read_bytes())
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{product.package}-bundle"\nversion = "{version()}"\nrequires-python = ">=3.11,<3.15"\n'
        f'dependencies = ["{product.package}=={version()}"]\n\n[tool.uv]\npackage = false\n',
        encoding="utf-8",
    )
    (source / "server.py").write_text(
        f'"""Starts {product.package}."""\n\nfrom {product.package.replace("-", "_")}.__main__ import main\n\n'
        'if __name__ == "__main__":\n    main()\n',
        encoding="utf-8",
    )


if __name__ == "__main__":
    for each in PRODUCTS:
        write_bundle(each, Path(sys.argv[1]) / each.package)
