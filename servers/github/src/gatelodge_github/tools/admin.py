"""The tool that makes repositories."""

from __future__ import annotations

import re
from typing import Annotated, Any

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import EXTERNAL, WRITE
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult
from pydantic import Field

from gatelodge_github.data import table, text
from gatelodge_github.hub import Desk, Hub
from gatelodge_github.names import REPO, login, repo_path

admin = Declarations[Hub]()

TAKEN = re.compile(r"already exists", re.IGNORECASE)


@admin.tool(effect=WRITE, reach=EXTERNAL, additive=True)
async def create_repo(
    hub: Hub,
    name: str,
    org: str = "",
    private: bool = True,
    description: str = "",
    fork_of: Annotated[str, Field(description="A fork is as visible as this.")] = "",
) -> CallToolResult:
    """Create a repository with a first commit, or a fork."""
    desk = hub.desk()
    full = f"{await _owner(desk, org)}/{name}"
    if not REPO.fullmatch(full) or name.lower().endswith((".git", ".wiki")):
        raise CallError("bad_name", "name is no name of a repository.", "Letters, digits, hyphen, underscore, dot.")
    hub.gate.check(full)
    hub.gate.check_write(full)
    check = f'get_repo(repo="{full}")'
    try:
        if fork_of:
            answer = await desk.api.write("POST", *await _fork(hub, desk, fork_of, name, org), check=check)
        else:
            body: dict[str, Any] = {"name": name, "private": private, "auto_init": True}
            if description:
                body["description"] = description
            answer = await desk.api.write("POST", f"/orgs/{org}/repos" if org else "/user/repos", body, check=check)
    except CallError as error:
        if error.code == "invalid" and TAKEN.search(error.message):
            raise CallError("exists", f"{full} is there already; nothing was done.", "Choose another name.") from None
        raise
    made = table(answer.data)
    desk.repositories.forget(full)
    view = hub.view()
    visibility = text(made.get("visibility")) or ("public" if made.get("private") is False else "private")
    if visibility != "public":
        view.private()
    fields = {
        "repo": text(made.get("full_name")) or full,
        "url": text(made.get("html_url")),
        "visibility": visibility,
        "default_branch": text(made.get("default_branch")),
        "fork_of": fork_of,
        "note": "GitHub copies the files within minutes" if fork_of else "",
    }
    return view.record("created a repository", fields)


async def _owner(desk: Desk, org: str) -> str:
    """Whose the repository will be.

    Raises:
        CallError: `no_owner`: the credential is nobody's.
    """
    owner = login(org, "org") if org else await desk.marks.viewer()
    if not owner:
        raise CallError("no_owner", "The credential belongs to no user.", "Give org.")
    return owner


async def _fork(hub: Hub, desk: Desk, fork_of: str, name: str, org: str) -> tuple[str, dict[str, Any]]:
    """Route and body of a fork.

    Raises:
        CallError: What is to be forked can't be read.
    """
    facts = await desk.repositories.facts(hub.gate.name(fork_of))
    body: dict[str, Any] = {"name": name}
    if org:
        body["organization"] = org
    return f"{repo_path(facts.name)}/forks", body
