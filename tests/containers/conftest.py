"""The deployment, by pytest-docker, on the engine of engine.sh or on one that answers and has bridges."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_docker.plugin import DockerComposeExecutor

from tests.containers.deployment import ROOT, Deployment, shown_key, until
from tests.postgres.processes import free_port

CONFIG = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
"""The client's, before the tests get a home of their own: plugins are in it."""
STAND_INS = {
    "TAG": "test",
    "CADDY_IMAGE": "gatelodge-stand-in-caddy",
    "VALKEY_IMAGE": "gatelodge-stand-in-valkey",
    "POSTGRES_IMAGE": "gatelodge-stand-in-postgres",
    # Debian's Caddy is older than the name that the directive has now.
    "REQUEST_BUFFERS": "buffer_requests",
}


@dataclass(frozen=True)
class Engine:
    """An engine that runs containers on networks of their own.

    Args:
        docker: The command that speaks to it.
        enter: Goes into its network.
        outside: Goes to what stands for the internet; empty if there is no such thing of ours.
        variables: What compose.yaml is told.
        ours: Whether engine.sh started it, and made the images.
    """

    docker: list[str]
    enter: list[str]
    outside: list[str]
    variables: dict[str, str]
    ours: bool


@pytest.fixture(scope="session")
def bridges() -> Generator[Engine]:
    """The engine; a skip where there is none."""
    host = os.environ.get("CONTAINERS_HOST", "")
    client, port = shutil.which("docker") or "docker", str(free_port())
    if host:
        enter, outside = (shlex.split(os.environ[f"CONTAINERS_{name}"]) for name in ("ENTER", "OUTSIDE"))
        engine = Engine([client, "--host", host], enter, outside, {**STAND_INS, "PORT": port}, ours=True)
    else:
        engine = Engine([client], [], [], {"PORT": port}, ours=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", CONFIG)
        try:
            command = [*engine.docker, "network", "ls", "--quiet", "--filter", "driver=bridge"]
            found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout
            subprocess.run([*engine.docker, "compose", "version"], check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.SubprocessError) as error:
            said = str(getattr(error, "stderr", "") or error).strip().splitlines()
            pytest.skip(f"no Docker engine with compose answers: {said[-1] if said else error}")
        if not found.strip():
            pytest.skip("the engine that answers has no bridges; see tests/containers/engine.sh")
        yield engine


@pytest.fixture(scope="session")
def docker_compose_file() -> list[str]:
    return [str(ROOT / "docker" / "compose.yaml")]


@pytest.fixture(scope="session")
def docker_compose_command(bridges: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    given = tmp_path_factory.mktemp("compose") / "env"
    given.write_text("".join(f"{name}={value}\n" for name, value in bridges.variables.items()))
    return shlex.join([*bridges.docker, "compose", "--env-file", str(given)])


@pytest.fixture(scope="session")
def deployment(
    bridges: Engine,
    docker_compose_command: str,
    docker_compose_file: list[str],
    docker_compose_project_name: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[Deployment]:
    """The compose file, brought up from nothing as its first lines say."""
    executor = DockerComposeExecutor(docker_compose_command, docker_compose_file, docker_compose_project_name)
    compose = shlex.split(docker_compose_command)
    compose += ["--file", *docker_compose_file, "--project-name", docker_compose_project_name]
    made = Deployment(bridges.docker, compose, bridges.enter, f"https://localhost:{bridges.variables['PORT']}")
    images = "--no-build --pull never" if bridges.ours else "--build"
    try:
        executor.execute(f"up --detach --wait --wait-timeout 120 {images}")
        made.key = shown_key(made.run("logs", "--no-log-prefix", "setup"))
        certificate = tmp_path_factory.mktemp("ca") / "root.crt"

        def copied() -> bool:
            made.run("cp", "caddy:/data/caddy/pki/authorities/local/root.crt", str(certificate), check=False)
            return certificate.exists()

        # Made at Caddy's first start.
        until(copied)
        made.ca = str(certificate)
        yield made
    finally:
        executor.execute("down --volumes --timeout 5")
