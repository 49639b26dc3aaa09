"""The cleansing steps: what leaves is made visible, put in its envelope, and redacted; and a mask never comes back in.

`Cleanser.inner` stands next to the tool, so that the journal's digest is of what went on the wire. `Cleanser.outer` stands
before all others and sees to what they say themselves: refusals, questions, errors. Large results are cleansed in a worker
thread.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast

import anyio.to_thread
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gatelodge_core.audit.canonical import CanonicalError, canonical
from gatelodge_core.effects import READ
from gatelodge_core.guard.call import CLEAN, FORM, Call, Next, Outcome
from gatelodge_core.guard.envelope import new_nonce, wrap
from gatelodge_core.guard.hygiene import visible
from gatelodge_core.guard.limits import size_of
from gatelodge_core.guard.redaction import MAX_DEPTH, Blocked, Redactor

REDACTIONS = "redactions"
"""Note on a call: how many parts of its result were masked."""
LARGE = 32 * 1024
"""Characters from which on the work is done in a thread; below, starting one takes longer than the work."""
SHORT = 200
_MASK = re.compile(r"\[redacted: [a-z][\w .:-]{2,60}\]")
_TEXTS = (str, dict, list)
_BINARY_KEYS = ("data", "blob")


class _Cleansed(NamedTuple):
    result: dict[str, Any]
    masked: int
    form: bytes | None


class Cleanser:
    """Makes results fit to leave.

    Args:
        redactor: Finds what must not leave.
        guard_masks: Whether a changing call that carries a mask is refused: what it writes would destroy the secret
            that stands behind it.
    """

    def __init__(self, redactor: Redactor, *, guard_masks: bool = True) -> None:
        self._redactor = redactor
        self._guard_masks = guard_masks
        self._short = lru_cache(maxsize=512)(self._text)

    def learn(self, name: str, value: str) -> None:
        """Mask from now on a secret that the process came to hold while it runs; see `Redactor.learn`."""
        if self._redactor.learn(name, value):
            # What is being cleansed in another thread ends up in the old one.
            self._short = lru_cache(maxsize=512)(self._text)

    def text(self, value: str) -> str:
        """A text for a log, a question or the journal: hidden characters visible, secrets masked."""
        # Names and claims come again with every call.
        return self._short(value) if len(value) <= SHORT else self._text(value)

    def _text(self, value: str) -> str:
        try:
            return self._redactor.text(visible(value)[0])[0]
        except Blocked as error:
            return str(error)

    async def outer(self, call: Call, way: Next) -> Outcome:
        """Walk on, and cleanse what other steps answer themselves.

        Raises:
            MCPError: What other steps raise, cleansed.
        """
        try:
            outcome = await way(call)
        except MCPError as error:
            raise self._error(error) from None
        if outcome.result is call.notes.get(CLEAN):
            return outcome
        return await self._cleansed(call, outcome, enveloped=False)

    async def inbound(self, call: Call, way: Next) -> Outcome:
        """Walk on, unless a changing call carries a mask. After the limits: a refusal costs a record on the disk."""
        if self._guard_masks and call.nature.effect is not READ and _masked(call.arguments):
            call.notes["refusal"] = "masked_text"
            text = (
                "masked_text: the arguments hold a mask ([redacted: ...]) in place of a secret that was not shown; "
                "written, it would destroy the secret. Change only the text around it. Nothing was done."
            )
            return Outcome(call.channel.refusal(text), failed=True)
        return await way(call)

    async def inner(self, call: Call, way: Next) -> Outcome:
        """Walk on, and cleanse the tool's result."""
        outcome = await self._cleansed(call, await way(call), enveloped=call.nature.yields.untrusted)
        call.notes[CLEAN] = outcome.result
        return outcome

    async def _cleansed(self, call: Call, outcome: Outcome, *, enveloped: bool) -> Outcome:
        source = f"{call.kind} {call.name}" if enveloped and not outcome.failed else ""
        try:
            if _is_large(outcome.result):
                found = await anyio.to_thread.run_sync(self._result, outcome.result, source)
            else:
                found = self._result(outcome.result, source)
        except Blocked as error:
            call.notes["refusal"] = f"personal data ({', '.join(error.kinds)})"
            if call.kind == "tool":
                return Outcome(call.channel.refusal(str(error)), failed=True)
            raise MCPError(INTERNAL_ERROR, str(error)) from None
        call.notes[FORM] = found.form
        if found.masked:
            call.notes[REDACTIONS] = int(call.notes.get(REDACTIONS, 0)) + found.masked
        return outcome if found.result is outcome.result else Outcome(found.result, outcome.failed)

    def _result(self, result: dict[str, Any], source: str) -> _Cleansed:
        """A wire result, fit to leave; the same object if nothing changed."""
        form = _form(result)
        text = form.decode("utf-8") if form is not None else ""
        # Control characters stand in JSON as escapes.
        quiet = form is not None and "\\u00" not in text and "\\b" not in text and self._redactor.quiet(text)
        clean, masked = (result, 0) if quiet else self._slowly(result)
        opened, more = self._binary(clean)
        if source:
            opened = _enveloped(opened, source)
        return _Cleansed(opened, masked + more, form if opened is result else _form(opened))

    def _slowly(self, result: dict[str, Any]) -> tuple[dict[str, Any], int]:
        clean, found = self._redactor.value(_seen(result, 0))
        return clean, sum(found.values())

    def _binary(self, result: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Bytes with a secret in them are replaced whole; a mask inside would only break them."""
        count = 0
        changed = dict(result)
        for key in ("content", "contents"):
            items = result.get(key)
            if not isinstance(items, list):
                continue
            blocks: list[Any] = []
            for item in cast("list[Any]", items):
                block, replaced = self._block(item)
                count += replaced
                blocks.append(block if replaced else item)
            changed[key] = blocks
        return (changed, count) if count else (result, 0)

    def _block(self, item: Any) -> tuple[Any, int]:
        """The block that takes an item's place, and 1; anything and 0 if it may stay."""
        if not isinstance(item, dict):
            return None, 0
        block = cast("dict[str, Any]", item)
        inner, replaced = self._block(block["resource"]) if "resource" in block else (None, 0)
        if replaced:
            return {**block, "resource": inner}, replaced
        key = next((name for name in _BINARY_KEYS if isinstance(block.get(name), str)), "")
        if not key or not self._holds_secret(block[key]):
            return block, 0
        note = base64.b64encode(b"[redacted: a secret was in these bytes]").decode("ascii")
        return {**block, key: note}, 1

    def _holds_secret(self, encoded: str) -> bool:
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return _MASK.search(encoded) is not None
        return bool(self._redactor.text(data.decode("latin-1"))[1])

    def _error(self, error: MCPError) -> MCPError:
        """The error with a text fit to leave; the same object if it was."""
        message = self.text(error.error.message)
        data, found = error.error.data, 0
        if data is not None:
            try:
                data, counts = self._redactor.value(_seen(data, 0))
                found = len(counts)
            except Blocked:
                data, found = None, 1
        if message == error.error.message and not found:
            return error
        return MCPError(error.error.code, message, data)


class CleanFormatter(logging.Formatter):
    """Formats log records, and passes each, with its traceback, through the same place as results.

    Args:
        text: Format of a line.
        cleanser: Cleanses it.
    """

    def __init__(self, text: str, cleanser: Cleanser) -> None:
        super().__init__(text)
        self._cleanser = cleanser

    def format(self, record: logging.LogRecord) -> str:
        """One record as text; see `logging.Formatter.format`."""
        # Further lines stand in: what a caller sent, and somebody logs, must not look like a record of its own.
        return self._cleanser.text("\n  ".join(super().format(record).splitlines()))


def _is_large(result: dict[str, Any]) -> bool:
    blocks: object = result.get("content")
    if "structuredContent" not in result and isinstance(blocks, list):
        # The usual result: a few blocks, whose texts are most of it.
        texts = [block.get("text") for block in cast("list[dict[str, Any]]", blocks)]
        if all(isinstance(text, str) for text in texts):
            return sum(map(len, cast("list[str]", texts))) >= LARGE
    return size_of(result, LARGE) >= LARGE


def _form(result: dict[str, Any]) -> bytes | None:
    try:
        return canonical(result)
    except CanonicalError:
        return None


def _seen(value: Any, depth: int) -> Any:
    """A JSON value with hidden characters made visible, keys too; the same object if there were none."""
    if isinstance(value, str):
        return visible(value)[0]
    if depth >= MAX_DEPTH:
        return value
    changed = False
    if isinstance(value, dict):
        table: dict[str, Any] = {}
        for key, item in cast("dict[str, Any]", value).items():
            name = visible(key)[0]
            new = _seen(item, depth + 1) if isinstance(item, _TEXTS) else item
            changed = changed or name is not key or new is not item
            table[name] = new
        return table if changed else cast("dict[str, Any]", value)
    if isinstance(value, list):
        items: list[Any] = []
        for item in cast("list[Any]", value):
            new = _seen(item, depth + 1) if isinstance(item, _TEXTS) else item
            changed = changed or new is not item
            items.append(new)
        return items if changed else cast("list[Any]", value)
    return value


def _enveloped(result: dict[str, Any], source: str) -> dict[str, Any]:
    """The result with each text block in an envelope, all under one nonce."""
    nonce = new_nonce()
    changed = dict(result)
    for key in ("content", "contents"):
        blocks = result.get(key)
        if isinstance(blocks, list):
            changed[key] = [_wrapped(block, source, nonce) for block in cast("list[Any]", blocks)]
    return changed


def _wrapped(block: Any, source: str, nonce: str) -> Any:
    if not isinstance(block, dict):
        return block
    fields = cast("dict[str, Any]", block)
    text: object = fields.get("text")
    if not isinstance(text, str) or not _is_prose(str(fields.get("mimeType") or "")):
        return fields
    return {**fields, "text": wrap(text, source, nonce)}


def _is_prose(mime_type: str) -> bool:
    """Whether a text is read by a model alone: a program that takes a resource's JSON or CSV would fail on an envelope."""
    return not mime_type or (mime_type.startswith("text/") and not mime_type.startswith("text/csv"))


def _masked(value: object, depth: int = 0) -> bool:
    """Whether any text of the arguments holds a mask."""
    if isinstance(value, str):
        return "[redacted: " in value and _MASK.search(value) is not None
    if depth >= MAX_DEPTH:
        return False
    if isinstance(value, Mapping):
        return any(_masked(item, depth + 1) for item in cast("Mapping[str, object]", value).values())
    if isinstance(value, (list, tuple)):
        return any(_masked(item, depth + 1) for item in cast("list[object]", value))
    return False
