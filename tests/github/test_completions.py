"""Completions of repositories, refs, paths and numbers: what may be read, by its beginning, and nothing where that fails."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from gatelodge_github import completing, uris
from gatelodge_github.credentials import AppCredential
from gatelodge_github.server import OFFERED, build
from gatelodge_github.settings import GithubSettings
from mcp import Client
from mcp.shared.uri_template import UriTemplate
from mcp_types import PromptReference, ResourceTemplateReference

from tests.github import faults
from tests.github.emulator import APP_ID, INSTALLATION_ID, PRIVATE, PUBLIC, SITE, WIDGET, Emulator
from tests.github.examples import example, paged
from tests.github.furnishing import Furniture
from tests.github.loopback import Answer, Request, as_json
from tests.github.proxy import Proxy
from tests.github.reading import Bed, held
from tests.github.support import server
from tests.support.wire import Revision, Transport, connected, python_module

pytestmark = pytest.mark.anyio

HERE = {"owner": "alice", "repo": "public-repo"}


def listed(proxy: Proxy, *names: str) -> Callable[[Request], list[Any]]:
    """Serves repositories as a list, which the emulator doesn't have; of an organisation it tells less than GitHub does."""

    def serve(request: Request) -> list[Any]:
        found = [proxy.look(request, f"/repos/{name}") for name in (PUBLIC, *names)]
        like = found[0]["owner"]
        return [{**one, "owner": {**like, **one["owner"]}} for one in found[1:]]

    return serve


@pytest.fixture
def bed(emulator: Emulator, content: Furniture) -> Generator[Bed]:
    with held(emulator, content) as made:
        made.proxy.serve("GET", "/user/repos", listed(made.proxy, PUBLIC, PRIVATE, SITE, WIDGET))
        yield made


async def values(client: Client, of: str, name: str, value: str = "", /, **chosen: str) -> list[str]:
    """What is offered for an argument of a prompt, or of a template."""
    ref = ResourceTemplateReference(uri=of) if "{" in of else PromptReference(name=of)
    found = await client.complete(ref, {"name": name, "value": value}, context_arguments=chosen or None)
    return found.completion.values


def test_every_variable_of_a_template_and_every_argument_but_none_more_has_completions() -> None:
    wanted: set[tuple[str, str]] = set()
    for uri, one in OFFERED.resources.items():
        wanted |= {(one.name, variable.name) for variable in UriTemplate.parse(uri).variables}
    wanted |= {("triage_issue", "number"), ("review_pull", "number"), ("fix_failing_run", "run_id")}
    wanted |= {(name, "repo") for name in OFFERED.prompts} | {("release_notes", "since")}
    assert OFFERED.completers.keys() == wanted


async def test_owners_and_repositories_are_the_callers_own_whatever_the_letter_case(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        client = called.client
        assert await values(client, uris.FILE, "owner") == ["alice", "acme"]
        assert len(bed.proxy.requests) == 1
        assert await values(client, uris.JOB_LOG, "owner", "AC") == ["acme"]
        assert await values(client, uris.ISSUE, "repo", "p", owner="Alice") == ["public-repo", "private-repo"]
        assert set(await values(client, uris.PULL, "repo", owner="acme")) == {"widget", "site"}
        assert await values(client, uris.PULL, "repo") == []
        assert set(await values(client, "triage_issue", "repo", "acme/")) == {"acme/widget", "acme/site"}
        assert await values(client, "release_notes", "repo", "mallory/") == []


async def test_outside_the_allow_list_nothing_is_offered_and_nothing_asked(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path, repo="acme/site", repos=["acme/*"]) as called:
        client = called.client
        assert await values(client, uris.FILE, "owner") == ["acme"]
        assert await values(client, uris.FILE, "repo", owner="alice") == []
        assert await values(client, "review_pull", "repo", "alice") == []
        bed.forget()
        for owner, repo in (("alice", "public-repo"), ("acme", "../alice/public-repo"), ("acme/site", "x"), ("", "")):
            chosen = {"owner": owner, "repo": repo}
            assert await values(client, uris.FILE, "ref", **chosen) == []
            assert await values(client, uris.FILE, "path", ref="HEAD", **chosen) == []
            assert await values(client, uris.ISSUE, "number", **chosen) == []
            assert await values(client, uris.JOB_LOG, "job", run="1", **chosen) == []
        assert await values(client, "triage_issue", "number", repo=PUBLIC) == []
        assert bed.proxy.requests == []


async def test_a_named_repository_is_offered_though_it_is_not_ones_own(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path, repo="", repos=["mallory/trap", "octo-*/x"]) as called:
        assert await values(called.client, uris.FILE, "owner") == ["mallory"]
        assert await values(called.client, uris.FILE, "repo", owner="mallory") == ["trap"]


async def test_an_app_offers_the_repositories_of_its_installation(
    emulator: Emulator, content: Furniture, proxy: Proxy, tmp_path: Path
) -> None:
    found = listed(proxy, WIDGET)
    proxy.serve("GET", "/installation/repositories", lambda request: {"total_count": 1, "repositories": found(request)})
    settings = GithubSettings.model_validate({"state_dir": str(tmp_path), "api_url": proxy.url})
    lodge = build(settings, AppCredential(str(APP_ID), INSTALLATION_ID, emulator.app_key))
    assert lodge.life is not None
    async with lodge.life(), Client(lodge.mcp, cache=None) as client:
        assert await values(client, "triage_issue", "repo") == [WIDGET]
    assert proxy.sent("GET", "/user/repos") == []


async def test_branches_and_tags_are_offered_by_their_beginning_for_one_request_each(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        client = called.client
        assert await values(client, uris.FILE, "ref", "rel", **HERE) == ["release/1.x"]
        here = f"/repos/{PUBLIC}"
        assert bed.targets() == [here, f"{here}/git/matching-refs/heads/rel", f"{here}/git/matching-refs/tags/rel"]
        assert await values(client, uris.FILE, "ref", "release/", **HERE) == ["release/1.x"]
        assert await values(client, uris.FILE, "ref", "v1.", **HERE) == ["v1.0.0", "v1.1.0"]
        every = await values(client, uris.FILE, "ref", **HERE)
        assert every[0] == "HEAD"
        assert set(every) == {"HEAD", "main", "feature", "stale", "release/1.x", "v1.0.0", "v1.1.0"}
        assert await values(client, "release_notes", "since", repo=PUBLIC) == ["v1.1.0", "v1.0.0"]
        # Without a repository the default one is meant, as in the prompt.
        assert await values(client, "release_notes", "since", "v1.1") == ["v1.1.0"]


async def test_paths_are_offered_a_directory_at_a_time_and_lead_to_a_file(bed: Bed, tmp_path: Path) -> None:
    async with bed.server(tmp_path) as called:
        client = called.client
        roots = await values(client, uris.FILE, "path", ref="HEAD", **HERE)
        assert roots[: len(roots) - 2] == [".github/", "assets/", "docs/", "odd/", "src/"]
        assert set(roots[-2:]) == {"CODEOWNERS", "README.md"}
        assert await values(client, uris.FILE, "path", "s", ref="main", **HERE) == ["src/"]
        assert await values(client, uris.FILE, "path", "src/", ref="HEAD", **HERE) == ["src/deep/", "src/shapes.py"]
        assert await values(client, uris.FILE, "path", "src/deep/er/est/n", ref="HEAD", **HERE) == [
            "src/deep/er/est/note.txt"
        ]
        (odd,) = await values(client, uris.FILE, "path", "odd/a", ref="release/1.x", **HERE)
        uri = UriTemplate.parse(uris.FILE).expand({**HERE, "ref": "release/1.x", "path": "src/shapes.py"})
        assert "release%2F1.x" in uri
        assert (await client.read_resource(uri)).contents
        assert odd == "odd/a?ref=evil#x & 100%.txt"
        assert (await client.read_resource(uris.file(PUBLIC, "release/1.x", odd))).contents
        for value in ("../", "..", "a//", "\0", "none/", "src/shapes.py/"):
            assert await values(client, uris.FILE, "path", value, ref="HEAD", **HERE) == []


async def test_numbers_of_issues_and_pull_requests_are_offered_apart(bed: Bed, tmp_path: Path) -> None:
    content = bed.content
    async with bed.server(tmp_path) as called:
        client = called.client
        issues = await values(client, uris.ISSUE, "number", **HERE)
        assert set(issues) == {str(content.issue), str(content.outside), str(content.closed)}
        assert await values(client, "triage_issue", "number", f"#{content.outside}") == [str(content.outside)]
        assert await values(client, uris.PULL_DIFF, "number", **HERE) == [str(content.pull)]
        assert await values(client, "review_pull", "number", repo=PUBLIC) == [str(content.pull)]
        assert await values(client, "review_pull", "number", "99") == []


async def test_runs_and_their_jobs_are_offered_failures_first(bed: Bed, tmp_path: Path) -> None:
    runs = [example("run", id=number) for number in (30, 31, 42)]
    jobs = [example("job", id=7, conclusion="success"), example("job", id=8, conclusion="failure")]
    actions = f"/repos/{PUBLIC}/actions/runs"

    def chosen(request: Request) -> list[dict[str, Any]]:
        return runs[2:] if request.query.get("status") == ["failure"] else runs

    bed.proxy.serve("GET", actions, paged(chosen, "workflow_runs"))
    bed.proxy.serve("GET", f"{actions}/30/jobs", paged(lambda _: jobs, "jobs"))
    async with bed.server(tmp_path) as called:
        client = called.client
        assert await values(client, uris.RUN, "run", "3", **HERE) == ["30", "31"]
        assert await values(client, "fix_failing_run", "run_id") == ["42"]
        assert await values(client, uris.JOB_LOG, "job", run="30", **HERE) == ["8", "7"]
        bed.forget()
        assert await values(client, uris.JOB_LOG, "job", run="30/../31", **HERE) == []
        assert bed.proxy.requests == []


async def test_paths_of_a_private_repository_count_as_read(bed: Bed, tmp_path: Path) -> None:
    def declines(_: str) -> bool:
        return False

    private = {"owner": "alice", "repo": "private-repo"}
    async with bed.server(tmp_path, says=declines) as called:
        assert "vault.txt" in await values(called.client, uris.FILE, "path", ref="HEAD", **private)
        assert (await called.error("add_comment", number=bed.content.issue, body="Hello")).startswith("declined")
        (question,) = called.questions
        assert f"private text was read ({PRIVATE})" in question


async def test_names_that_hide_something_are_left_out_and_so_are_those_that_lockdown_withholds(
    bed: Bed, tmp_path: Path
) -> None:
    def odd(request: Request) -> Answer:
        answer = bed.proxy.ask(request)
        first = next(item for item in answer.json() if item["type"] == "file")
        shown = ("plain.txt", "a\u202etxt.b", "x\ny", "zero\u200bwidth", "tab\tbed", " spaced  out")
        return as_json([{**first, "name": name} for name in shown])

    bed.proxy.serve("GET", f"/repos/{PUBLIC}/contents", odd)
    chosen = {**HERE, "ref": "HEAD"}
    trap = {"owner": "mallory", "repo": "trap", "ref": "HEAD"}
    async with bed.server(tmp_path) as called:
        assert await values(called.client, uris.FILE, "path", **chosen) == ["plain.txt", " spaced  out"]
        assert await values(called.client, uris.FILE, "path", **trap) == ["README.md"]
    async with bed.server(tmp_path, lockdown="filter") as called:
        assert await values(called.client, uris.FILE, "path", **chosen) == ["plain.txt", " spaced  out"]
        assert await values(called.client, uris.FILE, "path", **trap) == []


@pytest.mark.parametrize(
    "fault", [faults.refuses(403), faults.refuses(500), faults.hangs_up(), faults.secondary_limit()]
)
async def test_where_github_fails_nothing_is_offered(emulator: Emulator, bed: Bed, tmp_path: Path, fault: Any) -> None:
    bed.proxy.fault("GET", ".*", fault)
    async with bed.server(tmp_path) as called:
        client = called.client
        # The default repository needs no request.
        assert await values(client, "triage_issue", "repo") == [PUBLIC]
        assert await values(client, uris.FILE, "ref", "m", **HERE) == []
        assert await values(client, uris.ISSUE, "number", **HERE) == []
    # Refusals of a test's own are not GitHub's, and aren't judged.
    bed.proxy.forget()


async def test_whoever_types_does_not_wait_for_a_slow_answer(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    released = threading.Event()
    monkeypatch.setattr(completing, "SECONDS", 0.3)
    try:
        async with bed.server(tmp_path) as called:
            assert "main" in await values(called.client, uris.FILE, "ref", "m", **HERE)
            bed.forget()
            bed.proxy.fault("GET", ".*/contents.*", faults.stalls(60, released))
            assert await values(called.client, uris.FILE, "path", ref="HEAD", **HERE) == []
            assert len(bed.proxy.requests) == 1
    finally:
        released.set()
    bed.proxy.forget()


async def test_without_a_credential_the_named_repositories_are_offered(bed: Bed, tmp_path: Path) -> None:
    async with server(tmp_path, bed.proxy.url, repo=PUBLIC, repos=["alice/*", "acme/site"]) as called:
        assert await values(called.client, "triage_issue", "repo") == [PUBLIC, "acme/site"]
    assert bed.proxy.requests == []


def test_completions_come_over_the_wire(bed: Bed, transport: Transport, revision: Revision, tmp_path: Path) -> None:
    options = ["--api-url", bed.proxy.url, "--state-dir", str(tmp_path / "state")]
    environment = {"GITHUB_TOKEN": bed.emulator.tokens["alice"]}
    with connected(python_module("gatelodge_github", *options), transport, revision, env=environment) as wire:
        params: dict[str, Any] = {
            "ref": {"type": "ref/resource", "uri": uris.FILE},
            "argument": {"name": "path", "value": "docs/g"},
            "context": {"arguments": {**HERE, "ref": "HEAD"}},
        }
        assert wire.request("completion/complete", params)["result"]["completion"]["values"] == ["docs/guide.md"]
        params = {
            "ref": {"type": "ref/prompt", "name": "triage_issue"},
            "argument": {"name": "repo", "value": "acme/w"},
        }
        assert wire.request("completion/complete", params)["result"]["completion"]["values"] == ["acme/widget"]
