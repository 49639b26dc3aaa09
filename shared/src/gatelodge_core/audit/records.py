"""What is written down: the fields of each kind of record.

Every record is one JSON object on one line of ASCII, and starts with ``seq``, ``type`` and ``ts`` and ends with ``mac``.
All texts are cut to a length here, so that no caller can make a record that isn't bounded; a cut text ends in ``…``.
Arguments and results appear as digest and size only, unless the caller passes a preview, which must be redacted already.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from gatelodge_core.effects import LOCAL, READ, Effect, Reach

SCHEMA = 1
"""Version of the record format, written in each header."""
MAX_LINE = 64 * 1024
"""Bytes of the longest line; a longer one can't be ours."""

Record = dict[str, object]
"""The fields of one record, without ``mac``."""
Status = Literal["ok", "error", "refused", "cancelled", "timeout"]
Decision = Literal["allow", "confirm", "deny"]

_NAME, _TEXT, _PREVIEW, _ITEMS = 256, 160, 1024, 8


@dataclass(frozen=True, slots=True)
class HeaderInfo:
    """What a server says about itself at the top of each of its files.

    Args:
        transport: How messages come: ``stdio`` or ``http``.
        sandbox: The confinement reached, such as ``landlock-7+seccomp`` or ``none``.
        manifest: Digest of the tool declarations.
        extra: Further short facts.
    """

    transport: str = "stdio"
    sandbox: str = "none"
    manifest: str = ""
    extra: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Intent:
    """What a call is about to do; durable before it does.

    Args:
        name: The tool's or prompt's name, or the resource's URI.
        kind: tool, resource, prompt or completion.
        effect: What the call leaves behind; anything but READ is made durable at once.
        principal: Who calls, such as ``{"method": "os-user", "subject": "1000"}``.
        transport: How this message came, with the peer's address if it has one, such as ``http 203.0.113.9``.
        protocol: The protocol revision of the message.
        request_id: The JSON-RPC id; together with its type, so 1 and "1" stay apart.
        args_digest: Of the canonical arguments; see `gatelodge_core.audit.canonical.measure`.
        args_bytes: Size of the canonical arguments.
        decision: What policy said.
        rule: The rule that decided.
        confirm: How a human was asked and answered, if so: keys such as ``asked``, ``answer``, ``by``.
        labels: Flow labels of the session that bear on the call.
        claims: What the client calls itself; never trusted.
        traceparent: W3C trace context from the message; correlation, not trust.
        preview: Redacted arguments, only if the settings ask for it.
        count: How many such calls the record stands for: of those refused before anything was known of them.
        reach: How far its arguments travel; written down if they leave the machine.
    """

    name: str
    kind: str = "tool"
    effect: Effect = READ
    principal: Mapping[str, str] = field(default_factory=dict[str, str])
    transport: str = "stdio"
    protocol: str = ""
    request_id: str | int = ""
    args_digest: str = ""
    args_bytes: int = 0
    decision: Decision = "allow"
    rule: str = ""
    confirm: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    claims: Mapping[str, str] = field(default_factory=dict[str, str])
    traceparent: str = ""
    preview: str = ""
    count: int = 1
    reach: Reach = LOCAL

    def fields(self) -> Record:
        """The record's fields."""
        return {
            "kind": _cut(self.kind, 16),
            "name": _cut(self.name, _NAME),
            "effect": str(self.effect),
            **_given("reach", "" if self.reach is LOCAL else str(self.reach)),
            "principal": _table(self.principal),
            "transport": _cut(self.transport, _TEXT),
            "protocol": _cut(self.protocol, 32),
            "request": self.request_id if _small(self.request_id) else _cut(str(self.request_id), _TEXT),
            "args": _cut(self.args_digest, 80),
            "args_bytes": self.args_bytes,
            "decision": self.decision,
            "rule": _cut(self.rule, _TEXT),
            **_given("confirm", _table(self.confirm)),
            **_given("labels", _table(self.labels)),
            **_given("claims", _table(self.claims)),
            **_given("traceparent", _cut(self.traceparent, 64)),
            **_given("preview", _cut(self.preview, _PREVIEW)),
            **_given("count", self.count if self.count > 1 else 0),
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that was not let in, or not yet. It is always made durable, and has no outcome.

    Args:
        call: What was asked, as far as it is known.
        reason: Why, as a stable snake_case word such as ``unauthenticated`` or ``policy``.
    """

    call: Intent
    reason: str

    def fields(self) -> Record:
        """The record's fields."""
        decision = "confirm" if self.call.decision == "confirm" else "deny"
        return {**self.call.fields(), "decision": decision, "reason": _cut(self.reason, _TEXT)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call.

    Args:
        status: How it ended.
        result_digest: Of the canonical result as it went on the wire.
        result_bytes: Size of the canonical result.
        error: The error's stable code or class; never its text, which may quote data.
        redactions: How many secrets were masked in the result.
        labels: Flow labels of the result.
        egress: Hosts that were contacted.
        preview: Redacted result, only if the settings ask for it.
    """

    status: Status = "ok"
    result_digest: str = ""
    result_bytes: int = 0
    error: str = ""
    redactions: int = 0
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    egress: tuple[str, ...] = ()
    preview: str = ""

    def fields(self, intent: int, milliseconds: float) -> Record:
        """The record's fields.

        Args:
            intent: Sequence number of the intent.
            milliseconds: Time since the intent was written.
        """
        return {
            "intent": intent,
            "status": self.status,
            "result": _cut(self.result_digest, 80),
            "result_bytes": self.result_bytes,
            "ms": round(milliseconds, 3),
            "redactions": self.redactions,
            **_given("error", _cut(self.error, _TEXT)),
            **_given("labels", _table(self.labels)),
            **_given("egress", [_cut(host, _TEXT) for host in self.egress[:_ITEMS]]),
            **_given("preview", _cut(self.preview, _PREVIEW)),
        }


def header(
    *,
    server: str,
    version: str,
    info: HeaderInfo,
    chain: str,
    part: int,
    epoch: int,
    key_id: str,
    previous: tuple[str, str] | None,
    started: str,
    witness: Mapping[str, int] | None = None,
) -> Record:
    """The first record of each file.

    Args:
        server: The server's short name.
        version: Its version.
        info: What else the server says of itself.
        chain: The chain's name, from which its keys derive.
        part: Number of the file in its chain, from 1.
        epoch: Number of the key that seals this record.
        key_id: Public name of the master key; see `gatelodge_core.audit.chain.key_id`.
        previous: Name and last MAC of the file before, from part 2 on.
        started: When the process opened its journal.
        witness: Other chains in the directory and the last sequence number each of them had made durable: a chain
            that is later deleted with everything of its own is still named here.
    """
    return {
        "schema": SCHEMA,
        "server": server,
        "version": _cut(version, _TEXT),
        "pid": os.getpid(),
        "started": started,
        "python": ".".join(map(str, sys.version_info[:3])),
        "platform": _cut(_platform(), _TEXT),
        "sandbox": _cut(info.sandbox, _TEXT),
        "transport": _cut(info.transport, _TEXT),
        "manifest": _cut(info.manifest, 80),
        "chain": chain,
        "part": part,
        "epoch": epoch,
        "key": key_id,
        "prev": {"file": previous[0], "mac": previous[1]} if previous else None,
        **_given("witness", dict(witness or {})),
        **_given("extra", _table(info.extra)),
    }


def checkpoint(*, records: int, size: int, running: int) -> Record:
    """A durable mark: how many records and bytes this file has, and how many calls are running."""
    return {"records": records, "bytes": size, "running": running}


def epoch(*, to: int) -> Record:
    """The last record under a key: all that follows is sealed with the next one."""
    return {"to": to}


def halt(*, reason: str) -> Record:
    """From here on calls are refused, because records can't be written."""
    return {"reason": _cut(reason, _TEXT)}


def resume(*, refused: int) -> Record:
    """Records can be written again; so many calls were refused without a record of their own."""
    return {"refused": refused}


def close(*, reason: str, following: str = "") -> Record:
    """The last record of a file.

    Args:
        reason: ``rotated``, or why the server stopped.
        following: Name of the next file of the chain, if it was rotated.
    """
    return {"reason": _cut(reason, _TEXT), **_given("next", following)}


def tombstone(
    *, file: str, chain: str, part: int, first: int, last: int, mac: str, epoch: int, size: int, sha256: str, until: str
) -> Record:
    """What remains of a file that was pruned after it had verified.

    Args:
        file: Its name.
        chain: Its chain.
        part: Its number in the chain.
        first: Its first sequence number.
        last: Its last sequence number.
        mac: Its last MAC, with which the next part begins.
        epoch: Number of the key of the next part.
        size: Its bytes.
        sha256: Of the whole file, to recognise a copy kept elsewhere.
        until: Time of its last record.
    """
    return {
        "file": file, "chain": chain, "part": part, "first": first, "last": last, "last_mac": mac, "epoch": epoch,
        "bytes": size, "sha256": sha256, "until": until,
    }  # fmt: skip


def timestamp(nanoseconds: int) -> str:
    """Nanoseconds since 1970 as UTC in ISO 8601 with nine decimals; fixed width, so that texts sort like times."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}.{rest:09d}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _platform() -> str:
    # Not platform.platform(), which reads the interpreter's own file.
    if sys.platform == "win32":
        return "Windows"
    found = os.uname()
    return f"{found.sysname} {found.release} {found.machine}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _table(values: Mapping[str, str]) -> dict[str, str]:
    items = list(values.items())[:_ITEMS]
    return {_cut(key, 40): _cut(value, _TEXT) for key, value in items}


def _small(value: str | int) -> bool:
    return isinstance(value, int) and abs(value) < 2**63


def _given(name: str, value: object) -> Record:
    """A field that is left out when there is nothing in it."""
    return {name: value} if value else {}
