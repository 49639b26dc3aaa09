"""Tokens of changes: nobody's previews push out another caller's."""

from __future__ import annotations

from typing import Any, cast

import pytest
from gatelodge_core.errors import CallError
from gatelodge_postgres.changing.rehearsal import Rehearsal
from gatelodge_postgres.changing.tokens import MAX_BYTES, MAX_EACH, Record, Tokens


def record(who: str, weight: int = 10) -> Record:
    # What a rehearsal found plays no part in how long it is kept.
    found = cast("Rehearsal", cast("Any", None))
    return Record("id", "app", who, "x" * weight, (), full_table=False, found=found, expires=1e12)


def test_who_previews_much_pushes_out_its_own_alone() -> None:
    tokens = Tokens()
    other = tokens.give(record("key:ben"))
    mine = [tokens.give(record("key:ada", MAX_BYTES // 4)) for _ in range(MAX_EACH)]
    assert tokens.look(other, "key:ben").principal == "key:ben"
    assert tokens.look(mine[-1], "key:ada").principal == "key:ada"
    with pytest.raises(CallError, match="unknown_token"):
        tokens.look(mine[0], "key:ada")


def test_the_newest_is_kept_whoever_keeps_most() -> None:
    tokens = Tokens()
    first = tokens.give(record("key:ada", MAX_BYTES - 100))
    last = tokens.give(record("key:ben", MAX_BYTES // 2))
    assert tokens.look(last, "key:ben").principal == "key:ben"
    with pytest.raises(CallError, match="unknown_token"):
        tokens.look(first, "key:ada")
