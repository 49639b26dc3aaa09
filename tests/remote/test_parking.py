"""Calls that wait for a person's yes, over HTTP and without a shared store: no caller takes all the places."""

from __future__ import annotations

from pathlib import Path

import httpx2
from gatelodge_core.store.approvals import MAX_OPEN, MAX_OPEN_EACH

from tests.support.remote import Remote, remote


def asked(client: httpx2.Client, place: Remote, caller: str, key: str) -> str:
    """What comes of a call that needs a yes, from a client that can't ask."""
    return client.post(place.url, **place.call("drop_item", {"key": key}, caller)).text


def test_a_caller_that_floods_leaves_places_for_the_others(tmp_path: Path) -> None:
    with remote(tmp_path) as place, httpx2.Client() as client:
        alices = [asked(client, place, "alice", f"a{number}") for number in range(MAX_OPEN_EACH + 2)]
        waiting = sum("gatelodge approve" in text for text in alices)
        assert "gatelodge approve" in asked(client, place, "bob", "b")
        # Alice has a number of her own, is told so, and a call of hers that waits already keeps its place.
        assert waiting == MAX_OPEN_EACH < MAX_OPEN / 2
        assert "of this caller wait" in alices[-1]
        assert "gatelodge approve" in asked(client, place, "alice", "a0")
