"""Tools that write branches and files."""

from __future__ import annotations

import base64
from collections.abc import Awaitable
from typing import Annotated, Any

from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import EXTERNAL, WRITE
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult
from pydantic import Field

from gatelodge_github import changes
from gatelodge_github.changes import Change, FileChange
from gatelodge_github.data import table, text
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.names import is_sha, ref, ref_segments, repo_path
from gatelodge_github.tools.common import changing
from gatelodge_github.transport.request import Answer

writing = Declarations[Hub]()

SHA = "application/vnd.github.sha"
_PROTECTED = ("protected branch", "rule violation", "through a pull request")
"""GitHub's words where a branch takes no commits of this kind."""


@writing.tool(effect=WRITE, reach=EXTERNAL, additive=True)
async def create_branch(
    hub: Hub,
    branch: str,
    repo: str = "",
    from_ref: str = "",
) -> CallToolResult:
    """Create a branch from a ref; from the default branch if none is given."""
    name = _branch(branch)
    start = ref(from_ref, "from_ref") if from_ref else ""
    visit = await changing(hub, repo)
    sha = await _commit_of(visit, start)
    check = f'list_refs(kind="branches", repo="{visit.repo}")'
    body = {"ref": f"refs/heads/{name}", "sha": sha}
    try:
        await visit.api.write("POST", f"{repo_path(visit.repo)}/git/refs", body, check=check)
    except CallError as error:
        if error.code == "invalid" and "already exists" in error.message:
            hint = "Choose another name, or commit to it as it is."
            raise CallError("exists", f"The branch {name} is there already; nothing was done.", hint) from None
        raise
    return visit.view.record(f"created a branch in {visit.title}", {"branch": name, "sha": sha})


@writing.tool(effect=WRITE, reach=EXTERNAL)
async def commit_files(
    hub: Hub,
    branch: str,
    message: str,
    files: Annotated[list[FileChange], Field(min_length=1, max_length=200)],
    progress: Progress,
    repo: str = "",
    expected_head: Annotated[str, Field(description="Commit the branch must be at.")] = "",
) -> CallToolResult:
    """Write, add or delete whole files in one atomic commit on an existing branch."""
    name = _branch(branch)
    if expected_head and not is_sha(expected_head):
        raise CallError("bad_ref", "expected_head is no commit.", "Give its hash, of 7 digits or more.")
    if not message.strip():
        raise CallError("no_message", "A commit needs a message.")
    wanted = changes.checked(files)
    visit = await changing(hub, repo)
    visit.api.budget.expect(3 + sum(change.inline is None for change in wanted))
    head = await _head(visit, name)
    if expected_head and not head.startswith(expected_head.lower()):
        raise _moved(visit, name, head, f"is at {head[:12]}, not at {expected_head[:12]}")
    path = f"{repo_path(visit.repo)}/git"
    base = text(table(table(await visit.api.data(f"{path}/commits/{head}")).get("tree")).get("sha"))
    found = await changes.folders(visit.api, visit.repo, base, [change.path for change in wanted])
    deleted = frozenset(change.path for change in wanted if change.data is None)
    modes = [changes.mode(change, found, deleted) for change in wanted]
    entries: list[dict[str, Any]] = []
    for at, (change, mode) in enumerate(zip(wanted, modes, strict=True)):
        entries.append({"path": change.path, "mode": mode, "type": "blob", **await _content(visit, change)})
        if change.inline is None:
            await progress(at + 1, len(wanted) + 3, "files sent")
    tree = await _prepared(visit, f"{path}/trees", {"base_tree": base, "tree": entries})
    if tree.get("sha") == base:
        raise CallError("no_change", "The files are like that already; nothing was committed.")
    made = await _prepared(visit, f"{path}/commits", {"message": message, "tree": tree.get("sha"), "parents": [head]})
    await progress(len(wanted) + 2, len(wanted) + 3, "commit made")
    sha = text(made.get("sha"))
    await _moved_to(visit, name, sha)
    fields = {"branch": name, "sha": sha, "parent": head, "files": len(wanted), "url": text(made.get("html_url"))}
    return visit.view.record(f"committed in {visit.title}", fields)


def _branch(branch: str) -> str:
    """A branch's name, without ``refs/heads/``.

    Raises:
        CallError: `bad_ref`.
    """
    return ref(branch.removeprefix("refs/heads/"), "branch")


async def _head(visit: Visit, branch: str) -> str:
    """The commit of a branch.

    Raises:
        CallError: There is none, or the repository is empty.
    """
    try:
        found = table(await visit.api.data(f"{repo_path(visit.repo)}/git/ref/heads/{ref_segments(branch)}"))
    except CallError as error:
        if error.code == "conflict":
            raise _empty() from None
        if error.code == "not_found":
            if branch == visit.facts.default_branch:
                raise _empty() from None
            hint = "list_refs shows the branches; create_branch makes one."
            raise CallError("not_found", f"There is no branch {branch}; nothing was done.", hint) from None
        raise
    return text(table(found.get("object")).get("sha"))


async def _commit_of(visit: Visit, start: str) -> str:
    """The commit that a branch begins at."""
    if not start:
        return await _head(visit, visit.facts.default_branch)
    if is_sha(start) and len(start) == 40:
        return start.lower()
    try:
        found: object = (await visit.api.get(f"{repo_path(visit.repo)}/commits/{ref_segments(start)}", accept=SHA)).data
    except CallError as error:
        if error.code == "conflict":
            raise _empty() from None
        if error.code == "invalid":
            raise CallError(
                "not_found", f"There is no {start}; nothing was done.", "list_refs shows what is."
            ) from None
        raise
    return found.strip() if isinstance(found, str) else text(table(found).get("sha"))


async def _content(visit: Visit, change: Change) -> dict[str, Any]:
    """How a file stands in a new tree: its text, the blob of it, or nothing."""
    if change.data is None:
        return {"sha": None}
    if change.inline is not None:
        return {"content": change.inline}
    body = {"content": base64.b64encode(change.data).decode(), "encoding": "base64"}
    return {"sha": (await _prepared(visit, f"{repo_path(visit.repo)}/git/blobs", body)).get("sha")}


async def _prepared(visit: Visit, path: str, body: dict[str, Any]) -> Any:
    """A step that nobody sees before the branch is moved.

    Raises:
        CallError: Of the step; after it the branch is as it was, and the whole may be tried again.
    """
    try:
        return table((await visit.api.write("POST", path, body, check="nothing")).data)
    except CallError as error:
        stands = "The branch is as it was: the commit was not finished."
        if error.code == "outcome_unknown":
            hint = "The same call may be repeated."
            raise CallError("not_committed", f"{stands} The connection was lost on the way.", hint) from None
        raise CallError(error.code, f"{stands} {error.message}", error.hint) from None


async def _moved_to(visit: Visit, branch: str, sha: str) -> Answer:
    """Let a branch show a commit, if that is built on its present one; never by force.

    Raises:
        CallError: It isn't, or may not be changed so; `outcome_unknown`.
    """
    check = f'list_commits(repo="{visit.repo}", ref="{branch}", limit=1): whether it is {sha}'
    path = f"{repo_path(visit.repo)}/git/refs/heads/{ref_segments(branch)}"
    step: Awaitable[Answer] = visit.api.write("PATCH", path, {"sha": sha, "force": False}, check=check)
    try:
        return await step
    except CallError as error:
        said = error.message.lower()
        if error.code in ("invalid", "conflict", "forbidden") and any(words in said for words in _PROTECTED):
            hint = "Commit to a branch of its own (create_branch), then create_pull."
            raise CallError("protected", f"{branch} takes no direct commits. {error.message}", hint) from None
        if error.code == "invalid" and "fast" in said and "forward" in said:
            head = await _head(visit, branch)
            raise _moved(visit, branch, head, f"was moved to {head[:12]} by somebody else meanwhile") from None
        raise


def _empty() -> CallError:
    return CallError(
        "empty_repository",
        "The repository has no commit yet, so there is nothing to build on; nothing was done.",
        "The person adds a first file at GitHub, or create_repo makes a repository that has one.",
    )


def _moved(visit: Visit, branch: str, head: str, how: str) -> CallError:
    return CallError(
        "conflict",
        f"{branch} {how}; nothing was committed.",
        f'Read what changed there (list_commits(repo="{visit.repo}", ref="{branch}")), then use expected_head={head}.',
    )
