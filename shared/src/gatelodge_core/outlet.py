"""What holds for every command: its output can be shown anywhere, may end early, and a stop is no accident."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from types import FrameType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

STOPPED = 128
"""With the number of the signal, as shells count a program that a signal ended."""
UNWRITTEN = 74
"""As ``EX_IOERR`` of sysexits.h: what was to be told couldn't be written."""


class Parser(argparse.ArgumentParser):
    """Tells when its help can't be written; argparse says nothing, and that all is well."""

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Write the help, or end the process as every command ends whose output can't be written."""
        status = run(self.prog, lambda: _write(self.format_help(), file))
        if status:
            sys.exit(status)


class _Terminated(BaseException):
    """Somebody wants the process to end."""


def run(name: str, command: Callable[[], int]) -> int:
    """Run a command; its exit status, or another one if it was stopped or nobody can read what it says.

    Args:
        name: What it is called in messages.
        command: It; its own exits go through.
    """
    _prepare()
    try:
        with _terminable():
            try:
                return command()
            finally:
                _flush()
    except KeyboardInterrupt:
        _tell(f"\n{name}: stopped")
        return STOPPED + signal.SIGINT
    except _Terminated:
        return STOPPED + signal.SIGTERM
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        _abandon()
        return 0
    except OSError as error:
        _abandon()
        _tell(f"{name}: {error.strerror or error}")
        return UNWRITTEN


def coloured(stream: TextIO) -> bool:
    """Whether colour, and lines that are written over, are wanted there (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _prepare() -> None:
    """See that there is a home, input and output, and that this takes any character: names are other people's."""
    if os.name == "posix" and not os.path.isabs(os.environ.get("HOME", os.sep)):
        # Empty or relative: it would put files at the root, or wherever one is. Without it the user database counts.
        del os.environ["HOME"]
    for place, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, place)
        if stream is None:
            # Closed by whoever started it (`>&-`).
            setattr(sys, place, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for the process's whole life
        elif place != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _terminable() -> Generator[None]:
    """Let SIGTERM unwind the command, so that it ends what it has started."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated


def _write(text: str, file: SupportsWrite[str] | None) -> int:
    print(text, end="", file=file)
    return 0


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _abandon() -> None:
    """Keep the interpreter from complaining when it flushes what can't be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _tell(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
