"""The probe finds out whether a server works, whatever the server does, and leaves nothing running."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from pathlib import Path

import pytest
from gatelodge_core.cli.hosts import HOSTS, Entry, Machine
from gatelodge_core.cli.hosts.environment import BARE_PATH, launched, replaced
from gatelodge_core.cli.probe import REVISIONS, Revision, probe

from tests.hosts.support import SCRIPTS
from tests.support.wire import PATIENCE

ENVIRONMENT = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}

SERVER = """
import json, os, sys
def say(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n"); sys.stdout.flush()
def hear():
    line = sys.stdin.readline()
    return json.loads(line) if line else sys.exit(0)
def greet():
    first = hear()
    say(id=first["id"], result={"protocolVersion": first["params"]["protocolVersion"], "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}})
    hear()
    return hear()
"""


def server(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "server.py"
    path.write_text(SERVER + text, encoding="utf-8")
    return [sys.executable, str(path)]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_server_of_ours_is_well_in_every_revision(revision: Revision, tmp_path: Path) -> None:
    command = [str(SCRIPTS / "gatelodge-filesystem"), str(tmp_path)]
    found = probe(command, ENVIRONMENT, revision=revision, awake=True)
    assert (found.error, found.answered, found.noise, found.lingered) == ("", revision, 0, False)
    assert "read_file" in {tool["name"] for tool in found.tools}
    assert found.server["name"] == "gatelodge-filesystem"
    assert 0 < found.first_seconds <= found.ready_seconds


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("sys.exit(3)", "ended with exit status 3 before it answered initialize"),
        ("print('s3cr3t'); greet(); sys.exit(0)", "before it answered tools/list"),
        ("m = hear(); say(id=m['id'], error={'code': -32000, 'message': 's3cr3t'})", "the error -32000"),
        ("m = hear(); say(id=m['id'], result={'protocolVersion': '1999-01-01'})", "another revision"),
        ("m = hear(); say(id=m['id'], result=[])", "has no result"),
        ("m = greet(); say(id=m['id'], result={'tools': {}})", "isn't one"),
        ("m = greet(); say(id=m['id'], result={'tools': []})", "has no tools"),
        (
            "m = greet()\nwhile m: say(id=m['id'], result={'tools': [{'name': 'a'}], 'nextCursor': 'x'}); m = hear()",
            "never ends",
        ),
        ("os.close(1); sys.stdin.read()", "closed its output"),
    ],
)
def test_what_is_wrong_is_said_without_what_the_server_wrote(
    text: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatelodge_core.cli.probe.GRACE_SECONDS", 1)
    found = probe(server(tmp_path, text), ENVIRONMENT, seconds=20)
    assert error in found.error
    assert "s3cr3t" not in found.error


def test_noise_is_counted_and_the_servers_own_questions_are_answered(tmp_path: Path) -> None:
    text = (
        "print('starting'); print('{\"half\\n'); m = greet(); say(id='q', method='roots/list'); a = hear(); assert a['error'], a\n"
        "say(id='p', method='ping'); a = hear(); assert a['result'] == {}, a\n"
        "say(method='notifications/message', params={}); sys.stderr.write('told\\n'); say(id=m['id'], result={'tools': [{'name': 'a'}]}); hear()"
    )
    found = probe(server(tmp_path, text), ENVIRONMENT, seconds=20)
    assert (found.error, found.noise, len(found.tools)) == ("", 2, 1)
    assert found.stderr == "told\n"


def test_a_server_that_never_answers_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatelodge_core.cli.probe.GRACE_SECONDS", 0.3)
    text = (
        "import signal, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "open(sys.argv[0] + '.pid', 'w').write(str(child.pid))\nwhile True: signal.pause()\n"
    )
    found = probe(server(tmp_path, text), ENVIRONMENT, seconds=3)
    assert "didn't answer initialize within 3 s" in found.error
    assert found.lingered
    pid = int((tmp_path / "server.py.pid").read_text(encoding="utf-8"))
    # A killed process dies when the system gets to it; it need not be collected yet by whoever inherited it.
    with contextlib.suppress(ProcessLookupError):
        died = os.pidfd_open(pid)
        assert select.select([died], [], [], PATIENCE)[0]
        os.close(died)


def test_a_server_that_dies_after_its_first_answers_is_not_well(tmp_path: Path) -> None:
    text = "m = greet(); say(id=m['id'], result={'tools': [{'name': 'a'}]}); hear() if len(sys.argv) < 2 else None; sys.exit(4)"
    command = server(tmp_path, text)
    assert probe(command, ENVIRONMENT).error == ""
    assert "exit status 4 before it was ready" in probe(command, ENVIRONMENT, awake=True).error


@pytest.mark.parametrize("command", [["/nowhere/program"], ["a\0b"], [str(Path(__file__))]])
def test_what_cant_be_started_is_said(command: list[str]) -> None:
    assert probe(command, ENVIRONMENT).error.startswith("it can't be started")


def test_each_host_gives_its_own_environment() -> None:
    own = {"HOME": "/h", "PATH": "/p", "LANG": "C", "TOKEN": "t", "SHELL": "/s", "LC_ALL": "C"}
    machine = Machine("/h", "linux", own)

    def given(host: str, machine: Machine = machine, passed: tuple[str, ...] = ()) -> dict[str, str]:
        return launched(Entry(host, "f", "k", command="c", passed=passed, env={"X": "1"}), machine)

    assert given("claude-desktop") == {"HOME": "/h", "PATH": BARE_PATH, "SHELL": "/s", "X": "1"}
    assert given("claude-code") == {**own, "CLAUDECODE": "1", "CLAUDE_PROJECT_DIR": "/h", "X": "1"}
    codex = given("codex", passed=("TOKEN",))
    assert codex == {**own, "X": "1"}
    assert "TOKEN" not in given("codex")
    windows = Machine("/h", "win32", {"Path": "C:\\x", "AppData": "a", "COMPUTERNAME": "c"})
    assert given("claude-desktop", windows) == {"Path": "C:\\x", "AppData": "a", "X": "1"}


@pytest.mark.parametrize(
    ("host", "text", "expected"),
    [
        ("claude-code", "${A}-${B:-d}-$A-${B}", "1-d-$A-${B}"),
        ("cursor", "${env:A}-${userHome}-${A}", "1-/h-${A}"),
        ("vscode", "${env:A}${env:B}${input:x}", "1${input:x}"),
        ("gemini", "$A-${A}-$B", "1-1-$B"),
        ("opencode", "{env:A}{env:B}", "1"),
        ("claude-desktop", "${A}$A{env:A}", "${A}$A{env:A}"),
    ],
)
def test_references_are_replaced_as_each_host_does(host: str, text: str, expected: str) -> None:
    assert replaced(HOSTS[host], text, Machine("/h", "linux", {"A": "1"})) == expected
