"""Tools that read pages."""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Literal

import anyio
import anyio.to_thread
from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import EXTERNAL, READ, UNTRUSTED
from gatelodge_core.errors import CallError
from gatelodge_core.guard.cleansing import Cleanser
from pydantic import BaseModel, Field

from gatelodge_websearch import showing
from gatelodge_websearch.budget import MAX_TOKENS, bounded, lines_within, within
from gatelodge_websearch.pages import Page
from gatelodge_websearch.web import Web

reading = Declarations[Web]()

PageArgument = Annotated[str, Field(description="URL or id.")]
Offset = Annotated[int, Field(ge=0, description="Skip so many.")]
_AROUND = 160


class LinkRecord(BaseModel):
    """A link."""

    text: str
    url: str


class LinksRecord(BaseModel):
    """Links of a page."""

    page: str
    links: list[LinkRecord]
    shown: int
    total: int


@reading.tool(effect=READ, reach=EXTERNAL, yields=UNTRUSTED)
async def read_page(
    web: Web,
    pages: Annotated[list[str], Field(min_length=1, max_length=5, description="URLs or ids.")],
    progress: Progress,
    query: Annotated[str, Field(description="Give only passages about this.")] = "",
    max_tokens: Annotated[int, Field(ge=100, le=MAX_TOKENS)] = 4000,
    cursor: str = "",
    section: Annotated[str, Field(description="Number or title from the outline.")] = "",
    format: Literal["markdown", "text", "outline"] = "markdown",  # noqa: A002 - the word callers know
    links: Annotated[bool, Field(description="Keep URLs of links.")] = True,
    include_hidden: Annotated[bool, Field(description="Keep text the page hides.")] = False,
) -> str:
    """Read web pages or PDFs as Markdown. Long ones: query, section (format=outline lists them) or cursor."""
    if cursor and (len(pages) > 1 or query or section):
        raise CallError("invalid_arguments", "cursor goes with one page, without query and section.")
    urls = [web.url(page) for page in pages]
    found: list[Page | CallError] = [CallError("not_read", "The page was not read.")] * len(urls)
    done = 0

    async def one(place: int) -> None:
        nonlocal done
        try:
            if cursor:
                found[place] = await _kept(web, cursor)
            else:
                found[place] = await web.read(urls[place], include_hidden=include_hidden)
        except CallError as error:
            found[place] = error
        done += 1
        await progress(done, len(urls), "pages read")

    async with anyio.create_task_group() as group:
        for place in range(len(urls)):
            group.start_soon(one, place)
    if len(found) == 1 and isinstance(found[0], CallError):
        raise found[0]

    def made(budget: int) -> str:
        parts = [
            f"url: {showing.one_line(url, 500)}\nnot read: {page}"
            if isinstance(page, CallError)
            else f"{showing.header(page)}\n{_body(page, query, cursor, section, format, budget // len(found), links=links)}"
            for page, url in zip(found, urls, strict=True)
        ]
        if len(parts) == 1:
            return parts[0]
        # A page can't write a heading that passes for another's: it doesn't know this number.
        mark = secrets.token_hex(8)
        marked = (f"=== {mark}: page {number} of {len(parts)} ===\n{text}" for number, text in enumerate(parts, 1))
        return "\n\n".join(marked)

    return await anyio.to_thread.run_sync(bounded, made, max_tokens, web.cleanser)


async def _kept(web: Web, cursor: str) -> Page:
    version = showing.parse_cursor(cursor)[0]
    page = await anyio.to_thread.run_sync(web.kept, version)
    if page is None:
        raise CallError("stale_cursor", "The page that the cursor belongs to is no longer kept.", "Read it anew.")
    return page


def _body(page: Page, query: str, cursor: str, section: str, form: str, budget: int, *, links: bool) -> str:
    at = 0
    if cursor:
        _, at, links = showing.parse_cursor(cursor)
    text = page.markdown if links else showing.unlinked(page.markdown)
    total = showing.tokens(text)
    if form == "outline":
        return f"outline of {total} tokens\n\n{showing.outline(page.markdown, budget)}"
    start, end = min(at, len(text)), len(text)
    if section:
        found = showing.section_of(text, section)
        start, end = found.start, found.end
    if query:
        passages, count, every = showing.best_passages(text[start:end], query, budget)
        if passages:
            return f"shown {count} of {every} passages ({total} tokens in all) about the query\n\n{_formed(passages, form)}"
        return f"no passage has a word of the query; {total} tokens in all, read without query or by section"
    shown, following = showing.part(text[:end], start, budget)
    line = f"shown {showing.tokens(shown)} of {total} tokens"
    if following < end:
        line += f"; MORE: cursor={showing.cursor(page, following, links=links)}"
    return f"{line}\n\n{_formed(shown, form)}"


def _formed(text: str, form: str) -> str:
    return showing.plain(text) if form == "text" else text


@reading.tool(effect=READ, reach=EXTERNAL, yields=UNTRUSTED)
async def find_in_page(
    web: Web,
    page: PageArgument,
    text: Annotated[str, Field(min_length=1, max_length=200, description="Words to find, any case.")],
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    offset: Offset = 0,
) -> str:
    """Find exact text in a page: each place with its section and the words around it."""
    found = await web.read(page)
    return await anyio.to_thread.run_sync(_places, found, text, limit, offset, web.cleanser)


def _places(page: Page, wanted: str, limit: int, offset: int, cleanser: Cleanser) -> str:
    """Where a page has a text. It runs in a thread: a page may have it a million times."""
    markdown = page.markdown
    pattern = re.compile(r"\s+".join(re.escape(word) for word in wanted.split()) or re.escape(wanted), re.IGNORECASE)
    parts = showing.sections(markdown)
    lines: list[str] = []
    total = 0
    for match in pattern.finditer(markdown):
        total += 1
        if not offset < total <= offset + limit:
            continue
        start, end = max(0, match.start() - _AROUND), min(match.end(), match.start() + 400) + _AROUND
        inside = [showing.one_line(part.title, 120) for part in parts if part.start <= match.start() < part.end]
        around = " ".join(markdown[start:end].split())
        place = showing.one_line(" > ".join(inside), 120)
        lines.append(f"{showing.cursor(page, max(0, match.start() - 200))} ({place}) …{around}…")
    head = showing.header(page)
    lines = lines_within(lines, cleanser, head)
    after = f" after {offset}" if offset else ""
    told = f"shown {len(lines)} of {total} places{after}; read on from one with its cursor"
    return "\n".join([head, told, "", *lines])


@reading.tool(effect=READ, reach=EXTERNAL, yields=UNTRUSTED)
async def list_links(
    web: Web,
    page: PageArgument,
    contains: Annotated[str, Field(description="In text or URL, any case.")] = "",
    same_site: bool = False,
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
    offset: Offset = 0,
) -> LinksRecord:
    """List the links of a page."""
    found = await web.read(page)
    host = _host(found.final)
    low = contains.lower()
    fitting = [
        LinkRecord(text=text, url=url)
        for text, url in found.links
        if (not low or low in text.lower() or low in url.lower()) and (not same_site or _host(url) == host)
    ]
    links = await anyio.to_thread.run_sync(within, fitting[offset : offset + limit], web.cleanser)
    return LinksRecord(page=found.id, links=links, shown=len(links), total=len(fitting))


def _host(url: str) -> str:
    match = re.match(r"https?://([^/?#]+)", url)
    return match[1].lower() if match else ""
