"""Alerts: routes that the emulator doesn't have, served with GitHub's own examples."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.github import faults
from tests.github.emulator import PUBLIC, Emulator
from tests.github.examples import by_cursor, example, paged
from tests.github.exchanges import problems_of
from tests.github.proxy import Proxy
from tests.github.recordings import find, replaying
from tests.github.support import server

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"
BIDI = "say\u202e\tit\ncursor: x"


@pytest.fixture
def bed(github: Emulator, proxy: Proxy) -> Generator[Proxy]:
    """The proxy; at the end, what went over these routes is held to GitHub's descriptions."""
    assert github.url
    yield proxy
    ours = re.compile(r".*/alerts")
    assert problems_of(one for one in proxy.exchanges if ours.fullmatch(one.request.path)) == []
    assert [one for one in proxy.writes() if "alerts" in one.path] == []


def dependency(number: int, severity: str = "high", **changes: Any) -> dict[str, Any]:
    made = example("dependabot", number=number, state="open", **changes)
    made["security_vulnerability"]["severity"] = severity
    return made


def finding(number: int, level: str | None = "high", severity: str = "error") -> dict[str, Any]:
    made = example("code", number=number)
    made["rule"] |= {"security_severity_level": level, "severity": severity}
    return made


async def test_alerts_of_dependabot_are_private_and_untrusted_even_where_the_repository_is_public(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    hostile = dependency(2)
    hostile["security_advisory"]["summary"] = BIDI
    hostile["dependency"]["manifest_path"] = BIDI
    bed.serve("GET", f"{HERE}/dependabot/alerts", by_cursor(lambda _: [dependency(1), hostile]))
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        record = await called.record("list_alerts", severity="high")
        assert record["items"][0] == {
            "number": 1,
            "state": "open",
            "severity": "high",
            "package": "pip:django",
            "manifest": "path/to/requirements.txt",
            "vulnerable": ">= 2.0.0, < 2.0.2",
            "fixed_in": "2.0.2",
            "advisory": "GHSA-rf4j-j272-fj86",
            "summary": record["items"][0]["summary"],
            "created": "2022-06-15T07:43Z",
        }
        assert record["total"] == 2
        text = await called.text("list_alerts")
        # All of it stands in the envelope of what is declared untrusted.
        assert [line.count("\t") for line in text.splitlines() if "\t" in line] == [9, 9, 9]
        assert not any(line.startswith("cursor") for line in text.splitlines())
        assert "\u202e" not in text
        assert await called.label("list_alerts") == "untrusted/private"
    assert bed.sent("GET", ".*/alerts")[0].query == {"state": ["open"], "severity": ["high"], "per_page": ["20"]}
    # The repository once, and three lists, of which the last is the second again.
    assert len(bed.requests) == 4


async def test_alerts_of_dependabot_go_on_by_github_s_own_cursor(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    bed.serve("GET", f"{HERE}/dependabot/alerts", by_cursor(lambda _: [dependency(number) for number in range(1, 24)]))
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        seen, cursor, first = list[int](), "", ""
        for limit in (10, 4, 10, 10):
            record = await called.record("list_alerts", limit=limit, cursor=cursor)
            seen += [item["number"] for item in record["items"]]
            cursor = record["cursor"]
            first = first or cursor
            assert record["total"] == -1
        assert (seen, cursor) == (list(range(1, 24)), "")
        assert "bad_cursor" in await called.error("list_alerts", kind="code", cursor=first)


async def test_an_older_enterprise_server_s_pages_of_alerts_are_followed_too(
    github: Emulator, ghes: Proxy, tmp_path: Path
) -> None:
    ghes.serve("GET", f"{HERE}/dependabot/alerts", paged(lambda _: [dependency(number) for number in range(5)]))
    async with server(tmp_path, ghes.url, github.tokens["alice"], repo=PUBLIC) as called:
        first = await called.record("list_alerts", limit=3)
        second = await called.record("list_alerts", limit=3, cursor=first["cursor"])
    assert [item["number"] for item in first["items"] + second["items"]] == [0, 1, 2, 3, 4]
    assert second["cursor"] == ""


async def test_code_alerts_are_filtered_by_severity_here_and_a_cursor_goes_past_what_does_not_fit(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    alerts = [finding(number, "low" if number < 640 else "critical", "warning") for number in range(1, 651)]
    alerts[2] = finding(3, None, "error")
    bed.serve("GET", f"{HERE}/code-scanning/alerts", paged(lambda _: alerts))
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        first = await called.record("list_alerts", kind="code", severity="critical")
        assert (first["items"], bool(first["cursor"])) == ([], True)
        second = await called.record("list_alerts", kind="code", severity="critical", cursor=first["cursor"])
        assert [item["number"] for item in second["items"]] == list(range(640, 651))
        (found,) = (await called.record("list_alerts", kind="code", severity="error"))["items"]
        assert (found["number"], found["severity"], found["path"], found["line"]) == (
            3, "error", "spec-main/api-session-spec.ts", 917,
        )  # fmt: skip
        assert await called.label("list_alerts", kind="code") == "untrusted/private"
        plain = await called.record("list_alerts", kind="code", state="all", limit=2)
    assert (plain["total"], len(plain["items"])) == (650, 2)
    assert "state" not in bed.sent("GET", ".*/alerts")[-1].query


async def test_a_leaked_secret_is_never_shown_and_not_even_asked_for(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    # No shape that redaction would know, and as from a server that doesn't know hide_secret.
    value = "correct horse battery staple 4711"
    leak = example("secret", number=5, secret=value, state="open", resolution=None, resolution_comment=f"was {value}")
    bed.serve("GET", f"{HERE}/secret-scanning/alerts", paged(lambda _: [leak]))
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        result = await called.result("list_alerts", kind="secret")
        assert value not in result.model_dump_json()
        assert result.structured_content is not None
        (item,) = result.structured_content["items"]
        assert (item["type"], item["path"]) == (leak["secret_type"], leak["first_location_detected"]["path"])
        assert await called.label("list_alerts", kind="secret") == "untrusted/private"
    assert bed.sent("GET", ".*/alerts")[0].query["hide_secret"] == ["true"]


async def test_what_is_off_or_not_permitted_is_explained(bed: Proxy, emulator: Emulator, tmp_path: Path) -> None:
    off = "Dependabot alerts are disabled for this repository."
    bed.fault("GET", f"{HERE}/dependabot/.*", faults.refuses(403, off))
    bed.fault("GET", f"{HERE}/code-scanning/.*", faults.refuses(404, "no analysis found"))
    bed.fault(
        "GET", f"{HERE}/secret-scanning/.*", faults.refuses(404, "Secret scanning is disabled on this repository.")
    )
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        error = await called.error("list_alerts")
        assert all(word in error for word in ("forbidden", off, "may be off", "Dependabot alerts: read"))
        for kind, said in (("code", "no analysis found"), ("secret", "is disabled")):
            error = await called.error("list_alerts", kind=kind)
            assert all(word in error for word in ("not_found", said, "may be off"))


async def test_a_state_or_severity_that_a_kind_does_not_have_is_refused_before_any_request(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        assert "auto_dismissed" in await called.error("list_alerts", state="resolved")
        assert "warning" in await called.error("list_alerts", kind="code", severity="bad")
        assert "Leave it out" in await called.error("list_alerts", kind="secret", severity="high")
    assert bed.requests == []


async def test_after_alerts_a_write_that_everybody_can_read_is_asked_about(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    bed.serve("GET", f"{HERE}/dependabot/alerts", by_cursor(lambda _: [dependency(1)]))
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC, says=lambda _: False) as called:
        await called.text("create_issue", title="One", body="Before.")
        assert called.questions == []
        await called.text("list_alerts")
        await called.error("create_issue", title="Two", body="After.")
        (question,) = called.questions
        assert "private" in question
    assert len(bed.writes()) == 1


async def test_strict_lockdown_withholds_alerts(bed: Proxy, emulator: Emulator, tmp_path: Path) -> None:
    bed.serve("GET", f"{HERE}/dependabot/alerts", by_cursor(lambda _: [dependency(1), dependency(2)]))
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC, lockdown="strict") as called:
        text = await called.text("list_alerts")
    assert "GHSA" not in text
    assert "2 withheld" in text


@pytest.mark.parametrize(
    ("kind", "repo", "route"),
    [
        ("dependabot", "coopernetes/PyGithub", "dependabot"),
        ("code", "matt-davis27/PyGithub", "code-scanning"),
        ("secret", "matt-davis27/PyGithub", "secret-scanning"),
    ],
)
async def test_alerts_that_github_really_told_of_are_shown(
    recordings: None, tmp_path: Path, kind: str, repo: str, route: str
) -> None:
    own = find(rf"/repos/{repo}(/{route}/alerts)?", 200, "GET")
    with replaying(own) as replay:
        async with server(tmp_path, replay.url, repo=repo) as called:
            record = await called.record("list_alerts", kind=kind, state="all")
    assert record["items"]
    assert all(item["number"] and item["state"] and item["created"] for item in record["items"])
    assert "XXXXXX" not in str(record)
