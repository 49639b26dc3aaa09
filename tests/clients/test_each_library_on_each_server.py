"""Each SDK, bridge and command line connects to each of the four servers: lists, calls, reads, gets a prompt."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients import lane
from tests.clients._driving_libraries import LIBRARIES
from tests.clients._hosts import REQUIRED, Client
from tests.clients._stages import SERVERS, Stage
from tests.clients._told import hold
from tests.clients.install import HERE

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_it_does_all_it_can_do(
    client: Client, stages: dict[str, Stage], tmp_path: Path, name: str, server: str
) -> None:
    if name == "fastmcp" and (reason := lane.lacking()):
        (pytest.fail if REQUIRED else pytest.skip)(reason)
    if name == "mcp-remote":  # the server is on HTTP there
        hold(name, LIBRARIES[name](client, stages[server]), stages[server])
        return
    log = tmp_path / "said.jsonl"
    stage = stages[server].behind([sys.executable, str(HERE / "tee.py"), str(log)])
    hold(name, LIBRARIES[name](client, stage), stage, log)
