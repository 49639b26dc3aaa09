"""A view's document: one HTML page with all its style and script inside, and a policy of its own that lets nothing else in.

The host puts a policy round it, too (``connectDomains`` and ``resourceDomains`` are empty); this one holds in a host that is
careless. Scripts and styles are allowed by their digests alone, so that nothing which gets into the page by any way runs.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

_SHARED = ("gatelodge_core.apps", "assets")
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main id="view" aria-busy="true"></main>
<p id="said" role="status" aria-live="polite"></p>
<script>{script}</script>
</body>
</html>
"""
_SCRIPT = "(() => {\n'use strict';\n%s})();\n"


@cache
def document(title: str, package: str, parts: Sequence[str]) -> str:
    """The page.

    Args:
        title: For people.
        package: The package that the parts lie in, such as ``gatelodge_postgres.views``.
        parts: Names of ``.css`` and ``.js`` files, in order; those that all views share come before them.

    Raises:
        FileNotFoundError: A part is missing: the distribution is damaged.
    """
    shared = files(_SHARED[0]).joinpath(_SHARED[1])
    own = files(package)
    style = [shared.joinpath("base.css"), *(own.joinpath(name) for name in parts if name.endswith(".css"))]
    script = [
        *(shared.joinpath(name) for name in ("dom.js", "bridge.js")),
        *(own.joinpath(name) for name in parts if name.endswith(".js")),
    ]
    # A file that a checkout gave other line ends would have another digest in the page than in the browser.
    sheet = "\n" + "\n".join(part.read_text(encoding="utf-8") for part in style).replace("\r\n", "\n")
    code = "\n" + _SCRIPT % "\n".join(part.read_text(encoding="utf-8") for part in script).replace("\r\n", "\n")
    for text in (sheet, code):
        if "</" in text:
            raise ValueError(f"{package}: a part has an end tag in it, which would end its element")
    policy = f"default-src 'none'; script-src {_digest(code)}; style-src {_digest(sheet)}; base-uri 'none'; form-action 'none'"
    return _PAGE.format(policy=policy, title=html.escape(title), style=sheet, script=code)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
