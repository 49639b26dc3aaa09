"""What may leave: the one place that every word of a request passes, whichever argument it came by."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import cast
from urllib.parse import unquote

from gatelodge_core.errors import CallError
from gatelodge_core.guard.cleansing import Cleanser

_TIMES = 6
"""How often percent encoding is undone: sites may undo it more than once."""


class Leaving:
    """Refuses to let secrets go, and characters that nobody sees.

    Args:
        cleanser: Knows what is secret.
    """

    def __init__(self, cleanser: Cleanser) -> None:
        self._cleanser = cleanser

    def check(self, value: object, what: str) -> None:
        """Look through a text, or all texts of a record, list or table, before any of it is sent.

        Args:
            value: What is to be sent.
            what: What it is called in the error.

        Raises:
            CallError: `secret_in_request`.
        """
        for text in _texts(value):
            for form in _forms(text):
                if self._cleanser.text(form) != form:
                    raise CallError(
                        "secret_in_request",
                        f"The {what} holds what looks like a secret, or invisible characters; it was not sent.",
                        "Leave that part out.",
                    )

    def check_all(self, **arguments: object) -> None:
        """Look through arguments as the caller wrote them: a secret in small letters is no longer known for one.

        Raises:
            CallError: `secret_in_request`, with the argument's name.
        """
        for name, value in arguments.items():
            self.check(value, name)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in cast("Mapping[object, object]", value).items():
            yield from _texts(name)
            yield from _texts(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in cast("list[object]", value):
            yield from _texts(item)
    elif is_dataclass(value):
        for each in fields(value):
            yield from _texts(getattr(value, each.name))


def _forms(text: str) -> list[str]:
    """A text in each spelling that the other side may read it in, without doubles."""
    found = dict.fromkeys([text])
    for _ in range(_TIMES):
        text = unquote(text)
        if text in found:
            break
        found[text] = None
    # A host's name is sent in plain letters, whatever their width was (UTS 46).
    found |= dict.fromkeys(unicodedata.normalize("NFKC", form) for form in list(found) if not form.isascii())
    return list(found)
