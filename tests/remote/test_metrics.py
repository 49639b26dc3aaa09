"""What Prometheus is shown: whole, in its format, with a bounded number of series, and nothing of anybody."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Generator
from pathlib import Path

import anyio
import httpx2
import pytest
from gatelodge_core.auth.principal import Principal
from gatelodge_core.effects import READ, Nature
from gatelodge_core.errors import SettingsError
from gatelodge_core.guard.call import Call, Outcome
from gatelodge_core.guard.meter import MAX_CODES, OTHER, Meter
from gatelodge_core.launch.aside import metrics_address
from gatelodge_core.launch.metrics import Exposition

from tests.support.remote import Remote, remote

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_TYPES = {"counter", "gauge", "histogram"}


def parsed(text: str) -> Series:
    """Read the text format as strictly as its grammar is, and check what a linter of metrics checks."""
    assert text.endswith("\n")
    found: Series = {}
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            assert re.fullmatch(rf"# HELP {_NAME} .+", line)
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in _TYPES
            assert name not in kinds, "a family is described once, and its samples follow it"
            assert kind != "counter" or name.endswith("_total")
            kinds[name] = kind
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample is not None, line
        name, labels, value = sample.groups()
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert family in kinds or name in kinds, line
        assert list(kinds)[-1] in (family, name), "samples of one family stand together"
        pairs = _LABEL.findall(labels or "")
        assert sum(len(key) + len(text) + 3 for key, text in pairs) + max(0, len(pairs) - 1) == len(labels or "")
        key = (name, frozenset(pairs))
        assert key not in found, f"twice: {line}"
        found[key] = float(value)
    return found


def value(series: Series, metric: str, /, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    return sum(
        number for (found, pairs), number in series.items() if found == metric and labels.items() <= dict(pairs).items()
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[Remote]:
    policy = tmp_path_factory.mktemp("policy") / "policy.toml"
    policy.write_text('[[rule]]\ntool = "put_item"\nthen = "deny"\n', encoding="utf-8")
    arguments = ("--metrics", "on", "--policy", str(policy), "--call-burst", "60", "--calls-per-second", "1")
    with remote(tmp_path_factory.mktemp("metrics"), *arguments) as made:
        yield made


def scraped(place: Remote, caller: str = "bob") -> str:
    with httpx2.Client() as client:
        answer = client.get(f"{place.base}/metrics", headers=place.headers(caller))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def test_calls_refusals_and_times_are_counted_as_they_happen(place: Remote) -> None:
    before = parsed(scraped(place))
    with httpx2.Client() as client:
        for _ in range(3):
            client.post(place.url, **place.call("echo_text", {"text": "hi"}))
        client.post(place.url, **place.call("fail_badly", {}))
        client.post(place.url, **place.call("put_item", {"key": "a", "value": "b"}))
        client.post(place.url, **place.call("no_such_tool", {}))
        assert client.get(f"{place.base}/metrics").status_code == 401
    after = parsed(scraped(place))

    def grown(metric: str, /, **labels: str) -> float:
        return value(after, metric, **labels) - value(before, metric, **labels)

    assert grown("gatelodge_calls_total", name="echo_text", outcome="ok", decision="allow", kind="tool") == 3
    assert grown("gatelodge_calls_total", name="fail_badly", outcome="error") == 1
    assert grown("gatelodge_calls_total", name="put_item", outcome="refused", decision="deny") == 1
    assert grown("gatelodge_calls_total") == 5
    assert grown("gatelodge_refusals_total", code="denied_by_policy") == 1
    assert grown("gatelodge_call_seconds_count", name="echo_text") == 3
    assert grown("gatelodge_call_seconds_bucket", name="echo_text", le="+Inf") == 3
    assert grown("gatelodge_call_seconds_sum", name="echo_text") > 0
    assert grown("gatelodge_http_responses_total", status="401") == 1
    assert value(after, "gatelodge_calls_in_flight") == 0


def test_what_the_server_rests_on_is_shown(place: Remote) -> None:
    series = parsed(scraped(place))
    assert value(series, "gatelodge_up", part="journal") == 1
    assert value(series, "gatelodge_up", part="server") == 1
    assert value(series, "gatelodge_up", part="authentication") == 1
    assert value(series, "gatelodge_limit", limit="calls_per_second") == 1
    sandbox = {dict(pairs)["sandbox"] for name, pairs in series if name == "gatelodge_info"}
    (header,) = [path.read_text().splitlines()[0] for path in (place.state / "journal").glob("*.jsonl")]
    assert sandbox == {json.loads(header)["sandbox"]}
    # Read in a confined process, which can't open /proc.
    assert value(series, "process_resident_memory_bytes") > 10_000_000
    assert 5 < value(series, "process_open_fds") < 200
    assert value(series, "process_cpu_seconds_total") > 0.1


def test_a_flood_is_seen_as_refusals_over_a_limit(place: Remote) -> None:
    with httpx2.Client() as client:
        statuses = [client.post(place.url, **place.call("echo_text", {"text": "x"})).status_code for _ in range(90)]
    refused = statuses.count(429)
    assert refused > 0
    assert value(parsed(scraped(place)), "gatelodge_refusals_total", code="over_limit") == refused


def test_nothing_tells_of_a_caller_or_of_what_was_asked(place: Remote) -> None:
    with httpx2.Client() as client:
        client.post(place.url, **place.call("echo_text", {"text": "canary-7"}, "bob"))
        client.post(place.url, **place.call("canary_tool", {"text": "x"}, "bob"))
        read = place.call("echo_text", {}, "bob")
        read["json"]["method"] = read["headers"]["mcp-method"] = "resources/read"
        for number in range(20):
            uri = f"toy://item/canary-{number}"
            read["json"]["params"] = {"uri": uri, "_meta": read["json"]["params"]["_meta"]}
            client.post(place.url, json=read["json"], headers={**read["headers"], "mcp-name": uri})
    text = scraped(place)
    for word in ("canary", "alice", "bob", "glk_", "/work", "toy://"):
        assert word not in text
    assert value(parsed(text), "gatelodge_calls_total", kind="resource", name="item") == 20


def test_metrics_are_not_there_unless_they_are_asked_for(tmp_path: Path) -> None:
    with remote(tmp_path) as place, httpx2.Client() as client:
        assert client.get(f"{place.base}/metrics", headers=place.headers()).status_code == 404


def test_a_listener_of_their_own_shows_metrics_and_nothing_else(tmp_path: Path) -> None:
    with remote(tmp_path, "--metrics", "127.0.0.1:0") as place, httpx2.Client() as client:
        found = place.server.wait_for_stderr(r"metrics, without authentication, on (\S+):(\d+)")
        base = f"http://{found.group(1)}:{found.group(2)}"
        assert client.post(place.url, **place.call("echo_text", {"text": "hi"})).status_code == 200
        series = parsed(client.get(f"{base}/metrics").text)
        assert value(series, "gatelodge_calls_total", name="echo_text") == 1
        assert client.post(f"{base}/metrics").status_code == 405
        assert client.post(f"{base}/mcp", **place.call("echo_text", {"text": "hi"})).status_code == 404
        # A web page that points its own name here reads nothing.
        assert client.get(f"{base}/metrics", headers={"host": "evil.example"}).status_code == 421
        # They are no longer behind the door, since a key should not be needed twice.
        assert client.get(f"{place.base}/metrics", headers=place.headers()).status_code == 404
        # A scraper keeps its connection, and is no reason to complain at the end.
        place.server.signal(signal.SIGTERM)
        assert place.server.wait(20) == 0
        assert "ERROR" not in place.server.stderr()


@pytest.mark.parametrize("text", ["yes", "9464", "localhost", "example.org:9464", "127.0.0.1:99999"])
def test_a_setting_that_is_no_address_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--metrics .*write on"):
        metrics_address(text)


def test_an_address_in_use_is_said_with_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = re.escape(f"--metrics {address}: can't listen there")
        with pytest.raises(AssertionError, match=said), remote(tmp_path, "--metrics", address):
            pass


def test_series_stay_bounded_whatever_callers_send() -> None:
    meter = Meter(["echo_text"])

    async def attack() -> None:
        for number in range(1000):
            call = _call(f"tool_{number}")

            async def refuse(walked: Call, number: int = number) -> Outcome:
                walked.notes["refusal"] = (
                    f"code_{'abcdefghij'[number % 10]}{'xyzuvwklmn'[number // 10 % 10]} (secret {number})"
                )
                walked.notes["decision"] = f"decision {number}"
                return Outcome({}, failed=True)

            await meter.step(call, refuse)

    anyio.run(attack)
    assert {ended.name for ended in meter.calls} == {OTHER}
    assert {ended.decision for ended in meter.calls} == {"none"}
    assert len(meter.refusals) <= MAX_CODES + 1
    assert sum(meter.refusals.values()) == 1000
    exposition = Exposition("toy", '1"\\\n', meter, limits={}, states=dict[str, bool])
    text = exposition.text()
    parsed(text)
    assert "secret" not in text


def test_a_cancelled_call_is_counted_and_no_longer_in_flight() -> None:
    meter = Meter(["echo_text"])

    async def attack() -> None:
        async def wait(_: Call) -> Outcome:
            assert meter.in_flight == 1
            group.cancel_scope.cancel()
            await anyio.sleep_forever()
            raise AssertionError

        async with anyio.create_task_group() as group:
            group.start_soon(meter.step, _call("echo_text"), wait)

    anyio.run(attack)
    assert meter.in_flight == 0
    assert [ended.outcome for ended in meter.calls] == ["cancelled"]


def _call(name: str) -> Call:
    from unittest.mock import Mock

    return Call(
        kind="tool", name=name, arguments={}, nature=Nature(READ), scope="toy:read", principal=Principal("key", "alice"),
        transport="http", protocol="2026-07-28", request_id=1, claims={}, channel=Mock(), target=name,
    )  # fmt: skip
