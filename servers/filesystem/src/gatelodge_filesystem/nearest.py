"""Why a text to be replaced isn't there, and where something like it is.

The work is bounded whatever the file: lines are compared by their words first, and only the best few letter by letter.
"""

from __future__ import annotations

import re
from collections import Counter

from gatelodge_core.errors import CallError

from gatelodge_filesystem.encoding import LINE_END
from gatelodge_filesystem.linediff import blocks

MAX_BYTES = 4_000_000
"""Of a file, from its beginning, that is looked at for what was meant."""
MAX_LINES = 200_000
MAX_OLD_LINES = 40
_SHOWN = 3
_WORD = re.compile(r"\w+")
_LOOKALIKES = str.maketrans(
    {
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{NO-BREAK SPACE}": " ",
        "\N{NARROW NO-BREAK SPACE}": " ",
    }
)


def explain_no_match(old: str, new: str, text: str, number: int) -> CallError:
    """The error for an edit whose `old` isn't in the file.

    Args:
        old: The text that was to be replaced.
        new: What was to replace it.
        text: The file, as far as `MAX_BYTES` of it.
        number: Which edit of the call, from 1.
    """
    plain_text, plain_old = LINE_END.sub("\n", text), LINE_END.sub("\n", old)
    lines = plain_text.split("\n")[:MAX_LINES]
    reason = _reason(plain_old, LINE_END.sub("\n", new), plain_text)
    shown = "".join(f"\n--- line {at + 1}:\n{block}" for at, block in _candidates(plain_old, lines))
    return CallError(
        "no_match",
        f"edit {number}: old is not in the file{reason}.",
        ("Nearest:" + shown + "\nCopy old from the file as it is. Nothing was changed.")
        if shown
        else "Call read_file for the present text. Nothing was changed.",
    )


def alike(one: str, other: str) -> float:
    """How much two texts have in common, from 0 to 1; single letters are common to any two, and don't count."""
    common = sum(length for _, _, length in blocks(one, other) if length > 1)
    return 2 * common / max(len(one) + len(other), 1)


def _reason(old: str, new: str, text: str) -> str:
    """The likely cause, as a clause."""
    if new and len(new) > 3 and new in text:
        return "; new is there already, so the edit may have been applied before"
    if old.translate(_LOOKALIKES) in text.translate(_LOOKALIKES):
        return "; quotes, dashes or no-break spaces differ"
    if old.strip("\n") and old.strip("\n") in text:
        return "; blank lines at its beginning or end differ"
    squeezed = " ".join(text.split())
    if " ".join(old.split()) and " ".join(old.split()) in squeezed:
        return "; only white space differs (tabs, spaces, trailing blanks or line breaks)"
    if old.casefold() in text.casefold():
        return "; upper and lower case differ"
    return ""


def _candidates(old: str, lines: list[str]) -> list[tuple[int, str]]:
    """The places most like `old`: (line index, text), best first."""
    wanted = old.strip("\n").split("\n")[:MAX_OLD_LINES]
    words = Counter(word for line in wanted for word in _WORD.findall(line))
    if not words:
        return []
    # Per line, how many of the wanted words it has; summed over windows of the wanted height.
    scores = [sum(1 for word in set(_WORD.findall(line[:2000])) if word in words) for line in lines]
    height = len(wanted)
    window = sum(scores[:height])
    ranked: list[tuple[int, int]] = [(window, 0)]
    for at in range(1, max(len(lines) - height + 1, 1)):
        window += (scores[at + height - 1] if at + height - 1 < len(scores) else 0) - scores[at - 1]
        ranked.append((window, at))
    ranked.sort(key=lambda item: (-item[0], item[1]))
    goal = "\n".join(wanted)[:2000]
    compared: list[tuple[float, int, str]] = []
    for score, at in ranked[:12]:
        block = "\n".join(lines[at : at + height])[:2000]
        if score:
            compared.append((alike(goal, block), at, block))
    compared.sort(key=lambda item: (-item[0], item[1]))
    best: list[tuple[int, str]] = []
    for ratio, at, block in compared:
        if ratio > 0.5 and len(best) < _SHOWN and all(abs(at - other) >= height for other, _ in best):
            best.append((at, block[:600]))
    return best
