"""Servers shared by the tests of a worker, and a seeded database for each module."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from contextlib import AbstractContextManager
from typing import TypeVar

import pytest

from tests.postgres import beds
from tests.postgres.bed import Bed
from tests.postgres.processes import Unavailable
from tests.postgres.seed import Home, home

T = TypeVar("T")


def had(opening: AbstractContextManager[T]) -> Generator[T]:
    """What a context manager gives, or a skip that says why; in CI nothing may be missing."""
    with contextlib.ExitStack() as stack:
        try:
            got = stack.enter_context(opening)
        except Unavailable as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield got


@pytest.fixture(scope="session")
def system_bed() -> Generator[Bed]:
    """Debian's server."""
    yield from had(beds.system())


@pytest.fixture(scope="session")
def newest_bed() -> Generator[Bed]:
    """The newest server, without contrib."""
    yield from had(beds.newest())


@pytest.fixture(scope="session")
def sixteen_bed() -> Generator[Bed]:
    """PostgreSQL 16, without contrib."""
    yield from had(beds.wheel(16))


@pytest.fixture(scope="session", params=["system", "newest"])
def bed(request: pytest.FixtureRequest) -> Bed:
    """Each server."""
    return request.getfixturevalue(f"{request.param}_bed")


@pytest.fixture(scope="session")
def scram_bed() -> Generator[Bed]:
    """A server that asks for passwords over TCP."""
    yield from had(beds.system(auth="scram-sha-256"))


@pytest.fixture(scope="session")
def tls_bed() -> Generator[Bed]:
    """A server that takes TLS alone, with a client's certificate."""
    yield from had(beds.system(auth="cert", tls=True))


@pytest.fixture(scope="session")
def bouncer(system_bed: Bed) -> Generator[beds.Bouncer]:
    """PgBouncer before Debian's server."""
    yield from had(beds.pgbouncer(system_bed))


@pytest.fixture(scope="module")
def system_home(system_bed: Bed) -> Generator[Home]:
    """A seeded database of the module's own, with contrib's extensions."""
    with home(system_bed) as made:
        yield made


@pytest.fixture(scope="module")
def newest_home(newest_bed: Bed) -> Generator[Home]:
    """A seeded database of the module's own on the newest server."""
    with home(newest_bed) as made:
        yield made
