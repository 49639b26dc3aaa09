"""What each may do to a repository: the emulator says everything to everybody, and says it in other words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from urllib.parse import unquote

from tests.github.emulator import OWNER, token_of
from tests.github.loopback import Answer, Request, as_json
from tests.github.manners import not_found, refusal
from tests.github.proxy import Proxy

REPO = r"/repos/[^/]+/[^/]+"
NAMES = ("pull", "triage", "push", "maintain", "admin")
ROLES: Mapping[str, tuple[str, int]] = {
    "none": ("none", 1),
    "pull": ("read", 1),
    "triage": ("read", 2),
    "push": ("write", 3),
    "maintain": ("write", 4),
    "admin": ("admin", 5),
}
"""By the emulator's word: GitHub's level, and how many of `NAMES` that is; who sees a repository can read it."""


class Rights:
    """The rights of users before an emulator."""

    def __init__(self, proxy: Proxy) -> None:
        self._ask = proxy.ask
        self._look = proxy.look
        self._serve = proxy.serve
        # The emulator tells whom it concerns and no others; the owner of all sees it all.
        self._owner = Request("GET", "", {"authorization": f"Bearer {token_of(OWNER)}"})

    def mend(self) -> None:
        """Serve the routes that tell rights."""
        self._serve("GET", REPO, self._repository)
        self._serve("GET", rf"{REPO}/collaborators/[^/]+/permission", self._permission)
        self._serve("GET", r"/search/repositories|(/user|/users/[^/]+|/orgs/[^/]+)/repos", self._repositories)

    def level(self, request: Request, repo: str) -> str | None:
        """What the owner of a request's credential may do: none, read, write, admin; None if that is no user."""
        role = self._role(repo, self._login(request))
        return role and ROLES[role][0]

    def _login(self, request: Request) -> str | None:
        user = self._look(request, "/user")
        return None if user is None else user["login"]

    def _role(self, repo: str, login: str | None) -> str | None:
        if login is None or self._look(self._owner, f"/users/{login}") is None:
            return None
        account = repo.split("/")[2]
        if login == account:
            return "admin"
        member = self._look(self._owner, f"/orgs/{account}/memberships/{login}")
        if member is not None:
            # To the emulator members are admins; at GitHub they read unless told otherwise (base permission).
            others: list[dict[str, Any]] = self._look(self._owner, f"{repo}/collaborators") or []
            listed = any(one["login"] == login for one in others)
            return "admin" if member["role"] == "admin" else "push" if listed else "pull"
        found = self._look(self._owner, f"{repo}/collaborators/{login}/permission")
        if found is not None:
            return found["permission"]
        whole = self._look(self._owner, repo)
        return "none" if whole is None or whole["private"] else "pull"

    def _repository(self, request: Request) -> Answer:
        answer = self._ask(request)
        if answer.status != 200:
            return answer
        return replace(answer, body=json.dumps(self._permitted(answer.json(), self._login(request))).encode())

    def _repositories(self, request: Request) -> Answer:
        answer = self._ask(request)
        if answer.status != 200:
            return answer
        found, login = answer.json(), self._login(request)
        if isinstance(found, list):
            changed: Any = [self._permitted(one, login) for one in cast("list[dict[str, Any]]", found)]
        else:
            changed = {**found, "items": [self._permitted(one, login) for one in found["items"]]}
        return replace(answer, body=json.dumps(changed).encode())

    def _permitted(self, repository: dict[str, Any], login: str | None) -> dict[str, Any]:
        """With the truth; without any to nobody and to an App, which has no role."""
        rest = {name: value for name, value in repository.items() if name != "permissions"}
        role = self._role(f"/repos/{repository['full_name']}", login)
        if role is None:
            return rest
        return {**rest, "permissions": {name: place < ROLES[role][1] for place, name in enumerate(NAMES)}}

    def _permission(self, request: Request) -> Answer:
        found = re.match(REPO, request.path)
        assert found is not None
        if self._look(request, found[0]) is None:
            return not_found()
        if self.level(request, found[0]) not in {"write", "admin"}:
            return refusal(403, "Must have push access to view collaborator permission.")
        login = unquote(request.path.split("/")[5])
        role = self._role(found[0], login)
        if role is None:
            return refusal(404, f"{login} is not a user")
        named = {"pull": "read", "push": "write"}.get(role, role)
        user = self._look(request, f"/users/{login}")
        return as_json({"permission": ROLES[role][0], "role_name": named, "user": user})
