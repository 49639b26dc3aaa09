"""The GraphQL documents: what GitHub's REST API doesn't have, one operation a file.

Each is held to GitHub's own schema by the tests. A page is at most 100 items, and each list inside a page is bounded
too, since GitHub refuses more than 500,000 nodes. Every query brings the name and the visibility of the repository it
read, which may have moved. REST goes first wherever it can do the same: GitHub Enterprise Server may lack a field,
and then refuses the whole document.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Literal, get_args

Name = Literal[
    "convert_draft",
    "discussion",
    "discussion_categories",
    "discussions",
    "pull_threads",
    "sub_issues",
    "to_draft",
]
NAMES: tuple[Name, ...] = get_args(Name)


@functools.cache
def document(name: Name) -> str:
    """The text of a document, which holds one operation.

    - ``pull_threads`` (owner, name, number, first, after): review threads of a pull request, with 20 comments each.
    - ``sub_issues`` (owner, name, number, first, after): sub-issues and parent of an issue; each may be elsewhere.
    - ``discussions`` (owner, name, first, after, categoryId, answered): the latest changed first, without bodies.
    - ``discussion`` (owner, name, number, first, after): one, with its answer and comments, with 10 replies each.
    - ``discussion_categories`` (owner, name, first, after).
    - ``convert_draft`` and ``to_draft`` (pullRequestId, which is REST's ``node_id``): ready for review; a draft again.
    """
    return importlib.resources.files(__name__).joinpath(f"{name}.graphql").read_text("utf-8")
