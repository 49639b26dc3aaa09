"""What a file holds: text in some encoding, or something else, told by its first bytes."""

from __future__ import annotations

HEAD = 8000
"""Bytes that are looked at; git looks at as many for a NUL, and calls a file with one binary."""
LFS = b"version https://git-lfs.github.com/spec/"
"""The beginning of a pointer of Git LFS (its specification, "The pointer")."""
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "ZIP archive, or a document of that form"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip archive"),
    (b"\x7fELF", "ELF program"),
    (b"MZ", "Windows program"),
    (b"\xcf\xfa\xed\xfe", "Mach-O program"),
    (b"\xca\xfe\xba\xbe", "Java class or Mach-O program"),
    (b"\x00asm", "WebAssembly"),
    (b"SQLite format 3\x00", "SQLite database"),
    (b"wOFF", "WOFF font"),
    (b"wOF2", "WOFF2 font"),
    (b"\x00\x01\x00\x00", "TrueType font"),
    (b"OggS", "Ogg media"),
    (b"ID3", "MP3 audio"),
)


def is_text(head: bytes) -> bool:
    """Whether a file that begins so is shown as text."""
    return b"\0" not in head[:HEAD] and not head.startswith(b"%PDF-")


def kind(head: bytes) -> str:
    """What a file that isn't text seems to be."""
    if head.startswith(b"RIFF"):
        return {b"WEBP": "WebP image", b"WAVE": "WAV audio", b"AVI ": "AVI video"}.get(head[8:12], "RIFF media")
    if head[4:8] == b"ftyp":
        return "MP4 media"
    if head.startswith(_WIDE):
        return "text in UTF-16"
    return next((name for magic, name in _KINDS if head.startswith(magic)), "of unknown type")


def narrow(data: bytes) -> tuple[bytes, str]:
    """A whole file's bytes, made UTF-8 if it is UTF-16 with its mark, and a remark on that."""
    if data.startswith(_WIDE):
        try:
            return data.decode("utf-16").encode(), "UTF-16"
        except UnicodeDecodeError:
            pass
    return data, ""


def decoded(data: bytes, *, cut: bool = False) -> tuple[str, str]:
    """Some lines as text, and a remark if they aren't UTF-8.

    Args:
        data: The lines.
        cut: Whether the end may be in the middle of a character.
    """
    if cut:
        end = len(data)
        while end and len(data) - end < 3 and data[end - 1] & 0xC0 == 0x80:
            end -= 1
        if end and data[end - 1] >= 0xC0:
            data = data[: end - 1]
    try:
        return data.decode(), ""
    except UnicodeDecodeError:
        return data.decode("latin-1"), "not UTF-8, read as Latin-1"
