"""Start-up of database servers: to the first answer, to the first row, and the memory of a server that idles."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from benchmarks._contenders import Contender, node_binary, program
from benchmarks._postgres_operations import first_query
from benchmarks._table import Cell, Runner, Sample, measure
from benchmarks._wire import Driver, WireError

MARKS = ("spawn to first answer", "spawn to first select 1")
IDLE = "idle RSS, before and after one query"
_CONNECTED = "import sys, psycopg; psycopg.connect(sys.argv[1]).execute('select 1').fetchall()"


def starts(servers: Sequence[Contender], env: Mapping[str, str], url: str, rounds: int) -> Iterator[Cell]:
    """Start each server `rounds` times, in turns; and the interpreters alone, which nothing can be faster than."""
    cells = {(mark, server.label): Cell(mark, server.label) for mark in MARKS for server in servers}
    idle = {server.label: Cell(IDLE, server.label) for server in servers}
    # The first round is not kept: it may compile bytecode and fill the page cache.
    for turn in range(rounds + 1):
        for server in [*servers[turn % len(servers) :], *servers[: turn % len(servers)]]:
            own = [cells[mark, server.label] for mark in MARKS]
            try:
                samples = _start(server, env, idle[server.label] if turn == rounds else None)
            except (WireError, AssertionError) as error:
                for cell in own:
                    cell.problem, cell.failed = f"failed: {str(error)[:160]}", True
                    cell.samples.clear()
                continue
            for cell, sample in zip(own, samples, strict=True):
                if turn and not cell.failed:
                    cell.add(sample)
    python = [Runner("limit: python -c pass", lambda: program([sys.executable, "-c", "pass"], env))]
    node = node_binary()
    if node is not None:
        python.append(Runner("limit: node -e 0", lambda: program([str(node), "-e", "0"], env)))
    psycopg = Runner("limit: python, psycopg", lambda: program([sys.executable, "-c", _CONNECTED, url], env))
    for mark, limits in zip(MARKS, (python, [psycopg]), strict=True):
        yield from (cells[mark, server.label] for server in servers)
        yield from measure(mark, limits, rounds)
    yield from idle.values()


def _start(server: Contender, env: Mapping[str, str], memory: Cell | None) -> list[Sample]:
    with Driver(server.command, server.era, env) as driver:
        opening = driver.open()
        opened = Sample(time.perf_counter() - driver.started, opening.size, cpu=driver.cpu())
        # Between the two, a server that opens its database in the background has not been waited for.
        answer = driver.call(*first_query(server.kind))
        queried = Sample(time.perf_counter() - driver.started, answer.size, cpu=driver.cpu())
        assert "1" in answer.text, "not 1"
        if memory is None:
            return [opened, queried]
        memory.rss_after = driver.rss()
    # Another one, as the first answer may still have been loading code behind it.
    with Driver(server.command, server.era, env) as driver:
        driver.open()
        _ = driver.request("tools/list").result
        memory.rss_before = driver.rss()
    return [opened, queried]
