"""Tools that change a file."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Annotated, Literal, NotRequired

from gatelodge_core.apps.showing import show, wanted
from gatelodge_core.declare import Declarations
from gatelodge_core.effects import PRIVATE, WRITE
from gatelodge_core.errors import CallError
from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from gatelodge_filesystem.atomic import Current, StaleError, Written
from gatelodge_filesystem.edits import Edit, apply
from gatelodge_filesystem.encoding import UTF8, Encoding, detect, dominant_eol, etag, line_ends
from gatelodge_filesystem.hunks import shown_hunks
from gatelodge_filesystem.tools.reading import Path
from gatelodge_filesystem.unified import Diff, unified
from gatelodge_filesystem.workspace import Spot, Workspace

writing = Declarations[Workspace]()

IfMatch = Annotated[str, Field(description="The etag of the version you read.")]
DryRun = Annotated[bool, Field(description="Show the diff, change nothing.")]
_ENCODINGS = {
    "utf-8": UTF8,
    "utf-8-bom": Encoding("utf-8", codecs.BOM_UTF8),
    "utf-16-le": Encoding("utf-16-le", codecs.BOM_UTF16_LE),
    "latin-1": Encoding("latin-1"),
}


@with_config(ConfigDict(extra="forbid", strict=True))
class EditSpec(TypedDict):
    """One replacement."""

    old: Annotated[str, Field(description="Exact text, unique in the file; with start_line, of those lines.")]
    new: str
    replace_all: NotRequired[bool]
    expected_count: NotRequired[int]
    near_line: NotRequired[Annotated[int, Field(description="Take the occurrence nearest to this line.")]]
    start_line: NotRequired[Annotated[int, Field(ge=1, description="Replace lines by number instead.")]]
    end_line: NotRequired[Annotated[int, Field(ge=0, description="start_line-1 and old='' to insert.")]]


@writing.tool(effect=WRITE, yields=PRIVATE)
async def write_file(
    workspace: Workspace,
    path: Path,
    content: str,
    mode: Literal["create", "overwrite", "append"] = "create",
    if_match: IfMatch = "",
    encoding: Annotated[
        Literal["", "utf-8", "utf-8-bom", "utf-16-le", "latin-1"], Field(description="Empty keeps the file's.")
    ] = "",
    dry_run: DryRun = False,
) -> str:
    """Create a file, append to one, or overwrite one whole: that needs if_match. Atomic, undoable. To change a part use edit_file."""
    spot = workspace.spot(path)
    if mode == "create":
        if if_match:
            raise CallError("invalid_arguments", "if_match goes with mode=overwrite.", "A new file has no version yet.")
        chosen = _ENCODINGS[encoding or "utf-8"]
        data = chosen.bom + _encoded(content, chosen)
        if dry_run:
            await workspace.read(lambda _: workspace.would_create(spot, data))
            return f"[{spot}] would be created with {len(data)} bytes"
        written = await workspace.change(lambda: workspace.create(spot, data))
        return f"[{spot}] created, etag={written.etag}, {written.size} bytes, change={written.change}"
    if mode == "append":
        return await _replace(
            workspace,
            spot,
            lambda current: current.data + _in_its_way(content, current.data, encoding)[1],
            if_match,
            dry_run=dry_run,
            what="appended to",
            tool="write_file",
        )
    if not if_match:
        raise CallError(
            "if_match_required", "overwriting needs the etag of the version you saw.", "Call read_file first."
        )

    def change(current: Current) -> bytes:
        chosen, data = _in_its_way(content, current.data, encoding)
        return chosen.bom + data

    return await _replace(workspace, spot, change, if_match, dry_run=dry_run, what="overwritten", tool="write_file")


@writing.tool(effect=WRITE, yields=PRIVATE)
async def edit_file(
    workspace: Workspace,
    path: Path,
    edits: Annotated[list[EditSpec], Field(min_length=1, max_length=200)],
    if_match: IfMatch = "",
    whitespace: Annotated[
        Literal["exact", "flexible"], Field(description="flexible: whole lines by text, re-indented as the file is.")
    ] = "exact",
    dry_run: DryRun = False,
) -> str:
    """Replace exact text in a file; all edits or none. Other bytes, line ends and encoding stay. Answers with the diff and new etag."""
    spot = workspace.spot(path)

    def change(current: Current) -> bytes:
        found = detect(current.data[:65536], whole=len(current.data) <= 65536)
        if not found.is_text:
            raise CallError("is_binary", f"{spot} is not text.", "It can only be replaced whole, by another program.")
        return apply(current.data, [Edit(**edit) for edit in edits], found, flexible=whitespace == "flexible").data

    return await _replace(workspace, spot, change, if_match, dry_run=dry_run, what="edited", tool="edit_file")


async def _replace(
    workspace: Workspace,
    spot: Spot,
    change: Callable[[Current], bytes],
    if_match: str,
    *,
    dry_run: bool,
    what: str,
    tool: str,
) -> str:
    """Replace a file, or show what that would do; the answer tells the new etag and the diff."""
    viewed = wanted()

    def changed() -> tuple[Written, bytes, bytes]:
        versions: list[tuple[bytes, bytes]] = []

        def noted(current: Current) -> bytes:
            versions[:] = [(current.data, change(current))]
            return versions[0][1]

        if not dry_run:
            return workspace.replace(spot, noted, if_match, tool=tool), *versions[0]
        current = workspace.current(spot)
        if if_match and if_match != current.etag:
            raise StaleError(current.data)
        data = noted(current)
        return Written(etag(data), len(data), created=False), current.data, data

    def work() -> tuple[Written, Diff, dict[str, object]]:
        try:
            written, before, after = changed()
        except StaleError as error:
            raise _stale(workspace, spot, error) from None
        # Here, as the loop has others to serve; and behind the file's lock.
        found = detect(after[:65536], whole=len(after) <= 65536)
        diff = unified(before, after, str(spot), found, budget=workspace.budget - 2000)
        return written, diff, {"base": etag(before), **shown_hunks(before, after, found)} if viewed else {}

    # What changes nothing is left alone where nobody waits any more.
    written, diff, hunks = await (workspace.read(lambda _: work()) if dry_run else workspace.change(work))
    if viewed:
        show(
            {
                "kind": "diff",
                "path": str(spot),
                "done": not dry_run,
                "etag": written.etag,
                "change": written.change,
                "added": diff.added,
                "removed": diff.removed,
                "notes": list(written.notes),
                **hunks,
            }
        )
    notes = "".join(f", NOTE: {note}" for note in written.notes)
    head = f"[{spot}] {'would be ' if dry_run else ''}{what}, +{diff.added} -{diff.removed} lines"
    cut = ", DIFF CUT to fit" if diff.cut else ""
    change_id = f", change={written.change}" if written.change else ""
    return f"{head}, etag={written.etag}, {written.size} bytes{change_id}{notes}{cut}\n{diff.text}"


def _stale(workspace: Workspace, spot: Spot, error: StaleError) -> CallError:
    """The refusal of an outdated etag, with the present text where that is short."""
    present = error.present
    found = detect(present[:65536], whole=len(present) <= 65536)
    hint = f"{error.hint} The etag now is {etag(present)}."
    if found.is_text and len(present) <= min(8000, workspace.budget // 2):
        return CallError(
            error.code, f"{spot}: {error.message}", f"{hint} Its text now:\n{found.decode(present[len(found.bom) :])}"
        )
    return CallError(error.code, f"{spot}: {error.message}", f"{hint} Call read_file for its text.")


def _in_its_way(content: str, data: bytes, encoding: str) -> tuple[Encoding, bytes]:
    """Text with the encoding and line ends of a file, unless another encoding is asked for."""
    found = detect(data[:65536], whole=len(data) <= 65536)
    chosen = _ENCODINGS.get(encoding) or (found if found.is_text else UTF8)
    ends = dominant_eol(line_ends(data, found)) if found.is_text else "\n"
    text = content.replace("\r\n", "\n").replace("\n", ends) if ends != "\n" else content
    return chosen, _encoded(text, chosen)


def _encoded(text: str, encoding: Encoding) -> bytes:
    try:
        return text.encode(encoding.codec)
    except UnicodeEncodeError as error:
        char = text[error.start]
        raise CallError(
            "not_representable",
            f"{encoding.codec} has no {char!r} (U+{ord(char):04X}).",
            "Set encoding=utf-8. Nothing was changed.",
        ) from None
