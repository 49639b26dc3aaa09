"""The official conformance suite against the lodge's own core: every scenario that a revision requires passes.

The suite runs once for each revision against a live fixture server; each scenario then is a test of its own.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients._hosts import REQUIRED, Client, Ended, absence, http_server, island
from tests.support.wire import Revision, python_module

pytestmark = pytest.mark.clients

PACKAGE, SCRIPT = "@modelcontextprotocol/conformance", "dist/index.js"

_BOTH = (
    "completion-complete", "dns-rebinding-protection", "prompts-get-embedded-resource", "prompts-get-simple",
    "prompts-get-with-args", "prompts-get-with-image", "prompts-list", "resources-list", "resources-read-binary",
    "resources-read-text", "resources-templates-read", "server-sse-multiple-streams", "tools-call-audio",
    "tools-call-embedded-resource", "tools-call-error", "tools-call-image", "tools-call-mixed-content",
    "tools-call-simple-text", "tools-call-with-progress", "tools-list",
)  # fmt: skip
# Written down, since without the suite there would be nothing to skip; a test compares them with the suite's own lists.
SCENARIOS: dict[Revision, tuple[str, ...]] = {
    "2025-11-25": (
        *_BOTH, "elicitation-sep1034-defaults", "elicitation-sep1330-enums", "logging-set-level", "ping",
        "resources-subscribe", "resources-unsubscribe", "server-initialize", "tools-call-elicitation",
        "tools-call-sampling", "tools-call-with-logging",
    ),
    "2026-07-28": (
        *_BOTH, "caching", "input-required-result-basic-elicitation", "input-required-result-basic-list-roots",
        "input-required-result-basic-sampling", "input-required-result-capability-check",
        "input-required-result-ignore-extra-params", "input-required-result-missing-input-response",
        "input-required-result-multi-round", "input-required-result-multiple-input-requests",
        "input-required-result-non-tool-request", "input-required-result-request-state",
        "input-required-result-result-type", "input-required-result-tampered-state",
        "input-required-result-unsupported-methods", "input-required-result-validate-input",
        "sep-2164-resource-not-found", "server-stateless",
    ),
}  # fmt: skip
"""What each revision requires of a server."""

BEYOND: dict[Revision, tuple[str, ...]] = {
    "2025-11-25": ("server-session-lifecycle",),
    "2026-07-28": ("http-header-validation", "http-custom-header-server-validation"),
}
"""What the suite runs without scoring it, and we pass all the same. What it runs besides these is out of scope: tasks
(an extension that we don't offer), schemas with references (which we flatten, since hosts can't read them) and resumed
streams (no call of ours is worth an event store)."""

NOT_ASKED = {
    "sep-2575-server-sends-subscription-ack", "sep-2575-server-tags-subscription-id",
    "sep-2575-server-honors-notification-filter", "sep-2575-server-sends-prompts-list-changed-on-subscription",
    "sep-2575-server-sends-tools-list-changed-on-subscription",
}  # fmt: skip
"""Checks of ``server-stateless`` that the suite skips where a server offers no listening; our lists never change."""


@dataclass(frozen=True)
class Report:
    """One run of the suite.

    Args:
        ended: How the runner ended, and what it wrote.
        checks: What it checked, by scenario.
    """

    ended: Ended
    checks: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    """Runs the installed suite where there is no network; goes no further without it."""
    if reason := absence():
        (pytest.fail if REQUIRED else pytest.skip)(reason)
    with island() as place:
        yield Client(tmp_path_factory.mktemp("suite"), place)


@pytest.fixture(scope="module")
def report(suite: Client, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Revision], Report]:
    """The suite's verdict for one revision; it runs when a revision is first asked for, then never again."""

    @functools.cache
    def run(revision: Revision) -> Report:
        out = tmp_path_factory.mktemp(revision)
        with http_server(python_module("tests.conformance.fixture_server"), suite.island) as url:
            ended = suite.package(PACKAGE, SCRIPT, "server", "--url", url, "--requirements", revision, "-o", str(out))
        return Report(ended, _checks(out))

    return run


def _checks(out: Path) -> dict[str, list[dict[str, Any]]]:
    """What was checked, from one folder for each scenario: ``server-NAME-2026-11-24T23-57-37-312Z/checks.json``."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in out.glob("*/checks.json"):
        named = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z", path.parent.name)
        assert named is not None, path
        found[named.group(1)] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _told(check: dict[str, Any]) -> str:
    return f"{check['status']} {check['id']}: {check.get('errorMessage') or check.get('description')}"


@pytest.mark.parametrize(
    ("revision", "scenario"),
    [(revision, scenario) for revision in SCENARIOS for scenario in (*SCENARIOS[revision], *BEYOND[revision])],
)
def test_the_scenario_passes_without_a_warning(
    report: Callable[[Revision], Report], revision: Revision, scenario: str
) -> None:
    found = report(revision)
    assert scenario in found.checks, f"the suite didn't run it: {found.ended}"
    checks = found.checks[scenario]
    fine = ("SUCCESS", "INFO")
    wrong = [_told(check) for check in checks if check["status"] not in fine and check["id"] not in NOT_ASKED]
    assert not wrong, "\n".join(wrong)
    assert any(check["status"] == "SUCCESS" for check in checks), "nothing was checked"


@pytest.mark.parametrize("revision", SCENARIOS)
def test_the_suite_itself_says_that_the_server_conforms(
    report: Callable[[Revision], Report], revision: Revision
) -> None:
    ended = report(revision).ended
    assert ended.status == 0, ended


@pytest.mark.parametrize("revision", SCENARIOS)
def test_these_are_all_scenarios_that_the_suite_requires_of_a_server(suite: Client, revision: Revision) -> None:
    ended = suite.package(PACKAGE, SCRIPT, "list", "--server", "--requirements", revision)
    assert ended.status == 0, ended
    listed = re.search(r"^Server scenarios.*:\n((?:  - .+\n)+)", ended.out, re.MULTILINE)
    assert listed is not None, ended
    assert sorted(line.removeprefix("  - ") for line in listed.group(1).splitlines()) == sorted(SCENARIOS[revision])
