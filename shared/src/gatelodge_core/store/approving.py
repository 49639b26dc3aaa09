"""Approvals as the guard uses them, wherever they lie: in the file of one machine, or in the store that replicas share."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any, Protocol, cast

import anyio.to_thread

from gatelodge_core.store.approvals import MAX_EFFECT, TTL_SECONDS, Approval, Approvals, State, new_code
from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.shared import PREFIX, Script, SharedStore, hashed

MAX_OPEN_EACH = 25
"""The most calls of one caller that wait in a shared store."""
MAX_OPEN_ALL = 500
"""The most in all."""


class ApprovalBook(Protocol):
    """Where approvals lie. Each operation is done wholly or not at all, and raises `StoreError` if it can't be done."""

    async def park(self, binding: str, *, server: str, principal: str, name: str, effect: str) -> Approval:
        """Park a call; one that waits already keeps its code."""
        ...

    async def spend(self, binding: str) -> State | None:
        """Use the answer to a call: ``approved`` exactly once, ``declined`` if that was it, else None."""
        ...

    async def nonce(self) -> str:
        """The name of a new question, for `spend_once`."""
        ...

    async def spend_once(self, nonce: str) -> bool:
        """Whether the answer to a question comes for the first time."""
        ...

    async def decide(self, code: str, *, approved: bool) -> bool:
        """Give the person's answer; False if the call doesn't wait any more."""
        ...

    async def parked(self) -> list[Approval]:
        """The calls that wait, oldest first; their effects may be cut or left out."""
        ...

    async def waiting(self, code: str) -> Approval | None:
        """One of them, with its effect."""
        ...

    async def fate(self, approval: Approval) -> State | None:
        """What became of a call that was seen waiting; None if nobody knows any more."""
        ...


class LocalApprovals:
    """The approvals of one machine, in worker threads.

    Args:
        approvals: Their file.
    """

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    async def park(self, binding: str, *, server: str, principal: str, name: str, effect: str) -> Approval:
        """Park a call; see `ApprovalBook`."""
        park = partial(self._approvals.park, binding, server=server, principal=principal, name=name, effect=effect)
        return await anyio.to_thread.run_sync(park)

    async def spend(self, binding: str) -> State | None:
        """Use the answer to a call; see `ApprovalBook`."""
        return await anyio.to_thread.run_sync(self._approvals.spend, binding)

    async def nonce(self) -> str:
        """The name of a new question."""
        return secrets.token_hex(16)

    async def spend_once(self, nonce: str) -> bool:
        """Whether the answer to a question comes for the first time."""
        return await anyio.to_thread.run_sync(self._approvals.spend_once, nonce)

    async def decide(self, code: str, *, approved: bool) -> bool:
        """Give the person's answer; see `ApprovalBook`."""
        return await anyio.to_thread.run_sync(partial(self._approvals.decide, code, approved=approved))

    async def parked(self) -> list[Approval]:
        """The calls that wait, oldest first, with the beginnings of their effects."""
        return await anyio.to_thread.run_sync(self._approvals.parked)

    async def waiting(self, code: str) -> Approval | None:
        """One of them."""
        return await anyio.to_thread.run_sync(self._approvals.waiting, code)

    async def fate(self, approval: Approval) -> State | None:
        """What became of a call; see `ApprovalBook`."""
        return await anyio.to_thread.run_sync(self._approvals.state, approval.code)


# One call is one hash under its binding; a code leads to it, and two sorted sets count what waits, of all and of a caller.
# Times are the store's own, in milliseconds.
_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
_PARK = Script.of(
    _NOW
    + """
local state = redis.call('HGET', KEYS[1], 'state')
if not state then
    for i = 3, 4 do redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now) end
    if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[8]) then return 'all' end
    if redis.call('ZCARD', KEYS[4]) >= tonumber(ARGV[9]) then return 'each' end
    if redis.call('EXISTS', KEYS[2]) == 1 then return 'taken' end
    local ends = now + ARGV[7]
    redis.call('HSET', KEYS[1], 'code', ARGV[1], 'binding', ARGV[2], 'server', ARGV[3], 'principal', ARGV[4],
        'name', ARGV[5], 'effect', ARGV[6], 'state', 'parked', 'expires', string.format('%.0f', ends), 'mine', KEYS[4])
    redis.call('SET', KEYS[2], KEYS[1], 'PX', ARGV[7])
    redis.call('PEXPIRE', KEYS[1], ARGV[7])
    for i = 3, 4 do redis.call('ZADD', KEYS[i], ends, ARGV[1]) redis.call('PEXPIRE', KEYS[i], ARGV[7]) end
end
return redis.call('HMGET', KEYS[1], 'code', 'binding', 'server', 'principal', 'name', 'effect', 'state', 'expires')
"""
)
_DECIDE = Script.of("""
local call = redis.call('GET', KEYS[1])
if not call or redis.call('HGET', call, 'state') ~= 'parked' then return 0 end
redis.call('HSET', call, 'state', ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', redis.call('HGET', call, 'mine'), ARGV[2])
redis.call('DEL', KEYS[1])
return 1
""")
_SPEND = Script.of("""
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'approved' or state == 'declined' then redis.call('DEL', KEYS[1]) return state end
return false
""")
# A memory that was lost forgot which answers were used: those to questions that it doesn't know of are used.
_SPEND_ONCE = Script.of("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) and 1 or 0
""")
_MEMORY = Script.of("return redis.call('GET', KEYS[1])")
_PARKED = Script.of(
    _NOW
    + """
local found = {}
for _, code in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')) do
    local call = redis.call('GET', ARGV[1] .. code)
    if call then
        found[#found + 1] = redis.call('HMGET', call, 'code', 'binding', 'server', 'principal', 'name', 'code', 'state', 'expires')
        found[#found][6] = ''
    end
end
return found
"""
)
_WAITING = Script.of("""
local call = redis.call('GET', KEYS[1])
if not call then return false end
return redis.call('HMGET', call, 'code', 'binding', 'server', 'principal', 'name', 'effect', 'state', 'expires')
""")

# The call may have been made again since, under another code.
_FATE = Script.of("""
local found = redis.call('HMGET', KEYS[1], 'code', 'state')
return found[1] == ARGV[1] and found[2]
""")

_CODES = f"{PREFIX}code:"
_ALL = f"{PREFIX}parked"


class SharedApprovals:
    """The approvals of all replicas and all servers that share a store.

    Args:
        store: The store.
    """

    def __init__(self, store: SharedStore) -> None:
        self._store = store

    async def park(self, binding: str, *, server: str, principal: str, name: str, effect: str) -> Approval:
        """Park a call; see `ApprovalBook`."""
        mine = f"{_ALL}:{hashed(principal)}"
        for _ in range(3):
            code = new_code()
            keys = [_call(binding), _CODES + code, _ALL, mine]
            told = [code, binding, server, principal, name, effect[:MAX_EFFECT], round(TTL_SECONDS * 1000)]
            found = await self._store.run(_PARK, keys, *map(_sendable, told), MAX_OPEN_ALL, MAX_OPEN_EACH)
            if found in (b"all", b"each"):
                most = MAX_OPEN_ALL if found == b"all" else MAX_OPEN_EACH
                whose = "" if found == b"all" else " of this caller"
                raise StoreError(f"{most} calls{whose} wait for approval already; approve or decline some first")
            if found != b"taken":
                return _approval(found)
        raise StoreError("no code was free")

    async def spend(self, binding: str) -> State | None:
        """Use the answer to a call; see `ApprovalBook`."""
        found = await self._store.run(_SPEND, [_call(binding)])
        return None if found is None else cast("State", found.decode())

    async def nonce(self) -> str:
        """The name of a new question; it belongs to what the store knows now."""
        memory = await self._store.run(_MEMORY, [f"{PREFIX}memory"])
        return f"{(memory or b'').decode()}-{secrets.token_hex(16)}"

    async def spend_once(self, nonce: str) -> bool:
        """Whether the answer to a question comes for the first time."""
        keys = [f"{PREFIX}memory", f"{PREFIX}nonce:{hashed(nonce)}"]
        return bool(await self._store.run(_SPEND_ONCE, keys, nonce.partition("-")[0], 2 * TTL_SECONDS * 1000))

    async def decide(self, code: str, *, approved: bool) -> bool:
        """Give the person's answer; see `ApprovalBook`."""
        keys = [_CODES + code, _ALL]
        return bool(await self._store.run(_DECIDE, keys, "approved" if approved else "declined", code))

    async def parked(self) -> list[Approval]:
        """The calls that wait, oldest first, without their effects."""
        return [_approval(item) for item in await self._store.run(_PARKED, [_ALL], _CODES)]

    async def waiting(self, code: str) -> Approval | None:
        """One of them, with its effect."""
        found = await self._store.run(_WAITING, [_CODES + code])
        return None if found is None else _approval(found)

    async def fate(self, approval: Approval) -> State | None:
        """What became of a call; see `ApprovalBook`. An answer that was used is forgotten here."""
        found = await self._store.run(_FATE, [_call(approval.binding)], approval.code)
        return cast("State", found.decode()) if found else None


def _call(binding: str) -> str:
    return f"{PREFIX}approval:{hashed(binding)}"


def _sendable(value: str | int) -> str | int:
    """A text that can be encoded: names can hold what is no Unicode text."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _approval(row: list[Any]) -> Approval:
    code, binding, server, principal, name, effect, state, expires = (bytes(item).decode() for item in row)
    return Approval(code, binding, server, principal, name, effect, cast("State", state), int(expires) / 1000)
