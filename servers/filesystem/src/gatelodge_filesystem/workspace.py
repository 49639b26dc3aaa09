"""The workspace: roots, the way from a path as it was asked for to a place inside one, and bounded work on threads.

A path is given as ``name/rest`` (the form answers use), as an absolute path under a root, as a ``file://`` URI, or,
where there is one root, relative to it. Paths are split as text only to choose the root; whether ``..`` or a link
leaves it is decided by the jail, at the moment of opening.
"""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote_to_bytes, urlsplit

import anyio
import anyio.to_thread
from gatelodge_core.errors import (
    AlreadyExists,
    BadName,
    CallError,
    Denied,
    IsADirectory,
    JailError,
    NotADirectory,
    NotEmpty,
    NotFound,
    ReadOnly,
    SpecialFile,
)

from gatelodge_filesystem.names import given, shown
from gatelodge_filesystem.roots import Root

T = TypeVar("T")

CALL_SECONDS = 50.0
"""The longest a call may work; some hosts give up at 60 s."""

_CODES: dict[type[JailError], tuple[str, str]] = {
    NotFound: ("not_found", "there is no such file or folder."),
    AlreadyExists: ("exists", "something of this name is there already."),
    NotADirectory: ("not_a_directory", "this is not a folder."),
    IsADirectory: ("is_a_directory", "this is a folder, not a file."),
    NotEmpty: ("not_empty", "the folder is not empty."),
    SpecialFile: ("is_special_file", "this is a pipe, socket or device, which is never opened."),
    BadName: ("bad_name", "the path has a part that can't be a name (over 255 bytes, or a NUL)."),
    Denied: ("permission_denied", "the operating system does not let this server do that."),
    ReadOnly: ("read_only_root", "this root was granted for reading only."),
}


@dataclass(frozen=True, slots=True)
class Spot:
    """A place inside a root, which may or may not exist.

    Args:
        root: The root.
        rel: The path relative to it, as `os.fsdecode` makes it; empty for the root itself.
    """

    root: Root
    rel: str

    def __str__(self) -> str:
        return shown(f"{self.root.name}/{self.rel}" if self.rel else self.root.name)

    def child(self, rel: str) -> Spot:
        """The place of `rel` below this one."""
        return Spot(self.root, f"{self.rel}/{rel}" if self.rel and rel else self.rel or rel)


class Workspace:
    """What the tools act on.

    Args:
        roots: The pinned roots.
        budget: The most characters of text in one result.
        state_dir: Where locks are kept.
    """

    def __init__(self, roots: Sequence[Root], *, budget: int, state_dir: str) -> None:
        self.roots = tuple(roots)
        self.budget = budget
        self.state_dir = state_dir
        # Two pools: searches that hang on a dead mount must not keep writes from ending.
        self._readers = 16
        self._writers = 4
        self._limiters: dict[str, anyio.CapacityLimiter] = {}

    def spot(self, path: str) -> Spot:
        """The place that a path means.

        Raises:
            CallError: `outside_roots` or `bad_name`.
        """
        text = given(_from_uri(path))
        if "\0" in text or len(os.fsencode(text)) > 4096:
            raise CallError("bad_name", "a path has no NUL and at most 4,096 bytes.")
        if os.path.isabs(text):
            return self._absolute(text)
        parts = [part for part in text.split("/") if part not in ("", ".")]
        named = {root.name: root for root in self.roots}
        if parts and parts[0] in named:
            return Spot(named[parts[0]], "/".join(parts[1:]))
        if len(self.roots) == 1 or not parts:
            return Spot(self.roots[0], "/".join(parts))
        raise CallError(
            "outside_roots",
            f"{shown(text)[:200]} does not begin with the name of a root.",
            "Call list_roots for the names.",
        )

    def _absolute(self, text: str) -> Spot:
        best: Spot | None = None
        for root in self.roots:
            for base in {root.jail.path, os.path.realpath(root.jail.path)}:
                if text == base or text.startswith(base.rstrip(os.sep) + os.sep):
                    rel = "/".join(part for part in text[len(base) :].split(os.sep) if part not in ("", "."))
                    if best is None or len(base) > len(best.root.jail.path):
                        best = Spot(root, rel)
        if best is None:
            raise CallError(
                "outside_roots", "the path is outside the folders this server may use.", "Call list_roots for these."
            )
        return best

    def failure(self, spot: Spot, error: JailError) -> CallError:
        """The error of a jail as one that the caller can act on."""
        code, text = next(
            (entry for kind, entry in _CODES.items() if isinstance(error, kind)), ("unusable", "this can't be used.")
        )
        hint = self._nearest(spot) if code == "not_found" else ""
        return CallError(code, f"{str(spot)[:400]}: {text}", hint)

    def _nearest(self, spot: Spot) -> str:
        """Names beside the missing one that it may have meant."""
        parent, _, name = spot.rel.rpartition("/")
        try:
            fd = spot.root.jail.open_directory(parent)
        except JailError:
            return "Call list_directory on a folder that exists."
        try:
            with os.scandir(fd) as entries:
                names = [entry.name for entry, _ in zip(entries, range(2000), strict=False)]
        except OSError:
            return ""
        finally:
            os.close(fd)
        close = [item for item in difflib.get_close_matches(name, names, 4, 0.6) if item != name]
        if not close:
            return f"Call list_directory on {Spot(spot.root, parent)} to see what is there."
        return "Did you mean: " + ", ".join(str(Spot(spot.root, parent).child(item)) for item in close) + "?"

    async def read(self, work: Callable[[threading.Event], T], *, seconds: float = CALL_SECONDS) -> T:
        """Run reading work on a thread; it is left alone when the call is cancelled or its time is up.

        Args:
            work: Gets an event that is set when nobody waits for it any more.
            seconds: The deadline.

        Raises:
            CallError: `timeout`.
        """
        stop = threading.Event()
        try:
            with anyio.fail_after(seconds):
                return await anyio.to_thread.run_sync(
                    work, stop, limiter=self._limiter("read", self._readers), abandon_on_cancel=True
                )
        except TimeoutError:
            raise CallError(
                "timeout", f"this took more than {seconds:.0f} s.", "Narrow it: a subfolder, a glob, a smaller limit."
            ) from None
        finally:
            stop.set()

    async def change(self, work: Callable[[], T]) -> T:
        """Run changing work on a thread, to its end: a cancelled call must not leave a change half known."""
        # Not abandoned on cancel: anyio then waits for the thread, shielded.
        return await anyio.to_thread.run_sync(work, limiter=self._limiter("write", self._writers))

    def _limiter(self, name: str, size: int) -> anyio.CapacityLimiter:
        # Made on first use, inside the event loop that will use it.
        return self._limiters.setdefault(name, anyio.CapacityLimiter(size))

    def close(self) -> None:
        """Let go of the roots."""
        for root in self.roots:
            root.jail.close()


def _from_uri(path: str) -> str:
    """The path of a ``file://`` URI, decoded once; any other text as it is.

    Raises:
        CallError: The URI has a host, so it names a file of another machine.
    """
    if not path.startswith("file:"):
        return path
    parts = urlsplit(path)
    if parts.netloc not in ("", "localhost"):
        raise CallError("outside_roots", "a file URI with a host names another machine's file.")
    return os.fsdecode(unquote_to_bytes(parts.path))
