"""Chance that falls the same on every machine and Python: whole numbers from one seeded source."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, TypeVar

T = TypeVar("T")


class Dice:
    """A seeded source.

    Args:
        seed: The same seed gives the same throws.
    """

    def __init__(self, seed: int) -> None:
        # The one method whose sequence Python promises never to change.
        self._random = random.Random(seed).random  # noqa: S311 - invented data, no secret

    def below(self, limit: int) -> int:
        """A whole number from 0, below `limit`."""
        return int(self._random() * limit)

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def early(self, limit: int) -> int:
        """A whole number below `limit`, small ones far more often: a few are liked by many."""
        throw = self._random()
        return int(throw * throw * limit)

    def percent(self, chance: int) -> bool:
        """Yes in `chance` of 100 cases."""
        return self.below(100) < chance

    def pick(self, choices: Sequence[T]) -> T:
        """One of them, each as likely."""
        return choices[self.below(len(choices))]


class Weighted(Generic[T]):
    """Choices that are not equally likely.

    Args:
        weights: Each choice with its weight, a whole number.
    """

    def __init__(self, weights: Sequence[tuple[T, int]]) -> None:
        self._choices = [choice for choice, _ in weights]
        self._sums = list(accumulate(weight for _, weight in weights))

    def of(self, dice: Dice) -> T:
        """One of them."""
        return self._choices[bisect_right(self._sums, dice.below(self._sums[-1]))]
