r"""Unified diffs of several files, as ``git diff`` and ``diff -u`` write them, read and applied without guessing.

A hunk is placed where its lines are: at the line it names if they are there, otherwise at the only other place that has
them. Nothing is applied with less context than it came with. Source of the format: POSIX diff -u, git-diff(1).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gatelodge_core.errors import CallError

from gatelodge_filesystem.encoding import Encoding, dominant_eol, line_ends
from gatelodge_filesystem.newlines import prepare
from gatelodge_filesystem.patch_names import NOTHING, headed, pair, plain

MAX_FILES = 100
MAX_PLACES = 10
"""Places of a hunk that are told of; two are too many already."""
MAX_LOOKED = 500_000_000
"""Characters that may be gone through to place the hunks of one patch, a second or so."""
PROGRAM = "100755"
_FILE = "100644"
_HUNK = re.compile(r"^@@ -([0-9]{1,9})(?:,([0-9]{1,9}))? \+([0-9]{1,9})(?:,([0-9]{1,9}))? @@")
_NO_END = "\\"


@dataclass(frozen=True, slots=True)
class Hunk:
    """One place that changes.

    Args:
        line: The first line it is about, from 1; 0 in an empty file.
        old: What is there, with its line ends.
        edits: What changes in that: offset, length, and what comes there. Context is between them.
    """

    line: int
    old: str
    edits: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class FilePatch:
    """The change of one file.

    Args:
        path: Which.
        hunks: In order.
        creates: The file is new.
        deletes: The file goes away.
        program: The new file may be executed.
    """

    path: str
    hunks: tuple[Hunk, ...]
    creates: bool = False
    deletes: bool = False
    program: bool = False


def parse(patch: str) -> list[FilePatch]:
    """Read a patch.

    Raises:
        CallError: `bad_patch`, with the line that can't be read.
    """
    lines = patch.replace("\r\n", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    files: list[FilePatch] = []
    header: _Header | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            made, at = _file(lines, at)
            files.append(replace(made, program=header is not None and header.program and made.creates))
            header = None
            continue
        if line.startswith("diff --git "):
            files += _alone(header)
            header = _Header(at, line.removeprefix("diff --git "))
        elif line.startswith("Binary files ") and line.endswith(" differ"):
            raise _bad(at, "binary files aren't taken", "Use write_file with encoding=base64.")
        elif header is not None:
            header.read(at, line)
        if line.startswith("@@"):
            raise _bad(at, "a hunk comes before its --- and +++ lines")
        at += 1  # or what a mail says around the diff
    files += _alone(header)
    if not files or len(files) > MAX_FILES:
        raise CallError("bad_patch", f"a patch has 1 to {MAX_FILES} files.", "Each begins with --- and +++ lines.")
    if len({file.path for file in files}) < len(files):
        raise CallError("bad_patch", "a file occurs twice.", "Join its hunks.")
    return files


@dataclass(slots=True)
class _Header:
    """What git says of a file before its lines.

    Args:
        at: Where it begins.
        names: Both names of the file.
        mark: ``new file`` or ``deleted file``, if it is one.
        program: Whether the new file may be executed.
    """

    at: int
    names: str
    mark: str = ""
    program: bool = False

    def read(self, at: int, line: str) -> None:
        """Take in a line of it.

        Raises:
            CallError: `bad_patch`: what it says can't be done here.
        """
        if line.startswith(("rename from", "copy from", "GIT binary patch", "old mode", "new mode")):
            raise _bad(at, "renames, copies, modes and binary patches aren't taken", "Use move_path and copy_path.")
        mode = line.removeprefix("new file mode ").strip()
        if mode != line.strip() and mode not in (_FILE, PROGRAM):
            kind = {"120000": "a link", "160000": "a submodule"}.get(mode, f"a file of mode {mode[:20]}")
            raise _bad(at, f"it makes {kind}, which isn't taken", "Leave that file out of the patch.")
        if mode == PROGRAM:
            self.program = True
        if line.startswith(("new file", "deleted file")):
            self.mark = line.partition(" mode")[0]


def _alone(header: _Header | None) -> list[FilePatch]:
    """The file of a header without lines: an empty one that is new or goes away."""
    if header is None:
        return []
    names = headed(header.names)
    if not header.mark or names is None or names[0] != names[1]:
        raise _bad(header.at, "it names a file, and nothing that can be applied follows", "Nothing was changed.")
    creates, deletes = header.mark == "new file", header.mark == "deleted file"
    return [FilePatch(names[0], (), creates, deletes, header.program)]


def _file(lines: Sequence[str], at: int) -> tuple[FilePatch, int]:
    """The file whose lines begin here, and where they end."""
    old, new = pair(plain(lines[at][4:]), plain(lines[at + 1][4:]))
    hunks, at = _hunks(lines, at + 2)
    path = new if old == NOTHING else old
    if new not in (path, NOTHING):
        raise _bad(at - 1, f"it renames {old} to {new}", "Use move_path.")
    return FilePatch(path, tuple(hunks), creates=old == NOTHING, deletes=new == NOTHING), at


def _hunks(lines: Sequence[str], at: int) -> tuple[list[Hunk], int]:
    hunks: list[Hunk] = []
    while at < len(lines) and (found := _HUNK.match(lines[at])):
        line = int(found[1])
        left, right = int(found[2] or 1), int(found[4] or 1)
        rows: list[tuple[str, str]] = []
        at += 1
        while left > 0 or right > 0 or (at < len(lines) and lines[at].startswith(_NO_END)):
            if at >= len(lines):
                raise _bad(at - 1, "the last hunk has fewer lines than it says")
            mark, text = lines[at][:1] or " ", lines[at][1:]
            if mark == _NO_END and rows:
                rows[-1] = (rows[-1][0], rows[-1][1].removesuffix("\n"))
            elif mark in (" ", "-", "+"):
                rows.append((mark, f"{text}\n"))
                left -= mark != "+"
                right -= mark != "-"
            else:
                raise _bad(at, "a line of a hunk begins with a space, -, + or \\")
            at += 1
        if left or right:
            raise _bad(at - 1, "a hunk has other numbers of lines than it says")
        hunks.append(Hunk(line, "".join(text for mark, text in rows if mark != "+"), tuple(_edits(rows))))
    return hunks, at


def _edits(rows: Sequence[tuple[str, str]]) -> Iterator[tuple[int, int, str]]:
    offset = 0
    for changed, group in itertools.groupby(rows, key=lambda row: row[0] != " "):
        texts = list(group)
        old = sum(len(text) for mark, text in texts if mark != "+")
        if changed:
            yield offset, old, "".join(text for mark, text in texts if mark == "+")
        offset += old


def _bad(at: int, what: str, hint: str = "") -> CallError:
    return CallError("bad_patch", f"line {at + 1}: {what}.", hint or "Nothing was changed.")


def patched(data: bytes, hunks: Sequence[Hunk], encoding: Encoding, path: str, effort: Effort | None = None) -> bytes:
    """A file with hunks applied; the bytes of every line they don't change stay.

    Args:
        data: The file.
        hunks: They, in order.
        encoding: How it is read as text.
        path: How it is called in errors.
        effort: What placing them may cost, shared by the files of a patch.

    Raises:
        CallError: `no_match` or `ambiguous_edit`, naming the hunk; `too_many_matches`; `not_representable`.
    """
    effort = effort or Effort()
    body = data[len(encoding.bom) :]
    errors = "surrogateescape" if encoding.codec == "utf-8" else "strict"
    try:
        text = body.decode(encoding.codec, errors)
    except UnicodeDecodeError:
        raise CallError("not_representable", f"{path} can't be read as {encoding.codec}.", "") from None
    hay = prepare(text, "\r\n", "\r", "\n")
    eol = dominant_eol(line_ends(body, encoding))
    pieces: list[str] = []
    done = 0
    lines = _Lines(hay.plain)
    for number, hunk in enumerate(hunks, 1):
        start = _place(lines, hunk, number, path, done, effort)
        for offset, length, new in hunk.edits:
            begin = start + offset
            pieces += [text[hay.back(done) : hay.back(begin)], new.replace("\n", eol)]
            done = begin + length
    pieces.append(text[hay.back(done) :])
    try:
        return encoding.bom + "".join(pieces).encode(encoding.codec, errors)
    except UnicodeEncodeError as error:
        raise CallError(
            "not_representable", f"{path} is {encoding.codec}, which has no {text[error.start : error.end]!r}.", ""
        ) from None


@dataclass(slots=True)
class Effort:
    """What placing the hunks of all files of a patch may still cost.

    Args:
        left: Characters that may be gone through.
    """

    left: int = MAX_LOOKED

    def spend(self, characters: int) -> None:
        """Count characters that were gone through.

        Raises:
            CallError: `too_many_matches`: too much was looked at for one patch.
        """
        self.left -= characters
        if self.left < 0:
            raise CallError(
                "too_many_matches",
                "its hunks are not at the lines that they name, and too much of the files is like them.",
                "Nothing was changed. Read the files, and make the patch anew.",
            )


class _Lines:
    """A text of which lines are asked for in order; it is counted through once for all hunks.

    Args:
        plain: The text, its line ends made equal.
    """

    def __init__(self, plain: str) -> None:
        self.plain = plain
        self._starts: list[int] = [0]

    def start(self, line: int) -> int | None:
        """Where a line begins, from 1; of 0 where the first does; None if there are fewer."""
        while len(self._starts) < line:
            found = self.plain.find("\n", self._starts[-1])
            if found < 0:
                return None
            self._starts.append(found + 1)
        return self._starts[max(line, 1) - 1]

    def fits(self, at: int, old: str) -> bool:
        """Whether lines stand at an offset, whole."""
        if not self.plain.startswith(old, at):
            return False
        ended = at + len(old) == len(self.plain) or old.endswith("\n")
        return ended and (not at or self.plain[at - 1] == "\n")

    def places(self, old: str, after: int, effort: Effort) -> list[int]:
        """The first places of whole lines, enough to tell that there are several.

        Raises:
            CallError: `too_many_matches`.
        """
        if not old.endswith("\n"):  # they end the text
            last = len(self.plain) - len(old)
            return [last] if last >= after and self.fits(last, old) else []
        found: list[int] = [after] if self.fits(after, old) else []
        # The line end before them is looked for too, else a long text may have very many places that are none.
        row = f"\n{old}"
        begin = after
        while len(found) < MAX_PLACES:
            at = self.plain.find(row, begin)
            # What was gone through, and what was compared once more.
            effort.spend((len(self.plain) if at < 0 else at) - begin + len(row))
            if at < 0:
                break
            found.append(at + 1)
            begin = at + 1
        return found


def _place(lines: _Lines, hunk: Hunk, number: int, path: str, after: int, effort: Effort) -> int:
    if not hunk.old:
        start = lines.start(hunk.line + 1)
        if start is None or start < after:
            raise CallError("no_match", f"{path}: hunk {number} has no place.", "Nothing was changed.")
        return start
    named = lines.start(hunk.line)
    if named is not None and named >= after and lines.fits(named, hunk.old):
        return named
    places = lines.places(hunk.old, after, effort)
    if len(places) == 1:
        return places[0]
    shown = ", ".join(str(lines.plain.count("\n", 0, place) + 1) for place in places)
    raise CallError(
        "ambiguous_edit" if places else "no_match",
        f"{path}: hunk {number} (line {hunk.line}) " + (f"fits at lines {shown}." if places else "fits nowhere."),
        "Nothing was changed. Read the file, and make the patch anew.",
    )
