"""Tools for workflow runs and their logs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import anyio.to_thread
from gatelodge_core.declare import Declarations
from gatelodge_core.effects import EXTERNAL, READ
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult
from pydantic import Field

from gatelodge_github import cursors, job_logs, names, paging, runs
from gatelodge_github.cursors import Place
from gatelodge_github.data import day, rows, table, text, whole
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.log_long_lines import LineReader
from gatelodge_github.logs import MAX_LINES, Failed, Grep, LogExcerpt, LogReader, Tail
from gatelodge_github.tools.common import Limit, Number
from gatelodge_github.trust.marks import PROGRAM, Mark
from gatelodge_github.view import BUDGET, WITHHELD, shown_size

actions = Declarations[Hub]()

MOST_JOBS = 300
"""Jobs of a run that are looked at: three requests."""
MOST_ARTIFACTS = 20
MOST_MATCHES = 200
_MOST_CUT = 8
"""Long lines of a log that get a cursor each."""


@actions.tool(effect=READ, reach=EXTERNAL)
async def list_runs(
    hub: Hub,
    repo: str = "",
    workflow: Annotated[str, Field(description="File name or id.")] = "",
    branch: str = "",
    status: str = "",
    event: str = "",
    limit: Limit = 20,
    cursor: str = "",
) -> CallToolResult:
    """List GitHub Actions workflow runs, newest first."""
    if status and status not in runs.STATUSES:
        raise CallError("bad_status", "status is none that a run can have.", f"One of {', '.join(runs.STATUSES)}.")
    if event and not (event.isascii() and event.replace("_", "").isalnum()):
        raise CallError("bad_event", "event is no event.", "Such as push, pull_request or workflow_dispatch.")
    if branch:
        names.ref(branch, "branch")
    within = f"/workflows/{names.segment(workflow.rpartition('/')[2])}" if workflow else ""
    visit = await hub.open(repo)
    asked: dict[str, Any] = {"branch": branch, "status": status, "event": event, "exclude_pull_requests": "true"}
    question = ["list_runs", visit.repo.lower(), within, asked]
    page = await paging.rest(
        visit.api,
        f"{names.repo_path(visit.repo)}/actions{within}/runs",
        asked,
        limit=limit,
        cursor=cursor,
        question=question,
        pick=lambda data: table(data).get("workflow_runs"),
        total=lambda data: whole(table(data).get("total_count"), -1),
    )
    shown: list[tuple[dict[str, Any], Place]] = []
    for run, behind in page.items:
        mark = runs.mark(visit.facts, run)
        if visit.view.admits(mark, "log"):
            shown.append((_run(visit, mark, run), behind))
    return visit.view.listing(
        f"workflow runs of {visit.title}",
        shown,
        page,
        question,
    )


def _run(visit: Visit, mark: Mark, run: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": run.get("id"),
        "workflow": visit.view.line(mark, runs.workflow(run), "log", 80),
        "result": runs.result(run),
        "branch": visit.view.name(mark, text(run.get("head_branch")), "log", 250),
        "event": run.get("event"),
        "actor": text(table(run.get("actor")).get("login")),
        "attempt": run.get("run_attempt") or 1,
        "sha": text(run.get("head_sha"))[:10],
        "created": day(run.get("created_at")),
        "trust": str(mark.trust),
    }


@actions.tool(effect=READ, reach=EXTERNAL)
async def get_run(hub: Hub, run_id: Number, repo: str = "", cursor: str = "") -> str:
    """Workflow run: jobs, failed first, with failed steps, and artifacts."""
    visit = await hub.open(repo)
    path = f"{names.repo_path(visit.repo)}/actions/runs/{run_id}"
    run = table(await visit.api.data(path))
    mark = runs.mark(visit.facts, run)
    question = ["get_run", visit.repo.lower(), run_id, run.get("run_attempt")]
    start: int = cursors.read(cursor, question).get("o") or 0
    jobs, total = await _jobs(visit, path)
    parts = [_head(visit, mark, run)] if not start else []
    held = "" if start else await _artifacts(visit, mark, path)
    lines, room = ["id\tjob\tresult\ttook\tfailed steps"], BUDGET - 1_000 - sum(map(shown_size, [*parts, held]))
    for job in jobs[start:]:
        line = _job(visit, mark, job)
        room -= shown_size(line) + 1
        if room < 0 and len(lines) > 1:
            break
        lines.append(line)
    end = start + len(lines) - 1
    whole = f"{total}, the first {len(jobs)} of which were looked at" if total > len(jobs) else str(total)
    parts.append("\n".join([f"jobs: shown {end - start} of {whole}", *(lines if end > start else [])]))
    if end < len(jobs):
        parts.append(f"cursor: {cursors.make({'o': end}, question)}")
    if held:
        parts.append(held)
    failed = next((job.get("id") for job in jobs[start:end] if runs.failed_steps(job)), None)
    if failed is not None:
        parts.append(f"get_job_log(job_id={failed}) shows where it failed.")
    title = f"run {run_id} of {visit.title}: {runs.result(run)}"
    return visit.view.bulk(title, *parts)


async def _jobs(visit: Visit, path: str) -> tuple[list[dict[str, Any]], int]:
    """The jobs of the last attempt, worst first, and how many there are."""
    found: list[dict[str, Any]] = []
    total = 0
    for number in range(1, MOST_JOBS // 100 + 1):
        answer = await visit.api.get(f"{path}/jobs", {"filter": "latest", "per_page": 100, "page": number})
        found += rows(table(answer.data).get("jobs"))
        total = whole(table(answer.data).get("total_count"))
        if not answer.next_page:
            break
    return runs.worst_first(found), max(total, len(found))


def _head(visit: Visit, mark: Mark, run: Any) -> str:
    line = visit.view.line
    fields = {
        "workflow": f"{line(mark, runs.workflow(run), 'log', 80)} ({line(mark, text(run.get('path')), 'log', 200)})",
        "number": f"{run.get('run_number')}, attempt {run.get('run_attempt') or 1}",
        "event": f"{run.get('event')} by {text(table(run.get('actor')).get('login')) or 'nobody known'}",
        "title": line(mark, text(run.get("display_title")), "log"),
        "branch": line(mark, text(run.get("head_branch")), "log", 250),
        "sha": text(run.get("head_sha")),
        "head": text(table(run.get("head_repository")).get("full_name")) or "a repository that is gone",
        "created": day(run.get("created_at")),
        "took": runs.took(run.get("run_started_at"), run.get("updated_at")) if run.get("conclusion") else "",
        "trust": f"{mark.trust}: names come from the workflow file of that branch",
    }
    return "\n".join(f"{name}: {value}" for name, value in fields.items() if value)


def _job(visit: Visit, mark: Mark, job: dict[str, Any]) -> str:
    line = visit.view.line
    steps = runs.failed_steps(job)
    named = [f"{step.number} {line(mark, step.name, 'log', 80)} ({step.result})" for step in steps[:5]]
    if len(steps) > 5:
        named.append(f"and {len(steps) - 5} more")
    took = runs.took(job.get("started_at"), job.get("completed_at"))
    return f"{job.get('id')}\t{line(mark, text(job.get('name')), 'log', 120)}\t{runs.result(job)}\t{took}\t{'; '.join(named)}"


async def _artifacts(visit: Visit, mark: Mark, path: str) -> str:
    found = table(await visit.api.data(f"{path}/artifacts", {"per_page": 100}))
    items, total = rows(found.get("artifacts")), whole(found.get("total_count"))
    lines = [
        f"{visit.view.line(mark, text(item.get('name')), 'log', 120)}\t{item.get('size_in_bytes')}"
        f"\t{'expired' if item.get('expired') else ''}"
        for item in items[:MOST_ARTIFACTS]
    ]
    head = f"artifacts: shown {len(lines)} of {max(total, len(lines))}"
    return "\n".join([head, *(["name\tbytes\texpired", *lines] if lines else [])])


@actions.tool(effect=READ, reach=EXTERNAL)
async def get_job_log(
    hub: Hub,
    job_id: Number,
    repo: str = "",
    mode: Literal["failed", "tail", "grep"] = "failed",
    pattern: Annotated[str, Field(description="For grep: text, or /expression/.")] = "",
    lines: Annotated[int, Field(ge=1, le=MAX_LINES)] = 200,
    cursor: str = "",
) -> str:
    """An Actions job's log: around its errors, its end, or lines that match."""
    # What can't be looked for is said before anything is fetched.
    reader = LogReader(_looked_for(mode, pattern, lines))
    visit = await hub.open(repo)
    question = ["get_job_log", visit.repo.lower(), job_id]
    if cursor:
        return await _line_of_log(hub, visit, job_id, cursors.read(cursor, question), question)
    try:
        cut = await hub.downloads.feed(await _log_at(visit, job_id), reader.feed)
        excerpt = await anyio.to_thread.run_sync(lambda: reader.finish(whole=not cut), abandon_on_cancel=True)
    except BaseException:
        # A thread that still searches, for a call that was cancelled, ends.
        reader.stop()
        raise
    found = job_logs.shown(excerpt, lines, BUDGET - 2_200)
    counted = f"{excerpt.total_lines} lines, {excerpt.total_bytes} bytes, {excerpt.errors} errors"
    head = [f"log of job {job_id} of {visit.title}: {counted}", _told(mode, excerpt, found, lines)]
    if not excerpt.whole:
        head.append(f"The log is longer: only its first {excerpt.total_bytes} bytes were read.")
    text_ = visit.view.text(PROGRAM, found.text, f"log of job {job_id}", "log", markdown=False)
    notes = [
        f"line {number} was cut; all of it: cursor={cursors.make({'l': number}, question)}" for number in found.cut
    ]
    if len(notes) > _MOST_CUT:
        notes[_MOST_CUT:] = [f"{len(notes) - _MOST_CUT} more lines were cut: ask for fewer lines."]
    return visit.view.bulk("\n".join(head), text_, "\n".join(notes if text_ != WITHHELD else []))


async def _line_of_log(hub: Hub, visit: Visit, job_id: int, place: Place, question: object) -> str:
    """A part of one line, and the cursor of the next part."""
    number, begin = place.get("l") or 1, place.get("c") or 0
    reader = LineReader(number, begin)
    await hub.downloads.feed(await _log_at(visit, job_id), reader.feed)
    part = await anyio.to_thread.run_sync(reader.part, BUDGET - 2_200)
    if part.size < 0:
        raise CallError("changed", "the log has no such line.", "Leave the cursor out to begin anew.")
    head = f"line {number} of the log of job {job_id} of {visit.title}: from byte {begin + 1} of {part.size}, without colours"
    text_ = visit.view.text(PROGRAM, part.text, f"log of job {job_id}", "log", markdown=False)
    onward = (
        f"cursor: {cursors.make({'l': number, 'c': part.next}, question)}"
        if part.next
        else "That is the end of the line."
    )
    return visit.view.bulk(head, text_, onward)


async def _log_at(visit: Visit, job_id: int) -> str:
    """Where the log of a job lies.

    Raises:
        CallError: It can't be had.
    """
    try:
        return await visit.api.location(f"{names.repo_path(visit.repo)}/actions/jobs/{job_id}/logs")
    except CallError as error:
        if error.code != "not_found":
            raise
        hint = "Logs expire (usually after 90 days), and a job has none before it ends. get_run shows the jobs."
        raise CallError("not_found", error.message, f"{hint} {error.hint}".strip()) from error


def _looked_for(mode: str, pattern: str, lines: int) -> Tail | Grep | Failed:
    if mode != "grep":
        if pattern:
            raise CallError("bad_arguments", "pattern is for mode grep.", "Leave it out, or give mode=grep.")
        return Tail(lines) if mode == "tail" else Failed(before=max(20, lines // 2))
    expression = len(pattern) > 2 and pattern[0] == pattern[-1] == "/"
    return Grep(pattern[1:-1] if expression else pattern, regex=expression, limit=min(lines, MOST_MATCHES))


def _told(mode: str, excerpt: LogExcerpt, found: job_logs.Shown, lines: int) -> str:
    """What is shown and what isn't, and how to see that."""
    if mode == "tail" or (mode == "failed" and not excerpt.errors):
        told = f"shown the last {found.lines} lines"
        if mode == "failed":
            told = f"no line is marked as an error; {told}"
        if found.left_out and found.lines < lines:
            return f"{told}: more of them would be too much for one answer; mode=grep finds others."
        return f"{told}; lines={min(2 * lines, MAX_LINES)} or mode=grep shows others."
    what = "errors" if mode == "failed" else "lines that match"
    told = f"shown {found.lines} lines with {found.matches} of {excerpt.matches} {what} (>)"
    if found.matches < excerpt.matches:
        return f"{told}; the others found no room: mode=grep with a narrower pattern shows them."
    return f"{told}; mode=tail shows the end." if mode == "failed" else f"{told}."
