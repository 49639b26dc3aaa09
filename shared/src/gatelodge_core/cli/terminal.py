"""A person at a terminal: they are shown lines and asked for one, and the question ends when it has become pointless."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterable

from gatelodge_core.cli.approve_view import Line

if sys.platform != "win32":
    import termios

_COLOURS = {"green": "32", "red": "31", "dim": "2", "bold": "1"}
MAX_ANSWER = 4096

Look = Callable[[], Awaitable[str]]
"""Says why a question is pointless by now; nothing as long as it isn't."""


class GoneError(Exception):
    """The person has closed the terminal or its input (Ctrl-D)."""


class Overtaken(Exception):
    """The question has become pointless; the text says why."""


class Terminal:
    """Standard input and output, which are a terminal."""

    def __init__(self) -> None:
        # NO_COLOR: https://no-color.org - set and not empty.
        self._coloured = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb")

    @staticmethod
    def is_there() -> bool:
        """Whether there is one: both ways, since a question that can't be seen can't be answered."""
        return sys.stdin.isatty() and sys.stdout.isatty()

    @property
    def width(self) -> int:
        """Its columns."""
        return shutil.get_terminal_size().columns

    @property
    def height(self) -> int:
        """Its lines."""
        return shutil.get_terminal_size().lines

    def say(self, text: str = "", style: str = "") -> None:
        """Show a line of ours."""
        print(self._dressed(text, style))

    def show(self, lines: Iterable[Line]) -> None:
        """Show lines of a call."""
        for line in lines:
            print(self._dressed(line.text, line.colour))

    def ring(self) -> None:
        """Call for attention."""
        print("\a", end="", flush=True)

    async def ask(self, question: str, look: Look, seconds: float, *, forget: bool = True) -> str:
        """Ask for a line. What was typed before the question was there is no answer to it, and is thrown away.

        Args:
            question: The question.
            look: Asked every now and then whether it still makes sense.
            seconds: How often.
            forget: Whether to throw that away; False only where no answer decides anything.

        Returns:
            The line, in lower case and without spaces around it.

        Raises:
            Overtaken: `look` said why.
            GoneError: There is nobody to ask any more.
        """
        if forget:
            _forget_typed()
        print(self._dressed(question, "bold"), end="", flush=True)
        try:
            line = await _line(look, seconds)
        except (Overtaken, GoneError):
            print(flush=True)
            raise
        return line.strip().lower()

    def _dressed(self, text: str, style: str) -> str:
        return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if style and self._coloured else text


def _forget_typed() -> None:
    if sys.platform != "win32":
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


async def _line(look: Look, seconds: float) -> str:
    if sys.platform == "win32":
        # Its consoles can't be waited for together with anything else: whether it is too late is seen afterwards.
        line = await asyncio.to_thread(sys.stdin.readline, MAX_ANSWER)
        if why := await look():
            raise Overtaken(why)
        if not line.endswith("\n"):
            raise GoneError
        return line
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    descriptor = sys.stdin.fileno()
    loop.add_reader(descriptor, there.set)
    try:
        while True:
            try:
                await asyncio.wait_for(there.wait(), seconds)
            except TimeoutError:
                if why := await look():
                    raise Overtaken(why) from None
                continue
            break
    finally:
        loop.remove_reader(descriptor)
    try:
        data = os.read(descriptor, MAX_ANSWER)
    except OSError:
        # A terminal that was closed.
        raise GoneError from None
    # A line that Ctrl-D cut short is no answer.
    if not data.endswith(b"\n"):
        raise GoneError
    return data.decode("utf-8", "replace")
