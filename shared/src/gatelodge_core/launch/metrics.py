"""`/metrics` in Prometheus' text format, version 0.0.4, without a library.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/. Names of metrics and labels are an interface: boards
and alarms rest on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from starlette.types import Message, Receive, Scope, Send

from gatelodge_core.answering import say
from gatelodge_core.guard.meter import BOUNDS, Meter
from gatelodge_core.launch.vitals import Vitals

METRICS_PATH = "/metrics"
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Sample = tuple[Labels, float]


class Exposition:
    """All metrics of one server.

    Args:
        server: Its short name.
        version: Of its distribution.
        meter: Counts its calls.
        limits: What its settings allow, by name.
        states: Whether what it rests on works now, by name, such as ``journal``.
    """

    def __init__(
        self,
        server: str,
        version: str,
        meter: Meter,
        *,
        limits: Mapping[str, float],
        states: Callable[[], Mapping[str, bool]],
    ) -> None:
        self._info = {"server": server, "version": version}
        self._meter, self._limits, self._states = meter, dict(limits), states
        self._vitals = Vitals()
        self.responses: Counter[int] = Counter()
        """HTTP answers by status, those to callers that aren't let in among them."""
        self.sessions: Callable[[], Mapping[str, int]] = dict[str, int]
        """Open sessions, by transport."""
        self.door: Callable[[], list[str]] | None = None
        """Why nobody can be let in now; None where everybody is."""
        self.level = ""
        """Of confinement."""

    def text(self) -> str:
        """The metrics now, in the text format."""
        meter, facts = self._meter, self._vitals.now()
        families = [
            _family("gatelodge_info", "gauge", "The server.", [({**self._info, "sandbox": self.level}, 1)]),
            _family(
                "gatelodge_calls_total", "counter", "Calls that ended.",
                [(ended._asdict(), count) for ended, count in sorted(meter.calls.items())],
            ),
            _family(
                "gatelodge_refusals_total", "counter", "Calls that were refused, by code.",
                [({"code": code}, count) for code, count in sorted(meter.refusals.items())],
            ),
            self._latency(),
            _family("gatelodge_calls_in_flight", "gauge", "Calls that run or wait.", [({}, meter.in_flight)]),
            _family(
                "gatelodge_sessions", "gauge", "Open sessions, by transport.",
                [({"transport": name}, count) for name, count in sorted(self.sessions().items())],
            ),
            _family(
                "gatelodge_http_responses_total", "counter", "HTTP answers, by status.",
                [({"status": str(status)}, count) for status, count in sorted(self.responses.items())],
            ),
            _family(
                "gatelodge_limit", "gauge", "What the settings allow.",
                [({"limit": name}, value) for name, value in sorted(self._limits.items())],
            ),
            _family(
                "gatelodge_up", "gauge", "Whether what the server rests on works: 1 or 0.",
                [({"part": name}, float(works)) for name, works in sorted(self._parts().items())],
            ),
            _family("process_start_time_seconds", "gauge", "Start, since 1970.", [({}, self._vitals.started)]),
            _family("process_cpu_seconds_total", "counter", "Processor time.", [({}, facts.cpu_seconds)]),
        ]  # fmt: skip
        if facts.resident_bytes is not None:
            families.append(
                _family("process_resident_memory_bytes", "gauge", "Memory held.", [({}, facts.resident_bytes)])
            )
        if facts.open_descriptors is not None:
            families.append(_family("process_open_fds", "gauge", "Open descriptors.", [({}, facts.open_descriptors)]))
        return "".join(families)

    def _parts(self) -> dict[str, bool]:
        return {**self._states(), **({"authentication": not self.door()} if self.door is not None else {})}

    def _latency(self) -> str:
        name = "gatelodge_call_seconds"
        lines = [_head(name, "histogram", "How long calls took, waiting for a place included.")]
        for (kind, called), counts in sorted(self._meter.latencies.items()):
            labels, total = {"kind": kind, "name": called}, 0
            for bound, count in zip((*BOUNDS, float("inf")), counts, strict=True):
                total += count
                lines.append(_line(f"{name}_bucket", {**labels, "le": _number(bound)}, total))
            lines.append(_line(f"{name}_sum", labels, self._meter.seconds[kind, called]))
            lines.append(_line(f"{name}_count", labels, total))
        return "".join(lines)

    def counting(self, send: Send) -> Send:
        """`send`, with the status of the answer counted."""

        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.responses[message["status"]] += 1
            await send(message)

        return wrapped

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - an ASGI application
        """Answer one request for the metrics."""
        if scope["method"] not in ("GET", "HEAD"):
            await say(send, 405, {"error": "read it with GET"}, [(b"allow", b"GET, HEAD")])
            return
        body = self.text().encode()
        length = (b"content-length", str(len(body)).encode())
        headers = [(b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store"), length]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    return _head(name, kind, text) + "".join(_line(name, labels, value) for labels, value in samples)


def _head(name: str, kind: str, text: str) -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def _line(name: str, labels: Labels, value: float) -> str:
    written = ",".join(f'{key}="{_escaped(item)}"' for key, item in labels.items())
    return f"{name}{{{written}}} {_number(value)}\n" if written else f"{name} {_number(value)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(value)
