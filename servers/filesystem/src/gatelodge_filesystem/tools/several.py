"""Tools that read several files, compare two, or read what isn't text."""

from __future__ import annotations

import base64
import os
import threading
from typing import Annotated, Literal

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import PRIVATE, READ
from gatelodge_core.errors import CallError
from mcp_types import AudioContent, CallToolResult, ImageContent, TextContent
from pydantic import Field

from gatelodge_filesystem.encoding import detect, etag
from gatelodge_filesystem.media import fitted
from gatelodge_filesystem.mime import mime_of
from gatelodge_filesystem.tools.reading import MAX_PATHS, Path, header, not_modified
from gatelodge_filesystem.unified import unified
from gatelodge_filesystem.windows import SAMPLE_BYTES, read_all, read_window
from gatelodge_filesystem.workspace import Workspace

several = Declarations[Workspace]()

MAX_MEDIA = 32 * 1024 * 1024
"""Bytes of the largest image or sound that is looked at."""
MAX_COMPARED = 8 * 1024 * 1024


@several.tool(effect=READ, yields=PRIVATE)
async def read_files(
    workspace: Workspace,
    paths: Annotated[list[str], Field(min_length=1, max_length=MAX_PATHS)],
    max_lines: Annotated[int, Field(ge=1, le=100_000, description="Of each file.")] = 2000,
    if_none_match: Annotated[list[str], Field(max_length=MAX_PATHS, description="Etags you have.")] = [],  # noqa: B006
) -> str:
    """Read several text files within one budget, each with its header or its own error. What doesn't fit is named."""

    def work(stop: threading.Event) -> str:
        parts: list[str] = []
        room = workspace.budget - 500
        for number, path in enumerate(paths):
            if stop.is_set():
                break
            # Each gets an equal share of what is left, so that one long file can't take it all.
            share = room // (len(paths) - number)
            part = _one(workspace, path, max_lines, max(share - 300, 200), if_none_match, stop)
            room -= len(part) + 1
            if room < 0:
                rest = ", ".join(path[:200] for path in paths[number:])
                parts.append(
                    f"OMITTED {len(paths) - number} files, no room left; call read_files again with: {rest}"[:4000]
                )
                break
            parts.append(part)
        return "\n".join(parts)

    return await workspace.read(work)


def _one(workspace: Workspace, path: str, max_lines: int, budget: int, known: list[str], stop: threading.Event) -> str:
    try:
        spot = workspace.spot(path)
        fd = workspace.open_file(spot)
        try:
            window = read_window(fd, start=1, max_lines=max_lines, budget=budget, stop=stop)
        finally:
            os.close(fd)
    except CallError as error:
        return f"[{path[:400]}] ERROR {error}"
    if window.etag and window.etag in known:
        return not_modified(spot, window.etag)
    return f"{header(spot, window)}\n{window.text}"


@several.tool(effect=READ, yields=PRIVATE)
async def diff_files(workspace: Workspace, old: Path, new: Path) -> str:
    """Compare two text files: a unified diff, with both etags and the number of lines added and removed."""
    before, after = workspace.spot(old), workspace.spot(new)

    def work(_: threading.Event) -> str:
        data: list[bytes] = []
        for spot in (before, after):
            fd = workspace.open_file(spot)
            try:
                data.append(read_all(fd, MAX_COMPARED))
            finally:
                os.close(fd)
        tags = f"etag={etag(data[0])} and {etag(data[1])}"
        if data[0] == data[1]:
            return f"[{before} | {after}] identical, {tags}"
        found = [detect(item[:SAMPLE_BYTES], whole=len(item) <= SAMPLE_BYTES) for item in data]
        if not all(item.is_text for item in found):
            return f"[{before} | {after}] different, not text, {len(data[0])} and {len(data[1])} bytes, {tags}"
        if found[0] != found[1]:
            # Two encodings are compared as the text that they show.
            data = [
                item.decode(raw[len(item.bom) :]).encode("utf-8", "surrogatepass")
                for item, raw in zip(found, data, strict=True)
            ]
            utf8 = detect(b"", whole=True)
            diff = unified(data[0], data[1], str(before), utf8, budget=workspace.budget - 1500)
            note = f", encodings {found[0].name} and {found[1].name}"
        else:
            diff = unified(data[0], data[1], str(before), found[0], budget=workspace.budget - 1500)
            note = ""
        text = diff.text.replace(f"+++ {before}\n", f"+++ {after}\n", 1)
        cut = ", DIFF CUT to fit: read the rest with read_file" if diff.cut else ""
        return f"[{before} | {after}] +{diff.added} -{diff.removed} lines, {tags}{note}{cut}\n{text}"

    return await workspace.read(work)


@several.tool(effect=READ, yields=PRIVATE)
async def read_media(
    workspace: Workspace,
    path: Path,
    form: Annotated[Literal["auto", "blob"], Field(description="blob: any bytes, as base64.")] = "auto",
    offset: Annotated[int, Field(ge=0, description="Of a blob.")] = 0,
    max_bytes: Annotated[int, Field(ge=1024, le=4_000_000, description="Images are scaled to fit.")] = 750_000,
) -> CallToolResult:
    """Look at an image (scaled down to fit), hear audio, or read a range of bytes of any file as base64."""
    spot = workspace.spot(path)

    def work(_: threading.Event) -> CallToolResult:
        fd = workspace.open_file(spot)
        try:
            size = os.fstat(fd).st_size
            if form == "blob":
                return _blob(str(spot), fd, size, offset, min(max_bytes, (workspace.budget - 500) // 4 * 3))
            data = read_all(fd, MAX_MEDIA)
        finally:
            os.close(fd)
        kind = mime_of(spot.rel, data[:64], text=False)
        head = f"[{spot}] {kind}, {size} bytes, etag={etag(data)}"
        if kind.startswith("image/"):
            picture = fitted(data, kind, max_bytes)
            note = f", {picture.note}" if picture.note else ""
            image = ImageContent(
                type="image", data=base64.b64encode(picture.data).decode(), mime_type=picture.mime_type
            )
            return CallToolResult(content=[TextContent(type="text", text=head + note), image])
        if kind.startswith("audio/"):
            if size > max_bytes:
                raise CallError(
                    "too_large", f"the sound has {size} bytes, max_bytes is {max_bytes}.", "Raise max_bytes."
                )
            sound = AudioContent(type="audio", data=base64.b64encode(data).decode(), mime_type=kind)
            return CallToolResult(content=[TextContent(type="text", text=head), sound])
        raise CallError("no_media", f"{spot} is {kind}.", "Read text with read_file, other bytes with form=blob.")

    return await workspace.read(work)


def _blob(name: str, fd: int, size: int, offset: int, length: int) -> CallToolResult:
    if offset > size:
        raise CallError("past_the_end", f"the file has {size} bytes.", "Give an offset within that.")
    data = os.pread(fd, length, offset)
    end = offset + len(data)
    more = f", MORE: continue with offset={end}" if end < size and data else ""
    head = f"[{name}] bytes {offset}-{end} of {size}, base64{more}"
    return CallToolResult(content=[TextContent(type="text", text=f"{head}\n{base64.b64encode(data).decode()}")])
