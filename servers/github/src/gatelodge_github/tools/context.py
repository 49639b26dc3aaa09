"""The tool about the caller."""

from __future__ import annotations

import time

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import EXTERNAL, READ
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult

from gatelodge_github.credentials import AppCredential
from gatelodge_github.data import table
from gatelodge_github.hub import Hub
from gatelodge_github.transport.request import Answer

context = Declarations[Hub]()

_PASSING = frozenset({"rate_limited", "unreachable", "too_slow", "github_failed"})
"""Errors that say nothing against the credential."""


@context.tool(effect=READ, reach=EXTERNAL)
async def get_me(hub: Hub) -> CallToolResult:
    """Who the credential is, what it may do, limits left."""
    api = hub.desk().api
    kind = api.credential.kind
    fields: dict[str, object] = {"credential": kind, "host": hub.settings.host, "default_repo": hub.gate.default}
    try:
        if api.credential.app:
            found = table((await api.get("/installation/repositories", {"per_page": 1})).data)
            fields["repositories"] = found.get("total_count")
        elif kind != "none":
            fields |= _user(await api.get("/user"))
    except CallError as error:
        # While a limit lasts, or GitHub is away, what is known here is what is asked for.
        if not api.credential.app and error.code not in _PASSING:
            raise
        fields["problem"] = str(error)
    if isinstance(api.credential, AppCredential):
        fields["permissions"] = [f"{name}: {level}" for name, level in sorted(api.credential.permissions.items())]
    fields |= {
        "may_read": list(hub.gate.patterns) or ["*/*"],
        "writes": "off (--read-only)" if hub.settings.read_only else "on",
        "lockdown": hub.settings.lockdown,
        "limits": [
            f"{item.resource}: {item.remaining} of {item.limit} left, until "
            f"{time.strftime('%H:%M:%SZ', time.gmtime(min(item.reset, 2**33)))}"
            for item in api.budget.standings()
        ],
    }
    return hub.view().record("who am I at GitHub", fields)


def _user(answer: Answer) -> dict[str, object]:
    """Whose token it is, and what it is good for."""
    user = table(answer.data)
    fields: dict[str, object] = {"login": user.get("login"), "name": user.get("name"), "type": user.get("type")}
    if "x-oauth-scopes" in answer.headers:
        fields["scopes"] = [part.strip() for part in answer.headers["x-oauth-scopes"].split(",") if part.strip()]
    if expires := answer.headers.get("github-authentication-token-expiration"):
        fields["token_expires"] = expires[:40]
    return fields
