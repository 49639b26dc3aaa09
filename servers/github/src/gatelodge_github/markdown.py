"""What GitHub doesn't show of a text in Markdown is made visible, and nothing is deleted.

A person who reads an issue sees neither its HTML comments nor link definitions that nothing uses, nor where an image
comes from, nor that a link says one host and leads to another. A model reads all of it as if a person had written it for
all to see. So each of these gets a mark in `⟦⟧`. Everything else stays byte for byte: `Vec<String>` is no tag to this
module, and what stands in code is left alone.

Sources: GitHub Flavored Markdown (spec 0.29), of which only blocks that decide what is code are followed; where it is
unclear whether something is shown, it is marked. Invisible characters are the business of `gatelodge_core.guard.hygiene`.
"""

from __future__ import annotations

import bisect
import html
import re
import urllib.parse
from dataclasses import dataclass, field

LONG_INFO = 40
"""Characters of a code block's info string that are taken for the name of a language and its options."""
_TAG_REACH = 2048
_LIST_REACH = 100
_PREFIX = r"[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t>]++)*+"
_LABEL = r"\[((?:[^\[\]\\\n]|\\.){1,999}+)\]"
_TITLE = r"(?:\"[^\"\n]{0,2000}+\"|'[^'\n]{0,2000}+'|\([^()\n]{0,2000}+\))"
_DEFINITION = rf"{_LABEL}:[ \t]*+(?:\n[ \t]{{0,8}})?(<[^<>\n]{{0,2000}}+>|[^\s<]\S{{0,2000}}+)(?:[ \t]++{_TITLE}|[ \t]*+\n[ \t]{{1,8}}+{_TITLE})?+[ \t]*+(?=\n|\Z)"
_NOTE = r"\[\^([^\]\s]{1,200}+)\]:[^\n]*+"
_TOKEN = re.compile(
    rf"\n(?P<prefix>{_PREFIX})(?:(?P<fence>`{{3,}}+|~{{3,}}+)(?P<info>[^\n]*+)|(?P<note>{_NOTE})|(?P<definition>{_DEFINITION}))"
    r"|\\[!-/:-@\[-`{-~]"
    r"|`(?P<ticks>`*+)"
    r"|<(?P<markup>!--|!\[CDATA\[|!(?=[A-Z]{2,20}\s)|\?(?=[A-Za-z]))"
    r"|<(?P<tag>(?i:img|source|video|a)(?=[\s/]))"
    r"|!(?P<image>\[)"
    r"|\[(?P<link>)"
    r"|\](?P<close>)"
)
"""What a step begins with. Each begins with a plain character, so that the search can skip to one of them."""
_DEFINED = re.compile(rf"\n{_PREFIX}{_DEFINITION}")
_BRACKETED = re.compile(r"\[([^\[\]]{1,999}+)\](?!:)")
_ENDS = {"!--": "-->", "![CDATA[": "]]>", "!": ">", "?": "?>"}
_FENCE_END = re.compile(r"\n[ \t>]*+(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?=\n|\Z)")
_QUOTE_END = re.compile(r"\n(?![ \t]{0,3}>)")
_ITEM_END = re.compile(r"\n(?=\S)")
_ITEM = re.compile(r" ?(?:[-*+]|\d{1,9}[.)])[ \t]")
_BREAK = re.compile(
    r"\n[ \t>]*+(?:\n|\Z|<[!?/A-Za-z]|`{3}|~{3}|#{1,6}[ \t]|[-*+][ \t]|\d{1,9}[.)][ \t]|\||[=*_-]+[ \t]*(?=\n|\Z))"
)
"""Where a paragraph ends, and code in a line with it."""
_TAG = re.compile(r"<\w+((?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+)>")
_ADDRESS = re.compile(r"(?i)\s(?:href|src|srcset)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'<>]+))")
_TARGET = re.compile(rf"\(\s*+(<[^<>\n]*+>|[^\s()<](?:[^\s()]++|\([^\s()]*+\))*+|)(?:\s++{_TITLE})?+\s*+\)")
_REFERENCE = re.compile(r"\[([^\[\]]{0,999}+)\]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}):")
_NAMED_HOST = re.compile(
    r"(?i)(?:\b(?:https?|ftp)://|(?<![\w.])(?=www\.))(?:[^\s/@<>]{1,100}@)?([\w.-]{1,253})"
    r"|\A\s*[*_~`]{0,3}((?:[\w-]{1,63}\.){1,8}(?:com|org|net|io|dev|app|ai|co|edu|gov|info|cloud|site|page|xyz|eu|uk|de|fr|ch|jp|cn|ru))(?:[/:?#]\S*)?[*_~`]{0,3}\s*\Z"
)
_NOT_WORDS = re.compile(r"\]\([^()\s]*+[^()]*+\)|<[^<>]*+>")
"""What isn't shown of an image or a tag within a link."""
_UNREADABLE = "an address that can't be read"
_HOST = re.compile(r"[\w.:\[\]-]{1,253}")


def shown(text: str) -> tuple[str, int]:
    """A text in Markdown with what GitHub hides made visible.

    - HTML comments, and what else HTML skips: `⟦hidden comment: ...⟧`, whole. A comment without end reaches to the
      text's end.
    - Link definitions and footnotes that nothing refers to, or that lead nowhere: the same, as they stand.
    - Images from another host: `⟦image from host⟧` behind them.
    - Links whose text names another host than the one they lead to: `⟦link to host⟧` beside them.
    - Long info strings of code blocks: `⟦hidden text: ...⟧`.

    Args:
        text: The text as GitHub stores it.

    Returns:
        The text, the same object if there was nothing to show, and how many marks were set. Time is linear.
    """
    if not any(sign in text for sign in ("<", "[", "```", "~~~")):
        return text, 0
    walk = _Walk("\n" + text)
    result = walk.run()
    return (result[1:], walk.count) if walk.count else (text, 0)


@dataclass(slots=True)
class _Walk:
    """One pass over a text, which begins with a line feed that isn't part of it."""

    text: str
    count: int = 0
    _at: int = 0
    _kept: int = 0
    _pieces: list[str] = field(default_factory=list[str])
    _open: list[tuple[int, bool]] = field(default_factory=list[tuple[int, bool]])
    _linked: int = -1
    """Where the words of the last link begin."""
    _targets: dict[str, str] = field(default_factory=dict[str, str])
    _used: set[str] = field(default_factory=set[str])
    _ticks: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    _breaks: list[int] = field(default_factory=list[int])
    _endless: set[str] = field(default_factory=set[str])

    def run(self) -> str:
        """The text with its marks."""
        text = self.text
        if "]:" in text:
            self._used = {_label(match[1]) for match in _BRACKETED.finditer(text)}
            for match in _DEFINED.finditer(text):
                self._targets.setdefault(_label(match[1]), match[2])
        if "`" in text:
            for match in re.finditer("`+", text):
                self._ticks.setdefault(len(match[0]), []).append(match.start())
            self._breaks = [match.start() for match in _BREAK.finditer(text)]
        # By the last group that such a match has.
        steps = {
            "info": self._fence,
            "note": self._defined,
            "definition": self._defined,
            "ticks": self._code,
            "markup": self._markup,
            "tag": self._tag,
            "image": self._opening,
            "link": self._opening,
            "close": self._closing,
        }
        while match := _TOKEN.search(text, self._at):
            self._at = match.end()
            if match.lastgroup:
                steps[match.lastgroup](match)
        self._pieces.append(text[self._kept :])
        return "".join(self._pieces)

    def _replace(self, start: int, end: int, by: str) -> None:
        self._pieces += (self.text[self._kept : start], by)
        self._kept = end
        self.count += 1

    def _fence(self, match: re.Match[str]) -> None:
        """Code between fences; without a closing one, to the end of the quotation, list or text around it."""
        prefix, fence, info = match["prefix"], match["fence"], match["info"]
        if "`" in info and fence[0] == "`":
            self._at = match.start("fence") + len(fence)
            self._inline(match.start("fence"), len(fence))
            return
        indent = len(prefix.expandtabs(4)) - len(prefix.expandtabs(4).lstrip(" "))
        marked = prefix.strip(" \t>") != ""
        listed = not marked and indent >= 2 and self._in_list(match.start())
        if indent >= 4 and not listed and not marked:
            # Four spaces make it code of another kind, which ends with the indentation.
            return
        if len(info.strip()) > LONG_INFO:
            self._replace(match.start("info"), match.end("info"), f"⟦hidden text: {info.strip()}⟧")
        end = len(self.text)
        if ">" in prefix:
            end = _start(_QUOTE_END.search(self.text, match.end()), end)
        elif marked or listed:
            end = _start(_ITEM_END.search(self.text, match.end()), end)
        for closing in _FENCE_END.finditer(self.text, match.end(), end):
            if closing["fence"][0] == fence[0] and len(closing["fence"]) >= len(fence):
                end = closing.end()
                break
        self._at = end

    def _in_list(self, at: int) -> bool:
        """Whether an indented line belongs to a list."""
        for _ in range(_LIST_REACH):
            start = self.text.rfind("\n", 0, at) + 1
            if self.text[start:at].strip() and not self.text.startswith(("  ", "\t"), start):
                return _ITEM.match(self.text, start) is not None
            if not start:
                return False
            at = start - 1
        return False

    def _code(self, match: re.Match[str]) -> None:
        self._inline(match.start(), len(match[0]))

    def _inline(self, start: int, length: int) -> None:
        """Code within a line, if as many backticks follow in the same paragraph."""
        runs = self._ticks[length]
        index = bisect.bisect_right(runs, start)
        if index == len(runs):
            return
        broken = bisect.bisect_left(self._breaks, start)
        if broken == len(self._breaks) or self._breaks[broken] > runs[index]:
            self._at = runs[index] + length

    def _markup(self, match: re.Match[str]) -> None:
        """A comment, or a declaration, instruction or character data, which no browser shows either."""
        opening = match["markup"]
        ending = _ENDS[opening]
        # `<!-->` and `<!--->` are whole comments.
        from_ = match.start() + 2 if opening == "!--" else match.end()
        stop = -1 if ending in self._endless else self.text.find(ending, from_)
        if stop < 0:
            self._endless.add(ending)
            line = self.text[
                self.text.rfind("\n", max(0, match.start() - _TAG_REACH), match.start()) + 1 : match.start() + 1
            ]
            if opening != "!--" or not line.lstrip(" \t>").startswith("<"):
                return
        end = len(self.text) if stop < 0 else stop + len(ending)
        inner = self.text[match.start() : end]
        if opening == "!--":
            inner = inner.removeprefix("<!--").removesuffix("-->").strip()
        self._replace(match.start(), end, f"⟦hidden comment: {inner}⟧")
        self._at = end

    def _defined(self, match: re.Match[str]) -> None:
        """A link definition or a footnote."""
        kind = "note" if match["note"] is not None else "definition"
        found = match[kind]
        label = _label(found[1 : found.index("]:")])
        nowhere = kind == "definition" and self._targets.get(label, "").strip("<>#") == ""
        if nowhere or label not in self._used:
            self._replace(match.start(kind), match.end(kind), f"⟦hidden comment: {found}⟧")

    def _tag(self, match: re.Match[str]) -> None:
        tag = _TAG.match(self.text, match.start(), match.start() + _TAG_REACH)
        address = _ADDRESS.search(tag[1]) if tag else None
        if not tag or not address:
            return
        self._at = tag.end()
        target = html.unescape(address[1] or address[2] or address[3] or "")
        if match["tag"].lower() != "a":
            self._image(tag.end(), target)
            return
        close = self.text.find("</", tag.end(), tag.end() + _TAG_REACH)
        if close >= 0:
            self._link(tag.end(), self.text[tag.end() : close], target)

    def _opening(self, match: re.Match[str]) -> None:
        self._open.append((match.end(), match[0] == "!["))

    def _closing(self, match: re.Match[str]) -> None:
        """The end of a link's text: what it leads to follows, or is defined elsewhere."""
        if not self._open:
            return
        start, image = self._open.pop()
        if not image and start < self._linked:
            # A link holds no other one (GFM, section 6.6), so its words need not be looked through again.
            return
        end = match.end()
        words = self.text[start : min(match.start(), start + _TAG_REACH)]
        if found := _TARGET.match(self.text, end, end + 2 * _TAG_REACH):
            target = found[1]
        else:
            found = _REFERENCE.match(self.text, end)
            named = self._targets.get(_label(found[1] if found and found[1] else words))
            if named is None:
                return
            target = named
        self._at = found.end() if found else end
        target = html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", target.strip("<>")))
        if image:
            self._image(self._at, target)
        else:
            self._linked = start
            self._link(self._at, words, target)

    def _image(self, at: int, target: str) -> None:
        if host := _host(target):
            self._mark(at, f"⟦image from {host}⟧")

    def _link(self, at: int, words: str, target: str) -> None:
        """Mark a link whose words name another host."""
        named = _NAMED_HOST.search(_NOT_WORDS.sub("", words))
        if not named:
            return
        host = _host(target) or "a place on the same site"
        if _bare(named[1] or named[2]) != _bare(host):
            self._mark(at, f"⟦link to {host}⟧")

    def _mark(self, at: int, mark: str) -> None:
        # Showing a text twice changes nothing more.
        if not self.text.startswith(mark, at):
            self._replace(at, at, mark)


def _start(match: re.Match[str] | None, otherwise: int) -> int:
    return match.start() if match else otherwise


def _label(text: str) -> str:
    """A link label as it is compared: any letter case, any white space (GFM 6.6)."""
    return " ".join(text.casefold().split())


def _bare(host: str) -> str:
    return host.lower().rstrip(".").removeprefix("www.")


def _host(target: str) -> str:
    """The host of an address, the scheme if it has no host, or nothing for an address on the same site."""
    # Browsers skip white space and take a backslash for a slash (WHATWG URL, 4.4).
    target = re.sub(r"[\t\n\r]", "", target.strip()).replace("\\", "/")
    scheme = _SCHEME.match(target)
    if scheme and scheme[1].lower() not in ("http", "https"):
        return f"{scheme[1].lower()}:"
    if not scheme and not target.startswith("//"):
        return ""
    rest = target[scheme.end() :] if scheme else target
    host = re.split(r"[/?#]", rest.lstrip("/"), maxsplit=1)[0].rpartition("@")[2]
    host = urllib.parse.unquote(host)
    if not _HOST.fullmatch(host):
        return _UNREADABLE
    try:
        # Letters that look like others are told apart in this form only (RFC 5891).
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return _UNREADABLE
