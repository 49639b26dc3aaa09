"""What each account of a shared store may do, as rules of its access control list (ACL, Valkey 7.2 or Redis 7).

A server's account reaches what is that server's own. Shared are, by intention, the name of the store's memory, the names of
the servers with calls that wait, and the list of revocations, which a server only reads. No account may forget everything,
look for keys, or load functions: these commands take no key, so that no prefix would bind them.
"""

from __future__ import annotations

from gatelodge_core.store.shared import PREFIX

COMMANDS = (
    "eval", "evalsha", "del", "exists", "get", "hget", "hmget", "hset", "incr", "info", "pexpire", "pttl", "sadd", "select",
    "set", "smembers", "time", "zadd", "zcard", "zrange", "zrangebyscore", "zrem", "zremrangebyscore", "zscore",
)  # fmt: skip
"""All that our scripts use, and what runs them."""
_ALLOWED = " ".join(["-@all", *(f"+{name}" for name in COMMANDS)])


def server_rules(server: str) -> str:
    """The rules for one server's account; its name and password come before them.

    Args:
        server: The server's short name.
    """
    shared = " ".join(f"~{PREFIX}{name}" for name in ("memory", "alive", "approving"))
    return f"resetchannels resetkeys {shared} ~{PREFIX}{server}:* %R~{PREFIX}revoked:* {_ALLOWED}"


def person_rules() -> str:
    """The rules for whoever approves calls and revokes, for all servers."""
    return f"resetchannels resetkeys ~{PREFIX}* {_ALLOWED}"
