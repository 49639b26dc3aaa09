"""The files that are measured on; the same bytes in each run."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

NEEDLE = "quetzalcoatlus"
NEEDLE_EXPRESSION = "quetzal[a-z]+us"
NEEDLE_EVERY = 997
"""One source file in this many holds the needle, once."""
LINE = "the quick brown fox jumps over the lazy dog, line {:08d}\n"

_WORDS = [
    "alpha",
    "return",
    "value",
    "index",
    "import",
    "result",
    "while",
    "buffer",
    "parse",
    "render",
    "token",
    "queue",
]
_PER_FOLDER = 50


@dataclass(frozen=True)
class Trees:
    """What `make` made.

    Args:
        root: The folder that the servers serve; real path.
        small: A file of 1 KiB.
        medium: A file of 1 MiB.
        large: A file of `large_size` bytes.
        flat: A folder of `flat_count` files.
        project: A folder of `project_count` files, half of them below an ignored ``node_modules``.
        python_files: How many ``*.py`` are in `project`, none of them ignored.
        needles: How many of them hold `NEEDLE`.
    """

    root: Path
    small: Path
    medium: Path
    large: Path
    large_size: int
    flat: Path
    flat_count: int
    project: Path
    project_count: int
    python_files: int
    needles: int


def make(root: Path, *, flat_count: int, project_count: int, large_size: int) -> Trees:
    """Make the files below `root`, which exists; about 30 s for 60,000."""
    root = root.resolve()
    small, medium, large = root / "small.txt", root / "medium.txt", root / "large.txt"
    _lines(small, 1024)
    _lines(medium, 1024 * 1024)
    _lines(large, large_size)
    flat = root / "flat"
    flat.mkdir()
    for number in range(flat_count):
        (flat / f"entry-{number:05d}.txt").write_bytes(b"x" * (number % 97))
    project = root / "project"
    project.mkdir()
    python_files, needles = _project(project, project_count)
    return Trees(
        root, small, medium, large, large_size, flat, flat_count, project, project_count, python_files, needles
    )


def _lines(path: Path, size: int) -> None:
    count = size // len(LINE.format(0)) + 1
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.writelines(LINE.format(number) for number in range(count))
        file.truncate(size)


def _project(project: Path, count: int) -> tuple[int, int]:
    """A tree as of a web project with Python and TypeScript: folders of fifty files, about 600 bytes each."""
    (project / ".gitignore").write_text("node_modules/\n", encoding="ascii")
    # ripgrep and git heed a .gitignore only inside a repository.
    (project / ".git").mkdir()
    chance = random.Random(20260728)
    half = (count - 1) // 2
    python_files = needles = 0
    for number in range(count - 1):
        ignored = number < half
        folder = project / ("node_modules" if ignored else "src") / f"p{number // (_PER_FOLDER * 20):03d}"
        folder /= f"m{number // _PER_FOLDER:04d}"
        if number % _PER_FOLDER == 0 or number == half:
            folder.mkdir(parents=True, exist_ok=True)
        python = not ignored and number % 5 == 0
        suffix = "js" if ignored else "py" if python else "ts"
        words = [chance.choice(_WORDS) for _ in range(90)]
        if not ignored and number % NEEDLE_EVERY == 0:
            words[45] = NEEDLE
            needles += 1
        python_files += python
        lines = (" ".join(words[start : start + 6]) for start in range(0, len(words), 6))
        (folder / f"f{number:05d}.{suffix}").write_text("\n".join(lines) + "\n", encoding="ascii")
    return python_files, needles


def walk(top: str) -> int:
    """How many files are below `top`, by bare `os.scandir`: what no Python program can undercut."""
    count = 0
    waiting = [top]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    count += 1
    return count


def sizes(top: str) -> int:
    """The sum of the sizes of the files directly in `top`."""
    with os.scandir(top) as entries:
        return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
