"""The demo's keeper, a process of its own: makes and starts the database, and stops it when no server uses it any more.

Each server that serves the demo holds a shared lock for its life; the keeper waits to hold it alone. The kernel takes the
lock from a server however it ends, so nothing stays behind even where all were killed. Run as ``python -m`` by `place`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from types import FrameType
from typing import NoReturn

from gatelodge_core.errors import SettingsError

from gatelodge_postgres.demo import locks, programs
from gatelodge_postgres.demo.cluster import Cluster
from gatelodge_postgres.demo.names import ALIVE, DATABASE, GENERATION, MADE, PLACE, READER, SUPERUSER, USERS, WRITER

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class _Ended(Exception):
    """A signal came, or the database ended by itself."""


def main(folder: str, install: str, *, allow_root: bool, starting: int) -> int:
    """Keep the demo of a folder.

    Args:
        folder: Where it is.
        install: The folder of PostgreSQL's installation.
        allow_root: As the setting.
        starting: The descriptor that holds others who would start it off, until it runs.

    Returns:
        The exit status. One line of JSON tells on stdout where the database is, or why it isn't.
    """
    try:
        alive = locks.take(os.path.join(folder, ALIVE), seconds=1)
        account = programs.account(allow_root=allow_root)
        cluster = Cluster(programs.runnable(install, folder, account), folder, account)
        place = _opened(cluster, folder)
    except locks.Held:
        return _tell({"error": "--demo: another process keeps it and gives no place"})
    except SettingsError as error:
        return _tell({"error": str(error)})
    except Exception as error:  # noqa: BLE001 - the boundary of the process; the server that waits is told
        return _tell({"error": f"--demo: {type(error).__name__}: {error}"})
    try:
        _tell(place)
        os.close(starting)
        _wait(folder, cluster)
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN if number != signal.SIGCHLD else signal.SIG_DFL)
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(folder, PLACE))
        cluster.stop()
        os.close(alive)
    return 0


def _opened(cluster: Cluster, folder: str) -> dict[str, str]:
    """Start the database, made before if it isn't there; where it is."""
    marker = os.path.join(folder, MADE)
    wanted = f"{GENERATION} {os.path.basename(os.path.dirname(cluster.programs))}"
    try:
        with open(marker, encoding="utf-8") as source:
            made = source.read() == wanted
    except OSError:
        made = False
    try:
        if made:
            cluster.start()
        else:
            with contextlib.suppress(FileNotFoundError):
                os.remove(marker)
            _make(cluster)
            with open(marker, "w", encoding="utf-8") as out:
                out.write(wanted)
        place = {"sockets": cluster.sockets}
        with open(os.path.join(folder, f"{PLACE}.new"), "w", encoding="utf-8") as out:
            json.dump(place, out)
        os.replace(os.path.join(folder, f"{PLACE}.new"), os.path.join(folder, PLACE))
    except BaseException:
        cluster.stop()
        raise
    return place


def _make(cluster: Cluster) -> None:
    """Make it and fill it; afterwards two roles are let in, and the superuser never again."""
    cluster.make()
    cluster.admit("all", [SUPERUSER])
    cluster.start()
    # In a process of its own, which takes the driver and 100,000 rows with it.
    command = [sys.executable, "-I", "-m", "gatelodge_postgres.demo.load", cluster.sockets]
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=2, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise SettingsError(f"--demo: the shop can't be made: {reason[0]}")
    cluster.admit(DATABASE, [READER, WRITER])


def _wait(folder: str, cluster: Cluster) -> None:
    """Wait until no server uses the database, a signal comes, or the database ends by itself."""

    def end(number: int, _: FrameType | None) -> None:
        if number != signal.SIGCHLD or not cluster.runs:
            raise _Ended

    with contextlib.suppress(_Ended):
        for number in _SIGNALS:
            signal.signal(number, end)
        if cluster.runs:
            # Held until this process ends, so that who comes now waits for that, and then starts it anew.
            locks.take(os.path.join(folder, USERS))


def _tell(place: dict[str, str]) -> int:
    """Tell who waits; the exit status."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(place) + "\n")
        sys.stdout.flush()
    # Who waits reads to the end; and nobody is to be kept from ending by what we hold of theirs.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
    return 1 if "error" in place else 0


def _run() -> NoReturn:
    os.umask(0o077)
    # The one who waits for us to be started is not to be our parent: it may end at any time, or never look at its children.
    if os.fork():
        os._exit(0)
    folder, install, allow_root, starting = sys.argv[1:5]
    sys.exit(main(folder, install, allow_root=allow_root == "yes", starting=int(starting)))


if __name__ == "__main__":
    _run()
