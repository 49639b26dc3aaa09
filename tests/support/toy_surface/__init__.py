"""What of the toy's surface file is offered: all of it. See `tests.porter.test_surface_files`, which renews the file."""

from __future__ import annotations

from gatelodge_core.launch.porter.given import Given
from gatelodge_core.launch.porter.surface import Choice, all_of


def chosen(given: Given) -> Choice:
    """All there is."""
    del given
    return Choice("A toy for tests.", all_of, all_of, all_of)
