"""A second process swaps a directory and a link out of the root while files are opened and written."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gatelodge_core.errors import JailError
from gatelodge_core.sandbox.place import rename_noreplace

from tests.sandbox.conftest import CANARY, INSIDE, Grounds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the attack needs renameat2")

# Swaps root/turn (a directory) with root/twist (a link out) as fast as one process can.
ATTACK = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
root = os.fsencode(sys.argv[1])
sys.stdout.write("go\\n"); sys.stdout.flush()
while os.getppid() == int(sys.argv[2]):
    for _ in range(1000):
        if libc.renameat2(-100, root + b"/turn", -100, root + b"/twist", 2) != 0:
            sys.exit(os.strerror(ctypes.get_errno()))
"""


@contextmanager
def attack(root: Path, outside: Path) -> Generator[None]:
    (root / "turn").mkdir()
    (root / "turn" / "secret").write_bytes(INSIDE)
    (root / "twist").symlink_to(outside)
    attacker = subprocess.Popen(
        [sys.executable, "-c", ATTACK, str(root), str(os.getpid())], stdout=subprocess.PIPE, text=True
    )
    assert attacker.stdout is not None
    assert attacker.stdout.readline() == "go\n"
    try:
        yield
        assert attacker.poll() is None, "the attacker must have been at work to the end"
    finally:
        attacker.kill()
        attacker.wait()
        attacker.stdout.close()


def checked_then_opened(root: Path) -> bytes:
    """What an opener that resolves, checks and then opens gets: the control of the attack."""
    try:
        path = os.path.realpath(root / "turn" / "secret")
        if path.startswith(os.path.realpath(root) + os.sep):
            os.sched_yield()  # on a busy machine the attacker would seldom get its turn just here
            with open(path, "rb") as source:
                return source.read()
    except OSError:
        pass
    return b""


def test_opens_never_leak_while_a_checking_opener_does(grounds: Grounds) -> None:
    seen = {INSIDE: 0, CANARY: 0}
    control = {INSIDE: 0, CANARY: 0, b"": 0}
    with attack(grounds.root, grounds.outside):
        for _ in range(20_000):
            with contextlib.suppress(JailError):
                seen[grounds.read("turn/secret")] += 1
        while control[CANARY] == 0 and sum(control.values()) < 200_000:
            control[checked_then_opened(grounds.root)] += 1
    assert seen[CANARY] == 0
    assert seen[INSIDE] > 0, "the attack must leave some opens through, or it shows nothing"
    assert control[CANARY] > 0, "the attack must have teeth"


def test_writes_never_land_outside(grounds: Grounds) -> None:
    written = 0
    with attack(grounds.root, grounds.outside):
        for number in range(2_000):
            try:
                with grounds.jail.parent(f"turn/new-{number}") as place:
                    temporary = f".t-{secrets.token_hex(4)}"
                    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
                    fd = os.open(temporary, flags, 0o600, dir_fd=place.fd)
                    os.write(fd, b"mine")
                    os.close(fd)
                    rename_noreplace(place.fd, temporary, place.fd, place.name)
                    written += 1
            except JailError:
                continue
    assert os.listdir(grounds.outside) == ["secret"]
    assert (grounds.outside / "secret").read_bytes() == CANARY
    directory = grounds.root / ("turn" if not (grounds.root / "turn").is_symlink() else "twist")
    assert sum(name.startswith("new-") for name in os.listdir(directory)) == written > 0
