"""What is written down of an operation: its steps, each with the version it found and the version it leaves.

Three steps are enough for everything the tools do, since new things are built beside their place and removed ones go to
the trash: ``swap`` gives a file other bytes, ``move`` renames to a free name, ``exchange`` lets two names change places.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

Kind = Literal["file", "link", "folder", "other"]
Action = Literal["swap", "move", "exchange"]

STATE = ""
"""The `Where.base` of the trash in the state directory."""
TRASH_FOLDER = ".gatelodge-trash"


@dataclass(frozen=True, slots=True)
class Version:
    """What stood under a name.

    Args:
        kind: What it was.
        etag: Names its content: a file's bytes, a link's text, what is in a folder; empty where that is not compared.
        size: Bytes of a file, or of everything in a folder, as far as known.
        blob: The name of its bytes in the store; empty if they are not kept there.
        mode: Permission bits.
        owner: User and group.
        times: Access and modification, nanoseconds.
        identity: Device and inode; only meaningful while the operation runs.
    """

    kind: Kind
    etag: str = ""
    size: int = 0
    blob: str = ""
    mode: int = 0
    owner: tuple[int, int] = (0, 0)
    times: tuple[int, int] = (0, 0)
    identity: tuple[int, int] = (0, 0)

    def same(self, other: Version) -> bool:
        """Whether the two are the same content, as far as either is compared."""
        if self.kind != other.kind:
            return False
        if self.etag and other.etag:
            return self.etag == other.etag
        # A file too large to be read for this is told by its size and time.
        return self.kind != "file" or (self.size, self.times[1]) == (other.size, other.times[1])


@dataclass(frozen=True, slots=True)
class Where:
    """A name in a root, or in the trash of the state directory.

    Args:
        base: The root's absolute path, or `STATE`.
        rel: The path in it, without links in its folders, as `os.fsdecode` makes it.
    """

    base: str
    rel: str

    @property
    def in_trash(self) -> bool:
        """Whether it is a place where removed things are kept."""
        return self.base == STATE or TRASH_FOLDER in self.rel.split("/")

    @property
    def folder(self) -> str:
        """The path of the folder it is in."""
        return self.rel.rpartition("/")[0]

    def beside(self, name: str) -> Where:
        """Another name in the same folder."""
        return Where(self.base, f"{self.folder}/{name}" if self.folder else name)


@dataclass(frozen=True, slots=True)
class Step:
    """One change that the kernel makes at once.

    Args:
        action: Which.
        source: The file of a swap; where a move begins; one name of an exchange.
        target: The same file of a swap; where a move ends; the other name of an exchange.
        before: What is at `source` before.
        after: What a swap leaves there; what is at `target` before an exchange; of a move the same as `before`.
        fresh: The source is a temporary name, so that taking the step back removes the thing.
    """

    action: Action
    source: Where
    target: Where
    before: Version
    after: Version
    fresh: bool = False

    def inverse(self) -> Step:
        """The step that takes this one back."""
        if self.action == "exchange":
            return replace(self, before=self.after, after=self.before)
        return replace(self, source=self.target, target=self.source, before=self.after, after=self.before, fresh=False)


@dataclass(frozen=True, slots=True)
class Operation:
    """What one call did.

    Args:
        id: Sorts by time.
        tool: The tool that did it.
        at: When, in seconds since 1970.
        steps: In the order in which they were made.
        undoes: The operations that this one took back.
        state: ``finished``; ``begun`` while it runs; ``partial`` if a killed one could not be settled wholly.
    """

    id: str
    tool: str
    at: float
    steps: tuple[Step, ...]
    undoes: tuple[str, ...] = ()
    state: Literal["begun", "finished", "partial"] = "begun"

    @property
    def paths(self) -> list[Where]:
        """The names that a person would say were changed."""
        found: list[Where] = []
        for step in self.steps:
            ends = [step.target] if step.fresh or step.action == "swap" else [step.source, step.target]
            found += [where for where in ends if not where.in_trash and where not in found]
        return found

    @property
    def kept(self) -> int:
        """Bytes that are kept for it."""
        return sum(step.before.size for step in self.steps if step.before.blob or step.target.in_trash)


def encoded(operation: Operation) -> bytes:
    """One line of JSON; names that aren't text keep their bytes as escaped surrogates."""
    table = asdict(operation)
    del table["state"]
    return json.dumps(table, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def decoded(line: bytes) -> Operation:
    """An operation from its line.

    Raises:
        ValueError: It isn't one, as after a torn write.
    """
    try:
        table = cast("dict[str, Any]", json.loads(line))
        steps = tuple(_step(item) for item in table.pop("steps"))
        return Operation(steps=steps, undoes=tuple(table.pop("undoes")), **table)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("not an operation") from error


def _step(table: dict[str, Any]) -> Step:
    return Step(
        table["action"],
        Where(**table["source"]),
        Where(**table["target"]),
        _version(table["before"]),
        _version(table["after"]),
        table["fresh"],
    )


def _version(table: dict[str, Any]) -> Version:
    for key in ("owner", "times", "identity"):
        table[key] = tuple(table[key])
    return Version(**table)


def described(found: os.stat_result, kind: Kind, etag: str, size: int, blob: str = "") -> Version:
    """A version from what the system says of it."""
    return Version(
        kind, etag, size, blob, found.st_mode & 0o7777, (found.st_uid, found.st_gid),
        (found.st_atime_ns, found.st_mtime_ns), (found.st_dev, found.st_ino),
    )  # fmt: skip
