"""Pages that a documentation generator made: they say themselves where their content is, so nobody has to guess.

Trafilatura, made for articles, loses text of such pages: descriptions that are no paragraphs, notes called sidebars,
lists of links that are the content of an index. Here all is kept but navigation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from gatelodge_websearch.html.blocks import Block
from gatelodge_websearch.html.dom import Node, content, elements, inherited

_GENERATOR = re.compile(
    r"\b(?:antora|asciidoc|docbook|docusaurus|docutils|doxygen|gitbook|javadoc|latex2html|makeinfo|mdbook|mkdocs|pdoc|publican"
    r"|rustdoc|sphinx|texinfo|vitepress|vuepress|yard|zensical)\b",
    re.IGNORECASE,
)
_FILES = re.compile(r"_static/(?:pygments|documentation_options|doctools|basic)\.|mdbook|ayu-highlight", re.IGNORECASE)
"""Files that pages of Sphinx and mdBook load, whatever their theme leaves out."""
_FRAME = frozenset({"nav", "menu", "button", "footer"})
_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "menu", "menubar", "toolbar", "dialog"})
_CLASSES = frozenset({"breadcrumb", "breadcrumbs", "docnav", "navfooter", "navheader", "nav-panel", "pagination", "prev-next-area", "prevnext", "related", "sphinxsidebar", "theme-doc-toc-mobile", "toc"})  # fmt: skip
_IDS = frozenset({"banner", "footer", "ft", "hd", "menu", "nav", "navbar", "searchbox", "sidebar", "toc"})
_ARTICLE = 0.6
_MAINS = 20


def is_manual(root: Node) -> bool:
    """Whether a page says that a documentation generator made it. Ask before its scripts and links are taken out."""
    for node in elements(root.iter("meta")):
        if node.get("name", "").lower() == "generator" and _GENERATOR.search(node.get("content", "")):
            return True
    return any(
        _FILES.search(node.get("href", "") or node.get("src", "")) for node in elements(root.iter("link", "script"))
    )


def of_manual(root: Node, blocks: Sequence[Block]) -> list[Block]:
    """The blocks of such a page without navigation; empty if that leaves none."""
    main = _main(root)
    stays = _stays(main)
    kept = [block for block in blocks if stays(block.node)]
    if main is None:
        # Where nothing is declared, links alone at either end lead to other pages.
        while kept and kept[0].is_links:
            del kept[0]
        while kept and kept[-1].is_links:
            del kept[-1]
    return kept if any(block.kind != "heading" for block in kept) else []


def _main(root: Node) -> Node | None:
    """The element that a page declares to be its content."""
    found = [node for node in elements(root.iter()) if node.tag == "main" or node.get("role", "") == "main"]
    if len(found) > _MAINS:
        return None
    # A main element in one that has the role is the one meant.
    outer = {id(place) for node in found for place in node.iterancestors()}
    inner = [node for node in found if id(node) not in outer]
    if len(inner) != 1:
        return None
    main = inner[0]
    articles = elements(main.iter("article"))
    if len(articles) == 1 and len(content(articles[0])) >= _ARTICLE * len(content(main)):
        return articles[0]
    return main


def _stays(main: Node | None) -> Callable[[Node], bool]:
    """Whether an element is content: not navigation, and in the main element if one is declared."""

    def own(place: Node) -> bool | None:
        if place is main:
            return True
        if place.tag in _FRAME or place.get("role", "") in _ROLES:
            return False
        if main is None and (place.get("id", "").lower() in _IDS or place.tag == "aside"):
            return False
        names = place.get("class", "").lower().split()
        if not _CLASSES.isdisjoint(names) or ("contents" in names and "local" in names):
            return False
        return None

    return inherited(own, otherwise=main is None)
