"""What is measured of database servers: each operation, as each server offers it, with the check of its answer."""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Self

import psutil

from benchmarks._contenders import Kind, Live
from benchmarks._postgres_data import POINTS, Data
from benchmarks._table import MB, Cell, Sample
from benchmarks._wire import Answer

MOST_ROWS, MOST_BYTES = 10_000, 4_000_000
"""What a call of ours may ask for at most."""
POINT = "SELECT id, name, amount FROM points WHERE id = {}"
_MORE = re.compile(r"MORE: cursor=(\S+)")
_TABLE = re.compile(r"\bt_\d{4}\b")
_SAMPLED = 0.01
_PAGES = 1000


def query(kind: Kind, sql: str, params: Sequence[int] = (), **more: int) -> tuple[str, dict[str, Any]] | None:
    """The tool and the arguments that run a statement; None where it takes no parameters. `more` is for ours."""
    if kind == "gatelodge":
        return "run_query", {"sql": sql, **({"params": list(params)} if params else {}), **more}
    if params:
        return None
    return ("execute_sql" if kind == "dbhub" else "query"), {"sql": sql}


class Points:
    """Point queries that never come twice, since servers remember statements."""

    def __init__(self) -> None:
        self._next = count()

    def take(self, number: int) -> list[int]:
        """The ids to ask for."""
        return [next(self._next) % POINTS + 1 for _ in range(number)]

    def literal(self, number: int) -> list[tuple[str, Sequence[int]]]:
        """Statements with the ids in their text."""
        return [(POINT.format(one), ()) for one in self.take(number)]

    def bound(self, number: int) -> list[tuple[str, Sequence[int]]]:
        """One statement, with the ids as parameters."""
        return [(POINT.format("$1"), (one,)) for one in self.take(number)]


def first_query(live_kind: Kind) -> tuple[str, dict[str, Any]]:
    """``select 1``."""
    asked = query(live_kind, "select 1")
    assert asked is not None
    return asked


class OneByOne:
    """``select 1``, each after the answer to the one before.

    Args:
        live: The server.
        calls: How many are one sample.
    """

    def __init__(self, live: Live, calls: int) -> None:
        self._live = live
        self._calls = calls
        self._asked = first_query(live.contender.kind)
        self.seconds: list[float] = []

    def __call__(self) -> Sample:
        taken = [self._live.driver.call(*self._asked) for _ in range(self._calls)]
        assert all("1" in answer.text for answer in taken), "not 1"
        self.seconds += [answer.seconds for answer in taken]
        return Sample(sum(answer.seconds for answer in taken), sum(answer.size for answer in taken), self._calls)

    def tell(self, cell: Cell) -> None:
        """Put the percentiles of single calls into the note of `cell`; the unmeasured first sample is left out."""
        seconds = self.seconds[self._calls :]
        if cell.samples and len(seconds) > 1:
            parts = statistics.quantiles(seconds, n=100)
            note = f"single calls: p50 {parts[49] * 1000:.2f} ms, p95 {parts[94] * 1000:.2f} ms"
            cell.samples[-1] = replace(cell.samples[-1], note=note)


def points(live: Live, calls: int, window: int, *, bound: bool) -> Callable[[], Sample] | None:
    """Point queries with up to `window` under way; None where the server takes no parameters."""
    kind = live.contender.kind
    if query(kind, POINT, (1,) if bound else ()) is None:
        return None
    source = Points()

    def run() -> Sample:
        statements = source.bound(calls) if bound else source.literal(calls)
        asked = [query(kind, sql, params) for sql, params in statements]
        requests: list[tuple[str, Mapping[str, Any]]] = [
            ("tools/call", {"name": one[0], "arguments": one[1]}) for one in asked if one is not None
        ]
        wanted = [int(params[0] if params else sql.rpartition(" ")[2]) for sql, params in statements]
        since = time.perf_counter()
        answers = live.driver.pipeline(requests, window)
        seconds = time.perf_counter() - since
        for answer, number in zip(answers, wanted, strict=True):
            assert f"point-{number}-end" in answer.text, f"not point {number}: {answer.text[:200]!r}"
        return Sample(seconds, sum(answer.size for answer in answers), calls)

    return run


def first_page(live: Live) -> Callable[[], Sample] | None:
    """The list of tables as a model would first ask for it; None for a server that only gives all."""
    if live.contender.kind == "server-postgres":
        return None
    tool, arguments = _listing(live, whole=False)

    def run() -> Sample:
        answer = live.driver.call(tool, arguments)
        shown = len(set(_TABLE.findall(answer.text)))
        assert shown, f"no tables: {answer.text[:200]!r}"
        return Sample(answer.seconds, answer.size, note=f"{shown} tables")

    return run


def all_pages(live: Live, data: Data) -> Callable[[], Sample]:
    """The list of tables to its end, in pages as large as the server gives, names alone."""

    def run() -> Sample:
        names: set[str] = set()
        seconds, size, pages = 0.0, 0, 0
        for answer, text in _pages(live):
            names |= set(_TABLE.findall(text))
            seconds, size, pages = seconds + answer.seconds, size + answer.size, pages + 1
        cut = live.contender.kind == "dbhub" and data.tables > len(names)
        assert cut or len(names) == data.tables, f"{len(names)} of {data.tables} tables"
        note = f"{len(names):,} of {data.tables:,}, and no next page" if cut else f"{pages} pages" * (pages > 1)
        return Sample(seconds, size, note=note)

    return run


def _listing(live: Live, *, whole: bool) -> tuple[str, dict[str, Any]]:
    if live.contender.kind == "dbhub":
        most: dict[str, Any] = {"limit": live.at_most("search_objects", "limit", POINTS)} if whole else {}
        return "search_objects", {"object_type": "table", "detail_level": "names", **most}
    return "list_objects", {"detail": "names", "limit": live.at_most("list_objects", "limit", POINTS)} if whole else {}


def _pages(live: Live) -> Iterator[tuple[Answer, str]]:
    """Each answer of a listing, and what it says."""
    if live.contender.kind == "server-postgres":
        answer = live.driver.request("resources/list")
        yield answer, "\n".join(resource["name"] for resource in answer.result["resources"])
        return
    tool, arguments = _listing(live, whole=True)
    for _ in range(_PAGES):
        answer = live.driver.call(tool, arguments)
        yield answer, answer.text
        found = _MORE.search(answer.text)
        if found is None:
            return
        arguments = {**arguments, "cursor": found[1]}
    raise AssertionError("a listing without end")


class Peak:
    """The most resident bytes of a process while a block runs, looked at every 10 ms; a context manager.

    Args:
        pid: The process.
        before: Bytes to count its growth from.
    """

    def __init__(self, pid: int, before: int) -> None:
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._before = before
        self.most = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    @property
    def growth(self) -> int:
        """Bytes above what there was before."""
        return self.most - self._before

    def __str__(self) -> str:
        return f"peak RSS {self.most / MB:,.0f} MB, {self.growth / MB:+,.0f}"

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLED):
            self._look()

    def _look(self) -> None:
        self.most = max(self.most, self._process.memory_info().rss)
