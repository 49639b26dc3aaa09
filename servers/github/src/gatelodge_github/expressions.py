"""Regular expressions that are searched for in linear time, whatever the expression and whatever the text.

Python's `re` can take years for a short expression, and nothing can stop it. This is a position automaton (Glushkov 1961)
whose subsets are made into states as they are met, and forgotten when they are too many. It says whether a line matches,
which is all that a search by line needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from gatelodge_core.errors import CallError

MAX_PATTERN = 200
"""Characters of the longest expression."""
_MAX_POSITIONS = 300
_MAX_WORK = 3000
_MAX_DEPTH = 30
_MAX_TRANSITIONS = 50_000
_MAX_CHARACTERS = 4096
# Lone surrogates, which no decoded text has, stand for the edges of lines and words.
_START, _END, _EDGE = "\udc01", "\udc02", "\udc03"
_MARKS = frozenset((_START, _END, _EDGE))
_WORD_EDGE = re.compile(r"\b")
_CLASS = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*+\]")
_COUNTED = re.compile(r"\{(\d{0,4})(?:(,)(\d{0,4}))?\}")
_ANCHORS = {"^": _START, "$": _END, "\\A": _START, "\\Z": _END, "\\z": _END, "\\b": _EDGE}


class _Node(NamedTuple):
    """A part of the expression: whether it matches nothing, and at which positions it begins and ends, as bits."""

    empty: bool
    first: int
    last: int


_NOTHING = _Node(empty=True, first=0, last=0)


class Expression:
    r"""An expression, prepared.

    It knows literals, `.`, classes, `\d \w \s \b`, groups, `|`, `* + ? {m,n}`, `^` and `$`. Back references and
    lookaround can't be searched for in linear time, and are refused.

    Args:
        source: The expression, at most 200 characters.
        ignore_case: Whether `a` matches `A`; also set by `(?i)` in front.
        check: Called whenever a state is met that takes work; what it raises ends a search.

    Raises:
        CallError: ``bad_pattern``, with what is wrong.
    """

    def __init__(self, source: str, *, ignore_case: bool = False, check: Callable[[], None] = lambda: None) -> None:
        if not source or len(source) > MAX_PATTERN:
            raise CallError(
                "bad_pattern", f"An expression has 1 to {MAX_PATTERN} characters.", "Search for less of it."
            )
        self._source = source.removeprefix("(?i)")
        self._flags = re.DOTALL | (re.IGNORECASE if ignore_case or source != self._source else 0)
        self._check = check
        self._at = 0
        self._work = 0
        self._depth = 0
        self._tests: list[re.Pattern[str]] = []
        self._marks: list[str] = []
        self._follow: list[int] = []
        self.literal = ""
        """A text that every match holds; empty if there is none."""
        self._tree = self._alternatives()
        if self._at < len(self._source):
            self._wrong("a closing parenthesis too many")
        self._edges = _EDGE in self._marks
        self._characters: dict[str, int] = {}
        self._rows: dict[int, _Row] = {}
        self._transitions = 0
        self._matched = _Row(self, -1)

    def search(self, line: str) -> bool:
        """Whether the expression matches anywhere in a line."""
        if self._tree.empty:
            return True
        # An empty line begins where it ends.
        text = _START + (line or _END + _START) + _END
        if self._edges:
            # Where a line and a word begin or end together, the expression may ask for them in either order.
            text = _WORD_EDGE.sub(_EDGE, text)
            text = text.replace(_START + _EDGE, _START + _EDGE + _START, 1).replace(_EDGE + _END, _END + _EDGE + _END)
        row = self._row(0)
        for char in text:
            row = row[char]
        return row is self._matched

    def _row(self, positions: int) -> _Row:
        row = self._rows.get(positions)
        if row is None:
            row = self._rows[positions] = _Row(self, positions)
        return row

    def step(self, positions: int, char: str) -> _Row:
        """The state after one more character; one that has matched stays so."""
        if positions < 0:
            if len(self._matched) >= _MAX_CHARACTERS:
                self._matched.clear()
            return self._matched
        self._check()
        matching = self._matching(char)
        reached = self._following(positions) & matching
        if char in _MARKS:
            # An edge is only looked at: what stood before it still does, and the same edge may be asked for again.
            before = positions
            while before | reached != before:
                before |= reached
                reached |= self._following(before) & matching
            reached |= before
        if reached & self._tree.last:
            return self._matched
        self._transitions += 1
        if self._transitions > _MAX_TRANSITIONS:
            for row in self._rows.values():
                row.clear()
            self._rows.clear()
            self._transitions = 0
        return self._row(reached)

    def _following(self, positions: int) -> int:
        """The positions that may come next; an expression may begin anywhere."""
        following = self._tree.first
        for position in _bits(positions):
            following |= self._follow[position]
        return following

    def _matching(self, char: str) -> int:
        """The positions that a character matches."""
        known = self._characters.get(char)
        if known is None:
            if len(self._characters) >= _MAX_CHARACTERS:
                self._characters.clear()
            known = 0
            for position, (mark, test) in enumerate(zip(self._marks, self._tests, strict=True)):
                if mark == char if mark or char in _MARKS else test.fullmatch(char):
                    known |= 1 << position
            self._characters[char] = known
        return known

    # Reading the expression

    def _wrong(self, what: str) -> NoReturn:
        raise CallError(
            "bad_pattern",
            f"The expression can't be used: {what}, at character {self._at + 1}.",
            "Simplify it, or search for it as plain text.",
        )

    def _alternatives(self) -> _Node:
        outermost = self._depth == 0
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._wrong("groups nested too deep")
        node = self._sequence(outermost)
        while self._source.startswith("|", self._at):
            self._at += 1
            self.literal = "" if outermost else self.literal
            other = self._sequence(outermost=False)
            node = _Node(node.empty or other.empty, node.first | other.first, node.last | other.last)
        self._depth -= 1
        return node

    def _sequence(self, outermost: bool) -> _Node:
        node = _NOTHING
        run = ""
        while self._at < len(self._source) and self._source[self._at] not in "|)":
            start = self._at
            node = self._joined(node, self._repeated())
            piece = self._source[start : self._at]
            plain = len(piece) == 1 and piece not in ".^$"
            run = run + piece if plain else ""
            if outermost and len(run) > len(self.literal):
                self.literal = run
        return node

    def _joined(self, left: _Node, right: _Node) -> _Node:
        for position in _bits(left.last):
            self._follow[position] |= right.first
        return _Node(
            left.empty and right.empty,
            left.first | right.first if left.empty else left.first,
            left.last | right.last if right.empty else right.last,
        )

    def _repeated(self) -> _Node:
        """An atom and how often it may come."""
        start = self._at
        node = self._atom()
        least, most = self._times()
        after = self._at
        if (least, most) == (1, 1):
            return node
        if most is None and least <= 1:
            return self._looped(node, empty=least == 0)
        result = _NOTHING
        for index in range(max(least, 1) if most is None else most):
            self._at = start
            part = self._atom()
            if most is None and index == least - 1:
                part = self._looped(part, empty=False)
            result = self._joined(result, part if index < least else part._replace(empty=True))
        self._at = after
        return result

    def _looped(self, node: _Node, *, empty: bool) -> _Node:
        for position in _bits(node.last):
            self._follow[position] |= node.first
        return node._replace(empty=node.empty or empty)

    def _times(self) -> tuple[int, int | None]:
        sign = self._source[self._at : self._at + 1]
        if sign and sign in "*+?":
            self._at += 1
            times = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        elif (counted := _COUNTED.match(self._source, self._at)) and (counted[1] or counted[3]):
            self._at = counted.end()
            least = int(counted[1] or 0)
            times = (least, least if not counted[2] else int(counted[3]) if counted[3] else None)
            if times[1] is not None and times[1] < least:
                self._wrong("a repetition that ends before it begins")
        else:
            return 1, 1
        # Whether a repetition takes little or much makes no difference to whether a line matches.
        self._at += self._source.startswith("?", self._at)
        if self._source.startswith(("*", "+", "?"), self._at):
            self._wrong("a repetition of a repetition")
        return times

    def _atom(self) -> _Node:
        self._work += 1
        if self._work > _MAX_WORK:
            self._wrong("too many repetitions")
        char = self._source[self._at]
        if char == "(":
            return self._group()
        if char in "*+?":
            self._wrong("nothing to repeat")
        if char == "\\":
            return self._escape()
        if char == "[":
            found = _CLASS.match(self._source, self._at)
            if not found:
                self._wrong("a class without its closing bracket")
            self._at = found.end()
            return self._position(found[0])
        self._at += 1
        return self._position(
            "" if char in _ANCHORS else char if char == "." else re.escape(char), _ANCHORS.get(char, "")
        )

    def _group(self) -> _Node:
        self._at += 1
        if self._source.startswith("?:", self._at):
            self._at += 2
        elif self._source.startswith("?", self._at):
            self._wrong("lookaround, flags and named groups aren't known here")
        node = self._alternatives()
        if not self._source.startswith(")", self._at):
            self._wrong("a group without its closing parenthesis")
        self._at += 1
        return node

    def _escape(self) -> _Node:
        escape = self._source[self._at : self._at + 2]
        known = (
            escape[1:] in tuple("dwsDWStnrfv") or escape in _ANCHORS or (len(escape) == 2 and not escape[1].isalnum())
        )
        if not known:
            self._wrong(f"{escape} isn't known here")
        self._at += 2
        return self._position("" if escape in _ANCHORS else escape, _ANCHORS.get(escape, ""))

    def _position(self, test: str, mark: str = "") -> _Node:
        """One more position, which matches a character, or an edge."""
        if len(self._tests) >= _MAX_POSITIONS:
            self._wrong("too long once its repetitions are written out")
        try:
            self._tests.append(re.compile(test, self._flags))
        except re.error as error:
            self._wrong(str(error))
        self._marks.append(mark)
        self._follow.append(0)
        bit = 1 << (len(self._tests) - 1)
        return _Node(empty=False, first=bit, last=bit)


class _Row(dict[str, "_Row"]):
    """A state, and the states that characters lead to from it as far as they have been met."""

    __slots__ = ("_expression", "_positions")

    def __init__(self, expression: Expression, positions: int) -> None:
        super().__init__()
        self._expression = expression
        self._positions = positions

    def __missing__(self, char: str) -> _Row:
        following = self[char] = self._expression.step(self._positions, char)
        return following


def _bits(mask: int) -> list[int]:
    return [index for index in range(mask.bit_length()) if mask >> index & 1]
