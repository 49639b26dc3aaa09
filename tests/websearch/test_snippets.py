"""The part of a kept text that is shown for a search."""

from __future__ import annotations

from pathlib import Path

import pytest
from gatelodge_websearch.pages import Page
from gatelodge_websearch.snippets import snippet
from gatelodge_websearch.store import Shelf, Store

TEXT = "The cat sleeps. " * 100 + "A fox and a dog met at the gate. " + "The cat sleeps. " * 100 + "One fox alone. " * 9


@pytest.mark.parametrize(
    ("text", "query", "shows"),
    [
        (TEXT, "dog fox", "A fox and a dog met"),
        (TEXT, "FOX", "A fox and a dog met"),
        (TEXT, "nothing", "The cat sleeps."),
        ("x " * 500 + "the Café of Zoë " + "y " * 500, "cafe zoe", "the Café of Zoë"),
        ("İ" * 300 + " a fox", "fox", "a fox"),
        ("fox", "fox", "fox"),
        ("a+b (c) [d] " * 50, "(c) +", "a+b (c) [d]"),
        ("", "fox", ""),
    ],
)
def test_the_place_with_most_words_of_the_query_is_shown(text: str, query: str, shows: str) -> None:
    found = snippet(text, query)
    assert shows in found
    assert len(found) <= 250


@pytest.mark.timeout(30)
def test_a_page_that_repeats_a_word_is_found_in_time_with_its_size(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s" / "pages.db"), 100_000_000)
    shelf = Shelf(store, "alice")
    for number, unit in enumerate(["fox ", "fox dog ", "fox\n\n", "fóx "]):
        text = unit * (1_200_000 // len(unit))
        shelf.keep(Page(f"http://e.com/{number}", "", (), "", text, "", "0" * 64, float(number), ""))
    # SQLite's snippet takes minutes for each.
    found, total = shelf.saved("fox", 50)
    assert total == 4
    assert all("f" in item.snippet and len(item.snippet) <= 250 for item in found)
    store.close()
