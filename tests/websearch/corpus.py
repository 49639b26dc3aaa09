"""Trafilatura's own evaluation corpus, where a checkout of its `tests` folder is given.

Each page has pieces of text that must be in what was extracted (`with`) and others that must not (`without`). They are
in `evaldata.json`, or, in older checkouts, in the dictionary EVAL_PAGES of `evaldata.py`; the pages are in the folders
`cache` and `eval`. Counting is as its own evaluation counts: pieces compared with all space runs made one.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from gatelodge_websearch.charset import decode

GAP = 0.015
"""How far below trafilatura's best F1 ours may be."""


class CorpusError(Exception):
    """The folder holds no corpus."""


@dataclass(frozen=True)
class Case:
    """One page.

    Args:
        page: Its HTML.
        wanted: Pieces that must be found.
        unwanted: Pieces that must not.
    """

    page: str
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]


@dataclass
class Counts:
    """Of an extractor: pieces found that must be, found that must not, and not found that must be."""

    right: int = 0
    wrong: int = 0
    lost: int = 0

    def add(self, case: Case, made: str) -> None:
        """Count a page."""
        text = _plain(made)
        right = sum(_plain(piece) in text for piece in case.wanted)
        self.right += right
        self.lost += len(case.wanted) - right
        self.wrong += sum(_plain(piece) in text for piece in case.unwanted)

    @property
    def f1(self) -> float:
        """From precision and recall."""
        total = 2 * self.right + self.wrong + self.lost
        return 2 * self.right / total if total else 0.0


def cases(folder: Path) -> Iterator[Case]:
    """The pages of a corpus; those whose file is missing are left out.

    Raises:
        CorpusError: There is none in the folder.
    """
    if (folder / "tests").is_dir():
        folder = folder / "tests"
    for item in _annotations(folder).values():
        name = str(item.get("file", ""))
        path = next((one for part in ("cache", "eval") if (one := folder / part / name).is_file()), None)
        if name and "/" not in name and path is not None:
            text, _ = decode(path.read_bytes(), "text/html")
            yield Case(text, tuple(item.get("with", ())), tuple(item.get("without", ())))


def _annotations(folder: Path) -> dict[str, dict[str, Any]]:
    if (folder / "evaldata.json").is_file():
        return json.loads((folder / "evaldata.json").read_text(encoding="utf-8"))
    if (folder / "evaldata.py").is_file():
        # Read as a literal, never run: it is somebody's file.
        for node in ast.parse((folder / "evaldata.py").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and any(getattr(one, "id", "") == "EVAL_PAGES" for one in node.targets):
                return cast("dict[str, dict[str, Any]]", ast.literal_eval(node.value))
    raise CorpusError(f"{folder} has neither evaldata.json nor evaldata.py with EVAL_PAGES")


def counted(
    folder: Path, here: Mapping[str, Callable[[str], str]], peers: Callable[[str], dict[str, tuple[str, float]]]
) -> tuple[dict[str, Counts], int]:
    """Run each extractor on each page: its counts, and how many pages there were."""
    counts: dict[str, Counts] = {}
    pages = 0
    for case in cases(folder):
        pages += 1
        made = {name: extractor(case.page) for name, extractor in here.items()}
        made |= {name: text for name, (text, _) in peers(case.page).items()}
        for name, text in made.items():
            counts.setdefault(name, Counts()).add(case, text)
    return counts, pages


_MARKS = re.compile(r"\]\([^)\s]*\)|[*`_\[\]\\#|]|^\s*(?:[-+]|\d+\.)\s", re.MULTILINE)


def _plain(text: str) -> str:
    """Text without the marks of Markdown and without space, so that writing a link or a list costs nobody."""
    return re.sub(r"\s+", "", _MARKS.sub("", text))
