"""Whether a GraphQL document only reads: REST's verbs say what changes something, here all is POST."""

from __future__ import annotations

import json
import re

_TOKEN = re.compile(
    r'''#[^\n\r]*|"""(?:[^"\\]|\\.|"(?!""))*"""|"(?:[^"\\\n\r]|\\.)*"|[A-Za-z_][A-Za-z0-9_]*|[{}]|[()\[\]]|.''',
    re.DOTALL,
)
_OPENS, _CLOSES = frozenset("{(["), frozenset("})]")
_MOST = 100_000


def only_reads(body: object) -> bool:
    """Whether the body of a request to GraphQL, as JSON, holds queries and fragments alone.

    What isn't understood counts as a change. Source of the grammar: GraphQL, October 2021, section 2.2.
    """
    try:
        document: object = json.loads(body)["query"] if isinstance(body, str) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    if not isinstance(document, str) or len(document) > _MOST:
        return False
    depth, head, found = 0, "", False
    for part in _TOKEN.findall(document):
        if part in _OPENS:
            if depth == 0 and part == "{":
                # The keyword that stood first before this selection; none is short for a query.
                if head not in ("", "query", "fragment"):
                    return False
                found, head = True, ""
            depth += 1
        elif part in _CLOSES:
            depth -= 1
            if depth < 0:
                return False
        elif depth == 0 and not head and not part.isspace() and part[0] not in ",#\ufeff":
            head = part
    return found and depth == 0 and not head
