"""Runs in a peer's environment: reads a page a line on stdin, writes what two peers make of it on stdout.

A line is JSON text; an answer is {name: [Markdown, CPU seconds]}. It imports nothing of this project.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import warnings
from typing import Any


def main() -> None:
    warnings.simplefilter("ignore")
    # What others print must not come between the answers.
    out, sys.stdout = sys.stdout, sys.stderr
    document: Any = importlib.import_module("readability").Document
    markdownify: Any = importlib.import_module("markdownify")
    fetch: Any = importlib.import_module("mcp_server_fetch.server").extract_content_from_html

    def readability(page: str) -> str:
        return str(markdownify.markdownify(document(page).summary(), heading_style=markdownify.ATX))

    for line in sys.stdin:
        page = json.loads(line)
        answer: dict[str, tuple[str, float]] = {}
        for name, extract in (("readability-lxml + markdownify", readability), ("mcp-server-fetch", fetch)):
            begun = time.process_time()
            try:
                made = str(extract(page))
            except Exception as error:  # noqa: BLE001 - a peer's failure is its result
                made = f"<error>{type(error).__name__}</error>"
            answer[name] = (made, time.process_time() - begun)
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
