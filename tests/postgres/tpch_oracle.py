"""Answers to some of TPC-H's questions, computed from the rows in Python: a second opinion on the database's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from tests.postgres.tpch import Data, Row

# Columns of lineitem and orders by position.
KEY, PART, QUANTITY, PRICE, DISCOUNT, TAX, FLAG, STATE, SHIPPED, COMMITTED, RECEIVED, MODE = (
    0,
    1,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    14,
)
CUSTOMER, PLACED, PRIORITY = 1, 4, 5


def _lines(data: Data) -> list[tuple[Any, ...]]:
    return data.tables["lineitem"]


def _orders(data: Data) -> dict[int, tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = data.tables["orders"]
    return {row[0]: row for row in found}


def _revenue(line: tuple[Any, ...]) -> Decimal:
    return line[PRICE] * (1 - line[DISCOUNT])


def q1(data: Data) -> list[Row]:
    """Sums and averages by flag and state."""
    groups: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for line in _lines(data):
        if line[SHIPPED] <= date(1998, 9, 2):
            groups[line[FLAG], line[STATE]].append(line)
    return [
        (
            *key,
            sum(line[QUANTITY] for line in lines),
            sum(line[PRICE] for line in lines),
            sum(map(_revenue, lines)),
            sum(_revenue(line) * (1 + line[TAX]) for line in lines),
            Decimal(sum(line[QUANTITY] for line in lines)) / len(lines),
            sum(line[PRICE] for line in lines) / len(lines),
            sum(line[DISCOUNT] for line in lines) / len(lines),
            len(lines),
        )
        for key, lines in sorted(groups.items())
    ]


def q3(data: Data) -> list[Row]:
    """The ten unshipped orders of the highest value."""
    builders = {row[0] for row in data.tables["customer"] if row[6] == "BUILDING"}
    orders, day = _orders(data), date(1995, 3, 15)
    sums: dict[int, Decimal] = defaultdict(Decimal)
    for line in _lines(data):
        order = orders[line[KEY]]
        if order[CUSTOMER] in builders and order[PLACED] < day < line[SHIPPED]:
            sums[line[KEY]] += _revenue(line)
    found = sorted(sums, key=lambda key: (-sums[key], orders[key][PLACED], key))[:10]
    return [(key, sums[key], orders[key][PLACED], 0) for key in found]


def q4(data: Data) -> list[Row]:
    """Late orders of a quarter by priority."""
    late = {line[KEY] for line in _lines(data) if line[COMMITTED] < line[RECEIVED]}
    counts: dict[str, int] = defaultdict(int)
    for key, order in _orders(data).items():
        if date(1993, 7, 1) <= order[PLACED] < date(1993, 10, 1) and key in late:
            counts[order[PRIORITY]] += 1
    return [(name, count) for name, count in sorted(counts.items())]


def q6(data: Data) -> list[Row]:
    """What a discount forgone would have brought."""
    low, high = Decimal("0.05"), Decimal("0.07")
    return [(sum(
        line[PRICE] * line[DISCOUNT] for line in _lines(data)
        if line[SHIPPED].year == 1994 and low <= line[DISCOUNT] <= high and line[QUANTITY] < 24
    ),)]  # fmt: skip


def q12(data: Data) -> list[Row]:
    """Late lines by mode and priority."""
    orders, counts = _orders(data), dict[str, list[int]]()
    for line in _lines(data):
        if (
            line[MODE] in {"MAIL", "SHIP"}
            and line[SHIPPED] < line[COMMITTED] < line[RECEIVED]
            and line[RECEIVED].year == 1994
        ):
            high = orders[line[KEY]][PRIORITY] in {"1-URGENT", "2-HIGH"}
            counts.setdefault(line[MODE], [0, 0])[not high] += 1
    return [(mode, *pair) for mode, pair in sorted(counts.items())]


def q14(data: Data) -> list[Row]:
    """The share of promotions in a month's revenue."""
    promoted = {row[0] for row in data.tables["part"] if str(row[4]).startswith("PROMO")}
    month = [line for line in _lines(data) if date(1995, 9, 1) <= line[SHIPPED] < date(1995, 10, 1)]
    part = sum(_revenue(line) for line in month if line[PART] in promoted)
    return [(100 * part / sum(map(_revenue, month)),)]


ORACLE: dict[str, Callable[[Data], list[Row]]] = {"Q1": q1, "Q3": q3, "Q4": q4, "Q6": q6, "Q12": q12, "Q14": q14}
