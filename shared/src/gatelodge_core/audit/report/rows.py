"""A call as the report shows it, and the latest of them in bounded memory.

The journal may have been tampered with, so nothing in a record is believed to have the type or size that we write:
texts are cut and made visible, numbers are brought into their range.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from gatelodge_core.audit.export import status_of
from gatelodge_core.audit.query import Called, Entry
from gatelodge_core.audit.texts import clean

MAX_TEXT = 300
"""Characters of a text that are shown; our own records have none that is longer."""
NO_TIME = 0xFFFFFFFF
"""In place of the microseconds of a call without an outcome; the most of one with it is one less."""
_MOST = 0xFFFFFFFF


class Row(NamedTuple):
    """One call. All texts are printable.

    Args:
        time: Milliseconds since 1970.
        server: Short name of the server.
        kind: tool, resource, prompt or completion.
        name: Of the tool or prompt, or the resource's URI.
        principal: Who called.
        client: What the client calls itself.
        decision: allow, confirm or deny.
        status: ok, error, refused, cancelled, timeout or unfinished.
        effect: read, write or destroy.
        reach: external, or empty.
        label: private, untrusted, both or empty: of the answer.
        reason: Why it was refused, or the error's code.
        rule: Which rule decided.
        answer: How a person answered.
        wire: Transport and protocol revision.
        file: Of the record.
        seq: Its number in the chain.
        micros: Microseconds from the intent to the outcome, or `NO_TIME`.
        digest: The first 12 digits of the arguments' digest, or empty.
        args_bytes: Size of the arguments.
        result_bytes: Size of the result.
        redactions: Secrets masked in the result.
        alike: How many refused calls its record stands for; 1 for all others.
        proven: Whether its records were verified.
    """

    time: int
    server: str
    kind: str
    name: str
    principal: str
    client: str
    decision: str
    status: str
    effect: str
    reach: str
    label: str
    reason: str
    rule: str
    answer: str
    wire: str
    file: str
    seq: int
    micros: int
    digest: str
    args_bytes: int
    result_bytes: int
    redactions: int
    alike: int
    proven: bool


class Latest:
    """The latest rows by time; holds at most a quarter more than it is to keep.

    Args:
        limit: How many to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._most = limit, limit + max(limit // 4, 1)
        self._rows: list[Row] = []
        self._texts: dict[str, str] = {}
        self.total = 0
        """How many there were in all."""

    def add(self, row: Row) -> None:
        """Take in one more."""
        self.total += 1
        # Equal texts are one object, so that a row is little more than its numbers.
        shared = self._texts.setdefault
        self._rows.append(Row._make(shared(item, item) if isinstance(item, str) else item for item in row))
        if len(self._rows) >= self._most:
            self._rows = self.rows()
            self._texts = {item: item for row in self._rows for item in row if isinstance(item, str)}

    def rows(self) -> list[Row]:
        """The latest ones, oldest first."""
        self._rows.sort(key=lambda row: (row.time, row.file, row.seq))
        return self._rows[-self._limit :]


def row_of(call: Called, *, proven: bool = True) -> Row | None:
    """A call as a row; None if its time can't be read."""
    entry, outcome = call
    time = milliseconds(entry.text("ts"))
    if time is None:
        return None
    result = outcome or Entry(entry.file, {})
    label = result.table("labels")
    words = [
        *(["private"] if label.get("confidentiality") == "private" else []),
        *(["untrusted"] if label.get("integrity") == "untrusted" else []),
    ]
    return Row(
        time=time,
        server=_text(entry.server),
        kind=_text(entry.text("kind")),
        name=_text(entry.text("name")),
        principal=_text(":".join(map(str, entry.table("principal").values()))),
        client=_text(str(entry.table("claims").get("name", ""))),
        decision=_text(entry.text("decision")),
        status=_text(status_of(call)),
        effect=_text(entry.text("effect")),
        reach=_text(entry.text("reach")),
        label=" ".join(words),
        reason=_text(entry.text("reason") or result.text("error")),
        rule=_text(entry.text("rule")),
        answer=_text(str(entry.table("confirm").get("answer", ""))),
        wire=_text(f"{entry.text('transport')} {entry.text('protocol')}".strip()),
        file=_text(entry.file),
        seq=_number(entry.fields.get("seq")),
        micros=_micros(result.fields.get("ms")),
        digest=_digest(entry.text("args")),
        args_bytes=_number(entry.fields.get("args_bytes")),
        result_bytes=_number(result.fields.get("result_bytes")),
        redactions=_number(result.fields.get("redactions")),
        alike=max(_number(entry.fields.get("count")), 1),
        proven=proven,
    )


def collect(calls: Iterable[Called], latest: Latest, proven: dict[str, int]) -> int:
    """Take the calls in; how many had to be left out since their time can't be read.

    Args:
        calls: The calls.
        latest: Where to.
        proven: Of files that weren't verified to their end, the first sequence number that is in doubt.
    """
    unreadable = 0
    for call in calls:
        doubt = proven.get(call.entry.file)
        row = row_of(call, proven=doubt is None or _last(call) < doubt)
        if row is None:
            unreadable += 1
        else:
            latest.add(row)
    return unreadable


def milliseconds(time: str) -> int | None:
    """A record's time as milliseconds since 1970; None if it isn't one."""
    second = _second(time[:19])
    fraction = time[20:23]
    if second is None or not (fraction.isascii() and fraction.isdigit()) or time[19:20] != "." or time[-1:] != "Z":
        return None
    return second + int(fraction)


@lru_cache(maxsize=16)
def _second(text: str) -> int | None:
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(int(moment.timestamp()), 0) * 1000


def _last(call: Called) -> int:
    return max(_number((call.outcome or call.entry).fields.get("seq")), _number(call.entry.fields.get("seq")))


@lru_cache(maxsize=4096)
def _text(text: str) -> str:
    shown = clean(text[: MAX_TEXT + 1])
    return shown if len(shown) <= MAX_TEXT else shown[: MAX_TEXT - 1] + "…"


def _digest(text: str) -> str:
    digits = text.removeprefix("sha256:")[:12]
    return digits if len(digits) == 12 and set(digits) <= set("0123456789abcdef") else ""


def _number(value: object) -> int:
    return min(max(value, 0), _MOST) if isinstance(value, int) else 0


def _micros(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1e12:
        return NO_TIME
    return min(round(value * 1000), NO_TIME - 1)
