"""The corpus of attacks is worth something: a naive server falls for it, and the watch sees that."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator

import pytest

from tests.postgres.attacks import ATTACKS, Attack
from tests.postgres.mending import mend, restore
from tests.postgres.naive import attempt
from tests.postgres.seed import Home
from tests.postgres.watch import Watch, watching

CATEGORIES = sorted({attack.category for attack in ATTACKS})
ANSWERED = {"leak", "column", "time", "size", "text", "session"}
"""Effects that leave nothing behind in the world."""


class Ground:
    """A seeded database with a watch on it, made anew when an attack has left it in pieces."""

    def __init__(self, home: Home, stack: contextlib.ExitStack) -> None:
        self.home = home
        self.stack = stack
        self.watch: Watch = stack.enter_context(watching(home))

    def holds(self, attack: Attack) -> bool:
        """Whether the server has what the case needs."""
        return self.home.bed.version >= attack.min_version and self.home.has(*attack.extensions)

    def clean(self, changes: dict[str, list[str]]) -> None:
        if changes and not mend(self.watch, changes):
            self.stack.close()
            restore(self.home)
            self.watch = self.stack.enter_context(watching(self.home))


@pytest.fixture(scope="module")
def ground(system_home: Home) -> Generator[Ground]:
    with contextlib.ExitStack() as stack:
        yield Ground(system_home, stack)


def test_the_corpus_is_large_and_most_of_it_bites() -> None:
    counts = Counter(attack.category for attack in ATTACKS)
    assert len({(attack.category, attack.name) for attack in ATTACKS}) == len(ATTACKS) >= 180
    assert min(counts.values()) >= 5, counts
    assert sum(attack.bites for attack in ATTACKS) > 0.9 * len(ATTACKS)


@pytest.mark.slow
@pytest.mark.parametrize("category", CATEGORIES)
def test_a_naive_server_falls_for_each_attack_that_is_said_to_bite(ground: Ground, category: str) -> None:
    wrong: list[str] = []
    for attack in ATTACKS:
        if attack.category != category or not ground.holds(attack):
            continue
        outcome = attempt(attack, ground.watch)
        ground.clean({kind: names for kind, names in outcome.effects.items() if kind not in ANSWERED})
        # Time alone can't prove that an attack failed: another process may have taken it.
        if (attack.effect in outcome.effects) != attack.bites and not (attack.why and attack.effect == "time"):
            wrong.append(f"{attack.name}: wanted {attack.effect}, saw {outcome.effects} {outcome.error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_a_read_only_transaction_alone_is_no_boundary(ground: Ground) -> None:
    """What the first servers of this kind did: BEGIN READ ONLY, the caller's text, ROLLBACK."""
    through: Counter[str] = Counter()
    for attack in ATTACKS:
        if attack.category in {"statements", "transaction", "files", "programs"} and ground.holds(attack):
            outcome = attempt(attack, ground.watch, read_only=True)
            ground.clean({kind: names for kind, names in outcome.effects.items() if kind not in ANSWERED})
            through[attack.category] += attack.effect in outcome.effects
    assert through["statements"] >= 15
    assert min(through.values()) >= 3, through


def test_what_an_attack_granted_to_a_role_does_not_outlive_it(ground: Ground) -> None:
    memberships = "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members ORDER BY 1, 2"
    with ground.home.admin() as admin:
        before = admin.execute(memberships).fetchall()
    (grant,) = (attack for attack in ATTACKS if attack.name == "grant role")
    outcome = attempt(grant, ground.watch)
    assert "catalog" in outcome.effects
    ground.clean(outcome.effects)
    with ground.home.admin() as admin:
        assert admin.execute(memberships).fetchall() == before
