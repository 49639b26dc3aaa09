"""Fixtures of the client tests: the clients, a folder that is served, a server over each transport."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.clients._hosts import ERAS, REQUIRED, Client, Era, Island, absence, http_server, island, server_command
from tests.clients._stages import Stage, furnished
from tests.github.conftest import had as github_had
from tests.github.emulator import running
from tests.postgres import beds
from tests.postgres.conftest import had as postgres_had
from tests.support.wire import Transport


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> Era:
    """Both ways to open a connection: the handshake up to 2025-11-25, and none since 2026-07-28."""
    return request.param


@pytest.fixture(scope="module")
def isle() -> Generator[Island]:
    """Where clients run, with loopback only where the system can do that."""
    with island() as place:
        yield place


@pytest.fixture(scope="session")
def clients_installed() -> None:
    """Goes no further without the clients."""
    if reason := absence():
        (pytest.fail if REQUIRED else pytest.skip)(reason)


@pytest.fixture
def client(clients_installed: None, isle: Island, tmp_path: Path) -> Client:
    """A runner for the installed clients, each test with an empty HOME."""
    home = tmp_path / "client home"  # the space is on purpose
    home.mkdir()
    return Client(home, isle)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the server serves, with a file that no test changes."""
    root = tmp_path_factory.mktemp("served").resolve()
    (root / "notes.txt").write_text("first line\nthe needle is here\nlast line\n", encoding="utf-8")
    (root / "module.py").write_text("answer = 42\n", encoding="utf-8")
    (root.parent / "outside.txt").write_text("s3cr3t\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def command(served: Path) -> list[str]:
    """How a host starts the server on the served folder."""
    return server_command(served)


@pytest.fixture(scope="module")
def url(clients_installed: None, command: list[str], isle: Island) -> Generator[str]:
    """The server over HTTP, one for the tests of a module, on the island."""
    with http_server(command, isle) as address:
        yield address


@pytest.fixture
def target(transport: Transport, command: list[str], request: pytest.FixtureRequest) -> list[str] | str:
    """What to connect to: a command, or the URL of a server that runs."""
    if transport == "stdio":
        return command
    address: str = request.getfixturevalue("url")
    return address


@pytest.fixture(scope="module")
def stages(
    clients_installed: None, isle: Island, tmp_path_factory: pytest.TempPathFactory
) -> Generator[dict[str, Stage]]:
    """The four servers with something behind each, for clients on the island."""
    for bed in postgres_had(beds.system()):
        for emulator in github_had(running()):
            with furnished(tmp_path_factory.mktemp("stages").resolve(), isle, bed, emulator) as made:
                yield made
