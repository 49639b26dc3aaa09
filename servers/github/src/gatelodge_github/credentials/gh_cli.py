"""The token that the gh command is logged in with."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping

from gatelodge_core.errors import SettingsError

from gatelodge_github.credentials.secret import Sealed

SECONDS = 5.0
PASSED = ("PATH", "HOME", "XDG_CONFIG_HOME", "GH_CONFIG_DIR", "DBUS_SESSION_BUS_ADDRESS", "APPDATA", "SYSTEMROOT")
"""All that gh needs to find its login: its files, or the keyring over D-Bus. The last two are Windows'."""
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}(?::[0-9]{1,5})?", re.ASCII)


def ask_gh(host: str, environ: Mapping[str, str]) -> Sealed:
    """What ``gh auth token --hostname HOST`` prints.

    Raises:
        SettingsError: There is no gh, it has no login for the host, or it takes longer than 5 s.
    """
    if not _HOST.fullmatch(host):
        raise SettingsError(f"gh_cli: {host[:80]!r} is no host name to ask gh for")
    program = shutil.which("gh", path=environ.get("PATH", os.defpath))
    if program is None:
        raise SettingsError("gh_cli: there is no gh command on PATH; install GitHub's CLI, or use token_file")
    if not os.path.isabs(program):
        # One in the current folder may come with whatever was checked out there.
        raise SettingsError("gh_cli: gh was found by a relative entry of PATH only; it is not run")
    passed = {name: environ[name] for name in PASSED if name in environ}
    flaw, token = _run([program, "auth", "token", "--hostname", host], passed)
    if flaw or not token.reveal():
        raise SettingsError(
            f"gh_cli: gh auth token gave no token for {host}: {flaw or 'it printed nothing'}. "
            f"Run: gh auth login --hostname {host}"
        )
    return token


def _run(command: list[str], environ: dict[str, str]) -> tuple[str, Sealed]:
    """What went wrong with a command, and its output. What it says on stderr isn't read."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ,
            cwd=os.path.abspath(os.sep), start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return f"it can't be run: {error.strerror}", Sealed("")
    ended = False
    with process:
        try:
            output = process.communicate(timeout=SECONDS)[0]
            ended = True
        except subprocess.TimeoutExpired:
            return f"no answer within {SECONDS:g} s", Sealed("")
        finally:
            if not ended:
                _end(process)
    flaw = f"exit status {process.returncode}" if process.returncode else ""
    return flaw, Sealed(output.decode("utf-8", "replace").strip())


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a command that was not waited for, and its children: one that holds the pipe would make us wait for it."""
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
