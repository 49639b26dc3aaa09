"""What each server offers unless settings say otherwise, from its surface file (`scripts/generate_surface.py`)."""

from __future__ import annotations

import json
from typing import Any

from products import Product

Json = dict[str, Any]
USUAL_GROUPS: dict[str, tuple[str, ...]] = {
    "filesystem": ("own",),
    "postgres": ("core", "dev", "dba"),
    "github": ("context", "repos", "issues", "pulls", "actions"),
    "websearch": ("",),
}
"""The groups of tools that are on by default, as the surface files name them; a test holds it against the servers."""


def usual_tools(product: Product) -> list[Json]:
    """The tools in wire form, in the order in which they are listed."""
    (file,) = product.folder.glob("src/*/surface.json")
    items = json.loads(file.read_text(encoding="utf-8"))["lists"]["tools/list"]
    return [{"name": item["name"], **item["is"]} for item in items if item["group"] in USUAL_GROUPS[product.key]]
