"""Expressions match what Python's own do, and no expression and no text makes them slow."""

from __future__ import annotations

import re

import pytest
from gatelodge_core.errors import CallError
from gatelodge_github.expressions import MAX_PATTERN, Expression
from hypothesis import example, given, settings
from hypothesis import strategies as st

ATOMS = st.sampled_from(["a", "b", "1", "_", " ", ".", r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", "[ab]", "[^a]", "[a-b1]", r"[\d_]", "[]a]", r"\.", r"\b", "^", "$", r"\[", "é", "-"])  # fmt: skip
TIMES = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,3}", "{2,}", "*?", "+?", "{,2}"])


def once(pair: tuple[str, str]) -> str:
    # Python repeats no edges either.
    return pair[0] if pair[0] in ("^", "$", r"\b") else "".join(pair)


SOURCES = st.recursive(
    st.tuples(ATOMS, TIMES).map(once),
    lambda parts: (
        st.lists(parts, min_size=1, max_size=4).map("".join)
        | st.lists(parts, min_size=1, max_size=3).map(lambda some: f"(?:{'|'.join(some)})")
        | st.tuples(st.lists(parts, min_size=1, max_size=2).map(lambda some: f"({'|'.join(some)})"), TIMES).map("".join)
    ),
    max_leaves=8,
).filter(lambda source: len(source) <= MAX_PATTERN)


@settings(max_examples=400, deadline=None)
@given(SOURCES, st.lists(st.text(alphabet="aAb1_ .-é\t[", max_size=12), min_size=1, max_size=6), st.booleans())
@example(r"$\b", ["a", ""], False)
@example(r"\b\b^a", ["a", " a"], False)
@example("$^", ["", "a"], False)
@example("(a|ab)(c|bcd)(d*)", ["abcd"], False)
def test_a_line_matches_if_it_does_for_python(source: str, lines: list[str], ignore_case: bool) -> None:
    expected = re.compile(source, re.IGNORECASE if ignore_case else 0)
    expression = Expression(source, ignore_case=ignore_case)
    for line in lines:
        assert expression.search(line) == (expected.search(line) is not None), line
        if expected.search(line) and not ignore_case:
            assert expression.literal in line


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (r"\w+Error: .*\d+ failed", "x TypeError: of 7, 3 failed"),
        (r"^FAILED tests/.*::test_\w+", "FAILED tests/a.py::test_b"),
        (r"exit code [1-9]\d*$", "Process completed with exit code 12"),
        (r"(?i)traceback|panicked at", "TRACEBACK (most recent call last)"),
        (r"error\[E\d{4}\]", "error[E0382]: borrow of moved value"),
        (r"a{2,3}", "xaax"),
        (r"a{,2}b{x}", "b{x}"),
        ("日本.?語", "x日本 語"),
    ],
)
def test_usual_expressions_match(source: str, line: str) -> None:
    expression = Expression(source)
    assert expression.search(line)
    assert not expression.search("something else")


@pytest.mark.parametrize(
    ("source", "literal"),
    [("error", "error"), ("error: .*x", "error: "), ("a|error", ""), ("(error)x", "x"), ("erro?r", "err"), ("errors*", "error"), ("a.bc$", "bc"), ("", "")],
)  # fmt: skip
def test_what_every_match_holds_is_known(source: str, literal: str) -> None:
    if source:
        assert Expression(source).literal == literal


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("", "1 to 200"),
        ("a" * (MAX_PATTERN + 1), "1 to 200"),
        ("(a", "without its closing parenthesis, at character 3"),
        ("a)", "too many"),
        ("[a", "closing bracket"),
        ("[b-a]", "bad character range"),
        ("*a", "nothing to repeat"),
        ("a|+", "nothing to repeat"),
        ("a**", "repetition of a repetition"),
        ("a++", "repetition of a repetition"),
        ("a{3,2}", "ends before it begins"),
        (r"(a)\1", r"\\1 isn't known"),
        (r"a\B", r"\\B isn't known"),
        ("\\", "isn't known"),
        ("(?=a)", "lookaround"),
        ("(?<!a)b", "lookaround"),
        ("(?P<n>a)", "named groups"),
        ("a{301}", "too long"),
        ("((a{99}){99}){99}", "too long"),
        ("(((){99}){99}){99}", "too many repetitions"),
        ("(" * 100 + ")" * 100, "too deep"),
    ],
)
def test_what_cannot_be_searched_for_safely_is_refused(source: str, what: str) -> None:
    with pytest.raises(CallError, match=what) as caught:
        Expression(source)
    assert caught.value.code == "bad_pattern"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("(a+)+$", "a" * 2000 + "!"),
        ("(a|aa)+$", "a" * 2000 + "!"),
        ("(a*)*b", "a" * 2000),
        ("(.*)(.*)(.*)(.*)(.*)(.*)x", "a" * 2000),
        ("a.*b.*c.*d.*e.*f.*!", "abcdef" * 333),
        ("(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)b", "a" * 2000),
        ("(a|b)*a(a|b){99}c", "abbabaabbbaababb" * 125),
        ("[^x]*[^y]*[^z]*[^w]*!$", "".join(map(chr, range(0x4E00, 0x55D0)))),
        (r"(\w+\s?)+:$", "word " * 400),
        ("(x+x+)+y", "x" * 2000),
    ],
)  # fmt: skip
def test_no_expression_is_slow(source: str, line: str) -> None:
    # In Python's own, each would take longer than the time limit of the test run, many longer than anyone lives.
    expression = Expression(source)
    for _ in range(20):
        assert not expression.search(line)


def test_characters_behind_a_match_take_no_memory() -> None:
    expression = Expression("a")
    for start in range(0x10000, 0x1F000, 2000):
        assert expression.search("a" + "".join(map(chr, range(start, start + 2000))))
    assert len(expression._matched) <= 4096  # pyright: ignore[reportPrivateUsage] - the bound is the point


def test_states_are_forgotten_when_there_are_too_many() -> None:
    expression = Expression("(a|b)*a(a|b){40}c")
    for index in range(300):
        line = f"{index:b}".translate({48: "a", 49: "b"}).rjust(60, "a") * 4
        assert not expression.search(line)
        assert expression.search(line + "c")
    assert expression._transitions <= 50_000  # pyright: ignore[reportPrivateUsage] - the bound is the point
