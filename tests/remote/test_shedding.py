"""A flood over a limit is refused at the door: as the guard would have, for less, and nothing of it is untold."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import httpx2
import psutil
from gatelodge_core.audit.verify import verify

from tests.remote.test_metrics import parsed, value
from tests.support.remote import Remote, remote
from tests.support.wire import MODERN_META

FLOOD = 400


def records(place: Remote) -> list[dict[str, Any]]:
    lines = [line for path in (place.state / "journal").glob("*.jsonl") for line in path.read_text().splitlines()]
    return [record for record in map(json.loads, lines) if record.get("reason")]


def test_each_refusal_says_the_same_and_is_counted(tmp_path: Path) -> None:
    options = ("--calls-per-second", "1", "--call-burst", "5", "--metrics", "on")
    with remote(tmp_path, *options) as place, httpx2.Client() as client:
        calling = place.call("echo_text", {"text": "x"})
        answers: list[httpx2.Response] = []
        for number in range(FLOOD):
            calling["json"]["id"] = f"n{number}"
            answers.append(client.post(place.url, **calling))
        # What is no call is answered as ever, and so is another caller.
        ping = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": MODERN_META}}
        listing = {**calling["headers"], "mcp-method": "tools/list"}
        del listing["mcp-name"]
        assert client.post(place.url, json=ping, headers=listing).status_code == 200
        assert client.post(place.url, **place.call("echo_text", {"text": "x"}, "bob")).status_code == 200
        got = place.headers("bob")
        series = parsed(client.get(f"{place.base}/metrics", headers=got).text)
    refused = [answer for answer in answers if answer.status_code == 429]
    made = FLOOD - len(refused)
    assert 5 <= made < FLOOD / 2
    for answer in refused:
        said = answer.json()
        assert said["id"] == f"n{answers.index(answer)}"
        assert said["error"]["code"] == -32029
        assert said["error"]["message"].startswith("over_limit: too many calls. Try again in ")
        assert 0 < said["error"]["data"]["retry_after_ms"] <= 1000
        assert answer.headers["retry-after"] == "1"
    assert value(series, "gatelodge_refusals_total", code="over_limit") == len(refused)
    assert value(series, "gatelodge_calls_total", name="echo_text", outcome="refused") == len(refused)
    found = records(place)
    whole = [record for record in found if record.get("kind") == "tool"]
    counted = [record for record in found if record.get("kind") == "door"]
    assert whole, "the first is recorded with all that is known of the call"
    assert len(found) < FLOOD / 10
    assert len(whole) + sum(record.get("count", 1) for record in counted) == len(refused)
    for record in counted:
        assert record["reason"] == "turned_away (over_limit)"
        assert record["principal"]["subject"] == "alice"
    assert verify(str(place.state / "journal")).ok


def test_five_times_what_can_run_and_wait_is_refused_cheaply_and_the_rest_is_served(tmp_path: Path) -> None:
    options = ("--calls-at-once", "4", "--calls-waiting", "4", "--calls-per-second", "100000", "--call-burst", "100000")
    with remote(tmp_path, *options) as place:

        async def main() -> tuple[Counter[int], Counter[str]]:
            statuses: Counter[int] = Counter()
            others: Counter[str] = Counter()
            done = anyio.Event()

            async def flood() -> None:
                async with httpx2.AsyncClient(timeout=60) as client:
                    while not done.is_set():
                        answer = await client.post(place.url, **place.call("wait_long", {"seconds": 0.2}))
                        statuses[answer.status_code] += 1

            async def bystander() -> None:
                async with httpx2.AsyncClient(timeout=60) as client:
                    for _ in range(50):
                        answer = await client.post(place.url, **place.call("echo_text", {"text": "x"}, "bob"))
                        others["served" if answer.status_code == 200 and "\\nx\\n" in answer.text else answer.text] += 1
                done.set()

            async with anyio.create_task_group() as group:
                for _ in range(40):
                    group.start_soon(flood)
                group.start_soon(bystander)
            return statuses, others

        statuses, others = anyio.run(main)
    assert set(statuses) == {200, 429}
    assert statuses[200] >= 8
    assert statuses[429] > 200
    assert others == {"served": 50}


def test_a_refusal_at_the_door_costs_less_than_the_call_would(tmp_path: Path) -> None:
    options = ("--calls-per-second", "1", "--call-burst", "301")
    with remote(tmp_path, *options) as place, httpx2.Client() as client:
        process = psutil.Process(place.server.process.pid)

        def cost(wanted: int) -> float:
            calling = place.call("echo_text", {"text": "x"})
            before = process.cpu_times()
            statuses = Counter(client.post(place.url, **calling).status_code for _ in range(300))
            after = process.cpu_times()
            assert statuses[wanted] >= 290, statuses
            return after.user + after.system - before.user - before.system

        assert client.post(place.url, **place.call("echo_text", {"text": "x"})).status_code == 200
        served = cost(200)
        assert cost(429) < 0.6 * served
