"""Glob patterns: ``*`` and ``?`` within a name, ``**`` over folders, ``[...]``, ``{a,b}``.

A pattern without a slash matches the name at any depth, as in ripgrep and .gitignore. Matching is case-sensitive and
takes linear time in the length of a name: each ``*`` but the last becomes an atomic group, as in CPython's `fnmatch`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gatelodge_core.errors import CallError

MAX_LENGTH = 500
MAX_BRANCHES = 64
MAX_DEEP = 3
_BRACES = re.compile(r"\{([^{}]*)\}")


class Globs:
    """Several patterns; a path matches if any of them does.

    Args:
        patterns: The patterns; none at all match everything if `empty_matches`.
        empty_matches: What no patterns mean.
        anchored: Whether one without a slash matches no deeper than where the search began, as in `minimatch`.

    Raises:
        CallError: `bad_glob`.
    """

    def __init__(self, patterns: Sequence[str], *, empty_matches: bool, anchored: bool = False) -> None:
        parts = [_translate(branch, anchored=anchored) for pattern in patterns for branch in _branches(pattern)]
        self._always = empty_matches and not parts
        self._match = re.compile("|".join(f"(?:{part})" for part in parts) or r"(?!)", re.DOTALL).fullmatch

    def matches(self, rel: str) -> bool:
        """Whether a path, relative to where the search began, matches."""
        return self._always or self._match(rel) is not None


def _branches(pattern: str) -> list[str]:
    """The pattern without braces, once for each way through them."""
    if not pattern or len(pattern) > MAX_LENGTH or "\0" in pattern:
        raise CallError("bad_glob", f"a glob has 1 to {MAX_LENGTH} characters.", 'For example "**/*.py".')
    done: list[str] = []
    todo = [pattern.removeprefix("./").lstrip("/") or "*"]
    while todo:
        text = todo.pop()
        found = _BRACES.search(text)
        if found is None:
            done.append(text)
        else:
            todo += [text[: found.start()] + option + text[found.end() :] for option in found.group(1).split(",")]
        if len(done) + len(todo) > MAX_BRANCHES:
            raise CallError("bad_glob", f"the braces give more than {MAX_BRANCHES} patterns.", "Use fewer.")
    return done


def _translate(pattern: str, *, anchored: bool) -> str:
    if not anchored and "/" not in pattern.rstrip("/"):
        pattern = f"**/{pattern}"
    parts = [part for part in pattern.split("/") if part]
    if parts.count("**") > MAX_DEEP:
        raise CallError("bad_glob", f"a glob has at most {MAX_DEEP} parts that are **.", 'For example "src/**/*.py".')
    out, deep = "", False
    steps = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part != "**":
            steps += _name(part) + ("" if last else "/")
        elif last:
            steps += ".*"
        else:
            # The first place where the names between two ** fit is always as good as a later one.
            out += f"(?>(?:[^/]+/)*?{steps})" if deep else steps
            deep, steps = True, ""
    return out + (f"(?:[^/]+/)*{steps}" if deep else steps)


def _name(part: str) -> str:
    """One name of a pattern as a regular expression."""
    chunks: list[str] = [""]
    at = 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            if chunks[-1] or len(chunks) == 1:
                chunks.append("")
        elif char == "?":
            chunks[-1] += "[^/]"
        elif char == "[":
            end = part.find("]", at + (2 if part[at : at + 1] in ("!", "^") else 1))
            if end < 0:
                chunks[-1] += r"\["
                continue
            chunks[-1] += _set(part[at:end])
            at = end + 1
        else:
            chunks[-1] += re.escape(char)
    if len(chunks) == 1:
        return chunks[0]
    middle = "".join(f"(?>[^/]*?{chunk})" for chunk in chunks[1:-1] if chunk)
    return f"{chunks[0]}{middle}[^/]*{chunks[-1]}"


def _set(inside: str) -> str:
    """What stands between brackets, as a set of characters that never has a slash.

    Raises:
        CallError: `bad_glob`: a range in it runs backwards.
    """
    negated = inside[0] in "!^"
    text = inside[1:] if negated else inside
    out = ""
    at = 0
    while at < len(text):
        low = high = text[at]
        if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            high = text[at + 2]
            at += 2
        if low > high:
            raise CallError("bad_glob", f"the range {low}-{high} runs backwards.", f"Write {high}-{low}.")
        out += re.escape(low) if low == high else f"{re.escape(low)}-{re.escape(high)}"
        at += 1
    return f"(?!/)[{'^' if negated else ''}{out}]"
