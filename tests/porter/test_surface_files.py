"""Surface files: what the porter would answer is what the server answers, under any settings."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.apps.words import EXTENSION, MIME_TYPE
from gatelodge_core.launch.porter.given import Unknown
from gatelodge_core.launch.porter.posting import answers_of
from gatelodge_core.launch.porter.surface import Answers
from gatelodge_core.launch.porter.taking import taken
from gatelodge_core.launch.porter.words import DISCOVER, HANDSHAKES, INITIALIZE, LISTS, MODERN
from gatelodge_core.server import Lodge
from gatelodge_core.settings import LodgeSettings
from gatelodge_filesystem.server import build as build_filesystem
from gatelodge_filesystem.settings import FilesystemSettings
from gatelodge_github.credentials import NoCredential
from gatelodge_github.server import build as build_github
from gatelodge_github.settings import GithubSettings
from gatelodge_postgres.server import build as build_postgres
from gatelodge_postgres.settings import PostgresSettings
from gatelodge_websearch.server import build as build_websearch
from gatelodge_websearch.settings import WebsearchSettings

from tests.support.toy import ToySettings
from tests.support.toy import build as build_toy

SHOWS_VIEWS: dict[str, Any] = {"extensions": {EXTENSION: {"mimeTypes": [MIME_TYPE]}}}
ROOT = Path(__file__).parents[2]
URL = "postgresql://127.0.0.1:1/one"

UPDATE = os.environ.get("GATELODGE_UPDATE_SURFACE") == "1"

Build = Callable[[Any], Lodge[Any]]
BUILDS: dict[str, tuple[type[LodgeSettings], Build]] = {
    "filesystem": (FilesystemSettings, build_filesystem),
    "github": (GithubSettings, lambda settings: build_github(settings, NoCredential())),
    "postgres": (PostgresSettings, build_postgres),
    "websearch": (WebsearchSettings, build_websearch),
}

POLICY = """
[[rule]]
tool = "write_file"
then = "deny"
[[rule]]
server = "github"
effect = "write"
then = "deny"
[[rule]]
tool = "run_query"
subject = "secret.*"
then = "deny"
[[rule]]
tool = "research_*"
principal = "os-user:*"
then = "deny"
"""


def started(
    base: Path, monkeypatch: pytest.MonkeyPatch, server: str, arguments: list[str], variables: Mapping[str, str]
) -> tuple[Answers, Lodge[Any]]:
    """The porter's answers and the server itself, from one command line and environment."""
    for name in [name for name in os.environ if name.upper().startswith("GATELODGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(base / "config"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    given = [*arguments, "--state-dir", str(base / "state")]
    answers = answers_of(f"gatelodge_{server}.surface:chosen", given, os.environ)
    model, build = BUILDS[server]
    return answers, build(model.load(given))


def differences(answers: Answers, lodge: Lodge[Any], *, shows: bool = False) -> tuple[list[str], set[str]]:
    """The methods whose answer is another than the server's, and those that are left to it."""
    wrong: list[str] = []
    left: set[str] = set()
    for revision in (*HANDSHAKES, MODERN):
        left_out = ["resources/list"] if lodge.list_varies else []
        found = anyio.run(taken, lodge.lowlevel, revision, left_out, SHOWS_VIEWS if shows else {})
        for method in (*LISTS, DISCOVER if revision == MODERN else INITIALIZE):
            said = (
                answers.initialize(revision, shows=shows)
                if method == INITIALIZE
                else answers.result(method, modern=revision == MODERN, shows=shows)
            )
            if said is None:
                left.add(method)
            elif not _same(said, found.get(method, {})):
                wrong.append(f"{method} in {revision}")
    getattr(lodge.domain, "close", lambda: None)()
    return wrong, left


def _same(said: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether two results are equal; of tools even the order of their parameters."""
    orders = [[list(tool["inputSchema"]["properties"]) for tool in result.get("tools", ())] for result in (said, found)]
    return said == found and orders[0] == orders[1]


NONE: dict[str, str] = {}


@pytest.mark.parametrize(
    ("server", "arguments", "variables"),
    [
        ("filesystem", ["{root}"], NONE),
        ("filesystem", ["{root}:ro"], NONE),
        ("filesystem", ["{root}:ro", "{other}"], NONE),
        ("filesystem", ["{root}", "--read-only"], NONE),
        ("filesystem", ["{root}", "--read-only", "--no-read-only"], NONE),
        ("filesystem", ["{root}", "--tools", "archive", "--tools=apply_patch"], NONE),
        ("filesystem", ["{root}", "--compat=reference"], NONE),
        ("filesystem", ["{root}:ro", "--compat", "reference", "--tools", "archive"], NONE),
        ("filesystem", [], {"GATELODGE_FILESYSTEM_ROOTS": "{root}:ro:{other}:ro"}),
        ("filesystem", [], {"GATELODGE_FILESYSTEM_ROOTS": "{root}:ro:{other}"}),
        ("filesystem", ["{root}"], {"GATELODGE_READ_ONLY": "yes", "GATELODGE_FILESYSTEM_TOOLS": "archive"}),
        ("filesystem", ["{root}"], {"GATELODGE_READ_ONLY": "1", "GATELODGE_FILESYSTEM_READ_ONLY": "off"}),
        ("github", [], NONE),
        ("github", ["--toolsets", "all"], NONE),
        ("github", ["--toolsets", "all", "--read-only"], NONE),
        ("github", ["--toolsets", "issues, releases", "--repo", "octocat/hello"], NONE),
        ("github", ["--exclude-tools", "get_issue,get_run", "--tools", "create_release"], NONE),
        ("github", [], {"GATELODGE_GITHUB_TOOLSETS": "context"}),
        ("postgres", [URL], NONE),
        ("postgres", [URL, "--allow-write", "--allow-admin"], NONE),
        ("postgres", [URL, "--allow-write", "--read-only", "--tools", "core"], NONE),
        ("postgres", [], {"GATELODGE_POSTGRES_URL": URL, "GATELODGE_POSTGRES_TOOLS": "core:dba:write"}),
        ("postgres", [], {"GATELODGE_POSTGRES_SHOP_URL": URL, "GATELODGE_POSTGRES_SHOP_DESCRIPTION": "what is sold"}),
        ("websearch", [], NONE),
        ("websearch", ["--read-only", "--folders", "{root}"], NONE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("policy", [False, True], ids=["", "policy"])
def test_the_porter_answers_what_the_server_would(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    arguments: list[str],
    variables: dict[str, str],
    policy: bool,
) -> None:
    places = {"root": str(tmp_path / "root"), "other": str(tmp_path / "other")}
    for place in places.values():
        os.mkdir(place)
    if policy:
        (tmp_path / "config/gatelodge").mkdir(parents=True)
        (tmp_path / "config/gatelodge/policy.toml").write_text(POLICY, encoding="utf-8")
    answers, lodge = started(
        tmp_path,
        monkeypatch,
        server,
        [text.format(**places) for text in arguments],
        {name: value.format(**places) for name, value in variables.items()},
    )
    assert differences(answers, lodge) == ([], {"resources/list"} if server == "postgres" else set())


@pytest.mark.parametrize(
    ("server", "arguments", "left"),
    [
        ("filesystem", ["{root}"], {"resources/list"}),
        ("filesystem", ["{root}", "--no-apps"], set[str]()),
        ("filesystem", ["{root}", "--read-only"], set[str]()),
        ("filesystem", ["{root}", "--compat", "reference"], set[str]()),
        ("github", ["--toolsets", "all"], set[str]()),
        ("postgres", [URL], {"resources/list"}),
        ("postgres", [URL, f"other={URL}"], {INITIALIZE, DISCOVER, *LISTS} - {"resources/templates/list"}),
        ("websearch", [], {"resources/list"}),
    ],
)
def test_a_host_that_shows_views_hears_of_them_from_the_porter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, arguments: list[str], left: set[str]
) -> None:
    (tmp_path / "root").mkdir()
    given = [text.format(root=tmp_path / "root") for text in arguments]
    answers, lodge = started(tmp_path, monkeypatch, server, given, {})
    wrong, unknown = differences(answers, lodge, shows=True)
    assert (wrong, unknown) == ([], left)


def test_a_policy_takes_tools_out_of_the_porters_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "policy.toml").write_text(POLICY, encoding="utf-8")
    given = [str(tmp_path / "root"), "--policy", str(tmp_path / "policy.toml")]
    answers, _ = started(tmp_path, monkeypatch, "filesystem", given, {})
    listed = answers.result("tools/list", modern=False)
    assert listed is not None
    assert "write_file" not in {tool["name"] for tool in listed["tools"]}


def test_a_policy_that_cant_be_read_leaves_the_tools_to_the_server(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("[[rule]\n", encoding="utf-8")
    given = [str(tmp_path), "--policy", str(tmp_path / "policy.toml")]
    answers = answers_of("gatelodge_filesystem.surface:chosen", given, {})
    assert answers.result("tools/list", modern=True) is None
    assert answers.result("prompts/list", modern=True) is not None


def test_with_several_databases_what_names_them_is_left_to_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config/gatelodge").mkdir(parents=True)
    (tmp_path / "config/gatelodge/config.toml").write_text(
        f'[postgres.databases.books]\nurl = "{URL}"\ndescription = "of the library"\n', encoding="utf-8"
    )
    answers, lodge = started(
        tmp_path, monkeypatch, "postgres", [f"shop={URL}", URL], {"GATELODGE_POSTGRES_ATTIC_URL": URL}
    )
    assert differences(answers, lodge) == ([], {"resources/list", "tools/list", "prompts/list"})
    opened = answers.initialize(MODERN)
    assert opened is not None
    assert opened["instructions"].endswith("Databases: shop, default, books (of the library), attic.")


@pytest.mark.parametrize(
    ("server", "arguments", "variables"),
    [
        ("filesystem", [], NONE),  # no folder: the settings say what to do
        ("filesystem", ["/x", "--help"], NONE),
        ("filesystem", ["/x", "-h"], NONE),
        ("filesystem", ["/x", "--nothing"], NONE),
        ("filesystem", ["/x", "--http", "127.0.0.1:0"], NONE),
        ("filesystem", ["/x"], {"GATELODGE_HTTP": "127.0.0.1:0"}),
        ("filesystem", ["/x", "--policy"], NONE),
        ("filesystem", ["/x", "--compat", "--read-only"], NONE),
        ("filesystem", ["${HOME}"], NONE),
        ("filesystem", ["/x"], {"GATELODGE_POLICY": "${POLICY}"}),
        ("filesystem", ["/x"], {"GATELODGE_READ_ONLY": "perhaps"}),
        ("filesystem", ["/x"], {"gatelodge_read_only": "1"}),
        ("filesystem", ["/x", "--config", "/nowhere.toml"], NONE),
        ("postgres", [], NONE),
        ("postgres", ["--demo"], NONE),
        ("postgres", [URL, "--demo"], NONE),
        ("postgres", [URL], {"GATELODGE_POSTGRES_DATABASES": "{}"}),
        ("github", ["surplus"], NONE),
    ],
)
def test_the_porter_stays_away_from_what_it_cant_tell(
    server: str, arguments: list[str], variables: dict[str, str]
) -> None:
    with pytest.raises(Unknown):
        answers_of(f"gatelodge_{server}.surface:chosen", arguments, variables)


def test_every_surface_file_is_what_its_server_offers() -> None:
    command = [sys.executable, str(ROOT / "scripts/generate_surface.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


def _toy(base: Path) -> Lodge[Any]:
    del base
    return build_toy(ToySettings())


def test_the_toys_surface_file_is_what_the_toy_offers() -> None:
    """It puts the porter in front of all wire tests. ``GATELODGE_UPDATE_SURFACE=1`` writes it anew."""
    place = importlib.util.spec_from_file_location("generate_surface", ROOT / "scripts/generate_surface.py")
    assert place is not None
    assert place.loader is not None
    script: Any = importlib.util.module_from_spec(place)
    sys.modules[place.name] = script  # dataclasses look their module up
    place.loader.exec_module(script)
    found = script.text(script.surface(script.Surfaced(ToySettings, (_toy,), {})))
    path = ROOT / "tests/support/toy_surface/surface.json"
    if UPDATE:
        path.write_text(found, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == found


@pytest.mark.parametrize(
    ("server", "arguments", "table"),
    [
        ("filesystem", ["/x"], '[filesystem.accounts."key:ann"]\nroots = ["/x"]\n'),
        ("postgres", [URL], '[postgres.accounts."key:ann"]\nconnections = ["default"]\n'),
    ],
)
def test_accounts_are_left_to_the_server(tmp_path: Path, server: str, arguments: list[str], table: str) -> None:
    (tmp_path / "config.toml").write_text(table, encoding="utf-8")
    with pytest.raises(Unknown):
        answers_of(f"gatelodge_{server}.surface:chosen", [*arguments, "--config", str(tmp_path / "config.toml")], {})
