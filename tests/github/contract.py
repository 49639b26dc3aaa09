"""Requests and answers held to GitHub's own description of its REST API.

    contract = described()
    contract.check_request("GET", "/repos/o/r/issues?state=open", None)           # [] or what is wrong, a line each
    contract.check_response("GET", "/repos/o/r/issues", 200, answer)
    contract.check_exchange(method, path, sent, status, answered, gaps=gaps)      # both, of bytes as they were recorded

The description says more than a mock would know, and some things wrongly or not at all; where this differs from
it, the place says so. What a proxy recorded is checked by ``exchanges.py``, which knows POST /graphql as well.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

import jsonschema_rs

from tests.github.install import OPENAPI, lanes
from tests.github.needed import need
from tests.github.shapes import Problem, Schema, Shapes, problems

GENERAL = frozenset({301, 302, 304, 307, 400, 401, 403, 404, 422, 429, 500, 502, 503, 504})
"""Statuses any route may answer: GitHub's guide to its REST API has them, the description of a route often not."""

ACROSS = frozenset({"ref", "basehead", "branch", "path", "sha"})
"""Parameters of a path that hold slashes, beside those that the description marks (``x-multi-segment``)."""

IN_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
MOST = re.compile(r"\(max (\d+)\)")
"""How `per_page` tells its maximum: in its description alone. GitHub quietly gives less than was asked for."""

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a test bed answers otherwise than GitHub, and that is known.

    Args:
        route: The route, as ``GET /repos/{owner}/{repo}``; ``*`` for any.
        pointer: Where in the answer, as a problem shows it; ``*`` stands for one step, such as an index; the name
            of a missing field is the last step. ``status`` is the status itself.
        reason: Why it may be.
    """

    route: str
    pointer: str
    reason: str

    def covers(self, route: str, problem: Problem) -> bool:
        """Whether `problem`, in an answer of `route`, is this one."""
        if self.route not in {"*", route}:
            return False
        known, found = self.pointer.split("/"), problem.pointer.split("/")
        return len(known) == len(found) and all(a in {"*", b} for a, b in zip(known, found, strict=True))


class Gaps:
    """Known gaps, and which of them were met: one that no test meets should go."""

    def __init__(self, gaps: Iterable[Gap] = ()) -> None:
        self._met = dict.fromkeys(gaps, False)

    def cover(self, route: str, problem: Problem) -> bool:
        """Whether `problem` is known; it counts as met."""
        covering = [gap for gap in self._met if gap.covers(route, problem)]
        self._met.update(dict.fromkeys(covering, True))
        return bool(covering)

    def idle(self) -> list[Gap]:
        """Those that weren't met."""
        return [gap for gap, met in self._met.items() if not met]


NONE = Gaps()


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a template of a path, as described.

    Args:
        method: In capitals.
        template: As ``/repos/{owner}/{repo}``.
        pattern: What matches a path.
        operation: The description of it.
    """

    method: str
    template: str
    pattern: re.Pattern[str]
    operation: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


class Contract:
    """GitHub's description of its REST API.

    Args:
        description: The OpenAPI document, as read from JSON.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._components: Mapping[str, Mapping[str, Any]] = description["components"]
        schemas = self._components["schemas"]
        self._sent, self._answered = Shapes(schemas, closed=True), Shapes(schemas, closed=False)
        self._compiled: dict[tuple[str, ...], jsonschema_rs.Validator] = {}
        self._routes: dict[str, list[Route]] = {}
        for template, operations in description["paths"].items():
            for method, operation in operations.items():
                pattern = self._pattern(template, self._parameters(operation, "path"))
                self._routes.setdefault(method.upper(), []).append(Route(method.upper(), template, pattern, operation))
        for routes in self._routes.values():
            # A fixed word wins over a parameter: /pulls/comments over /pulls/{pull_number}.
            routes.sort(key=lambda route: (route.template.count("{"), -route.template.count("/")))

    def route(self, method: str, path: str) -> Route | None:
        """The route of a request, with or without its query; None if there is none. HEAD goes where GET does."""
        method = "GET" if method == "HEAD" else method
        path = path.partition("?")[0]
        # What GitHub's redirects and Link headers name a repository by isn't described: its number.
        for tried in (path, re.sub(r"^/repositories/\d+(?=/|$)", "/repos/-/-", path)):
            for route in self._routes.get(method, ()):
                if route.pattern.fullmatch(tried):
                    return route
        return None

    def check_request(self, method: str, path_with_query: str, body: object = None) -> list[str]:
        """What is wrong with a request: its route, path, query or body (from JSON; None if it has none)."""
        path, _, query = path_with_query.partition("?")
        if not IN_PATH.fullmatch(path) or re.search(r"//|/\.{1,2}(/|$)|%2[eE]", path):
            return [f"{method} {path}: the path isn't one to send: quote each segment"]
        route = self.route(method, path)
        if route is None:
            return [f"{method} {path}: there is no such route"]
        found = [*self._path(route, path), *self._query(route, query), *self._body(route, body)]
        return [f"{route} request {problem}" for problem in found]

    def check_response(
        self, method: str, path: str, status: int, body: object = None, *, gaps: Gaps = NONE
    ) -> list[str]:
        """What is wrong with an answer whose body (from JSON; None if empty) isn't of another media type."""
        route = self.route(method, path)
        if route is None:
            return [f"{method} {path}: there is no such route"]
        found = self._answer(route, status, None if method == "HEAD" else body, head=method == "HEAD")
        return [f"{route} {status} {problem}" for problem in found if not gaps.cover(str(route), problem)]

    def check_exchange(
        self,
        method: str,
        path: str,
        request_body: bytes | None,
        status: int,
        response_body: bytes | None,
        *,
        media_type: str = JSON_TYPE,
        gaps: Gaps = NONE,
    ) -> list[str]:
        """What is wrong with a request and its answer, as recorded; bodies are bytes.

        Of an answer of another `media_type` (a diff, a raw file) only the status is looked at. A request is held to
        the description whatever became of it: an emulator answers 404 where there is no such route too. Status 0
        is no answer at all.
        """
        sent, unread = _read(request_body)
        found = [f"{method} {path} request /: {unread}"] if unread else self.check_request(method, path, sent)
        if status == 0:
            return found
        kind = media_type.partition(";")[0].strip().lower()
        if kind != JSON_TYPE and response_body:
            return found + self._other(method, path, status, gaps)
        answered, unread = _read(response_body)
        if unread:
            return [*found, f"{method} {path} {status} /: {unread}"]
        return found + self.check_response(method, path, status, answered, gaps=gaps)

    def _other(self, method: str, path: str, status: int, gaps: Gaps) -> list[str]:
        route = self.route(method, path)
        if route is None:
            return [f"{method} {path}: there is no such route"]
        known = status in GENERAL or str(status) in route.operation["responses"]
        problem = Problem("status", f"{status} is not described")
        return [] if known or gaps.cover(str(route), problem) else [f"{route} {status} {problem}"]

    def _path(self, route: Route, path: str) -> list[Problem]:
        found = route.pattern.fullmatch(path)
        if found is None:  # by the number of its repository
            return []
        names = re.findall(r"\{([^}]+)\}", route.template)
        described = {one["name"]: one for one in self._parameters(route.operation, "path")}
        return [
            problem
            for name, value in zip(names, found.groups(""), strict=True)
            for problem in self._text(route, described[name], [unquote(value)])
        ]

    def _query(self, route: Route, query: str) -> list[Problem]:
        if re.search(r"[\s#]|[^\x21-\x7e]", query):
            return [Problem("query", "isn't one to send: quote the values")]
        given: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            given.setdefault(name.removesuffix("[]"), []).append(value)
        described = {one["name"]: one for one in self._parameters(route.operation, "query")}
        found = [Problem(f"query/{name}", "is not described") for name in given if name not in described]
        for name, parameter in described.items():
            if name in given:
                found += self._text(route, parameter, given[name])
            elif parameter.get("required"):
                found.append(Problem(f"query/{name}", "is missing"))
        return found

    def _text(self, route: Route, parameter: Mapping[str, Any], texts: Sequence[str]) -> list[Problem]:
        """Hold the text of a parameter to its schema: it fits if one way to read it does."""
        where, name, schema = parameter["in"], parameter["name"], self._resolved(parameter["schema"])
        if name == "created" and schema.get("format") == "date-time":  # search syntax, a range, by its own text
            return []
        validator = self._validator(self._answered, schema, str(route), where, name)
        tries = [problems(validator, value) for value in _readings(texts, schema)]
        best = min(tries, key=len) if tries else [Problem("", f"{texts} isn't {schema.get('type')}")]
        most = MOST.search(parameter.get("description", "")) if name == "per_page" else None
        if most and not best and int(texts[0]) > int(most[1]):
            best = [Problem("", f"{texts[0]} is more than {most[1]}")]
        return [Problem(f"{where}/{name}{one.pointer}", one.text) for one in best]

    def _body(self, route: Route, body: object) -> list[Problem]:
        described = route.operation.get("requestBody")
        if body is None:
            return [Problem("", "lacks its body")] if described and described.get("required") else []
        if described is None:
            return [Problem("", "has a body, and none is described")]
        content = described["content"].get(JSON_TYPE)
        if content is None:
            return [Problem("", f"is JSON, not {' or '.join(described['content'])}")]
        return problems(self._validator(self._sent, content["schema"], str(route), "body"), body)

    def _answer(self, route: Route, status: int, body: object, *, head: bool) -> list[Problem]:
        described = route.operation["responses"].get(str(status))
        if described is None and status not in GENERAL:
            return [Problem("status", f"{status} is not described")]
        content = self._resolved(described or {}).get("content", {})
        if not content and status >= 400:
            content = {JSON_TYPE: {"schema": {"$ref": "#/components/schemas/basic-error"}}}
        if head or (body is None and (300 <= status < 400 or status == 202)):
            return []
        if not content:
            return [] if body is None else [Problem("", "has a body, and none is described")]
        if JSON_TYPE not in content:
            return [] if body is None else [Problem("", f"is JSON, not {' or '.join(content)}")]
        if body is None:
            return [Problem("", "has no body")]
        schema = content[JSON_TYPE]["schema"]
        return problems(self._validator(self._answered, schema, str(route), str(status)), body)

    def _validator(self, shapes: Shapes, schema: Schema, *key: str) -> jsonschema_rs.Validator:
        if key not in self._compiled:
            self._compiled[key] = shapes.compiled(schema)
        return self._compiled[key]

    def _parameters(self, operation: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
        every = map(self._resolved, operation.get("parameters", ()))
        return [parameter for parameter in every if parameter["in"] == where]

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node:
            kind, name = node["$ref"].split("/")[-2:]
            node = self._components[kind][name]
        return node

    def _pattern(self, template: str, parameters: Sequence[Mapping[str, Any]]) -> re.Pattern[str]:
        described = {one["name"]: one for one in parameters}

        def group(found: re.Match[str]) -> str:
            parameter = described[found[1]]
            if parameter.get("x-multi-segment") or found[1] in ACROSS:
                return "(.+)"
            return r"(\d+)" if self._resolved(parameter["schema"]).get("type") == "integer" else "([^/]+)"

        if template.endswith("/contents/{path}"):  # of the root as well, with and without the last slash
            return re.compile(self._pattern(template.removesuffix("/{path}"), parameters).pattern + "(?:/(.*))?")
        parts = re.split(r"(\{[^}]+\})", template)
        return re.compile(
            "".join(re.sub(r"\{([^}]+)\}", group, p) if p.startswith("{") else re.escape(p) for p in parts)
        )


def _readings(texts: Sequence[str], schema: Schema) -> list[object]:
    """The values that the text of a parameter may stand for."""
    readings: list[object] = []
    for one in schema.get("oneOf", [schema]):
        kind = one.get("type", "string")
        if kind == "array":
            items = [_reading(text, one["items"].get("type", "string")) for text in texts]
            readings.append(items)
        elif len(texts) == 1 and (value := _reading(texts[0], kind)) is not None:
            readings.append(value)
    return readings


def _reading(text: str, kind: str) -> object:
    if kind == "integer":
        return int(text) if re.fullmatch(r"-?\d+", text) else None
    if kind == "boolean":
        return {"true": True, "false": False}.get(text)
    return text


def _read(body: bytes | None) -> tuple[object, str]:
    """The value of a body, and what is wrong with it; no body has the value None."""
    if not body:
        return None, ""
    try:
        return cast("object", json.loads(body)), ""
    except ValueError as error:
        return None, f"isn't JSON: {error}"


@functools.cache
def described() -> Contract:
    """The contract of api.github.com, read once; the test is skipped if it isn't installed."""
    need(OPENAPI.name)
    return Contract(json.loads((lanes() / OPENAPI.name).read_bytes()))
