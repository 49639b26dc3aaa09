"""What a test leaves behind: what was printed and logged, and the state of its servers; no token may be in it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

from tests.github.emulator import SCOPES, token_of

TOKENS = tuple(token_of(login) for login in SCOPES)
"""All that the emulator accepts."""
_LEAST = 12


def forms(token: str) -> list[bytes]:
    """A token as it is, and as base64 wherever it stands in what was encoded."""
    shifted = [base64.b64encode(b"\0" * at + token.encode())[4:-4] for at in range(3)]
    return [token.encode(), *(form for form in shifted if len(form) >= _LEAST)]


FORMS = [form for token in TOKENS for form in forms(token)]


def leaks(sections: Iterable[tuple[str, str]], folder: Path | None) -> list[str]:
    """Where a token is.

    Args:
        sections: What was captured: a title and a text each.
        folder: The test's own; only the ``state`` folders in it are looked at, since tests write token files elsewhere.
    """
    found = [title for title, text in sections if _holds(text.encode("utf-8", "replace"))]
    for state in folder.rglob("state*") if folder else ():
        found += [str(path) for path in state.rglob("*") if path.is_file() and _holds(path.read_bytes())]
    return found


def _holds(data: bytes) -> bool:
    return any(form in data for form in FORMS)
