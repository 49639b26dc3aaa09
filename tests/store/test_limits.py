"""The limits of a server that shares its rates: what a refused caller is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from gatelodge_core.guard.limits import BARRED_SECONDS, LimitError, Limits, LimitStep
from gatelodge_core.store.rates import SharedRates

from tests.guard.test_limits import call, quick
from tests.support.valkey import Valkey


def test_a_caller_that_is_refused_again_is_told_when_there_is_a_call_and_not_when_the_store_is_asked(
    server: Valkey,
) -> None:
    async def main() -> None:
        now = 0.0
        async with server.opened() as store:
            other, step = (LimitStep(Limits(), clock=lambda: now, shared=SharedRates(store, "toy")) for _ in range(2))
            asking = replace(call(), principal=replace(call().principal, per_minute=1))
            await other(asking, quick)
            waits: list[float] = []
            for moment in (0.0, 0.1, 0.2, BARRED_SECONDS / 2):
                now = moment
                with pytest.raises(LimitError, match="1 calls a minute") as caught:
                    await step(asking, quick)
                waits.append(caught.value.wait + moment)
            # The first is the store's word; the others are that, less what has passed.
            assert 50 < waits[0] <= 60
            assert waits[1:] == pytest.approx(3 * waits[:1])
            over = step.standing(asking.principal)
            assert over is not None
            assert over.wait + now == pytest.approx(waits[0])

    asyncio.run(main())
