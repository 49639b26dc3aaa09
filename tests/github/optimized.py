"""What the transport does when Python takes all assertions out: `python -O -m tests.github.optimized URL OTHER FOLDER TOKEN_FILE`.

It prints a line of JSON: by what was tried, how it ended. `URL` answers as told by ``test_optimized.py``, `OTHER` is another
host. Nothing here is an assertion.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
from gatelodge_core.errors import CallError, GatelodgeError
from gatelodge_github.credentials import Sealed, StaticCredential
from gatelodge_github.hub import Hub
from gatelodge_github.server import build
from gatelodge_github.settings import GithubSettings


async def code(awaited: Awaitable[Any]) -> str:
    """How it ended."""
    try:
        await awaited
    except CallError as error:
        return error.code
    return "done"


async def run(url: str, other: str, folder: str, token: str) -> dict[str, str]:
    """Try everything."""
    settings = GithubSettings.model_validate({"state_dir": folder, "api_url": url, "repos": ["o/*"]})
    hub = Hub(settings, StaticCredential(Sealed(token)))
    reading = Hub(settings.model_copy(update={"read_only": True}), StaticCredential(Sealed(token)))
    api = hub.desk().api
    found = {f"redirect {status}": await code(api.get(f"/repos/o/r/{status}")) for status in (301, 302, 307, 308)}
    found["facts"] = await code(hub.open("o/moved"))
    found["download"] = await code(api.location("/repos/o/r/302"))
    found["feed"] = await code(hub.downloads.feed(f"{other}/log", lambda _: None))
    found["traversal"] = await code(api.get("/repos/o/r/%2e%2e/%2e%2e/user"))
    found["query"] = await code(api.get("/repos/o/r?x"))
    found["another"] = await code(api.get("/repos/p/r"))
    found["absolute"] = await code(api.get(f"{other}/x"))
    found["mutation as a query"] = await code(api.graphql("to_draft", {"pullRequestId": "x"}))
    found["read-only write"] = await code(reading.desk().api.write("POST", "/user/x", {}, check="x"))
    found["ordinary"] = await code(api.get("/repos/o/r"))
    found["hosts"] = _hosts(hub, other)
    for made in (hub, reading):
        made.close()
        await made.aclose()
    return found


def _hosts(hub: Hub, other: str) -> str:
    checks: tuple[Callable[[str], str], ...] = (hub.hosts.check_api, hub.hosts.check_download)
    for check in checks:
        try:
            check(f"{other}/x")
        except CallError:
            continue
        return "accepted"
    return "refused"


def started(url: str, folder: str, token: str) -> str:
    """How the whole server answers to -O."""
    try:
        build(GithubSettings.model_validate({"state_dir": folder, "api_url": url}), StaticCredential(Sealed(token)))
    except GatelodgeError as error:
        return str(error)
    return "started"


def pygithub(url: str, token: str) -> str:
    """What PyGithub alone would do with a redirect to another port: the danger that all this is about."""
    import github

    requester = github.Github(auth=github.Auth.Token(token), base_url=url, retry=None).requester
    try:
        requester.requestJson("GET", "/bare/302", follow_302_redirect=True)
    except Exception as error:  # noqa: BLE001 - whatever it is
        return type(error).__name__
    return "done"


def main() -> None:
    """Try everything, and print what came of it."""
    url, other, folder, token_file = sys.argv[1:]
    token = Path(token_file).read_text()
    found = anyio.run(run, url, other, folder, token)
    found["start"] = started(url, folder, token)
    found["pygithub alone"] = pygithub(url, token)
    found["optimized"] = str(sys.flags.optimize)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
