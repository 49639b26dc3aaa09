"""All that went through a proxy, held to GitHub's own descriptions of its two APIs.

assert problems_of(proxy.exchanges, gaps=gaps) == []
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.github import graphql
from tests.github.contract import JSON_TYPE, NONE, Contract, Gaps, described
from tests.github.proxy import Exchange


def problems_of(exchanges: Iterable[Exchange], *, gaps: Gaps = NONE) -> list[str]:
    """What is wrong with requests and answers, a line each.

    Of an answer that was sent in parts (an endless one, one cut off) only the request is looked at. `gaps` are what
    the answering side is known to get wrong; ``gaps.idle()`` then says which of them it has outgrown.
    """
    contract = described()
    return [problem for exchange in exchanges for problem in _problems(contract, exchange, gaps)]


def _problems(contract: Contract, exchange: Exchange, gaps: Gaps) -> list[str]:
    request, answer = exchange.request, exchange.answer
    if request.path in {"/graphql", "/api/graphql"}:
        asked = request.json()
        found = graphql.check(asked["query"], asked.get("variables") or {})
        return [f"{request.method} /graphql: {one}" for one in found]
    whole = isinstance(answer.body, bytes)
    return contract.check_exchange(
        request.method,
        request.target,
        request.body,
        answer.status if whole else 0,
        answer.bytes,
        media_type=answer.header("Content-Type") or JSON_TYPE,
        gaps=gaps,
    )
