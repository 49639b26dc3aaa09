"""Ignore files: git's own answer for every line, however odd, and no line that stops a tool or takes long."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem.find import Query, find
from gatelodge_filesystem.ignore import Rules, rules_of
from gatelodge_filesystem.listing import list_folder
from gatelodge_filesystem.search import Request, search
from gatelodge_filesystem.walk import Budget, rules_above
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ODD = (
    b"!", b"\\", b"a\\", b"[z-a]", b"[a-\\]", b"[", b"a[", b"[]", b"[!]", b"[]a]", b"[!]a]", b"[^a]", b"[a\\]]", b"[\\]-a]",
    b"[[:alpha:]]", b"[[:nope:]]", b"[[:alpha]", b"[[:alpha:", b"[[:]", b"[a-c-e]", b"[--0]", b"[a/b]", b"a[/]b", b"[!b]",
    b"/", b"//", b"//a", b"a//b", b"!/", b"**", b"**/", b"/**", b"***", b"a/**", b"a/**/", b"**/b", b"***/b", b"a/**/b",
    b"a/***/b", b"a**/b", b"a**b", b"/a**", b"a?**/b", b"a/**b", b"a/b**", b"**a/b", b"a/**\\/b", b"\\a", b"\\#a", b"#a",
    b"\\!a", b"!a", b"a ", b"a\\ ", b"a\\\\ ", b"a  \\  ", b"a\t", b" a", b"\\*", b"*\\a", b"a\\/b", b"a\\/", b"?", b"??",
    b"*", b"*/", b"/*", b"/*/", b"*/b", b"a/*", b"*a*", b"*b", b"a*", b"\xc3\xa4", b"?\xa4", b"[\xc3\xa4]b", b"a\0b", b"\x0ca",
    b"a\x0c", b"a\x85b", b"a\rb", b"a\r", b"b/", b"/b/", b"a/b/", b"**/a/**/b/**", b"**/**/b", b"a/b/c/d", b"/**/c", b"-", b".*",
    b"\xef\xbb\xbfa", b"^", b"{a,b}", b"a.b", b"a|b", b"(a)", b"a$", b"[a-b]*[!b]",
)  # fmt: skip
"""Lines of ignore files; what they mean is git's to say."""

PATHS = (
    b"a/b/c/d", b"a/ab", b"a/x", b"b", b"ab", b"aab", b"a ", b"a  ", b"a\\", b" a", b"#a", b"!a", b"a\t", b"[", b"a[", b"]", b"\\", b"*", b"-", b"^", b".", b"a.b",
    b"\xc3\xa4", b"\xc3\xa4b", b"\xc3b", b"\x0ca", b"a\x0c", b"a\x85b", b"a\rb", b"a\r", b"z", b"x/a", b"x/b", b"x/ab", b"d/a/b", b"d/x/b", b"d/x/y/b",
    b"ax/b", b"abx/b", b"axb", b"{a,b}", b"a|b", b"(a)", b"a$", b"c/d/c", b"q/a/b/c/d", b".b", b"x/.c", b"0", b".0",
)  # fmt: skip


def _made(root: Path) -> list[bytes]:
    """Put the paths there; all that are in the tree, folders with a slash."""
    made: list[bytes] = []
    for path in PATHS:
        if path == b".":
            continue
        whole = os.fsencode(root) + b"/" + path
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        if not os.path.isdir(whole):
            with open(whole, "wb") as target:
                target.write(b"needle\n")
    for folder, folders, files in os.walk(os.fsencode(root)):
        folders[:] = [name for name in folders if name != b".git"]
        rel = os.path.relpath(folder, os.fsencode(root))
        at = b"" if rel == b"." else rel + b"/"
        made += [at + name for name in files] + [at + name + b"/" for name in folders]
    return [path for path in made if path != b".gitignore"]


def _rules(root: Path, content: bytes) -> Rules | None:
    (root / ".gitignore").write_bytes(content)
    opened = os.open(root, os.O_RDONLY)
    try:
        return rules_of(opened, {".gitignore"}, "", None)
    finally:
        os.close(opened)


def _ours(rules: Rules | None, paths: list[bytes]) -> set[bytes]:
    """What is left out, by itself or with a folder above it, as a walk would find it."""
    out: set[bytes] = set()
    for path in paths:
        parts = path.rstrip(b"/").split(b"/")
        above = [b"/".join(parts[:end]) + b"/" for end in range(1, len(parts))]
        if rules is not None and any(rules.ignored(os.fsdecode(item)) for item in [*above, path]):
            out.add(path)
    return out


def _gits(root: Path, paths: list[bytes]) -> set[bytes]:
    answer = subprocess.run(
        ["git", "-C", str(root), "-c", "core.excludesFile=", "check-ignore", "-z", "--stdin", "--no-index"],
        input=b"\0".join(path.rstrip(b"/") for path in paths),
        capture_output=True,
        check=False,
    )
    assert answer.returncode in (0, 1), answer.stderr
    named = set(answer.stdout.split(b"\0"))
    return {path for path in paths if path.rstrip(b"/") in named}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root, _made(root)


@pytest.mark.parametrize("line", ODD, ids=repr)
def test_an_odd_line_means_what_git_says(repository: tuple[Path, list[bytes]], line: bytes) -> None:
    root, paths = repository
    assert _ours(_rules(root, line + b"\n"), paths) == _gits(root, paths)
    content = b"*\n!*/\n!" + line + b"\n"
    assert _ours(_rules(root, content), paths) == _gits(root, paths)


_LINES = st.lists(
    st.one_of(
        st.sampled_from(ODD),
        st.lists(
            st.sampled_from((b"a", b"b", b"c", b"d", b"x", b"*", b"**", b"?", b"/", b"[ab]", b"[!a]", b"\\a", b" ")), max_size=7
        ).map(b"".join),
    ).flatmap(lambda line: st.sampled_from((line, b"!" + line))),
    min_size=1,
    max_size=5,
)  # fmt: skip


@given(_LINES)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_lines_together_mean_what_git_says(repository: tuple[Path, list[bytes]], lines: list[bytes]) -> None:
    root, paths = repository
    content = b"\n".join(lines)
    assert _ours(_rules(root, content), paths) == _gits(root, paths)


@pytest.mark.parametrize("line", ["!", "\\", "a\\", "[z-a]", "[a-\\]"])
def test_a_line_that_git_passes_over_stops_no_tool(tmp_path: Path, line: str) -> None:
    (tmp_path / ".gitignore").write_text(f"*.log\n{line}\n/out\n", encoding="utf-8")
    for name in ("kept.txt", "a.log", "out"):
        (tmp_path / name).write_text("needle\n", encoding="utf-8")
    opened = [os.open(tmp_path, os.O_RDONLY) for _ in range(3)]
    try:
        assert find(opened[0], Query(), Budget()).paths == ["kept.txt"]
        hits = search(opened[1], Request("needle"), Budget(), use_ripgrep=False)
        listed = list_folder(
            opened[2], depth=2, order="name", hidden=False, use_ignore=True, limit=10, room=10_000, cursor="", budget=Budget()
        )  # fmt: skip
    finally:
        for fd in opened:
            os.close(fd)
    assert [item.rel for item in hits.files] == ["kept.txt"]
    assert [item.rel for item in listed.items] == ["kept.txt"]


HOSTILE = (
    b"*a*a*a*a*ab", b"*a" * 60 + b"b", b"*" + b"?" * 120 + b"b", b"*[a]" * 60 + b"[b]", b"/x/**/*a*a*a*a*ab/**/b",
    b"**/*a*a/" * 20 + b"b", b"**/" * 40 + b"a/b", b"/**/a" * 30 + b"/b", b"a*?" * 60 + b"b",
)  # fmt: skip


@pytest.mark.parametrize("line", HOSTILE, ids=lambda line: repr(line[:20]))
@pytest.mark.parametrize("times", [1, 5000])
def test_no_rules_make_a_name_take_long(tmp_path: Path, line: bytes, times: int) -> None:
    content = b"\n".join(line.replace(b"b", b"b%d" % number) for number in range(times))[: 256 * 1024]
    rules = _rules(tmp_path, content)
    assert rules is not None
    name = "a" * 250
    begin = time.monotonic()
    assert not rules.ignored(name)
    assert not rules.ignored("/".join(["x", *[name] * 90]))
    assert not rules.ignored("/".join(["x", *["a"] * 99, ""]))
    assert time.monotonic() - begin < 20  # a pattern that backtracks takes years


def test_a_walk_with_costly_rules_ends_in_time(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes((b"*" + b"?" * 120 + b"b\n") * 2000)
    for number in range(500):
        (tmp_path / f"{'a' * 240}{number}").touch()
    opened = os.open(tmp_path, os.O_RDONLY)
    begin = time.monotonic()
    with pytest.raises(CallError, match="timeout"):
        find(opened, Query(), Budget(seconds=0.5))
    os.close(opened)
    assert time.monotonic() - begin < 20


def test_below_a_folder_that_is_left_out_everything_is(tmp_path: Path) -> None:
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("/out/\n!*.txt\n", encoding="utf-8")
    (tmp_path / "out" / "sub" / ".gitignore").write_text("!*\n", encoding="utf-8")
    (tmp_path / "out" / "sub" / "a.txt").touch()
    above = rules_above(lambda rel: os.open(tmp_path / rel, os.O_RDONLY), "out/sub")
    opened = os.open(tmp_path / "out" / "sub", os.O_RDONLY)
    assert find(opened, Query(), Budget(), prefix="out/sub/", above=above).paths == []
    os.close(opened)
