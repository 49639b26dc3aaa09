"""The ordinary queries are ordinary: each runs as the reader in a read-only cursor, and gives the same rows twice."""

from __future__ import annotations

from collections.abc import Generator

import psycopg
import pytest

from tests.postgres.bed import Bed
from tests.postgres.ordinary import ORDINARY
from tests.postgres.seed import READER, Home, home


@pytest.fixture(scope="module")
def shop(bed: Bed) -> Generator[Home]:
    with home(bed, geo=True) as made:
        yield made


def answer(connection: psycopg.Connection, sql: str, params: tuple[object, ...]) -> list[tuple[bytes | None, ...]]:
    """A query's rows as PostgreSQL writes them, by the extended protocol."""
    given = [None if value is None else str(value).encode() for value in params]
    result = connection.pgconn.exec_params(sql.encode(), given)
    assert result.status == psycopg.pq.ExecStatus.TUPLES_OK, f"{sql}: {result.error_message.decode()}"
    return [tuple(result.get_value(r, c) for c in range(result.nfields)) for r in range(result.ntuples)]


def test_there_are_many_and_their_names_differ() -> None:
    assert len({query.name for query in ORDINARY}) == len(ORDINARY) >= 170


def test_each_runs_for_the_reader_in_a_read_only_transaction(shop: Home) -> None:
    with shop.bed.connect(shop.db, READER) as connection:
        connection.execute("SET search_path = public, app")
        for query in ORDINARY:
            if shop.bed.version < query.min_version or not shop.has(*query.extensions):
                continue
            connection.execute("BEGIN READ ONLY")
            first = answer(connection, query.sql, query.params)
            assert query.rows is None or len(first) == query.rows, query.name
            if query.stable:
                assert answer(connection, query.sql, query.params) == first, query.name
            connection.execute("ROLLBACK")
