"""Documentation pages of Debian packages, with the element that their generator puts the content in."""

from __future__ import annotations

import glob
import random
from dataclasses import dataclass
from pathlib import Path

SMALLEST, LARGEST = 6_000, 400_000
_STUB = 80
"""Words; a page with fewer is a redirect or a list of links."""


@dataclass(frozen=True)
class Source:
    """One package.

    Args:
        package: Its name, to be installed with apt-get.
        files: Its pages, below /usr/share/doc.
        main: XPath of the main element.
    """

    package: str
    files: str
    main: str


_SPHINX = "//div[@role='main']"
SOURCES = (
    Source("python3.11-doc", "python3.11/html/**/*.html", _SPHINX),
    Source("cmake-doc", "cmake-data/html/**/*.html", _SPHINX),
    Source("debian-policy", "debian-policy/policy.html/*.html", _SPHINX),
    Source("python-django-doc", "python-django-doc/html/**/*.html", "//div[@id='yui-main']//div[@class='yui-g']"),
    Source(
        "postgresql-doc-15",
        "postgresql-doc-15/html/*.html",
        "//body/div[not(contains(@class,'nav'))][@class='sect1' or @class='chapter' or @class='refentry' "
        "or @class='appendix' or @class='preface' or @class='part' or @class='sect2']",
    ),
    Source(
        "debian-reference-en",
        "debian-reference-common/docs/*.en.html",
        "//body/div[@class='chapter' or @class='preface' or @class='appendix']",
    ),
    Source(
        "debian-handbook",
        "debian-handbook/html/en-US/*.html",
        "//body/div[@class='section' or @class='chapter' or @class='preface' or @class='appendix']",
    ),
    Source("git-doc", "git/html/*.html", "//div[@id='content']"),
    Source("nodejs-doc", "nodejs/api/*.html", "//div[@id='apicontent']"),
    Source("sqlite3-doc", "sqlite3/*.html", "//body/div[@class='fancy']"),
    Source("rust-doc", "rust-doc/html/book/*.html", "//main"),
)


@dataclass(frozen=True)
class Document:
    """A page of a source."""

    source: Source
    path: Path
    page: str


def documents(source: Source, count: int, seed: int) -> list[Document]:
    """Some pages of a package, the same each time; none if it isn't installed.

    Args:
        source: The package.
        count: The most pages.
        seed: Which ones.
    """
    paths = sorted(glob.glob(f"/usr/share/doc/{source.files}", recursive=True))
    random.Random(seed).shuffle(paths)
    found: list[Document] = []
    for path in map(Path, paths):
        if len(found) >= count:
            break
        if path.name.startswith(("genindex", "search", "print", "all.")) or "/_" in str(path):
            continue
        if not SMALLEST <= path.stat().st_size <= LARGEST:
            continue
        found.append(Document(source, path, path.read_text(encoding="utf-8", errors="replace")))
    return found


def is_stub(words: int) -> bool:
    """Whether a page's main element holds too little to tell extractors apart by."""
    return words < _STUB
