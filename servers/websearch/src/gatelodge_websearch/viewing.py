"""The view of a search: its results as cards."""

from __future__ import annotations

from functools import partial

from gatelodge_core.apps.page import document
from gatelodge_core.declare import Declarations

from gatelodge_websearch.web import Web

viewing = Declarations[Web]()

viewing.view(
    "ui://gatelodge-websearch/results.html",
    name="results_view",
    description="What a search found, as cards with the number to cite.",
    tools=("search_web", "research_web"),
    document=partial(document, "Search results", "gatelodge_websearch.views", ("cards.css", "cards.js")),
)
