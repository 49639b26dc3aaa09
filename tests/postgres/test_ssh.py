"""A tunnel by the real ssh, to a real sshd of our own on loopback."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from tests.postgres.bed import Bed
from tests.postgres.processes import free_port
from tests.postgres.processing import children, gone, process, sandbox, until

SSH = shutil.which("ssh")
SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
pytestmark = [
    pytest.mark.skipif(SSH is None, reason="no ssh: apt-get install openssh-client"),
    pytest.mark.skipif(SSHD is None, reason="no sshd: apt-get install openssh-server"),
]


@pytest.fixture(scope="module")
def bastion(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """An sshd, and beside it a program ``ssh`` that takes its settings from `folder`/config, where it is ``bastion``."""
    folder = tmp_path_factory.mktemp("ssh")
    folder.chmod(0o755)
    for name in ("host", "mine", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "mine.pub", folder / "authorized")
    port = free_port()
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
    )
    host = (folder / "host.pub").read_text()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host}")
    (folder / "config").write_text(
        f"Host bastion stranger unknown\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n"
        f"Host bastion unknown\n IdentityFile {folder}/mine\nHost stranger\n IdentityFile {folder}/stranger\n"
        f"Host unknown\n UserKnownHostsFile {folder}/nothing\n StrictHostKeyChecking yes\n"
        f"Host *\n IdentitiesOnly yes\n UserKnownHostsFile {folder}/known\n StrictHostKeyChecking yes\n"
        f" GlobalKnownHostsFile none\n"
    )
    (folder / "bin").mkdir()
    (folder / "bin" / "ssh").write_text(f'#!/bin/sh\nexec {SSH} -F {folder}/config "$@"\n')
    (folder / "bin" / "ssh").chmod(0o755)
    # Without it sshd refuses to run as root.
    needed = Path("/run/sshd")
    made = os.geteuid() == 0 and not needed.exists()
    if made:
        needed.mkdir(0o755)
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        until(lambda: "listening" in (folder / "log").read_text() or daemon.poll() is not None)
        if daemon.poll() is not None:
            pytest.skip(f"sshd doesn't run here: {(folder / 'log').read_text()}")
        yield folder
    finally:
        daemon.terminate()
        daemon.wait(10)
        if made:
            needed.rmdir()


def environment(bed: Bed, bastion: Path, host: str = "bastion") -> dict[str, str]:
    with bed.admin() as admin, contextlib.suppress(psycopg.errors.DuplicateObject):
        admin.execute("CREATE ROLE reader LOGIN")
    return {
        "PATH": f"{bastion / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "GATELODGE_POSTGRES_MAIN_URL": bed.url(user="reader"),
        "GATELODGE_POSTGRES_MAIN_SSH": host,
    }


def test_a_database_is_reached_through_the_real_ssh(system_bed: Bed, bastion: Path, tmp_path: Path) -> None:
    with process(tmp_path, env=environment(system_bed, bastion)) as wire:
        sql = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        assert "gatelodge-postgres/" in wire.text("run_query", sql=sql)
        assert "seccomp" in sandbox(tmp_path)
        below = children(wire.server.process.pid)
        (ssh,) = [one for one in below if one.name() == "ssh"]
        ssh.kill()
        until(lambda: gone([ssh]))
        assert "\n7\n" in wire.text("run_query", sql="SELECT 7 AS a")
        below += children(wire.server.process.pid)
        wire.server.process.kill()
        until(lambda: gone(below), 5)


def test_a_database_that_the_bastion_can_not_reach_is_told(system_bed: Bed, bastion: Path, tmp_path: Path) -> None:
    env = environment(system_bed, bastion)
    env["GATELODGE_POSTGRES_MAIN_URL"] = f"postgresql://reader@127.0.0.1:{free_port()}/postgres"
    with process(tmp_path, "--connect-seconds", "3", env=env) as wire:
        said = wire.error("run_query", sql="SELECT 1")
        assert "database main can't be reached" in said
        assert "open failed: connect failed: Connection refused" in said


@pytest.mark.parametrize(
    ("host", "said"), [("stranger", "Permission denied (publickey"), ("unknown", "Host key verification failed")]
)
def test_what_ssh_refuses_is_told_and_asks_nobody(
    system_bed: Bed, bastion: Path, tmp_path: Path, host: str, said: str
) -> None:
    with process(tmp_path, env=environment(system_bed, bastion, host)) as wire:
        assert said in wire.error("run_query", sql="SELECT 1")


def test_options_after_the_host_are_no_way_into_ssh(system_bed: Bed, bastion: Path, tmp_path: Path) -> None:
    env = environment(system_bed, bastion, f"bastion -o ProxyCommand=touch${{IFS}}{tmp_path}/pwned")
    with process(tmp_path, env=env) as wire:
        wire.error("run_query", sql="SELECT 1")
    assert not (tmp_path / "pwned").exists()
