"""An entry goes into Codex' TOML and Goose's YAML and out again, and every other line stays."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from gatelodge_core.cli.hosts import tomledit, yamledit, yamlish
from gatelodge_core.cli.hosts.made import Made
from gatelodge_core.cli.hosts.unreadable import Unreadable
from hypothesis import given, settings
from hypothesis import strategies as st

VALUES: dict[str, Any] = {"command": "/x/y", "args": ["a", 'C:\\d "é" #'], "env_vars": ["T"]}
GOOSE: dict[str, Any] = {"name": "k", "type": "stdio", "cmd": "/x", "args": ["-", "a: b", "yes"], "envs": {}, "enabled": True}  # fmt: skip

TOML_PIECES = [
    "# comment", "", "", 'model = "o"', "a = [\n  1, # one\n  2,\n]", 's = """\n[mcp_servers.x]\n"""', "[t] # c", "[t.u]",
    '[mcp_servers.other]\ncommand = "z"', "[[list]]", '[mcp_servers."a b".env]', "d.e = 1", "  ", "q = '#'", "[tail]",
]  # fmt: skip
YAML_PIECES = [
    "# comment", "", "", "GOOSE_MODEL: o", "list:\n- 1\n- a: b", "text: |\n  extensions:\n    k: 1\n", "deep:\n  x:\n    y: 1",
    "extensions:", "extensions: {}", "extensions: # none yet", "extensions:\n  dev:\n    type: builtin\n    enabled: true # c\n  # end",
    "extensions:\n    other:\n        cmd: z\n        args: [a,\n          b]", "flow: {a: [1, 2]}", "last: 1",
]  # fmt: skip


@st.composite
def texts(draw: st.DrawFn, pieces: list[str]) -> str:
    text = "\n".join(draw(st.lists(st.sampled_from(pieces), max_size=6)))
    text += draw(st.sampled_from(["", "\n", "\n", "\n\n"]))
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@given(texts(TOML_PIECES))
@settings(max_examples=150, deadline=None)
def test_install_then_uninstall_gives_back_any_toml(text: str) -> None:
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    made = Made()
    longer = tomledit.put(text, "mcp_servers", "k", VALUES, made)
    assert tomllib.loads(longer) == {**before, "mcp_servers": {**before.get("mcp_servers", {}), "k": VALUES}}
    changed = tomledit.put(longer, "mcp_servers", "k", {**VALUES, "args": [], "cwd": "/"}, made)
    assert tomllib.loads(changed)["mcp_servers"]["k"] == {**VALUES, "args": [], "cwd": "/"}
    assert "\r\n" not in text or "\n" not in changed.replace("\r\n", "")
    assert tomledit.drop(changed, "mcp_servers", "k", Made.of(json.loads(json.dumps(made.table())))) == text


@given(texts(YAML_PIECES))
@settings(max_examples=150, deadline=None)
def test_install_then_uninstall_gives_back_any_yaml(text: str) -> None:
    try:
        before: dict[str, Any] = yamlish.parse(text).value() or {}
    except Unreadable:
        return
    if text.count("extensions:") - text.count("  extensions:") > 1:
        return  # a key that stands twice is refused before it comes to this
    made = Made()
    longer = yamledit.put(text, "extensions", "k", GOOSE, made)
    assert yamlish.parse(longer).value() == {**before, "extensions": {**(before.get("extensions") or {}), "k": GOOSE}}
    changed = yamledit.put(longer, "extensions", "k", {**GOOSE, "args": [], "timeout": 3}, made)
    assert yamlish.parse(changed).value()["extensions"]["k"] == {**GOOSE, "args": [], "timeout": 3}
    assert "\r\n" not in text or "\n" not in changed.replace("\r\n", "")
    assert yamledit.drop(changed, "extensions", "k", Made.of(json.loads(json.dumps(made.table())))) == text


@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=12) | st.lists(st.text(max_size=8), max_size=3), max_size=4)
)
@settings(max_examples=100, deadline=None)
def test_any_text_is_written_so_that_it_means_the_same(values: dict[str, Any]) -> None:
    values = json.loads(json.dumps(values).encode("utf-8", "replace"))
    try:
        longer = tomledit.put("", "t", "k", values, Made())
    except UnicodeEncodeError:
        return
    assert tomllib.loads(longer)["t"]["k"] == values


def test_what_others_added_to_an_entry_or_behind_it_stays() -> None:
    made = Made()
    text = tomledit.put("a = 1\n", "mcp_servers", "k", VALUES, made)
    text += "tool_timeout_sec = 5 # mine\n\n[mcp_servers.k.tools]\nx = 1\n\n[other]\nb = 2\n"
    changed = tomledit.put(text, "mcp_servers", "k", {**VALUES, "command": "/new"}, made)
    assert changed == text.replace('"/x/y"', '"/new"')
    assert tomllib.loads(tomledit.drop(changed, "mcp_servers", "k", made)) == {"a": 1, "other": {"b": 2}}


def test_the_comment_behind_a_changed_value_stays() -> None:
    text = '[mcp_servers.k]\ncommand = "a#b" # why\n'
    assert tomledit.put(text, "mcp_servers", "k", {"command": "c"}, Made()) == '[mcp_servers.k]\ncommand = "c" # why\n'


@pytest.mark.parametrize("text", ["mcp_servers = {k = {command = 'a'}}\n", "[mcp_servers]\nk = {command = 'a'}\n"])
def test_a_server_written_inline_is_refused_with_what_to_do(text: str) -> None:
    for action in (lambda: tomledit.put(text, "mcp_servers", "k", VALUES, Made()), lambda: tomledit.drop(text, "mcp_servers", "k", Made())):  # fmt: skip
        with pytest.raises(Unreadable, match=r"\[mcp_servers.k\]"):
            action()


@pytest.mark.parametrize("text", ["extensions: {a: {cmd: x}}\n", "extensions: {k: {cmd: x}}\n", "extensions:\n  k: {cmd: x}\n", "- 1\n"])  # fmt: skip
def test_what_is_written_in_braces_is_refused_in_yaml(text: str) -> None:
    with pytest.raises(Unreadable, match="in lines"):
        yamledit.put(text, "extensions", "k", GOOSE, Made())


def test_the_yaml_we_write_means_the_same_to_another_reader() -> None:
    import yaml

    text = yamledit.put("", "extensions", "k", GOOSE, Made())
    assert yaml.safe_load(text) == {"extensions": {"k": GOOSE}}
