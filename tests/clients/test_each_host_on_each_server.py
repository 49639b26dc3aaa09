"""Each host connects to each of the four servers as its user configured it: lists, calls, reads, gets a prompt."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients._driving_hosts import HOSTS
from tests.clients._hosts import Client
from tests.clients._stages import SERVERS, Stage
from tests.clients._told import hold
from tests.clients.install import HERE

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", sorted(HOSTS))
def test_it_does_all_it_can_do(
    client: Client, stages: dict[str, Stage], tmp_path: Path, name: str, server: str
) -> None:
    log = tmp_path / "said.jsonl"
    stage = stages[server].behind([sys.executable, str(HERE / "tee.py"), str(log)])
    hold(name, HOSTS[name](client, stage), stage, log)
