"""What a server at work needs, to be done in a process that confined itself; see `_attacks`."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gatelodge_core.sandbox.jail import Jail
from gatelodge_core.sandbox.place import make_directory, remove, rename_noreplace

if TYPE_CHECKING:
    from tests.sandbox._attacks import Grounds

THREADS = 64


def files(at: Grounds) -> None:
    with Jail.pin(at.granted, writable=False) as jail:
        fd = jail.open_file("file")
        assert os.read(fd, 10) == b"granted"
        os.close(fd)
    with Jail.pin(at.root, writable=True) as jail, jail.parent("work") as place:
        make_directory(place.fd, "work")
        inner = os.open("work", os.O_RDONLY | os.O_DIRECTORY, dir_fd=place.fd)
        fd = os.open("new", os.O_CREAT | os.O_RDWR, 0o600, dir_fd=inner)
        os.write(fd, b"text")
        os.fchmod(fd, 0o640)
        os.fchown(fd, -1, os.getgid())
        os.utime(fd)
        os.fsync(fd)
        os.truncate(fd, 2)
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.close(fd)
        rename_noreplace(inner, "new", place.fd, "moved")
        os.close(inner)
        remove(place.fd, "moved")
        os.rmdir("work", dir_fd=place.fd)


def read_only(at: Grounds) -> None:
    try:
        os.close(os.open(os.path.join(at.granted, "new"), os.O_CREAT | os.O_WRONLY))
    except PermissionError:
        return
    raise AssertionError("a read-only root was written to")


def threads() -> None:
    together = threading.Barrier(THREADS + 1)
    all_of_them = [threading.Thread(target=together.wait) for _ in range(THREADS)]
    for thread in all_of_them:
        thread.start()
    together.wait()
    for thread in all_of_them:
        thread.join()


def confined_thread(at: Grounds) -> None:
    """A thread started later is held like the first."""
    seen: list[str] = []

    def look() -> None:
        try:
            os.listdir(at.outside)
        except PermissionError:
            seen.append("refused")

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == ["refused"]


async def _loop(at: Grounds) -> None:
    path = os.path.join(at.root, "by-a-worker")

    def save() -> None:
        with open(path, "w", encoding="utf-8") as target:
            target.write("x")

    await asyncio.gather(*(asyncio.to_thread(save) for _ in range(8)))
    await asyncio.sleep(0)
    os.unlink(path)


def event_loop(at: Grounds) -> None:
    asyncio.run(_loop(at))


def database(at: Grounds) -> None:
    path = os.path.join(at.state, f"{os.getpid()}.sqlite")
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("pragma journal_mode=wal").fetchone() == ("wal",)
        with connection:
            connection.execute("create table t(x)")
            connection.executemany("insert into t values (?)", [(n,) for n in range(1000)])
        # A sort that spills goes to a temporary file.
        connection.execute("pragma temp_store=1")
        assert len(connection.execute("select x from t order by x desc").fetchall()) == 1000
    finally:
        connection.close()


def late_imports() -> None:
    import graphlib
    import mimetypes
    import xmlrpc.server

    import pydantic.v1.color  # a package, an extension module or both; never used by us
    from gatelodge_core.cli import policy  # an editable installation here

    assert graphlib
    assert xmlrpc.server
    assert pydantic.v1.color
    assert policy
    assert mimetypes.guess_type("a.txt")[0] == "text/plain"


def temporary() -> None:
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as target:
        target.write(b"x")
    with tempfile.TemporaryFile() as target:
        target.write(b"x")


def devices() -> None:
    with open(os.devnull, "wb") as sink, open("/dev/urandom", "rb") as source:
        sink.write(source.read(8))
    assert random.SystemRandom().random() < 1
    assert time.localtime().tm_year > 2000


def ripgrep(at: Grounds) -> None:
    fd = os.open(at.granted, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = subprocess.run(
            [at.ripgrep, "--no-config", "--files-with-matches", "-e", "granted", "--", "."],
            cwd=f"/proc/self/fd/{fd}",
            pass_fds=(fd,),
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(fd)
    assert found.stdout == b"./file\n", found


def ripgrep_outside(at: Grounds) -> None:
    """The child is held by the same rules; it finds in `outside` without them."""
    found = subprocess.run(
        [at.ripgrep, "--no-config", "-e", "secret", "--", at.outside], env={}, capture_output=True, check=False
    )
    if b"secret" not in found.stdout:
        raise PermissionError(13, "nothing seen")


def tls() -> None:
    assert ssl.create_default_context().get_ca_certs(binary_form=True)


def names(at: Grounds) -> None:
    assert socket.getaddrinfo("localhost", at.port, type=socket.SOCK_STREAM)


def streams(at: Grounds) -> None:
    async def exchange() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", at.port)
        writer.close()
        await writer.wait_closed()

    asyncio.run(exchange())


def database_socket(at: Grounds) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(os.path.join(at.unix, "s"))


def works(at: Grounds) -> dict[str, Callable[[], object]]:
    """Everything by name."""
    return {
        "files": lambda: files(at),
        "read-only root": lambda: read_only(at),
        "threads": threads,
        "a confined thread": lambda: confined_thread(at),
        "event loop": lambda: event_loop(at),
        "database": lambda: database(at),
        "late imports": late_imports,
        "temporary files": temporary,
        "devices": devices,
        "ripgrep": lambda: ripgrep(at),
        "ripgrep outside": lambda: ripgrep_outside(at),
        "TLS": tls,
        "names": lambda: names(at),
        "streams": lambda: streams(at),
        "database socket": lambda: database_socket(at),
    }
