"""How an App gets the token of an installation: one POST, signed with its own short-lived JWT."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.egress import Policy

from gatelodge_github.data import table
from gatelodge_github.hosts import Hosts
from gatelodge_github.transport.client import API_VERSION, requester, without
from gatelodge_github.transport.failures import failure
from gatelodge_github.transport.progress import Lost
from gatelodge_github.transport.request import JSON, Raw

_MOST_BYTES = 256 * 1024


def exchange(hosts: Hosts, policy: Policy, verify: bool | str) -> Callable[[str, int, float], Mapping[str, Any]]:
    """The way to GitHub that an `AppCredential` is bound to; it blocks, and each use has a connection of its own."""

    def ask(jwt: str, installation: int, seconds: float) -> Mapping[str, Any]:
        from gatelodge_github.transport.wire import Limits, PinnedConnection  # noqa: PLC0415 - brings requests

        # It makes a token, which changes nothing that anybody can see: a server that only reads needs one too.
        connection = PinnedConnection(hosts, policy, verify, writable=True)
        connection.limits = Limits(time.monotonic() + seconds, _MOST_BYTES)
        headers = {"Accept": JSON, "X-GitHub-Api-Version": API_VERSION}
        # An answer that comes a byte at a time would never run into a timeout.
        end = threading.Timer(seconds, connection.abort)
        end.daemon = True
        end.start()
        try:
            path = f"/app/installations/{installation}/access_tokens"
            requester(hosts, jwt, app=True).requestJson("POST", path, None, headers, None, connection)
        except Lost as lost:
            code = "too_slow" if lost.late else "unreachable"
            raise CallError(
                code, "GitHub gave the App no token in time.", "Check the network, then try again."
            ) from None
        finally:
            end.cancel()
            connection.close()
        answer = connection.answer or Raw(500, {}, b"")
        if 300 <= answer.status < 400:
            raise CallError("bad_answer", "GitHub sent the App elsewhere for its token.", "Check host and api_url.")
        if answer.status >= 400:
            answer = without(answer, jwt)
            try:
                data = answer.json()
            except CallError:
                data = None
            raise failure(answer.status, answer.headers, data, "app")
        return table(answer.json())

    return ask
