"""How much a URL carries that no one could have guessed: the mark of data that is smuggled out in an address.

Words, dates and short numbers count nothing; keys, digests and encoded text count by their alphabet. It finds what is
encoded, not what is written in plain words: those it bounds by length alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import log2
from urllib.parse import unquote_plus, urlsplit

BITS = 100.0
"""From here on a URL is doubted: a UUID, or 20 characters of base64. A video's id or a short digest is below."""
LENGTH = 800
"""Characters of path and query, decoded, from which a URL is doubted whatever they are."""
LOOKS = 24
"""How often it is looked for a text among all that was shown; what is left then counts as never shown."""
_TOKEN = re.compile(r"[^\W_]+")
_RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\x00-\x7f]+")
_HEX = re.compile(r"(?=.*[0-9])(?=.*[a-fA-F])(?:[0-9a-f]+|[0-9A-F]+)")
# The pairs of letters that make up three quarters of English text, and most of what other languages have in Latin letters.
_WRITTEN = (
    "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic "
    "ne ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr no ct us ac ot il tr ly nc et ut ss so rs un "
    "lo wa ge ie wh ee wi em ad ol rt po we na ul ni ts mo ow pa im mi ai sh ir su id os iv ia am fi ci vi pl ig tu ev "
    "ld ry mp fe bl ab gh ty op wo sa ay ex ke fr oo av ag if ap gr od bo sp rd do uc bu ei ov by rm ep tt oc fa ef cu "
    "rn sc gi da yo cr cl du ga qu ue ff ba ey ls va um pp ua up lu go ht ru ug ds lt pi rc rr eg au ck ew mu br bi pt "
    "ak pu ui rg ib tl ny ki rk ys ob mm fu ph og ms ye ud mb ip ub oi rl gu dr hr cc tw ft wn nu af hu nn eo vo rv nf "
    "xp gn sm fl iz ok nl my gl aw ju oa eq sy sl ps jo lf nv je nk kn gs dy hy ze ks xt bs ik dd pt rp sk xi oe oy ws "
    "lv dl rf eu dg wr xa yi nm eb rb tm xc eh tc gy ja hn yp za gg ym sw bj lm cs ii ix xe oh lk dv lp ax ox uf dm iu "
    "sf bt ka yt ek pm ya gt wl rh yl hs ah yc yb hl ga zi ao ko ku ja ju zu sz cz"
)
_PAIRS = frozenset(_WRITTEN.split())


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a URL between its separators.

    Args:
        text: As written.
        plain: Decoded.
        bits: How much it carries.
    """

    text: str
    plain: str
    bits: float


def parts_of(url: str) -> list[Part]:
    """The pieces of a URL that may carry something: labels of the host but the last two, path, names and values."""
    split = urlsplit(url)
    texts = (split.hostname or "").split(".")[:-2] + split.path.split("/")
    for field in re.split("[&;]", split.query):
        texts += field.split("=", 1)
    return [Part(text, plain, bits(plain)) for text in texts if text for plain in (unquote_plus(text),)]


def bits(text: str) -> float:
    """About how many bits a text carries beyond words and short numbers."""
    return sum(_token_bits(token) for token in _TOKEN.findall(text))


def _token_bits(token: str) -> float:
    size = len(token)
    runs = _RUN.findall(token)
    if len(runs) == 1 and token.isdigit():
        return max(0, size - 8) * log2(10)
    # Random text changes its kind every other character; WordsLikeThese don't.
    if len(runs) > 2 + size // 8 and (size < 2.6 * len(runs) or not token.isalpha()):
        return size * _per_character(token)
    return sum(_run_bits(run) for run in runs)


def _run_bits(run: str) -> float:
    if run.isdigit():
        return max(0, len(run) - 8) * log2(10)
    if len(run) < 6 or not run.isascii():
        return 0.0
    low = run.lower()
    pairs = [low[place : place + 2] for place in range(len(low) - 1)]
    usual = sum(pair in _PAIRS for pair in pairs) / len(pairs)
    return 0.0 if usual >= 0.6 else len(run) * log2(26)


def _per_character(token: str) -> float:
    if _HEX.fullmatch(token):
        return 4.0
    lower, upper = any(char.islower() for char in token), any(char.isupper() for char in token)
    return log2(10 * any(char.isdigit() for char in token) + 26 * lower + 26 * upper or 2)


def suspicious(url: str, saw: Callable[[str], bool]) -> int:
    """How many characters of a URL are like smuggled data; 0 if it is an ordinary one.

    Args:
        url: Absolute, and valid.
        saw: Whether a text stands in a page or result that the caller was shown: asked only if need be, since it is slow.
    """
    parts = parts_of(url)
    # A word that is said twice says no more.
    heavy = list({part.plain: part for part in parts if part.bits > 0}.values())
    size = sum(len(part.plain) for part in parts)
    if sum(part.bits for part in heavy) < BITS and size < LENGTH:
        return 0
    looks = LOOKS

    def shown(text: str) -> bool:
        nonlocal looks
        looks -= 1
        return looks >= 0 and saw(text)

    if shown(url.partition("#")[0]):
        return 0
    bits_left, characters = BITS, 0
    for part in sorted(heavy, key=lambda part: -part.bits):
        if not _seen(part, shown):
            bits_left -= part.bits
            characters += len(part.plain)
        if bits_left <= 0:
            return characters
    return size if size >= LENGTH else 0


def _seen(part: Part, saw: Callable[[str], bool]) -> bool:
    """Whether a part, or each heavy piece of it, was shown."""
    if saw(part.text) or saw(part.plain):
        return True
    return all(saw(token) for token in _TOKEN.findall(part.plain) if _token_bits(token) > 0)
