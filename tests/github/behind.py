"""GitHub's manners before an emulator."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Generator

from tests.github.emulator import SCOPES, Emulator, token_of
from tests.github.manners import Manners
from tests.github.mending import mend
from tests.github.proxy import Proxy, proxying


@contextlib.contextmanager
def before(emulator: Emulator, *, prefix: str = "", on: socket.socket | None = None) -> Generator[Proxy]:
    """A proxy with GitHub's manners before an emulator; for a fixture of another scope than `proxy`."""
    manners = Manners({token_of(login): scopes for login, scopes in SCOPES.items()})
    with proxying(emulator.url, manners, prefix=prefix, on=on) as made:
        mend(made)
        yield made
