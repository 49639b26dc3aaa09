"""TPC-H is loaded rightly: its questions have answers, and some are known from elsewhere."""

from __future__ import annotations

from collections.abc import Generator
from decimal import Decimal

import psycopg
import pytest

from tests.postgres.bed import Bed
from tests.postgres.tpch import Data, Row, generate, load, questions
from tests.postgres.tpch_oracle import ORACLE


@pytest.fixture(scope="module")
def data() -> Data:
    return generate()


@pytest.fixture(scope="module")
def warehouse(bed: Bed, data: Data) -> Generator[psycopg.Connection]:
    bed.create("tpch", "template0")
    with bed.admin("tpch") as connection:
        load(connection, data)
        yield connection
    bed.drop("tpch")


def rounded(rows: list[Row]) -> list[Row]:
    """Rows with numbers to ten places, and texts without the blanks that char(n) adds."""

    def plain(value: object) -> object:
        if isinstance(value, int | Decimal):
            return round(Decimal(value), 10)
        return value.rstrip() if isinstance(value, str) else value

    return [tuple(map(plain, row)) for row in rows]


def test_rows_are_the_same_each_time(data: Data) -> None:
    assert generate().tables == data.tables
    assert len(data.tables["lineitem"]) > 20_000


def test_each_question_has_an_answer(warehouse: psycopg.Connection) -> None:
    assert len(questions()) == 22
    for name, question in questions().items():
        rows = warehouse.execute(question.encode()).fetchall()
        assert rows, name
        assert rows[0][0] is not None, name


@pytest.mark.parametrize("name", sorted(ORACLE))
def test_answers_agree_with_what_python_makes_of_the_rows(warehouse: psycopg.Connection, data: Data, name: str) -> None:
    rows = warehouse.execute(questions()[name].encode()).fetchall()
    assert rounded(rows) == rounded(ORACLE[name](data))
