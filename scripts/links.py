"""How a server gets into a host: install links, and the entry for each host's file.

No link carries a secret: Cursor takes it from its environment, VS Code asks for it and keeps it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from products import Asked, Product

Json = dict[str, Any]
CURSOR = "https://cursor.com/en/install-mcp"
"""Cursor's own page, which opens ``cursor://anysphere.cursor-deeplink/mcp/install``: README pages drop such addresses."""
VSCODE = "https://insiders.vscode.dev/redirect/mcp/install"
"""VS Code's own page, which opens ``vscode:mcp/install``."""


def entry(product: Product, value: Callable[[Asked], str]) -> Json:
    """A server's entry, as most hosts write it; `value` gives what stands for something that a person is asked."""
    shown = [one for one in product.asked if one.required or one.shown]
    return {
        "command": "uvx",
        "args": [product.package, *(value(one) for one in shown if not one.variable)],
        "env": {one.variable: value(one) for one in shown if one.variable},
    }


def cursor_link(product: Product) -> str:
    """Adds it to Cursor."""

    def value(asked: Asked) -> str:
        return f"${{env:{asked.variable}}}" if asked.variable else "${workspaceFolder}"

    packed = base64.b64encode(json.dumps(entry(product, value)).encode()).decode()
    return f"{CURSOR}?{urlencode({'name': product.package, 'config': packed})}"


def vscode_link(product: Product) -> str:
    """Adds it to VS Code, which asks for what it needs."""
    inputs = [
        {"type": "promptString", "id": one.key, "description": one.description, "password": one.secret}
        for one in product.asked
        if one.variable and (one.required or one.shown)
    ]

    def value(asked: Asked) -> str:
        return f"${{input:{asked.key}}}" if asked.variable else "${workspaceFolder}"

    config = entry(product, value)
    given = {"name": product.package, "inputs": json.dumps(inputs), "config": json.dumps({"type": "stdio", **config})}
    return f"{VSCODE}?{urlencode({key: text for key, text in given.items() if text != '[]'}, quote_via=quote)}"


def _example(asked: Asked) -> str:
    return asked.example


def _json(made: Json) -> str:
    # Lists of words on one line, as people write them.
    def joined(found: re.Match[str]) -> str:
        return "[" + re.sub(r",\s+", ", ", found[1]) + "]"

    return "```json\n" + re.sub(r'\[\s+("[^\[\]{}]*?)\s+\]', joined, json.dumps(made, indent=2)) + "\n```"


def _secret_names(product: Product) -> list[str]:
    return list(entry(product, _example)["env"])


def standard(product: Product) -> str:
    """The entry that most hosts take."""
    return _json({"mcpServers": {product.package: entry(product, _example)}})


def hosts(product: Product) -> dict[str, str]:
    """What to do in each host, in Markdown."""
    made, names = entry(product, _example), _secret_names(product)
    toml = [f"[mcp_servers.{product.package}]", 'command = "uvx"', f"args = {json.dumps(made['args'])}"]
    toml += [f"env_vars = {json.dumps(names)}  # their values come from Codex's own environment"] if names else []
    goose = {
        "name": product.package, "type": "stdio", "cmd": "uvx", "args": made["args"], "env_keys": names, "timeout": 300,
        "enabled": True,
    }  # fmt: skip
    # A name that Claude Code replaces: what is typed stays in the shell's history.
    exports = "".join(f" --env '{name}=${{{name}}}'" for name in names)
    claude = f"claude mcp add --scope user{exports} {product.package} -- uvx {' '.join(made['args'])}"
    if names:  # --env takes several: something must end it
        claude = f"claude mcp add {product.package} --scope user{exports} -- uvx {' '.join(made['args'])}"
    vscode = {key: value for key, value in made.items() if key != "env"} | {
        "type": "stdio",
        "env": {one.variable: f"${{input:{one.key}}}" for one in product.asked if one.variable in names},
    }
    inputs = [
        {"type": "promptString", "id": one.key, "description": one.title, "password": one.secret}
        for one in product.asked
        if one.variable in names
    ]
    return {
        "Claude Desktop": "Open Settings > Developer > Edit Config, and write the absolute path of `uvx` (`which uvx`), as a program "
        f"started from the desktop doesn't see your PATH:\n\n{standard(product)}\n\nOr double-click the bundle "
        f"`{product.package}.mcpb`: the host brings uv along.",
        "Claude Code": f"```bash\n{claude}\n```",
        "Cursor": f"[Install in Cursor]({cursor_link(product)}), or `~/.cursor/mcp.json`:\n\n{standard(product)}",
        "VS Code": f"[Install in VS Code]({vscode_link(product)}), or `mcp.json`:\n\n"
        + _json({"inputs": inputs, "servers": {product.package: vscode}}),
        "Codex": "`~/.codex/config.toml`:\n\n```toml\n" + "\n".join(toml) + "\n```",
        "Gemini CLI": f"`~/.gemini/settings.json`:\n\n{standard(product)}",
        "Zed": "`settings.json`:\n\n" + _json({"context_servers": {product.package: {"source": "custom", **made}}}),
        "opencode": "`~/.config/opencode/opencode.json`:\n\n"
        + _json(
            {
                "mcp": {
                    product.package: {
                        "type": "local",
                        "command": [made["command"], *made["args"]],
                        "environment": made["env"],
                        "enabled": True,
                    }
                }
            }
        ),
        "Goose": "`~/.config/goose/config.yaml` (JSON is YAML too):\n\n"
        + _json({"extensions": {product.package: goose}}),
        "Devin Desktop (Windsurf)": f"`~/.config/devin/mcp_config.json`:\n\n{standard(product)}",
    }


def install_section(product: Product) -> str:
    """The part of a README: buttons, the standard entry, and one fold for each host."""
    parts = [
        f"[**Install in Cursor**]({cursor_link(product)}) · [**Install in VS Code**]({vscode_link(product)})",
        "The entry that most hosts take:",
        standard(product),
    ]
    for name, words in hosts(product).items():
        parts.append(f'<details markdown="1">\n<summary>{name}</summary>\n\n{words}\n\n</details>')
    return "\n\n".join(parts)
