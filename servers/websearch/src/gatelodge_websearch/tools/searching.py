"""Tools that search: the web, several pages at once, and what was read before."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from gatelodge_core.apps.showing import show
from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import EXTERNAL, READ, UNTRUSTED
from gatelodge_core.errors import CallError
from pydantic import BaseModel, Field

from gatelodge_websearch import showing
from gatelodge_websearch.budget import MAX_TOKENS, bounded, within
from gatelodge_websearch.engines.desk import SECONDS, Found
from gatelodge_websearch.engines.fusion import Fused, canonical
from gatelodge_websearch.engines.model import Ask, Kind
from gatelodge_websearch.pages import Page, cite
from gatelodge_websearch.passages import Passage, pieces, ranked
from gatelodge_websearch.web import Web

searching = Declarations[Web]()

Query = Annotated[str, Field(min_length=1, max_length=500)]
Domains = Annotated[list[str], Field(max_length=20)]
Time = Annotated[str, Field(description="d, w, m, y: last day to year; or 2026-01-01..2026-02-01.")]
_DATES = re.compile(r"(\d{4}-\d\d-\d\d)?\.\.(\d{4}-\d\d-\d\d)?")
INDEX_SECONDS = 10.0
"""How long a search waits for the folders' index to be brought up to date."""
_REGION = re.compile(r"[a-z]{2}-[a-z]{2}")
_DOMAIN = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})+")
_DOMAIN_SIZE = 253


class ResultRecord(BaseModel):
    """A result."""

    id: str
    title: str
    url: str
    snippet: str
    published: str
    engines: list[str]


class EngineRecord(BaseModel):
    """How it went with one engine."""

    engine: str
    status: str
    found: int
    ms: int
    retry_after: int
    filters_ignored: list[str]
    message: str


class SearchRecord(BaseModel):
    """What a search found."""

    search: str
    results: list[ResultRecord]
    shown: int
    total: int
    engines: list[EngineRecord]
    cached_seconds: int


class SavedRecord(BaseModel):
    """A page read before, or a file."""

    id: str
    title: str
    url: str
    fetched: str
    snippet: str


class SavedPagesRecord(BaseModel):
    """Pages read before."""

    pages: list[SavedRecord]
    shown: int
    total: int
    note: str


@searching.tool(effect=READ, reach=EXTERNAL, yields=UNTRUSTED)
async def search_web(
    web: Web,
    query: Query,
    more_queries: Annotated[list[str], Field(max_length=3, description="Other wordings.")] = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    kind: Kind = "web",
    max_results: Annotated[int, Field(ge=1, le=50)] = 10,
    page: Annotated[int, Field(ge=1, le=10)] = 1,
    time: Time = "",
    region: Annotated[str, Field(description="Like us-en.")] = "",
    safe_search: Literal["on", "moderate", "off"] = "moderate",
    include_domains: Domains = [],  # noqa: B006
    exclude_domains: Domains = [],  # noqa: B006
    engines: Domains = [],  # noqa: B006
    detail: Literal["brief", "full"] = "brief",
) -> SearchRecord:
    """Search the web: results with ids for read_page, and each engine's status (blocked is not empty)."""
    web.leaving.check_all(more_queries=more_queries, engines=engines)
    ask = _ask(web, query, kind, page, time, region, safe_search, include_domains, exclude_domains)
    part = await _paged(web, ask, more_queries, engines, max_results)
    found = part.found
    size = 200 if detail == "brief" else 1000
    records = [
        ResultRecord(
            id=cite(item.hit.url),
            title=showing.one_line(item.hit.title, 160),
            url=item.hit.url,
            snippet=showing.one_line(item.hit.snippet, size),
            published=showing.one_line(item.hit.published, 30),
            engines=item.engines,
        )
        for item in part.results
    ]
    shown = await anyio.to_thread.run_sync(within, records, web.cleanser)
    return SearchRecord(
        search=found.id,
        results=shown,
        shown=len(shown),
        total=part.known,
        engines=[
            EngineRecord(
                engine=report.engine,
                status=report.status,
                found=report.found,
                ms=report.ms,
                retry_after=report.retry_after,
                filters_ignored=report.ignored,
                message=" ".join([report.message, *report.warnings]).strip(),
            )
            for report in found.reports
        ],
        cached_seconds=found.cached,
    )


def _ask(
    web: Web,
    query: str,
    kind: Kind,
    page: int,
    time: str,
    region: str,
    safe: str,
    include: list[str],
    exclude: list[str],
) -> Ask:
    """A request out of arguments, which hold no secret.

    Raises:
        CallError: `secret_in_request` or `invalid_arguments`.
    """
    web.leaving.check_all(query=query, time=time, region=region, include_domains=include, exclude_domains=exclude)
    region = region.strip().lower()
    if region and not _REGION.fullmatch(region):
        raise CallError("invalid_arguments", "region is not country-language.", "For example us-en or de-de.")
    domains = [
        [item.strip().lower().removeprefix("*.") for item in items if item.strip()] for items in (include, exclude)
    ]
    for item in (*domains[0], *domains[1]):
        if not _is_domain(item):
            raise CallError("invalid_arguments", "a domain is not a plain one.", 'For example ["example.org"].')
    return Ask(" ".join(query.split()), kind, page, _time(time), region, safe, tuple(domains[0]), tuple(domains[1]))


def _is_domain(text: str) -> bool:
    """Whether a text can be a domain by its form and length (RFC 1035, section 2.3.4), in the letters of the DNS too."""
    if len(text) > _DOMAIN_SIZE or not _DOMAIN.fullmatch(text):
        return False
    labels = [label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in text.split(".")]
    return len(".".join(labels)) <= _DOMAIN_SIZE and all(len(label) <= 63 and label[0] != "-" for label in labels)


def _time(text: str) -> str:
    """The time of an `Ask`: a range with both its ends."""
    text = text.strip().lower()
    if text in ("", "d", "w", "m", "y"):
        return text
    found = _DATES.fullmatch(text)
    today = datetime.date.today().isoformat()
    first, last = (found[1] or "1970-01-01", found[2] or today) if found and len(text) > 2 else ("", "")
    try:
        fine = datetime.date.fromisoformat(first) <= datetime.date.fromisoformat(last)
    except ValueError:
        fine = False
    if not fine:
        raise CallError(
            "invalid_arguments",
            "time is none.",
            "Send d, w, m, y, or days such as 2026-01-01..2026-02-01 or 2026-01-01..",
        )
    return f"{first}..{last}"


@dataclass(frozen=True, slots=True)
class _Part:
    """A page of results.

    Args:
        found: The search that they are of.
        results: They.
        known: How many results are known by now, those of earlier pages included.
    """

    found: Found
    results: list[Fused]
    known: int


async def _paged(web: Web, ask: Ask, more: list[str], engines: list[str], count: int) -> _Part:
    """A page of so many results: what engines give at once may fill several, and what came before isn't shown again.

    Raises:
        CallError: As `Desk.search`.
    """
    until = anyio.current_time() + SECONDS
    seen: set[str] = set()
    left, number = ask.page, 0
    while True:
        number += 1
        seconds = max(1.0, until - anyio.current_time())
        found = await _searched(web, replace(ask, page=number), more, engines, seconds)
        fresh = [item for item in found.results if canonical(item.hit.url) not in seen]
        seen.update(canonical(item.hit.url) for item in fresh)
        filled = max(1, -(-len(fresh) // count))
        if left <= filled or not fresh:
            return _Part(found, fresh[(left - 1) * count : left * count], len(seen))
        left -= filled


async def _searched(web: Web, ask: Ask, more: list[str], engines: list[str], seconds: float = SECONDS) -> Found:
    words = [" ".join(text.split()) for text in more if text.strip()]
    found = await web.desk.search(ask, words, [engine for engine in engines if engine], seconds)
    named = [(item.hit.url, item.hit.title[:300]) for item in found.results]
    await anyio.to_thread.run_sync(web.store.mine().name, named)
    return found


@searching.tool(effect=READ, reach=EXTERNAL, yields=UNTRUSTED)
async def research_web(
    web: Web,
    query: Query,
    progress: Progress,
    more_queries: Annotated[list[str], Field(max_length=3)] = [],  # noqa: B006
    read_top: Annotated[int, Field(ge=1, le=10)] = 5,
    tokens_per_page: Annotated[int, Field(ge=100, le=4000)] = 800,
    max_tokens: Annotated[int, Field(ge=300, le=MAX_TOKENS)] = 6000,
    time: Time = "",
    region: str = "",
    include_domains: Domains = [],  # noqa: B006
    exclude_domains: Domains = [],  # noqa: B006
    seconds: Annotated[int, Field(ge=5, le=50)] = 30,
) -> str:
    """Search, read the best pages, and give the passages about the query with [n] to cite."""
    web.leaving.check_all(more_queries=more_queries)
    ask = _ask(web, query, "web", 1, time, region, "moderate", include_domains, exclude_domains)
    begun = anyio.current_time()
    found = await _searched(web, ask, more_queries, [])
    wanted = found.results[:read_top]
    read: list[Page | str] = ["still loading at the deadline"] * len(wanted)
    done = 0

    async def one(place: int) -> None:
        nonlocal done
        try:
            read[place] = await web.read(wanted[place].hit.url)
        except CallError as error:
            read[place] = str(error)
        done += 1
        await progress(done, len(wanted), "pages read")

    with anyio.move_on_after(max(1.0, seconds - (anyio.current_time() - begun))):
        async with anyio.create_task_group() as group:
            for place in range(len(wanted)):
                group.start_soon(one, place)
    statuses = ", ".join(f"{report.engine} {report.status}" for report in found.reports)
    lines = [f"search {found.id}: {len(found.results)} results ({statuses})"]
    if not wanted:
        return f"{lines[0]}; nothing found"
    pages = {place: page for place, page in enumerate(read) if isinstance(page, Page)}
    for place, item in enumerate(wanted):
        page = read[place]
        state = "" if isinstance(page, Page) else f" (not read: {page})"
        title = page.title if isinstance(page, Page) else item.hit.title
        lines.append(f"[{place + 1}] {cite(item.hit.url)} {showing.one_line(title, 120)} <{item.hit.url}>{state}")
    asked = " ".join([query, *more_queries])
    taken: list[Passage] = []

    def made(budget: int) -> str:
        room = budget - showing.tokens("\n".join(lines))
        taken[:] = _passages(pages, asked, tokens_per_page, room)
        return "\n".join(lines) + "\n\n" + _cited(taken)

    text = await anyio.to_thread.run_sync(bounded, made, max_tokens, web.cleanser)
    show({"kind": "pages", "query": query, "pages": [_card(place, found, read, taken) for place in range(len(wanted))]})
    return text


def _card(place: int, found: Found, read: list[Page | str], taken: list[Passage]) -> dict[str, Any]:
    """A page that was read, or why it wasn't, for the view."""
    hit, page = found.results[place].hit, read[place]
    return {
        "id": cite(hit.url),
        "title": showing.one_line(page.title if isinstance(page, Page) else hit.title, 160),
        "url": hit.url,
        "published": showing.one_line(hit.published, 30),
        "trouble": "" if isinstance(page, Page) else page,
        "passages": [[piece.headings, piece.text] for piece in taken if piece.source == place],
    }


def _passages(pages: dict[int, Page], query: str, per_page: int, room: int) -> list[Passage]:
    """The best passages of all pages, best page first, each under the number it is cited by."""
    every = [piece for place, page in pages.items() for piece in pieces(page.markdown, place)]
    spent: dict[int, int] = {}
    taken: list[Passage] = []
    for _, piece in ranked(query, every, 60):
        cost = showing.tokens(piece.text) + showing.tokens(piece.headings) + 6
        if cost > room or spent.get(piece.source, 0) + cost > per_page:
            continue
        spent[piece.source] = spent.get(piece.source, 0) + cost
        room -= cost
        taken.append(piece)
    order = list(dict.fromkeys(piece.source for piece in taken))
    return sorted(taken, key=lambda piece: (order.index(piece.source), piece.offset))


def _cited(taken: list[Passage]) -> str:
    if not taken:
        return "(no passage fits the query and the budget)"
    return "\n\n".join(
        f"[{piece.source + 1}]{f' ({piece.headings})' if piece.headings else ''}\n{piece.text}" for piece in taken
    )


@searching.tool(effect=READ, yields=UNTRUSTED)
async def search_local(
    web: Web, query: Query, max_results: Annotated[int, Field(ge=1, le=50)] = 10
) -> SavedPagesRecord:
    """Search the pages read before and the person's folders, offline: all words must be in them."""
    if web.folders:
        # It goes on by itself if it takes longer; the first time it may.
        with anyio.move_on_after(INDEX_SECONDS):
            await anyio.to_thread.run_sync(web.folders.renew, abandon_on_cancel=True)
    pages_found, count = await anyio.to_thread.run_sync(web.store.mine().saved, query, max_results)
    files_found, more = await anyio.to_thread.run_sync(web.folders.saved, query, max_results)
    found = sorted([*pages_found, *files_found], key=lambda item: item.score)[:max_results]
    pages = [
        SavedRecord(
            id=item.id,
            title=showing.one_line(item.title, 160),
            url=item.url,
            fetched=datetime.datetime.fromtimestamp(item.fetched, datetime.UTC).isoformat(timespec="seconds"),
            # A word may be as long as its page.
            snippet=showing.one_line(item.snippet, 600),
        )
        for item in found
    ]
    pages = await anyio.to_thread.run_sync(within, pages, web.cleanser)
    return SavedPagesRecord(pages=pages, shown=len(pages), total=count + more, note=web.folders.note)


@searching.tool(effect=READ)
async def show_engines(web: Web) -> str:
    """Show which engines are switched on, their state, and the policy for reading."""
    lines: list[str] = []
    for gate in web.desk.gates:
        breaker, left, reason = gate.state()
        state = f"{breaker}, {reason}, again in {left} s" if reason else "ready"
        lines.append(f"{gate.engine.name}: {state}; has {', '.join(sorted(gate.engine.kinds))}")
    count, weight = await anyio.to_thread.run_sync(web.store.mine().size)
    given = web.settings
    facts = [
        f"combine={given.combine}",
        f"strict={'on' if given.strict else 'off'}",
        f"robots={given.robots}",
        f"proxy={'on' if given.proxy else 'off'}",
    ]
    facts += [f"only {given.allow_domains}"] if given.allow_domains else []
    facts += [f"never {given.deny_domains}"] if given.deny_domains else []
    facts.append(f"{count} pages kept, {weight // 1024} KB")
    return "\n".join([*lines, f"policy: {'; '.join(facts)}"])
