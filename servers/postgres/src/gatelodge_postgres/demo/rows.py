"""The shop's rows, about 100,000, the same on every machine: whom it sells to, what, and what became of it.

Sums are right: an order's total is that of its items, what was captured is the total, only buyers review.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gatelodge_postgres.demo import words
from gatelodge_postgres.demo.dice import Dice, Weighted

Row = tuple[object, ...]
Table = tuple[str, tuple[str, ...], list[Row]]
"""Name, columns, rows."""

FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 912
"""To the end of June 2026."""
CUSTOMERS, SUPPLIERS, PRODUCTS, ORDERS, VIEWS = 8_000, 40, 1_200, 15_500, 14_000
DAY = 86_400
_MONTHS = (90, 80, 95, 105, 115, 120, 110, 100, 95, 100, 135, 160)
"""How much is sold in each, in percent of a usual month."""
_WEEKDAYS = (95, 90, 92, 100, 110, 105, 118)
_METHODS = Weighted([("card", 55), ("paypal", 25), ("invoice", 14), ("gift_card", 6)])
_RATINGS = Weighted([(5, 46), (4, 27), (3, 12), (2, 7), (1, 8)])
_QUANTITIES = Weighted([(1, 72), (2, 18), (3, 6), (4, 3), (10, 1)])
_ITEMS = Weighted([(1, 38), (2, 28), (3, 18), (4, 10), (6, 6)])


def moment(day: int, second: int) -> str:
    """A time, as PostgreSQL reads it."""
    return (FIRST_DAY + timedelta(days=day, seconds=second)).strftime("%Y-%m-%d %H:%M:%S+00")


def date(day: int) -> str:
    """A date."""
    return (FIRST_DAY + timedelta(days=day)).strftime("%Y-%m-%d")


def money(cents: int) -> str:
    """An amount with its two decimals."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


class Shop:
    """All rows.

    Args:
        seed: The same seed gives the same shop.
    """

    def __init__(self, seed: int = 1) -> None:
        self._dice = Dice(seed)
        self._prices: list[int] = []
        self._introduced: list[int] = []
        self._joined: list[int] = []

    def tables(self) -> Iterator[Table]:
        """Each table, after those that it refers to."""
        yield self._suppliers()
        categories, leaves = self._categories()
        yield categories
        yield self._products(leaves)
        yield self._warehouses()
        yield self._inventory()
        yield self._customers()
        yield self._addresses()
        yield from self._sales()
        yield self._views()

    def _suppliers(self) -> Table:
        dice = self._dice
        rows: list[Row] = []
        for number in range(1, SUPPLIERS + 1):
            place = words.SUPPLIERS[number % len(words.SUPPLIERS)]
            name = f"{place} {words.SUPPLIER_KINDS[(number - 1) // 8]}"
            country, _ = words.COUNTRIES.of(dice)
            rows.append((number, name, country, f"orders{number}@{place.lower()}.example", dice.between(2, 30)))
        return "suppliers", ("id", "name", "country", "email", "lead_days"), rows

    def _categories(self) -> tuple[Table, list[tuple[int, str, str]]]:
        """The tree, and its leaves with what they sell and what is above them."""
        rows: list[Row] = []
        leaves: list[tuple[int, str, str]] = []
        for top, groups in words.CATEGORIES.items():
            rows.append((len(rows) + 1, None, top))
            parent = len(rows)
            for group, kinds in groups.items():
                rows.append((len(rows) + 1, parent, group))
                leaves += [(len(rows), kind, top) for kind in kinds]
        return ("categories", ("id", "parent_id", "name"), rows), leaves

    def _products(self, leaves: list[tuple[int, str, str]]) -> Table:
        dice = self._dice
        rows: list[Row] = []
        # The first half was there from the beginning; the others came one after another.
        self._introduced = sorted(max(0, dice.between(-DAYS, DAYS - 60)) for _ in range(PRODUCTS))
        for number in range(1, PRODUCTS + 1):
            category, kind, top = dice.pick(leaves)
            price = words.PRICES[top] * dice.between(25, 240) // 100
            price = max(490, price // 1000 * 1000 + 990)
            self._prices.append(price)
            line, colour, material = dice.pick(words.LINES), dice.pick(words.COLOURS), dice.pick(words.MATERIALS)
            attributes: dict[str, object] = {
                "colour": colour,
                "material": material,
                "weight_g": dice.between(4, 250) * 10,
                "tags": sorted({dice.pick(words.TAGS) for _ in range(dice.below(4))}),
                "size_cm": {"length": dice.between(5, 90), "width": dice.between(5, 60), "height": dice.between(2, 40)},
            }
            if dice.percent(20):
                attributes["warranty_years"] = dice.pick((2, 5, 10, 30))
            since = self._introduced[number - 1]
            rows.append((
                number, f"{kind[:2].upper()}-{number:05d}", f"{line} {kind} {number % 90 + 10}", category, dice.between(1, SUPPLIERS),
                money(price), money(price * dice.between(45, 70) // 100),
                f"The {line} {kind} of {material}: {dice.pick(words.PRAISE)}, and {dice.pick(words.PRAISE)}.",
                json.dumps(attributes), date(since), date(DAYS - 1 - dice.below(50)) if dice.percent(6) else None,
            ))  # fmt: skip
        names = ("id", "sku", "name", "category_id", "supplier_id", "price", "cost", "description", "attributes", "introduced_on", "discontinued_on")  # fmt: skip
        return "products", names, rows

    def _warehouses(self) -> Table:
        rows: list[Row] = [(1, "Hamburg", "DE"), (2, "Utrecht", "NL"), (3, "Lyon", "FR")]
        return "warehouses", ("id", "name", "country"), rows

    def _inventory(self) -> Table:
        dice = self._dice
        rows: list[Row] = []
        for product in range(1, PRODUCTS + 1):
            for warehouse in (1, 2, 3):
                quantity = 0 if dice.percent(7) else dice.early(400)
                rows.append((product, warehouse, quantity, dice.between(1, 12) * 5, moment(DAYS - 1, dice.below(DAY))))
        return "inventory", ("product_id", "warehouse_id", "quantity", "reorder_level", "counted_at"), rows

    def _customers(self) -> Table:
        dice = self._dice
        rows: list[Row] = []
        # A third had come before the first order.
        self._joined = sorted(dice.between(-DAYS // 2, DAYS - 2) for _ in range(CUSTOMERS))
        for number in range(1, CUSTOMERS + 1):
            first, last = dice.pick(words.FIRST), dice.pick(words.LAST)
            plain = "".join(
                char for char in f"{first}.{last}".lower() if char.isascii() and (char.isalpha() or char == ".")
            )
            country, _ = words.COUNTRIES.of(dice)
            phone = f"+00 555 {dice.below(10**7):07d}" if dice.percent(60) else None
            rows.append((
                number, f"{first} {last}", f"{plain}{number}@mail.example", phone, country,
                dice.between(1945, 2007) if dice.percent(70) else None, "t" if dice.percent(45) else "f",
                moment(self._joined[number - 1], dice.below(DAY)),
            ))  # fmt: skip
        names = ("id", "name", "email", "phone", "country", "birth_year", "newsletter", "created_at")
        return "customers", names, rows

    def _addresses(self) -> Table:
        """Each customer's shipping address under the customer's own number, some with another for bills."""
        dice = self._dice
        rows: list[Row] = [self._address(number, number, "shipping") for number in range(1, CUSTOMERS + 1)]
        for customer in range(1, CUSTOMERS + 1):
            if dice.percent(22):
                rows.append(self._address(len(rows) + 1, customer, "billing"))
        return "addresses", ("id", "customer_id", "kind", "street", "city", "postal_code", "country"), rows

    def _address(self, number: int, customer: int, kind: str) -> Row:
        dice = self._dice
        country, cities = words.COUNTRIES.of(dice)
        street = f"{dice.pick(words.STREETS)} Street {dice.between(1, 180)}"
        return number, customer, kind, street, dice.pick(cities), f"{dice.between(1000, 99999):05d}", country

    def _sales(self) -> Iterator[Table]:
        """Orders, with their items, payments and reviews."""
        dice = self._dice
        calendar = Weighted([(day, self._busy(day)) for day in range(DAYS)])
        moments = sorted((calendar.of(dice), dice.below(DAY)) for _ in range(ORDERS))
        orders: list[Row] = []
        items: list[Row] = []
        payments: list[Row] = []
        reviews: list[Row] = []
        reviewed: set[tuple[int, int]] = set()
        for number, (day, second) in enumerate(moments, 1):
            customer = 1 + dice.early(bisect_left(self._joined, day))
            lines = self._lines(day)
            total = sum(quantity * price for _, quantity, price in lines)
            status = self._status(day)
            sent = day + dice.between(1, 4) if status in ("shipped", "delivered", "returned") else None
            coupon = f"{dice.pick(('SPRING', 'TRAIL', 'WELCOME'))}{dice.pick((5, 10))}" if dice.percent(8) else None
            orders.append((
                number, customer, customer, status, moment(day, second), None if sent is None else moment(min(sent, DAYS - 1), second),
                coupon, money(total),
            ))  # fmt: skip
            items += [(number, line, *item[:2], money(item[2])) for line, item in enumerate(lines, 1)]
            self._pay(payments, number, day, second, total, status)
            if status == "delivered" and day < DAYS - 20:
                self._review(reviews, reviewed, customer, lines, day)
        names = ("id", "customer_id", "shipping_address_id", "status", "ordered_at", "shipped_at", "coupon", "total")
        yield "orders", names, orders
        yield "order_items", ("order_id", "line", "product_id", "quantity", "unit_price"), items
        yield "payments", ("id", "order_id", "method", "status", "amount", "paid_at"), payments
        yield "reviews", ("id", "product_id", "customer_id", "rating", "title", "body", "created_at"), reviews

    def _busy(self, day: int) -> int:
        """How much a day sells: more from year to year, before holidays and at weekends."""
        when = FIRST_DAY + timedelta(days=day)
        return (1000 + day) * _MONTHS[when.month - 1] * _WEEKDAYS[when.weekday()] // 10_000

    def _lines(self, day: int) -> list[tuple[int, int, int]]:
        """Products with quantity and unit price."""
        dice = self._dice
        known = bisect_left(self._introduced, day + 1)
        # Some are liked far more than others, and which is not a matter of age: 7919 is prime.
        chosen = {dice.early(known) * 7919 % known for _ in range(_ITEMS.of(dice))}
        found: list[tuple[int, int, int]] = []
        for product in sorted(chosen):
            price = self._prices[product]
            # Prices rose by 3 % a year to today's; now and then there is a sale.
            price = price * (1000 - 30 * ((DAYS - day) // 365)) // 1000
            price = price * 85 // 100 if dice.percent(9) else price
            found.append((product + 1, _QUANTITIES.of(dice), price))
        return found

    def _status(self, day: int) -> str:
        dice = self._dice
        age = DAYS - day
        if dice.percent(4):
            return "cancelled"
        if age <= 2:
            return dice.pick(("pending", "paid", "paid"))
        if age <= 7:
            return dice.pick(("paid", "shipped", "shipped"))
        return "returned" if dice.percent(5) else "delivered"

    def _pay(self, payments: list[Row], order: int, day: int, second: int, total: int, status: str) -> None:
        """What was tried, captured, and given back."""
        dice = self._dice
        method = _METHODS.of(dice)

        def add(state: str, amount: int, after: int) -> None:
            when = moment(min(day + after, DAYS - 1), min(second + 40, DAY - 1))
            payments.append((len(payments) + 1, order, method, state, money(amount), when))

        if method == "card" and dice.percent(5):
            add("failed", total, 0)
        if status in ("paid", "shipped", "delivered", "returned"):
            add("captured", total, 0)
        if status == "returned":
            add("refunded", -total, dice.between(8, 30))

    def _review(self, reviews: list[Row], reviewed: set[tuple[int, int]], customer: int, lines: list[tuple[int, int, int]], day: int) -> None:  # fmt: skip
        """Some buyers say what they think; each about a product once."""
        dice = self._dice
        for product, _, _ in lines:
            if not dice.percent(17) or (product, customer) in reviewed:
                continue
            reviewed.add((product, customer))
            rating = _RATINGS.of(dice)
            titles, bodies = words.OPINIONS[rating]
            title, body = dice.pick(titles), dice.pick(bodies)
            number = len(reviews) + 1
            if number % 97 == 0:
                title, body = words.HOSTILE[number // 97 % len(words.HOSTILE)]
            when = moment(min(day + dice.between(5, 40), DAYS - 1), dice.below(DAY))
            reviews.append((number, product, customer, rating, title, body, when))

    def _views(self) -> Table:
        dice = self._dice
        calendar = Weighted([(day, self._busy(day)) for day in range(DAYS)])
        moments = sorted((calendar.of(dice), dice.below(DAY)) for _ in range(VIEWS))
        rows: list[Row] = []
        for number, (day, second) in enumerate(moments, 1):
            known = bisect_left(self._introduced, day + 1)
            customer = 1 + dice.early(bisect_left(self._joined, day)) if dice.percent(40) else None
            product = 1 + dice.early(known) * 7919 % known
            device = dice.pick(("desktop", "mobile", "mobile", "tablet"))
            rows.append((number, moment(day, second), product, customer, device, 300 + dice.early(90_000)))
        return "page_views", ("id", "viewed_at", "product_id", "customer_id", "device", "duration_ms"), rows
