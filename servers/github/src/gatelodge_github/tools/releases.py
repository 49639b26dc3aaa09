"""The tool that makes releases."""

from __future__ import annotations

from typing import Annotated, Any

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import EXTERNAL, WRITE
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult
from pydantic import Field

from gatelodge_github.data import table, text
from gatelodge_github.hub import Hub
from gatelodge_github.names import ref, repo_path
from gatelodge_github.tools.common import Body, changing

releases = Declarations[Hub]()


@releases.tool(effect=WRITE, reach=EXTERNAL, additive=True)
async def create_release(
    hub: Hub,
    tag: str,
    repo: str = "",
    name: str = "",
    body: Body = "",
    draft: bool = True,
    prerelease: bool = False,
    target: Annotated[str, Field(description="Where a new tag goes.")] = "",
    generate_notes: bool = False,
) -> CallToolResult:
    """Create a release, or a draft of one."""
    given: dict[str, Any] = {
        "tag_name": ref(tag, "tag"), "draft": draft, "name": name, "body": body, "prerelease": prerelease,
        "target_commitish": ref(target, "target") if target else "", "generate_release_notes": generate_notes,
    }  # fmt: skip
    visit = await changing(hub, repo)
    check = f'list_refs(kind="releases", repo="{visit.repo}")'
    sent = {key: value for key, value in given.items() if value or key == "draft"}
    try:
        answer = await visit.api.write("POST", f"{repo_path(visit.repo)}/releases", sent, check=check)
    except CallError as error:
        if error.code == "invalid" and "already_exists" in error.message:
            hint = "Choose another tag, or edit that release at GitHub."
            raise CallError("exists", f"{tag} has a release already; nothing was done.", hint) from None
        raise
    made = table(answer.data)
    if draft:
        # Only who can push sees it, whatever the repository.
        visit.view.private()
    fields = {
        "id": made.get("id"),
        "tag": text(made.get("tag_name")),
        "draft": made.get("draft") is True,
        "prerelease": made.get("prerelease") is True,
        "url": text(made.get("html_url")),
    }
    return visit.view.record(f"created a {'draft' if draft else 'release'} in {visit.title}", fields)
