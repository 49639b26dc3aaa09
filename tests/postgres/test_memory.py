"""What large results cost the server process: next to nothing, whatever they hold."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator

import psutil
import psycopg
import pytest

from tests.postgres.bed import Bed
from tests.postgres.processing import process
from tests.support.wire import StdioWire

MAX_MB = 40
MILLION = "SELECT g AS id, repeat(md5(g::text), 5) AS text, now() AS at FROM generate_series(1, 1000000) g"


@pytest.fixture(scope="module")
def wire(system_bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Generator[StdioWire]:
    """A server that has answered before, so that what it loads once isn't counted."""
    with system_bed.admin() as admin, contextlib.suppress(psycopg.errors.DuplicateObject):
        admin.execute("CREATE ROLE reader LOGIN")
    env = {"GATELODGE_POSTGRES_URL": system_bed.url(user="reader")}
    options = ["--max-cost", "0", "--query-seconds", "60", "--pool-size", "1"]
    with process(tmp_path_factory.mktemp("memory"), *options, env=env) as wire:
        for form in ("csv", "jsonl", "markdown"):
            wire.text("run_query", sql="SELECT g, 'a' AS b FROM generate_series(1, 1000) g", format=form)
        yield wire


def grown(wire: StdioWire, **arguments: object) -> tuple[float, str]:
    """How many MB a call makes the process grow at most, and what it answers."""
    seen = psutil.Process(wire.server.process.pid)
    before = most = seen.memory_info().rss
    ended = threading.Event()

    def look() -> None:
        nonlocal most
        while not ended.wait(0.002):
            most = max(most, seen.memory_info().rss)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        text = wire.text("run_query", **arguments)
    finally:
        ended.set()
        looker.join()
    return (most - before) / 1e6, text


def test_a_million_rows_are_capped_and_cost_no_memory(wire: StdioWire) -> None:
    mb, text = grown(wire, sql=MILLION)
    assert "shown 200 of more, stopped by max_rows" in text
    assert "MORE: cursor=" in text
    assert len(text) < 70_000
    assert mb <= MAX_MB


def test_the_largest_answer_that_may_be_asked_for_is_capped_by_bytes(wire: StdioWire) -> None:
    mb, text = grown(wire, sql=MILLION, max_rows=10_000, max_bytes=1_000_000)
    assert "stopped by max_bytes" in text
    assert mb <= MAX_MB


@pytest.mark.parametrize(
    "value",
    [
        "repeat('x', 500000000)",
        "convert_to(repeat('x', 100000000), 'UTF8')",
        "ARRAY[repeat('x', 80000000), repeat('y', 80000000)]",
        "json_build_object('a', repeat('x', 80000000))",
        "repeat('7', 130000)::numeric",
    ],
    ids=["text", "bytea", "array", "json", "numeric"],
)
def test_one_huge_value_is_cut_on_the_server_and_costs_no_memory(wire: StdioWire, value: str) -> None:
    mb, text = grown(wire, sql=f"SELECT {value} AS huge, 1 AS small")
    assert "cut: values of huge end with …" in text
    assert len(text) < 20_000
    assert mb <= MAX_MB


def test_many_wide_columns_and_rows_cost_no_memory(wire: StdioWire) -> None:
    columns = ", ".join(f"repeat('x', 100000) AS c{number}" for number in range(100))
    mb, text = grown(wire, sql=f"SELECT {columns} FROM generate_series(1, 10000)", max_rows=10_000)
    assert "stopped by max_bytes" in text
    assert mb <= MAX_MB
