"""Hygiene: what a person wouldn't see in a text is made visible, and nothing is deleted.

Invisible, bidirectional and control characters become `⟦U+202E⟧`, an escape character `⟦ESC⟧`, which also takes every
ANSI sequence (CSI, OSC, DCS) its effect. Where such a character has its ordinary use it stays, so that ordinary text
comes back byte for byte: joiners in emoji and in Arabic or Indic words, variation selectors after what they vary, the
three tag sequences that are flags, the byte order mark at the start, a soft hyphen inside a word, the form feed of old
source files, a direction mark beside right-to-left text. Each use is bounded: one selector for a base, no free choice
among many.

Sources: Unicode 16 chapter 23 (special areas), UTS 51 (emoji), UTS 37 (ideographic variation), UTR 36 and the
"Trojan Source" (CVE-2021-42574) and "ASCII smuggling" write-ups for what is abused.
"""

from __future__ import annotations

import re

_ARABIC = "\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06df-\u06e8\u06ea-\u06ef\u06fa-\u06ff\u0710-\u074a\u0750-\u077f\u07ca-\u07ea\u0870-\u08ff"
"""Letters and marks of the cursive scripts (Arabic, Syriac, N'Ko), where a joiner changes the form of a letter."""
_RTL = "\u0590-\u05ff\u0620-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff"
_VIRAMA = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca\u1039\u17d2\u1b44\uaac0\ua9c0\u0f84"
_INDIC = "\u0904-\u0939\u0985-\u09b9\u0a05-\u0a39\u0a85-\u0ab9\u0b05-\u0b39\u0b85-\u0bb9\u0c05-\u0c39\u0c85-\u0cb9\u0d05-\u0d3a"
_UNSPACED = "\u0e01-\u0e4e\u0e81-\u0ecd\u1000-\u109f\u1780-\u17d3"
"""Thai, Lao, Burmese and Khmer, which mark where a line may break with U+200B."""
_EMOJI = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_TONE = "\U0001f3fb-\U0001f3ff"
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003347f"
_VARIED = (
    "\u2200-\u22ff\u2a00-\u2aff\u1000-\u109f\ua840-\ua877\u3001\u3002\uff01\uff0c\uff0e\uff1a\uff1b\uff1f\u2018-\u201d"
)
"""Mathematical operators, Burmese and Phags-pa letters, and punctuation with a standardised variation (VS1 to VS3)."""
_MONGOLIAN = "\u1820-\u1878\u1880-\u18aa"

_NEVER = (
    "\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u17b4\u17b5\u202a-\u202e\u2060-\u206f\u3164\ufe03-\ufe0d\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e0120-\U000e0fff"
)
"""Hidden characters that no ordinary text has."""
_HIDDEN = f"{_NEVER}\u00ad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\ufe00-\ufe02\ufe0e\ufe0f\ufeff\U000e0100-\U000e011f"
"""Characters without a visible mark of their own. White space with a visible effect isn't among them."""

# By the character in question, so that a long run of any is a quick walk. The point looked from is just behind it; a
# lookbehind has one fixed width.
_DIRECTION = (
    rf"(?<=[{_RTL}].)",
    rf"(?<=[{_RTL}][^\w{_HIDDEN}].)",
    rf"(?=[^\w{_HIDDEN}]{{0,2}}[{_RTL}])",
)
_ORDINARY = {
    "\u200d": (
        rf"(?<=[{_EMOJI}].)(?=[{_EMOJI}])",
        rf"(?<=[{_EMOJI}]\ufe0f.)(?=[{_EMOJI}])",
        rf"(?<=[{_ARABIC}{_VIRAMA}].)",
        rf"(?<=[{_INDIC}].)(?=[{_VIRAMA}])",
    ),
    "\u200c": (rf"(?<=[{_ARABIC}].)(?=[{_ARABIC}])", rf"(?<=[{_VIRAMA}].)"),
    "\u200b": (rf"(?<=[{_UNSPACED}].)(?=[{_UNSPACED}])",),
    "\ufe0e\ufe0f": (rf"(?<=[{_EMOJI}].)", r"(?<=[0-9#*].)(?=\u20e3)"),
    "\ufe00": (rf"(?<=[0{_HAN}{_VARIED}].)",),
    "\ufe01\ufe02": (rf"(?<=[{_HAN}{_VARIED}].)",),
    "\U000e0100-\U000e011f": (rf"(?<=[{_HAN}].)",),
    "\u180b-\u180d\u180f": (rf"(?<=[{_MONGOLIAN}].)",),
    "\u180e": (rf"(?<=[{_MONGOLIAN}].)(?=[{_MONGOLIAN}])",),
    "\u00ad": (r"(?<=[^\W\d_]{2}.)(?=[^\W\d_]{2})",),
    "\u034f": (r"(?<=[\u0591-\u05bd\u0300-\u033f].)(?=[\u0591-\u05bd\u0300-\u036f])",),
    "\u115f": (r"(?=[\u1160-\u11a7])",),
    "\u1160": (r"(?<=[\u1100-\u115f].)",),
    "\u200e\u200f\u061c": _DIRECTION,
    "\ufeff": (r"(?<![\s\S]{2})",),
}
"""Characters, and where each of them has its ordinary use."""
_STRANGE = re.compile(
    f"(?:[{_NEVER}]++|" + "|".join(f"[{chars}](?!{'|'.join(uses)})" for chars, uses in _ORDINARY.items()) + ")+"
)
_PLAIN_ASCII = bytes({*range(32, 127), *b"\t\n\f\r"})
_FLAG = re.compile(
    "|".join("".join(chr(0xE0000 + ord(char)) for char in code) + "\U000e007f" for code in ("gbeng", "gbsct", "gbwls"))
)
_BLACK_FLAG = "\U0001f3f4"

_REPEATED = re.compile(r"(.)\1+")
_HIDDEN_CHARACTER = re.compile(f"[{_HIDDEN}]")
GAP = re.compile(
    r"(?:(?:\x1b|⟦ESC⟧)\[[0-?]{0,32}[ -/]{0,8}[@-~]"
    rf"|⟦(?:ESC|U\+[0-9A-F]{{4,6}})(?: x\d{{1,9}})?⟧|[{_HIDDEN}])+"
)
"""What may stand between two characters of a word without being seen, before this module saw it or after."""


def visible(text: str) -> tuple[str, int]:
    """A text in which all characters can be seen.

    Args:
        text: Any text.

    Returns:
        The text, the same object if there was nothing to show, and how many characters are now shown. A run of one
        character is shown once with its length (`⟦U+200B x9⟧`). Showing a text twice changes nothing more.
    """
    if not hides_something(text) or not _STRANGE.search(text):
        return text, 0
    count = 0

    def show(match: re.Match[str]) -> str:
        nonlocal count
        run = match[0]
        kept = ""
        if match.start() and text[match.start() - 1] == _BLACK_FLAG and (flag := _FLAG.match(run)):
            kept = flag[0]
            run = run[len(kept) :]
        count += len(run)
        return kept + _marks(run)

    shown = _STRANGE.sub(show, text)
    return (shown, count) if count else (text, 0)


def hides_something(text: str) -> bool:
    """Whether a text has any character without a visible mark of its own, in its ordinary use or not."""
    if text.isascii():
        return bool(text.encode("ascii").translate(None, _PLAIN_ASCII))
    return _HIDDEN_CHARACTER.search(text) is not None


class _Marks(dict[int, str]):
    """The mark of each hidden character, made when it is first met; as `str.translate` takes it."""

    def __missing__(self, code: int) -> str:
        self[code] = mark = "⟦ESC⟧" if code == 0x1B else f"⟦U+{code:04X}⟧"
        return mark


_MARKS = _Marks()


def _marks(run: str) -> str:
    """A run of hidden characters, shown; repeated ones once with their number."""
    if len(run) < 2:
        return run.translate(_MARKS)
    if run.count(run[0]) == len(run):
        return _repeated(run)
    shown: list[str] = []
    last = 0
    for match in _REPEATED.finditer(run):
        shown += (run[last : match.start()].translate(_MARKS), _repeated(match[0]))
        last = match.end()
    return "".join(shown) + run[last:].translate(_MARKS)


def _repeated(run: str) -> str:
    return f"{_MARKS[ord(run[0])][:-1]} x{len(run)}⟧"
