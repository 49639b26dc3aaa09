"""Write each server's surface file, or check that it is what the server offers.

    python scripts/generate_surface.py            write
    python scripts/generate_surface.py --check    exit with 1, and say what is stale

A surface file holds what the server offers under any settings, in wire form, so that the porter can answer a host before
the server is loaded; see `gatelodge_core.launch.porter`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from gatelodge_core.launch.porter.surface import FILE
from gatelodge_core.launch.porter.taking import Message, taken
from gatelodge_core.launch.porter.words import DISCOVER, HANDSHAKES, INITIALIZE, LISTS, MODERN, SERVER_INFO
from gatelodge_core.server import Lodge
from gatelodge_core.settings import LodgeSettings
from gatelodge_filesystem.server import build as build_filesystem
from gatelodge_filesystem.settings import OPTIONAL_TOOLS, FilesystemSettings
from gatelodge_github.credentials import NoCredential
from gatelodge_github.prompts import NEEDS as PROMPTS_NEED
from gatelodge_github.resources import NEEDS as RESOURCES_NEED
from gatelodge_github.server import GROUPED as GITHUB_GROUPS
from gatelodge_github.server import build as build_github
from gatelodge_github.settings import GithubSettings
from gatelodge_postgres.server import GROUPED as POSTGRES_GROUPS
from gatelodge_postgres.server import build as build_postgres
from gatelodge_postgres.settings import PostgresSettings
from gatelodge_websearch.server import build as build_websearch
from gatelodge_websearch.settings import WebsearchSettings

ROOT = Path(__file__).resolve().parents[1]
KEYS = {"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources",
        "resources/templates/list": "resourceTemplates"}  # fmt: skip
NAMES = {
    "tools/list": "name",
    "prompts/list": "name",
    "resources/list": "uri",
    "resources/templates/list": "uriTemplate",
}


@dataclass(frozen=True)
class Surfaced:
    """A server, and how everything it could offer is brought out.

    Args:
        settings: Its settings' model.
        builds: Servers that together offer everything, from a folder for their state.
        groups: Tools by the group that settings choose.
        others: The group of what is in none of them, and not in all of `builds`; for each of these.
        needs: The tool without which a prompt or a resource isn't offered, by its name or URI.
    """

    settings: type[LodgeSettings]
    builds: tuple[Callable[[Path], Lodge[Any]], ...]
    groups: Mapping[str, Iterable[str]]
    others: tuple[str, ...] = ("",)
    needs: Mapping[str, str] | None = None

    @property
    def path(self) -> Path:
        """The file."""
        name = self.settings.server
        return ROOT / f"servers/{name}/src/gatelodge_{name}" / FILE


def _filesystem(more: Mapping[str, Any]) -> Callable[[Path], Lodge[Any]]:
    def build(base: Path) -> Lodge[Any]:
        (base / "root").mkdir(exist_ok=True)
        given = {"roots": [str(base / "root")], "state_dir": str(base / "state"), "tools": list(OPTIONAL_TOOLS), **more}
        return build_filesystem(FilesystemSettings.model_validate(given))

    return build


def _postgres(base: Path) -> Lodge[Any]:
    given = {"url": "postgresql://127.0.0.1:1/one", "allow_write": True, "allow_admin": True, "state_dir": str(base)}
    return build_postgres(PostgresSettings.model_validate(given))


SERVERS = (
    Surfaced(
        FilesystemSettings,
        (_filesystem({}), _filesystem({"compat": "reference"})),
        OPTIONAL_TOOLS,
        others=("own", "compat"),
    ),
    Surfaced(
        GithubSettings,
        (lambda base: build_github(GithubSettings(toolsets="all", state_dir=str(base)), NoCredential()),),
        {name: part.tools for name, part in GITHUB_GROUPS.items()},
        needs=PROMPTS_NEED | RESOURCES_NEED,
    ),
    Surfaced(PostgresSettings, (_postgres,), {name: part.tools for name, part in POSTGRES_GROUPS.items()}),
    Surfaced(WebsearchSettings, (lambda base: build_websearch(WebsearchSettings(state_dir=str(base))),), {}),
)


def kinds(model: type[LodgeSettings]) -> dict[str, str]:
    """How each setting is set by a flag: ``flag``, ``list``, ``value``, or not at all (empty)."""
    actions = {action.dest: action for action in model.parser()._actions}
    found: dict[str, str] = {}
    for name in model.model_fields:
        action = actions.get(name)
        if action is None or name == model.positional:
            found[name] = ""
        elif action.nargs == 0:
            found[name] = "flag"
        else:
            found[name] = "list" if type(action).__name__ == "_AppendAction" else "value"
    return found


def surface(server: Surfaced) -> Message:
    """What a server's file is to hold.

    Raises:
        ValueError: The revisions differ where the file has one form for all.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-surface-") as folder:
        lodges = [build(Path(folder)) for build in server.builds]
        try:
            built = [
                (lodge, {revision: anyio.run(_answers, lodge, revision) for revision in (*HANDSHAKES, MODERN)})
                for lodge in lodges
            ]
        finally:
            for lodge in lodges:
                getattr(lodge.domain, "close", lambda: None)()
    answers = [answered for _, answered in built]
    legacy, modern = answers[0][HANDSHAKES[-1]], answers[0][MODERN]
    return {
        "server": server.settings.server,
        "positional": server.settings.positional,
        "settings": kinds(server.settings),
        "info": _same([legacy[INITIALIZE]["serverInfo"], modern[DISCOVER]["_meta"][SERVER_INFO]]),
        "capabilities": {
            "legacy": _same(
                [build[revision][INITIALIZE]["capabilities"] for build in answers for revision in HANDSHAKES]
            ),
            "modern": _same([build[MODERN][DISCOVER]["capabilities"] for build in answers]),
        },
        "modern": {
            method: _beside(result, {"capabilities", "instructions", "_meta", KEYS.get(method, "")})
            for method, result in modern.items()
        },
        "keys": KEYS,
        "lists": {method: _entries(server, built, method) for method in LISTS},
    }


async def _answers(lodge: Lodge[Any], revision: str) -> dict[str, Message]:
    # A list that varies is a call, and asks a backend: it is never the porter's.
    return await taken(lodge.lowlevel, revision, ["resources/list"] if lodge.list_varies else [])


def _entries(
    server: Surfaced, built: list[tuple[Lodge[Any], dict[str, dict[str, Message]]]], method: str
) -> list[Message] | None:
    """The items of a list, each once, in an order that all builds have; None if the list varies."""
    if any(method not in answers[MODERN] for _, answers in built):
        return None
    listed = [_same([answer[method][KEYS[method]] for answer in answers.values()]) for _, answers in built]
    found: list[Message] = []
    for (lodge, _), items, others in zip(built, listed, server.others, strict=True):
        at = 0
        for item in items:
            entry = _entry(server, lodge, method, item)
            if not entry.get("group") and not all(item in other for other in listed):
                entry["group"] = others
            if entry not in found:
                found.insert(at, entry)
            at = found.index(entry) + 1
    return found


def _entry(server: Surfaced, lodge: Lodge[Any], method: str, item: Message) -> Message:
    name = item[NAMES[method]]
    entry = {"name": name}
    if method == "tools/list":
        entry["group"] = next((key for key, names in server.groups.items() if name in names), "")
        entry["effect"] = str(lodge.declarations.tools[name].nature.effect)
        views = {tool: uri for uri, view in lodge.declarations.views.items() for tool in view.tools}
        entry |= {"view": views[name]} if name in views else {}
    if server.needs and name in server.needs:
        entry["needs"] = server.needs[name]
    return {**entry, "is": item}


def _beside(result: Message, left_out: set[str]) -> Message:
    return {key: value for key, value in result.items() if key not in left_out}


def _same(values: list[Any]) -> Any:
    if any(value != values[0] for value in values):
        raise ValueError(f"what was the same in all revisions and settings is so no more: {values}")
    return values[0]


def text(content: Message) -> str:
    """A surface file's text: a line for each item, so that a change is seen in the diff."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check; the exit status."""
    stale: list[str] = []
    for server in SERVERS:
        made = text(surface(server))
        if not server.path.exists() or server.path.read_text(encoding="utf-8") != made:
            stale.append(str(server.path.relative_to(ROOT)))
            if "--check" not in arguments:
                server.path.write_text(made, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(f"stale: {', '.join(stale)}; run `uv run poe surface`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
