"""The store that the tests of this folder share; each test has an empty one."""

from __future__ import annotations

import socket
from collections.abc import Generator

import pytest

from tests.support.valkey import Valkey, valkey


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Valkey]:
    with valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def server(running: Valkey) -> Valkey:
    with socket.create_connection(("127.0.0.1", running.port), 10) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        assert connection.recv(100).startswith(b"+OK")
    return running
