"""Text of PDF files, by pypdfium2 (the extra ``pdf``).

The parser runs in this process, in a thread, under the process's own confinement; what it may take is bounded in
bytes, pages and time between pages.
"""

from __future__ import annotations

import importlib
import threading
import time
from typing import Any

from gatelodge_core.errors import CallError

MAX_PAGES = 300
MAX_SECONDS = 15.0
MAX_TEXT = 2_000_000
_LOCK = threading.Lock()
"""PDFium isn't safe for several threads."""


def text_of(data: bytes) -> tuple[str, str]:
    """The title and the text of a PDF, with a heading for each page.

    Raises:
        CallError: `unsupported` without the extra; `bad_pdf`; `no_text` for one that is only pictures.
    """
    try:
        pdfium: Any = importlib.import_module("pypdfium2")
    except ImportError:
        raise CallError(
            "unsupported", "The page is a PDF, which this installation can't read.", "Install gatelodge-websearch[pdf]."
        ) from None
    deadline = time.monotonic() + MAX_SECONDS
    with _LOCK:
        try:
            document: Any = pdfium.PdfDocument(data)
        except pdfium.PdfiumError:
            raise CallError("bad_pdf", "The PDF is damaged or needs a password.", "Use another source.") from None
        try:
            return _title(document), _pages(document, deadline)
        finally:
            document.close()


def _pages(document: Any, deadline: float) -> str:
    parts: list[str] = []
    count = len(document)
    room = MAX_TEXT
    seen = False
    for number in range(count):
        if number >= MAX_PAGES or time.monotonic() > deadline or room <= 0:
            parts.append(f"(The PDF has {count} pages; those from page {number + 1} on were not read.)")
            break
        page: Any = document[number]
        words: Any = page.get_textpage()
        text = str(words.get_text_bounded()).replace("\r\n", "\n").strip()
        words.close()
        page.close()
        seen = seen or bool(text)
        room -= len(text)
        parts.append(f"## Page {number + 1}\n\n{text}")
    if not seen:
        raise CallError("no_text", "The PDF has no text, only pictures.", "Use another source.")
    return "\n\n".join(parts)


def _title(document: Any) -> str:
    found: Any = document.get_metadata_dict(skip_empty=True)
    return str(found.get("Title", ""))[:300]
