"""One era a connection, whatever the order in which a host tries both."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from gatelodge_core.launch.porter.eras import Era, Eras, Verdict
from gatelodge_core.launch.porter.words import MODERN, PROTOCOL_VERSION

ENVELOPE: dict[str, Any] = {"_meta": {PROTOCOL_VERSION: MODERN}}
BARE: dict[str, Any] = {}
REQUESTS = {
    "discover": ("server/discover", ENVELOPE),
    "initialize": ("initialize", BARE),
    "modern list": ("tools/list", ENVELOPE),
    "bare list": ("tools/list", BARE),
    "bare discover": ("server/discover", BARE),
    "ping": ("ping", BARE),
}


@pytest.mark.parametrize(
    ("asked", "verdicts", "era"),
    [
        (["initialize", "bare list"], ["serve", "serve"], Era.LEGACY),
        (["modern list", "discover"], ["serve", "serve"], Era.MODERN),
        (["discover", "discover"], ["serve", "serve"], Era.DISCOVERED),
        (["discover", "initialize"], ["serve", "fall back"], Era.LEGACY),
        (["discover", "initialize", "discover"], ["serve", "fall back", "refuse"], Era.LEGACY),
        (["initialize", "discover"], ["serve", "refuse"], Era.LEGACY),
        (["discover", "modern list", "initialize"], ["serve", "serve", "serve"], Era.MODERN),
        (["discover", "bare list", "initialize"], ["serve", "serve", "serve"], Era.MODERN),
        (["ping", "ping", "discover"], ["pong", "pong", "serve"], Era.DISCOVERED),
        (["ping", "initialize", "ping"], ["pong", "serve", "serve"], Era.LEGACY),
        (["bare list", "initialize"], ["serve", "serve"], Era.LEGACY),
        (["bare discover", "initialize"], ["serve", "serve"], Era.LEGACY),
    ],
)
def test_the_first_that_binds_decides(asked: list[str], verdicts: list[str], era: Era) -> None:
    eras = Eras()
    assert [eras.judge(*REQUESTS[name]).value for name in asked] == verdicts
    assert eras.era is era


def test_a_question_with_a_handshake_behind_it_is_refused_at_once() -> None:
    eras = Eras()
    assert eras.judge(*REQUESTS["discover"], initialize_follows=True) is Verdict.REFUSE
    assert eras.era is Era.OPEN
    assert eras.judge(*REQUESTS["initialize"]) is Verdict.SERVE


def test_no_order_of_requests_ever_changes_an_era_that_is_decided() -> None:
    for order in itertools.product(REQUESTS, repeat=4):
        eras = Eras()
        decided: Era | None = None
        for name in order:
            eras.judge(*REQUESTS[name])
            if decided is not None:
                assert eras.era is decided, order
            if eras.era in (Era.LEGACY, Era.MODERN):
                decided = eras.era
        # A handshake is refused only where something of the other era was asked for before it.
        if "initialize" in order and decided is Era.MODERN:
            before = order[: order.index("initialize")]
            assert "modern list" in before or "discover" in before
