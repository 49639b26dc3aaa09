"""A page cut into blocks in document order, each written as Markdown: what choosing works on.

A block is a heading, a paragraph, a list item, a code block or a table; the last two are never cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, cast
from urllib.parse import urljoin, urlsplit

from gatelodge_core.numbers import whole

from gatelodge_websearch.html.dom import Node, content, elements

Kind = Literal["heading", "text", "item", "code", "table"]

_BLOCKS = frozenset({"address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "frameset", "head", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "html", "legend", "li", "main", "menu", "nav", "ol", "p", "pre", "search", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"})  # fmt: skip
_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_CODE = ("code", "kbd", "samp", "tt", "var")
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language|lang|highlight-source|highlight|brush|sourceCode|code)[-:\s]\s*([A-Za-z0-9+#_.-]{1,20})"
)
_NO_LANGUAGE = frozenset({"default", "none", "text", "notranslate", "block", "example", "highlight"})
_SPACE = re.compile(r"[ \t\r\n\f]+")
_PERMALINK = frozenset({"¶", "#", "§", "🔗", "\uf0c1"})
_CELL = 1500
MAX_BLOCKS = 20_000
_FILLED = 50
"""Cells a short row is filled up with at most."""
_DEPTH = 200


@dataclass(slots=True)
class Block:
    """A part of a page.

    Args:
        kind: What it is.
        text: As Markdown.
        plain: Its words alone.
        node: Where it stands.
        level: Of a heading, 1 to 6; of an item, how deep its list is.
        linked: Characters of `plain` inside links.
    """

    kind: Kind
    text: str
    plain: str
    node: Node = field(repr=False)
    level: int = 0
    linked: int = 0

    @property
    def is_links(self) -> bool:
        """Whether it is little but links."""
        return bool(self.plain) and self.linked >= 0.8 * len(self.plain) and self.kind in ("text", "item")


class Cutter:
    """Cuts one page.

    Args:
        base: URL that links are relative to.
        links: Whether links are written, or only their text.
    """

    def __init__(self, base: str, *, links: bool = True) -> None:
        self._base = base
        self._links = links
        self._made: list[Block] = []
        self._inline: list[str] = []
        self._linked = 0
        self._prefix = ""
        self._depth = 0
        self._numbers: dict[Node, int] = {}

    def cut(self, root: Node) -> list[Block]:
        """The blocks of an element."""
        self._walk(root, 0)
        self._flush(root)
        return self._made

    def _walk(self, node: Node, depth: int) -> None:
        if depth > _DEPTH or len(self._made) >= MAX_BLOCKS:
            self._add(content(node))
            return
        self._add(node.text)
        for child in node:
            if isinstance(cast("object", child.tag), str):
                if len(self._made) < MAX_BLOCKS:
                    self._child(node, child, depth)
                else:
                    self._add(content(child))
                self._add(child.tail)

    def _child(self, node: Node, child: Node, depth: int) -> None:
        tag = child.tag
        if tag not in _BLOCKS:
            self._in_line(child, depth)
            return
        self._flush(node)
        if tag in _HEADINGS:
            self._whole("heading", child, depth, _HEADINGS[tag])
        elif tag == "pre":
            self._code(child)
        elif tag == "table" and (inner := _numbered(child)) is not None:
            self._code(inner)
        elif tag == "table" and is_data(child):
            self._table(child)
        elif tag == "li":
            before, self._prefix = self._prefix, self._marker(child)
            self._walk(child, depth + 1)
            self._flush(child)
            self._prefix = before
        elif tag in ("ul", "ol", "menu"):
            self._depth += 1
            before, self._prefix = self._prefix, ""
            self._walk(child, depth + 1)
            self._flush(child)
            self._prefix = before
            self._depth -= 1
        else:
            # A page that never opens its body has everything in its head, as this parser reads it.
            self._walk(child, depth + 1)
            self._flush(child)

    def _marker(self, item: Node) -> str:
        parent = item.getparent()
        if parent is None or parent.tag != "ol":
            return "-"
        number = self._numbers.get(parent)
        if number is None:
            start = parent.get("start", "1")
            number = 1 if (found := whole(start, 6)) is None else found
        self._numbers[parent] = number + 1
        return f"{number}."

    def _in_line(self, node: Node, depth: int) -> None:
        tag = node.tag
        if tag == "br":
            self._inline.append("\n")
        elif tag in ("img", "button", "title"):
            # A picture's alternative text isn't seen on the page, and has carried instructions.
            return
        elif tag == "a" and not _has_block(node):
            self._anchor(node, depth)
        elif tag in _CODE and not _has_block(node):
            text = content(node)
            if text.strip():
                self._inline.append(_ticked(text))
        elif tag == "q":
            self._inline.append("\u201c")
            self._walk(node, depth + 1)
            self._inline.append("\u201d")
        else:
            self._walk(node, depth + 1)

    def _anchor(self, node: Node, depth: int) -> None:
        mark = len(self._inline)
        self._walk(node, depth + 1)
        inner = _SPACE.sub(" ", "".join(self._inline[mark:])).strip()
        if inner in _PERMALINK:
            del self._inline[mark:]
            return
        self._linked += len(inner)
        url = absolute(self._base, node.get("href", ""))
        if self._links and inner and url and url != self._base:
            lead = " " if self._inline[mark:] and self._inline[mark][:1].isspace() else ""
            self._inline[mark:] = [f"{lead}[{inner.replace('[', '(').replace(']', ')')}]({url})"]

    def _add(self, text: str | None) -> None:
        if text:
            # Most pieces have single spaces alone.
            odd = "\n" in text or "  " in text or "\t" in text or "\r" in text or "\f" in text
            self._inline.append(_SPACE.sub(" ", text) if odd else text)

    def _flush(self, node: Node) -> None:
        """End the paragraph that was collected."""
        linked, self._linked = self._linked, 0
        text = _lines("".join(self._inline))
        self._inline.clear()
        if not text:
            return
        plain = _words(text)
        if self._depth and self._prefix:
            self._made.append(Block("item", f"{self._prefix} {text}", plain, node, self._depth, linked))
            self._prefix = " " * len(self._prefix)
        else:
            self._made.append(Block("text", text, plain, node, 0, linked))

    def _whole(self, kind: Kind, node: Node, depth: int, level: int) -> None:
        """A heading: one line, whatever is in it."""
        start = len(self._made)
        before, self._prefix = self._prefix, ""
        links, self._links = self._links, False
        self._walk(node, depth + 1)
        self._flush(node)
        self._prefix, self._links = before, links
        parts, self._made[start:] = self._made[start:], []
        text = " ".join(" ".join(part.text.split()) for part in parts)
        if text:
            self._made.append(Block(kind, f"{'#' * level} {text}", _words(text), node, level))

    def _code(self, node: Node) -> None:
        text = code_text(node)
        if text.strip():
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
            written = f"{fence}{_language(node)}\n{text}\n{fence}"
            self._made.append(Block("code", written, _words(text), node))

    def _table(self, table: Node) -> None:
        rows: list[list[str]] = []
        for row in elements(table.iter("tr")):
            cells: list[str] = []
            for cell in elements(row):
                if cell.tag not in ("td", "th"):
                    continue
                inner = Cutter(self._base, links=self._links)
                cells.append(_celled(" ".join(block.text for block in inner.cut(cell))))
                # A cell over several columns leaves the others empty, so that columns stay below each other.
                wide = cell.get("colspan", "1")
                cells += [""] * (min(whole(wide) or 1, 20) - 1)
            if any(cells):
                rows.append(cells)
        caption = next((_lines(content(node)) for node in elements(table.iter("caption"))), "")
        if caption:
            self._made.append(Block("text", caption, _words(caption), table))
        if rows:
            wide = max(len(row) for row in rows)
            # One long row among many short ones would make a table that is far larger than the page.
            filled = [row + [""] * min(wide - len(row), _FILLED) for row in rows]
            lines = [f"| {' | '.join(row)} |" for row in filled]
            lines.insert(1, f"|{'---|' * wide}")
            text = "\n".join(lines)
            self._made.append(Block("table", text, _words(" ".join(cell for row in rows for cell in row)), table))


@lru_cache(maxsize=4096)
def absolute(base: str, href: str) -> str:
    """A link's URL in full; empty if it doesn't lead to a page, or has parts that Markdown would misread."""
    href = href.strip()
    if not href or href.startswith("#") or len(href) > 2000:
        return ""
    try:
        url = urljoin(base, href)
        if urlsplit(url).scheme not in ("http", "https"):
            return ""
    except ValueError:
        return ""
    return "".join(f"%{ord(char):02X}" if char in '()<> \t\r\n"[]' else char for char in url)


def is_data(table: Node) -> bool:
    """Whether a table shows data, rather than lays a page out."""
    if table.get("role", "") in ("presentation", "none") or any(inner is not table for inner in table.iter("table")):
        return False
    if any(True for _ in table.iter("pre")):
        return False
    widest = 0
    for row in elements(table.iter("tr")):
        cells = [cell for cell in elements(row) if cell.tag in ("td", "th")]
        if any(len(content(cell)) > _CELL for cell in cells):
            return False
        widest = max(widest, len(cells))
    return widest > 1


def code_text(node: Node) -> str:
    """A code block's text as it stands, without the line numbers some generators put in."""
    parts = list(_code_parts(node, 0))
    return "".join(parts).replace("\r\n", "\n").strip("\n").rstrip()


def _code_parts(node: Node, depth: int) -> list[str]:
    parts: list[str] = [node.text or ""]
    for child in elements(node):
        names = child.get("class", "").split()
        if child.tag == "br":
            parts.append("\n")
        elif child.tag != "button" and not {"linenos", "lineno", "line-number", "copybtn", "gutter"} & set(names):
            parts += _code_parts(child, depth + 1) if depth < _DEPTH else [content(child)]
        parts.append(child.tail or "")
    return parts


def _numbered(table: Node) -> Node | None:
    """The code of a table that only puts line numbers beside it."""
    code = [node for node in elements(table.iter("pre")) if re.search(r"[^\d\s]", content(node))]
    return code[0] if len(code) == 1 and len(elements(table.iter("tr"))) == 1 else None


def _language(node: Node) -> str:
    inner = node.find("code")
    up = [place for place, _ in zip(node.iterancestors(), range(3), strict=False)]
    for place in [*([inner] if inner is not None else []), node, *up]:
        for name in (f"lang-{place.get('data-lang', '')}", place.get("class", "")):
            found = _LANGUAGE.search(name)
            if found and found[1].lower() not in _NO_LANGUAGE:
                return found[1].lower()
    return ""


def _has_block(node: Node) -> bool:
    return any(inner.tag in _BLOCKS for inner in elements(node.iter()))


def _ticked(text: str) -> str:
    text = _SPACE.sub(" ", text)
    if "`" not in text:
        return f"`{text.strip()}`"
    mark = "`" * (1 + max(len(run) for run in re.findall(r"`+", text)))
    return f"{mark} {text.strip()} {mark}"


def _lines(text: str) -> str:
    """Lines without space at their ends, and no empty ones."""
    return "\n".join(line for raw in text.split("\n") if (line := " ".join(raw.split())))


def _celled(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# As `absolute` writes URLs; a bracket in between ends the search, which would else take the square of the length.
_TARGET = re.compile(r"\]\([^\s()]+\)")


def _words(text: str) -> str:
    """The words of written Markdown, without link targets and ticks."""
    return " ".join(_TARGET.sub(" ", text).replace("[", " ").replace("`", " ").split())
