"""Parts of a text that were found: put in order, counted, and masked."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Mapping

from gatelodge_core.guard.shapes import Span


class Findings(Mapping[str, int]):
    """How many parts of each kind were masked; false if none, and added with `+`.

    Args:
        counts: Number by kind.
    """

    __slots__ = ("_counts",)

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts = dict(counts or {})

    def __getitem__(self, kind: str) -> int:
        return self._counts[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __add__(self, other: Findings) -> Findings:
        return Findings({kind: self.get(kind, 0) + other.get(kind, 0) for kind in {**self._counts, **other}})

    def __repr__(self) -> str:
        return f"Findings({self._counts})"


NOTHING = Findings()


def occurrences(text: str, literal: str, kind: str) -> Iterator[Span]:
    """Where a literal stands, overlapping occurrences as one."""
    start = text.find(literal)
    while start >= 0:
        end = start + len(literal)
        following = text.find(literal, start + 1)
        while 0 <= following < end:
            end = following + len(literal)
            following = text.find(literal, following + 1)
        yield start, end, kind
        start = following


def merged(spans: list[Span]) -> list[Span]:
    """The spans in order, those that overlap joined under the kind that was found first."""
    ranked = sorted(enumerate(spans), key=lambda pair: (pair[1][0], pair[0]))
    joined: list[Span] = []
    rank = 0
    for order, (start, end, kind) in ranked:
        if joined and start < joined[-1][1]:
            first, last, before = joined[-1]
            joined[-1] = (first, max(last, end), before if rank <= order else kind)
            rank = min(rank, order)
        else:
            joined.append((start, end, kind))
            rank = order
    return joined


def masked(text: str, spans: Iterable[Span]) -> tuple[str, Findings]:
    """The text with each span replaced by a mark, and how many there were of each kind."""
    counts: dict[str, int] = {}
    pieces: list[str] = []
    last = 0
    for start, end, kind in spans:
        pieces += (text[last:start], f"[redacted: {kind}]")
        counts[kind] = counts.get(kind, 0) + 1
        last = end
    pieces.append(text[last:])
    return "".join(pieces), Findings(counts)


def cut(parts: list[str], spans: list[Span]) -> tuple[list[str], Findings]:
    """The texts among alternating texts and separators, each masked where a span of the joined text touches it."""
    offsets = list(itertools.accumulate((len(part) for part in parts), initial=0))
    texts = parts[::2]
    touched: dict[int, list[Span]] = {}
    for start, end, kind in spans:
        part = bisect.bisect_right(offsets, start) - 1
        while part < len(parts) and offsets[part] < end:
            if part % 2 == 0 and parts[part]:
                base = offsets[part]
                inside = (max(start - base, 0), min(end - base, len(parts[part])), kind)
                if inside[0] < inside[1]:
                    touched.setdefault(part // 2, []).append(inside)
            part += 1
    found = NOTHING
    for index, inner in touched.items():
        texts[index], counts = masked(texts[index], inner)
        found += counts
    return texts, found
