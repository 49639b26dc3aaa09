"""Redaction: the one place that everything passes before it leaves, be it a result, an error, a log line or a preview.

Three tiers find what must not go: the secrets that the process holds, by value and in the encodings that text gets on
its way; the shapes of well-known tokens (`shapes`); and, only if asked for, personal data (`pii`). What they find is
masked as `[redacted: github token]`, where found parts overlap as one, and counted by kind.

A secret interrupted by invisible characters or ANSI sequences is found too, before hygiene made them visible or after,
so the order of the two doesn't matter. Not found are secrets in other encodings than the named ones (compressed, or in
base64 with line breaks within), and shapes inside base64: decode before you redact.
"""

from __future__ import annotations

import bisect
import itertools
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from gatelodge_core.errors import CallError
from gatelodge_core.guard import shapes
from gatelodge_core.guard.hygiene import GAP, hides_something
from gatelodge_core.guard.shapes import Span
from gatelodge_core.guard.spans import NOTHING, Findings, cut, masked, merged, occurrences
from gatelodge_core.guard.spellings import MIN_HELD, forms, url_encoded

PiiMode = Literal["off", "mask", "block"]
MAX_DEPTH = 128
"""Levels of a tree that are walked; the wire refuses bodies deeper than 64."""
_TOO_DEEP = "nested too deep"


class Blocked(CallError):
    """The text holds personal data, and the server is set to refuse it.

    Args:
        kinds: What was found; never the data.
    """

    def __init__(self, kinds: Iterable[str]) -> None:
        self.kinds = tuple(sorted(set(kinds)))
        super().__init__(
            "blocked",
            f"The answer holds personal data ({', '.join(self.kinds)}), which this server doesn't give out.",
            "Ask for less, such as other columns or a part without it.",
        )


class Redactor:
    """Finds and masks secrets in text and in JSON values.

    Args:
        held: Name and value of each secret that the process holds. White space around a value is ignored.
        pii: What to do about personal data: nothing, mask it, or refuse the whole.
        shapes: Whether to look for the shapes of tokens as well.
    """

    def __init__(self, held: Iterable[tuple[str, str]] = (), pii: PiiMode = "off", shapes: bool = True) -> None:
        self._pii: PiiMode = pii
        self._shapes = shapes
        self._held = list(held)
        self._learned: dict[str, tuple[str, ...]] = {}
        self._learning = threading.Lock()
        self.too_short: tuple[str, ...] = ()
        """Names of held secrets that are too short to be looked for; empty ones are among them."""
        self._prepare()

    def learn(self, name: str, value: str) -> bool:
        """Look from now on for a secret that the process came to hold while it runs, such as a new token.

        Args:
            name: What it is. Of one name the last two values are looked for.
            value: The secret. White space around it is ignored.

        Returns:
            Whether it wasn't looked for before.
        """
        with self._learning:
            known = self._learned.get(name, ())
            if (name, value) in self._held or value in known:
                return False
            self._learned[name] = (*known[-1:], value)
            self._prepare()
            return True

    def _prepare(self) -> None:
        """What is looked for, from what is held. Each attribute is replaced as a whole: other threads are reading."""
        literals: dict[str, str] = {}
        patterns: list[tuple[re.Pattern[str], str]] = []
        short: list[str] = []
        for name, value in [*self._held, *((name, one) for name, many in self._learned.items() for one in many)]:
            secret = value.strip()
            if len(secret) < MIN_HELD:
                short.append(name)
                continue
            kind = f"held secret {name}"
            for form in forms(secret):
                literals.setdefault(form, kind)
            if re.search(r"[^A-Za-z0-9]", secret):
                patterns.append((url_encoded(secret), kind))
        self._literals = tuple(literals.items())
        self._patterns = tuple(patterns)
        self._numbers = frozenset(form for form in literals if form.isdigit())
        self.too_short = tuple(short)

    def quiet(self, form: str) -> bool:
        """A quick look at a value in the form of compact JSON: True if `value` would find nothing in it.

        Args:
            form: The JSON text. Literals that are looked for survive in it: they are there in their escaped form too.
        """
        return not (
            self._pii != "off"
            or "\u27e6" in form
            or hides_something(form)
            or (self._patterns and ("%" in form or "+" in form))
            or any(literal in form for literal, _ in self._literals)
            or (self._shapes and shapes.may_have(form))
        )

    def text(self, value: str) -> tuple[str, Findings]:
        """Mask a text.

        Args:
            value: The text.

        Returns:
            The text, the same object if nothing was found, and what was found.

        Raises:
            Blocked: It holds personal data, and the mode is "block".
        """
        spans = self._spans(value)
        return masked(value, spans) if spans else (value, NOTHING)

    def value(self, tree: Any) -> tuple[Any, Findings]:
        """Mask every text in a JSON value, keys too.

        All texts are searched as one, so a key says what its value is, and a private key that comes as a list of
        lines is found. Two keys that look the same once masked get numbers.

        Args:
            tree: Objects, lists, texts, numbers, true, false and null. Tuples count as lists.

        Returns:
            The value, the same object if nothing was found, and what was found. What is nested deeper than
            `MAX_DEPTH` levels is replaced by a mark.

        Raises:
            Blocked: It holds personal data, and the mode is "block".
        """
        if isinstance(tree, str):
            return self.text(tree)
        parts: list[str] = []
        deep = self._gather(tree, parts, 0, "\n")
        joined = "".join(parts)
        spans = self._spans(joined)
        if not spans and not deep:
            return tree, NOTHING
        texts, found = cut(parts, spans)
        result = self._rebuilt(tree, iter(texts), 0)
        return result, Findings({**found, _TOO_DEEP: deep}) if deep else found

    def _gather(self, tree: Any, parts: list[str], depth: int, after: str) -> int:
        """Append each text and what separates it from the next, in the order of `_rebuilt`; how many are too deep."""
        if isinstance(tree, str):
            parts += (tree, after)
            return 0
        if isinstance(tree, dict):
            if depth >= MAX_DEPTH:
                return 1
            deep = 0
            for key, item in tree.items():  # pyright: ignore[reportUnknownVariableType] - any JSON
                plain = isinstance(item, (str, int, float))
                parts += (str(key), ": " if plain else "\n")  # pyright: ignore[reportUnknownArgumentType] - JSON of any shape
                deep += self._gather(item, parts, depth + 1, "\n")
            return deep
        if isinstance(tree, (list, tuple)):
            if depth >= MAX_DEPTH:
                return 1
            return sum(self._gather(item, parts, depth + 1, "\n") for item in tree)  # pyright: ignore[reportUnknownVariableType] - JSON of any shape
        if self._wants(tree):
            parts += (str(tree), after)
        return 0

    def _wants(self, item: object) -> bool:
        """Whether a number is to be searched: it may be a held secret or a card number."""
        if not isinstance(item, (int, float)) or isinstance(item, bool):
            return False
        return (self._pii != "off" and item > 9999999) or (bool(self._numbers) and str(item) in self._numbers)

    def _rebuilt(self, tree: Any, texts: Iterator[str], depth: int) -> Any:
        """The tree with its texts in their order; parts in which nothing changed are the same objects."""
        if isinstance(tree, str):
            return next(texts)
        if isinstance(tree, dict):
            if depth >= MAX_DEPTH:
                return f"[redacted: {_TOO_DEEP}]"
            result: dict[str, Any] = {}
            changed = False
            for key, item in tree.items():  # pyright: ignore[reportUnknownVariableType] - any JSON
                name = next(texts)
                new = self._rebuilt(item, texts, depth + 1)
                changed = changed or new is not item or name != str(key)  # pyright: ignore[reportUnknownArgumentType] - JSON of any shape
                result[_unused(name, result)] = new
            return result if changed else tree  # pyright: ignore[reportUnknownVariableType] - JSON of any shape
        if isinstance(tree, (list, tuple)):
            if depth >= MAX_DEPTH:
                return f"[redacted: {_TOO_DEEP}]"
            items = [self._rebuilt(item, texts, depth + 1) for item in tree]  # pyright: ignore[reportUnknownVariableType] - JSON of any shape
            same = all(new is old for new, old in zip(items, tree, strict=True))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            return tree if same else items  # pyright: ignore[reportUnknownVariableType] - JSON of any shape
        if self._wants(tree):
            text = next(texts)
            return tree if text == str(tree) else text
        return tree

    def _spans(self, text: str) -> list[Span]:
        """What to mask: sorted, none overlapping."""
        spans = self._found(text)
        if hides_something(text) or "⟦" in text:
            spans += self._through_gaps(text)
        return merged(spans)

    def _found(self, text: str) -> list[Span]:
        spans = [
            span for literal, kind in self._literals if literal in text for span in occurrences(text, literal, kind)
        ]
        if "%" in text or "+" in text:
            spans += ((*match.span(), kind) for pattern, kind in self._patterns for match in pattern.finditer(text))
        if self._shapes:
            spans += shapes.find(text)
        if self._pii != "off":
            from gatelodge_core.guard import pii as personal  # noqa: PLC0415 - most servers never need it

            data = personal.find(text)
            if data and self._pii == "block":
                raise Blocked(kind for _, _, kind in data)
            spans += data
        return spans

    def _through_gaps(self, text: str) -> list[Span]:
        """What is found once invisible characters and the marks that hygiene leaves are out of the way."""
        ends = [0]
        shifts = [0]
        kept: list[str] = []
        last = 0
        length = 0
        for gap in GAP.finditer(text):
            kept.append(text[last : gap.start()])
            length += gap.start() - last
            last = gap.end()
            ends.append(length)
            shifts.append(last - length)
        if last == 0:
            return []
        kept.append(text[last:])

        def place(index: int) -> int:
            return index + shifts[bisect.bisect_right(ends, index) - 1]

        return [(place(start), place(end - 1) + 1, kind) for start, end, kind in self._found("".join(kept))]


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    """The name, with a number if it is taken."""
    if name not in taken:
        return name
    return next(numbered for count in itertools.count(2) if (numbered := f"{name} ({count})") not in taken)
