"""YAML within a line: plain and quoted scalars, and flow style, which may go over several lines."""

from __future__ import annotations

import re
from typing import Any

from gatelodge_core.cli.hosts.unreadable import Unreadable, at

_SPACE = re.compile(r"(?:[ \t\n]+(?:#[^\n]*)?)*")
_SINGLE = re.compile(r"'((?:[^'\n]|'')*)'")
_DOUBLE = re.compile(r'"((?:[^"\\\n]|\\[^\n])*)"')
_PLAIN = re.compile(r"(?:[^\s,\[\]{}:#]|:(?=[^\s,\[\]{}])|(?<=\S)\#|[ ](?=[^\s#]))+")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_SIMPLE = dict(zip('0abtnvfre "/\\N_LP', '\0\a\b\t\n\v\f\r\x1b "/\\\x85\xa0\u2028\u2029', strict=True))
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
DEEPEST = 100
LONGEST_NUMBER = 4000


def plain(text: str) -> str | int | float | bool | None:
    """What a plain scalar means in the core schema of YAML 1.2, hexadecimal and octal numbers aside."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        # Python reads no whole number of more than 4300 digits; a text is as good here.
        return int(text) if len(text) <= LONGEST_NUMBER else text
    return float(text) if _FLOAT.fullmatch(text) else text


class Flow:
    """Reads a text from its beginning on.

    Args:
        text: It begins with a quote, ``[`` or ``{``, and may hold more lines than are needed.
        line: Index of its first line, for errors.
    """

    def __init__(self, text: str, line: int) -> None:
        self._text, self._line, self._at = text, line, 0

    def value(self, depth: int = 0) -> Any:
        """The value here.

        Raises:
            Unreadable: It isn't understood.
        """
        if depth > DEEPEST:
            raise self._wrong(f"nested deeper than {DEEPEST} levels")
        opening = self._peek()
        if opening and opening in "\"'":
            return self.quoted()
        if opening == "[":
            return self._list(depth)
        if opening == "{":
            return self._table(depth)
        return plain(self._plain())

    def quoted(self) -> str:
        """The quoted text here."""
        single = self._peek() == "'"
        found = (_SINGLE if single else _DOUBLE).match(self._text, self._at)
        if found is None:
            raise self._wrong("a quote isn't closed on its line")
        text = found[1].replace("''", "'") if single else _ESCAPE.sub(self._escape, found[1])
        self._at = found.end()
        return text

    def close(self) -> int:
        """Lines that were used, if nothing but a comment follows on the last one."""
        end = self._text.find("\n", self._at)
        rest = self._text[self._at : end if end >= 0 else None]
        if not re.fullmatch(r"[ \t]*(?:[ \t]#.*)?", rest):
            raise self._wrong("there is something behind the end of the value")
        return self._text.count("\n", 0, self._at) + 1

    def _wrong(self, reason: str) -> Unreadable:
        found = at(self._text, min(self._at, len(self._text)), reason)
        return Unreadable(reason, self._line + found.line, 0)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _space(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _plain(self) -> str:
        opening = self._peek()
        after = self._text[self._at + 1 : self._at + 2]
        if not opening or opening in "&*!|>%@`" or (opening in "?-" and after in (*" \n,[]{}", "")):
            raise self._wrong("this isn't understood; put the text in quotes")
        found = _PLAIN.match(self._text, self._at)
        if found is None:
            raise self._wrong("a value is missing")
        self._at = found.end()
        return found.group().rstrip(" ")

    def _list(self, depth: int) -> list[Any]:
        items: list[Any] = []
        self._open()
        while self._peek() != "]":
            items.append(self.value(depth + 1))
            self._comma("]")
        self._at += 1
        return items

    def _table(self, depth: int) -> dict[str, Any]:
        table: dict[str, Any] = {}
        self._open()
        while self._peek() != "}":
            key = self.quoted() if self._peek() in ('"', "'") else self._plain()
            self._space()
            if self._peek() != ":":
                raise self._wrong("a colon is missing behind a key")
            self._open()
            if key in table:
                raise self._wrong("a key stands twice")
            table[key] = None if self._peek() in (",", "}") else self.value(depth + 1)
            self._comma("}")
        self._at += 1
        return table

    def _open(self) -> None:
        self._at += 1
        self._space()

    def _comma(self, closing: str) -> None:
        self._space()
        if self._peek() == ",":
            self._open()
        elif self._peek() != closing:
            raise self._wrong(f"a comma or {closing} is missing")

    def _escape(self, found: re.Match[str]) -> str:
        if found[4] is None:
            number = int(found[1] or found[2] or found[3], 16)
            if number > 0x10FFFF or 0xD800 <= number < 0xE000:
                raise self._wrong("an escape names no character")
            return chr(number)
        if found[4] not in _SIMPLE:
            raise self._wrong("an escape isn't understood")
        return _SIMPLE[found[4]]
