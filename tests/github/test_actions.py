"""Workflow runs: listed, looked into, and made to run, over routes that the emulator doesn't have.

What is served are GitHub's own examples with a test's changes; all that went through is held to its description.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.github import faults
from tests.github.emulator import PRIVATE, PUBLIC, Emulator
from tests.github.examples import example, paged
from tests.github.exchanges import problems_of
from tests.github.loopback import Request
from tests.github.proxy import Proxy
from tests.github.recordings import find, replaying
from tests.github.support import server

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}/actions"
FORK = "mallory/public-repo"
BIDI = "fix\u202e\tit\n\u2028now"


@pytest.fixture
def bed(github: Emulator, proxy: Proxy) -> Generator[Proxy]:
    """The proxy; at the end, what went over routes of Actions is held to GitHub's description."""
    assert github.url
    yield proxy
    assert problems_of(one for one in proxy.exchanges if "/actions/" in one.request.path) == []


def run(number: int, head: str = PUBLIC, **changes: Any) -> dict[str, Any]:
    """A run of the main branch by alice, on a push, which failed."""
    made = example("run", id=number, head_branch="main", status="completed", conclusion="failure", run_attempt=2)
    made["actor"]["login"] = "alice"
    made["head_repository"]["full_name"] = head
    return {**made, "updated_at": "2020-01-22T20:38:13Z", **changes}


def job(number: int, conclusion: str | None = "success", **changes: Any) -> dict[str, Any]:
    """A job of two minutes; of one that failed, step 7 did."""
    made = example("job", id=number, name=f"test ({number})", conclusion=conclusion)
    made["steps"][6]["conclusion"] = conclusion
    return {**made, **changes}


def serve_runs(proxy: Proxy, runs: list[dict[str, Any]], repo: str = PUBLIC) -> None:
    """The list of runs, filtered as it is asked for."""

    def chosen(request: Request) -> list[dict[str, Any]]:
        wanted = {name: request.query[name][0] for name in ("status", "event", "branch") if name in request.query}
        named = {"branch": "head_branch"}
        return [
            one
            for one in runs
            if all(
                value in (one[named.get(name, name)], one["conclusion"] if name == "status" else None)
                for name, value in wanted.items()
            )
        ]

    proxy.serve("GET", rf"/repos/{repo}/actions/(workflows/[^/]+/)?runs", paged(chosen, "workflow_runs"))


def serve_run(
    proxy: Proxy, one: dict[str, Any], jobs: list[dict[str, Any]], artifacts: list[dict[str, Any]] | None = None
) -> None:
    """A run with its jobs and artifacts."""
    path = f"{HERE}/runs/{one['id']}"
    proxy.serve("GET", path, lambda _: one)
    proxy.serve("GET", f"{path}/jobs", paged(lambda _: jobs, "jobs"))
    proxy.serve("GET", f"{path}/artifacts", paged(lambda _: artifacts or [], "artifacts"))


async def test_runs_are_listed_a_line_each_for_one_request(bed: Proxy, emulator: Emulator, tmp_path: Path) -> None:
    serve_runs(bed, [run(9, name="CI"), run(8, name=None, status="in_progress", conclusion=None)])
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        text = await called.text("list_runs")
        assert text.splitlines() == [
            f"workflow runs of {PUBLIC} (public): shown 2 of 2",
            "id\tworkflow\tresult\tbranch\tevent\tactor\tattempt\tsha\tcreated\ttrust",
            "9\tCI\tfailure\tmain\tpush\talice\t2\tacb5820ced\t2020-01-22T19:33Z\tcollaborator",
            "8\tbuild.yml\tin_progress\tmain\tpush\talice\t2\tacb5820ced\t2020-01-22T19:33Z\tcollaborator",
        ]
        record = await called.record("list_runs", status="failure")
    assert [item["id"] for item in record["items"]] == [9]
    # The repository once, and each list.
    assert [one.path for one in bed.requests] == [f"/repos/{PUBLIC}", f"{HERE}/runs", f"{HERE}/runs"]
    assert bed.writes() == []


async def test_a_cursor_goes_through_all_runs_and_belongs_to_its_question(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    serve_runs(bed, [run(number, event="push" if number % 2 else "schedule") for number in range(20, 0, -1)])
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        seen, cursor, first = list[int](), "", ""
        for _ in range(4):
            record = await called.record("list_runs", event="push", limit=3, cursor=cursor)
            assert record["total"] == 10
            seen += [item["id"] for item in record["items"]]
            cursor = record["cursor"]
            first = first or cursor
        assert (seen, cursor) == (list(range(19, 0, -2)), "")
        assert "bad_cursor" in await called.error("list_runs", event="schedule", limit=3, cursor=first)
        assert "bad_cursor" in await called.error("list_runs", event="push", workflow="ci.yml", cursor=first)


async def test_filters_go_out_as_they_are_and_a_workflow_can_be_no_other_path(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    serve_runs(bed, [])
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        filters = {"workflow": ".github/workflows/a?ref=evil#x & y.yml", "branch": "feature/ü", "status": "timed_out"}
        assert "shown 0 of 0" in await called.text("list_runs", **filters)
        sent = bed.sent("GET", f"{HERE}/.*")[-1]
        assert sent.path == f"{HERE}/workflows/a%3Fref%3Devil%23x%20%26%20y.yml/runs"
        assert sent.query == {
            "branch": ["feature/ü"], "status": ["timed_out"], "exclude_pull_requests": ["true"], "per_page": ["20"],
            "page": ["1"],
        }  # fmt: skip
        before = len(bed.requests)
        for wrong in ({"workflow": ".."}, {"status": "broken"}, {"event": "push&x=1"}, {"branch": "a..b"}):
            await called.error("list_runs", **wrong)
        assert "success" in await called.error("list_runs", status="broken")
    assert len(bed.requests) == before


@pytest.mark.parametrize(
    ("changes", "head", "trust"),
    [
        ({}, PUBLIC, "collaborator"),
        ({"event": "schedule"}, PUBLIC, "collaborator"),
        # Anybody can bring about these in a public repository, and run-name quotes their titles.
        ({"event": "issue_comment"}, PUBLIC, "unknown"),
        ({"event": "pull_request"}, PUBLIC, "unknown"),
        ({"event": "pull_request_target"}, PUBLIC, "unknown"),
        ({"event": "something_new"}, PUBLIC, "unknown"),
        ({"head_branch": "feature"}, PUBLIC, "outsider"),
        # A fork's branch may be called main as well.
        ({}, FORK, "unknown"),
        ({"head_repository": None}, PUBLIC, "unknown"),
    ],
)
async def test_names_are_trusted_only_where_somebody_who_can_push_started_the_default_branch(
    github: Emulator, proxy: Proxy, tmp_path: Path, changes: dict[str, Any], head: str, trust: str
) -> None:
    serve_runs(proxy, [run(9, head, **changes)])
    serve_run(proxy, run(9, head, **changes), [job(1)])
    async with server(tmp_path, proxy.url, github.tokens["alice"], repo=PUBLIC) as called:
        integrity = "trusted" if trust == "collaborator" else "untrusted"
        assert await called.label("list_runs") == f"{integrity}/public"
        assert await called.label("get_run", run_id=9) == f"{integrity}/public"
        assert (await called.record("list_runs"))["items"][0]["trust"] == trust


async def test_runs_of_a_private_repository_are_private_and_its_branches_are_its_own(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    serve_runs(bed, [run(9, PRIVATE, event="pull_request", head_branch="feature")], PRIVATE)
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PRIVATE) as called:
        assert await called.label("list_runs") == "trusted/private"


async def test_a_fork_s_words_stay_on_their_line_and_lockdown_leaves_them_out(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    forked = run(8, FORK, event="pull_request", name=BIDI, head_branch="main\tsuccess", display_title=BIDI)
    serve_runs(bed, [run(9), forked])
    serve_run(bed, forked, [job(1, "failure", name=f"{BIDI}\ncursor: x")])
    async with server(tmp_path / "a", bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        text = await called.text("list_runs")
        assert [line.count("\t") for line in text.splitlines()[1:]] == [9, 9, 9]
        assert "\u202e" not in text
        whole = await called.text("get_run", run_id=8)
        assert "\u202e" not in whole
        assert not any(line.startswith("cursor") for line in whole.splitlines())
    async with server(tmp_path / "b", bed.url, emulator.tokens["alice"], repo=PUBLIC, lockdown="strict") as called:
        text = await called.text("list_runs")
        assert ("\n9\t" in text, "\n8\t" in text, "1 withheld" in text) == (True, False, True)
        whole = await called.text("get_run", run_id=8)
        assert "fix" not in whole
        assert "(withheld by lockdown)" in whole


async def test_a_run_tells_its_failed_steps_durations_and_artifacts(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    jobs = [
        job(1),
        job(2, "failure", started_at="2020-01-20T17:42:40Z", completed_at="2020-01-20T19:44:45Z"),
        job(3, "skipped", started_at="2020-01-20T17:42:40Z", completed_at="2020-01-20T17:42:30Z", steps=[]),
        job(4, None, status="in_progress", completed_at=None, steps=[]),
    ]
    artifacts = [example("artifact", name="logs"), example("artifact", name="old", expired=True)]
    serve_run(bed, run(9), jobs, artifacts)
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        text = await called.text("get_run", run_id=9)
    assert text.splitlines() == [
        f"run 9 of {PUBLIC} (public): failure",
        "",
        "workflow: Build (.github/workflows/build.yml@main)",
        "number: 562, attempt 2",
        "event: push by alice",
        "title: Update README.md",
        "branch: main",
        "sha: acb5820ced9479c074f688cc328bf03f341a511d",
        f"head: {PUBLIC}",
        "created: 2020-01-22T19:33Z",
        "took: 1h05m",
        "trust: collaborator: names come from the workflow file of that branch",
        "",
        "jobs: shown 4 of 4",
        "id\tjob\tresult\ttook\tfailed steps",
        "2\ttest (2)\tfailure\t2h02m\t7 Run Tests (failure)",
        "4\ttest (4)\tin_progress\t\t",
        "1\ttest (1)\tsuccess\t1m59s\t",
        "3\ttest (3)\tskipped\t\t",
        "",
        "artifacts: shown 2 of 2",
        "name\tbytes\texpired",
        "logs\t556\t",
        "old\t556\texpired",
        "",
        "get_job_log(job_id=2) shows where it failed.",
    ]
    assert [one.path.removeprefix(HERE) for one in bed.requests][1:] == ["/runs/9", "/runs/9/jobs", "/runs/9/artifacts"]
    assert bed.writes() == []


async def test_all_jobs_of_a_large_matrix_can_be_had_and_failed_ones_come_first(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    long = "a job with a rather long name " * 4
    jobs = [
        job(number, "failure" if number % 50 == 0 else "success", name=f"{number} {long}") for number in range(1, 251)
    ]
    serve_run(bed, run(9), jobs)
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        seen, cursor = list[int](), ""
        while True:
            text = await called.text("get_run", run_id=9, cursor=cursor)
            assert len(text.encode()) <= 24_000
            lines = text.splitlines()
            seen += [int(line.partition("\t")[0]) for line in lines if line[:1].isdigit()]
            assert any(line.endswith(" of 250") for line in lines)
            cursor = next((line.removeprefix("cursor: ") for line in lines if line.startswith("cursor: ")), "")
            if not cursor:
                break
    assert seen[:5] == [50, 100, 150, 200, 250]
    assert sorted(seen) == list(range(1, 251))


async def test_a_run_that_is_not_there_says_what_to_check(bed: Proxy, emulator: Emulator, tmp_path: Path) -> None:
    bed.fault("GET", f"{HERE}/runs/7", faults.refuses(404, "Not Found"))
    bed.fault("GET", f"{HERE}/runs/8", faults.lacks_permission("actions=read"))
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC, repos=[PUBLIC]) as called:
        assert "not_found: " in await called.error("get_run", run_id=7)
        assert "forbidden: " in await called.error("get_run", run_id=8)
        assert "repo_not_allowed" in await called.error("get_run", run_id=7, repo=PRIVATE)
        assert "repo_not_allowed" in await called.error("list_runs", repo=PRIVATE)
    assert not [one for one in bed.requests if PRIVATE in one.path]


async def test_runs_that_github_really_told_of_are_shown(recordings: None, tmp_path: Path) -> None:
    own = find(r"/repos/PyGithub/PyGithub(/actions/runs(/3881497935(/jobs)?)?)?", 200, "GET")
    with replaying(own) as replay:
        async with server(tmp_path, replay.url, repo="PyGithub/PyGithub") as called:
            record = await called.record("list_runs", limit=5)
            assert [item["workflow"] for item in record["items"]]
            assert all(item["result"] and item["created"] and item["trust"] for item in record["items"])
            # That artifacts of this run were never recorded is told as it is.
            assert "not_found" in await called.error("get_run", run_id=3881497935)
            assert "/actions/runs/3881497935/jobs" in replay.requests[-2].path
