"""Completions of repositories, refs, paths and numbers by their beginning: one request each, of what may be read.

What is offered of a repository counts as read. Names that can't be shown as they are, or whose authors lockdown withholds,
are left out. Where GitHub says no or takes longer than a person waits, nothing is offered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from gatelodge_core.declare import Declarations
from gatelodge_core.errors import CallError

from gatelodge_github import names
from gatelodge_github.data import rows, table, text
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.trust.marks import Mark
from gatelodge_github.view import Surface

completing = Declarations[Hub]()

SECONDS = 3.0
"""Whoever types does not wait longer."""
_PAGE = 100


async def _known(hub: Hub) -> list[str]:
    """Repositories by full name: the default one, those that the settings name, and the caller's own, last changed first."""
    named = [hub.gate.default, *hub.gate.patterns]
    found = [name for name in named if hub.gate.reads(name)]
    api = hub.desk().api
    try:
        if api.credential.app:
            answer = await api.get("/installation/repositories", {"per_page": _PAGE}, seconds=SECONDS)
            listed = rows(table(answer.data).get("repositories"))
        elif api.credential.kind != "none":
            answer = await api.get("/user/repos", {"per_page": _PAGE, "sort": "pushed"}, seconds=SECONDS)
            listed = rows(answer.data)
        else:
            listed = []
    except CallError:
        listed = []
    found += [name for item in listed if hub.gate.reads(name := text(item.get("full_name")))]
    # GitHub's names know no letter case.
    return list({name.lower(): name for name in reversed(found)}.values())[::-1]


def _beginning(values: Sequence[str], value: str) -> list[str]:
    return [one for one in dict.fromkeys(values) if one.lower().startswith(value.lower())]


@completing.completer("repository-file", "owner")
@completing.completer("issue", "owner")
@completing.completer("pull-request", "owner")
@completing.completer("pull-request-diff", "owner")
@completing.completer("workflow-run", "owner")
@completing.completer("job-log", "owner")
async def complete_owner(hub: Hub, value: str, chosen: dict[str, str]) -> list[str]:
    """Owners of repositories that are known."""
    del chosen
    named = [pattern.partition("/")[0] for pattern in hub.gate.patterns]
    owners = [name.partition("/")[0] for name in await _known(hub)]
    return _beginning([*owners, *(owner for owner in named if names.LOGIN.fullmatch(owner))], value)


@completing.completer("repository-file", "repo")
@completing.completer("issue", "repo")
@completing.completer("pull-request", "repo")
@completing.completer("pull-request-diff", "repo")
@completing.completer("workflow-run", "repo")
@completing.completer("job-log", "repo")
async def complete_name(hub: Hub, value: str, chosen: dict[str, str]) -> list[str]:
    """Names of the repositories of the chosen owner."""
    owner = chosen.get("owner", "").lower()
    known = [name.partition("/") for name in await _known(hub)]
    return _beginning([name for of, _, name in known if of.lower() == owner], value)


@completing.completer("triage_issue", "repo")
@completing.completer("review_pull", "repo")
@completing.completer("fix_failing_run", "repo")
@completing.completer("release_notes", "repo")
async def complete_repository(hub: Hub, value: str, chosen: dict[str, str]) -> list[str]:
    """Repositories as owner/name."""
    del chosen
    return _beginning(await _known(hub), value)


async def _visit(hub: Hub, chosen: Mapping[str, str]) -> Visit:
    """The repository that was chosen: a template's owner and repo, or a prompt's repo.

    Raises:
        CallError: It may not be read, or isn't there; nothing is then offered.
    """
    repo = chosen.get("repo", "")
    return await hub.open(f"{chosen['owner']}/{repo}" if "owner" in chosen else repo)


def _shown(visit: Visit, values: Sequence[str], surface: Surface, ref: str = "") -> list[str]:
    """Names that can be shown as they are: a name in which something hides would not be what it seems."""
    mark = Mark("", visit.facts.file_trust(ref))
    return [one for one in dict.fromkeys(values) if one and visit.view.name(mark, one, surface) == one]


async def _refs(visit: Visit, kind: Literal["branches", "tags"], value: str) -> list[str]:
    """Branches or tags that begin so; without a beginning a page of them, since there can be very many."""
    path = names.repo_path(visit.repo)
    if not value:
        answer = await visit.api.get(f"{path}/{kind}", {"per_page": _PAGE}, seconds=SECONDS)
        return [text(item.get("name")) for item in rows(answer.data)]
    # A beginning may end as no name may.
    names.ref(f"{value}x")
    space = "heads" if kind == "branches" else "tags"
    answer = await visit.api.get(f"{path}/git/matching-refs/{space}/{quote(value, safe='/')}", seconds=SECONDS)
    return [text(item.get("ref")).removeprefix(f"refs/{space}/") for item in rows(answer.data)]


@completing.completer("repository-file", "ref")
async def complete_ref(hub: Hub, value: str, chosen: dict[str, str]) -> list[str]:
    """HEAD, branches and tags."""
    visit = await _visit(hub, chosen)
    found = [*await _refs(visit, "branches", value), *await _refs(visit, "tags", value)]
    return _shown(visit, [*(["HEAD"] if "HEAD".startswith(value) else []), *found], "ref")


@completing.completer("release_notes", "since")
async def complete_tag(hub: Hub, value: str, chosen: dict[str, str]) -> list[str]:
    """Tags, those with the highest names first."""
    visit = await _visit(hub, chosen)
    return _shown(visit, sorted(await _refs(visit, "tags", value), reverse=True), "ref")


@completing.completer("repository-file", "path")
async def complete_path(hub: Hub, value: str, chosen: dict[str, str]) -> list[str]:
    """Entries of the directory that is being written, directories first and with a slash."""
    visit, ref = await _visit(hub, chosen), chosen.get("ref", "HEAD")
    at = "" if ref == "HEAD" else names.ref(ref)
    folder, slash, _ = value.rpartition("/")
    quoted = names.file_path(folder)
    path = f"{names.repo_path(visit.repo)}/contents{'/' if quoted else ''}{quoted}"
    answer = await visit.api.get(path, {"ref": at}, seconds=SECONDS)
    entries = sorted(rows(answer.data), key=lambda item: item.get("type") != "dir")
    found = [
        f"{folder}{slash}{text(item.get('name'))}{'/' if item.get('type') == 'dir' else ''}"
        for item in entries
        if text(item.get("name"))
    ]
    return _shown(visit, [one for one in found if one.startswith(value)], "file", at)


async def _numbers(
    hub: Hub, value: str, chosen: Mapping[str, str], route: str, params: Mapping[str, Any], key: str = ""
) -> list[dict[str, Any]]:
    """The newest items whose number, or id, begins so."""
    visit = await _visit(hub, chosen)
    path = f"{names.repo_path(visit.repo)}/{route}"
    answer = await visit.api.get(path, {"per_page": _PAGE, **params}, seconds=SECONDS)
    items = rows(table(answer.data).get(key)) if key else rows(answer.data)
    return [item for item in items if str(item.get("id" if key else "number")).startswith(value.removeprefix("#"))]


@completing.completer("issue", "number")
@completing.completer("triage_issue", "number")
async def complete_issue(hub: Hub, value: str, chosen: dict[str, str]) -> list[str]:
    """Numbers of issues, last changed first."""
    found = await _numbers(hub, value, chosen, "issues", {"state": "all", "sort": "updated"})
    return [str(item.get("number")) for item in found if "pull_request" not in item]


@completing.completer("pull-request", "number")
@completing.completer("pull-request-diff", "number")
@completing.completer("review_pull", "number")
async def complete_pull(hub: Hub, value: str, chosen: dict[str, str]) -> list[str]:
    """Numbers of pull requests, last changed first."""
    params = {"state": "all", "sort": "updated", "direction": "desc"}
    return [str(item.get("number")) for item in await _numbers(hub, value, chosen, "pulls", params)]


@completing.completer("workflow-run", "run")
@completing.completer("job-log", "run")
async def complete_run(hub: Hub, value: str, chosen: dict[str, str]) -> list[str]:
    """Runs, the newest first."""
    params = {"exclude_pull_requests": "true"}
    found = await _numbers(hub, value, chosen, "actions/runs", params, "workflow_runs")
    return [str(item.get("id")) for item in found]


@completing.completer("fix_failing_run", "run_id")
async def complete_failed_run(hub: Hub, value: str, chosen: dict[str, str]) -> list[str]:
    """Runs that failed, the newest first."""
    params = {"exclude_pull_requests": "true", "status": "failure"}
    found = await _numbers(hub, value, chosen, "actions/runs", params, "workflow_runs")
    return [str(item.get("id")) for item in found]


@completing.completer("job-log", "job")
async def complete_job(hub: Hub, value: str, chosen: dict[str, str]) -> list[str]:
    """Jobs of the chosen run, those that failed first."""
    run = chosen.get("run", "")
    if not (run.isascii() and run.isdigit()):
        return []
    found = await _numbers(hub, value, chosen, f"actions/runs/{run}/jobs", {"filter": "latest"}, "jobs")
    return [str(item.get("id")) for item in sorted(found, key=lambda item: item.get("conclusion") != "failure")]
