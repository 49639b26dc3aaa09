"""The demo's rows: the same everywhere, and right in their sums."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import pytest
from gatelodge_postgres.demo.rows import Shop, Table

Tables = dict[str, list[dict[str, Any]]]

DIGEST = "3f158082f574bbe72eecf7bf8154c6dd2ddda9c137cfa9ff4f88589ae1f245ad"
"""Of all rows: change it with the generation when the shop is meant to change."""


@pytest.fixture(scope="module")
def tables() -> Tables:
    """The shop's rows by table, each by column."""
    return {name: [dict(zip(columns, row, strict=True)) for row in rows] for name, columns, rows in Shop().tables()}


def test_the_rows_are_the_same_on_every_machine() -> None:
    digest = hashlib.sha256()
    total = 0
    for name, columns, rows in Shop().tables():
        total += len(rows)
        digest.update(f"{name}{columns}{rows}".encode())
    assert digest.hexdigest() == DIGEST
    assert 95_000 < total < 115_000


def test_another_seed_is_another_shop() -> None:
    def first(seed: int) -> Table:
        return next(iter(Shop(seed).tables()))

    assert first(1) == first(1) != first(2)


def test_an_orders_total_is_the_sum_of_its_items(tables: Tables) -> None:
    sums: Counter[int] = Counter()
    for item in tables["order_items"]:
        sums[item["order_id"]] += item["quantity"] * cents(item["unit_price"])
    assert sums == {order["id"]: cents(order["total"]) for order in tables["orders"]}


def test_what_was_captured_is_what_was_ordered(tables: Tables) -> None:
    paid: Counter[int] = Counter()
    for payment in tables["payments"]:
        if payment["status"] != "failed":
            paid[payment["order_id"]] += cents(payment["amount"])
    for order in tables["orders"]:
        kept = order["status"] in ("paid", "shipped", "delivered")
        assert paid[order["id"]] == (cents(order["total"]) if kept else 0)


def test_customers_come_before_their_orders_and_buy_before_they_review(tables: Tables) -> None:
    joined = {customer["id"]: customer["created_at"] for customer in tables["customers"]}
    bought: dict[tuple[int, int], str] = {}
    placed = {order["id"]: order for order in tables["orders"]}
    for item in tables["order_items"]:
        order = placed[item["order_id"]]
        assert joined[order["customer_id"]] < order["ordered_at"]
        if order["status"] == "delivered":
            bought.setdefault((item["product_id"], order["customer_id"]), order["ordered_at"])
    for review in tables["reviews"]:
        assert bought[review["product_id"], review["customer_id"]] < review["created_at"]


def test_customers_and_products_are_not_all_alike(tables: Tables) -> None:
    orders = Counter(order["customer_id"] for order in tables["orders"])
    best = sum(count for _, count in orders.most_common(len(tables["customers"]) // 10))
    assert 0.3 < best / len(tables["orders"]) < 0.8
    months = Counter(order["ordered_at"][:7] for order in tables["orders"])
    assert months["2025-12"] > months["2025-02"] > months["2024-02"]


def test_some_reviews_try_something(tables: Tables) -> None:
    texts = "\n".join(review["body"] for review in tables["reviews"])
    for attempt in (
        "IGNORE ALL PREVIOUS",
        "DROP TABLE",
        "onerror=",
        "\x1b[",
        "\u202e",
        "</untrusted-data>",
        "=HYPERLINK",
    ):
        assert attempt in texts


def cents(amount: str) -> int:
    """An amount as the rows hold it."""
    return int(amount.replace(".", ""))
