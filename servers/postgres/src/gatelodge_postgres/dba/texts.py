"""SQL texts of others as they may be shown: on one line, cut, without the values that stand in them."""

from __future__ import annotations

import re

# Comments and quoted names first, since an apostrophe in one would turn outside and inside around. A comment within a
# comment takes all up to the last end of one: too much rather than too little.
_PIECES = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*(?:(?!\*/).)*/\*(?:.*\*/|.*\Z) | /\*.*?(?:\*/|\Z) )
  | (?P<name> "(?:[^"]|"")*"? )
  | (?P<text> [eE]'(?:[^'\\]|\\.|'')*(?:'|\\?\Z) | '(?:[^']|'')*(?:'|\Z)
      | \$(?P<tag>(?:[A-Za-z_\u0080-\uffff][\w]*)?)\$ .*? (?:\$(?P=tag)\$|\Z) )
  | (?P<word> [A-Za-z_\u0080-\uffff][\w$]* | \$\d+ )
  | (?P<number> \d[\w.]* )
    """,
    re.VERBOSE | re.DOTALL,
)
HIDDEN = "'…'"
LONGEST = 20_000


def shown(sql: str, limit: int = 300, *, numbers: bool = False) -> str:
    """A statement without its string literals and comments.

    Args:
        sql: The text, which may end anywhere.
        limit: Characters to show.
        numbers: Whether numbers go too, since columns are masked.
    """

    def hide(found: re.Match[str]) -> str:
        if found["comment"] is not None:
            return " "
        if found["text"] is not None:
            return HIDDEN
        return "?" if numbers and found["number"] is not None else found[0]

    line = " ".join(_PIECES.sub(hide, sql[:LONGEST]).split())
    return line if len(line) <= limit else f"{line[:limit]}…"
