"""Tools that read files and trees."""

from __future__ import annotations

import base64
import binascii
import bisect
from collections.abc import Mapping
from typing import Annotated, Any, cast

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import EXTERNAL, READ
from gatelodge_core.errors import CallError
from gatelodge_core.globs import Globs
from mcp_types import CallToolResult
from pydantic import Field

from gatelodge_github import blobs, cursors, names
from gatelodge_github.cursors import Place
from gatelodge_github.data import rows, table, text
from gatelodge_github.hints import advising
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.paging import Page
from gatelodge_github.transport.request import RAW
from gatelodge_github.trust.marks import Mark
from gatelodge_github.view import BUDGET, fitting, one_line, shown_size
from gatelodge_github.windows import Window

files = Declarations[Hub]()

ROOM = BUDGET - 1500
"""Bytes of a file in one answer, at most."""
_AROUND = 900
"""Bytes of an answer beside a file, its place and its source."""
MOST = 100 * 1024 * 1024
"""Bytes of the largest file that GitHub's API gives."""
MOST_ENTRIES = 1000
"""Entries that GitHub lists of a directory."""
TREE_BYTES = 32 * 1024 * 1024
_KINDS = {"blob": "file", "commit": "submodule"}

Line = Annotated[int, Field(ge=1)]


@files.tool(effect=READ, reach=EXTERNAL)
async def get_file(
    hub: Hub,
    repo: str = "",
    path: str = "",
    ref: str = "",
    start_line: Line = 1,
    end_line: int = 0,
    cursor: str = "",
) -> str:
    """Read a file, lines of it, or a directory, at any ref."""
    visit = await hub.open(repo)
    question = ["get_file", visit.repo.lower(), path, ref]
    inside = cursors.read(cursor, question)
    start_line = inside.get("l") or start_line
    if end_line and end_line < start_line:
        raise CallError("bad_lines", "end_line is before start_line.", "Give 0 for the end of the file.")
    quoted = names.file_path(path)
    asked = {"ref": names.ref(ref) if ref else ""}
    where = f"{names.repo_path(visit.repo)}/contents{'/' if quoted else ''}{quoted}"
    with advising("get_tree finds paths, list_refs the names of branches and tags.", "not_found"):
        found: object = await visit.api.data(where, asked)
    if inside and (isinstance(found, list) or not _same(inside, table(found))):
        raise cursors.changed("the file")
    shown = _Shown(visit, path, ref, Window(start_line, end_line, ROOM, inside.get("c") or 0), question)
    if isinstance(found, list):
        return shown.directory(rows(cast("object", found)))
    return await shown.file(table(found))


class _Shown:
    """What is shown of one path."""

    def __init__(self, visit: Visit, path: str, ref: str, window: Window, question: object) -> None:
        self.visit, self.window, self.question = visit, window, question
        self.sha = ""
        self.mark = Mark("", visit.facts.file_trust(ref))
        self.path = one_line(path.strip("/")) or "/"
        self.source = f"{self.path} of {visit.repo}"
        self.place = f"{self.path} of {visit.title} at {ref or visit.facts.default_branch or 'HEAD'}"

    def directory(self, entries: list[dict[str, Any]]) -> str:
        """Its entries, a line each."""
        lines = [f"{_type(item)}\t{item.get('size') or 0}\t{one_line(text(item.get('name')))}\n" for item in entries]
        self.window.feed("".join(lines).encode("utf-8", "replace"))
        self.window.close()
        shown, _ = self._fitted()
        notes = [f"cut: go on with start_line={self.window.next_line}"] if self.window.next_line else []
        if len(entries) >= MOST_ENTRIES:
            notes.append(f"GitHub lists at most {MOST_ENTRIES} entries: get_tree with this prefix has all.")
        which = f"entries {self.window.shown or 'none'} of {len(entries)} (type, bytes, name)"
        return self._told(f"{self.place}: directory, {which}", shown, notes)

    async def file(self, item: Mapping[str, Any]) -> str:
        """Its text, or what it is instead."""
        kind, size = text(item.get("type")), item.get("size")
        size = size if isinstance(size, int) else 0
        if kind != "file":
            target = text(item.get("target") or item.get("submodule_git_url"))
            line = self.visit.view.name(self.mark, target, "file", 500) if target else "unknown"
            more = f" (commit {text(item.get('sha'))[:40]})" if kind == "submodule" else ""
            return self.visit.view.bulk(f"{self.place}: {kind or 'nothing that can be read'}, to {line}{more}")
        content, encoding = text(item.get("content")), text(item.get("encoding"))
        sha = self.sha = text(item.get("sha"))
        about = f"{size:,} bytes, blob {sha[:10]}"
        if encoding == "base64" and (content or not size):
            return self._whole(_bytes(content), about)
        return await self._streamed(sha, size, about)

    def _whole(self, data: bytes, about: str) -> str:
        data, remark = blobs.narrow(data)
        self.window.feed(data)
        self.window.close()
        lines = data.count(b"\n") + (bool(data) and not data.endswith(b"\n"))
        return self._text(f"of {lines}", lines, about, remark)

    async def _streamed(self, sha: str, size: int, about: str) -> str:
        """A file above 1 MB: GitHub gives no content with its description."""
        if size > MOST:
            raise CallError("too_large", f"The file has {size:,} bytes; GitHub's API gives 100 MB.", "Clone it.")
        path = f"{names.repo_path(self.visit.repo)}/git/blobs/{names.segment(sha)}"
        raw = await self.visit.api.stream(path, {}, RAW, self.window.feed, MOST)
        if not raw.cut:
            self.window.close()
        lines = self.window.line - 1 if self.window.ended else -1
        return self._text(f"of {lines}" if lines >= 0 else "of more", lines, about, "")

    def _text(self, whole: str, lines: int, about: str, remark: str) -> str:
        window = self.window
        if not blobs.is_text(window.head):
            return self.visit.view.bulk(f"{self.place}: binary, {blobs.kind(window.head)}, {about}; not shown.")
        if not window.lines and (window.first > 1 or lines > 0):
            there = f"{lines}" if lines >= 0 else "fewer"
            raise CallError("no_such_line", f"The file has {there} lines.", "Give a smaller start_line.")
        shown, odd = self._fitted()
        notes: list[str] = []
        begun = f" from byte {window.skip + 1} of its first line" if window.skip else ""
        if window.broken:
            notes.append(self._onward(shown, odd, lines))
        elif window.next_line and not 0 <= lines < window.next_line:
            notes.append(f"cut: go on with start_line={window.next_line}")
        if window.data.startswith(blobs.LFS):
            notes.append("This is a Git LFS pointer: the content itself is not in the repository.")
        about = ", ".join(part for part in (about, remark or odd) if part)
        return self._told(
            f"{self.place}: {f'lines {window.shown}{begun} {whole}' if window.lines else 'empty'}, {about}",
            shown,
            notes,
        )

    def _onward(self, shown: str, odd: str, lines: int) -> str:
        """How to go on inside of a line of which only a part has room."""
        window = self.window
        end = window.skip + len(shown.encode("latin-1" if odd else "utf-8"))
        cursor = cursors.make({"l": window.first, "c": end, "a": self.sha}, self.question)
        note = f"cut inside line {window.first}, which is longer than an answer: go on with cursor={cursor}"
        after = window.first + 1
        return (
            note if 0 <= lines < after or 0 < window.last < after else f"{note}, or behind it with start_line={after}"
        )

    def _fitted(self) -> tuple[str, str]:
        """As many lines as fit once they can be seen, and a remark on their encoding: in another one they may be longer."""
        window, whole = self.window, self.window.lines
        room = ROOM + 1500 - _AROUND - shown_size(self.place) - shown_size(self.source)

        def size(count: int) -> int:
            return shown_size(blobs.decoded(b"".join(whole[:count]), cut=window.broken)[0])

        if size(len(whole)) <= room:
            return blobs.decoded(window.data, cut=window.broken)
        # Of more lines, none is shown shorter.
        count = bisect.bisect_right(range(1, len(whole)), room, key=size)
        window.keep(max(1, count))
        shown, odd = blobs.decoded(window.data, cut=window.broken)
        if not count:
            piece, window.broken = fitting(shown, room)
            # However little room there is, something of it is read.
            shown = piece or shown[:1]
        return shown, odd

    def _told(self, head: str, shown: str, notes: list[str]) -> str:
        view = self.visit.view
        body = view.text(self.mark, shown, self.source, "file", markdown=False)
        return view.bulk(head, body, "\n".join(notes))


@files.tool(effect=READ, reach=EXTERNAL)
async def get_tree(
    hub: Hub,
    repo: str = "",
    ref: str = "",
    prefix: str = "",
    glob: Annotated[str, Field(description="Such as **/*.py")] = "",
    limit: Annotated[int, Field(ge=1, le=1000)] = 200,
    cursor: str = "",
) -> CallToolResult:
    """Find files by prefix or glob, with sizes."""
    visit = await hub.open(repo)
    globs = Globs([glob] if glob else [], empty_matches=True)
    names.file_path(prefix)
    below = prefix.strip("/")
    question = ["get_tree", visit.repo.lower(), ref, below, glob]
    place = cursors.read(cursor, question)
    start = text(place.get("a")) or (names.ref(ref) if ref else visit.facts.default_branch or "HEAD")
    tree = await _tree(visit, start, below, inside=bool(place.get("p")))
    mark = Mark("", visit.facts.file_trust(ref))
    found = [item for item in tree.entries if _wanted(text(item.get("path")), below, globs)]
    found = [item for item in found if visit.view.admits(mark, "file")]
    first = place.get("o") or 0
    part = [
        (item, {"o": at, "a": tree.sha, "p": int(tree.inside)})
        for at, item in enumerate(found[first : first + limit], first + 1)
    ]
    shown: list[tuple[dict[str, Any], Place]] = []
    for item, behind in part:
        kind = "symlink" if item.get("mode") == "120000" else _KINDS[text(item.get("type"))]
        row = {
            "path": visit.view.name(mark, text(item.get("path")), "file"),
            "bytes": item.get("size") or 0,
            "type": kind,
        }
        shown.append((row, behind))
    note = ""
    if tree.truncated:
        note = (
            "GitHub cut this tree (100,000 entries or 7 MB): name a deeper prefix, or list directories with get_file."
        )
    title = (
        f"files {f'below {below} ' if below else ''}of {visit.title} at {ref or visit.facts.default_branch or 'HEAD'}"
    )
    page = Page(part, total=len(found), more=first + limit < len(found))
    return visit.view.listing(title, shown, page, question, note=note)


class _Tree:
    """A tree, its paths from the repository's root."""

    def __init__(self, data: Mapping[str, Any], below: str, *, inside: bool) -> None:
        self.sha, self.inside = text(data.get("sha")), inside
        self.truncated = data.get("truncated") is True
        self.entries = [item for item in rows(data.get("tree")) if item.get("type") in _KINDS]
        if inside:
            self.entries = [{**item, "path": f"{below}/{text(item.get('path'))}"} for item in self.entries]


async def _tree(visit: Visit, start: str, below: str, *, inside: bool) -> _Tree:
    """The files of a tree; where GitHub cuts it, those below a directory are asked for by the directory's own hash."""
    found = _Tree(await _listed(visit, start, recursive=True), below, inside=inside)
    if not found.truncated or not below or inside:
        return found
    sha = found.sha
    for part in below.split("/"):
        level = rows((await _listed(visit, sha, recursive=False)).get("tree"))
        sha = next(
            (text(item.get("sha")) for item in level if item.get("path") == part and item.get("type") == "tree"), ""
        )
        if not sha:
            return found
    return _Tree(await _listed(visit, sha, recursive=True), below, inside=True)


async def _listed(visit: Visit, tree: str, *, recursive: bool) -> Mapping[str, Any]:
    path = f"{names.repo_path(visit.repo)}/git/trees/{names.segment(tree)}"
    with (
        advising("list_refs shows the names of branches and tags.", "not_found", "invalid"),
        advising("The repository may have no commits yet.", "conflict"),
    ):
        answer = await visit.api.get(path, {"recursive": 1 if recursive else None}, max_bytes=TREE_BYTES)
    return table(answer.data)


def _wanted(path: str, below: str, globs: Globs) -> bool:
    if below and path != below and not path.startswith(f"{below}/"):
        return False
    return globs.matches(path) or globs.matches(path[len(below) :].lstrip("/"))


def _same(inside: Place, item: Mapping[str, Any]) -> bool:
    """Whether a cursor inside of a line was made for this very content."""
    return bool(inside.get("a")) and inside["a"] == item.get("sha")


def _type(item: Mapping[str, Any]) -> str:
    """In directories GitHub calls a submodule a file, one that can't be downloaded."""
    kind = text(item.get("type"))
    return "submodule" if kind == "file" and "download_url" in item and not item["download_url"] else kind


def _bytes(content: str) -> bytes:
    try:
        return base64.b64decode(content)
    except (binascii.Error, ValueError):
        raise CallError("bad_answer", "GitHub's content is no base64.", "Try again.") from None
