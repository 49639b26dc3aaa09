"""Make the pictures of the views, ``docs/images/apps-*.png``, in headless Chromium.

    python scripts/screenshots_apps.py

Rows, plans and diffs come from the real servers (a PostgreSQL with the tests' shop is started); what a search found is made up.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# The browser's driver, the host page and the database are the tests'.
sys.path.insert(0, str(ROOT))

from tests.apps.fixtures import content  # noqa: E402 - run as a script, the root isn't on the path
from tests.apps.hosting import SHOWS_VIEWS, Host, page_of  # noqa: E402 - run as a script, the root isn't on the path
from tests.browser.finding import CHROMIUM, Browser, chromium  # noqa: E402 - run as a script, the root isn't on the path
from tests.browser.page import Scheme  # noqa: E402 - run as a script, the root isn't on the path
from tests.postgres import beds  # noqa: E402 - run as a script, the root isn't on the path
from tests.postgres.seed import home  # noqa: E402 - run as a script, the root isn't on the path
from tests.support.wire import MODERN, Message, connected, python_module  # noqa: E402 - run as a script, the root isn't on the path

IMAGES = ROOT / "docs" / "images"
MAX_BYTES = 150_000

ORDERS = """SELECT date_trunc('week', o.placed)::date AS week, sum(l.quantity * l.price) AS revenue,
       count(DISTINCT o.id) AS orders, count(DISTINCT o.customer_id) AS customers
FROM app.orders o JOIN app.order_lines l ON l.order_id = o.id
WHERE o.status <> 'void' GROUP BY 1 ORDER BY 1"""
BEST = """SELECT c.name, sum(l.quantity * l.price) AS spent
FROM app.customers c JOIN app.orders o ON o.customer_id = c.id JOIN app.order_lines l ON l.order_id = o.id
WHERE c.country = 'FR' AND o.status <> 'void' GROUP BY c.id ORDER BY spent DESC LIMIT 10"""

BEFORE = '''"""Prices."""

RATE = 0.2


def net(gross: float) -> float:
    return gross / (1 + RATE)


def discount(price, percent):
    return price - price * percent / 100


def gross(net: float) -> float:
    """With tax."""
    return net * (1 + RATE)


def total(items):
    sum = 0
    for item in items:
        sum = sum + item.price
    return sum
'''
EDITS = [
    {"old": "RATE = 0.2\n", "new": "RATE = 0.23\n"},
    {
        "old": "    sum = 0\n    for item in items:\n        sum = sum + item.price\n    return sum\n",
        "new": "    return sum(item.price for item in items)\n",
    },
]
FOUND: Message = {
    "search": "s1",
    "results": [
        {
            "id": "cabq2k7fd", "title": "Landlock: unprivileged access control", "published": "2026-05-02",
            "url": "https://docs.example.org/userspace-api/landlock.html", "engines": ["brave", "duckduckgo"],
            "snippet": "The goal of Landlock is to enable restriction of ambient rights (e.g. global filesystem or network "
            "access) for a set of processes.",
        },
        {
            "id": "cq77plm2a", "title": "landlock(7) - manual page", "published": "", "engines": ["brave"],
            "url": "https://man.example.org/man7/landlock.7.html",
            "snippet": "Landlock is an access-control system that enables any processes to securely restrict themselves.",
        },
        {
            "id": "czz4k3m2b", "title": "Your bank: sign in", "published": "", "engines": ["mojeek"],
            "url": "https://xn--bnk-0na.example/login", "snippet": "A title says what it likes; the address says where it leads.",
        },
    ],
    "shown": 3, "total": 17, "cached_seconds": 0,
    "engines": [{"engine": "brave", "status": "ok"}, {"engine": "google", "status": "rate_limited", "retry_after": 30}],
}  # fmt: skip

Shot = tuple[str, Message, Message, dict[str, Any], str]
"""Name, page, result, arguments, and what is done before the picture."""


def files(folder: Path) -> list[Shot]:
    """The preview of a change."""
    root = folder / "shop"
    root.mkdir()
    (root / "prices.py").write_text(BEFORE, encoding="utf-8")
    started = python_module("gatelodge_filesystem", str(root), "--state-dir", str(folder / "files"))
    with connected(started, "stdio", MODERN, capabilities=SHOWS_VIEWS) as wire:
        arguments = {"path": "shop/prices.py", "edits": EDITS, "dry_run": True}
        return [("diff", page_of(wire, "edit_file"), wire.tool("edit_file", **arguments), arguments, "")]


def database(folder: Path) -> list[Shot]:
    """Rows, a chart, and a plan."""
    with beds.system() as bed, home(bed) as made:
        started = python_module("gatelodge_postgres", "--state-dir", str(folder / "database"))
        env = {"GATELODGE_POSTGRES_URL": made.url()}
        with connected(started, "stdio", MODERN, capabilities=SHOWS_VIEWS, env=env) as wire:
            orders, best = {"sql": ORDERS}, {"sql": BEST, "analyze": True}
            rows, plan = wire.tool("run_query", **orders), wire.tool("explain_query", **best)
            chart = "document.getElementById('tab-chart').click()"
            page = page_of(wire, "run_query")
            return [
                ("rows", page, rows, orders, ""),
                ("chart", page, rows, orders, chart),
                ("plan", page_of(wire, "explain_query"), plan, best, ""),
            ]


def search() -> list[Shot]:
    """What a search found."""
    result: Message = {"content": [], "structuredContent": FOUND}
    return [("search", content("results_view"), result, {"query": "landlock abi versions"}, "")]


def picture(browser: Browser, shot: Shot, name: str, width: int, theme: Scheme) -> None:
    """One picture, as high as what is in it."""
    _, page, result, arguments, act = shot
    with browser.page(width=width, height=300) as tab:
        tab.viewport(width, 300, scale=2 if width < 500 else 1, touch=width < 500)
        tab.media(theme)
        host = Host(tab)
        host.mount(page, context={"theme": theme})
        host.give(result, arguments)
        if act:
            host.inside(act)
            host.settle()
        data = tab.screenshot(IMAGES / f"{name}.png", whole=True)
        errors = tab.errors
    if errors or len(data) > MAX_BYTES:
        raise SystemExit(f"{name}: {len(data):,} bytes; {errors}")
    sys.stdout.write(f"docs/images/{name}.png  {len(data):,} bytes\n")


LOOKS: Mapping[str, tuple[tuple[str, int, Scheme], ...]] = {
    "rows": (("", 760, "light"), ("-phone", 390, "dark")),
    "chart": (("", 760, "dark"),),
    "plan": (("", 760, "light"),),
    "diff": (("", 760, "light"), ("-phone", 390, "light")),
    "search": (("", 760, "dark"),),
}


def main() -> int:
    """Make the pictures; the exit status."""
    if not CHROMIUM:
        sys.stderr.write("There is no Chromium here: apt-get install chromium\n")
        return 2
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["HOME"] = os.environ["XDG_CONFIG_HOME"] = place
        (folder / "browser").mkdir()
        shots = [*files(folder), *database(folder), *search()]
        with chromium(folder / "browser") as browser:
            for shot in shots:
                for suffix, width, theme in LOOKS[shot[0]]:
                    picture(browser, shot, f"apps-{shot[0]}{suffix}", width, theme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
