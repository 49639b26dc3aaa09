"""What was read: a page, and the names things are cited by."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Page:
    """A page, read.

    Args:
        url: As it was asked for.
        final: What answered, after redirects.
        chain: URLs that redirected, first to last.
        title: Its title.
        markdown: Its content.
        media: Its media type, and the charset it was read by.
        sha: SHA-256 of its bytes, hexadecimal.
        fetched: When, in seconds since 1970.
        extractor: How the content was found.
        language: As it says.
        published: As it says.
        hidden: Characters that were hidden in it.
        truncated: Whether it was cut at the byte cap.
        etag: For asking again.
        modified: For asking again.
        links: (text, URL) of its links.
        with_hidden: Whether text that the page hides was kept in it.
        version: Of what is shown: a digest, hexadecimal. Equal bytes are shown otherwise at another address, or with
            hidden text.
    """

    url: str
    final: str
    chain: tuple[str, ...]
    title: str
    markdown: str = field(repr=False)
    media: str
    sha: str
    fetched: float
    extractor: str
    language: str = ""
    published: str = ""
    hidden: int = 0
    truncated: bool = False
    etag: str = ""
    modified: str = ""
    links: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    with_hidden: bool = False
    version: str = field(init=False)

    def __post_init__(self) -> None:
        """Find out the version."""
        shown = json.dumps([self.url, self.final, self.with_hidden, self.title, self.markdown])
        object.__setattr__(self, "version", hashlib.sha256(shown.encode("ascii")).hexdigest())

    @property
    def id(self) -> str:
        """How it is cited."""
        return cite(self.url)


def cite(url: str) -> str:
    """A short, stable name for a URL: ``c`` and eight letters or digits."""
    digest = hashlib.sha256(url.encode("utf-8", "surrogatepass")).digest()
    return "c" + base64.b32encode(digest[:5]).decode("ascii").lower()
