"""The tool for alerts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import EXTERNAL, PRIVATE, READ, UNTRUSTED
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult

from gatelodge_github import cursors, names, paging
from gatelodge_github.cursors import Place
from gatelodge_github.data import day, rows, table, text
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.paging import Item, Page
from gatelodge_github.tools.common import Limit
from gatelodge_github.transport.request import Answer
from gatelodge_github.trust.marks import PROGRAM

security = Declarations[Hub]()

Kind = Literal["dependabot", "code", "secret"]
_NEXT = re.compile(r'<([^<>]*)>\s*;[^<]*?rel="next"')
_LEVELS = ("critical", "high", "medium", "low")


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of alert.

    Args:
        route: Below the repository.
        states: That GitHub filters by.
        severities: That there are.
        feature: As GitHub calls it.
        permission: That a fine-grained token or an App needs.
        row: What is shown of one.
    """

    route: str
    states: tuple[str, ...]
    severities: tuple[str, ...]
    feature: str
    permission: str
    row: Callable[[Visit, Item], dict[str, Any]]


@security.tool(effect=READ, reach=EXTERNAL, yields=PRIVATE | UNTRUSTED)
async def list_alerts(
    hub: Hub,
    repo: str = "",
    kind: Kind = "dependabot",
    state: str = "open",
    severity: str = "",
    limit: Limit = 20,
    cursor: str = "",
) -> CallToolResult:
    """List security alerts: Dependabot, code scanning, leaked secrets (masked)."""
    source = SOURCES[kind]
    if state not in (*source.states, "all"):
        raise CallError("bad_state", f"state is none of {kind} alerts.", f"One of {', '.join(source.states)}, all.")
    if severity and severity not in source.severities:
        known = f"One of {', '.join(source.severities)}." if source.severities else "Leave it out for secrets."
        raise CallError("bad_severity", f"severity is none of {kind} alerts.", known)
    visit = await hub.open(repo)
    visit.view.private(visit.facts)
    asked: dict[str, Any] = {"state": "" if state == "all" else state}
    if kind == "secret":
        # Not even this process needs them.
        asked |= {"hide_secret": "true"}
    question = ["list_alerts", visit.repo.lower(), kind, state, severity]
    path = f"{names.repo_path(visit.repo)}{source.route}"
    try:
        if kind == "dependabot":
            page = await _after(visit, path, {**asked, "severity": severity}, limit, cursor, question)
        else:
            page = await paging.rest(
                visit.api,
                path,
                asked,
                limit=limit,
                cursor=cursor,
                question=question,
                # GitHub describes no filter for the severity of code scanning in a repository.
                keep=lambda item: not severity or severity in _severities(item),
                most=100 if severity else 0,
            )
    except CallError as error:
        raise _explained(error, source) from error
    shown = [(source.row(visit, item), behind) for item, behind in page.items if visit.view.admits(PROGRAM, "alert")]
    return visit.view.listing(
        f"{kind} alerts ({state}) of {visit.title}",
        shown,
        page if not severity or kind == "dependabot" else replace(page, total=-1),
        question,
    )


async def _after(visit: Visit, path: str, params: Mapping[str, Any], limit: int, cursor: str, question: object) -> Page:
    """A part of a list that GitHub goes on in by ``after``, from the Link header, and not by pages."""
    place = cursors.read(cursor, question)
    size, skip = place.get("n") or limit, place.get("o") or 0
    here: Place = {key: place[key] for key in ("a", "p") if place.get(key)}

    async def ask(per: int) -> Answer:
        # What is skipped must be in it; a page's number means another place where pages have another size.
        per = size if here.get("p") else max(per, skip + 1)
        return await visit.api.get(path, {**params, "per_page": per, "after": here.get("a"), "page": here.get("p")})

    answer, size = await paging.smaller(ask, size)
    items, following = rows(answer.data), _following(answer)
    found: list[tuple[Item, Place]] = []
    for at, item in enumerate(items[skip:], skip + 1):
        last = at == len(items) and following
        found.append((item, {**following, "n": size} if last else {**here, "n": size, "o": at}))
    more = bool(following) or len(found) > limit
    return Page(found[:limit], -1 if more or cursor else len(items), more=more, behind={**following, "n": size})


def _following(answer: Answer) -> Place:
    """Where the Link header says that the list goes on; older Enterprise Servers have pages instead."""
    link = _NEXT.search(answer.headers.get("link", ""))
    query = parse_qs(urlsplit(link[1]).query) if link else {}
    if "after" in query:
        return {"a": query["after"][0]}
    return {"p": answer.next_page} if answer.next_page else {}


def _explained(error: CallError, source: Source) -> CallError:
    if error.code not in ("not_found", "forbidden"):
        return error
    hint = f"{source.feature} may be off for this repository, or the credential lacks {source.permission}."
    return CallError(error.code, error.message, f"{hint} {error.hint}".strip())


def _severities(item: Mapping[str, Any]) -> tuple[str, str]:
    rule = table(item.get("rule"))
    return text(rule.get("security_severity_level")), text(rule.get("severity"))


def _dependency(visit: Visit, item: Item) -> dict[str, Any]:
    dependency, weakness = table(item.get("dependency")), table(item.get("security_vulnerability"))
    package, advisory = table(dependency.get("package")), table(item.get("security_advisory"))
    line = visit.view.line
    return {
        "number": item.get("number"),
        "state": item.get("state"),
        "severity": text(weakness.get("severity")),
        "package": line(PROGRAM, f"{text(package.get('ecosystem'))}:{text(package.get('name'))}", "alert", 120),
        "manifest": visit.view.name(PROGRAM, text(dependency.get("manifest_path")), "alert", 500),
        "vulnerable": line(PROGRAM, text(weakness.get("vulnerable_version_range")), "alert", 60),
        "fixed_in": line(PROGRAM, text(table(weakness.get("first_patched_version")).get("identifier")), "alert", 40),
        "advisory": text(advisory.get("ghsa_id")),
        "summary": line(PROGRAM, text(advisory.get("summary")), "alert"),
        "created": day(item.get("created_at")),
    }


def _finding(visit: Visit, item: Item) -> dict[str, Any]:
    rule, instance = table(item.get("rule")), table(item.get("most_recent_instance"))
    place = table(instance.get("location"))
    line = visit.view.line
    return {
        "number": item.get("number"),
        "state": item.get("state"),
        "severity": next((level for level in _severities(item) if level), ""),
        "rule": line(PROGRAM, text(rule.get("id")), "alert", 80),
        "tool": line(PROGRAM, text(table(item.get("tool")).get("name")), "alert", 40),
        "path": visit.view.name(PROGRAM, text(place.get("path")), "alert", 500),
        "line": place.get("start_line") or 0,
        "ref": line(PROGRAM, text(instance.get("ref")), "alert", 100),
        "message": line(PROGRAM, text(table(instance.get("message")).get("text")), "alert"),
        "created": day(item.get("created_at")),
    }


def _leak(visit: Visit, item: Item) -> dict[str, Any]:
    # Of the fields, `secret` is the one that is never touched.
    place = table(item.get("first_location_detected"))
    line = visit.view.line
    return {
        "number": item.get("number"),
        "state": item.get("state"),
        "type": line(PROGRAM, text(item.get("secret_type")), "alert", 80),
        "validity": text(item.get("validity")),
        "path": visit.view.name(PROGRAM, text(place.get("path")), "alert", 500),
        "line": place.get("start_line") or 0,
        "commit": text(place.get("commit_sha"))[:10],
        "public": item.get("publicly_leaked") is True,
        "resolution": text(item.get("resolution")),
        "created": day(item.get("created_at")),
    }


SOURCES: Mapping[Kind, Source] = {
    "dependabot": Source(
        "/dependabot/alerts",
        ("open", "dismissed", "fixed", "auto_dismissed"),
        _LEVELS,
        "Dependabot",
        "Dependabot alerts: read (scope security_events)",
        _dependency,
    ),
    "code": Source(
        "/code-scanning/alerts",
        ("open", "closed", "dismissed", "fixed"),
        (*_LEVELS, "error", "warning", "note"),
        "Code scanning",
        "Code scanning alerts: read (scope security_events)",
        _finding,
    ),
    "secret": Source(
        "/secret-scanning/alerts",
        ("open", "resolved"),
        (),
        "Secret scanning",
        "Secret scanning alerts: read (scope security_events)",
        _leak,
    ),
}
