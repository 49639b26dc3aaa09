"""The corpus of attacks against read mode: nothing is written, read, sent, left behind or told, layer by layer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.postgres.attacks import ATTACKS, Attack
from tests.postgres.seed import Home
from tests.postgres.support import Called, server
from tests.postgres.test_corpus_can_bite import Ground
from tests.postgres.watch import PROBE, World, columns, leaks

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]

CATEGORIES = sorted({attack.category for attack in ATTACKS})
SECONDS = 0.4
"""What a statement may take here; what is after time is stopped by it."""
PATIENCE = 20.0
LIE = "claim by liar"
"""A function declared STABLE that sets a claim which a policy believes: its author gave that away (docs/07-databases.md)."""
MOST = 300_000
"""Characters of an answer; above `max_bytes` as asked for, below anything that floods."""


@dataclass
class Held:
    """One server under attack."""

    called: Called
    ground: Ground
    remembered: str = ""
    world: World = field(default_factory=dict[str, dict[str, str]])

    async def begin(self) -> None:
        self.remembered = await self.called.text("run_query", sql=PROBE)
        self.world = self.ground.watch.snapshot()

    async def _probe(self) -> tuple[bool, str]:
        """What the session is like; asked again if that took too long, which on a busy machine is no attack's doing."""
        failed, now = await self.called.call("run_query", sql=PROBE)
        return await self.called.call("run_query", sql=PROBE) if failed and "57014" in now else (failed, now)

    async def attempt(self, attack: Attack) -> tuple[str, dict[str, list[str]]]:
        """What was answered, and what came of it."""
        watch = self.ground.watch
        began = time.monotonic()
        failed, said = await self.called.call(
            "run_query",
            sql=watch.fill(attack.sql),
            params=[watch.fill(value) if isinstance(value, str) else value for value in attack.params],
            max_rows=1000,
            max_bytes=100_000,
        )
        took = time.monotonic() - began
        found = watch.changes(self.world)
        found |= {"leak": secrets} if (secrets := leaks(said)) else {}
        if took > PATIENCE:
            found["time"] = [f"{took:.1f} s"]
        if len(said) > MOST:
            found["size"] = [str(len(said))]
        if not failed and attack.effect == "text" and attack.witness and attack.witness in said:
            found["text"] = [attack.witness]
        failed, now = await self._probe()
        if failed or _facts(now) != _facts(self.remembered):
            found["session"] = [now]
        if found:
            self.ground.clean(
                {kind: names for kind, names in found.items() if kind not in {"leak", "size", "time", "text"}}
            )
            await self.begin()
        return said, found


def _facts(text: str) -> str:
    return text.partition("\n\n")[2].rpartition("\n</untrusted")[0]


@pytest.fixture(scope="module")
def ground(system_home: Home) -> Generator[Ground]:
    with contextlib.ExitStack() as stack:
        yield Ground(system_home, stack)


@contextlib.asynccontextmanager
async def held(ground: Ground, folder: Path, user: str, **given: Any) -> AsyncGenerator[Held]:
    # One connection, so that what an attack leaves on it is there for the next.
    settings = {"pool_size": 1, "query_seconds": SECONDS, "lock_seconds": 0.2, **given}
    async with server(folder, ground.home.url(user), **settings) as called:
        one = Held(called, ground)
        await one.begin()
        yield one


def chosen(ground: Ground, category: str) -> list[Attack]:
    return [attack for attack in ATTACKS if attack.category == category and ground.holds(attack)]


@pytest.mark.parametrize("category", CATEGORIES)
async def test_the_recommended_role_behind_all_layers(ground: Ground, tmp_path: Path, category: str) -> None:
    """Nothing comes of any attack; columns that the role was not granted are not told either."""
    wrong: list[str] = []
    async with held(ground, tmp_path, "gatelodge_ro") as one:
        for attack in chosen(ground, category):
            said, found = await one.attempt(attack)
            found |= {"column": told} if "ssn" in str(told := columns(said)) else {}
            if attack.name == LIE and found.keys() == {"leak"}:
                continue  # shown to be stopped below
            if found:
                wrong.append(f"{attack.name}: {found} {said[:200]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("category", CATEGORIES)
async def test_a_superuser_behind_the_other_layers(ground: Ground, tmp_path: Path, category: str) -> None:
    """Without the first layer: whatever a superuser could do, a query can't."""
    wrong: list[str] = []
    async with held(ground, tmp_path, "postgres", allow_superuser=True) as one:
        for attack in chosen(ground, category):
            said, found = await one.attempt(attack)
            if found:
                wrong.append(f"{attack.name}: {found} {said[:200]}")
    assert not wrong, "\n".join(wrong)


WRITTEN = {"rows", "sequence", "large_object", "catalog", "file", "server", "backend", "transaction", "lock", "notify"}


@pytest.mark.parametrize("category", CATEGORIES)
async def test_the_recommended_role_without_the_verdict(ground: Ground, tmp_path: Path, category: str) -> None:
    """Role, protocol and transaction alone: what is told then is what owners of functions and views gave away."""
    wrong: list[str] = []
    async with held(ground, tmp_path, "gatelodge_ro", judge="server-only", max_cost=0) as one:
        for attack in chosen(ground, category):
            said, found = await one.attempt(attack)
            if found.keys() & WRITTEN:
                wrong.append(f"{attack.name}: {found} {said[:200]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("category", ["statements", "dml", "ddl"])
async def test_protocol_and_transaction_hold_a_superusers_statements(
    ground: Ground, tmp_path: Path, category: str
) -> None:
    """Without role and verdict: functions get through then, statements don't."""
    wrong: list[str] = []
    async with held(ground, tmp_path, "postgres", judge="server-only", allow_superuser=True, max_cost=0) as one:
        for attack in chosen(ground, category):
            said, found = await one.attempt(attack)
            if found:
                wrong.append(f"{attack.name}: {found} {said[:200]}")
    assert not wrong, "\n".join(wrong)


async def test_a_function_that_lies_about_itself_is_stopped_where_functions_are_strict(
    ground: Ground, tmp_path: Path
) -> None:
    lie = next(attack for attack in ATTACKS if attack.name == LIE)
    async with held(ground, tmp_path, "gatelodge_ro", functions="strict") as one:
        said, found = await one.attempt(lie)
        assert not found
        assert "not in allow_functions" in said
