"""Two requests with one id in one session of the 2025 revisions: the second is refused, and the first goes on."""

from __future__ import annotations

import json
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.remote import KeyWire, Remote, remote

REVISION = "2025-11-25"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[Remote]:
    with remote(tmp_path_factory.mktemp("ids")) as made:
        yield made


def opened(place: Remote, caller: str = "alice") -> KeyWire:
    wire = KeyWire(place.url, REVISION, place.keys[caller])
    wire.open()
    return wire


def posted(wire: KeyWire, request_id: object, tool: str, **arguments: Any) -> tuple[int, bytes]:
    message = {
        "jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": {"name": tool, "arguments": arguments},
    }  # fmt: skip
    status, _, body = wire.post(json.dumps(message).encode(), wire.headers(message))
    return status, body


@pytest.mark.parametrize("again", [5, "5"])
def test_an_id_in_flight_is_refused_and_the_first_request_is_answered(place: Remote, again: object) -> None:
    wire = opened(place)
    with ThreadPoolExecutor(2) as pool:
        # Whichever comes first waits, and the other is refused; neither is left without its answer.
        both = [pool.submit(posted, wire, given, "wait_long", seconds=1.5) for given in (5, again)]
        answers = [one.result() for one in both]
    assert sorted(status for status, _ in answers) == [200, 400]
    refused = next(json.loads(body) for status, body in answers if status == 400)
    assert (str(refused["id"]), refused["error"]["code"]) == ("5", -32600)
    assert "still in flight" in refused["error"]["message"]
    # Once it is answered, the id is nobody's.
    assert posted(wire, again, "echo_text", text="anew")[0] == 200


def test_an_id_is_in_flight_in_its_own_session_and_for_its_own_caller_alone(place: Remote) -> None:
    alice, other, bob = opened(place), opened(place), opened(place, "bob")
    thief = KeyWire(place.url, REVISION, place.keys["bob"])
    thief.session = alice.session
    with ThreadPoolExecutor(4) as pool:
        works = [pool.submit(posted, wire, 7, "wait_long", seconds=1.5) for wire in (alice, other, bob, thief)]
        assert [work.result()[0] for work in works] == [200, 200, 200, 404]


def test_an_id_that_the_sdk_has_for_the_stream_of_news_is_refused(place: Remote) -> None:
    assert posted(opened(place), "_GET_stream", "echo_text", text="x")[0] == 400
