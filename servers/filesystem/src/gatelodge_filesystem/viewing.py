"""The view of a change: its diff, to be accepted hunk by hunk where it was only previewed."""

from __future__ import annotations

from functools import partial

from gatelodge_core.apps.page import document
from gatelodge_core.declare import Declarations

from gatelodge_filesystem.workspace import Workspace

viewing = Declarations[Workspace]()

viewing.view(
    "ui://gatelodge-filesystem/diff.html",
    name="diff_view",
    description="A change as a diff; what was only previewed can be accepted hunk by hunk.",
    tools=("edit_file", "write_file"),
    document=partial(document, "Changes of a file", "gatelodge_filesystem.views", ("diff.css", "diff.js")),
)
