"""Putting a server into a host's text and taking it out, and proving that nothing else was changed.

Whatever the editing of the text does, its result is read again and compared as a whole: if anything differs but the
entry itself, the change is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any, cast

from gatelodge_core.cli.hosts import jsonc, jsonedit, tomledit, yamledit, yamlish
from gatelodge_core.cli.hosts.entries import load
from gatelodge_core.cli.hosts.made import Made
from gatelodge_core.cli.hosts.shapes import Shape, Wanted, shape, whole
from gatelodge_core.cli.hosts.table import Host
from gatelodge_core.cli.hosts.unreadable import Unreadable

INPUTS = "inputs"


def held(host: Host, text: str, key: str) -> dict[str, Any] | None:
    """The entry that a text has under a key; None if there is none.

    Raises:
        Unreadable: The text can't be understood, or a key that matters stands twice.
    """
    table, _ = load(host, text)
    _refuse_repeated(host, text, key)
    servers = table.get(host.top)
    if servers is not None and not isinstance(servers, dict):
        raise Unreadable(f"{host.top} is no table of servers")
    entry = cast("dict[str, Any]", servers or {}).get(key)
    if entry is not None and not isinstance(entry, dict):
        raise Unreadable(f"the server {key} is no table")
    return cast("dict[str, Any] | None", entry)


def installed(host: Host, text: str, wanted: Wanted, made: Made, dropped: Collection[str] = ()) -> str:
    """A text with a server in it: made, or changed where it differs.

    Args:
        host: Whose text it is.
        text: The whole text.
        wanted: The server.
        made: Gets what else had to be made.
        dropped: Secrets' variables that the entry shall no longer name, if it does.

    Raises:
        Unreadable: The text can't be understood, or not be changed without changing more.
        SettingsError: An argument would mean something else to the host.
    """
    now = held(host, text, wanted.key)
    new = _installed(host, text, wanted, now, made, dropped)
    entry = held(host, new, wanted.key) or {}
    form = shape(host, wanted)
    right = all(entry.get(name) == value for name, value in form.always.items())
    if not right or _others(host, text, wanted.key) != _others(host, new, wanted.key):
        raise Unreadable("it can't be changed without changing something else; please report this, and edit it by hand")
    return new


def uninstalled(host: Host, text: str, key: str, made: Made, inputs: Collection[str] = ()) -> str:
    """A text without a server.

    Args:
        host: Whose text it is.
        text: The whole text.
        key: What the server is called.
        made: What was made with it.
        inputs: Ids of the inputs that were made for it, which go too if nothing else uses them.

    Raises:
        Unreadable: The text can't be understood, or not be changed without changing more.
    """
    if held(host, text, key) is None:
        return text
    if host.format == "toml":
        new = tomledit.drop(text, host.top, key, made)
    elif host.format == "yaml":
        new = yamledit.drop(text, host.top, key, made)
    else:
        new = _without_inputs(jsonedit.drop(text, (host.top, key), made), inputs, made)
    if held(host, new, key) is not None or _others(host, text, key) != _others(host, new, key):
        raise Unreadable(
            "it can't be taken out without changing something else; please report this, and edit it by hand"
        )
    return new


def _installed(
    host: Host, text: str, wanted: Wanted, now: dict[str, Any] | None, made: Made, dropped: Collection[str]
) -> str:
    form = shape(host, wanted)
    if host.format in ("toml", "yaml"):
        edit = tomledit if host.format == "toml" else yamledit
        values = whole(host, wanted) if now is None else {**form.always, **_names(form, now, dropped)}
        return edit.put(text, host.top, wanted.key, values, made)
    for item in form.inputs:
        text = _with_input(text, item, made)
    path = (host.top, wanted.key)
    if now is None:
        return jsonedit.put(text, path, whole(host, wanted), made)
    for name, value in form.always.items():
        text = jsonedit.put(text, (*path, name), value, Made())
    for variable, value in form.env.items():
        text = jsonedit.put(text, (*path, form.env_key, variable), value, Made())
    env = now.get(form.env_key)
    for variable in dropped:
        # Only what can't be anything but our own reference.
        if isinstance(env, dict) and str(cast("dict[str, Any]", env).get(variable, "")).startswith(("${", "{env:")):
            text = jsonedit.drop(
                text, (*path, form.env_key, variable), Made(containers=[".".join((*path, form.env_key))])
            )
    return text


def _names(form: Shape, now: dict[str, Any], dropped: Collection[str]) -> dict[str, list[str]]:
    """Names of variables, beside those that people added."""
    names: dict[str, list[str]] = {}
    for key in ("env_vars", "env_keys"):
        own = form.names.get(key, [])
        given = now.get(key)
        there = [str(name) for name in cast("list[object]", given)] if isinstance(given, list) else []
        kept = [name for name in there if name not in dropped]
        wanted = kept + [name for name in own if name not in kept]
        if wanted != there:
            names[key] = wanted
    return names


def _with_input(text: str, item: dict[str, Any], made: Made) -> str:
    for given in _inputs(text):
        if given == item["id"]:
            return text
    return jsonedit.append(text, (INPUTS,), item, made)


def _without_inputs(text: str, inputs: Collection[str], made: Made) -> str:
    for name in inputs:
        if f"${{input:{name}}}" in text or name not in _inputs(text):
            continue
        text = jsonedit.drop_item(text, (INPUTS,), _inputs(text).index(name), made)
    return text


def _inputs(text: str) -> list[str]:
    table: Any = jsonc.parse(text).value()
    given = cast("dict[str, Any]", table).get(INPUTS) if isinstance(table, dict) else None
    if given is None:
        return []
    if not isinstance(given, list):
        raise Unreadable(f"{INPUTS} is no list")
    return [str(cast("dict[str, Any]", item).get("id", "")) if isinstance(item, dict) else "" for item in cast("list[object]", given)]  # fmt: skip


def _others(host: Host, text: str, key: str) -> dict[str, Any]:
    """All that a text says but for one entry, empty containers and VS Code's inputs of the entry."""
    table = copy.deepcopy(load(host, text)[0])
    servers = table.get(host.top)
    if isinstance(servers, dict):
        cast("dict[str, Any]", servers).pop(key, None)
    if host.dialect == "vscode" and isinstance(table.get(INPUTS), list):
        given = cast("list[Any]", table[INPUTS])
        table[INPUTS] = [item for item in given if not str(item.get("id", "") if isinstance(item, dict) else "").startswith(f"{key}-")]  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - any JSON  # fmt: skip
    for name in (host.top, INPUTS):
        if not table.get(name):
            table.pop(name, None)
    return table


def _refuse_repeated(host: Host, text: str, key: str) -> None:
    """Refuse a key that stands twice where it matters: of two, only one would be changed.

    Raises:
        Unreadable: There is one.
    """
    node: jsonc.Node | yamlish.Node | None
    node = yamlish.parse(text).root if host.format == "yaml" else jsonc.parse(text).root if host.format != "toml" else None  # fmt: skip
    for name in (host.top, key, ""):
        if node is None:
            return
        keys = [member.key for member in node.members]
        for given in keys:
            if keys.count(given) > 1:
                raise Unreadable(f"the key {given!r} stands twice in the same table; take one of them out")
        member = node.get(name)
        node = member.node if member is not None else None
