"""The tool that makes workflows run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import DESTROY, EXTERNAL
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult
from pydantic import Field

from gatelodge_github import names
from gatelodge_github.data import table, text
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.tools.common import changing

dispatching = Declarations[Hub]()

Action = Literal["dispatch", "rerun", "rerun_failed", "cancel"]
MOST_INPUTS = 25
"""That GitHub takes."""
_ROUTES = {"rerun": "rerun", "rerun_failed": "rerun-failed-jobs", "cancel": "cancel"}
_DONE = {"rerun": "all jobs run again", "rerun_failed": "the failed jobs run again", "cancel": "it is being cancelled"}


@dispatching.tool(effect=DESTROY, reach=EXTERNAL)
async def run_workflow(
    hub: Hub,
    action: Action,
    repo: str = "",
    workflow: Annotated[str, Field(description="File name or id.")] = "",
    ref: str = "",
    inputs: dict[str, str] = {},  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    run_id: int = 0,
) -> CallToolResult:
    """Dispatch an Actions workflow on a branch or tag, or rerun or cancel a run."""
    if action == "dispatch":
        if not workflow or run_id:
            raise CallError(
                "bad_arguments", "dispatch takes workflow, ref and inputs, and no run_id.", "Name workflow."
            )
        if len(inputs) > MOST_INPUTS:
            raise CallError("bad_arguments", f"GitHub takes {MOST_INPUTS} inputs at most.", "Leave some out.")
        name = names.segment(workflow.rpartition("/")[2])
        if ref:
            names.ref(ref)
        return await _dispatch(await changing(hub, repo), name, ref, inputs)
    if run_id < 1 or workflow or ref or inputs:
        raise CallError(
            "bad_arguments", f"{action} takes run_id, and nothing of a dispatch.", "list_runs shows the ids."
        )
    visit = await changing(hub, repo)
    path = f"{names.repo_path(visit.repo)}/actions/runs/{run_id}/{_ROUTES[action]}"
    await visit.api.write("POST", path, check=f"get_run(run_id={run_id}, repo={visit.repo})")
    fields = {"run_id": run_id, "state": _DONE[action], "next": f"get_run(run_id={run_id})"}
    return visit.view.record(f"{action} of run {run_id} of {visit.title}", fields)


async def _dispatch(visit: Visit, workflow: str, ref: str, inputs: dict[str, str]) -> CallToolResult:
    chosen = ref or visit.facts.default_branch
    if not chosen:
        raise CallError("bad_arguments", "the default branch is not known.", "Give ref, a branch or tag.")
    body: dict[str, Any] = {"ref": chosen}
    if inputs:
        body["inputs"] = inputs
    if not visit.api.hosts.prefix:
        # An Enterprise Server may be too old for it.
        body["return_run_details"] = True
    path = f"{names.repo_path(visit.repo)}/actions/workflows/{workflow}/dispatches"
    look = f"list_runs(workflow={workflow}, event=workflow_dispatch, repo={visit.repo})"
    started = table((await visit.api.write("POST", path, body, check=look)).data)
    run_id = started.get("workflow_run_id")
    fields: dict[str, Any] = {
        "workflow": workflow,
        "ref": chosen,
        "run_id": run_id,
        "url": text(started.get("html_url")),
        "state": "asked for",
        # 204 tells no number, and the run is there only a moment later.
        "next": f"get_run(run_id={run_id})" if run_id else f"{look}, in a moment",
    }
    return visit.view.record(f"dispatch of {workflow} in {visit.title}", fields)
