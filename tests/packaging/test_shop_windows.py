"""What registries, catalogs and hosts are told of each server is true, whole, and as they want it."""

from __future__ import annotations

import base64
import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs
import pytest
import yaml
from catalog import server_yaml, tools_json, write
from gatelodge_filesystem.settings import FilesystemSettings
from gatelodge_github.settings import GithubSettings
from gatelodge_postgres.settings import PostgresSettings
from gatelodge_websearch.settings import WebsearchSettings
from links import cursor_link, hosts, vscode_link
from products import PRODUCTS, ROOT, Product, version
from surfaces import usual_tools

from tests.clients._stages import listed
from tests.packaging._registry import SERVER

Json = dict[str, Any]
SETTINGS = {
    "filesystem": FilesystemSettings, "postgres": PostgresSettings, "github": GithubSettings, "websearch": WebsearchSettings,
}  # fmt: skip
each = pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.key)


def server_json(product: Product) -> Json:
    return json.loads((product.folder / "server.json").read_text(encoding="utf-8"))


def test_the_generated_parts_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/generate_docs.py"), "--check"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_there_is_a_product_for_each_server() -> None:
    assert {product.folder for product in PRODUCTS} == {path.parent for path in ROOT.glob("servers/*/pyproject.toml")}


@each
def test_the_registry_would_take_it(product: Product) -> None:
    made = server_json(product)
    jsonschema_rs.validate(SERVER, made)
    if official := os.environ.get("TESTS_REGISTRY_SCHEMA"):
        jsonschema_rs.validate(json.loads(Path(official).read_text(encoding="utf-8")), made)
    assert made["version"] == made["packages"][0]["version"] == version()
    assert made["packages"][0]["identifier"] == product.package


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("name",), "no-namespace"),
        (("description",), "x" * 101),
        (("version",), "^1.2.3"),
        (("packages", 0, "version"), "latest"),
        (("packages", 0, "transport"), {"type": "carrier pigeon"}),
        (("packages", 0, "environmentVariables", 0, "isSecret"), "yes"),
    ],
)
def test_the_registrys_rules_would_find_a_fault(where: tuple[str | int, ...], value: object) -> None:
    made: Any = copy.deepcopy(server_json(next(product for product in PRODUCTS if product.key == "github")))
    place = made
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(SERVER, made)


@each
def test_the_registry_finds_its_marker_in_the_distributions_own_readme(product: Product) -> None:
    text = (product.folder / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"<!-- mcp-name: (\S+) -->", text) == [product.registry_name]
    assert server_json(product)["name"] == product.registry_name
    assert 'readme = "README.md"' in (product.folder / "pyproject.toml").read_text(encoding="utf-8")


@each
def test_a_person_is_asked_only_for_settings_that_there_are(product: Product) -> None:
    model = SETTINGS[product.key]
    known = {f"GATELODGE_{model.server.upper()}_{name.upper()}" for name in model.model_fields}
    for asked in product.asked:
        if not asked.variable:
            assert asked.key == model.positional
        elif asked.variable != "GITHUB_PERSONAL_ACCESS_TOKEN":  # read by `credentials`, as other servers' users have it
            assert asked.variable in known
        assert not (asked.secret and not asked.variable), "a secret among arguments is seen by all"


@each
def test_the_usual_tools_are_those_that_a_host_is_listed(product: Product, tmp_path: Path) -> None:
    given = {"filesystem": [str(tmp_path)], "postgres": ["postgresql://127.0.0.1:1/none"]}.get(product.key, [])
    command = [sys.executable, "-m", product.package.replace("-", "_"), *given, "--state-dir", str(tmp_path / "state")]
    assert {tool["name"] for tool in usual_tools(product)} == listed(command)


@each
def test_cursors_link_holds_the_entry_and_no_secret(product: Product) -> None:
    link = urlsplit(cursor_link(product))
    assert (link.scheme, link.netloc, link.path) == ("https", "cursor.com", "/en/install-mcp")
    asked = parse_qs(link.query, strict_parsing=True)
    assert asked["name"] == [product.package]
    entry = json.loads(base64.b64decode(asked["config"][0], validate=True))
    held(product, entry, "${env:")


@each
def test_cursors_link_is_what_the_command_for_links_gives(product: Product) -> None:
    folder = ["--root", "${workspaceFolder}"] if product.key == "filesystem" else []
    command = [str(Path(sys.executable).parent / "gatelodge"), "link", "cursor", product.key, "--portable", *folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    asked = parse_qs(urlsplit(done.stdout.strip()).query)
    assert asked["name"] == [product.package]
    (theirs,) = asked["config"]
    (ours,) = parse_qs(urlsplit(cursor_link(product)).query)["config"]
    assert {"env": {}, **json.loads(base64.b64decode(theirs))} == json.loads(base64.b64decode(ours))


@each
def test_vs_codes_link_holds_the_entry_and_asks_for_what_is_secret(product: Product) -> None:
    link = urlsplit(vscode_link(product))
    assert (link.scheme, link.netloc, link.path) == ("https", "insiders.vscode.dev", "/redirect/mcp/install")
    asked = parse_qs(link.query, strict_parsing=True)
    assert asked["name"] == [product.package]
    entry = json.loads(asked["config"][0])
    held(product, entry, "${input:")
    inputs = {one["id"]: one for one in json.loads(asked.get("inputs", ["[]"])[0])}
    for name in re.findall(r"\$\{input:(\w+)\}", json.dumps(entry)):
        assert inputs[name]["password"] is True


def held(product: Product, entry: Json, reference: str) -> None:
    assert entry["command"] == "uvx"
    assert entry["args"][0] == product.package
    assert all(argument == "${workspaceFolder}" for argument in entry["args"][1:])
    assert all(value.startswith(reference) for value in entry["env"].values())


@each
def test_the_readme_has_the_links_and_a_fold_for_each_host(product: Product) -> None:
    text = (product.folder / "README.md").read_text(encoding="utf-8")
    assert cursor_link(product) in text
    assert vscode_link(product) in text
    assert re.findall(r"<summary>(.+)</summary>", text) == list(hosts(product))
    for block in re.findall(r"^```json\n(.+?)^```$", text, re.MULTILINE | re.DOTALL):
        json.loads(block)


@each
def test_the_catalog_would_take_it(product: Product, tmp_path: Path) -> None:
    """The rules of docker/mcp-registry's own check, ``cmd/validate``."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    write(tmp_path, commit)
    folder = tmp_path / "servers" / product.package
    entry = yaml.safe_load((folder / "server.yaml").read_text(encoding="utf-8"))
    assert entry == server_yaml(product, commit)
    assert re.fullmatch(r"[a-z0-9-]+", entry["name"])
    assert entry["name"] == folder.name
    title = entry["about"]["title"]
    assert "MCP" not in title
    assert "Server" not in title
    assert all(word[0].isupper() or word in ("and", "for") for word in title.split())
    assert re.fullmatch(r"[a-f0-9]{40}", entry["source"]["commit"])
    for secret in entry["config"].get("secrets", []):
        assert re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9._-]+", secret["name"])
    for variable in entry["config"].get("env", []):
        assert variable["value"].startswith("{{" + entry["name"] + ".")
        assert variable["value"].strip("{}").partition(".")[2] in entry["config"]["parameters"]["properties"]
    tools = json.loads((folder / "tools.json").read_text(encoding="utf-8"))
    assert tools == tools_json(product)
    assert all(argument["desc"] for tool in tools for argument in tool["arguments"])
    assert (ROOT / entry["source"]["dockerfile"]).is_file()


def test_the_catalog_pins_a_whole_commit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="all 40 digits"):
        write(tmp_path, "main")
