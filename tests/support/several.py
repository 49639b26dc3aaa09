"""A real server for several people: over HTTP, each with an API key, and accounts in its settings file."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.remote import PEPPER, KeyWire, make_keys
from tests.support.wire import MODERN, Revision, Server, python_module


@dataclass(frozen=True, slots=True)
class Several:
    """A running server.

    Args:
        server: Its process.
        url: Of its endpoint.
        state: Its state folder.
        keys: One for each caller, by name.
    """

    server: Server
    url: str
    state: Path
    keys: dict[str, str]

    def wire(self, name: str, revision: Revision = MODERN, capabilities: Mapping[str, Any] | None = None) -> KeyWire:
        """A caller, after the handshake."""
        made = KeyWire(self.url, revision, self.keys[name], capabilities)
        made.open()
        return made


@contextlib.contextmanager
def several(
    folder: Path,
    server: str,
    settings: str,
    callers: Sequence[str],
    *arguments: str,
    env: Mapping[str, str] | None = None,
) -> Generator[Several]:
    """Run a server until the end of the block.

    Args:
        folder: For its state, settings and keys.
        server: Its short name.
        settings: The settings file, as TOML.
        callers: Names of keys.
        arguments: Of the command line.
        env: Of the process.
    """
    state, config = folder / "state", folder / "config.toml"
    config.write_text(settings, encoding="utf-8")
    config.chmod(0o600)
    keys = make_keys(folder / "keys", callers, (f"{server}:destroy",))
    command = python_module(
        f"gatelodge_{server}", "--http", "127.0.0.1:0", "--auth", "keys", "--keys-file", str(folder / "keys" / "keys.json"),
        "--config", str(config), "--state-dir", str(state), "--calls-per-second", "1000", "--call-burst", "10000", *arguments,
    )  # fmt: skip
    running = Server(command, {"GATELODGE_KEY_PEPPER": PEPPER, **(env or {})})
    try:
        url = running.wait_for_stderr(r"listening on (http://\S+)").group(1)
        yield Several(running, url, state, keys)
    finally:
        if running.process.poll() is None:
            running.signal(signal.SIGTERM)
        running.end()
