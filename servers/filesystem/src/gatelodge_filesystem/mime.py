"""The MIME type of a file: by signature for what is shown to a model, else by name, else by whether it is text."""

from __future__ import annotations

import mimetypes

_TABLE = mimetypes.MimeTypes()  # its own: the system's tables would make answers differ between machines
_MORE = {
    ".md": "text/markdown", ".rs": "text/x-rust", ".go": "text/x-go", ".toml": "application/toml",
    ".yaml": "application/yaml", ".yml": "application/yaml", ".ts": "text/x-typescript", ".tsx": "text/x-typescript",
    ".jsx": "text/javascript", ".sql": "application/sql", ".jsonl": "application/jsonl", ".flac": "audio/flac",
    ".ogg": "audio/ogg", ".opus": "audio/ogg", ".m4a": "audio/mp4", ".webp": "image/webp", ".avif": "image/avif",
    ".heic": "image/heic", ".wav": "audio/wav", ".ini": "text/plain", ".cfg": "text/plain", ".lock": "text/plain",
}  # fmt: skip
for _ending, _kind in _MORE.items():
    _TABLE.add_type(_kind, _ending)

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
)


def mime_of(name: str, head: bytes, *, text: bool) -> str:
    """The type of a file.

    Args:
        name: Its name or path.
        head: Its first bytes.
        text: Whether it is text; then no signature counts, and no type that promises bytes.
    """
    guessed = _TABLE.guess_type(name, strict=False)[0] or ""
    if text:
        return guessed if _textual(guessed) else "text/plain"
    for offset, magic, kind in _SIGNATURES:
        if head.startswith(magic, offset):
            # A zip is many things; its name knows which.
            return guessed if kind == "application/zip" and guessed.startswith("application/") else kind
    return guessed if guessed and not guessed.startswith("text/") else "application/octet-stream"


def _textual(kind: str) -> bool:
    return kind.startswith("text/") or kind.endswith(("+xml", "+json")) or kind in _TEXTUAL


_TEXTUAL = frozenset(
    (
        "application/json", "application/xml", "application/javascript", "application/toml", "application/yaml",
        "application/sql", "application/jsonl", "application/x-sh",
    )
)  # fmt: skip
