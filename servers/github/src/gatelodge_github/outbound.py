"""What must not leave in a write: secrets among the arguments, however they are written down.

Looked for are the shapes of well-known tokens, keys and passwords (`gatelodge_core.guard.shapes`) and, by value, the
secrets that the server itself holds. Found are those in the open and those behind look-alike or invisible characters,
percent-encoding, HTML entities, escapes, base64 and hexadecimal, three deep, and those split over neighbouring
arguments. Held secrets are also found reversed, in another letter case, and spread out by spaces, dashes or lines.

This stops accidents and simple tricks. It can't stop an encoding nobody thought of, a paraphrase, or what is compressed;
the flow rules, which ask no matter how a text looks, are for that.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from gatelodge_core.errors import CallError
from gatelodge_core.guard import shapes
from gatelodge_core.guard.redaction import MAX_DEPTH, Redactor
from gatelodge_core.guard.spellings import MIN_HELD

from gatelodge_github.unwrapping import (
    APART,
    HEX_DIGITS,
    REACH,
    decoded,
    disguised,
    excerpts,
    long_words,
    readable,
    unescaped,
)

DEPTH = 3
"""Encodings, one inside the other, that are taken off."""
HELD = "credential that this server holds"
LOGIN = "url password"
TOO_DEEP = "value nested too deep to be searched"
_SPREAD = 12
"""Letters and digits that a held secret needs to be looked for without what stands between them."""
_SEAMS = 2_000_000
"""Characters of neighbouring texts that are joined in every way; beyond, they are joined once."""
_PIECES = 8
"""Pieces of a token behind which something else may follow."""
_SMALL = 4096
_KEY_REACH = 66_000
_LOGIN_REACH = 300
_SIGNS = (
    "://", "assword=", "ASSWORD=", "wd=", "WD=", "AccessKey", "ccess_key", "ACCESS_KEY", "aws_secret_key", "AccountKey",
)  # fmt: skip
"""What stands beside a secret that has no look of its own."""
_MARKED = re.compile(
    r"(?<=\w)(?=(?:gh[oprsu]_|github_pat_|glk_|glpat-|npm_|pypi-AgE|sk-ant-|sk-proj-|xox[abprs]-|xapp-|[rs]k_live_|dckr_pat_)\w)"
)
"""Where a token begins that nothing else looks like, though it does so within a word: `x` before one must not hide it."""
_NOT_WORDS = bytes(byte for byte in range(128) if chr(byte) not in string.ascii_letters + string.digits)
_SIMPLE_KEY = re.compile(r"[a-z_]{1,20}")
_FILLED = re.compile(r"(\w)\1{7}", re.ASCII)
_USER = re.compile(r"([\w.+-]{1,64}):\Z", re.ASCII)
_NOWHERE = re.compile(
    r"@(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]|(?:[\w-]{1,63}\.){0,4}(?:example(?:\.com|\.net|\.org)?|test|invalid|localhost))(?![\w.-])",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret among the arguments.

    Args:
        path: Where: `body`, `files[2].content`, or two paths joined by ` + `. It never holds any of the secret.
        kind: What it looks like, such as "github token".
    """

    path: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Part:
    """A text among the arguments.

    Args:
        path: Where, as shown.
        row: The path without the positions in lists: what has the same one is likely read as one text.
        text: The text.
        key: It is the name of something, not a value.
    """

    path: str
    row: str
    text: str
    key: bool = False


def refuse(values: Mapping[str, object], known: Sequence[str] = ()) -> None:
    """Let a write pass only if no secret is found in it; see `secrets_in`.

    Raises:
        CallError: ``secret_in_text``, which names the argument and the kind.
    """
    found = secrets_in(values, known)
    if not found:
        return
    first = found[0]
    more = f" There are {len(found) - 1} more such places." if len(found) > 1 else ""
    article = "an" if first.kind[0] in "aeiou" else "a"
    raise CallError(
        "secret_in_text",
        f"{first.path} holds what looks like {article} {first.kind}.{more} Nothing was sent.",
        "Leave it out, or put a placeholder such as <TOKEN> in its place. An encoded or split secret is found too.",
    )


def secrets_in(values: Mapping[str, object], known: Sequence[str] = ()) -> list[Finding]:
    """Every place of the arguments that holds a secret.

    It takes about 40 ms for a megabyte of ordinary text, so large arguments belong in a thread.

    Args:
        values: The arguments of a call: texts, lists and objects of texts, in any depth. Where `encoding` is "base64",
            the `content` beside it is searched as the file that it stands for.
        known: Secrets that the server holds; those shorter than 6 characters are not looked for.

    Returns:
        The places in the order of the arguments, each kind once for a place.
    """
    search = _Search(known)
    parts: list[_Part] = []
    deep = _gather(values, "", "", parts, 0)
    found = [*_alone(parts, search), *(Finding(path, TOO_DEEP) for path in deep)]
    for row in _rows(parts):
        known_places = {(path, finding.kind) for finding in found for path in finding.path.split(" + ")}
        found += _across(row, search, known_places)
    return list(dict.fromkeys(Finding(search.harmless(finding.path), finding.kind) for finding in found))


def _gather(value: object, path: str, row: str, parts: list[_Part], depth: int) -> list[str]:
    """Append every text, names before what they name; where it is nested too deep to go on."""
    if isinstance(value, str):
        parts.append(_Part(path, row, value))
        return []
    if not isinstance(value, (Mapping, list, tuple)):
        return []
    if depth >= MAX_DEPTH:
        return [path]
    deep: list[str] = []
    if isinstance(value, Mapping):
        table = cast("Mapping[object, object]", value)
        for index, (key, item) in enumerate(table.items(), 1):
            name = str(key)
            shown = name if depth == 0 or _SIMPLE_KEY.fullmatch(name) else f"<key {index}>"
            inner = f"{path}.{shown}" if path else shown
            if depth:
                parts.append(_Part(f"a key of {path}", row, name, key=True))
            file = _file(table, name, item)
            deep += _gather(item if file is None else file, inner, f"{row}.{name}", parts, depth + 1)
        return deep
    for index, item in enumerate(cast("Sequence[object]", value)):
        deep += _gather(item, f"{path}[{index}]", row + "[]", parts, depth + 1)
    return deep


def _file(table: Mapping[object, object], name: str, item: object) -> str | None:
    """The text in a file that comes in base64, or None if this isn't one."""
    if name != "content" or table.get("encoding") != "base64" or not isinstance(item, str):
        return None
    try:
        return readable(base64.b64decode("".join(item.split()), validate=True))
    except (binascii.Error, ValueError):
        return None


def _alone(parts: list[_Part], search: _Search) -> Iterator[Finding]:
    """Secrets that stand in one text, and those that stand in several as lines, such as a key in a list."""
    small = [part for part in parts if len(part.text) <= _SMALL]
    # Mostly there is nothing, which is seen faster in all of them at once.
    every = search.kinds("\n".join(part.text for part in small))
    left = set(every)
    for part in parts:
        if every or len(part.text) > _SMALL:
            kinds = search.kinds(part.text)
            left -= kinds
            yield from (Finding(part.path, kind) for kind in kinds)
    yield from (Finding(f"{small[0].path} + {small[-1].path}", kind) for kind in left)


def _rows(parts: list[_Part]) -> Iterator[list[_Part]]:
    """Texts that may be halves of one: all values, those of the same name, and each name with its value."""
    values = [part for part in parts if not part.key]
    yield values
    rows: dict[str, list[_Part]] = {}
    for part in values:
        rows.setdefault(part.row, []).append(part)
    yield from (row for row in rows.values() if len(row) < len(values))
    if len(values) < len(parts):
        yield parts


def _across(row: list[_Part], search: _Search, known: set[tuple[str, str]]) -> Iterator[Finding]:
    """Secrets in neighbours of which none has them alone."""
    if len(row) < 2:
        return
    seams = list(_seams([part.text for part in row]))
    every = search.kinds(APART.join(text for _, _, text in seams)) | search.held("".join(part.text for part in row))
    every = {kind for kind in every if not any((part.path, kind) in known for part in row)}
    for first, last, text in seams:
        if not every:
            return
        for kind in sorted(every & search.kinds(text)):
            every.remove(kind)
            if kind != LOGIN or not any(_logins(part.text) for part in row[first : last + 1]):
                yield Finding(f"{row[first].path} + {row[last].path}", kind)
    yield from (Finding(f"{row[0].path} + {row[-1].path}", kind) for kind in every)


def _logins(text: str) -> bool:
    """Whether there is a login in a URL: what is joined to one that opens nothing makes it look like another."""
    return any(kind == LOGIN for _, _, kind in shapes.find(text))


def _seams(texts: list[str]) -> Iterator[tuple[int, int, str]]:
    """Where texts touch: the end of one, the beginning of a later one, and what stands between if it is short.

    A token may end where any of them ends, so that what follows must not be read as more of it.
    """
    size = 0
    for first in range(len(texts) - 1):
        joined = texts[first][-REACH:]
        for last in range(first + 1, len(texts)):
            joined += texts[last][:REACH]
            ends = len(joined) >= REACH or last == len(texts) - 1
            if ends or last - first <= _PIECES:
                size += len(joined)
                yield first, last, joined
            if ends:
                break
        if size > _SEAMS:
            yield (
                first,
                len(texts) - 1,
                "".join(text if len(text) <= REACH else f"{text[:REACH]}\n{text[-REACH:]}" for text in texts[first:]),
            )
            return


class _Search:
    """Looks for secrets in a text and in what it becomes once decoded."""

    def __init__(self, known: Sequence[str]) -> None:
        held = [secret for value in known if len(secret := value.strip()) >= MIN_HELD]
        self._forms = tuple(dict.fromkeys(form for secret in held for form in _spread_forms(secret)))
        # What its letters and digits alone don't show well enough.
        others = [secret for secret in held if len(_squashed(secret)) < _SPREAD or "\n" in secret or "://" in secret]
        self._others = Redactor([(HELD, secret) for secret in others], shapes=False) if others else None

    def kinds(self, text: str) -> set[str]:
        """What kinds of secrets a text holds."""
        found: set[str] = set()
        layer = [text]
        for depth in range(DEPTH + 1):
            following: list[str] = []
            for piece in itertools.chain(layer, map(disguised, layer)):
                if len(piece) < MIN_HELD:
                    continue
                words = long_words(piece)
                found |= self._open(piece, words)
                if depth < DEPTH:
                    following += (unescaped(piece), decoded(piece, words))
            layer = following
        return found

    def _open(self, text: str, words: list[bytes]) -> set[str]:
        """What stands in a text as it is."""
        place = _MARKED.sub(" ", _likely(text, words))
        found = {kind for start, end, kind in shapes.find(place) if not _dummy(place, start, end, kind)}
        return found | self.held(text)

    def held(self, text: str) -> set[str]:
        """Whether a text holds a held secret, as it is or spread out."""
        squashed = _squashed(text) if self._forms else b""
        if any(form in squashed for form in self._forms) or (self._others and self._others.text(text)[1]):
            return {HELD}
        return set()

    def harmless(self, path: str) -> str:
        """A path that can be shown: only its first name, if the whole has anything of a secret."""
        return path if not self.kinds(path) else re.split(r"[.\[ ]", path.removeprefix("a key of "), maxsplit=1)[0]


def _likely(text: str, words: list[bytes]) -> str:
    """The parts of a text in which a token or password can stand; searching those takes a tenth of the time."""
    spots: list[tuple[int, int]] = []
    for sign in _SIGNS:
        spots += ((at - _LOGIN_REACH, at + _LOGIN_REACH) for at in _occurrences(text, sign))
    spots += ((at - REACH, at + _KEY_REACH) for at in _occurrences(text, "PRIVATE KEY"))
    # A digest is no token.
    named = [word for word in words if word.strip(HEX_DIGITS)]
    return b"\n".join(named).decode("ascii") + "\n" + excerpts(text, sorted(spots))


def _occurrences(text: str, literal: str) -> Iterator[int]:
    at = text.find(literal)
    while at >= 0:
        yield at
        at = text.find(literal, at + len(literal))


def _dummy(text: str, start: int, end: int, kind: str) -> bool:
    """Whether what was found opens nothing: a made-up token, or a login on this machine or at a host of RFC 2606."""
    if kind == "github token":
        return _FILLED.search(text, start, end) is not None
    if kind != LOGIN:
        return False
    user = _USER.search(text, max(0, start - 65), start)
    return (user is not None and user[1] == text[start:end]) or _NOWHERE.match(text, end) is not None


def _squashed(text: str) -> bytes:
    """The letters and digits of a text, in lower case."""
    return text.encode("ascii", "ignore").lower().translate(None, _NOT_WORDS)


def _spread_forms(secret: str) -> Iterable[bytes]:
    """A secret as it looks once squashed: as it is, from behind, in hexadecimal and in base64 wherever it begins."""
    data = secret.encode("utf-8", "surrogatepass")
    forms = [secret, secret[::-1], data.hex()]
    for shift in range(3):
        # Only the characters that depend on nothing but the secret.
        code = base64.b64encode(bytes(shift) + data + bytes(3)).decode("ascii")
        forms.append(code[-(-8 * shift // 6) : 8 * (shift + len(data)) // 6])
    return [form for form in map(_squashed, forms) if len(form) >= _SPREAD]
