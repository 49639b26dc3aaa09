"""The client library, set up so that nothing hangs and no answer is given to another question.

Imported only where a shared store is set: the library is an extra (``gatelodge-core[store]``).
"""

from __future__ import annotations

import ssl
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    NoScriptError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from gatelodge_core.store.address import Address

NoScript = NoScriptError
Failure = (RedisError, OSError, TimeoutError)
"""All that a command can raise when the store doesn't do what it was asked."""
Denied = (AuthenticationError, AuthorizationError, NoPermissionError)
"""It answers, and doesn't let us in."""
Refused = ResponseError
"""It answers, and says no: full, a replica that can't be written, a command that isn't allowed."""

TimedOut = (RedisTimeoutError, TimeoutError)

Client = Redis


def client(address: Address, *, seconds: float, connections: int) -> Client:
    """A client that asks once, in time, over a bounded number of connections; nothing is connected yet.

    Args:
        address: Of the store.
        seconds: After which a connection or a command has failed for the library, whatever a caller's own deadline.
        connections: The most at once that answer callers; one more is for the probe.
    """
    options: dict[str, Any] = {
        "db": address.database,
        "username": address.user or None,
        "password": address.password or None,
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        # A repeated command could be done twice: whoever asks decides.
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "protocol": 2,
        # Or each connection begins with two commands that tell of the library.
        "driver_info": None,
    }
    if address.socket:
        options |= {"connection_class": UnixDomainSocketConnection, "path": address.socket}
    else:
        options |= {"connection_class": Connection, "host": address.host, "port": address.port}
    if address.tls:
        options |= {
            "connection_class": SSLConnection,
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": address.ca_file or None,
            "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        }
    return Redis.from_pool(BlockingConnectionPool(max_connections=connections + 1, timeout=seconds, **options))
