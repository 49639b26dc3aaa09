"""The passages of a text that fit a question best: BM25 over pieces that carry their heading.

Okapi BM25 with k1 1.2 and b 0.75 (Robertson and Zaragoza, 2009), in plain Python: 365 passages take some ten
milliseconds. Passages that say nearly the same as a better one are left out.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

SIZE = 900
"""Characters of a passage; a code block or a table isn't cut below twice as many."""
_K1, _B = 1.2, 0.75
_WORD = re.compile(r"[\w]+", re.UNICODE)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_HEADING = re.compile(r"(#{1,6}) (.+)")
_SAME = 0.8


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a text.

    Args:
        source: Which text it is from, by number.
        text: The piece.
        headings: Headings above it, outermost first, joined by `` > ``.
        offset: Where it begins, in characters.
    """

    source: int
    text: str
    headings: str
    offset: int


def pieces(markdown: str, source: int = 0) -> list[Passage]:
    """Cut a text at blank lines, and at headings; fences stay whole where they fit."""
    found: list[Passage] = []
    path: list[tuple[int, str]] = []
    held: list[str] = []
    start, size = 0, 0

    def end() -> None:
        nonlocal size
        text = "\n\n".join(held).strip()
        if text:
            found.append(Passage(source, text, " > ".join(name for _, name in path)[:200], start))
        held.clear()
        size = 0

    for offset, block in _blocks(markdown):
        heading = _HEADING.fullmatch(block)
        if heading:
            end()
            level = len(heading[1])
            path = [*(item for item in path if item[0] < level), (level, heading[2])]
            continue
        for part_offset, part in _parts(offset, block):
            if held and size + len(part) > SIZE:
                end()
            if not held:
                start = part_offset
            held.append(part)
            size += len(part)
    end()
    return found


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Blocks between blank lines, with fences in one."""
    lines: list[str] = []
    fence, start, at = "", 0, 0
    for line in text.split("\n"):
        if not lines:
            start = at
        mark = re.match(r"`{3,}", line)
        if fence:
            fence = "" if mark and line.strip() == fence else fence
        elif mark:
            fence = mark[0]
        if line.strip() or fence:
            lines.append(line)
        elif lines:
            yield start, "\n".join(lines)
            lines = []
        at += len(line) + 1
    if lines:
        yield start, "\n".join(lines)


def _parts(offset: int, block: str) -> Iterator[tuple[int, str]]:
    """A block, or its parts if it is far too long, cut at a line's or sentence's end."""
    while len(block) > 2 * SIZE:
        window = block[: 2 * SIZE]
        cut = max(window.rfind("\n", SIZE), window.rfind(". ", SIZE) + 1)
        cut = cut if cut > SIZE else 2 * SIZE
        yield offset, block[:cut]
        offset, block = offset + cut, block[cut:]
    yield offset, block


def terms(text: str) -> list[str]:
    """Words for matching, in lower case with a plural's s cut off; pairs of characters where none stand between."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        if _CJK.search(word):
            found += [word[place : place + 2] for place in range(max(1, len(word) - 1))]
        else:
            found.append(word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word)
    return found


def ranked(query: str, passages: Sequence[Passage], limit: int) -> list[tuple[float, Passage]]:
    """The best passages with their scores, best first; those without any word of the query aren't among them."""
    wanted = set(terms(query))
    counted = [Counter(terms(f"{item.headings} {item.text}")) for item in passages]
    lengths = [counts.total() for counts in counted]
    if not wanted or not lengths:
        return []
    mean = sum(lengths) / len(lengths) or 1
    weight = {
        term: math.log(1 + (len(passages) - held + 0.5) / (held + 0.5))
        for term in wanted
        if (held := sum(term in counts for counts in counted))
    }
    scored: list[tuple[float, int]] = []
    for number, counts in enumerate(counted):
        score = sum(
            value * counts[term] * (_K1 + 1) / (counts[term] + _K1 * (1 - _B + _B * lengths[number] / mean))
            for term, value in weight.items()
        )
        if score > 0:
            scored.append((score, number))
    scored.sort(key=lambda item: (-item[0], item[1]))
    best: list[tuple[float, Passage]] = []
    # Taken apart once: a page of thousands of doubles would have it done for each of them with each of the best.
    known: list[set[str]] = []
    for score, number in scored:
        if len(best) >= limit:
            break
        own = set(terms(passages[number].text))
        if not any(_same(own, words) for words in known):
            best.append((score, passages[number]))
            known.append(own)
    return best


def _same(one: AbstractSet[str], other: AbstractSet[str]) -> bool:
    return len(one & other) >= _SAME * max(1, len(one | other))
