"""Secrets in memory: in a holder that shows nothing, so that no log, error or traceback with locals shows them."""

from __future__ import annotations

import hashlib
import re
from typing import ClassVar, NoReturn, SupportsIndex

from gatelodge_core.errors import SettingsError

_WORD = re.compile(r"[!-~]+")
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}")
_LONGEST = 512


class Guarded:
    """Refuses to be pickled or copied, since a copy of a secret is one more place to leak from; its repr is chosen."""

    __slots__ = ()

    shown: ClassVar[tuple[str, ...]] = ()
    """The attributes in the repr."""

    def __repr__(self) -> str:
        # A traceback with variables shows objects that are half made, too.
        parts = [f"{name}={getattr(self, name)!r}" for name in self.shown if hasattr(self, name)]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a secret; it is never pickled or copied")


class Sealed(Guarded):
    """A secret text. Keep it in this form in every variable, and `reveal` it only as an argument."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "<sealed>"


def digest_of(*parts: str | Sealed) -> str:
    """16 hexadecimal digits that tell credentials apart, and can't be turned back; safe in a log."""
    texts = [part.reveal() if isinstance(part, Sealed) else part for part in parts]
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def checked(token: Sealed, source: str) -> Sealed:
    """A token as it can go into a header: without the whitespace around it.

    Args:
        token: As it was given.
        source: The setting it came from, for the error.

    Raises:
        SettingsError: It is no token; the text never repeats it.
    """
    flaw = flaw_of(token)
    if flaw:
        raise SettingsError(f"{source}: {flaw}")
    return Sealed(token.reveal().strip())


def flaw_of(token: Sealed) -> str:
    """What keeps a text from being a token; empty if nothing does."""
    text = token.reveal().strip()
    if not text:
        return "the token is empty"
    if _PLACEHOLDER.search(text):
        return "the token is still a placeholder, ${...}, which the host did not replace; set that variable there"
    if len(text) > _LONGEST:
        return f"the token is longer than {_LONGEST} characters; give the token alone"
    if text[0] in "\"'":
        return "the token begins with a quote; write it without quotes"
    if not _WORD.fullmatch(text):
        return "the token has spaces or characters other than printable ASCII; give the token alone, as one word"
    return ""
