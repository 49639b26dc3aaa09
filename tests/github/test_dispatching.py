"""Making workflows run: asked about, sent once, over routes that the emulator doesn't have."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.github import faults
from tests.github.emulator import PUBLIC, Emulator
from tests.github.exchanges import problems_of
from tests.github.loopback import Answer, Request, as_json
from tests.github.proxy import Proxy
from tests.github.support import server

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}/actions"


@pytest.fixture
def bed(github: Emulator, proxy: Proxy) -> Generator[Proxy]:
    """The proxy; at the end, what went over routes of Actions is held to GitHub's description."""
    assert github.url
    yield proxy
    assert problems_of(one for one in proxy.exchanges if "/actions/" in one.request.path) == []


def dispatched(request: Request) -> Answer:
    """As GitHub answers: with the run if it is asked for, else with nothing."""
    if request.json().get("return_run_details"):
        url = f"repos/{PUBLIC}/actions/runs/77"
        told = {
            "workflow_run_id": 77,
            "run_url": f"https://api.github.com/{url}",
            "html_url": f"https://github.com/{url}",
        }
        return as_json(told)
    return Answer(204)


async def test_a_dispatch_is_asked_about_and_sent_once_with_what_was_given(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    bed.serve("POST", f"{HERE}/workflows/ci.yml/dispatches", dispatched)
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        wanted = {"action": "dispatch", "workflow": "ci.yml", "ref": "release/1.x", "inputs": {"level": "debug"}}
        record = await called.record("run_workflow", **wanted)
        assert (record["run_id"], record["ref"]) == (77, "release/1.x")
        (question,) = called.questions
        assert all(word in question for word in (PUBLIC, "release/1.x", "level", "debug"))
        await called.text("run_workflow", action="dispatch", workflow=".github/workflows/ci.yml")
        assert await called.label("run_workflow", action="dispatch", workflow="ci.yml") == "trusted/public"
    bodies = [one.json() for one in bed.writes()]
    # What wasn't given isn't sent; a ref GitHub must have.
    assert bodies == [
        {"ref": "release/1.x", "inputs": {"level": "debug"}, "return_run_details": True},
        {"ref": "main", "return_run_details": True},
        {"ref": "main", "return_run_details": True},
    ]


async def test_an_enterprise_server_tells_no_run_and_the_answer_says_how_to_find_it(
    github: Emulator, ghes: Proxy, tmp_path: Path
) -> None:
    ghes.serve("POST", f"{HERE}/workflows/ci.yml/dispatches", dispatched)
    async with server(tmp_path, ghes.url, github.tokens["alice"], repo=PUBLIC) as called:
        record = await called.record("run_workflow", action="dispatch", workflow="ci.yml")
    assert "run_id" not in record
    assert record["next"].startswith(f"list_runs(workflow=ci.yml, event=workflow_dispatch, repo={PUBLIC})")
    assert [one.json() for one in ghes.writes()] == [{"ref": "main"}]


@pytest.mark.parametrize(
    ("action", "route", "status"),
    [("rerun", "rerun", 201), ("rerun_failed", "rerun-failed-jobs", 201), ("cancel", "cancel", 202)],
)
async def test_a_run_is_rerun_or_cancelled_by_one_request_without_a_body(
    bed: Proxy, emulator: Emulator, tmp_path: Path, action: str, route: str, status: int
) -> None:
    bed.serve("POST", f"{HERE}/runs/9/{route}", lambda _: as_json({}, status))
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        record = await called.record("run_workflow", action=action, run_id=9)
        assert record["next"] == "get_run(run_id=9)"
        assert len(called.questions) == 1
    (sent,) = bed.writes()
    assert (sent.path, sent.json()) == (f"{HERE}/runs/9/{route}", None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "dispatch"},
        {"action": "dispatch", "workflow": "ci.yml", "run_id": 9},
        {"action": "dispatch", "workflow": ".."},
        {"action": "dispatch", "workflow": "ci.yml", "ref": "a..b"},
        {"action": "dispatch", "workflow": "ci.yml", "inputs": {str(number): "" for number in range(26)}},
        {"action": "rerun"},
        {"action": "cancel", "run_id": -1},
        {"action": "rerun_failed", "run_id": 9, "workflow": "ci.yml"},
        {"action": "cancel", "run_id": 9, "inputs": {"a": "b"}},
        {"action": "delete", "run_id": 9},
    ],
)
async def test_arguments_that_do_not_belong_together_are_refused_and_nothing_is_sent(
    bed: Proxy, emulator: Emulator, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        await called.error("run_workflow", **wrong)
    assert not [one for one in bed.requests if "/actions/" in one.path]


def declines(_: str) -> bool:
    return False


@pytest.mark.parametrize("says", [declines, None], ids=["declined", "cannot ask"])
async def test_nothing_runs_without_the_person_s_yes(
    bed: Proxy, emulator: Emulator, tmp_path: Path, says: Callable[[str], bool] | None
) -> None:
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC, says=says) as called:
        for wanted in ({"action": "dispatch", "workflow": "ci.yml"}, {"action": "rerun", "run_id": 9}):
            await called.error("run_workflow", **wanted)
    assert bed.writes() == []


async def test_a_secret_among_the_inputs_does_not_leave_whatever_the_person_says(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    token = emulator.tokens["alice"]
    async with server(tmp_path, bed.url, token, repo=PUBLIC) as called:
        for inputs in ({"a": f"x {token} y"}, {token: "a"}, {"a": token[:20], "b": token[20:]}):
            error = await called.error("run_workflow", action="dispatch", workflow="ci.yml", inputs=inputs)
            assert token not in error
        assert called.questions == []
    assert bed.writes() == []


async def test_where_writing_is_off_or_not_allowed_nothing_can_be_run(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    async with server(tmp_path / "a", bed.url, emulator.tokens["alice"], repo=PUBLIC, read_only=True) as called:
        names = {tool.name for tool in (await called.client.list_tools()).tools}
        assert ("run_workflow" in names, "get_run" in names) == (False, True)
    async with server(tmp_path / "b", bed.url, emulator.tokens["alice"], repo=PUBLIC, write_repos=["acme/*"]) as called:
        for wanted in ({"action": "rerun", "run_id": 9}, {"action": "dispatch", "workflow": "ci.yml"}):
            assert "repo_not_writable" in await called.error("run_workflow", **wanted)
    assert bed.writes() == []


async def test_a_lost_answer_is_not_repeated_and_says_how_to_check(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    bed.serve("POST", f"{HERE}/workflows/ci.yml/dispatches", dispatched)
    bed.fault("POST", f"{HERE}/.*", faults.hangs_up_after_commit())
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        error = await called.error("run_workflow", action="dispatch", workflow="ci.yml")
    assert "outcome_unknown" in error
    assert "list_runs(workflow=ci.yml, event=workflow_dispatch" in error
    assert len(bed.writes()) == 1


async def test_what_github_refuses_is_told_in_its_words(bed: Proxy, emulator: Emulator, tmp_path: Path) -> None:
    lacking = "Workflow does not have 'workflow_dispatch' trigger"
    bed.fault("POST", f"{HERE}/workflows/.*", faults.refuses(422, lacking))
    bed.fault("POST", f"{HERE}/runs/9/cancel", faults.refuses(409, "Cannot cancel a workflow run that is completed."))
    bed.fault("POST", f"{HERE}/runs/9/rerun", faults.refuses(403, "The workflow run cannot be retried"))
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        assert lacking in await called.error("run_workflow", action="dispatch", workflow="ci.yml")
        assert "conflict" in await called.error("run_workflow", action="cancel", run_id=9)
        assert "cannot be retried" in await called.error("run_workflow", action="rerun", run_id=9)
    assert len(bed.writes()) == 3
