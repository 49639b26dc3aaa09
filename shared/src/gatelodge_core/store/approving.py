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
"""The most calls of one caller at one server that wait in a shared store."""
MAX_OPEN_ALL = 500
"""The most of one server."""
MAX_SERVERS = 64
"""Names of servers that are looked at."""


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
# All of these are under the server's own prefix, and what is kept there is only ever the end of such a key: whoever has one
# server's account can't have a person's answer change another server's call. Times are the store's own, in milliseconds.
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
        'name', ARGV[5], 'effect', ARGV[6], 'state', 'parked', 'expires', string.format('%.0f', ends), 'mine', ARGV[11])
    redis.call('SET', KEYS[2], ARGV[10], 'PX', ARGV[7])
    redis.call('PEXPIRE', KEYS[1], ARGV[7])
    for i = 3, 4 do redis.call('ZADD', KEYS[i], ends, ARGV[1]) redis.call('PEXPIRE', KEYS[i], ARGV[7]) end
end
redis.call('SADD', KEYS[5], ARGV[3])
redis.call('PEXPIRE', KEYS[5], ARGV[7])
return redis.call('HMGET', KEYS[1], 'code', 'binding', 'server', 'principal', 'name', 'effect', 'state', 'expires')
"""
)
_DECIDE = Script.of("""
local found = redis.call('GET', KEYS[1])
if not found then return 0 end
local call = ARGV[3] .. found
if redis.call('HGET', call, 'state') ~= 'parked' then return 0 end
redis.call('HSET', call, 'state', ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[2] .. ':' .. redis.call('HGET', call, 'mine'), ARGV[2])
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
        found[#found + 1] = redis.call('HMGET', ARGV[2] .. call, 'code', 'binding', 'server', 'principal', 'name', 'code', 'state', 'expires')
        found[#found][6] = ''
    end
end
return found
"""
)
_WAITING = Script.of("""
local call = redis.call('GET', KEYS[1])
if not call then return false end
return redis.call('HMGET', ARGV[1] .. call, 'code', 'binding', 'server', 'principal', 'name', 'effect', 'state', 'expires')
""")

# The call may have been made again since, under another code.
_FATE = Script.of("""
local found = redis.call('HMGET', KEYS[1], 'code', 'state')
return found[1] == ARGV[1] and found[2]
""")

_SERVERS = Script.of("return redis.call('SMEMBERS', KEYS[1])")
_NAMES = f"{PREFIX}approving"


class SharedApprovals:
    """The approvals of all replicas that share a store.

    Args:
        store: The store.
        server: The server whose calls are parked here, and whose answers are used. A person's book needs none: calls of
            all servers are shown and answered in any.
    """

    def __init__(self, store: SharedStore, server: str = "") -> None:
        self._store, self._server = store, server

    async def park(self, binding: str, *, server: str, principal: str, name: str, effect: str) -> Approval:
        """Park a call; see `ApprovalBook`."""
        of, call, mine = _Keys(server), hashed(binding), hashed(principal)
        for _ in range(3):
            code = new_code()
            keys = [of.calls + call, of.codes + code, of.parked, f"{of.parked}:{mine}", _NAMES]
            told = [code, binding, server, principal, name, effect[:MAX_EFFECT], round(TTL_SECONDS * 1000)]
            bounds = [MAX_OPEN_ALL, MAX_OPEN_EACH, call, mine]
            found = await self._store.run(_PARK, keys, *map(_sendable, told), *bounds)
            if found in (b"all", b"each"):
                most = MAX_OPEN_ALL if found == b"all" else MAX_OPEN_EACH
                whose = "" if found == b"all" else " of this caller"
                raise StoreError(f"{most} calls{whose} wait for approval already; approve or decline some first")
            if found != b"taken":
                return _approval(found, server)
        raise StoreError("no code was free")

    async def spend(self, binding: str) -> State | None:
        """Use the answer to a call; see `ApprovalBook`."""
        found = await self._store.run(_SPEND, [_Keys(self._server).calls + hashed(binding)])
        return None if found is None else cast("State", found.decode())

    async def nonce(self) -> str:
        """The name of a new question; it belongs to what the store knows now."""
        memory = await self._store.run(_MEMORY, [f"{PREFIX}memory"])
        return f"{(memory or b'').decode()}-{secrets.token_hex(16)}"

    async def spend_once(self, nonce: str) -> bool:
        """Whether the answer to a question comes for the first time."""
        keys = [f"{PREFIX}memory", _Keys(self._server).nonces + hashed(nonce)]
        return bool(await self._store.run(_SPEND_ONCE, keys, nonce.partition("-")[0], 2 * TTL_SECONDS * 1000))

    async def decide(self, code: str, *, approved: bool) -> bool:
        """Give the person's answer; see `ApprovalBook`."""
        told = ["approved" if approved else "declined", code]
        for server in await self._servers():
            of = _Keys(server)
            if await self._store.run(_DECIDE, [of.codes + code, of.parked], *told, of.calls):
                return True
        return False

    async def parked(self) -> list[Approval]:
        """The calls that wait, oldest first, without their effects."""
        found: list[Approval] = []
        for server in await self._servers():
            of = _Keys(server)
            rows = await self._store.run(_PARKED, [of.parked], of.codes, of.calls)
            found += [_approval(row, server) for row in rows]
        return sorted(found, key=lambda approval: approval.expires)

    async def waiting(self, code: str) -> Approval | None:
        """One of them, with its effect."""
        for server in await self._servers():
            of = _Keys(server)
            found = await self._store.run(_WAITING, [of.codes + code], of.calls)
            if found is not None:
                return _approval(found, server)
        return None

    async def fate(self, approval: Approval) -> State | None:
        """What became of a call; see `ApprovalBook`. An answer that was used is forgotten here."""
        key = _Keys(approval.server).calls + hashed(approval.binding)
        found = await self._store.run(_FATE, [key], approval.code)
        return cast("State", found.decode()) if found else None

    async def _servers(self) -> list[str]:
        """Servers with calls that wait, or did a moment ago."""
        return sorted(bytes(name).decode(errors="replace") for name in await self._store.run(_SERVERS, [_NAMES]))[
            :MAX_SERVERS
        ]


class _Keys:
    """How the keys of one server begin."""

    def __init__(self, server: str) -> None:
        own = f"{PREFIX}{server}:"
        self.calls, self.codes, self.nonces, self.parked = f"{own}call:", f"{own}code:", f"{own}nonce:", f"{own}parked"


def _sendable(value: str | int) -> str | int:
    """A text that can be encoded: names can hold what is no Unicode text."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _approval(row: list[Any], server: str) -> Approval:
    """What was kept, of the server whose prefix it is under, whatever it says itself."""
    code, binding, _, principal, name, effect, state, expires = (bytes(item).decode() for item in row)
    return Approval(code, binding, server, principal, name, effect, cast("State", state), int(expires) / 1000)
