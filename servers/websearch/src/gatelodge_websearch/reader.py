"""Reading a page: checks, the fetch, what kind it really is, and its content as Markdown."""

from __future__ import annotations

import codecs
import hashlib
import html as entities
import re
import time
from dataclasses import replace
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.egress import Egress, EgressError, Fetched, Policy
from gatelodge_core.sandbox.egress.names import Target, parse

from gatelodge_websearch.charset import decode
from gatelodge_websearch.html.extract import Extracted, extract
from gatelodge_websearch.leaving import Leaving
from gatelodge_websearch.naming import Naming
from gatelodge_websearch.pages import Page
from gatelodge_websearch.pdf.reading import PdfReader
from gatelodge_websearch.robots import Robots
from gatelodge_websearch.store import Shelf, Store

_UNSAID = ("", "application/octet-stream", "binary/octet-stream")
"""What says nothing of a body, which is looked at instead (RFC 9110, section 8.3); file stores send the last two for any file."""
TYPES = (
    *("text/*", "application/xhtml+xml", "application/xml", "application/json", "*+json", "*+xml"),
    *("application/yaml", "application/x-yaml", "*+yaml", "application/toml", "application/javascript"),
    *("application/x-javascript", "application/x-ndjson", "application/sql", "application/x-sh", "application/pdf"),
    *_UNSAID,
)
_HTML = ("text/html", "application/xhtml+xml")
_MAGIC = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ\x90", "application/x-executable"),
    (b"RIFF", "a RIFF container"),
    (b"wOF", "a font"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
)
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body|title|meta|script|style|h1|div|p|table|a|br|b)\b",
    re.IGNORECASE,
)
_TRACKING = frozenset({"gclid", "fbclid", "msclkid", "dclid", "mc_cid", "mc_eid", "igshid", "yclid", "twclid"})
_MAX_TEXT = 1_200_000
"""Characters of a page that are looked at; a page of nothing but tags takes some fifty times its size to parse."""


class Reader:
    """Reads pages.

    Args:
        egress: The way out.
        policy: Which URLs may be asked for, now.
        store: Where pages are kept.
        naming: Knows which domains may be read.
        leaving: Knows what may not leave.
        pdf: Reads PDF files.
        robots: Whether robots.txt is honoured.
        cache_seconds: How long a page is taken from the store without asking.
    """

    def __init__(
        self,
        egress: Egress,
        policy: Policy,
        store: Store,
        naming: Naming,
        leaving: Leaving,
        pdf: PdfReader,
        *,
        robots: bool,
        cache_seconds: int,
    ) -> None:
        self._egress = egress
        self._store = store
        self._leaving = leaving
        self._pdf = pdf
        self._naming = naming
        self._robots = Robots(egress, naming.check) if robots else None
        self._seconds = cache_seconds
        self.policy = policy
        self._working = anyio.CapacityLimiter(4)
        self._reading: dict[tuple[str, str, bool], anyio.Event] = {}

    async def page(self, url: str, *, include_hidden: bool = False) -> Page:
        """Read a page, or take it from the store.

        Args:
            url: Absolute. Tracking parameters are removed.
            include_hidden: Keep what the page doesn't show.

        Raises:
            CallError: It was refused, failed, or isn't text.
        """
        url = without_tracking(url)
        self._leaving.check(url, "URL")
        shelf = self._store.mine()
        # One fetch for calls of one caller that want the same page at the same time.
        key = (shelf.owner, url, include_hidden)
        while (running := self._reading.get(key)) is not None:
            await running.wait()
        done = self._reading[key] = anyio.Event()
        try:
            return await self._page(url, shelf, include_hidden=include_hidden)
        finally:
            del self._reading[key]
            done.set()

    async def _page(self, url: str, shelf: Shelf, *, include_hidden: bool) -> Page:
        # The settings may have changed since a page was kept.
        target = parse(url, self.policy)
        kept = await anyio.to_thread.run_sync(lambda: shelf.page(url, include_hidden=include_hidden))
        if kept is not None and time.time() - kept.fetched < self._seconds:
            return kept
        await self._naming.check(target)
        await self._ask_robots(url)
        headers = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,text/*;q=0.8,*/*;q=0.5"}
        if kept is not None:
            headers |= {"If-None-Match": kept.etag} if kept.etag else {}
            headers |= {"If-Modified-Since": kept.modified} if kept.modified else {}
        found = await self._egress.get(url, headers=headers, types=TYPES, cut=True, check=self._check_hop)
        if found.status == 304 and kept is not None:
            made = replace(kept, fetched=time.time())
            await anyio.to_thread.run_sync(shelf.keep, made)
        else:
            _check_status(found)
            media = _media(found)
            pdf = await self._pdf_of(found) if media == "application/pdf" else None

            def read_and_keep() -> Page:
                page = read(url, found, media, include_hidden=include_hidden, pdf=pdf)
                shelf.keep(page)
                return page

            # One way to a thread and back, not two.
            made = await anyio.to_thread.run_sync(read_and_keep, limiter=self._working)
        return made

    async def _check_hop(self, target: Target) -> None:
        """Refuse to follow a redirect to where a page would not be asked for."""
        await self._naming.check(target)
        await self._ask_robots(str(target.url))

    async def _pdf_of(self, found: Fetched) -> Extracted:
        if found.truncated:
            raise CallError("too_large", "The PDF is larger than what is read.", "Use another source.")
        title, text = await self._pdf.text_of(found.body)
        return Extracted(title, text, "pdf")

    async def _ask_robots(self, url: str) -> None:
        if self._robots is not None and urlsplit(url).scheme in ("http", "https"):
            # A URL that can't be sent is refused by the fetch of the page, with the true reason.
            try:
                allowed = await self._robots.allows(url)
            except (EgressError, ValueError):
                return
            if not allowed:
                raise CallError(
                    "robots_disallowed",
                    "The site's robots.txt asks programs not to read that page, or can't be had now.",
                    "Use another source, or let the person open it.",
                )


def without_tracking(url: str) -> str:
    """The URL without parameters that only tell a site who sent the reader; all else stays as written."""
    head, mark, rest = url.partition("?")
    if not mark:
        return url
    query, hash_, fragment = rest.partition("#")
    kept = [
        part
        for part in query.split("&")
        if part.partition("=")[0].lower() not in _TRACKING and not part.lower().startswith("utm_")
    ]
    return head + ("?" + "&".join(kept) if kept or not query else "") + hash_ + fragment


def _check_status(found: Fetched) -> None:
    status = found.status
    if 200 <= status < 300:
        return
    hints = {
        401: "It wants a login; use another source.",
        403: "It refuses programs, or wants a login; use another source.",
        404: "Check the address, or search for the page.",
        410: "The page is gone; search for another source.",
        429: "Wait before asking this site again.",
    }
    usual = "Try again later, or use another source." if status >= 500 else "Use another source."
    raise CallError("http_status", f"The site answered with status {status}.", hints.get(status, usual))


def _media(found: Fetched) -> str:
    """The media type, checked against the first bytes.

    Raises:
        CallError: `bad_content_type`: the body is something else than it says, or no text.
    """
    said = found.headers.get("content-type", "").partition(";")[0].strip().lower()
    head = found.body[:4096]
    if said in _UNSAID:
        said = _sniffed(head)
    real = next((media for magic, media in _MAGIC if head.startswith(magic)), "")
    if real == "application/pdf":
        if said in ("application/pdf", "text/plain"):
            return real
    elif said == "application/pdf":
        real = "not a PDF"
    elif not real and said not in _UNSAID and (b"\0" not in head or head.startswith((b"\xff\xfe", b"\xfe\xff"))):
        return said
    raise CallError(
        "bad_content_type",
        f"The site calls it {_known(said)}, but it is {real or 'binary data'}."
        if said not in _UNSAID
        else f"The site doesn't say what it is; it is {real or 'binary data'}.",
        "Ask for a URL that serves text, HTML or PDF.",
    )


def _sniffed(head: bytes) -> str:
    """What a body without a type is, if it can be read: a PDF, HTML or text; else a word for none of these."""
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    if _PAGE.match(head):
        return "text/html"
    text = codecs.getincrementaldecoder("utf-8")()
    try:
        text.decode(head)
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "application/octet-stream" if b"\0" in head else "text/plain"


def _known(said: str) -> str:
    return said if said in TYPES or said in (*_HTML, "text/plain", "text/css", "text/csv", "text/markdown") else "text"


def read(url: str, found: Fetched, media: str, *, include_hidden: bool, pdf: Extracted | None = None) -> Page:
    """The page in an answer. It runs in a thread: parsing holds a core.

    Args:
        url: As it was asked for.
        found: The answer.
        media: Its checked media type.
        include_hidden: Keep what the page doesn't show.
        pdf: What was found in it, if it is a PDF.

    Raises:
        CallError: There is no text.
    """
    text = charset = ""
    if pdf is not None:
        seen = pdf
    else:
        text, charset = decode(found.body[: 2 * _MAX_TEXT], found.headers.get("content-type", ""))
        if media in _HTML:
            seen = extract(text[:_MAX_TEXT], found.url, include_hidden=include_hidden)
        else:
            seen = Extracted("", _plain(text[:_MAX_TEXT], media), "text")
    if not seen.markdown.strip():
        raise CallError(
            "no_text",
            "The page has no text to read; it may need scripts or a login.",
            "Try include_hidden=true, or another source." if not include_hidden else "Use another source.",
        )
    return Page(
        url=url,
        final=found.url,
        chain=found.chain,
        title=seen.title,
        markdown=seen.markdown,
        media=f"{media}; {charset}" if charset else media,
        sha=hashlib.sha256(found.body).hexdigest(),
        fetched=time.time(),
        extractor=seen.extractor,
        language=seen.language,
        published=seen.published,
        hidden=seen.hidden,
        truncated=found.truncated or (pdf is None and len(found.body) > _MAX_TEXT and len(text) > _MAX_TEXT),
        etag=found.headers.get("etag", "")[:200],
        modified=found.headers.get("last-modified", "")[:60],
        links=tuple((link.text, link.url) for link in seen.links),
        with_hidden=include_hidden,
    )


def _plain(text: str, media: str) -> str:
    if media in ("text/plain", "text/markdown", "text/x-markdown", "text/x-rst"):
        return text.replace("\r\n", "\n")
    kind = media.rpartition("/")[2].rpartition("+")[2]
    if kind == "xml" and "&" in text and "<rss" in text[:2000]:
        text = entities.unescape(text) if text.count("&lt;") < 5 else text
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{kind}\n{text}\n{fence}"
