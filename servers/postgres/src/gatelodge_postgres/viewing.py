"""The views of this server: rows as a table with a chart, and plans as trees."""

from __future__ import annotations

from functools import partial

from gatelodge_core.apps.page import document
from gatelodge_core.declare import Declarations

from gatelodge_postgres.sources import Sources

viewing = Declarations[Sources]()

viewing.view(
    "ui://gatelodge-postgres/rows.html",
    name="rows_view",
    description="Rows of a query as a table that can be sorted, with a chart where the columns suit one.",
    tools=("run_query",),
    document=partial(
        document,
        "Result of a query",
        "gatelodge_postgres.views",
        ("rows.css", "chart.css", "columns.js", "chart.js", "table.js", "rows.js"),
    ),
)
viewing.view(
    "ui://gatelodge-postgres/plan.html",
    name="plan_view",
    description="The plan of a query as a tree, with what each step costs and what is worth a look.",
    tools=("explain_query",),
    document=partial(document, "Plan of a query", "gatelodge_postgres.views", ("plan.css", "plan.js")),
)
