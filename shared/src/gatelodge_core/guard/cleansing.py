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
from typing import Any, cast

import anyio.to_thread
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gatelodge_core.effects import READ
from gatelodge_core.guard.call import Call, Next, Outcome
from gatelodge_core.guard.envelope import new_nonce, wrap
from gatelodge_core.guard.hygiene import visible
from gatelodge_core.guard.limits import size_of
from gatelodge_core.guard.redaction import MAX_DEPTH, Blocked, Redactor

CLEAN = "clean"
"""Note on a call: the result that was cleansed already."""
REDACTIONS = "redactions"
"""Note on a call: how many parts of its result were masked."""
LARGE = 32 * 1024
"""Characters from which on the work is done in a thread; below, starting one takes longer than the work."""
_MASK = re.compile(r"\[redacted: [a-z][\w .:-]{2,60}\]")
_BINARY_KEYS = ("data", "blob")


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

    def text(self, value: str) -> str:
        """A text for a log, a question or the journal: hidden characters visible, secrets masked."""
        try:
            return self._redactor.text(visible(value)[0])[0]
        except Blocked as error:
            return str(error)

    async def outer(self, call: Call, way: Next) -> Outcome:
        """Walk on, and cleanse what other steps answer themselves.

        Raises:
            MCPError: What other steps raise, cleansed.
        """
        if self._guard_masks and call.nature.effect is not READ and _masked(call.arguments):
            call.notes["refusal"] = "masked_text"
            text = (
                "masked_text: the arguments hold a mask ([redacted: ...]) in place of a secret that was not shown; "
                "written, it would destroy the secret. Change only the text around it. Nothing was done."
            )
            return Outcome(call.channel.refusal(text), failed=True)
        try:
            outcome = await way(call)
        except MCPError as error:
            raise self._error(error) from None
        if outcome.result is call.notes.get(CLEAN):
            return outcome
        return await self._cleansed(call, outcome, enveloped=False)

    async def inner(self, call: Call, way: Next) -> Outcome:
        """Walk on, and cleanse the tool's result."""
        outcome = await self._cleansed(call, await way(call), enveloped=call.nature.yields.untrusted)
        call.notes[CLEAN] = outcome.result
        return outcome

    async def _cleansed(self, call: Call, outcome: Outcome, *, enveloped: bool) -> Outcome:
        source = f"{call.kind} {call.name}" if enveloped and not outcome.failed else ""
        try:
            if size_of(outcome.result) > LARGE:
                result, count = await anyio.to_thread.run_sync(self._result, outcome.result, source)
            else:
                result, count = self._result(outcome.result, source)
        except Blocked as error:
            call.notes["refusal"] = f"personal data ({', '.join(error.kinds)})"
            if call.kind == "tool":
                return Outcome(call.channel.refusal(str(error)), failed=True)
            raise MCPError(INTERNAL_ERROR, str(error)) from None
        if count:
            call.notes[REDACTIONS] = int(call.notes.get(REDACTIONS, 0)) + count
        return outcome if result is outcome.result else Outcome(result, outcome.failed)

    def _result(self, result: dict[str, Any], source: str) -> tuple[dict[str, Any], int]:
        """A wire result, fit to leave, and how many parts were masked; the same object if nothing changed."""
        seen = _seen(result, 0)
        clean, found = self._redactor.value(seen)
        masked = sum(found.values())
        opened, more = self._binary(clean)
        if source:
            opened = _enveloped(opened, source)
        return opened, masked + more

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
        lines = super().format(record).split("\n")
        return self._cleanser.text("\n".join(lines))


def _seen(value: Any, depth: int) -> Any:
    """A JSON value with hidden characters made visible, keys too; the same object if there were none."""
    if isinstance(value, str):
        return visible(value)[0]
    if depth >= MAX_DEPTH:
        return value
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        new = {visible(key)[0]: _seen(item, depth + 1) for key, item in table.items()}
        same = len(new) == len(table) and all(
            a is b and new[a] is table[b] for a, b in zip(new, table, strict=True)
        )  # fmt: skip
        return table if same else new
    if isinstance(value, list):
        items = [_seen(item, depth + 1) for item in cast("list[Any]", value)]
        same = all(new is old for new, old in zip(items, cast("list[Any]", value), strict=True))
        return cast("list[Any]", value) if same else items
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
    return {**fields, "text": wrap(text, source, nonce)} if isinstance(text, str) else fields


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
