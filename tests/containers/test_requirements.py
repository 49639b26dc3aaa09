"""What images are built from: the hashed lock's part for each server, and nothing else of the repository."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.containers.deployment import ROOT, SERVERS

DOCKER = ROOT / "docker"


def part(server: str, needs: Path = DOCKER / "needs.toml") -> subprocess.CompletedProcess[str]:
    """The build's own step."""
    command = [sys.executable, str(DOCKER / "requirements.py"), server, str(ROOT / "requirements.lock"), str(needs)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_needs_are_what_the_servers_ask_for_now() -> None:
    check = [sys.executable, str(ROOT / "scripts" / "container_needs.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("server", ["common", *SERVERS])
def test_every_requirement_of_an_image_is_pinned_and_hashed(server: str) -> None:
    names = tomllib.loads((DOCKER / "needs.toml").read_text())[server]
    found = part(server).stdout.splitlines()
    pinned = [line for line in found if not line.startswith(" ")]
    assert [line.partition("==")[0] for line in pinned] == names
    assert all("==" in line and line.endswith("\\") for line in pinned)
    assert all("--hash=sha256:" in line for line in found if line.startswith(" "))


def test_a_server_gets_no_other_servers_libraries() -> None:
    assert "psycopg" in part("postgres").stdout
    for server in ("filesystem", "github", "websearch"):
        assert "psycopg" not in part(server).stdout
        assert "pytest" not in part(server).stdout


def test_a_need_that_the_lock_lacks_ends_the_build(tmp_path: Path) -> None:
    needs = tmp_path / "needs.toml"
    needs.write_text('filesystem = ["chardet", "no-such-thing"]\n')
    done = part("filesystem", needs)
    assert done.returncode != 0
    assert "requirements.lock has no no-such-thing" in done.stderr
