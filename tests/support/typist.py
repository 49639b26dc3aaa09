"""A person at a real pseudo-terminal: a command runs on it, is read up to what is expected, and is typed to."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import selectors
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.support.wire import PATIENCE


class Typist:
    """A command on a terminal of its own. A context manager, which ends it.

    Args:
        command: The command.
        env: More of the environment; None as a value takes a variable out.
        columns: Of the terminal.
        rows: Of the terminal.
        before: Typed before the command is started.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str | None] | None = None,
        *,
        columns: int = 100,
        rows: int = 40,
        before: str = "",
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if before:
            os.write(self._master, before.encode())
        merged = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": "", **(env or {})}
        self.process = subprocess.Popen(
            list(command),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={name: value for name, value in merged.items() if value},
            start_new_session=True,
            # Its controlling terminal, so that Ctrl-C is a signal.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads in between
        )
        os.close(slave)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._master, selectors.EVENT_READ)
        self.text = ""
        """All that was shown."""
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._selector.close()
        if self._master >= 0:
            os.close(self._master)

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until something is shown, after what was expected before."""
        until = time.monotonic() + PATIENCE
        while (found := re.compile(pattern).search(self.text, self._seen)) is None:
            assert self._read(until - time.monotonic()), f"never shown: {pattern}\n{self.text}"
        self._seen = found.end()
        return found

    def type(self, text: str) -> None:
        """Type a text, and Enter."""
        os.write(self._master, f"{text}\n".encode())

    def key(self, char: str) -> None:
        """Press one key, such as Ctrl-C."""
        os.write(self._master, char.encode())

    def hang_up(self) -> None:
        """Close the terminal, as its window is."""
        self._selector.unregister(self._master)
        os.close(self._master)
        self._master = -1

    def ended(self) -> int:
        """Wait for the end; the exit status."""
        until = time.monotonic() + PATIENCE
        while self._master >= 0 and self._read(until - time.monotonic()):
            pass
        return self.process.wait(PATIENCE)

    @property
    def since(self) -> str:
        """What was shown after what was expected last."""
        return self.text[self._seen :]

    def _read(self, seconds: float) -> bool:
        if not self._selector.select(max(seconds, 0)):
            return False
        try:
            block = os.read(self._master, 65536)
        except OSError:  # EIO: everybody has let go of the other end
            return False
        self.text += block.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(block)
