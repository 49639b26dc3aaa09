"""Which tools are offered: toolsets, single tools, tools left out, reading alone; and misspelt names stop the start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.effects import READ
from gatelodge_core.errors import SettingsError
from gatelodge_github.server import GROUPED, OFFERED, declarations
from gatelodge_github.settings import GithubSettings
from gatelodge_github.surface import TOOLSETS, USUAL

from tests.github.behind import before
from tests.github.emulator import PUBLIC, Emulator
from tests.github.support import server
from tests.support.wire import StdioWire, connected, python_module

EXPECTED: dict[str, set[str]] = {
    "context": {"get_me"},
    "repos": {
        "search_github", "get_repo", "list_refs", "get_file", "get_tree", "list_commits", "get_diff", "create_branch",
        "commit_files",
    },
    "issues": {"list_issues", "get_issue", "create_issue", "add_comment", "update_issue"},
    "pulls": {"list_pulls", "get_pull", "get_pull_diff", "create_pull", "merge_pull", "update_pull", "review_pull"},
    "actions": {"list_runs", "get_run", "get_job_log"},
    "actions_write": {"run_workflow"},
    "admin": {"create_repo"},
    "security": {"list_alerts"},
    "discussions": {"read_discussions"},
    "releases": {"create_release"},
}  # fmt: skip
ALL = set[str]().union(*EXPECTED.values())
WRITING = {
    "create_branch", "commit_files", "create_issue", "add_comment", "update_issue", "create_pull", "merge_pull",
    "update_pull", "review_pull", "run_workflow", "create_repo", "create_release",
}  # fmt: skip


def offered(tmp_path: Path, **given: Any) -> set[str]:
    return set(declarations(GithubSettings.model_validate({"state_dir": str(tmp_path), **given})).tools)


def of(*toolsets: str) -> set[str]:
    return set[str]().union(*(EXPECTED[name] for name in toolsets))


def test_there_are_thirty_tools_each_in_exactly_one_toolset() -> None:
    assert {name: set(part.tools) for name, part in GROUPED.items()} == EXPECTED
    assert Counter(tool for part in GROUPED.values() for tool in part.tools).most_common(1)[0][1] == 1
    assert set(OFFERED.tools) == ALL
    assert len(ALL) == 30
    assert tuple(GROUPED) == TOOLSETS
    assert set(USUAL.split(",")) < set(TOOLSETS)


def test_by_default_the_usual_toolsets_are_offered_and_none_that_starts_makes_or_releases_something(
    tmp_path: Path,
) -> None:
    usual = offered(tmp_path)
    assert usual == of("context", "repos", "issues", "pulls", "actions")
    assert len(usual) == 25
    assert not usual & {"run_workflow", "create_repo", "create_release", "list_alerts", "read_discussions"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"toolsets": "issues"}, of("issues")),
        ({"toolsets": " issues , pulls,,"}, of("issues", "pulls")),
        ({"toolsets": "issues,issues"}, of("issues")),
        ({"toolsets": "all"}, ALL),
        ({"toolsets": "all,issues"}, ALL),
        ({"toolsets": ""}, set[str]()),
        ({"toolsets": "", "tools": "get_file,list_alerts"}, {"get_file", "list_alerts"}),
        ({"toolsets": "context", "tools": "get_file"}, {"get_me", "get_file"}),
        ({"toolsets": "issues", "tools": "get_issue"}, of("issues")),
        ({"toolsets": "issues", "exclude_tools": "create_issue, update_issue"}, {"list_issues", "get_issue", "add_comment"}),
        # Whoever leaves a tool out means it.
        ({"toolsets": "", "tools": "get_file,merge_pull", "exclude_tools": "merge_pull"}, {"get_file"}),
        ({"toolsets": "all", "exclude_tools": ",".join(sorted(ALL))}, set[str]()),
        ({"toolsets": "all", "read_only": True}, ALL - WRITING),
        ({"toolsets": "pulls", "read_only": True}, {"list_pulls", "get_pull", "get_pull_diff"}),
        ({"toolsets": "actions_write", "read_only": True}, set[str]()),
        ({"toolsets": "", "tools": "merge_pull,get_file", "read_only": True}, {"get_file"}),
    ],
)  # fmt: skip
def test_switches_give_exactly_what_they_say(tmp_path: Path, given: dict[str, Any], expected: set[str]) -> None:
    assert offered(tmp_path, **given) == expected


def test_every_tool_can_be_offered_alone(tmp_path: Path) -> None:
    for name in ALL:
        assert offered(tmp_path, toolsets="", tools=name) == {name}


def test_writing_tools_are_those_whose_effect_is_more_than_reading() -> None:
    assert {name for name, tool in OFFERED.tools.items() if tool.nature.effect is not READ} == WRITING


@pytest.mark.parametrize(
    ("given", "misspelt"),
    [
        ({"tools": "get_files"}, "get_files"),
        ({"exclude_tools": "merge_pulls"}, "merge_pulls"),
        ({"exclude_tools": "merge_pull;update_pull"}, "merge_pull;update_pull"),
        ({"tools": "Get_File"}, "Get_File"),
        ({"tools": "gh_get_file"}, "gh_get_file"),
        # A prompt is no tool.
        ({"tools": "get_me, x" + "y" * 500}, "xyyy"),
    ],
)
def test_a_tool_that_nobody_knows_stops_the_server_and_all_that_there_are_are_named(
    tmp_path: Path, given: dict[str, Any], misspelt: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        offered(tmp_path, **given)
    told = str(caught.value)
    assert misspelt in told
    assert all(name in told for name in ALL)
    assert "y" * 100 not in told


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--toolsets", "issue"], "unknown toolset 'issue'; there are context, repos"),
        (["--toolsets", "issues;pulls"], "unknown toolset"),
        (["--tools", "get_fil"], "there is no tool 'get_fil'; there are get_me"),
        (["--exclude-tools", "x"], "there is no tool 'x'"),
        (["--repos", "acme"], "no glob over owner/name"),
        (["--repos", "{acme/widget,site}"], "no glob over owner/name"),
        (["--repos", "acme/{" + ",".join("abcdefgh" * 10) + "}"], "more than 64"),
        (["--write-repos", "acme/[a"], "no glob over owner/name"),
        (["--write-repos", "acme/x/y"], "no glob over owner/name"),
        (["--repo", "acme/../x"], "write owner/name"),
        (["--repo", "widget"], "write owner/name"),
        (["--trusted-bots", "dependabot"], "write it in full, such as dependabot[bot]"),
        (["--lockdown", "none"], "lockdown"),
    ],
)
def test_a_setting_that_cannot_be_meant_stops_the_start_with_its_name_and_what_there_is(
    tmp_path: Path, flags: list[str], told: str
) -> None:
    command = [sys.executable, "-m", "gatelodge_github", "--state-dir", str(tmp_path / "state"), *flags]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, input="", check=False)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


def test_flags_reach_the_list_that_a_host_sees(tmp_path: Path) -> None:
    flags = [
        "--toolsets",
        "issues",
        "--tools",
        "get_me",
        "--exclude-tools",
        "create_issue",
        "--state-dir",
        str(tmp_path),
    ]
    with connected(python_module("gatelodge_github", *flags), "stdio", "2025-11-25") as wire:
        assert isinstance(wire, StdioWire)
        listed = wire.request("tools/list")["result"]["tools"]
    assert {tool["name"] for tool in listed} == of("issues") - {"create_issue"} | {"get_me"}


@pytest.mark.anyio
async def test_a_tool_that_is_not_offered_can_not_be_called_and_reading_alone_sends_no_change(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.reset()
    with before(emulator) as proxy:
        async with server(tmp_path, proxy.url, emulator.tokens["alice"], repo=PUBLIC, read_only=True) as called:
            assert {tool.name for tool in (await called.client.list_tools()).tools} == ALL - WRITING
            for name in sorted(WRITING):
                with pytest.raises(Exception, match="Unknown tool"):
                    await called.result(name, title="x", body="x", number=1)
            # Even code of ours that tried would be stopped at the last door.
            with pytest.raises(Exception, match=r"read.only"):
                await called.hub.desk().api.write("POST", f"/repos/{PUBLIC}/issues", {"title": "x"}, check="")
            assert json.loads(json.dumps(await called.record("get_me")))["writes"] == "off (--read-only)"
        assert proxy.writes() == []


@pytest.mark.anyio
async def test_resources_and_prompts_stay_with_the_tools_that_they_need(emulator: Emulator, tmp_path: Path) -> None:
    async def extras(folder: Path, **given: Any) -> tuple[set[str], set[str]]:
        async with server(folder, emulator.url, emulator.tokens["alice"], repo=PUBLIC, **given) as called:
            templates = (await called.client.list_resource_templates()).resource_templates
            prompts = (await called.client.list_prompts()).prompts
        return {one.uri_template for one in templates}, {one.name for one in prompts}

    every = await extras(tmp_path / "all")
    assert set(OFFERED.resources) == every[0]
    assert set(OFFERED.prompts) == every[1]
    assert every[0]
    assert every[1]
    reading = await extras(tmp_path / "reading", read_only=True)
    # What is read by URI is read.
    assert reading[0] == every[0]
    nothing = await extras(tmp_path / "nothing", toolsets="context")
    assert nothing == (set(), set())
    assert all(await extras(tmp_path / "usual", toolsets=USUAL))
