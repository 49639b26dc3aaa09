"""Write the generated parts of the documentation, or check that they are up to date.

    python scripts/generate_docs.py            write
    python scripts/generate_docs.py --check    exit with 1, and say what is stale

A generated part stands between ``<!-- NAME:begin ... -->`` and ``<!-- NAME:end -->``. Besides the READMEs it writes each
server's ``server.json`` and ``manifest.json``, and the table of clients in ``docs/14-clients.md``.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import manifests
from gatelodge_core.cli.hosts import HOSTS, Host, Machine
from gatelodge_core.cli.hosts.shapes import Secret, Wanted, passes_secrets, shape
from gatelodge_core.declare import Declarations
from gatelodge_core.settings import PREFIX, LodgeSettings
from gatelodge_filesystem.server import declarations as filesystem
from gatelodge_filesystem.settings import FilesystemSettings
from gatelodge_github.server import OFFERED as GITHUB
from gatelodge_github.settings import GithubSettings
from gatelodge_postgres.server import OFFERED as POSTGRES
from gatelodge_postgres.settings import PostgresSettings
from gatelodge_websearch.server import declarations as websearch
from gatelodge_websearch.settings import WebsearchSettings
from links import install_section
from products import PRODUCTS, ROOT
from pydantic import SecretStr

sys.path.insert(0, str(ROOT))
from tests.clients.facts import CLIENTS


@dataclass(frozen=True)
class Documented:
    """A server whose README has generated parts."""

    readme: Path
    settings: type[LodgeSettings]
    declarations: Declarations[Any]


def servers() -> list[Documented]:
    """All servers there are."""
    return [
        Documented(
            ROOT / "servers/filesystem/README.md",
            FilesystemSettings,
            filesystem(FilesystemSettings(roots=["/anywhere"])),
        ),
        Documented(ROOT / "servers/github/README.md", GithubSettings, GITHUB),
        Documented(ROOT / "servers/postgres/README.md", PostgresSettings, POSTGRES),
        Documented(ROOT / "servers/websearch/README.md", WebsearchSettings, websearch(WebsearchSettings())),
    ]


def tool_table(declarations: Declarations[Any]) -> str:
    """The tools, with what follows from their declarations."""
    rows = ["| tool | what it does | effect | by default |", "|---|---|---|---|"]
    for tool in declarations.tools.values():
        words = [str(tool.nature.effect)]
        words += ["only adds"] if tool.nature.additive else []
        words += [str(tool.nature.reach)] if tool.nature.hints.open_world else []
        rows.append(f"| `{tool.name}` | {tool.description} | {', '.join(words)} | {tool.nature.default_rule} |")
    return "\n".join(rows)


def settings_table(model: type[LodgeSettings]) -> str:
    """The settings, with each one's flag, variable and default."""
    rows = ["| setting | flag | what it does | default |", "|---|---|---|---|"]
    shared = set(LodgeSettings.model_fields)
    for name, info in model.model_fields.items():
        flag = f"`--{name.replace('_', '-')}`" if name != model.positional else "arguments"
        if info.annotation is SecretStr or (info.json_schema_extra or {}) == {"flag": False}:
            flag = "-"
        default = info.get_default(call_default_factory=True, validated_data={})
        empty = default in ("", [], {}, None) or isinstance(default, SecretStr)
        shown = "-" if empty else f"`{default}`"
        variable = f"{PREFIX}{name.upper()}" if name in shared else f"{PREFIX}{model.server.upper()}_{name.upper()}"
        rows.append(f"| `{name}` (`{variable}`) | {flag} | {info.description} | {shown} |")
    return "\n".join(rows)


def hosts_table() -> str:
    """The hosts, where their files are, and how each passes a secret to a server."""
    rows = ["| host | name here | your file | file of a project | a secret comes |", "|---|---|---|---|---|"]
    for host in HOSTS.values():
        project = ", ".join(f"`{path[2:]}`" for path in host.project(Machine("~", "linux", {}, "."))) or "-"
        rows.append(f"| {host.title} | `{host.name}` | {_user_files(host)} | {project} | {_secret(host)} |")
    return "\n".join(rows)


def _user_files(host: Host) -> str:
    places = {
        "": host.user(Machine("~", "linux", {})),
        "macOS": host.user(Machine("~", "darwin", {})),
        "Windows": host.user(Machine("~", "win32", {"APPDATA": "%APPDATA%"})),
    }
    shown = ", ".join(f"`{path}`" for path in places[""])
    for name in ("macOS", "Windows"):
        if places[name] != places[""]:
            shown += f"; {name}: " + ", ".join(f"`{path}`" for path in places[name])
    return shown


def _secret(host: Host) -> str:
    if not passes_secrets(host):
        return "from a file of mode 0600"
    form = shape(host, Wanted("k", "c", (), (Secret("NAME", "a token"),)))
    if form.inputs:
        return "asked for by the host (`inputs`)"
    if form.names:
        return f"by name (`{next(iter(form.names))}`)"
    return f"by `{form.env['NAME']}`"


def renewed(text: str, name: str, content: str) -> str:
    """`text` with one generated part replaced.

    Raises:
        ValueError: It has no such part.
    """
    pattern = re.compile(rf"(<!-- {name}:begin[^>]*-->\n).*?(<!-- {name}:end -->)", re.DOTALL)
    made, count = pattern.subn(lambda found: f"{found.group(1)}{content}\n{found.group(2)}", text)
    if count != 1:
        raise ValueError(f"there must be one part {name}")
    return made


def client_versions() -> dict[str, str]:
    """The pinned version of each client's package."""
    packages: dict[str, str] = json.loads((ROOT / "tests/clients/package.json").read_text("utf-8"))["dependencies"]
    for lock, name in (("tests/clients/fastmcp.lock", "fastmcp"), ("requirements.lock", "mcp")):
        found = re.search(rf"^{name}==([^\s\\]+)", (ROOT / lock).read_text("utf-8"), re.MULTILINE)
        packages[name] = found[1] if found else "?"
    return packages


def client_table() -> str:
    """The clients that are tested on every server."""
    versions = client_versions()
    rows = ["| client | version | opens with | lists | calls | reads | prompts |", "|---|---|---|---|---|---|---|"]
    for facts in CLIENTS.values():
        marks = [
            ("lists", True),
            ("calls", True),
            ("reads", not facts.listed_only),
            ("prompts", not facts.no_prompts_of),
        ]
        cells = ["-" if name not in facts.can else "yes" if everywhere else "partly" for name, everywhere in marks]
        row = [facts.name, versions[facts.package], facts.revision, *cells]
        rows.append(f"| {' | '.join(row)} |")
    # Below the table: a column of sentences would make it unreadable on a narrow page.
    rows.append("")
    rows += [f"- {facts.name}: {facts.remark}." for facts in CLIENTS.values() if facts.remark]
    return "\n".join(rows)


def pages() -> dict[Path, str]:
    """All files with generated parts, and the wholly generated ones, as they should be."""
    made: dict[Path, str] = {}
    for server in servers():
        product = next(one for one in PRODUCTS if one.folder == server.readme.parent)
        text = renewed(server.readme.read_text(encoding="utf-8"), "tools", tool_table(server.declarations))
        text = renewed(text, "settings", settings_table(server.settings))
        made[server.readme] = renewed(text, "install", install_section(product))
        made[product.folder / "server.json"] = manifests.text(manifests.server_json(product))
        made[product.folder / "manifest.json"] = manifests.text(manifests.manifest(product))
    hosts = ROOT / "docs/11-hosts.md"
    made[hosts] = renewed(hosts.read_text(encoding="utf-8"), "hosts", hosts_table())
    clients = ROOT / "docs/14-clients.md"
    made[clients] = renewed(clients.read_text(encoding="utf-8"), "clients", client_table())
    return made


def main(arguments: list[str]) -> int:
    """Write or check; the exit status."""
    stale: list[str] = []
    for path, text in pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.relative_to(ROOT).as_posix())
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(f"stale: {', '.join(stale)}; run `uv run poe docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
