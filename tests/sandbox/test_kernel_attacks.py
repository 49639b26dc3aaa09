"""What an attacker tries inside a confined process is refused, and the process goes on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Generator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.sandbox import _landlock

from tests.sandbox._attacks import Grounds, Specification, attacks

if sys.platform != "linux":
    pytest.skip("confinement by the kernel is Linux's", allow_module_level=True)

needs_landlock = pytest.mark.skipif(_landlock.abi() < 6, reason="this kernel's Landlock is missing or below ABI 6")
pytestmark = needs_landlock

REPOSITORY = Path(__file__).resolve().parents[2]
REFUSED = ("EPERM", "EACCES", "EXDEV", "ENOMEM", "ENOSYS")
NETWORKED = ("postgres", "github", "websearch")
PROFILES = ("filesystem", "filesystem with ripgrep", *NETWORKED)
ALL = sorted(attacks(Grounds()))

POSSIBLE: Mapping[str, frozenset[str]] = {
    "filesystem": frozenset(),
    # Processes, but only of one program.
    "filesystem with ripgrep": frozenset({"fork"}),
    "postgres": frozenset({"UDP", "Unix socket"}),
    "github": frozenset({"UDP"}),
    "websearch": frozenset({"UDP"}),
}
"""What a profile has to leave open."""


def run(specification: Specification, home: Path, *, check: bool = True) -> dict[str, Any]:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.sandbox._attacks", specification.dump()],
        cwd=REPOSITORY,
        env={**os.environ, "HOME": str(home), "TMPDIR": str(home), "GATELODGE_TEST_SECRET": "s3cret"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if check:
        assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    return json.loads(lines[-1]) if lines else {"outcome": f"status {finished.returncode}", "stderr": finished.stderr}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_ed25519").write_text("key")
    return home


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Generator[Grounds]:
    base = tmp_path_factory.mktemp("grounds")
    for name in ("root", "granted", "state", "outside", "outside/empty", "unix"):
        (base / name).mkdir()
    (base / "granted" / "file").write_bytes(b"granted")
    (base / "outside" / "secret").write_bytes(b"secret")
    abstract = f"gatelodge-test-{uuid.uuid4().hex}"
    open_sockets = [
        socket.create_server(("127.0.0.1", 0), backlog=64),
        socket.create_server(("127.0.0.1", 0), backlog=64),
        *(socket.socket(socket.AF_UNIX, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM)),
    ]
    named, stream, datagram = open_sockets[2:]
    named.bind(str(base / "unix" / "s"))
    stream.bind(f"\0{abstract}")
    datagram.bind(f"\0{abstract}-d")
    named.listen(64)
    stream.listen(64)
    yield Grounds(
        root=str(base / "root"),
        granted=str(base / "granted"),
        state=str(base / "state"),
        outside=str(base / "outside"),
        port=open_sockets[0].getsockname()[1],
        other_port=open_sockets[1].getsockname()[1],
        unix=str(base / "unix"),
        abstract=abstract,
        ripgrep=shutil.which("rg", path=sysconfig.get_path("scripts")) or "",
    )
    for one in open_sockets:
        one.close()


@pytest.fixture(scope="module")
def attacked(grounds: Grounds, home: Path) -> Any:
    """The outcomes of all attacks, one after another inside one process, by profile."""

    @cache
    def outcomes(profile: str) -> dict[str, Any]:
        if profile == "filesystem with ripgrep" and not grounds.ripgrep:
            pytest.skip("ripgrep is not installed")
        deeds = [*ALL, "files" if profile.startswith("filesystem") else "database"]
        return run(Specification(profile, grounds, deeds), home)

    return outcomes


@pytest.fixture(scope="module")
def free(grounds: Grounds, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The outcome of an attack where nothing confines: the proof that it is one."""
    outside = tmp_path_factory.mktemp("free")

    @cache
    def outcome(attack: str) -> str:
        shutil.rmtree(outside)
        (outside / "empty").mkdir(parents=True)
        (outside / "secret").write_bytes(b"secret")
        at = replace(grounds, outside=str(outside))
        return str(run(Specification("", at, [attack]), home, check=False)["outcome"])

    return outcome


@pytest.mark.parametrize("attack", ALL)
@pytest.mark.parametrize("profile", PROFILES)
def test_an_attack_is_refused(profile: str, attack: str, attacked: Any, free: Any) -> None:
    found = attacked(profile)["outcomes"][attack]
    if attack in POSSIBLE[profile]:
        assert found == "did"
        return
    assert found in REFUSED
    if free(attack) in REFUSED and attack not in ("x32", "a system call of the future"):
        pytest.skip(f"this system refuses it by itself: {free(attack)}")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_process_works_on_after_all_attacks(profile: str, attacked: Any) -> None:
    outcomes = attacked(profile)["outcomes"]
    assert outcomes["files" if profile.startswith("filesystem") else "database"] == "did"


def test_x32_is_refused_like_a_crime_and_the_future_like_a_gap(attacked: Any) -> None:
    outcomes = attacked("filesystem")["outcomes"]
    assert (outcomes["x32"], outcomes["a system call of the future"]) == ("EPERM", "ENOSYS")


def test_a_database_by_address_needs_no_udp(grounds: Grounds, home: Path) -> None:
    found = run(Specification("postgres by address", grounds, ["UDP", "Unix socket", "streams"]), home)
    assert found["outcomes"] == {"UDP": "EPERM", "Unix socket": "EPERM", "streams": "did"}


@pytest.mark.parametrize("profile", PROFILES)
def test_the_level_is_told(profile: str, attacked: Any) -> None:
    found = attacked(profile)
    assert found["complete"]
    assert found["summary"] == f"landlock {_landlock.abi()} (files, ports, scopes), seccomp, rlimits"


FILES = ("files", "read-only root")
EVERYWHERE = ("threads", "a confined thread", "event loop", "database", "late imports", "temporary files", "devices")


@pytest.mark.parametrize(
    ("profile", "deeds"),
    [
        ("filesystem", (*FILES, *EVERYWHERE)),
        ("filesystem with ripgrep", (*FILES, *EVERYWHERE, "ripgrep")),
        ("postgres", (*EVERYWHERE, "TLS", "names", "streams", "database socket")),
        ("github", (*EVERYWHERE, "TLS", "names", "streams")),
        ("websearch", (*EVERYWHERE, "TLS", "names", "streams")),
    ],
)
def test_work_goes_on(profile: str, deeds: tuple[str, ...], grounds: Grounds, home: Path) -> None:
    if "ripgrep" in deeds and not grounds.ripgrep:
        pytest.skip("ripgrep is not installed")
    found = run(Specification(profile, grounds, list(deeds)), home)
    assert found["outcomes"] == dict.fromkeys(deeds, "did")
    assert not os.path.exists(found["scratch"]), "the private temporary folder is left behind"


def test_ripgrep_is_held_like_its_parent(grounds: Grounds, home: Path) -> None:
    if not grounds.ripgrep:
        pytest.skip("ripgrep is not installed")
    assert run(Specification("", grounds, ["ripgrep outside"]), home)["outcome"] == "did"
    assert run(Specification("filesystem with ripgrep", grounds, ["ripgrep outside"]), home)["outcome"] == "EACCES"
