"""Files, issues, pull requests, runs and logs by URI; by the functions of the tools, so that gate, marks and lockdown are one."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Any, cast

from gatelodge_core.declare import ANY_TYPE, Content, Declarations
from gatelodge_core.effects import UNTRUSTED
from gatelodge_core.errors import CallError
from gatelodge_core.labels import raise_label

from gatelodge_github import blobs, names, uris
from gatelodge_github.data import rows, table, text
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.tools.actions import get_job_log, get_run
from gatelodge_github.tools.files import get_file
from gatelodge_github.tools.issues import get_issue
from gatelodge_github.tools.pulls import get_pull, get_pull_diff
from gatelodge_github.trust.marks import Mark
from gatelodge_github.view import WITHHELD

resources = Declarations[Hub]()

NEEDS = {
    uris.FILE: "get_file",
    uris.ISSUE: "get_issue",
    uris.PULL: "get_pull",
    uris.PULL_DIFF: "get_pull_diff",
    uris.RUN: "get_run",
    uris.JOB_LOG: "get_job_log",
}
"""The tool that a resource goes with: it is there where the tool is offered."""
LARGEST = 1024 * 1024
"""Bytes of a file; of a larger one GitHub gives no content with its description."""
PLAIN = "text/plain"
_BYTES = "application/octet-stream"
# Our own: tables of the system, and of Python's versions, differ.
_TEXTS = {
    ".css": "text/css", ".csv": "text/csv", ".go": "text/x-go", ".htm": "text/html", ".html": "text/html",
    ".js": "text/javascript", ".json": "application/json", ".md": "text/markdown", ".mjs": "text/javascript",
    ".py": "text/x-python", ".rs": "text/x-rust", ".sh": "application/x-sh", ".sql": "application/sql",
    ".svg": "image/svg+xml", ".toml": "application/toml", ".ts": "text/x-typescript", ".tsv": "text/tab-separated-values",
    ".tsx": "text/x-typescript", ".xml": "application/xml", ".yaml": "application/yaml", ".yml": "application/yaml",
}  # fmt: skip
_OTHERS = {
    ".gif": "image/gif", ".gz": "application/gzip", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".pdf": "application/pdf",
    ".png": "image/png", ".webp": "image/webp", ".woff2": "font/woff2", ".zip": "application/zip",
}  # fmt: skip


def _number(given: str, what: str) -> int:
    """A number of a URI.

    Raises:
        CallError: `not_found`.
    """
    if not (given.isascii() and given.isdigit() and len(given) < 20 and int(given)):
        raise CallError("not_found", f"{what} is no number from 1 on.")
    return int(given)


@resources.resource(uris.FILE, name="repository-file", mime_type=ANY_TYPE)
async def repository_file(hub: Hub, owner: str, repo: str, ref: str, path: str) -> Content:
    """A file up to 1 MB, or a directory, at a branch, tag or commit; HEAD is the default branch."""
    visit = await hub.open(f"{owner}/{repo}")
    quoted, at = names.file_path(path), "" if ref == "HEAD" else names.ref(ref)
    route = f"{names.repo_path(visit.repo)}/contents{'/' if quoted else ''}{quoted}"
    found: object = await visit.api.data(route, {"ref": at})
    mark = Mark("", visit.facts.file_trust(at))
    if isinstance(found, list):
        return Content(_directory(visit, mark, at, rows(cast("object", found))), PLAIN)
    item = table(found)
    size = item.get("size")
    if item.get("type") != "file":
        return Content(await get_file(hub, visit.repo, path, at), PLAIN)
    if isinstance(size, int) and size and (size > LARGEST or item.get("encoding") != "base64"):
        raise CallError("too_large", f"The file has {size:,} bytes, more than 1 MB.", "get_file reads it by lines.")
    return _content(hub, visit, mark, path, _bytes(item))


def _directory(visit: Visit, mark: Mark, ref: str, entries: list[dict[str, Any]]) -> str:
    """A line for each entry: type, bytes, and its URI, in which no name can pass for anything else."""
    lines: list[str] = []
    for item in entries:
        kind = text(item.get("type"))
        inside = text(item.get("path")) + ("/" if kind == "dir" else "")
        lines.append(f"{kind}\t{item.get('size') or 0}\t{uris.file(visit.repo, ref, inside)}")
    return visit.view.text(mark, "\n".join(lines), f"directory of {visit.repo}", "file", markdown=False, whole=True)


def _content(hub: Hub, visit: Visit, mark: Mark, path: str, data: bytes) -> Content:
    """A file as it is; if strangers may have written it, text in an envelope and without the type of a program's input."""
    ending = os.path.splitext(path)[1].lower()
    data, _ = blobs.narrow(data)
    if blobs.is_text(data):
        shown, _ = blobs.decoded(data)
        if mark.trust.trusted:
            return Content(shown, _TEXTS.get(ending, PLAIN))
        return Content(
            visit.view.text(mark, shown, f"{path} of {visit.repo}", "file", markdown=False, whole=True), PLAIN
        )
    if not visit.view.admits(mark, "file"):
        return Content(WITHHELD, PLAIN)
    if not mark.trust.trusted:
        hub.taint.saw_untrusted()
        raise_label(UNTRUSTED)
    return Content(data, _OTHERS.get(ending, _BYTES))


def _bytes(item: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(text(item.get("content")))
    except (binascii.Error, ValueError):
        raise CallError("bad_answer", "GitHub's content is no base64.", "Try again.") from None


@resources.resource(uris.ISSUE, name="issue")
async def issue(hub: Hub, owner: str, repo: str, number: str) -> str:
    """An issue with its comments."""
    return await get_issue(hub, _number(number, "the issue"), f"{owner}/{repo}", include=["comments"])


@resources.resource(uris.PULL, name="pull-request")
async def pull_request(hub: Hub, owner: str, repo: str, number: str) -> str:
    """A pull request with its checks, reviews and comments."""
    which = _number(number, "the pull request")
    return await get_pull(hub, which, f"{owner}/{repo}", include=["checks", "reviews", "comments"])


@resources.resource(uris.PULL_DIFF, name="pull-request-diff")
async def pull_request_diff(hub: Hub, owner: str, repo: str, number: str) -> str:
    """The diff of a pull request: statistics, then patches as far as they fit."""
    return await get_pull_diff(hub, _number(number, "the pull request"), f"{owner}/{repo}")


@resources.resource(uris.RUN, name="workflow-run")
async def workflow_run(hub: Hub, owner: str, repo: str, run: str) -> str:
    """A run of GitHub Actions: its jobs, failed ones first, and its artifacts."""
    return await get_run(hub, _number(run, "the run"), f"{owner}/{repo}")


@resources.resource(uris.JOB_LOG, name="job-log")
async def job_log(hub: Hub, owner: str, repo: str, run: str, job: str) -> str:
    """The log of a job of GitHub Actions: around its errors, or its end if it has none."""
    of, which = _number(run, "the run"), _number(job, "the job")
    visit = await hub.open(f"{owner}/{repo}")
    found = table(await visit.api.data(f"{names.repo_path(visit.repo)}/actions/jobs/{which}"))
    if found.get("run_id") != of:
        raise CallError("not_found", f"run {of} has no job {which}.", "get_run shows the jobs of a run.")
    return await get_job_log(hub, which, visit.repo)
