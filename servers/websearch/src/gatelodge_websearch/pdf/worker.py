"""What runs in the process apart: from a PDF to text. It is loaded by the zygote, or as a program where there is none.

python -I -m gatelodge_websearch.pdf.worker < paper.pdf
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

MAX_PAGES = 2000
MAX_SECONDS = 10.0
"""After which no further page is begun; the process itself is killed later."""
MAX_TEXT = 2_000_000
_PASSWORD = 4
"""FPDF_ERR_PASSWORD of fpdfview.h."""

_PDFIUM: Any = importlib.import_module("pypdfium2")
_SHEET = b"""%PDF-1.4
1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj
2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>> endobj
4 0 obj <</Length 23>> stream
BT /F 9 Tf (word) Tj ET
endstream endobj
5 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj
6 0 obj <</Title(t)>> endobj
trailer <</Root 1 0 R/Info 6 0 R>>
"""


def work(data: bytes) -> bytes:
    """A PDF's title and text as JSON, or under ``error`` the code of what is wrong with it."""
    return json.dumps(_read(data)).encode("ascii")


def _read(data: bytes) -> dict[str, str]:
    deadline = time.monotonic() + MAX_SECONDS
    try:
        document: Any = _PDFIUM.PdfDocument(data)
    except _PDFIUM.PdfiumError as error:
        return {"error": "password" if getattr(error, "err_code", None) == _PASSWORD else "damaged"}
    text = _pages(document, deadline)
    return {"title": _title(document), "text": text} if text else {"error": "pictures"}


def _pages(document: Any, deadline: float) -> str:
    parts: list[str] = []
    count = len(document)
    room = MAX_TEXT
    seen = False
    for number in range(count):
        if number >= MAX_PAGES or time.monotonic() > deadline or room <= 0:
            parts.append(f"(The PDF has {count} pages; those from page {number + 1} on were not read.)")
            break
        text = _page(document, number)[:room]
        seen = seen or bool(text)
        room -= len(text)
        parts.append(f"## Page {number + 1}\n\n{text}".rstrip())
    return "\n\n".join(parts) if seen else ""


def _page(document: Any, number: int) -> str:
    try:
        page: Any = document[number]
        words: Any = page.get_textpage()
        text = str(words.get_text_bounded())
    except _PDFIUM.PdfiumError:
        return "(This page is damaged.)"
    words.close()
    page.close()
    return text.replace("\r\n", "\n").strip()


def _title(document: Any) -> str:
    found: Any = document.get_metadata_dict(skip_empty=True)
    return str(found.get("Title", ""))[:300]


# A worker can't open files any more: what is loaded late is loaded by reading a sheet of our own.
work(_SHEET)

if __name__ == "__main__":
    sys.stdout.buffer.write(work(sys.stdin.buffer.read()))
