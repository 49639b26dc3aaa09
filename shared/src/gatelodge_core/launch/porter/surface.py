"""The surface file: what a server offers, generated from it and shipped beside its code; and answers made from the file.

The file holds everything that any settings can bring out, each item with the group it belongs to. Which of them are there
under the settings of this start, says a function of the server (`Choose`), which knows the settings' meaning as
`declarations` does; a test holds the one against the other. ``scripts/generate_surface.py`` writes the files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from gatelodge_core.apps.words import offered
from gatelodge_core.launch.porter.given import Given, Unknown, config_folder
from gatelodge_core.launch.porter.words import DISCOVER, HANDSHAKES, INITIALIZE, SERVER_INFO

Message = dict[str, Any]
FILE = "surface.json"
_WITH_VIEWS = (INITIALIZE, DISCOVER, "tools/list", "resources/list")
"""What a host that shows views is answered otherwise."""


class Item(NamedTuple):
    """A tool, prompt, resource or template of the file.

    Args:
        name: Of the tool or prompt; the URI of a resource.
        group: What the settings choose it by.
        reads: Whether it is a tool that only reads.
    """

    name: str
    group: str
    reads: bool


class Choice(NamedTuple):
    """What of the file is offered under some settings.

    Args:
        instructions: For models, as the server gives them.
        tools: Whether a tool is offered; None if that can't be told here.
        prompts: The same of a prompt.
        resources: The same of resources and templates.
    """

    instructions: str
    tools: Callable[[Item], bool] | None
    prompts: Callable[[Item], bool] | None
    resources: Callable[[Item], bool] | None


Choose = Callable[[Given], Choice]
"""A server's own: from the settings to the choice. Raises `Unknown` where even the handshake can't be told."""


def all_of(item: Item) -> bool:
    """For a list that no setting changes."""
    del item
    return True


def read(folder: str) -> Message:
    """The surface file in a folder.

    Raises:
        Unknown: There is none, or it can't be read.
    """
    try:
        with open(os.path.join(folder, FILE), "rb") as source:
            return cast("Message", json.loads(source.read()))
    except (OSError, ValueError):
        raise Unknown(FILE) from None


class Answers:
    """What the server would answer to a host's first requests.

    Args:
        surface: The file's content.
        choice: What of it is offered.
        policy: The policy file, which may hide tools; empty if there is none.
        views: Whether views are offered to hosts that show them; see `gatelodge_core.apps`.
    """

    def __init__(self, surface: Mapping[str, Any], choice: Choice, policy: str = "", *, views: bool = False) -> None:
        self._surface = surface
        self._choice = choice
        self._policy = policy
        self._offers_views = views

    def initialize(self, requested: str, *, shows: bool = False) -> Message | None:
        """The result of ``initialize`` for the revision that a host asks for; None if it isn't known here.

        Args:
            requested: The revision.
            shows: Whether the host says that it shows views.
        """
        return self._told(INITIALIZE, self._opening(requested), shows=shows)

    def _opening(self, requested: str) -> Message:
        return {
            "protocolVersion": requested if requested in HANDSHAKES else HANDSHAKES[-1],
            "capabilities": self._surface["capabilities"]["legacy"],
            "serverInfo": self._surface["info"],
            "instructions": self._choice.instructions,
        }

    def result(self, method: str, *, modern: bool, shows: bool = False) -> Message | None:
        """The result of ``server/discover`` or of a list, whole; None if it isn't known here."""
        found = self._plain(method, modern=modern)
        return None if found is None else self._told(method, found, shows=shows)

    def _told(self, method: str, result: Message, *, shows: bool) -> Message | None:
        """An answer as a host gets it that shows views or doesn't; None if that isn't known here."""
        if not shows or not self._offers_views or method not in _WITH_VIEWS:
            return result
        if self._choice.tools is None:
            return None
        tools = [entry for entry in self._surface["lists"]["tools/list"] or () if self._choice.tools(_item(entry))]
        views = {entry["name"]: entry["view"] for entry in tools if "view" in entry}
        if not views:
            return result
        # Where the pages stand in the list of resources is the server's to say.
        return None if method == "resources/list" else offered(method, result, views)

    def _plain(self, method: str, *, modern: bool) -> Message | None:
        if method == DISCOVER:
            found: Message | None = {
                "capabilities": self._surface["capabilities"]["modern"],
                "instructions": self._choice.instructions,
            }
        else:
            found = self._listed(method)
        if found is None or not modern:
            return found
        return {**found, **self._surface["modern"][method], "_meta": {SERVER_INFO: self._surface["info"]}}

    def _listed(self, method: str) -> Message | None:
        items = self._surface["lists"].get(method)
        choose = {"tools/list": self._choice.tools, "prompts/list": self._choice.prompts}.get(
            method, self._choice.resources
        )
        if items is None or choose is None:
            return None
        chosen = [entry for entry in items if choose(_item(entry))]
        if any("needs" in entry for entry in chosen):
            if self._choice.tools is None:
                return None
            tools = {
                entry["name"] for entry in self._surface["lists"]["tools/list"] if self._choice.tools(_item(entry))
            }
            chosen = [entry for entry in chosen if entry.get("needs") in tools | {None}]
        if method == "tools/list" and self._policy:
            hidden = self._hidden(chosen)
            if hidden is None:
                return None
            chosen = [entry for entry in chosen if entry["name"] not in hidden]
        return {self._surface["keys"][method]: [entry["is"] for entry in chosen]}

    def _hidden(self, entries: list[Message]) -> set[str] | None:
        """The tools that the policy denies whatever their arguments; None if it can't be read."""
        from gatelodge_core.auth.principal import local_user  # noqa: PLC0415 - only where there is a policy
        from gatelodge_core.effects import Effect  # noqa: PLC0415
        from gatelodge_core.errors import GatelodgeError  # noqa: PLC0415
        from gatelodge_core.guard.policy import load  # noqa: PLC0415

        try:
            policy = load(self._policy)
        except GatelodgeError:
            return None
        who = str(local_user())
        return {
            name
            for name, effect in ((str(entry["name"]), Effect(entry["effect"])) for entry in entries)
            if policy.hides(server=self._surface["server"], tool=name, effect=effect, principal=who)
        }


def policy_of(given: Given, environment: Mapping[str, str]) -> str:
    """The policy file, by the rule of the settings; empty if there is none.

    Raises:
        Unknown: It can't be told.
    """
    if named := given.text("policy"):
        path = os.path.abspath(os.path.expanduser(named))
        if not os.path.isfile(path):
            # A pipe can be read once, and that is for the server to do.
            raise Unknown("the policy file")
        return path
    usual = os.path.join(config_folder(environment), "policy.toml")
    return usual if os.path.exists(usual) else ""


def _item(entry: Mapping[str, Any]) -> Item:
    return Item(entry["name"], entry.get("group", ""), entry.get("effect") == "read")
