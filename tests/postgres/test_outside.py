"""Password commands and ssh tunnels: what the confined server asks its helper for."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import anyio
import psutil
import pytest
from gatelodge_core.errors import CallError, SettingsError
from gatelodge_postgres.connect import helper
from gatelodge_postgres.connect.helper import Way
from gatelodge_postgres.connect.outside import Outside, way
from gatelodge_postgres.connect.target import parse

from tests.postgres.bed import PASSWORD, Bed
from tests.postgres.beds import system
from tests.postgres.conftest import had
from tests.postgres.processing import children, gone, process, sandbox, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no helper on Windows")
USER = "reader"
SECRET = "gl-secret-on-stderr"


@pytest.fixture(scope="module")
def scram() -> Generator[Bed]:
    """A server that asks for passwords, with a role that only reads."""
    for bed in had(system(auth="scram-sha-256")):
        with bed.admin() as admin:
            admin.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        yield bed


def script(path: Path, text: str) -> str:
    """A Python program at `path`, as a command."""
    path.write_text(text)
    return f"{sys.executable} {path}"


async def asked(command: list[str]) -> str:
    """What the helper, a process of its own, answers."""
    outside = Outside({"db": Way(password=command, ssh=[], ports=[])})
    async with outside.life():
        return await outside.password("db")()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; sys.exit(3)", "password_command failed with status 3"),
        (f"import sys; print('{SECRET}'); print('{SECRET}', file=sys.stderr); sys.exit(1)", "failed with status 1"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "failed with status -9"),
        ("print()", "must print one line"),
        ("print('a\\nb')", "must print one line"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "no UTF-8"),
        ("print('x' * 1000000)", "too much"),
    ],
)
def test_a_password_command_that_fails_is_told_without_what_it_printed(text: str, said: str) -> None:
    with pytest.raises(CallError) as caught:
        anyio.run(asked, [sys.executable, "-c", text])
    assert said in str(caught.value)
    assert "database db" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "x" * 100 not in str(caught.value)


def test_a_password_command_that_is_not_there_is_told() -> None:
    with pytest.raises(CallError, match="can't be started: No such file"):
        anyio.run(asked, ["/nowhere/vault"])


def test_no_shell_sees_a_password_command(tmp_path: Path) -> None:
    made, _ = way("db", f"printf %s '$(touch {tmp_path}/pwned); `id`'", "", [])
    assert anyio.run(asked, made["password"]) == f"$(touch {tmp_path}/pwned); `id`"
    assert not (tmp_path / "pwned").exists()


def test_a_password_command_that_never_ends_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper, "PASSWORD_SECONDS", 0.5)
    pids = tmp_path / "pids"
    text = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(helper.Failed, match=r"more than 0\.5 s"):
        anyio.run(helper.password, [sys.executable, "-c", text])
    for pid in pids.read_text().split():
        until(lambda pid=int(pid): not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_the_helper_answers_many_requests_at_once_and_ends_with_us(tmp_path: Path) -> None:
    async def main() -> None:
        outside = Outside({"db": Way(password=[sys.executable, "-c", "print('secret')"], ssh=[], ports=[])})
        found: list[str] = []

        async def one() -> None:
            found.append(await outside.password("db")())

        async with outside.life(), anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)
        assert found == ["secret"] * 20
        assert outside._helper.returncode == 0  # pyright: ignore[reportPrivateUsage] - whether it was waited for
        with pytest.raises(CallError, match="helper process has ended"):
            await outside.password("db")()

    anyio.run(main)


def test_whoever_waits_for_a_helper_that_dies_is_told() -> None:
    async def main() -> None:
        outside = Outside({"db": Way(password=[sys.executable, "-c", "import time; time.sleep(60)"], ssh=[], ports=[])})

        async def killed() -> None:
            await anyio.to_thread.run_sync(until, lambda: children(outside._helper.pid))  # pyright: ignore[reportPrivateUsage]
            outside._helper.kill()  # pyright: ignore[reportPrivateUsage]

        async with outside.life(), anyio.create_task_group() as group:
            group.start_soon(killed)
            with pytest.raises(CallError, match="helper process has ended"):
                await outside.password("db")()

    anyio.run(main)


def test_the_server_asks_for_a_password_for_each_connection(scram: Bed, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text(PASSWORD)
    command = script(tmp_path / "vault.py", f"print(open({str(kept)!r}).read())")
    env = {
        "GATELODGE_POSTGRES_MAIN_URL": scram.url(user=USER, password=None),
        "GATELODGE_POSTGRES_MAIN_PASSWORD_COMMAND": command,
    }
    with process(tmp_path, "--pool-size", "1", env=env) as wire:
        assert "\n1\n" in wire.text("run_query", sql="SELECT 1 AS a")
        assert "seccomp" in sandbox(tmp_path)
        with scram.admin() as admin:
            admin.execute(f"ALTER ROLE {USER} PASSWORD 'another'")
            admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'reader'")
        try:
            said = wire.error("run_query", sql="SELECT 2 AS a")
            assert "password authentication failed" in said
            assert PASSWORD not in said
            kept.write_text("another")
            assert "\n3\n" in wire.text("run_query", sql="SELECT 3 AS a")
            kept.unlink()
            with scram.admin() as admin:
                admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'reader'")
            assert "password_command failed with status 1" in wire.error("run_query", sql="SELECT 4 AS a")
        finally:
            with scram.admin() as admin:
                admin.execute(f"ALTER ROLE {USER} PASSWORD '{PASSWORD}'")
    assert "another" not in wire.server.stderr()


def test_a_url_alone_takes_the_rest_by_the_name_default(scram: Bed, tmp_path: Path) -> None:
    env = {
        "GATELODGE_POSTGRES_URL": scram.url(user=USER, password=None),
        "GATELODGE_POSTGRES_DEFAULT_PASSWORD_COMMAND": f"echo {PASSWORD}",
    }
    with process(tmp_path, env=env) as wire:
        assert "\n1\n" in wire.text("run_query", sql="SELECT 1 AS a")


@pytest.fixture
def fake(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``ssh`` is ours."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "log").mkdir()
    program = tmp_path / "bin" / "ssh"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent / "fake_ssh.py"} "$@"\n')
    program.chmod(0o755)
    return {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "FAKE_SSH_LOG": str(tmp_path / "log"),
        "GATELODGE_POSTGRES_MAIN_SSH": "me@bastion",
        "GATELODGE_POSTGRES_MAIN_PASSWORD_COMMAND": f"echo {PASSWORD}",
    }


def starts(env: dict[str, str]) -> list[int]:
    """The process ids of each ssh that was started."""
    return sorted(int(path.name) for path in Path(env["FAKE_SSH_LOG"]).iterdir() if path.name.isdigit())


def test_a_database_behind_ssh_is_reached_through_a_tunnel(scram: Bed, tmp_path: Path, fake: dict[str, str]) -> None:
    fake["GATELODGE_POSTGRES_MAIN_URL"] = scram.url(user=USER, password=None)
    with process(tmp_path, env=fake) as wire:
        assert starts(fake) == []
        assert "\n1\n" in wire.text("run_query", sql="SELECT 1 AS a")
        (pid,) = starts(fake)
        words = json.loads((tmp_path / "log" / str(pid)).read_text())
        assert f":127.0.0.1:{scram.port}" in words[words.index("-L") + 1]
        assert words[words.index("-L") + 1].startswith("127.0.0.1:")
        assert words[-2:] == ["--", "me@bastion"]
        assert {"-N", "ExitOnForwardFailure=yes", "BatchMode=yes", "ServerAliveInterval=15"} <= set(words)
        # It breaks: whoever comes next gets it anew.
        os.kill(pid, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(pid))
        assert "\n2\n" in wire.text("run_query", sql="SELECT 2 AS a")
        assert len(starts(fake)) == 2


def test_a_unix_socket_behind_ssh_is_reached_through_a_tunnel(scram: Bed, tmp_path: Path, fake: dict[str, str]) -> None:
    fake["GATELODGE_POSTGRES_MAIN_URL"] = scram.url(user=USER, password=None, over="socket")
    with process(tmp_path, env=fake) as wire:
        assert "\n1\n" in wire.text("run_query", sql="SELECT 1 AS a")


def test_a_tunnel_that_can_not_open_says_what_ssh_said(scram: Bed, tmp_path: Path, fake: dict[str, str]) -> None:
    fake["GATELODGE_POSTGRES_MAIN_URL"] = scram.url(user=USER, password=None)
    broken = tmp_path / "log" / "broken"
    broken.write_text("me@bastion: Permission denied (publickey).")
    with process(tmp_path, env=fake) as wire:
        said = wire.error("run_query", sql="SELECT 1 AS a")
        assert "ssh: me@bastion: Permission denied (publickey)" in said
        broken.unlink()
        assert "\n1\n" in wire.text("run_query", sql="SELECT 1 AS a")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("victim", ["server", "helper"])
def test_nothing_of_ours_outlives_the_server_or_the_helper(
    scram: Bed, tmp_path: Path, fake: dict[str, str], number: signal.Signals, victim: str
) -> None:
    if victim == "helper" and number == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux tells a child that its parent died")
    fake["GATELODGE_POSTGRES_MAIN_URL"] = scram.url(user=USER, password=None)
    with process(tmp_path, env=fake) as wire:
        assert "\n1\n" in wire.text("run_query", sql="SELECT 1 AS a")
        below = children(wire.server.process.pid)
        (ours,) = [one for one in below if "gatelodge_postgres.connect.helper" in " ".join(one.cmdline())]
        others = [one for one in below if one != ours]
        assert others
        if victim == "server":
            wire.server.process.send_signal(number)
            until(lambda: gone(below), 5)
        else:
            ours.send_signal(number)
            until(lambda: gone(below), 5)
            with scram.admin() as admin:
                admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'reader'")
            assert "helper process has ended" in wire.error("run_query", sql="SELECT 1 AS a")


def test_certificates_behind_a_tunnel_are_checked_for_the_database_s_own_name() -> None:
    target = parse("db", "postgresql://me@a.example:5433,b.example/app?sslmode=verify-full")
    made, (moved,) = way("db", "", "me@bastion", [target])
    assert moved.parameters["host"] == "a.example,b.example"
    assert moved.parameters["hostaddr"] == "127.0.0.1,127.0.0.1"
    assert moved.ports == made["ports"]
    assert moved.shown == target.shown == "a.example:5433,b.example:5432/app"
    assert moved.parameters["sslmode"] == "verify-full"
    forwards = [word for word in made["ssh"] if word.startswith("127.0.0.1:")]
    assert [word.split(":", 2)[2] for word in forwards] == ["a.example:5433", "b.example:5432"]


def test_without_ssh_a_database_behind_it_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SettingsError, match="ssh is not installed"):
        way("db", "", "me@bastion", [parse("db", "postgresql://me@a.example/app")])
