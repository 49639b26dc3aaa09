"""This machine: what confines servers, and the state of what they left."""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import sys
from contextlib import redirect_stdout

from gatelodge_core.cli.checks.findings import Finding
from gatelodge_core.places import journal_folder, settings_file

SECONDS = 30
LEAST_FREE = 200 * 1024 * 1024
"""Bytes of the disk that journal and undo should find."""
# In a process of its own, since confinement can't be left again.
_CONFINE = (
    "import json, sys\n"
    "from gatelodge_core.sandbox import profiles\n"
    "from gatelodge_core.sandbox.kernel import confine\n"
    "reached = confine(profiles.filesystem([], [], sys.argv[1]))\n"
    "print(json.dumps([reached.summary(), list(reached.missing)]))\n"
)


def look(state: str) -> list[Finding]:
    """Everything about the machine.

    Args:
        state: The state folder.
    """
    return [_python(), _state(state), _disk(state), _settings(), _sandbox(state), _journal(state), _policy()]


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.release()}")


def _state(state: str) -> Finding:
    if not os.path.isdir(state):
        return Finding("state", "ok", f"{state}: not made yet; the first server makes it")
    found = os.stat(state)
    if os.name == "posix" and (found.st_uid != os.getuid() or found.st_mode & 0o022):
        fix = f"chown it to yourself, and: chmod 700 {state}"
        return Finding("state", "fail", f"{state} can be changed by others", fix)
    return Finding("state", "ok", state)


def _disk(state: str) -> Finding:
    place = state
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    free = shutil.disk_usage(place).free
    text = f"{free // 1024 // 1024:,} MB free where state lies"
    if free < LEAST_FREE:
        return Finding(
            "disk", "fail", text, "Make room: without it the journal can't be written, and calls are refused."
        )
    return Finding("disk", "ok", text)


def _settings() -> Finding:
    path = settings_file()
    if not os.path.exists(path):
        return Finding("settings", "ok", f"no settings file ({path})")
    if os.name == "posix" and os.stat(path).st_mode & 0o077:
        return Finding("settings", "warn", f"{path} is open to others, and may hold secrets", f"chmod 600 {path}")
    return Finding("settings", "ok", path)


def _sandbox(state: str) -> Finding:
    folder = state if os.path.isdir(state) else os.path.expanduser("~")
    command = [sys.executable, "-c", _CONFINE, folder]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Finding("sandbox", "fail", f"confining a process took more than {SECONDS} s")
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["unknown"]
        return Finding("sandbox", "fail", f"a process can't be confined: {reason[0]}")
    summary, missing = json.loads(done.stdout)
    fix = "Use a newer kernel, or a container; --require-sandbox refuses to start like this." if missing else ""
    return Finding("sandbox", "fail" if missing else "ok", summary, fix)


def _journal(state: str) -> Finding:
    folder = journal_folder(state)
    if not os.path.isdir(folder):
        return Finding("journal", "ok", "none yet")
    from gatelodge_core.audit import cli  # noqa: PLC0415 - only if there is one

    told = io.StringIO()
    with redirect_stdout(told):
        status = cli.run(["verify", "--directory", folder])
    lines = told.getvalue().strip().splitlines() or ["can't be verified"]
    return Finding("journal", "fail" if status else "ok", lines[-1], "See: gatelodge audit verify" if status else "")


def _policy() -> Finding:
    path = os.path.join(os.path.dirname(settings_file()), "policy.toml")
    usual = "reading and writing are allowed inside what a server was granted, destroying is confirmed"
    if not os.path.exists(path):
        return Finding("policy", "ok", f"none: {usual}")
    from gatelodge_core.errors import SettingsError  # noqa: PLC0415 - only if there is one
    from gatelodge_core.guard.policy import load  # noqa: PLC0415 - the same

    try:
        policy = load(path)
    except SettingsError as error:
        return Finding("policy", "fail", str(error), "See: gatelodge policy show")
    counts = [f"{sum(rule.then == then for rule in policy.rules)} {then}" for then in ("allow", "confirm", "deny")]
    return Finding("policy", "ok", f"{path}: {len(policy.rules)} rules ({', '.join(counts)}); otherwise {usual}")
