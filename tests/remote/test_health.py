"""The health check of the containers, against real servers: however they listen, it says what is so."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trustme

from tests.support.remote import Remote, remote

CHECK = Path(__file__).parents[2] / "docker" / "health.py"


def checked(address: str, **env: str) -> tuple[int, str]:
    """Exit status and output of the check, with the variables of a container."""
    given = {"PATH": os.environ["PATH"], "GATELODGE_HTTP": address, **env}
    done = subprocess.run(
        [sys.executable, "-I", str(CHECK)], env=given, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def files(folder: Path) -> dict[str, str]:
    """Certificate, key and authority of a server that is called by a public name alone, by setting."""
    authority = trustme.CA()
    issued = authority.issue_cert("tools.example.com")
    named = {"TLS_CERT": folder / "cert.pem", "TLS_KEY": folder / "key.pem", "TLS_CLIENT_CA": folder / "ca.pem"}
    issued.cert_chain_pems[0].write_to_path(str(named["TLS_CERT"]))
    issued.private_key_pem.write_to_path(str(named["TLS_KEY"]))
    authority.cert_pem.write_to_path(str(named["TLS_CLIENT_CA"]))
    named["TLS_KEY"].chmod(0o600)
    return {f"GATELODGE_{name}": str(path) for name, path in named.items()}


def everywhere(place: Remote) -> list[str]:
    return [f"{host}:{place.port}" for host in ("127.0.0.1", "0.0.0.0", "localhost")]


@pytest.mark.parametrize("kind", ["plain", "tls", "mtls"])
def test_a_server_that_runs_is_healthy_and_one_that_has_ended_is_not(kind: str, tmp_path: Path) -> None:
    env = files(tmp_path) if kind != "plain" else {}
    if kind == "tls":
        del env["GATELODGE_TLS_CLIENT_CA"]
    with remote(tmp_path, env=env) as place:
        for address in everywhere(place):
            assert checked(address, **env) == (0, "")
    assert checked(f"127.0.0.1:{place.port}", **env) == (1, "")


def test_a_server_on_another_loopback_address_is_found(tmp_path: Path) -> None:
    with remote(tmp_path, "--http", "127.0.0.2:0") as place:
        assert checked(f"127.0.0.2:{place.port}") == (0, "")
        assert checked(f"127.0.0.1:{place.port}") == (1, "")


@pytest.mark.parametrize("tls", [False, True])
def test_what_is_no_server_of_ours_is_not_healthy_and_nothing_is_traced(tls: bool, tmp_path: Path) -> None:
    env = files(tmp_path) if tls else {}
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28 nonsense\r\n\r\n")

        threading.Thread(target=babble, daemon=True).start()
        assert checked(f"127.0.0.1:{listener.getsockname()[1]}", **env) == (1, "")
        listener.shutdown(socket.SHUT_RDWR)


def test_over_stdio_there_is_nothing_to_check() -> None:
    assert checked("") == (0, "")
