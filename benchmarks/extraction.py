"""How much of documentation pages reaches a model: ours beside trafilatura, readability-lxml and mcp-server-fetch.

python -m benchmarks.extraction [--pages N] [--seed N] [--missing] [--corpus PATH]

The pages are those that Debian's documentation packages install; packages that aren't there are named and skipped. The
gold of a page is the element that its generator puts the content in. With --corpus, a checkout of trafilatura's
`tests` folder (evaldata.json, or evaldata.py, and the pages) is scored too.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import trafilatura
from gatelodge_websearch.html.extract import extract

from benchmarks._extraction_pages import SOURCES, Document, documents, is_stub
from benchmarks._peers import FETCH, READABILITY, Missing, environment, install
from tests.websearch import corpus
from tests.websearch.quality import Gold, Score, gold_of, mean, missing, score, share

OURS = "gatelodge-websearch"
TARGETS = {"code": 0.99, "cells": 0.99, "heads": 0.95}
Extractor = Callable[[str], str]
_HINTS = re.compile(r"<meta[^>]*generator[^>]*>|_static/|mdbook|ayu-highlight", re.IGNORECASE)


def ours(page: str) -> str:
    return extract(page, "https://docs.example.com/").markdown


def unnamed(page: str) -> str:
    """Ours, where the page doesn't say which generator made it: what remains is guessed."""
    return ours(_HINTS.sub("", page))


def as_markdown(page: str) -> str:
    return trafilatura.extract(page, output_format="markdown", include_comments=False) or ""


def as_text(page: str) -> str:
    return trafilatura.extract(page, include_comments=False) or ""


HERE: dict[str, Extractor] = {
    OURS: ours,
    "ours, generator's name taken out": unnamed,
    "trafilatura, Markdown": as_markdown,
    "trafilatura, text": as_text,
}


class Peers:
    """The peers of another environment, run in one process; none if they can't be installed."""

    def __init__(self, folder: Path) -> None:
        self._process: subprocess.Popen[str] | None = None
        try:
            python = install(folder / "peers", FETCH, *READABILITY) / "python"
        except Missing as error:
            print(f"Left out, readability-lxml and mcp-server-fetch: {error}", file=sys.stderr)
            return
        self._process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name("_extraction_peer.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(folder),
        )

    def make(self, page: str) -> dict[str, tuple[str, float]]:
        """What they make of a page, and in how many CPU seconds."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            return {}
        self._process.stdin.write(json.dumps(page) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the peers' process ended")
        return {name: (made, seconds) for name, (made, seconds) in json.loads(line).items()}

    def close(self) -> None:
        """End their process."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(timeout=60)


def every(page: str, peers: Peers) -> dict[str, tuple[str, float]]:
    """What each contender makes of a page, and in how many CPU seconds."""
    made: dict[str, tuple[str, float]] = {}
    for name, extractor in HERE.items():
        begun = time.process_time()
        text = extractor(page)
        made[name] = (text, time.process_time() - begun)
    return made | peers.make(page)


def measured(found: Sequence[tuple[Document, Gold]], peers: Peers, *, tell: bool) -> None:
    """Score each contender on each page, and print the tables."""
    scores: dict[str, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    seconds: dict[str, float] = defaultdict(float)
    for document, gold in found:
        for name, (made, took) in every(document.page, peers).items():
            scores[name][document.source.package].append(score(gold, made))
            seconds[name] += took
            if tell and name == OURS:
                for line in missing(gold, made):
                    print(f"{document.path}: {line[:300]!r}")
    print(f"\n{'':<34}{'F1':>7}{'code':>8}{'heads':>8}{'cells':>8}{'CPU ms':>9}")
    for name, by_source in scores.items():
        total = mean([one for part in by_source.values() for one in part])
        print(f"{name:<34}{_figures(total)}{1000 * seconds[name] / len(found):>9.1f}")
    print(f"\n{OURS}, by package")
    for package, part in scores[OURS].items():
        total = mean(part)
        of = f"{len(part)} pages, {total.code[1]} blocks, {total.headings[1]} headings, {total.cells[1]} cells"
        print(f"{package:<34}{_figures(total)}  {of}")
    print("\ntext F1, by package")
    names = list(scores)
    print(f"{'':<24}" + "".join(f"{name[:22]:>24}" for name in names))
    for package in scores[OURS]:
        print(f"{package:<24}" + "".join(f"{mean(scores[name][package]).f1:>24.3f}" for name in names))
    total = mean([one for part in scores[OURS].values() for one in part])
    reached = {"code": share(total.code), "cells": share(total.cells), "heads": share(total.headings)}
    for name, target in TARGETS.items():
        print(f"target, {name} at least {target}: {'held' if reached[name] >= target else 'MISSED'}")


def _figures(total: Score) -> str:
    return f"{total.f1:>7.3f}{share(total.code):>8.4f}{share(total.headings):>8.4f}{share(total.cells):>8.4f}"


def on_corpus(folder: Path, peers: Callable[[str], dict[str, tuple[str, float]]]) -> None:
    """Print a table of trafilatura's own corpus, and whether ours is near enough to trafilatura's best."""
    counts, pages = corpus.counted(folder, HERE, peers)
    print(f"\ntrafilatura's evaluation corpus, {pages} pages")
    for name, one in counts.items():
        print(f"{name:<34}{one.f1:>7.3f}  right {one.right}, wrong {one.wrong}, lost {one.lost}")
    best = max((one.f1 for name, one in counts.items() if name.startswith("trafilatura")), default=0.0)
    own = next(iter(counts.values()), corpus.Counts()).f1
    verdict = "held" if own >= best - corpus.GAP else "MISSED"
    print(f"target, at most {corpus.GAP} below trafilatura's best: {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Extraction beside other extractors.")
    parser.add_argument("--pages", type=int, default=25, help="The most pages of a package.")
    parser.add_argument("--seed", type=int, default=7, help="Which pages.")
    parser.add_argument("--missing", action="store_true", help="Name what ours lacks.")
    parser.add_argument("--only", default="", help="Only this package.")
    parser.add_argument("--no-peers", action="store_true", help="Without the peers from the package index.")
    parser.add_argument("--corpus", type=Path, help="A checkout of trafilatura's tests folder.")
    given = parser.parse_args()
    found: list[tuple[Document, Gold]] = []
    for source in SOURCES:
        if given.only not in ("", source.package):
            continue
        part = [(one, gold) for one in documents(source, given.pages, given.seed) if (gold := gold_of(one.page, source.main))]  # fmt: skip
        if not part:
            print(f"Left out: no pages of {source.package} (apt-get install {source.package})", file=sys.stderr)
        found += [(one, gold) for one, gold in part if not is_stub(gold.words.total())]
    with tempfile.TemporaryDirectory() as folder:
        peers = Peers(Path(folder)) if not given.no_peers else None
        nobody = peers or _Nobody()
        if found:
            measured(found, nobody, tell=given.missing)
        if given.corpus:
            on_corpus(given.corpus, nobody.make)
        nobody.close()


class _Nobody(Peers):
    def __init__(self) -> None:
        self._process = None


if __name__ == "__main__":
    main()
