"""PostgreSQL 17 in a container, by pytest-docker; tests skip where no engine answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from pytest_docker.plugin import DockerComposeExecutor, Services

from tests.postgres.bed import PASSWORD
from tests.postgres.docker.contained import Contained
from tests.postgres.processes import folder, free_port

FOLDER = Path(__file__).parent
CONFIG = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
"""The client's, before the tests get a home of their own: contexts and plugins are in it."""
SECONDS = 20


def docker(*arguments: str) -> str:
    """What the client says.

    Raises:
        OSError: There is no client.
        subprocess.SubprocessError: It failed, or took too long.
    """
    command = [shutil.which("docker") or "docker", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS).stdout


@pytest.fixture(scope="session")
def engine() -> Generator[str]:
    """The file that says how a container of the engine that answers is reached; a skip where none does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", CONFIG)
        try:
            docker("info", "--format", "{{.ServerVersion}}")
            docker("compose", "version")
            bridges = docker("network", "ls", "--quiet", "--filter", "driver=bridge")
        except (OSError, subprocess.SubprocessError) as error:
            said = str(getattr(error, "stderr", "") or error).strip().splitlines()
            pytest.skip(f"no Docker engine with compose answers: {said[-1] if said else error}")
        yield "bridge.yaml" if bridges.strip() else "host.yaml"


@pytest.fixture(scope="session")
def container_port() -> int:
    """The same over a restart, which a port that the engine chooses is not."""
    return free_port()


@pytest.fixture(scope="session")
def docker_compose_file(engine: str) -> list[str]:
    return [str(FOLDER / "compose.yaml"), str(FOLDER / engine)]


@pytest.fixture(scope="session")
def docker_compose_command(container_port: int, tmp_path_factory: pytest.TempPathFactory) -> str:
    given = tmp_path_factory.mktemp("compose") / "env"
    given.write_text(f"POSTGRES_PORT={container_port}\nPOSTGRES_PASSWORD={PASSWORD}\n")
    return f'docker compose --env-file "{given}"'


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    # The image is built if it isn't there, and is in no registry.
    return ["up --detach --wait --wait-timeout 60"]


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    return ["down --volumes --timeout 10"]


@pytest.fixture(scope="session")
def seventeen_bed(
    request: pytest.FixtureRequest,
    engine: str,
    docker_compose_command: str,
    docker_compose_file: list[str],
    docker_compose_project_name: str,
    container_port: int,
) -> Generator[Contained]:
    """PostgreSQL 17 with all of contrib, in a container."""
    compose = DockerComposeExecutor(docker_compose_command, docker_compose_file, docker_compose_project_name)
    try:
        services: Services = request.getfixturevalue("docker_services")
    except Exception as error:
        compose.execute("down --volumes --timeout 10")
        # An engine of our own has shown that it runs containers; what somebody else's lacks is not ours to say.
        if "DOCKER_ENGINE_FOLDER" in os.environ:
            raise
        pytest.skip(f"the container doesn't start: {error}"[:500])
    with folder() as place:
        bed = Contained(Path(), place, container_port, 17, "scram-sha-256", compose=compose, services=services)
        # Where a bed plants what is on its server's disk.
        bed.data.mkdir()
        yield bed
