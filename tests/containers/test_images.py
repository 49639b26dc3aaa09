"""One image, run over stdio as a host would: with nothing to start but the server, and no network."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.containers.conftest import Engine
from tests.support.wire import MODERN, connected

HARDENED = (
    "run", "--interactive", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp:rw,noexec,nosuid,size=16m",
    "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "64", "--memory", "256m", "--volume", "/var/lib/gatelodge", "--volume", "/files",
)  # fmt: skip


@pytest.fixture(scope="module")
def image(bridges: Engine) -> str:
    if not bridges.ours:
        pytest.skip("images by these names are made by tests/containers/engine.sh")
    return "gatelodge-filesystem:test"


@pytest.mark.docker
@pytest.mark.timeout(200)
class TestAnImage:
    """The filesystem server's."""

    def test_it_serves_over_stdio_without_any_shell(self, bridges: Engine, image: str) -> None:
        shells = ("/usr/bin/dash", "/usr/bin/bash")
        gone = [word for shell in shells for word in ("--volume", f"/dev/null:{shell}:ro")]
        tried = subprocess.run([*bridges.docker, *HARDENED, *gone, "--entrypoint", "/bin/sh", image, "-c", "exit 0"], check=False)  # fmt: skip
        assert tried.returncode != 0
        with connected([*bridges.docker, *HARDENED, *gone, image, "/files"], "stdio", MODERN) as wire:
            wire.request(
                "tools/call", {"name": "write_file", "arguments": {"path": "/files/a.txt", "content": "one\n"}}
            )
            assert "one" in wire.text("read_file", path="/files/a.txt")

    def test_it_says_what_it_is_and_runs_as_nobody_else(self, bridges: Engine, image: str) -> None:
        done = subprocess.run([*bridges.docker, "inspect", image], check=True, capture_output=True, text=True)
        config = json.loads(done.stdout)[0]["Config"]
        assert config["User"] == "10001:10001"
        assert config["Entrypoint"] == ["serve"]
        assert config["Healthcheck"]["Test"][0] == "CMD"
        assert config["Labels"]["org.opencontainers.image.title"] == "gatelodge-filesystem"
        assert config["Labels"]["io.modelcontextprotocol.server.name"].endswith("/filesystem")
        assert config["Labels"]["org.opencontainers.image.base.name"] == "gatelodge-stand-in-python"

    def test_it_holds_what_is_needed_and_compiled_and_no_installer(self, bridges: Engine, image: str) -> None:
        program = (
            "import importlib.util as util, pathlib, sys\n"
            "print([name for name in ('pip', 'hatchling', 'pytest', 'psycopg', 'github') if util.find_spec(name)])\n"
            "found = [file for file in pathlib.Path('/opt/gatelodge/lib').rglob('*.py') if 'gatelodge' in file.parts[-2]]\n"
            "print(bool(found) and all(pathlib.Path(util.cache_from_source(file)).exists() for file in found))\n"
        )
        command = [*bridges.docker, *HARDENED, "--entrypoint", "python", image, "-I", "-c", program]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert done.stdout.split("\n")[:2] == ["[]", "True"]
