"""A start that is broken off leaves no traceback and no process, at whatever moment."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.hosts.support import SCRIPTS

INITIALIZE = (
    b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
    b'"clientInfo":{"name":"t","version":"0"}}}\n'
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0, 0.1, 0.3, 0.6])
def test_a_signal_in_the_middle_of_the_start_ends_it_quietly(
    number: signal.Signals, seconds: float, tmp_path: Path
) -> None:
    server = subprocess.Popen(
        [str(SCRIPTS / "gatelodge-filesystem"), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        start_new_session=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(INITIALIZE)
    server.stdin.flush()
    # The porter has answered; from here on, any moment of the start is as good.
    assert server.stdout.readline()
    select.select([], [], [], seconds)
    server.send_signal(number)
    # All that hold its pipes have gone when they end; so no process of it is left.
    _, err = server.communicate(timeout=20)
    assert b"Traceback" not in err
    assert server.returncode in (0, -number)
