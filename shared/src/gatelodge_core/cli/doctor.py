"""``gatelodge doctor``: what this machine can hold servers to, and the state of what they left."""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass

from gatelodge_core.places import journal_folder, state_folder

EXIT = "exit status: 0 all is well, 1 something needs attention"
# In a process of its own, since confinement can't be left again.
_CONFINE = (
    "import json, sys\n"
    "from gatelodge_core.sandbox import profiles\n"
    "from gatelodge_core.sandbox.kernel import confine\n"
    "reached = confine(profiles.filesystem([], [], sys.argv[1]))\n"
    "print(json.dumps([reached.summary(), list(reached.missing)]))\n"
)
SECONDS = 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: Its name.
        good: Whether it is as it should be.
        text: What was found.
        fix: What to do about it; empty if nothing.
    """

    what: str
    good: bool
    text: str
    fix: str = ""


def run(argv: Sequence[str]) -> int:
    """Look, and report."""
    parser = argparse.ArgumentParser(
        prog="gatelodge doctor", description="Look at what confines the servers, and at their journal.", epilog=EXIT
    )
    parser.add_argument("--json", action="store_true", help="Report as one JSON object.")
    parser.add_argument("--state-dir", default="", help="The state folder, if the servers were given one.")
    given = parser.parse_args(list(argv))
    state = state_folder(given.state_dir)
    findings = [_python(), _state(state), _sandbox(state), _journal(state)]
    if given.json:
        json.dump({"findings": [asdict(finding) for finding in findings]}, sys.stdout, indent=2)
        print()
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.good else 'LOOK'}  {finding.what:<8}  {finding.text}")
            if finding.fix:
                print(f"                {finding.fix}")
    return 0 if all(finding.good for finding in findings) else 1


def _python() -> Finding:
    return Finding("python", True, f"{platform.python_version()} on {platform.system()} {platform.release()}")


def _state(state: str) -> Finding:
    if not os.path.isdir(state):
        return Finding("state", True, f"{state}: not made yet; the first server makes it")
    found = os.stat(state)
    if os.name == "posix" and (found.st_uid != os.getuid() or found.st_mode & 0o022):
        return Finding(
            "state", False, f"{state} can be changed by others", f"chown it to yourself, and: chmod 700 {state}"
        )
    return Finding("state", True, state)


def _sandbox(state: str) -> Finding:
    folder = state if os.path.isdir(state) else os.path.expanduser("~")
    command = [sys.executable, "-c", _CONFINE, folder]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Finding("sandbox", False, f"confining a process took more than {SECONDS} s")
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["unknown"]
        return Finding("sandbox", False, f"a process can't be confined: {reason[0]}")
    summary, missing = json.loads(done.stdout)
    fix = "Use a newer kernel, or a container; --require-sandbox refuses to start like this." if missing else ""
    return Finding("sandbox", not missing, summary, fix)


def _journal(state: str) -> Finding:
    folder = journal_folder(state)
    if not os.path.isdir(folder):
        return Finding("journal", True, "none yet")
    from gatelodge_core.audit import cli  # noqa: PLC0415 - only if there is one

    told = io.StringIO()
    with redirect_stdout(told):
        status = cli.run(["verify", "--directory", folder])
    lines = told.getvalue().strip().splitlines() or ["can't be verified"]
    return Finding("journal", status == 0, lines[-1], "See: gatelodge audit verify" if status else "")
