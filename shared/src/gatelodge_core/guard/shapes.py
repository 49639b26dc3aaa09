"""Tier two of redaction: the shapes of well-known tokens, private keys and passwords in connection strings.

A shape is looked for only where its literal stands in the text, so that text without secrets costs a few substring
searches. Prefixes and lengths are those that the services and the public rule sets (gitleaks, trufflehog, GitHub's
secret scanning patterns) give; where they differ, the wider length is taken. Every expression runs in linear time:
bodies are possessive or bounded, and none can start inside a run of its own characters.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import functools
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Span = tuple[int, int, str]
"""Start, end and kind of something to mask."""
Check = Callable[[str], bool]
"""Whether what has the shape is worth masking."""

_TEMPLATE = re.compile(
    r"[<{\[$%(].*|\d{1,5}[?#].*|.*[>}\])]|(?i:x+|\*+|\.+|…|pass(?:word|wd)?|pw|pwd|secret|token|user|my_?password|your_?password)"
)
_DSN_KEY = re.compile(
    "=(?i:"
    + "|".join(
        f"(?<=({key})=)"
        for key in ("host", "hostaddr", "dbname", "sslmode", "server", "data source", "initial catalog", "user id")
    )
    + ")"
)
"""A key, looked for from its end: the search then skips from one `=` to the next."""
_WORD_BEFORE = re.compile(r"(?<=[\w.-])")
_DSN_PASSWORD = re.compile(
    r"(?<![\w.-])(?i:password|passwd|pwd)=(?:'((?:[^'\\\n]|\\.){1,256}+)'|([^\s;'\"&,()<>\\]{1,256}+))"
)
_DSN_REACH = 256
_KEY_MARK = re.compile(r"-{4,5} ?(BEGIN|END) (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_KEY_REACH = 65536
"""Characters in which a key must end; a 16,384-bit RSA key has about 13,000."""
_KEY_LINE = re.compile(r"[ \t\"'+>|#*,:\d-]{0,24}?[A-Za-z0-9+/=]{40,}+[\\nr\s\"',+]{0,24}")
_KEY_TAIL = re.compile(r"[A-Za-z0-9+/=\s]*\Z")
_KEY_HEADERS = re.compile(
    r"(?:[\\nr\s\"'+>|#*,\d-]{0,24}+[A-Z][A-Za-z-]{2,20}: [^\n\\]{0,200}+){0,6}[\\nr\s\"'+>|#*,]{0,24}+"
)
_KEY_RUN = re.compile(r"[A-Za-z0-9+/]{16,}")


def random_looking(body: str) -> bool:
    """Whether a token's body isn't a placeholder or a name: enough different characters, and not lower case alone."""
    return len(set(body)) >= 7 and any(char.isdigit() or char.isupper() for char in body)


def _with_digit(body: str) -> bool:
    return random_looking(body) and any(char.isdigit() for char in body)


def _not_example(body: str) -> bool:
    """Amazon's documentation ends every made-up id like this."""
    return not body.endswith(("EXAMPLE", "EXAMPLEKEY")) and random_looking(body)


def _is_password(value: str) -> bool:
    return not _TEMPLATE.fullmatch(value)


def _signed(rest: str) -> bool:
    """Whether what follows `eyJ` is the header of a JWS or JWE (RFC 7515 section 4.1.1: `alg` must be there)."""
    try:
        header: Any = json.loads(_unpadded("eyJ" + rest.partition(".")[0]))
    except (ValueError, RecursionError):
        # A header is flat; what is nested deeper than the decoder goes is none.
        return False
    return isinstance(header, dict) and "alg" in header


def _snowflake(token: str) -> bool:
    """Whether the first part is a Discord user id: 17 to 20 digits."""
    try:
        user = _unpadded(token.partition(".")[0])
    except ValueError:
        return False
    return user.isdigit() and 17 <= len(user) <= 20


def _unpadded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Shape:
    """How one kind of token looks.

    Args:
        name: What a person calls it.
        literals: Beginnings of the token, one of which must stand in the text.
        body: Expression of what follows the literal; its first group, if any, is what gets masked.
        check: Whether the body (or the group) is worth masking.
        word: Characters that may not stand before the token.
        whole: The body is the entire expression, and the literal stands somewhere in it.
    """

    name: str
    literals: tuple[str, ...]
    body: str
    check: Check = random_looking
    word: str = r"\w"
    whole: bool = False

    def spans(self, text: str, literal: str) -> Iterator[Span]:
        """What has this shape and begins with one of its literals, from left to right."""
        for match in _compiled(literal, self.body, self.word, self.whole).finditer(text):
            grouped = bool(match.re.groups)
            secret = match[1] if grouped else match[0] if self.whole else match[0][len(literal) :]
            if self.check(secret):
                yield (*match.span(1 if grouped else 0), self.name)


@functools.cache
def _compiled(literal: str, body: str, word: str, whole: bool) -> re.Pattern[str]:
    """The expression; compiled when the literal is first met, since most never are.

    What stands before is looked at after the literal, which lets the search skip to the literal. An escape sequence
    or a percent-encoded byte before the token ends in a letter or digit, but isn't part of a longer word.
    """
    if whole:
        return re.compile(body, re.ASCII)
    start = re.escape(literal)
    before = (
        rf"(?:(?<![{word}]{start})|(?<=\\[nrt]{start})|(?<=\\u[0-9A-Fa-f]{{4}}{start})|(?<=%[0-9A-Fa-f]{{2}}{start}))"
    )
    return re.compile(start + before + body, re.ASCII)


_START = r"(?:(?<![\w~.-])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))"
_END = r"(?!\w)"
_ASSIGN = r"[\"']?\s{0,3}[=:]\s{0,3}[\"']?"
_HEX = "[0-9a-f]"
_ALNUM = "[A-Za-z0-9]"


def _shape(name: str, literals: str, body: str, **more: Any) -> Shape:
    return Shape(name, tuple(literals.split()), body, **more)


SHAPES: tuple[Shape, ...] = (
    # Whatever is glued to its end, as `_x`: no other text looks like this.
    _shape("github token", "ghp_ gho_ ghu_ ghs_ ghr_", _ALNUM + "{36,255}+"),
    _shape("github token", "github_pat_", _ALNUM + "{22}_" + _ALNUM + "{59,255}+"),
    _shape("github token", "ghs_", r"\d{1,20}_eyJ[\w-]{8,2048}+\.[\w-]{2,4096}+\.[\w-]{16,2048}+"),
    _shape("gatelodge key", "glk_", r"[a-z0-9]{10}_[\w-]{43}(?![\w-])"),
    _shape(
        "gitlab token",
        "glpat- gldt- glrt- glrtr- glptt- glcbt- glft- glimt- glagent- gloas- glsoat- glffct-",
        r"[\w-]{20,300}+(?:\.[0-9a-z]{2}\.?[0-9a-z]{7,9})?",
    ),
    _shape("aws access key", "AKIA ASIA", "[A-Z2-7]{16}" + _END, check=_not_example),
    _shape(
        "aws secret key",
        "aws_secret_access_key AWS_SECRET_ACCESS_KEY SecretAccessKey secretAccessKey aws_secret_key",
        _ASSIGN + r"([A-Za-z0-9/+]{40})(?![\w/+=])",
        check=_not_example,
    ),
    _shape("google api key", "AIza", r"[\w-]{35}(?![\w-])"),
    _shape("google oauth secret", "GOCSPX-", r"[\w-]{28}(?![\w-])"),
    _shape("google access token", "ya29.", r"(?:[a-z]\.)?[\w-]{20,2048}+"),
    _shape(
        "slack token",
        "xoxb- xoxp- xoxa- xoxr- xoxs- xoxo- xoxe- xoxc- xoxd- xapp-",
        r"[A-Za-z0-9%+/=-]{20,400}+",
        check=_with_digit,
    ),
    _shape("slack webhook", "hooks.slack.com/", r"(?:services|workflows|triggers)/(T[A-Za-z0-9/]{39,90}+)"),
    _shape("discord webhook", "/api/webhooks/", r"\d{17,20}/([\w-]{60,80}+)", word=" "),
    _shape(
        "discord bot token",
        ".",
        r"[MNO][DTjz](?:(?<![\w.-]..)|(?<=\\[nrt]..)|(?<=%[0-9A-Fa-f]{2}..))[A-Za-z0-9]{22,26}\.[\w-]{6}\.[\w-]{27,38}(?![\w-])",
        check=_snowflake,
        whole=True,
    ),
    _shape("telegram bot token", ":AA", r"(?<=\d{8}:AA)[\w-]{33}(?![\w-])", word=" "),
    _shape("stripe key", "sk_live_ rk_live_ sk_test_ rk_test_ sk_prod_ rk_prod_", _ALNUM + "{20,247}+" + _END),
    _shape("stripe webhook secret", "whsec_", r"[A-Za-z0-9+/]{32,64}+={0,2}" + _END),
    _shape("openai key", "sk-proj- sk-svcacct- sk-admin-", r"[\w-]{40,250}+", word=r"\w-"),
    _shape("openai key", "T3BlbkFJ", _START + r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}(?!\w)", whole=True),
    _shape("anthropic key", "sk-ant-", r"[a-z]{2,12}\d{2}-[\w-]{40,200}+", word=r"\w-"),
    _shape("openrouter key", "sk-or-v1-", _HEX + "{64}" + _END, word=r"\w-"),
    _shape("groq key", "gsk_", _ALNUM + "{52}" + _END),
    _shape("xai key", "xai-", _ALNUM + "{80}" + _END),
    _shape("perplexity key", "pplx-", _ALNUM + "{48}" + _END),
    _shape("replicate token", "r8_", _ALNUM + "{37}" + _END),
    _shape("hugging face token", "hf_", _ALNUM + "{34}" + _END),
    _shape("tavily key", "tvly-", r"(?:dev-|prod-)?[A-Za-z0-9]{32}" + _END),
    _shape("npm token", "npm_", _ALNUM + "{36}" + _END),
    _shape("pypi token", "pypi-AgE", r"[\w-]{50,1000}+"),
    _shape("rubygems key", "rubygems_", _HEX + "{48}" + _END),
    _shape("docker token", "dckr_pat_ dckr_oat_", r"[\w-]{27,64}+"),
    _shape("twilio key", "SK", _HEX + "{32}" + _END),
    _shape("sendgrid key", "SG.", r"[\w-]{22}\.[\w-]{43}(?![\w-])"),
    _shape("mailgun key", "key-", _HEX + "{32}" + _END, word=r"\w-"),
    _shape("digitalocean token", "dop_v1_ doo_v1_ dor_v1_", _HEX + "{64}" + _END),
    _shape("azure storage key", "AccountKey", _ASSIGN + r"([A-Za-z0-9+/]{86}==)", word=" "),
    _shape("azure shared access key", "SharedAccessKey", _ASSIGN + r"([A-Za-z0-9+/]{43}=)(?!=)", word=" "),
    _shape("azure client secret", "Q~", _START + r"[\w~.]{3}\dQ~[\w~.-]{31,34}(?![\w~-])", whole=True),
    _shape("databricks token", "dapi", _HEX + r"{32}(?:-\d)?" + _END),
    _shape("shopify token", "shpat_ shpca_ shppa_ shpss_", "[0-9a-fA-F]{32}" + _END),
    _shape("linear key", "lin_api_", _ALNUM + "{40}" + _END),
    _shape("notion token", "ntn_", r"\d{11}[A-Za-z0-9]{35}" + _END),
    _shape("notion token", "secret_", _ALNUM + "{43}" + _END, check=_with_digit),
    _shape("vault token", "hvs. hvb. hvr.", r"[\w-]{24,300}+", check=_with_digit),
    _shape("age key", "AGE-SECRET-KEY-1 AGE-SECRET-KEY-PQ-1", "[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{50,80}+"),
    _shape("postman key", "PMAK-", _HEX + "{24}-" + _HEX + "{34}" + _END),
    _shape("atlassian token", "ATATT3 ATCTT3", r"[\w=-]{100,300}+"),
    _shape("figma token", "figd_", r"[\w-]{36,64}+"),
    _shape("new relic key", "NRAK-", "[A-Z0-9]{27}" + _END),
    _shape("grafana token", "glsa_", _ALNUM + "{32}_[0-9a-fA-F]{8}" + _END),
    _shape("grafana token", "glc_eyJ", r"[A-Za-z0-9+/]{32,800}+={0,3}"),
    _shape("supabase key", "sbp_", _HEX + "{40}" + _END),
    _shape("supabase key", "sb_secret_", r"[\w-]{22}_[\w-]{8}" + _END),
    _shape("sentry token", "sntrys_eyJ", r"[A-Za-z0-9+/=_-]{80,1000}+"),
    _shape("sentry token", "sntryu_", _HEX + "{64}" + _END),
    _shape("tailscale key", "tskey-", r"[a-z]{3,10}-[A-Za-z0-9]{8,40}-[A-Za-z0-9]{20,60}+"),
    _shape("pulumi token", "pul-", _HEX + "{40}" + _END, word=r"\w-"),
    _shape("1password token", "ops_eyJ", r"[A-Za-z0-9+/_-]{200,4000}+={0,3}"),
    _shape(
        "jwt",
        "eyJ",
        r"[\w-]{8,}+\.[\w-]*+\.[\w-]{16,}+(?:\.[\w-]{8,}+\.[\w-]{8,}+)?",
        word=r"\w-",
        check=_signed,
    ),
    _shape(
        "url password",
        "://",
        r"[^\s/?#@:\"'<>\\`]{0,128}:([^\s/\"'<>\\`]{1,256})@(?=[\w\[%-])",
        word=" ",
        check=_is_password,
    ),
    _shape("connection string password", "PGPASSWORD MYSQL_PWD", r"=[\"']?([^\s\"'$;]{1,256})", check=_is_password),
)
_LITERALS = tuple((literal, shape) for shape in SHAPES for literal in shape.literals)
_DSN_SIGNS = ("assword=", "wd=", "ASSWORD=", "Pwd=", "PWD=")
_DOTTED = re.compile(r"\.[\w-]{6}\.[\w-]{27}")
"""The end of a Discord token, which has no literal but its full stops."""
_ANY = tuple(dict.fromkeys(["PRIVATE KEY", *_DSN_SIGNS, *(literal for literal, _ in _LITERALS if literal != ".")]))


def may_have(text: str) -> bool:
    """A quick look at a text, or at JSON: False if `find` would find nothing in it, or in any text within."""
    for literal in _ANY:
        if literal in text:
            return True
    return _DOTTED.search(text) is not None


def find(text: str) -> list[Span]:
    """Every token, private key and connection password in a text; they may overlap, and come in no order."""
    spans = [span for literal, shape in _LITERALS if literal in text for span in shape.spans(text, literal)]
    if "PRIVATE KEY" in text:
        spans.extend(_private_keys(text))
    if any(sign in text for sign in _DSN_SIGNS):
        spans.extend(_dsn_passwords(text))
    return spans


def _private_keys(text: str) -> Iterator[Span]:
    """Private keys in PEM, OpenSSH, SSH2 and OpenPGP armour, whole; one that is cut off goes to its last full line.

    The lines may be indented, quoted, numbered, or joined by the two characters of an escaped line feed. A header
    alone, as programs that read keys have it, is no key.
    """
    marks = list(_KEY_MARK.finditer(text))
    done = 0
    for mark, following in itertools.zip_longest(marks, marks[1:]):
        at = mark.end()
        if mark[1] == "END" or mark.start() < done:
            continue
        if following and following[1] == "END" and following.start() - at <= _KEY_REACH:
            if _KEY_RUN.search(text, at, following.start()):
                done = following.end()
                yield mark.start(), done, "private key"
        elif (end := _cut_key(text, at)) > at:
            done = end
            yield mark.start(), done, "private key"


def _cut_key(text: str, at: int) -> int:
    """Where a key ends that begins before `at` and has no end mark; `at` if there is none."""
    headers = _KEY_HEADERS.match(text, at)
    last = body = headers.end() if headers else at
    while line := _KEY_LINE.match(text, last):
        last = line.end()
    tail = _KEY_TAIL.match(text, last, last + 80)
    if tail and tail.end() == len(text):
        last = tail.end()
    return last if last > body else at


def _dsn_passwords(text: str) -> Iterator[Span]:
    """Passwords in key=value connection strings (libpq, ODBC, ADO.NET) and in the query of a JDBC URL.

    Outside these `password=` is a keyword argument or a form field, so another of their keys must stand in the line.
    """
    keys: _Keys | None = None
    for match in _DSN_PASSWORD.finditer(text):
        begin, end = match.span()
        start = max(text.rfind("\n", max(begin - _DSN_REACH, 0), begin) + 1, begin - _DSN_REACH, 0)
        keys = keys or _Keys(text)
        # The quick looks first: most texts with many of these have no such key, or far away.
        found = (
            (begin > start and text[begin - 1] in "?&;" and text.find("://", start, begin) >= 0)
            or (keys.between(start, begin) and keys.between(_last_stop(text, start, begin), begin))
            or (keys.between(end, end + _DSN_REACH) and keys.between(end, _first_stop(text, end)))
        )
        group = 1 if match[1] else 2
        if found and _is_password(match[group]):
            yield (*match.span(group), "connection string password")


class _Keys:
    """Where the keys of connection strings stand in a text, found once for all its passwords."""

    def __init__(self, text: str) -> None:
        spans = [(match.start(match.lastindex or 0), match.end()) for match in _DSN_KEY.finditer(text)]
        self._ends = [end for _, end in spans]
        self._starts = [start for start, _ in spans]
        self._whole = [_WORD_BEFORE.match(text, start) is None for start in self._starts]

    def between(self, start: int, stop: int) -> bool:
        """Whether a key stands there; at the very start it may be the end of a longer word, which is cut off there."""
        for index in range(bisect.bisect_left(self._starts, start), len(self._starts)):
            if self._ends[index] > stop:
                return False
            if self._whole[index] or self._starts[index] == start:
                return True
        return False


def _last_stop(text: str, start: int, end: int) -> int:
    """Behind the last comma or bracket of a part of a text: one between two keys makes them arguments of a call."""
    return max(start, *(text.rfind(stop, start, end) + 1 for stop in ",()"))


def _first_stop(text: str, start: int) -> int:
    """The first comma, bracket or end of line in the reach behind a password."""
    stop = min(start + _DSN_REACH, len(text))
    for mark in "\n,()":
        found = text.find(mark, start, stop)
        stop = found if found >= 0 else stop
    return stop
