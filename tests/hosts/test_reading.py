"""What hosts' files say is read as the hosts read it, on each platform, and what can't be read is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.cli.hosts import HOSTS, Machine, entries, files, find, jsonc, target, yamlish
from gatelodge_core.cli.hosts.desktop import chosen
from gatelodge_core.cli.hosts.machine import Platform
from gatelodge_core.cli.hosts.unreadable import Unreadable
from gatelodge_core.errors import SettingsError
from hypothesis import given, settings
from hypothesis import strategies as st

# What each host's own tools, or add-mcp 2.4.0, write for one server.
WRITTEN: dict[str, str] = {
    "claude-desktop": '{"mcpServers":{"fs":{"command":"/x/uvx","args":["a","/d"],"env":{"K":"v"}}}}',
    "claude-code": '{"numStartups": 3, "mcpServers":{"fs":{"type":"stdio","command":"/x/uvx","args":["a","/d"],"env":{"K":"v"}}}}',
    "cursor": '{"mcpServers":{"fs":{"command":"/x/uvx","args":["a","/d"],"env":{"K":"v"}}}}',
    "vscode": '{"servers":{/*mine*/"fs":{"type":"stdio","command":"/x/uvx","args":["a","/d"],"env":{"K":"v"},},}}',
    "codex": '[mcp_servers.fs]\ncommand = "/x/uvx"\nargs = ["a", "/d"]\n[mcp_servers.fs.env]\nK = "v"\n',
    "gemini": '{"mcpServers":{"fs":{"command":"/x/uvx","args":["a","/d"],"env":{"K":"v"}}}}',
    "zed": '// mine\n{"context_servers":{"fs":{"source":"custom","command":"/x/uvx","args":["a","/d"],"env":{"K":"v"}}}}',
    "devin": '{"mcpServers":{"fs":{"command":"/x/uvx","args":["a","/d"],"env":{"K":"v"}}}}',
    "goose": "extensions:\n  fs:\n    name: fs\n    type: stdio\n    cmd: /x/uvx\n    args:\n    - a\n    - /d\n    envs: {K: v}\n    env_keys: []\n    enabled: true\n",
    "opencode": '{"mcp":{"fs":{"type":"local","command":["/x/uvx","a","/d"],"environment":{"K":"v"},"enabled":true}}}',
    "copilot-cli": '{"mcpServers":{"fs":{"type":"local","command":"/x/uvx","args":["a","/d"],"env":{"K":"v"},"tools":["*"]}}}',
}


def machine(home: Path, platform: Platform = "linux", project: str = "", **environment: str) -> Machine:
    return Machine(str(home), platform, environment, project)


def put(path: str, text: str | bytes) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_every_host_has_an_example_here() -> None:
    assert set(WRITTEN) == set(HOSTS)


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_a_server_is_found_as_each_host_writes_it(name: str, tmp_path: Path) -> None:
    here = machine(tmp_path)
    put(target(HOSTS[name], here).path, WRITTEN[name])
    found = entries(HOSTS[name], here)
    assert found.problems == ()
    (entry,) = found.entries
    assert (entry.key, entry.command, entry.args, dict(entry.env)) == ("fs", "/x/uvx", ("a", "/d"), {"K": "v"})
    assert entry.enabled
    assert "fs" in WRITTEN[name].split("\n")[entry.line - 1]
    # A value may be a secret: showing an entry doesn't show it.
    assert "'v'" not in repr(entry)


@pytest.mark.parametrize(
    ("name", "platform", "expected"),
    [
        ("claude-desktop", "linux", ".config/Claude/claude_desktop_config.json"),
        ("claude-desktop", "darwin", "Library/Application Support/Claude/claude_desktop_config.json"),
        ("claude-desktop", "win32", "AppData/Roaming/Claude/claude_desktop_config.json"),
        ("claude-code", "darwin", ".claude.json"),
        ("cursor", "win32", ".cursor/mcp.json"),
        ("vscode", "linux", ".config/Code/User/mcp.json"),
        ("vscode", "darwin", "Library/Application Support/Code/User/mcp.json"),
        ("vscode", "win32", "AppData/Roaming/Code/User/mcp.json"),
        ("devin", "linux", ".config/devin/mcp_config.json"),
        ("devin", "win32", "AppData/Roaming/devin/mcp_config.json"),
        ("zed", "darwin", ".config/zed/settings.json"),
        ("zed", "win32", "AppData/Roaming/Zed/settings.json"),
        ("codex", "win32", ".codex/config.toml"),
        ("gemini", "darwin", ".gemini/settings.json"),
        ("goose", "linux", ".config/goose/config.yaml"),
        ("goose", "win32", "AppData/Roaming/Block/goose/config/config.yaml"),
        ("opencode", "linux", ".config/opencode/opencode.json"),
        ("copilot-cli", "linux", ".copilot/mcp-config.json"),
    ],
)
def test_each_platform_has_its_place(name: str, platform: Platform, expected: str, tmp_path: Path) -> None:
    assert target(HOSTS[name], machine(tmp_path, platform)).path == str(tmp_path / expected)


def test_variables_move_files(tmp_path: Path) -> None:
    moved = {"XDG_CONFIG_HOME": "/x", "CODEX_HOME": "/c", "CLAUDE_CONFIG_DIR": "/l", "COPILOT_HOME": "/p"}
    here = Machine(str(tmp_path), "linux", moved)
    assert target(HOSTS["claude-desktop"], here).path == "/x/Claude/claude_desktop_config.json"
    assert target(HOSTS["codex"], here).path == "/c/config.toml"
    assert target(HOSTS["claude-code"], here).path == "/l/.claude.json"
    assert target(HOSTS["copilot-cli"], here).path == "/p/mcp-config.json"
    # The rules of XDG: a relative one doesn't count.
    relative = machine(tmp_path, XDG_CONFIG_HOME="x")
    assert target(HOSTS["zed"], relative).path == str(tmp_path / ".config/zed/settings.json")


@pytest.mark.parametrize(
    ("classic", "inside", "expected"),
    [
        (False, {}, "classic"),
        (True, {}, "classic"),
        (True, {"a": False}, "classic"),
        (True, {"a": True}, "a"),
        (False, {"a": False}, "a"),
        (True, {"a": False, "b": True}, "b"),
        (True, {"a": False, "b": False}, "classic"),
        (False, {"a": False, "b": False}, ""),
        (True, {"a": True, "b": True}, ""),
    ],
)
def test_the_msix_rule(*, classic: bool, inside: dict[str, bool], expected: str) -> None:
    if expected:
        assert chosen("classic", classic, inside) == expected
    else:
        with pytest.raises(SettingsError, match="packages of Claude Desktop"):
            chosen("classic", classic, inside)


def test_on_windows_the_package_that_is_there_is_used_and_two_are_a_problem(tmp_path: Path) -> None:
    here = machine(tmp_path, "win32")
    package = tmp_path / "AppData/Local/Packages/Claude_pzs8sxrjxfjjc"
    package.mkdir(parents=True)
    inside = package / "LocalCache/Roaming/Claude/claude_desktop_config.json"
    assert target(HOSTS["claude-desktop"], here).path == str(inside)
    (package.parent / "Claude_other").mkdir()
    (problem,) = entries(HOSTS["claude-desktop"], here).problems
    assert "Edit Config" in problem.text


def test_projects_are_read_only_when_asked(tmp_path: Path) -> None:
    here = machine(tmp_path / "home", project=str(tmp_path / "p"))
    put(str(tmp_path / "p/.cursor/mcp.json"), WRITTEN["cursor"])
    assert entries(HOSTS["cursor"], here).entries == ()
    (entry,) = entries(HOSTS["cursor"], here, project=True).entries
    assert (entry.scope, entry.file) == ("project", str(tmp_path / "p/.cursor/mcp.json"))
    assert [file.path for file in files(HOSTS["claude-desktop"], here, project=True)] == [
        str(tmp_path / "home/.config/Claude/claude_desktop_config.json")
    ]


def test_claude_codes_local_servers_belong_to_their_folder(tmp_path: Path) -> None:
    table = {"projects": {"/w": {"mcpServers": {"a": {"command": "x"}}}, "/v": {}}, "mcpServers": {"b": {"url": "u"}}}
    put(str(tmp_path / ".claude.json"), json.dumps(table))
    found = {entry.key: entry for entry in entries(HOSTS["claude-code"], machine(tmp_path)).entries}
    assert (found["a"].scope, found["a"].folder) == ("local", "/w")
    assert (found["b"].scope, found["b"].url) == ("user", "u")


def test_remote_servers_disabled_ones_and_gooses_own_are_told_apart(tmp_path: Path) -> None:
    here = machine(tmp_path)
    put(target(HOSTS["goose"], here).path, "extensions:\n  dev:\n    type: builtin\n  r:\n    type: streamable_http\n    uri: http://127.0.0.1:1/mcp\n    enabled: false\n")  # fmt: skip
    (entry,) = entries(HOSTS["goose"], here).entries
    assert (entry.key, entry.url, entry.enabled) == ("r", "http://127.0.0.1:1/mcp", False)
    put(
        target(HOSTS["codex"], here).path,
        '[mcp_servers."a b"]\nurl = "u"\nhttp_headers = {A = "b"}\nenv_vars = ["T"]\n',
    )
    (entry,) = entries(HOSTS["codex"], here).entries
    assert (entry.key, entry.url, dict(entry.headers), entry.passed, entry.line) == ("a b", "u", {"A": "b"}, ("T",), 1)
    put(target(HOSTS["gemini"], here).path, '{"mcpServers":{"g":{"httpUrl":"u"}}}')
    assert entries(HOSTS["gemini"], here).entries[0].url == "u"


@pytest.mark.parametrize(
    ("name", "text", "line", "reason"),
    [
        ("cursor", '{"mcpServers": {\n  "a": {"command": "s3cr3t"\n', 3, "comma or }"),
        ("cursor", "[1]", 1, "no table"),
        ("cursor", '{"a": tru}', 1, "no JSON value"),
        ("cursor", '{"a": 1} x', 1, "behind the end"),
        ("cursor", '{"a": "\n"}', 1, "quotes"),
        ("cursor", '{"a": /* s3cr3t', 1, "comment has no end"),
        ("cursor", b'{"a":\n "\xff"}', 2, "UTF-8"),
        ("cursor", "[" * 5000, 1, "nested deeper"),
        ("codex", 'a = 1\ntoken = "s3cr3t\n', 2, "TOML"),
        ("goose", "a: 1\n\tb: s3cr3t\n", 2, "tab"),
        ("goose", "a: &x 1\n", 1, "anchors"),
        ("goose", "a: 1\n---\nb: 2\n", 2, "one document"),
        ("goose", 'a: "s3cr3t\n', 1, "quote"),
    ],
)
def test_a_file_that_cant_be_read_is_told_with_its_line_and_without_its_text(
    name: str, text: str | bytes, line: int, reason: str, tmp_path: Path
) -> None:
    here = machine(tmp_path)
    put(target(HOSTS[name], here).path, text)
    found = entries(HOSTS[name], here)
    assert found.entries == ()
    (problem,) = found.problems
    assert reason in problem.text
    assert problem.line == line
    assert "s3cr3t" not in problem.text


def test_a_wrong_entry_does_not_hide_the_right_ones(tmp_path: Path) -> None:
    put(str(tmp_path / ".cursor/mcp.json"), '{"mcpServers": {"a": 1, "b": {"command": "x"}}}')
    found = entries(HOSTS["cursor"], machine(tmp_path))
    assert [entry.key for entry in found.entries] == ["b"]
    assert "'a' is no table" in found.problems[0].text


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / ".cursor/mcp.json").mkdir(parents=True)
    assert "can't be read" in entries(HOSTS["cursor"], machine(tmp_path)).problems[0].text


def test_unknown_hosts_are_told_the_known_ones() -> None:
    assert find("windsurf").name == "devin"
    with pytest.raises(SettingsError, match="claude-desktop, claude-code"):
        find("emacs")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([None, 1, 2, "\t"]), st.booleans())
def test_any_json_is_read_like_the_standard_library_does(
    value: Any, indent: int | str | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert jsonc.parse(text).value() == value
    assert jsonc.parse(text).strict()


@given(st.text(alphabet='{}[]",:/*\\ \n1ae-.', max_size=30))
@settings(max_examples=150)
def test_what_is_taken_without_comments_is_what_the_standard_library_takes(text: str) -> None:
    try:
        expected: Any = json.loads(text)
    except ValueError:
        try:
            document = jsonc.parse(text)
        except Unreadable:
            return
        assert document.root is None or not document.strict()
    else:
        assert jsonc.parse(text).value() == expected


WORDS = st.text(alphabet="ab z-_./:#'\"{}[],&*!|>%@`~01\n\té", max_size=12)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(WORDS, TREES, max_size=4), st.booleans(), st.sampled_from([2, 4]))
@settings(max_examples=150, deadline=None)
def test_yaml_is_never_misread_and_what_goose_needs_is_read(tree: dict[str, Any], flow: bool, indent: int) -> None:
    import yaml

    text = yaml.safe_dump(tree, default_flow_style=flow, indent=indent, width=10_000, allow_unicode=True)
    try:
        assert yamlish.parse(text).value() == yaml.safe_load(text)
    except Unreadable:
        # Refused rather than misread: keys and texts over several lines, which nobody's configuration has.
        assert any(mark in text for mark in ("? ", "\n\n", "\\", "...", "!!", "|", ">")), text
