"""What of the surface file is offered under the settings of a start, told before these are read in earnest.

Standard library only; `server.declarations` says the same of the real settings.
"""

from __future__ import annotations

from gatelodge_core.launch.porter.given import Given, Unknown
from gatelodge_core.launch.porter.surface import Choice, Item

INSTRUCTIONS = (
    "Read, search and edit files in the folders the user granted (list_roots). Paths are root/rest. Find files by name "
    "with find_files, text inside files with search_text, then read_file the lines that matter. Change text with "
    "edit_file; write_file makes new files. Reads give an etag: pass it as if_match so that nobody's change is lost. "
    "Changes answer with change=ID, which undo_change takes back. Every cut answer says how to get the rest."
)


def chosen(given: Given) -> Choice:
    """What is offered.

    Raises:
        Unknown: There is no folder to serve, accounts have theirs, or a setting can't be read.
    """
    roots = given.texts("roots")
    if not roots or given.table("accounts"):
        raise Unknown("roots")
    names = "compat" if given.text("compat") else "own"
    groups = {names, *given.texts("tools")}
    changeable = not given.flag("read_only") and any(_writable(roots))

    def tools(item: Item) -> bool:
        return item.group in groups and (changeable or item.reads)

    def others(item: Item) -> bool:
        return item.group in ("", names)

    return Choice(INSTRUCTIONS, tools, others, others)


def _writable(roots: list[str]) -> list[bool]:
    """Whether each root may be changed; a mode can stand alone, as the colon before it is what joins roots, too."""
    found: list[bool] = []
    moded = True
    for root in roots:
        if root in ("ro", "rw") and not moded:
            found[-1], moded = root == "rw", True
        else:
            found.append(not root.endswith(":ro"))
            moded = root.endswith((":ro", ":rw"))
    return found
