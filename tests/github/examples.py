"""Objects of GitHub's own description, to be served with what a test changes; and lists of them, in pages.

    runs = [example("workflow-run") | {"id": 7}, ...]
    proxy.serve("GET", r"/repos/alice/public-repo/actions/runs", paged(lambda request: runs, "workflow_runs"))

The examples are GitHub's (``components.examples``); where one breaks GitHub's own schema it is mended here.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from tests.github.install import OPENAPI, lanes
from tests.github.loopback import Answer, Request, as_json
from tests.github.needed import need

_PLACES: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "run": ("workflow-run-paginated", ("workflow_runs", 0)),
    "job": ("job-paginated", ("jobs", 0)),
    "artifact": ("artifact-paginated", ("artifacts", 0)),
    "dependabot": ("dependabot-alerts-for-repository", (0,)),
    "code": ("code-scanning-alert-items", (0,)),
    "secret": ("secret-scanning-alert-list", (0,)),
}
_MISSING: dict[str, dict[str, Any]] = {"job": {"created_at": "2020-01-20T17:42:39Z"}}


@functools.cache
def _all() -> dict[str, Any]:
    need(OPENAPI.name)
    found: dict[str, Any] = json.loads((lanes() / OPENAPI.name).read_bytes())["components"]["examples"]
    return {name: found[name]["value"] for name, _ in _PLACES.values()}


def example(kind: str, **changes: Any) -> dict[str, Any]:
    """GitHub's example of a ``run``, ``job``, ``artifact``, or an alert: ``dependabot``, ``code``, ``secret``."""
    name, path = _PLACES[kind]
    found: Any = _all()[name]
    for step in path:
        found = found[step]
    made: dict[str, Any] = {**copy.deepcopy(found), **_MISSING.get(kind, {})}
    if kind == "dependabot":
        made["security_advisory"].pop("epss", None)
    return {**made, **changes}


def paged(items: Callable[[Request], Sequence[Any]], key: str = "") -> Callable[[Request], Answer]:
    """Serves a list by ``page`` and ``per_page`` with the Link header: bare, or under `key` beside its count."""

    def answer(request: Request) -> Answer:
        every = items(request)
        size, number = (int(request.query.get(name, [usual])[0]) for name, usual in (("per_page", "30"), ("page", "1")))
        part = list(every[(number - 1) * size : number * size])
        last = max(1, -(-len(every) // size))
        links = {"next": number + 1, "last": last} if number < last else {}
        named = ", ".join(f'<{_address(request, page=page)}>; rel="{rel}"' for rel, page in links.items())
        answered = as_json({"total_count": len(every), key: part} if key else part)
        return answered.with_headers({"Link": named}) if named else answered

    return answer


def by_cursor(items: Callable[[Request], Sequence[Any]]) -> Callable[[Request], Answer]:
    """Serves a bare list as GitHub does alerts of Dependabot: on by ``after`` in the Link header; pages are refused."""

    def answer(request: Request) -> Answer:
        if "page" in request.query:
            return as_json({"message": "Pagination using the `page` parameter is not supported."}, 400)
        every = items(request)
        size = int(request.query.get("per_page", ["30"])[0])
        begin = int(request.query.get("after", ["cursor=0"])[0].partition("=")[2])
        end = begin + size
        link = f'<{_address(request, after=f"cursor={end}")}>; rel="next"' if end < len(every) else ""
        answered = as_json(list(every[begin:end]))
        return answered.with_headers({"Link": link}) if link else answered

    return answer


def _address(request: Request, **changes: Any) -> str:
    query = {name: values[0] for name, values in request.query.items()}
    return f"https://api.github.com{request.path}?{urlencode({**query, **changes})}"
