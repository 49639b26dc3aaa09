"""Comparing two lists of lines in bounded work, whatever they hold.

The way is E. Myers' ("An O(ND) Difference Algorithm and Its Variations", 1986): the shortest way through both lists is looked
for edit by edit. Its work grows with the square of the edits, and `difflib`'s with the cube of equal lines; so after
`MAX_EDITS` edits the way that came furthest is taken, and the search goes on from its end. What is alike in small changes is
found exactly; of large ones the result is always right, and not always the shortest.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

MAX_EDITS = 128
"""Edits after which a way is taken. All work is at most about (lines of both) * MAX_EDITS * 2 steps."""
Block = tuple[int, int, int]
Opcode = tuple[str, int, int, int, int]


def blocks(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[Block]:
    """What two lists have in common, in order: (where in the first, where in the second, how many)."""
    ends = len(first), len(second)
    tail = 0
    while tail < min(ends) and first[ends[0] - 1 - tail] == second[ends[1] - 1 - tail]:
        tail += 1
    stop = ends[0] - tail, ends[1] - tail
    found: list[Block] = []
    at = 0, 0
    while at[0] < stop[0] and at[1] < stop[1]:
        part, at = _way(first, second, at, stop)
        found += part
    if tail:
        found.append((*stop, tail))
    return found


def opcodes(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[Opcode]:
    """The same as steps, in the form that `difflib` has: (tag, low, high, other low, other high)."""
    # Numbers are compared in place of lines.
    numbers: dict[Hashable, int] = {}
    one, other = ([numbers.setdefault(line, len(numbers)) for line in lines] for lines in (first, second))
    steps: list[Opcode] = []
    low = other_low = 0
    for begin, other_begin, length in [*blocks(one, other), (len(one), len(other), 0)]:
        if (low, other_low) != (begin, other_begin):
            tag = "insert" if low == begin else "delete" if other_low == other_begin else "replace"
            steps.append((tag, low, begin, other_low, other_begin))
        low, other_low = begin + length, other_begin + length
        if length:
            # Two ways that meet may have equal lines on both sides.
            joined = steps.pop() if steps and steps[-1][0] == "equal" else ("equal", begin, low, other_begin, other_low)
            steps.append(("equal", joined[1], low, joined[3], other_low))
    return steps


def grouped(steps: Sequence[Opcode], context: int) -> list[list[Opcode]]:
    """Steps in groups of what lies near each other, each with at most `context` equal lines around it."""
    groups: list[list[Opcode]] = [[]]
    for number, (tag, low, high, other_low, other_high) in enumerate(steps):
        if tag != "equal":
            groups[-1].append((tag, low, high, other_low, other_high))
            continue
        first, last = number == 0, number == len(steps) - 1
        head = 0 if first else min(context, high - low)
        rest = 0 if last else min(context, high - low)
        if head + rest >= high - low:
            groups[-1].append((tag, low, high, other_low, other_high))
            continue
        if head:
            groups[-1].append((tag, low, low + head, other_low, other_low + head))
        if not first and not last:
            groups.append([])
        if rest:
            groups[-1].append((tag, high - rest, high, other_high - rest, other_high))
    return [group for group in groups if any(step[0] != "equal" for step in group)]


def _way(
    first: Sequence[Hashable], second: Sequence[Hashable], begin: tuple[int, int], stop: tuple[int, int]
) -> tuple[list[Block], tuple[int, int]]:
    """The shortest way from a place to the end, or the one that comes furthest; and where it comes to.

    A place is (x, y), lines passed in each; a diagonal k is where x - y = k, and `reach[k]` the largest x on it.
    """
    width, height = stop[0] - begin[0], stop[1] - begin[1]
    reach = {1: 0}
    rounds: list[dict[int, int]] = []
    best = (-1, 0, 0)
    for edits in range(MAX_EDITS + 1):
        rounds.append(reach.copy())
        # Diagonals outside of both lists lead nowhere.
        for k in range(-edits + 2 * max(0, edits - height), edits - 2 * max(0, edits - width) + 1, 2):
            x = _step(reach, edits, k)
            y = x - k
            while x < width and y < height and first[begin[0] + x] == second[begin[1] + y]:
                x += 1
                y += 1
            reach[k] = x
            if x <= width and y <= height and x + y > best[0]:
                best = (x + y, edits, k)
            if x == width and y == height:
                return _back(rounds, (x, y), edits, begin), stop
    total, edits, k = best
    x = (total + k) // 2
    return _back(rounds, (x, x - k), edits, begin), (begin[0] + x, begin[1] + x - k)


def _from_above(reach: dict[int, int], edits: int, k: int) -> bool:
    """Whether a diagonal is best come to by an insertion, from the diagonal above it; else it is by a deletion."""
    return k == -edits or (k != edits and reach.get(k - 1, -1) < reach.get(k + 1, -1))


def _step(reach: dict[int, int], edits: int, k: int) -> int:
    """How far one more edit leads on a diagonal."""
    return reach.get(k + 1, -1) if _from_above(reach, edits, k) else reach.get(k - 1, -1) + 1


def _back(rounds: Sequence[dict[int, int]], end: tuple[int, int], edits: int, begin: tuple[int, int]) -> list[Block]:
    """What a way has in common, found from its end."""
    found: list[Block] = []
    x, y = end
    for number in range(edits, -1, -1):
        k = x - y
        after = _step(rounds[number], number, k)
        if x > after:
            found.append((begin[0] + after, begin[1] + after - k, x - after))
        x, y = (after, after - k - 1) if _from_above(rounds[number], number, k) else (after - 1, after - k)
    found.reverse()
    return found
