"""A server of somebody else's can't keep the doctor: it floods, goes deaf, hides behind a child, writes nonsense."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from gatelodge_core.cli.probe import MODERN, Revision, probe

from tests.hosts.support import SCRIPTS
from tests.hosts.test_probe import ENVIRONMENT, server

pytestmark = pytest.mark.timeout(60)

TOOLS = "say(id=m['id'], result={'tools': [{'name': 'a'}]}); hear()"
FLOOD = "m = greet()\nwhile True: os.write(1, {0})"


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatelodge_core.cli.probe.GRACE_SECONDS", 0.5)


@pytest.mark.parametrize(
    "data",
    [
        "b'noise\\n' * 9000",
        'b\'{"jsonrpc":"2.0","method":"notifications/x"}\\n\' * 2000',
        'b\'{"jsonrpc":"2.0","id":1,"method":"ping"}\\n\' * 2000',
        "b'x' * 65536",
    ],
)
def test_a_flood_ends_at_the_deadline_and_takes_little_memory(data: str, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = probe(server(tmp_path, FLOOD.format(data)), ENVIRONMENT, seconds=1.5)
    assert "tools/list" in found.error or "read" in found.error
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize(
    ("text", "revision", "error"),
    [
        ("hear(); print('[' * 100000); sys.exit(0)", "2025-11-25", "ended"),
        ("m = hear(); say(id=m['id'], result={'supportedVersions': {}, '_meta': [1]})", MODERN, "doesn't speak"),
        (f"m = hear(); say(id=m['id'], result={{'supportedVersions': ['{MODERN}'], '_meta': [1]}}); m = hear(); {TOOLS}", MODERN, ""),
        (f"m = greet(); say(id='q', method=[]); {TOOLS}", "2025-11-25", ""),
        (f"m = greet(); say(id={{}}, method='ping'); {TOOLS}", "2025-11-25", ""),
    ],
)  # fmt: skip
def test_odd_json_is_no_more_than_a_bad_answer(text: str, revision: Revision, error: str, tmp_path: Path) -> None:
    found = probe(server(tmp_path, text), ENVIRONMENT, seconds=20, revision=revision)
    assert error in found.error
    assert bool(error) == bool(found.error)


def test_a_child_in_a_session_of_its_own_that_holds_the_pipes_keeps_nobody(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    text = f"""
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(50)"], start_new_session=True)
open({str(note)!r}, "w").write(str(child.pid))
m = greet(); {TOOLS}
"""
    try:
        found = probe(server(tmp_path, text), ENVIRONMENT, seconds=20)
        assert (found.error, found.lingered) == ("", True)
    finally:
        os.kill(int(note.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_doctor_that_is_stopped_leaves_no_server_behind_and_shows_no_traceback(
    number: signal.Signals, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    text = f"open({str(note)!r}, 'w').write(str(os.getpid()))\nwhile True: sys.stdin.read(); import time; time.sleep(9)"
    command = server(tmp_path, text)
    (tmp_path / ".cursor").mkdir()
    host = {"mcpServers": {"deaf": {"command": command[0], "args": command[1:]}}}
    (tmp_path / ".cursor" / "mcp.json").write_text(json.dumps(host))
    state = str(tmp_path / "state")
    doctor = subprocess.Popen(
        [str(SCRIPTS / "gatelodge"), "doctor", "--home", str(tmp_path), "--state-dir", state],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        until = time.monotonic() + 20
        while not (note.exists() and note.read_text()) and time.monotonic() < until:
            with contextlib.suppress(subprocess.TimeoutExpired):
                doctor.wait(0.05)
        doctor.send_signal(number)
        _, err = doctor.communicate(timeout=10)
    finally:
        doctor.kill()
    assert doctor.returncode == 128 + number
    assert b"Traceback" not in err
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
