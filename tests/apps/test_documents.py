"""The pages themselves: whole, alone, and the same after all that the guard does to what leaves."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.apps.page import document
from gatelodge_core.apps.words import MIME_TYPE
from gatelodge_core.declare import Declarations, ResourceDeclaration
from gatelodge_core.guard.cleansing import Cleanser
from gatelodge_core.guard.redaction import Redactor
from gatelodge_filesystem.viewing import viewing as filesystem
from gatelodge_postgres.viewing import viewing as postgres
from gatelodge_websearch.viewing import viewing as websearch

VIEWS: dict[str, ResourceDeclaration] = {
    resource.uri: resource for part in (filesystem, postgres, websearch) for resource in part.resources.values()
}
each = pytest.mark.parametrize("uri", VIEWS)


def page(uri: str) -> str:
    return anyio.run(VIEWS[uri].function, None)


class Outline(HTMLParser):
    """The tags of a page with their attributes, and what scripts and styles hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.held: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.held.setdefault(self.tags[-1][0], data)


@each
def test_a_page_names_no_place_outside_of_itself(uri: str) -> None:
    text = page(uri)
    assert not re.findall(r"https?://|//[a-z]|url\(|@import|\bimport\(", text.replace("'http:/' + '/", ""))
    for tag, attributes in Outline(text).tags:
        assert tag in ("html", "head", "meta", "title", "style", "body", "main", "p", "script")
        assert not {"src", "href", "srcset", "action", "style"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
    assert len(text) < 64_000


@each
def test_a_script_never_reads_markup_and_never_makes_code_of_text(uri: str) -> None:
    script = Outline(page(uri)).held["script"]
    words = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|\beval\b|\bFunction\(|setHTML|srcdoc|\.href\s*=|\.src\s*=|location|fetch\(|XMLHttp|WebSocket|localStorage|cookie|window\.open"
    assert not re.findall(words, script)


@each
def test_the_policy_lets_exactly_the_pages_own_script_and_style_in(uri: str) -> None:
    outline = Outline(page(uri))
    (policy,) = [meta["content"] for tag, meta in outline.tags if tag == "meta" and "http-equiv" in meta]
    digests = {
        kind: base64.b64encode(hashlib.sha256(outline.held[kind].encode()).digest()).decode() for kind in outline.held
    }
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digests['script']}'; style-src 'sha256-{digests['style']}'; "
        "base-uri 'none'; form-action 'none'"
    )


@each
def test_nothing_that_the_guard_does_to_what_leaves_changes_a_page(uri: str) -> None:
    for pii in ("mask", "block"):
        cleanser = Cleanser(Redactor([("token", "s3cr3t-token-value")], pii=pii, shapes=True))
        assert cleanser.text(page(uri)) == page(uri)
    assert VIEWS[uri].mime_type == MIME_TYPE


def test_a_page_is_refused_whose_part_would_end_its_element(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "broken_views"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "bad.js").write_text("const text = '</script>';", encoding="utf-8")
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    with pytest.raises(ValueError, match="end tag"):
        document("Broken", "broken_views", ("bad.js",))


def test_a_view_has_the_scheme_that_hosts_look_for() -> None:
    with pytest.raises(ValueError, match="ui://"):
        Declarations[Any]().view("https://x.example/", name="x", description="X.", tools=(), document=str)
